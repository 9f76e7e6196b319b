// SPDX-License-Identifier: GPL-2.0-only
/*
 * A timer's interrupt completes polls on the CPU that is submitting, or
 * cancelling, them.
 *
 * This is the race that a single CPU has.  The interrupt comes between any two
 * instructions: a lock it needs that is held with interrupts on is a deadlock,
 * and a wake-up that finds the request half submitted must not get lost.
 */
#include "subjects.h"

static void timer_expires_during_submit(void)
{
	race_submit(timer_subject());
}

static void timer_expires_during_cancel(void)
{
	race_cancel(timer_subject());
}

static void timer_stop_and_make_stale(struct subject *subject)
{
	timer_stop(subject->other);
	make_stale(subject->more);
}

/* The interrupt comes while ->poll() is at work, most of the time. */
static void timer_expires_while_epoll_looks(void)
{
	struct subject *subject = slow_epoll_subject(make_timerfd());

	subject->fire = NULL;
	subject->fire_in = timer_fire_in;
	subject->reset = timer_stop_and_make_stale;
	race_submit(subject);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(timer_expires_during_submit),
	KTAP_CASE(timer_expires_during_cancel),
	KTAP_CASE(timer_expires_while_epoll_looks),
};

KTAP_MAIN(cases)
