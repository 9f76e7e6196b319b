// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOCB_CMD_POLL of a FIFO opened O_RDWR: one file whose ->poll() registers two
 * wait queues, one for data and one for room.  Either must complete the poll.
 *
 * Kernels without the aio-poll series refuse this: io_submit: EINVAL.
 */
#include "aio.h"

static void data_completes_it(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_fifo();
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_NO_EVENT(ctx);
	put(fd);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
	put(fd);
	EXPECT_NO_EVENT(ctx);
}

static void room_completes_it(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_fifo();
	struct iocb iocb;

	fill(fd);
	aio_poll(ctx, &iocb, fd, POLLOUT);
	EXPECT_NO_EVENT(ctx);
	drain(fd);
	EXPECT_EVENT(ctx, &iocb, POLLOUT, POLLHUP | POLLERR);
	fill(fd);
	drain(fd);
	EXPECT_NO_EVENT(ctx);
}

static void many_polls_of_one_fifo(void)
{
	struct aio_batch batch;
	int fd = make_fifo();

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fd, POLLIN);
	aio_batch_submit(&batch);
	EXPECT_NO_EVENT(batch.ctx);
	put(fd);
	aio_batch_collect(&batch);
	EXPECT_NO_EVENT(batch.ctx);
}

static void cancelled_once(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_fifo();
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
	put(fd);
	EXPECT_NO_EVENT(ctx);
}

/* The request holds the file: no descriptor of it is left. */
static void cancelled_after_close(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_fifo();
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	ktap_close_now(fd);
	EXPECT_NO_EVENT(ctx);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(data_completes_it),
	KTAP_CASE(room_completes_it),
	KTAP_CASE(many_polls_of_one_fifo),
	KTAP_CASE(cancelled_once),
	KTAP_CASE(cancelled_after_close),
};

KTAP_MAIN(cases)
