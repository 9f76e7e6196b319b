// SPDX-License-Identifier: GPL-2.0-only
/*
 * What io_getevents() refuses, with which error, and that no event is lost by
 * that.
 */
#include "aio.h"

static struct timespec now;

/* A context with one event. */
static aio_context_t setup_with_event(struct iocb *iocb)
{
	aio_context_t ctx = aio_setup(1);

	aio_poll(ctx, iocb, make_eventfd(1), POLLIN);
	return ctx;
}

static void refused(aio_context_t ctx, long min, long nr, int want)
{
	struct io_event events[4];

	EXPECT_EQ(io_getevents(ctx, min, nr, events, &now), -1);
	EXPECT_EQ(errno, want);
}

static void numbers_that_make_no_sense(void)
{
	struct iocb iocb;
	aio_context_t ctx = setup_with_event(&iocb);

	refused(ctx, 2, 1, EINVAL);
	refused(ctx, 1, 0, EINVAL);
	refused(ctx, -1, 1, EINVAL);
	refused(ctx, LONG_MIN, 1, EINVAL);
	refused(ctx, 0, -1, EINVAL);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
}

static void no_events_asked_for(void)
{
	struct iocb iocb;
	aio_context_t ctx = setup_with_event(&iocb);

	EXPECT_EQ(io_getevents(ctx, 0, 0, NULL, &now), 0);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
}

static void events_to_nowhere(void)
{
	struct iocb iocb;
	aio_context_t ctx = setup_with_event(&iocb);

	EXPECT_EQ(io_getevents(ctx, 1, 1, NULL, &now), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
}

static void timeout_from_nowhere(void)
{
	struct iocb iocb;
	struct io_event event;
	aio_context_t ctx = setup_with_event(&iocb);

	EXPECT_EQ(io_getevents(ctx, 1, 1, &event, (struct timespec *)8), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(numbers_that_make_no_sense),
	KTAP_CASE(no_events_asked_for),
	KTAP_CASE(events_to_nowhere),
	KTAP_CASE(timeout_from_nowhere),
};

KTAP_MAIN(cases)
