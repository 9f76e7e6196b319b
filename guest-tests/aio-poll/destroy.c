// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_destroy() of a context with pending polls: it returns, the polls are gone
 * from their files' wait queues, and the files go on as before.
 */
#include "subjects.h"

static aio_context_t setup_to_destroy(void)
{
	aio_context_t ctx = 0;

	/* Once with aio_setup(), which skips where there is no AIO. */
	ASSERT_OK(io_setup(AIO_BATCH, &ctx));
	return ctx;
}

static void pending_polls(void)
{
	aio_context_t ctx = aio_setup(AIO_BATCH), doomed = setup_to_destroy();
	int eventfd = make_eventfd(0), pipefds[2], sockets[2];
	struct iocb iocb[3];
	struct bystanders by;

	make_pipe(pipefds);
	make_socketpair(SOCK_STREAM, sockets);
	aio_poll(doomed, &iocb[0], eventfd, POLLIN);
	aio_poll(doomed, &iocb[1], pipefds[0], POLLIN);
	aio_poll(doomed, &iocb[2], sockets[0], POLLIN);
	ASSERT_OK(io_destroy(doomed));

	bystanders_submit(&by);
	put(eventfd);
	put(pipefds[1]);
	put(sockets[1]);
	EXPECT_UNDISTURBED(&by);
	aio_poll(ctx, &iocb[0], eventfd, POLLIN);
	EXPECT_EVENT(ctx, &iocb[0], POLLIN, POLLERR);
	aio_poll(ctx, &iocb[1], pipefds[0], POLLIN);
	EXPECT_EVENT(ctx, &iocb[1], POLLIN, POLLERR | POLLHUP);
	aio_poll(ctx, &iocb[2], sockets[0], POLLIN);
	EXPECT_EVENT(ctx, &iocb[2], POLLIN, POLLERR | POLLHUP);
}

static void context_is_gone(void)
{
	aio_context_t doomed = setup_to_destroy();
	int fd = make_eventfd(0);
	struct iocb iocb;

	aio_poll(doomed, &iocb, fd, POLLIN);
	ASSERT_OK(io_destroy(doomed));
	EXPECT_EQ(aio_cancel_iocb(doomed, &iocb), -EINVAL);
	EXPECT_EQ(aio_submit(doomed, &iocb), -EINVAL);
	EXPECT_EQ(io_destroy(doomed), -1);
}

static void events_nobody_fetched(void)
{
	int fd = make_eventfd(0);
	struct aio_batch batch;
	struct bystanders by;

	aio_batch_prep(&batch, setup_to_destroy(), fd, POLLIN);
	aio_batch_submit(&batch);
	put(fd);
	ASSERT_OK(io_destroy(batch.ctx));
	bystanders_submit(&by);
	put(fd);
	EXPECT_UNDISTURBED(&by);
}

static void data_comes_meanwhile(void)
{
	race_destroy(pipe_subject());
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pending_polls),
	KTAP_CASE(context_is_gone),
	KTAP_CASE(events_nobody_fetched),
	KTAP_CASE(data_comes_meanwhile),
};

KTAP_MAIN(cases)
