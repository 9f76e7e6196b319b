// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many polls at once: of one file, of many files, in one io_submit().  Each gets
 * the one event that is its own, whatever completes beside it.
 */
#include "aio.h"

static void one_wakeup_completes_all_of_a_file(void)
{
	struct aio_batch batch;
	int fd = make_eventfd(0);

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fd, POLLIN);
	aio_batch_submit(&batch);
	EXPECT_NO_EVENT(batch.ctx);
	put(fd);
	aio_batch_collect(&batch);
	EXPECT_NO_EVENT(batch.ctx);
}

static void each_mask_gets_its_own_wakeup(void)
{
	aio_context_t ctx = aio_setup(3);
	struct iocb in, out, hup;
	int fds[2];

	make_socketpair(SOCK_STREAM, fds);
	fill(fds[0]);
	aio_poll(ctx, &in, fds[0], POLLIN);
	aio_poll(ctx, &out, fds[0], POLLOUT);
	aio_poll(ctx, &hup, fds[0], 0);
	EXPECT_NO_EVENT(ctx);
	put(fds[1]);
	EXPECT_EVENT(ctx, &in, POLLIN, POLLHUP);
	EXPECT_NO_EVENT(ctx);
	drain(fds[1]);
	EXPECT_EVENT(ctx, &out, POLLOUT, POLLHUP);
	EXPECT_NO_EVENT(ctx);
	ktap_close_now(fds[1]);
	EXPECT_EVENT(ctx, &hup, POLLHUP, 0);
}

static void many_files_in_one_submit(void)
{
	aio_context_t ctx = aio_setup(AIO_BATCH);
	int fds[AIO_BATCH][2], i, n;
	struct aio_batch batch = { .ctx = ctx };

	for (i = 0; i < AIO_BATCH; i++) {
		make_pipe(fds[i]);
		aio_prep_poll(&batch.iocb[i], fds[i][0], POLLIN);
	}
	aio_batch_submit(&batch);
	EXPECT_NO_EVENT(ctx);
	for (i = 0; i < AIO_BATCH; i++) {
		n = i * 5 % AIO_BATCH;	/* in another order */
		put(fds[n][1]);
		EXPECT_EVENT(ctx, &batch.iocb[n], POLLIN, POLLHUP | POLLERR);
	}
	EXPECT_NO_EVENT(ctx);
}

static void a_bad_one_ends_the_submit(void)
{
	aio_context_t ctx = aio_setup(3);
	struct iocb first, bad, last;
	struct iocb *iocbs[] = { &first, &bad, &last };
	int fd = make_eventfd(0);

	aio_prep_poll(&first, fd, POLLIN);
	aio_prep_poll(&bad, -1, POLLIN);
	aio_prep_poll(&last, fd, POLLIN);
	EXPECT_EQ(io_submit(ctx, 3, iocbs), 1);
	put(fd);
	EXPECT_EVENT(ctx, &first, POLLIN, POLLERR);
	EXPECT_NO_EVENT(ctx);
}

static void events_wait_for_whoever_asks_later(void)
{
	struct io_event events[AIO_BATCH];
	struct aio_batch batch;
	int fd = make_eventfd(0);

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fd, POLLIN);
	aio_batch_submit(&batch);
	put(fd);
	/* Fewer than there are, then the rest. */
	EXPECT_EQ(aio_wait(batch.ctx, 3, 3, events, AIO_EVENT_TIMEOUT_MS), 3);
	EXPECT_EQ(aio_wait(batch.ctx, AIO_BATCH - 3, AIO_BATCH, events,
			   AIO_EVENT_TIMEOUT_MS), AIO_BATCH - 3);
	EXPECT_NO_EVENT(batch.ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(one_wakeup_completes_all_of_a_file),
	KTAP_CASE(each_mask_gets_its_own_wakeup),
	KTAP_CASE(many_files_in_one_submit),
	KTAP_CASE(a_bad_one_ends_the_submit),
	KTAP_CASE(events_wait_for_whoever_asks_later),
};

KTAP_MAIN(cases)
