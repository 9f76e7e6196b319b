// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOCB_CMD_POLL of a pipe's ends.
 *
 * Each end waits on one queue, so this is the simplest case there is, and the
 * one that every kernel with IOCB_CMD_POLL (4.18) must get right: a poll waits
 * while its end is not ready, completes once when it becomes so, and completes
 * at once when it already is.
 */
#include "aio.h"

static void data_wakes_the_read_end(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	aio_poll(ctx, &iocb, fds[0], POLLIN);
	EXPECT_NO_EVENT(ctx);
	put(fds[1]);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
	put(fds[1]);
	EXPECT_NO_EVENT(ctx);
}

static void read_end_with_data_is_ready_at_once(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	put(fds[1]);
	aio_poll(ctx, &iocb, fds[0], POLLIN);
	EXPECT_EQ(aio_event(ctx, &iocb), POLLIN);
	drain(fds[0]);
	put(fds[1]);
	EXPECT_NO_EVENT(ctx);
}

static void room_wakes_the_write_end(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	fill(fds[1]);
	aio_poll(ctx, &iocb, fds[1], POLLOUT);
	EXPECT_NO_EVENT(ctx);
	drain(fds[0]);
	EXPECT_EVENT(ctx, &iocb, POLLOUT, POLLHUP | POLLERR);
	fill(fds[1]);
	drain(fds[0]);
	EXPECT_NO_EVENT(ctx);
}

static void other_events_do_not_complete_it(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	aio_poll(ctx, &iocb, fds[0], POLLPRI);
	put(fds[1]);
	EXPECT_NO_EVENT(ctx);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
}

static void polled_again_and_again(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2], i;

	make_pipe(fds);
	for (i = 0; i < 50; i++) {
		aio_poll(ctx, &iocb, fds[0], POLLIN);
		put(fds[1]);
		EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
		drain(fds[0]);
	}
	EXPECT_NO_EVENT(ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(data_wakes_the_read_end),
	KTAP_CASE(read_end_with_data_is_ready_at_once),
	KTAP_CASE(room_wakes_the_write_end),
	KTAP_CASE(other_events_do_not_complete_it),
	KTAP_CASE(polled_again_and_again),
};

KTAP_MAIN(cases)
