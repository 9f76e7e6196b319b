// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_cancel() of requests that the driver can cancel (kiocb_set_cancel_fn()).
 *
 * It answers EINPROGRESS when the driver says that it will be done.  The event
 * comes through the ring like any other, once, with the driver's answer.
 */
#include "chardev.h"

static void pending_read(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;
	char data[4];

	chardev_read(ctx, &iocb, fd, data, sizeof(data), NEVER);
	ASSERT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), -ECANCELED);
	EXPECT_EQ(chardev_cancelled(), 1);
	EXPECT_EQ(chardev_pending(), 0);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

static void pending_write_leaves_nothing(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;
	char data[4];

	chardev_write(ctx, &iocb, fd, "data", 4, NEVER);
	ASSERT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), -ECANCELED);
	EXPECT_EQ(read(fd, data, sizeof(data)), 0);
}

static void twice_is_refused(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;
	char data[4];

	chardev_read(ctx, &iocb, fd, data, sizeof(data), NEVER);
	ASSERT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	EXPECT_EQ(aio_event(ctx, &iocb), -ECANCELED);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	EXPECT_EQ(chardev_cancelled(), 1);
}

static void completed_request_is_refused(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;

	chardev_write(ctx, &iocb, fd, "data", 4, 0);
	EXPECT_EQ(aio_event(ctx, &iocb), 4);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	EXPECT_EQ(chardev_cancelled(), 0);
}

static void others_go_on(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(3);
	struct iocb first, middle, last;

	chardev_write(ctx, &first, fd, "a", 1, 200 * MS);
	chardev_write(ctx, &middle, fd, "b", 1, 200 * MS);
	chardev_write(ctx, &last, fd, "c", 1, 200 * MS);
	if (aio_cancel_iocb(ctx, &middle) != -EINPROGRESS)
		ktap_skip("this guest is too slow: 200 ms were over");
	EXPECT_EQ(aio_event(ctx, &middle), -ECANCELED);
	EXPECT_EQ(aio_event(ctx, &first), 1);
	EXPECT_EQ(aio_event(ctx, &last), 1);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pending_read),
	KTAP_CASE(pending_write_leaves_nothing),
	KTAP_CASE(twice_is_refused),
	KTAP_CASE(completed_request_is_refused),
	KTAP_CASE(others_go_on),
};

KTAP_MAIN(cases)
