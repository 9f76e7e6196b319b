// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/sys/fs/aio-max-nr limits what all contexts together were set up for,
 * which is aio-nr: io_setup() says EAGAIN beyond it, and what a context took
 * comes back when it is destroyed or its process ends.
 *
 * The limit is the whole system's, so a process of its own puts it back,
 * however the cases end.
 */
#include "aio.h"
#include "child.h"

#define AIO_NR		"/proc/sys/fs/aio-nr"
#define AIO_MAX_NR	"/proc/sys/fs/aio-max-nr"
#define ROOM		64

static long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long number = -1;

	if (file) {
		if (fscanf(file, "%ld", &number) != 1)
			number = -1;
		fclose(file);
	}
	return number;
}

static bool write_number(const char *path, long number)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && dprintf(fd, "%ld\n", number) > 0;

	close(fd);
	return ok;
}

/* From now on there is room for ROOM: what aio-nr is. */
static long limit(void)
{
	long nr = read_number(AIO_NR);

	if (nr < 0)
		ktap_skip("no aio-nr here: CONFIG_PROC_SYSCTL");
	if (!write_number(AIO_MAX_NR, nr + ROOM))
		ktap_skip("can't write aio-max-nr: %s", strerror(errno));
	EXPECT_EQ(read_number(AIO_MAX_NR), nr + ROOM);
	return nr;
}

static int setup_error(unsigned int nr)
{
	aio_context_t ctx = 0;

	return io_setup(nr, &ctx) < 0 ? -errno : 0;
}

static void one_context(void)
{
	long before = limit();
	aio_context_t ctx;

	EXPECT_EQ(setup_error(ROOM + 1), -EAGAIN);
	EXPECT_EQ(read_number(AIO_NR), before);
	ctx = aio_setup(ROOM);
	EXPECT_EQ(read_number(AIO_NR), before + ROOM);
	EXPECT_EQ(setup_error(1), -EAGAIN);
	ASSERT_OK(io_destroy(ctx));
	EXPECT_EQ(read_number(AIO_NR), before);
}

static void several_contexts(void)
{
	long before = limit();
	aio_context_t some = aio_setup(ROOM - 1), one = aio_setup(1);

	EXPECT_EQ(read_number(AIO_NR), before + ROOM);
	EXPECT_EQ(setup_error(1), -EAGAIN);
	ASSERT_OK(io_destroy(one));
	EXPECT_EQ(setup_error(2), -EAGAIN);
	one = aio_setup(1);
	ASSERT_OK(io_destroy(one));
	ASSERT_OK(io_destroy(some));
	EXPECT_EQ(read_number(AIO_NR), before);
}

/* More than the limit allows of are there: they go on, and nobody gets more. */
static void limit_lowered_below_what_is_there(void)
{
	long before = limit();
	aio_context_t ctx = aio_setup(ROOM);
	struct iocb iocb;

	ASSERT(write_number(AIO_MAX_NR, before));
	EXPECT_EQ(setup_error(1), -EAGAIN);
	aio_poll(ctx, &iocb, make_eventfd(1), POLLIN);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
	ASSERT_OK(io_destroy(ctx));
	EXPECT_EQ(read_number(AIO_NR), before);
}

static void take_all(void *unused)
{
	(void)unused;
	aio_setup(ROOM);
	EXPECT_EQ(setup_error(1), -EAGAIN);
}

static void take_all_and_be_killed(void *unused)
{
	take_all(unused);
	raise(SIGKILL);
}

static void process_ends(void)
{
	long before = limit();

	EXPECT_EQ(in_child(take_all, NULL), 0);
	EXPECT_EQ(read_number(AIO_NR), before);
	EXPECT_EQ(WTERMSIG(in_child(take_all_and_be_killed, NULL)), SIGKILL);
	EXPECT_EQ(read_number(AIO_NR), before);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(one_context),
	KTAP_CASE(several_contexts),
	KTAP_CASE(limit_lowered_below_what_is_there),
	KTAP_CASE(process_ends),
};

int main(void)
{
	long old = read_number(AIO_MAX_NR);
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(ktap_run(cases, ARRAY_SIZE(cases)));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (old >= 0)
		write_number(AIO_MAX_NR, old);
	return WIFEXITED(status) ? WEXITSTATUS(status) : KTAP_EXIT_FAIL;
}
