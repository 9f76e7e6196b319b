// SPDX-License-Identifier: GPL-2.0-only
/*
 * A context takes as many requests as it was set up for, and some more, before
 * io_submit() says EAGAIN; once their events are fetched it takes them again.
 *
 * The kernel keeps part of the room on each CPU: what it gives back there must
 * be found again.
 */
#include "aio.h"

#define NR_EVENTS	8
#define NR_MAX		4096		/* far more than the ring's page has room for */

static struct iocb iocbs[NR_MAX];

static int submit_until_full(aio_context_t ctx, int fd)
{
	int i, err = 0;

	for (i = 0; i < NR_MAX; i++) {
		aio_prep_poll(&iocbs[i], fd, POLLIN);
		err = aio_submit(ctx, &iocbs[i]);
		if (err)
			break;
	}
	EXPECT_EQ(err, -EAGAIN);
	EXPECT(i >= NR_EVENTS);
	return i;
}

static void fetch_all(aio_context_t ctx, int nr)
{
	struct io_event events[AIO_BATCH];
	int got, sum = 0;

	do {
		got = aio_wait(ctx, 1, AIO_BATCH, events, AIO_EVENT_TIMEOUT_MS);
		sum += got;
	} while (got && sum < nr);
	EXPECT_EQ(sum, nr);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

static void with_pending_requests(void)
{
	aio_context_t ctx = aio_setup(NR_EVENTS);
	int round, nr, fd = make_eventfd(0);

	for (round = 0; round < 20 && !ktap.case_failed; round++) {
		nr = submit_until_full(ctx, fd);
		put(fd);
		fetch_all(ctx, nr);
		drain(fd);
	}
}

/* Requests that are complete take room until their events are fetched. */
static void with_events(void)
{
	aio_context_t ctx = aio_setup(NR_EVENTS);
	int round, fd = make_eventfd(1);

	for (round = 0; round < 20 && !ktap.case_failed; round++)
		fetch_all(ctx, submit_until_full(ctx, fd));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(with_pending_requests),
	KTAP_CASE(with_events),
};

KTAP_MAIN(cases)
