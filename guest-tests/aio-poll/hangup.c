// SPDX-License-Identifier: GPL-2.0-only
/*
 * POLLHUP and POLLERR complete a poll that did not ask for them, as poll(2) has
 * it; everything else only one that did.
 *
 * Closing wakes with no event mask, so the kernel can't complete from the
 * wake-up and has to ask ->poll() again from its worker: the other path.
 */
#include "aio.h"

static void writer_closes(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	aio_poll(ctx, &iocb, fds[0], 0);
	put(fds[1]);
	EXPECT_NO_EVENT(ctx);
	ktap_close_now(fds[1]);
	EXPECT_EVENT(ctx, &iocb, POLLHUP, POLLIN | POLLERR);
}

static void reader_closes(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	aio_poll(ctx, &iocb, fds[1], 0);
	EXPECT_NO_EVENT(ctx);
	ktap_close_now(fds[0]);
	EXPECT_EVENT(ctx, &iocb, POLLERR, POLLOUT | POLLHUP);
}

static void closed_already(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	ktap_close_now(fds[1]);
	aio_poll(ctx, &iocb, fds[0], 0);
	EXPECT_EVENT(ctx, &iocb, POLLHUP, POLLIN | POLLERR);
}

static void data_and_hangup_together(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	put(fds[1]);
	ktap_close_now(fds[1]);
	aio_poll(ctx, &iocb, fds[0], POLLIN);
	EXPECT_EVENT(ctx, &iocb, POLLIN | POLLHUP, POLLERR);
	EXPECT_NO_EVENT(ctx);
}

static void peer_socket_closes(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_socketpair(SOCK_STREAM, fds);
	aio_poll(ctx, &iocb, fds[0], 0);
	ASSERT_OK(shutdown(fds[1], SHUT_WR));	/* POLLRDHUP: not asked for */
	EXPECT_NO_EVENT(ctx);
	ktap_close_now(fds[1]);
	EXPECT_EVENT(ctx, &iocb, POLLHUP, POLLERR);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(writer_closes),
	KTAP_CASE(reader_closes),
	KTAP_CASE(closed_already),
	KTAP_CASE(data_and_hangup_together),
	KTAP_CASE(peer_socket_closes),
};

KTAP_MAIN(cases)
