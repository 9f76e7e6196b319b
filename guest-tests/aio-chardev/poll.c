// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOCB_CMD_POLL of a driver whose ->poll() asks for one to three wait queues, for
 * each of them twice, and is woken by the last one alone.
 *
 * One head is one queue however often it is asked for, and three are more than
 * AIO knows.  Kernels without the aio-poll series count what is asked for and
 * refuse all of this: io_submit: EINVAL.
 */
#include "chardev.h"

static int load_with_queues(unsigned int nr)
{
	int fd = chardev_load();

	module_param_set(CHARDEV, "poll_queues", nr);
	return fd;
}

static void expect_one_event(int fd)
{
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;
	int i;

	for (i = 0; i < 10; i++) {
		aio_poll(ctx, &iocb, fd, POLLIN);
		EXPECT_NO_EVENT(ctx);
		put(fd);
		EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
		put(fd);
		EXPECT_NO_EVENT(ctx);
		drain(fd);
	}
}

static void one_queue_asked_for_twice(void)
{
	expect_one_event(load_with_queues(1));
}

static void two_queues_asked_for_twice(void)
{
	expect_one_event(load_with_queues(2));
}

static void cancelled_on_queues_asked_for_twice(void)
{
	int fd = load_with_queues(2);
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
	put(fd);
	EXPECT_NO_EVENT(ctx);
}

/* Refused, and off the queues that it was on by then. */
static void three_queues_are_too_many(void)
{
	int fd = load_with_queues(3), i;
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;

	for (i = 0; i < 10; i++) {
		aio_prep_poll(&iocb, fd, POLLIN);
		EXPECT_EQ(aio_submit(ctx, &iocb), -EINVAL);
	}
	for (i = 1; i <= 3; i++) {
		module_param_set(CHARDEV, "poll_queues", i);
		put(fd);
	}
	EXPECT_NO_EVENT(ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(one_queue_asked_for_twice),
	KTAP_CASE(two_queues_asked_for_twice),
	KTAP_CASE(cancelled_on_queues_asked_for_twice),
	KTAP_CASE(three_queues_are_too_many),
};

KTAP_MAIN(cases)
