// SPDX-License-Identifier: GPL-2.0-only
/*
 * The array of iovecs is the caller's again when io_submit() returns, though the
 * request goes on: with few segments, which the kernel had on its stack, with
 * many, and with one.
 */
#include "parked.h"

#define MAX_SEGMENTS	64

static char buf[4 * MAX_SEGMENTS], other[4096];

static void read_into(int segments)
{
	aio_context_t ctx = aio_setup(1);
	struct iovec iov[MAX_SEGMENTS];
	struct iocb iocb;
	int i, fds[2];

	make_blocking_pipe(fds);
	memset(buf, 0, sizeof(buf));
	memset(other, 'o', sizeof(other));
	for (i = 0; i < segments; i++)
		iov[i] = (struct iovec){ buf + 4 * i, 4 };
	aio_prep_rw(&iocb, IOCB_CMD_PREADV, fds[0], iov, segments, 0);
	submit(ctx, &iocb);
	for (i = 0; i < segments; i++)
		iov[i] = (struct iovec){ other, sizeof(other) };
	/* This goes by way of the same place on the kernel's stack. */
	ASSERT_EQ(writev(fds[1], iov, 1), sizeof(other));
	EXPECT_EQ(aio_event(ctx, &iocb), 4 * segments);
	EXPECT(all_are(buf, 'o', 4 * segments));
}

static void one_segment(void)
{
	read_into(1);
}

static void few_segments(void)
{
	read_into(5);
}

static void many_segments(void)
{
	read_into(MAX_SEGMENTS);
}

static void writes_go_on_from_the_old_one(void)
{
	static char out[2][200000], in[400000];
	struct iovec iov[2] = { { out[0], 200000 }, { out[1], 200000 } };
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	memset(out[0], 'a', 200000);
	memset(out[1], 'b', 200000);
	aio_prep_rw(&iocb, IOCB_CMD_PWRITEV, fds[1], iov, 2, 0);
	submit(ctx, &iocb);
	iov[0] = iov[1] = (struct iovec){ other, 1 };
	read_all(fds[0], in, sizeof(in));
	EXPECT_EQ(aio_event(ctx, &iocb), sizeof(in));
	EXPECT(all_are(in, 'a', 200000) && all_are(in + 200000, 'b', 200000));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(one_segment),
	KTAP_CASE(few_segments),
	KTAP_CASE(many_segments),
	KTAP_CASE(writes_go_on_from_the_old_one),
};

KTAP_MAIN(cases)
