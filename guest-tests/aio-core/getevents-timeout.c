// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_getevents() waits for min_nr events, no longer than the timeout, and then
 * gives what there is.
 */
#include "aio.h"
#include "child.h"

#define WAIT_MS	30

/* Call with WAIT_MS; the milliseconds that it took. */
static int timed_getevents(aio_context_t ctx, long min, long nr, int want)
{
	struct timespec timeout = { .tv_nsec = WAIT_MS * 1000000 };
	struct io_event events[4];
	int64_t began = now_ns();

	EXPECT_EQ(io_getevents(ctx, min, nr, events, &timeout), want);
	return (now_ns() - began) / 1000000;
}

static void nothing_comes(void)
{
	EXPECT(timed_getevents(aio_setup(1), 1, 1, 0) >= WAIT_MS);
}

static void nothing_is_waited_for(void)
{
	struct timespec timeout = { .tv_sec = 3600 };
	struct io_event event;

	/* An hour, if the kernel gets it wrong: the case's alarm ends that. */
	EXPECT_EQ(io_getevents(aio_setup(1), 0, 1, &event, &timeout), 0);
}

static void no_time(void)
{
	struct timespec none = { 0 };
	struct io_event event;

	EXPECT_EQ(io_getevents(aio_setup(1), 1, 1, &event, &none), 0);
}

static void fewer_come(void)
{
	aio_context_t ctx = aio_setup(2);
	struct iocb iocb;

	aio_poll(ctx, &iocb, make_eventfd(1), POLLIN);
	EXPECT(timed_getevents(ctx, 2, 2, 1) >= WAIT_MS);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

/* The most that is asked for, however many there are. */
static void more_are_there(void)
{
	aio_context_t ctx = aio_setup(3);
	struct iocb iocb[3];
	int i, fd = make_eventfd(1);

	for (i = 0; i < 3; i++)
		aio_poll(ctx, &iocb[i], fd, POLLIN);
	timed_getevents(ctx, 1, 2, 2);
	timed_getevents(ctx, 1, 2, 1);
}

static void put_twice(void *data)
{
	int *fds = data;

	put(fds[0]);
	put(fds[1]);
}

/* No timeout: until they are there, which another process sees to. */
static void until_they_are_there(void)
{
	aio_context_t ctx = aio_setup(2);
	int fds[] = { make_eventfd(0), make_eventfd(0) };
	struct io_event events[2];
	struct iocb iocb[2];

	aio_poll(ctx, &iocb[0], fds[0], POLLIN);
	aio_poll(ctx, &iocb[1], fds[1], POLLIN);
	EXPECT_EQ(in_child(put_twice, fds), 0);
	EXPECT_EQ(io_getevents(ctx, 2, 2, events, NULL), 2);
	EXPECT(events[0].obj != events[1].obj);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(nothing_comes),
	KTAP_CASE(nothing_is_waited_for),
	KTAP_CASE(no_time),
	KTAP_CASE(fewer_come),
	KTAP_CASE(more_are_there),
	KTAP_CASE(until_they_are_there),
};

KTAP_MAIN(cases)
