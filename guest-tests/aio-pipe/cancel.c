// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_cancel() of a request that waits: it completes with ECANCELED if it has moved
 * nothing, else with the bytes that it moved; data that comes later is there for
 * others, and the buffer is the caller's again.  So it is after io_destroy().
 */
#include "child.h"
#include "parked.h"

static char buf[64], big[1 << 20];

static void cancelled_read_eats_nothing(int fd, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	memset(buf, 'x', sizeof(buf));
	submit_read(ctx, &iocb, fd, buf, sizeof(buf));
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), -ECANCELED);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	put(other);
	EXPECT_WAITS(ctx);
	EXPECT(all_are(buf, 'x', sizeof(buf)));
	EXPECT_EQ(read(fd, buf, sizeof(buf)), 8);
}

static void pipe_read_is_cancelled(void)
{
	int fds[2];

	make_blocking_pipe(fds);
	cancelled_read_eats_nothing(fds[0], fds[1]);
}

static void fifo_read_is_cancelled(void)
{
	int fd = make_blocking_fifo();

	cancelled_read_eats_nothing(fd, fd);
}

static void socket_read_is_cancelled(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	cancelled_read_eats_nothing(fds[0], fds[1]);
}

static void write_is_cancelled(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	fill_up(fds[1]);
	submit_write(ctx, &iocb, fds[1], "secret", 6);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), -ECANCELED);
	drain_all(fds[0]);
	EXPECT_WAITS(ctx);
	EXPECT_EQ(ready_now(fds[0], POLLIN), 0);
}

static void begun_write_reports_its_bytes(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];
	long res;

	make_blocking_pipe(fds);
	submit_write(ctx, &iocb, fds[1], big, sizeof(big));
	read_all(fds[0], big, 100000);
	EXPECT_WAITS(ctx);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	res = aio_event(ctx, &iocb);
	EXPECT(res >= 100000 && res < (long)sizeof(big));
	read_all(fds[0], big, res - 100000);
	EXPECT_EQ(ready_now(fds[0], POLLIN), 0);
}

static void destroyed_read_eats_nothing(void)
{
	aio_context_t ctx = 0;
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	ASSERT_OK(io_setup(1, &ctx));
	memset(buf, 'x', sizeof(buf));
	submit_read(ctx, &iocb, fds[0], buf, sizeof(buf));
	ASSERT_OK(io_destroy(ctx));
	put(fds[1]);
	let_retries_run();
	EXPECT(all_are(buf, 'x', sizeof(buf)));
	EXPECT_EQ(read(fds[0], buf, sizeof(buf)), 8);
}

static void read_and_end(void *arg)
{
	struct iocb iocb;

	submit_read(aio_setup(1), &iocb, *(int *)arg, buf, sizeof(buf));
}

static void read_of_a_dead_process_eats_nothing(void)
{
	int fds[2];

	make_blocking_pipe(fds);
	EXPECT_EQ(in_child(read_and_end, &fds[0]), 0);
	put(fds[1]);
	let_retries_run();
	EXPECT_EQ(ready_now(fds[0], POLLIN), POLLIN);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pipe_read_is_cancelled),
	KTAP_CASE(fifo_read_is_cancelled),
	KTAP_CASE(socket_read_is_cancelled),
	KTAP_CASE(write_is_cancelled),
	KTAP_CASE(begun_write_reports_its_bytes),
	KTAP_CASE(destroyed_read_eats_nothing),
	KTAP_CASE(read_of_a_dead_process_eats_nothing),
};

KTAP_MAIN(cases)
