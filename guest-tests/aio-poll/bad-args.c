// SPDX-License-Identifier: GPL-2.0-only
/*
 * What IOCB_CMD_POLL refuses, with which error, and that a refused request costs
 * the context nothing.
 */
#include "aio.h"

/* Submit @iocb, which must give @want, over and over: no slot may get lost. */
static void refused(struct iocb *iocb, int want)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb good;
	int i, fd = make_eventfd(1);

	for (i = 0; i < 200; i++) {
		if (!EXPECT_EQ(aio_submit(ctx, iocb), want))
			return;
	}
	EXPECT_EQ(aio_pending_events(ctx), 0);
	aio_poll(ctx, &good, fd, POLLIN);
	EXPECT_EVENT(ctx, &good, POLLIN, POLLERR);
}

static void event_bits_beyond_sixteen(void)
{
	struct iocb iocb;

	aio_prep_poll(&iocb, make_eventfd(1), POLLIN | 0x10000);
	refused(&iocb, -EINVAL);
	iocb.aio_buf = POLLIN | 1ULL << 32;
	refused(&iocb, -EINVAL);
}

static void fields_that_mean_nothing_here(void)
{
	struct iocb iocb;
	int fd = make_eventfd(1);

	aio_prep_poll(&iocb, fd, POLLIN);
	iocb.aio_offset = 1;
	refused(&iocb, -EINVAL);
	aio_prep_poll(&iocb, fd, POLLIN);
	iocb.aio_nbytes = 1;
	refused(&iocb, -EINVAL);
	aio_prep_poll(&iocb, fd, POLLIN);
	iocb.aio_rw_flags = 1;
	refused(&iocb, -EINVAL);
	aio_prep_poll(&iocb, fd, POLLIN);
	iocb.aio_reserved2 = 1;
	refused(&iocb, -EINVAL);
}

static void no_such_file(void)
{
	struct iocb iocb;

	aio_prep_poll(&iocb, -1, POLLIN);
	refused(&iocb, -EBADF);
	aio_prep_poll(&iocb, keep_fd(ASSERT_OK(open("/", O_PATH | O_CLOEXEC))), POLLIN);
	refused(&iocb, -EBADF);
}

/* A file that is always ready has no queue to wait on for anything else. */
static void file_that_can_not_wait(void)
{
	struct iocb iocb;
	int fd = keep_fd(ASSERT_OK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));

	aio_prep_poll(&iocb, fd, POLLPRI);
	refused(&iocb, -EINVAL);
}

static void result_descriptor_that_is_none(void)
{
	struct iocb iocb;
	int fd = make_eventfd(1), fds[2];

	make_pipe(fds);
	aio_prep_poll(&iocb, fd, POLLIN);
	iocb.aio_flags = IOCB_FLAG_RESFD;
	iocb.aio_resfd = -1;
	refused(&iocb, -EBADF);
	iocb.aio_resfd = fds[1];
	refused(&iocb, -EINVAL);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(event_bits_beyond_sixteen),
	KTAP_CASE(fields_that_mean_nothing_here),
	KTAP_CASE(no_such_file),
	KTAP_CASE(file_that_can_not_wait),
	KTAP_CASE(result_descriptor_that_is_none),
};

KTAP_MAIN(cases)
