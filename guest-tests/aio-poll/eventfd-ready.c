// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOCB_CMD_POLL of eventfds and timerfds: counters that are ready while not
 * zero, woken by another task or from a hard interrupt.
 */
#include <sys/timerfd.h>
#include "aio.h"

static void count_wakes_a_reader(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_eventfd(0);
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_NO_EVENT(ctx);
	put(fd);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
	put(fd);
	EXPECT_NO_EVENT(ctx);
}

static void room_wakes_a_writer(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_eventfd(UINT64_MAX - 1);
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLOUT);
	EXPECT_NO_EVENT(ctx);
	drain(fd);
	EXPECT_EVENT(ctx, &iocb, POLLOUT, POLLERR);
}

static void both_at_once_is_one_event(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_eventfd(1);
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN | POLLOUT);
	EXPECT_EQ(aio_event(ctx, &iocb), POLLIN | POLLOUT);
	EXPECT_NO_EVENT(ctx);
}

static void timer_wakes_from_its_interrupt(void)
{
	struct itimerspec in_1ms = { .it_value.tv_nsec = 1000000 };
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fd;

	fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd < 0 && errno == ENOSYS)
		ktap_skip("no timerfds here: CONFIG_TIMERFD");
	ASSERT_OK(fd);
	keep_fd(fd);
	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_NO_EVENT(ctx);
	ASSERT_OK(timerfd_settime(fd, 0, &in_1ms, NULL));
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(count_wakes_a_reader),
	KTAP_CASE(room_wakes_a_writer),
	KTAP_CASE(both_at_once_is_one_event),
	KTAP_CASE(timer_wakes_from_its_interrupt),
};

KTAP_MAIN(cases)
