/* SPDX-License-Identifier: GPL-2.0-only */
/* A neighbour: a little of all that the others do, and nothing left behind. */
#include "aio.h"

static void polls_and_reads(void)
{
	aio_context_t ctx = aio_setup(AIO_BATCH);
	int fds[2], eventfd = make_eventfd(0);
	struct iocb poll, read;
	char byte;

	make_pipe(fds);
	aio_prep_poll(&poll, fds[0], POLLIN);
	poll.aio_flags = IOCB_FLAG_RESFD;
	poll.aio_resfd = eventfd;
	ASSERT_EQ(aio_submit(ctx, &poll), 0);
	put(fds[1]);
	EXPECT_EQ(aio_event(ctx, &poll), POLLIN | POLLRDNORM);
	aio_prep_rw(&read, IOCB_CMD_PREAD, fds[0], &byte, 1, 0);
	ASSERT_EQ(aio_submit(ctx, &read), 0);
	EXPECT_EQ(aio_event(ctx, &read), 1);
	ASSERT_OK(io_destroy(ctx));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(polls_and_reads),
};

KTAP_MAIN(cases)
