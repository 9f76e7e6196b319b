// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_cancel() of polls.
 *
 * It answers EINPROGRESS, never 0, and the event of the cancelled poll arrives
 * in the ring like any other, with no event bits.  A poll can be cancelled once,
 * and not after it completed.
 */
#include "aio.h"

static void pending_poll_gets_its_event(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_eventfd(0);
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
	put(fd);
	EXPECT_NO_EVENT(ctx);
}

static void twice_is_refused(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_eventfd(0);
	struct bystanders by;
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	bystanders_submit(&by);
	put(fd);
	EXPECT_NO_EVENT(ctx);
	EXPECT_UNDISTURBED(&by);
}

static void unknown_iocb_is_refused(void)
{
	aio_context_t ctx = aio_setup(2);
	int fd = make_eventfd(0);
	struct iocb pending, never;

	aio_poll(ctx, &pending, fd, POLLIN);
	aio_prep_poll(&never, fd, POLLIN);
	EXPECT_EQ(aio_cancel_iocb(ctx, &never), -EINVAL);
	EXPECT_EQ(aio_cancel_iocb(ctx, NULL), -EFAULT);
	EXPECT_EQ(aio_cancel_iocb(aio_setup(1), &pending), -EINVAL);
	EXPECT_NO_EVENT(ctx);
	put(fd);
	EXPECT_EVENT(ctx, &pending, POLLIN, POLLERR);
}

static void completed_poll_is_refused(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_eventfd(0);
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	put(fd);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
	EXPECT_NO_EVENT(ctx);
}

static void others_of_the_file_go_on(void)
{
	aio_context_t ctx = aio_setup(3);
	int fd = make_eventfd(0);
	struct iocb first, middle, last;

	aio_poll(ctx, &first, fd, POLLIN);
	aio_poll(ctx, &middle, fd, POLLIN);
	aio_poll(ctx, &last, fd, POLLIN);
	EXPECT_EQ(aio_cancel_iocb(ctx, &middle), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &middle), 0);
	EXPECT_EQ(aio_cancel_iocb(ctx, &last), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &last), 0);
	EXPECT_NO_EVENT(ctx);
	put(fd);
	EXPECT_EVENT(ctx, &first, POLLIN, POLLERR);
	EXPECT_NO_EVENT(ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pending_poll_gets_its_event),
	KTAP_CASE(twice_is_refused),
	KTAP_CASE(unknown_iocb_is_refused),
	KTAP_CASE(completed_poll_is_refused),
	KTAP_CASE(others_of_the_file_go_on),
};

KTAP_MAIN(cases)
