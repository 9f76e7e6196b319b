// SPDX-License-Identifier: GPL-2.0-only
/* What is no context, or none any more, is EINVAL to every call. */
#include "aio.h"
#include "child.h"

static void expect_no_context(aio_context_t ctx)
{
	struct iocb iocb, *iocbs[] = { &iocb };
	struct timespec now = { 0 };
	struct io_event event;
	int fd = make_eventfd(1);

	aio_prep_poll(&iocb, fd, POLLIN);
	EXPECT_EQ(io_submit(ctx, 1, iocbs), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(io_getevents(ctx, 0, 1, &event, &now), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(io_pgetevents(ctx, 0, 1, &event, &now, NULL), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
	EXPECT_EQ(io_destroy(ctx), -1);
	EXPECT_EQ(errno, EINVAL);
}

static void context_that_never_was(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	expect_no_context(0);
	expect_no_context(~0UL);
	/* A context's name is the address of its ring; these are not one. */
	expect_no_context((uintptr_t)page);
	memset(page, 0xff, sizeof(page));
	expect_no_context((uintptr_t)page);
}

static void destroyed_context(void)
{
	aio_context_t ctx = aio_setup(1);

	ASSERT_OK(io_destroy(ctx));
	expect_no_context(ctx);
}

static void destroy_in_a_child(void *data)
{
	expect_no_context(*(aio_context_t *)data);
}

/* A child has a copy of the memory, and none of the contexts. */
static void context_of_the_parent(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	EXPECT_EQ(in_child(destroy_in_a_child, &ctx), 0);
	aio_poll(ctx, &iocb, make_eventfd(1), POLLIN);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(context_that_never_was),
	KTAP_CASE(destroyed_context),
	KTAP_CASE(context_of_the_parent),
};

KTAP_MAIN(cases)
