// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are thrown out of memory between their arrival and the moment when
 * the read goes on: it asks for them again, gets all, and comes to an end.
 */
#include <pthread.h>
#include <stdatomic.h>
#include "reads.h"

static atomic_bool stop;
static int evicted_fd;

static void evict_by_advice(void)
{
	posix_fadvise(evicted_fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void evict_everything(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		ktap_note("drop_caches: %s", strerror(errno));
	close(fd);
}

static void *evict_on(void *arg)
{
	struct timespec pause = { .tv_nsec = 300000 };
	void (*once)(void) = arg;

	while (!stop) {
		once();
		nanosleep(&pause, NULL);	/* reads have to get on */
	}
	return NULL;
}

static void join(uintptr_t thread)
{
	stop = true;
	pthread_join((pthread_t)thread, NULL);
}

static void read_while(void (*evicting)(void))
{
	int i, fd = cold_file();
	pthread_t thread;

	reads_begin();
	evicted_fd = fd;
	stop = false;
	ASSERT_EQ(pthread_create(&thread, NULL, evict_on, evicting), 0);
	ktap_defer(join, (uintptr_t)thread);
	for (i = 0; i < 8; i++)
		reads_add(fd, 64 * KIB + i, i * 300 * KIB + 17 * i);
	for (; i < 24; i++)
		reads_add(fd, PAGE, 3 * MIB + i * 40 * KIB);
	reads_submit();
	reads_wait();
	EXPECT_ALL_READ();
}

static void of_the_file(void)
{
	read_while(evict_by_advice);
}

static void of_everything(void)
{
	read_while(evict_everything);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(of_the_file),
	KTAP_CASE(of_everything),
};

SLOW_MAIN(cases)
