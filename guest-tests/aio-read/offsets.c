// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads that begin and end anywhere get the bytes of their place, and write
 * nothing beside their buffer.
 */
#include "reads.h"

struct range {
	off_t offset;
	size_t len;
};

static void expect_rest_untouched(void)
{
	size_t at = 0, i;
	int n;

	/* The reads were added in the order of their places. */
	for (n = 0; n <= reads.nr; n++) {
		size_t end = n < reads.nr ? (size_t)reads.iocb[n].aio_offset : sizeof(buf);

		for (i = at; i < end && buf[i] == 'x'; i++)
			;
		if (i < end)
			ktap_fail("byte %zu was written, which nobody asked for", i);
		if (n < reads.nr)
			at = end + reads.iocb[n].aio_nbytes;
	}
}

static void read_ranges(const struct range *ranges, int nr)
{
	int i, fd = cold_file();

	reads_begin();
	for (i = 0; i < nr; i++)
		reads_add(fd, ranges[i].len, ranges[i].offset);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
	KTAP_HERE("comparing");
	expect_rest_untouched();
}

static void unaligned(void)
{
	static const struct range ranges[] = {
		{ 1, 1 },
		{ 4095, 2 },
		{ 3 * PAGE + 7, PAGE },
		{ 100001, 10007 },
		{ 128 * KIB - 1, 128 * KIB + 2 },
		{ MIB + 513, 511 },
		{ 2 * MIB - 4095, 300001 },
	};

	read_ranges(ranges, ARRAY_SIZE(ranges));
}

static void backwards(void)
{
	struct range range;
	int i, fd = cold_file();

	reads_begin();
	for (i = 0; i < 16; i++) {
		range = (struct range){ (16 - i) * 10 * PAGE - 5, 2 * PAGE };
		reads_add(fd, range.len, range.offset);
	}
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

/* Each in the window that was read ahead for the one before it. */
static void overlapping(void)
{
	int i, fd = cold_file();

	reads_begin();
	for (i = 0; i < 16; i++)
		reads_add_op(IOCB_CMD_PREAD, fd, buf + i * 128 * KIB, 100 * KIB + i, i * 777);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

static const struct ktap_case cases[] = {
	KTAP_CASE(unaligned),
	KTAP_CASE(backwards),
	KTAP_CASE(overlapping),
};

SLOW_MAIN(cases)
