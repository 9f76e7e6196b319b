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

static atomic_bool woken_in_vain;
static int64_t second_delay_ns;

/* Wake in vain, and leave the worker much to look at; then wake in earnest. */
static void wake_twice(void *data)
{
	struct subject *subject = data;
	int64_t until;

	epoll_make_stale(subject);
	woken_in_vain = true;
	until = now_ns() + second_delay_ns;
	while (now_ns() < until)
		;
	put(subject->other);
}

static void set_policy(uintptr_t policy)
{
	struct sched_param param = {
		.sched_priority = sched_get_priority_min(policy),
	};

	/* Without the right to, the race is only met less often. */
	sched_setscheduler(0, policy, &param);
}

/*
 * The first wake-up meets the submitter and sends the request to the worker; the
 * second one is to meet the worker while it looks.  The worker runs on this CPU:
 * with real-time priority we keep it from starting before there is nothing to
 * see for it.
 */
static void epoll_takes_long_to_look_again(void)
{
	struct subject *subject = slow_epoll_subject(make_eventfd(0));
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	struct race race;
	int64_t deadline;

	subject->fire = wake_twice;
	race = race_begin(subject, 100);
	set_policy(SCHED_FIFO);
	ktap_defer(set_policy, SCHED_OTHER);
	while (stress_goes_on(&race.stress)) {
		woken_in_vain = false;
		second_delay_ns = race.span_ns * (race.stress.round * 11 % 32) / 16;
		race_go(&race);
		aio_poll(ctx, &iocb, subject->fd, POLLIN);
		race.span_ns += (now_ns() - race.began - race.span_ns) / 8;
		/* Not for ever: with one CPU it waits for us to sleep. */
		deadline = now_ns() + 10 * race.span_ns;
		while (!woken_in_vain && now_ns() < deadline)
			;
		EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
		KTAP_HERE("waiting for the racing thread");
		while (race.racer->done != race.racer->go)
			usleep(10);
		EXPECT_EQ(aio_pending_events(ctx), 0);
		if (!race_round_ok(&race))
			return;
		subject->reset(subject);
	}
	EXPECT_NO_EVENT(ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(room_comes_while_it_looks),
	KTAP_CASE(epoll_takes_long_to_look_again),
};
KTAP_MAIN(cases)
