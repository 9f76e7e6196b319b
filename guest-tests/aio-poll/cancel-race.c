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

static const struct ktap_case cases[] = {
	KTAP_CASE(pipe_gets_data),
	KTAP_CASE(eventfd_counts),
	KTAP_CASE(socket_wakes_in_vain),
};

KTAP_MAIN(cases)
