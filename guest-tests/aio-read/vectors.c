// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads into many pieces of memory.  The array of iovecs is the caller's again
 * when io_submit() returns, though the read goes on: with one segment, with few,
 * which the kernel has on its stack, and with many.
 */
#include "reads.h"

#define MAX_SEGMENTS	1024
#define STEP		PAGE

static struct iovec iov[MAX_SEGMENTS], kept[MAX_SEGMENTS];
static char other[PAGE];

/* Odd lengths, some of them 0, in an order that is not that of memory. */
static size_t make_segments(int nr)
{
	size_t total = 0;
	int i;

	for (i = 0; i < nr; i++) {
		kept[i].iov_base = buf + (nr - 1 - i) * STEP + i % 13;
		kept[i].iov_len = i % 5 == 3 ? 0 : 1 + i * 211 % 1500;
		total += kept[i].iov_len;
	}
	memcpy(iov, kept, sizeof(iov));
	return total;
}

static void expect_segments(int nr, off_t offset)
{
	int i;

	for (i = 0; i < nr; i++) {
		EXPECT_PATTERN(kept[i].iov_base, kept[i].iov_len, offset);
		offset += kept[i].iov_len;
	}
}

static void read_into(int segments)
{
	off_t offset = 3 * PAGE + 77;
	int i, fd = cold_file();
	size_t total;

	reads_begin();
	total = make_segments(segments);
	memset(other, 'o', sizeof(other));
	reads_add_op(IOCB_CMD_PREADV, fd, iov, segments, offset);
	keep_busy(BUSY_MIB);
	reads_submit();
	for (i = 0; i < segments; i++)
		iov[i] = (struct iovec){ other, sizeof(other) };
	reads_wait();
	ASSERT_ASYNC();
	EXPECT_EQ(reads.res[0], total);
	expect_segments(segments, offset);
	EXPECT(all_are(other, 'o', sizeof(other)));
}

static void one_segment(void)
{
	read_into(1);
}

static void few_segments(void)
{
	read_into(7);
}

static void more_than_the_stack_has(void)
{
	read_into(9);
}

static void many_segments(void)
{
	read_into(MAX_SEGMENTS);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(one_segment),
	KTAP_CASE(few_segments),
	KTAP_CASE(more_than_the_stack_has),
	KTAP_CASE(many_segments),
};

SLOW_MAIN(cases)
