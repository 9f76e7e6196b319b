// SPDX-License-Identifier: GPL-2.0-only
/* What io_cancel() can't cancel, and what it says to that. */
#include "aio.h"

static void request_never_submitted(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	aio_prep_poll(&iocb, make_eventfd(0), POLLIN);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
}

static void request_of_another_context(void)
{
	aio_context_t ctx = aio_setup(1), other = aio_setup(1);
	int fd = make_eventfd(0);
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_EQ(aio_cancel_iocb(other, &iocb), -EINVAL);
	put(fd);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
}

static void request_that_is_complete(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	aio_poll(ctx, &iocb, make_eventfd(1), POLLIN);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
}

/* The kernel's mark in the request, which must be as it was left. */
static void key_that_is_not_ours(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_eventfd(0);
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, POLLIN);
	iocb.aio_key++;
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	iocb.aio_key--;
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	aio_event(ctx, &iocb);
}

static void pointer_to_nowhere(void)
{
	aio_context_t ctx = aio_setup(1);

	EXPECT_EQ(aio_cancel_iocb(ctx, NULL), -EFAULT);
	EXPECT_EQ(aio_cancel_iocb(0, NULL), -EFAULT);
}

/* It is unused: the event comes through the ring. */
static void result_to_nowhere(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	aio_poll(ctx, &iocb, make_eventfd(0), POLLIN);
	EXPECT_EQ(syscall(__NR_io_cancel, ctx, &iocb, NULL), -1);
	EXPECT_EQ(errno, EINPROGRESS);
	aio_event(ctx, &iocb);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(request_never_submitted),
	KTAP_CASE(request_of_another_context),
	KTAP_CASE(request_that_is_complete),
	KTAP_CASE(key_that_is_not_ours),
	KTAP_CASE(pointer_to_nowhere),
	KTAP_CASE(result_to_nowhere),
};

KTAP_MAIN(cases)
