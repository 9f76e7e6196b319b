// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that ends takes its reads along, whatever way it goes, and does end;
 * a thread leaves them to its process.
 */
#include <pthread.h>
#include "child.h"
#include "end.h"

struct scene {
	struct abandoned *abandoned;
	int fd;
	void (*end)(void);
};

static void submit_and_end(void *arg)
{
	struct scene *scene = arg;

	abandoned_submit(scene->abandoned, aio_setup(ABANDONED_READS), scene->fd);
	scene->end();
}

static void process_ends(void (*end)(void), int status)
{
	struct scene scene = { abandoned_make(), cold_file(), end };

	keep_busy(BUSY_MIB);
	EXPECT_EQ(in_child(submit_and_end, &scene), status);
	EXPECT_ABANDONED(scene.abandoned);
}

static void do_exit(void)
{
	_exit(0);
}

static void do_kill(void)
{
	kill(getpid(), SIGKILL);
}

static void do_exec(void)
{
	execl("/proc/self/exe", "exit", "end-at-once", NULL);
}

static void exits(void)
{
	process_ends(do_exit, 0);
}

static void is_killed(void)
{
	process_ends(do_kill, SIGKILL);
}

static void executes(void)
{
	process_ends(do_exec, 0);
}

static void *submit_in_thread(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)reads_submit_timed();
}

static void thread_ends(void)
{
	int fd = cold_file();
	pthread_t thread;
	void *ret;

	reads_begin();
	reads_add(fd, 100000, 1);
	keep_busy(BUSY_MIB);
	ASSERT_EQ(pthread_create(&thread, NULL, submit_in_thread, NULL), 0);
	pthread_join(thread, &ret);
	ASSERT_EQ((intptr_t)ret, 1);
	reads_wait();
	ASSERT_ASYNC();
	EXPECT_ALL_READ();
}

static const struct ktap_case cases[] = {
	KTAP_CASE(exits),
	KTAP_CASE(is_killed),
	KTAP_CASE(executes),
	KTAP_CASE(thread_ends),
};

int main(int argc, char **argv)
{
	int status;

	(void)argv;
	if (argc > 1)
		return 0;
	status = ktap_run(cases, ARRAY_SIZE(cases));
	unmount();
	return status;
}
