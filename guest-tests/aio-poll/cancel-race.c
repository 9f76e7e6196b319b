// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file becomes ready, or just wakes its waiters, while its polls are being
 * cancelled.
 *
 * Both sides want to complete the request, and one may: the io_cancel() that
 * says EINPROGRESS, or the file, and then io_cancel() says EINVAL.  A second
 * completion falls on whatever request has got the memory since, so there are
 * bystanders.
 */
#include "subjects.h"

static void pipe_gets_data(void)
{
	race_cancel(pipe_subject());
}

static void eventfd_counts(void)
{
	race_cancel(loop_subject(make_eventfd(0)));
}

static void shut_again(void *data)
{
	struct subject *subject = data;
	int i;

	for (i = 0; i < 4; i++)
		shutdown(subject->other, SHUT_WR);
}

static void nothing(struct subject *subject)
{
	(void)subject;
}

/*
 * Shutting one direction of a socket wakes with no event mask, as often as it is
 * done, and there is still no room in the other direction: the kernel's worker
 * runs for each request, in vain, while it is being cancelled.
 */
static void socket_wakes_in_vain(void)
{
	static struct subject subject = {
		.events = POLLOUT, .fire = shut_again, .reset = nothing,
	};
	int fds[2];

	make_socketpair(SOCK_STREAM, fds);
	fill(fds[0]);
	subject.fd = fds[0];
	subject.other = fds[1];
	race_cancel(&subject);
}

/*
 * No race: the same, with the worker held up until all are cancelled.  Each is on
 * its way to the worker then, which has to complete it though there is no room.
 */
static void cancelled_before_the_worker_looks(void)
{
	struct bystanders by;
	struct aio_batch batch;
	int fds[2], round, i;

	make_socketpair(SOCK_STREAM, fds);
	fill(fds[0]);
	bystanders_submit(&by);
	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fds[0], POLLOUT);
	hold_workers();
	for (round = 0; round < 10 && !ktap.case_failed; round++) {
		aio_batch_submit(&batch);
		shutdown(fds[1], SHUT_WR);
		for (i = 0; i < AIO_BATCH; i++)
			EXPECT_EQ(aio_cancel_iocb(batch.ctx, &batch.iocb[i]), -EINPROGRESS);
		aio_batch_collect(&batch);
		for (i = 0; i < AIO_BATCH; i++)
			EXPECT_EQ(batch.res[i], 0);
		EXPECT_EQ(aio_pending_events(batch.ctx), 0);
	}
	EXPECT_NO_EVENT(batch.ctx);
	EXPECT_UNDISTURBED(&by);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(cancelled_before_the_worker_looks),
	KTAP_CASE(pipe_gets_data),
	KTAP_CASE(eventfd_counts),
	KTAP_CASE(socket_wakes_in_vain),
};

KTAP_MAIN(cases)
