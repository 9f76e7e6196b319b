// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file becomes ready while io_submit() is polling it.
 *
 * The wake-up may come when ->poll() has registered the request but not looked
 * yet, has looked and found nothing, or when the request has been let go: every
 * time there must be one event, not none (a wake-up lost while the submitter
 * still owns the request) and not two.  A test that waits before it writes never
 * sees any of it.
 */
#include "subjects.h"

static void pipe_gets_data(void)
{
	race_submit(pipe_subject());
}

static void eventfd_counts(void)
{
	race_submit(loop_subject(make_eventfd(0)));
}

static void epoll_takes_long_to_look(void)
{
	race_submit(slow_epoll_subject(make_eventfd(0)));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pipe_gets_data),
	KTAP_CASE(eventfd_counts),
	KTAP_CASE(epoll_takes_long_to_look),
};

KTAP_MAIN(cases)
