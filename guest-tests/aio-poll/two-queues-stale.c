// SPDX-License-Identifier: GPL-2.0-only
/*
 * A poll that is over is on neither of its file's wait queues any more.
 *
 * Whichever way it ended, bystanders then get the memory of the request, and the
 * file fires both queues.  What was left on a queue shows as a bystander that
 * completes, or as a crash in the walk of the queue.
 *
 * Kernels without the aio-poll series refuse this: io_submit: EINVAL.
 */
#include "child.h"
#include "aio.h"

/* With @fd empty: fire the queue for data, then the one for room. */
static void fire_both(int fd)
{
	fill(fd);
	drain(fd);
}

static void nothing_is_left(int fd)
{
	struct bystanders by;

	bystanders_submit(&by);
	fire_both(fd);
	EXPECT_UNDISTURBED(&by);
	fire_both(fd);
}

static void after_data_completed_it(void)
{
	struct aio_batch batch;
	int fd = make_fifo();

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fd, POLLIN);
	aio_batch_submit(&batch);
	put(fd);
	aio_batch_collect(&batch);
	drain(fd);
	nothing_is_left(fd);
	EXPECT_NO_EVENT(batch.ctx);
}

static void after_room_completed_it(void)
{
	struct aio_batch batch;
	int fd = make_fifo();

	fill(fd);
	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fd, POLLOUT);
	aio_batch_submit(&batch);
	drain(fd);
	aio_batch_collect(&batch);
	nothing_is_left(fd);
	EXPECT_NO_EVENT(batch.ctx);
}

static void after_cancel(void)
{
	struct aio_batch batch;
	int fd = make_fifo(), i;

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fd, POLLIN);
	aio_batch_submit(&batch);
	for (i = 0; i < AIO_BATCH; i++)
		EXPECT_EQ(aio_cancel_iocb(batch.ctx, &batch.iocb[i]), -EINPROGRESS);
	aio_batch_collect(&batch);
	nothing_is_left(fd);
	EXPECT_NO_EVENT(batch.ctx);
}

static void after_io_destroy(void)
{
	struct aio_batch batch;
	int fd = make_fifo();

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fd, POLLIN);
	aio_batch_submit(&batch);
	ASSERT_OK(io_destroy(batch.ctx));
	nothing_is_left(fd);
}

static void poll_and_exit(void *arg)
{
	struct aio_batch batch;

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), *(int *)arg, POLLIN);
	aio_batch_submit(&batch);
}

static void after_exit(void)
{
	int fd = make_fifo();

	ASSERT_EQ(in_child(poll_and_exit, &fd), 0);
	nothing_is_left(fd);
}

static void after_the_other_side_hung_up(void)
{
	struct aio_batch batch;
	struct bystanders by;
	int master, slave;

	make_pty(&master, &slave);
	aio_batch_prep(&batch, aio_setup(AIO_BATCH), slave, POLLIN);
	aio_batch_submit(&batch);
	ktap_close_now(master);
	aio_batch_collect(&batch);
	bystanders_submit(&by);
	/* The tty goes, with both its queues. */
	ktap_close_now(slave);
	EXPECT_UNDISTURBED(&by);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(after_data_completed_it),
	KTAP_CASE(after_room_completed_it),
	KTAP_CASE(after_cancel),
	KTAP_CASE(after_io_destroy),
	KTAP_CASE(after_exit),
	KTAP_CASE(after_the_other_side_hung_up),
};

KTAP_MAIN(cases)
