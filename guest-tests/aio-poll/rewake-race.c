// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file becomes ready while the kernel's worker has a look at it.
 *
 * A wake-up with no event mask, or one that comes at a bad moment, sends the
 * request to a worker, which asks ->poll() again.  If that finds nothing and the
 * real wake-up comes just then, before the worker has let go of the request, the
 * worker must look once more: there will be no other wake-up.
 */
#include "subjects.h"

static void drain_other(void *data)
{
	struct subject *subject = data;

	drain(subject->other);
}

/* A socket that is full with one packet, so that there is only one wake-up. */
static void fill_once(struct subject *subject)
{
	static const char packet[2000];

	ASSERT_EQ(write(subject->fd, packet, sizeof(packet)), sizeof(packet));
	ASSERT_EQ(ready_now(subject->fd, POLLOUT), 0);
}

static void room_comes_while_it_looks(void)
{
	static struct subject subject = {
		.events = POLLOUT, .fire = drain_other, .reset = fill_once,
	};
	struct race race;
	struct aio_batch batch;
	int fds[2], smallest = 1;

	make_socketpair(SOCK_STREAM, fds);
	ASSERT_OK(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest)));
	subject.fd = fds[0];
	subject.other = fds[1];
	race = race_begin(&subject, 100);
	aio_batch_prep(&batch, aio_setup(AIO_BATCH), subject.fd, subject.events);
	while (stress_goes_on(&race.stress)) {
		fill_once(&subject);
		aio_batch_submit(&batch);
		race_go(&race);
		/* Wakes, with no mask, and is no reason for POLLOUT. */
		shutdown(subject.other, SHUT_WR);
		/* Sleeping here is what lets the worker run on this CPU. */
		aio_batch_collect(&batch);
		race_wait(&race);
		EXPECT_EQ(aio_pending_events(batch.ctx), 0);
		if (!race_round_ok(&race))
			return;
	}
	EXPECT_NO_EVENT(batch.ctx);
}

/*
 * One timer expires while io_submit() looks at the epoll instance, which sends
 * the request to the worker; the other one is to expire while the worker looks,
 * and is the one to be told of.  All on one CPU: with real-time priority we keep
 * the worker from starting before the first timer is read, and before there are
 * many files for it to look at.
 */
static void epoll_takes_long_to_look_again(void)
{
	int first = make_timerfd(), second = make_timerfd(), many;
	struct subject *subject = slow_epoll_subject(second);
	struct stress stress = stress_begin(200);
	int64_t began, span_ns = 20000;
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	epoll_watch(subject->fd, first);
	many = epoll_watch_many(subject->fd);
	hold_workers();
	while (stress_goes_on(&stress)) {
		timer_start(first, 1 + stress_delay_ns(&stress, span_ns));
		began = now_ns();
		aio_poll(ctx, &iocb, subject->fd, POLLIN);
		span_ns += (now_ns() - began - span_ns) / 8;
		timer_stop(first);
		make_stale(many);
		timer_start(second, 1 + span_ns * (stress.round * 11 % 32) / 12);
		EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
		timer_stop(second);
		EXPECT_EQ(aio_pending_events(ctx), 0);
		if (ktap.case_failed)
			break;
		make_stale(subject->more);
	}
	EXPECT_NO_EVENT(ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(room_comes_while_it_looks),
	KTAP_CASE(epoll_takes_long_to_look_again),
};

KTAP_MAIN(cases)
