// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request keeps its file until it completes, whoever closes the descriptor.
 */
#include "parked.h"

static char buf[64];

static void read_end_is_closed(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	submit_read(ctx, &iocb, fds[0], buf, sizeof(buf));
	ktap_close_now(fds[0]);
	ASSERT_EQ(write(fds[1], "still", 5), 5);
	EXPECT_EQ(aio_event(ctx, &iocb), 5);
	EXPECT(!memcmp(buf, "still", 5));
	/* Now the last user of the read end is gone. */
	EXPECT(ready_ms(fds[1], POLLERR, AIO_EVENT_TIMEOUT_MS) & POLLERR);
}

static void write_end_is_closed(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	fill_up(fds[1]);
	submit_write(ctx, &iocb, fds[1], "still", 5);
	ktap_close_now(fds[1]);
	EXPECT_EQ(ready_now(fds[0], POLLHUP), 0);
	read_behind_fill(fds[0], buf, 5);
	EXPECT(!memcmp(buf, "still", 5));
	EXPECT_EQ(aio_event(ctx, &iocb), 5);
	EXPECT(ready_ms(fds[0], POLLHUP, AIO_EVENT_TIMEOUT_MS) & POLLHUP);
}

static void socket_is_closed(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	submit_read(ctx, &iocb, fds[0], buf, sizeof(buf));
	ktap_close_now(fds[0]);
	put(fds[1]);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(read_end_is_closed),
	KTAP_CASE(write_end_is_closed),
	KTAP_CASE(socket_is_closed),
};

KTAP_MAIN(cases)
