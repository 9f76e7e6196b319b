// SPDX-License-Identifier: GPL-2.0-only
/* A read is short only where the file ends, and it gives 0 from there on. */
#include "reads.h"

#define SIZE	(3 * PAGE + 123)

static int cold_short_file(void)
{
	int fd;

	cold_file();		/* for the file system */
	fd = make_pattern_file(MOUNT_POINT "/short", SIZE);
	evict(fd, SIZE);
	return fd;
}

static void read_at(off_t offset, size_t len, long want)
{
	int fd = cold_short_file();

	reads_begin();
	reads_add(fd, len, offset);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_EQ(reads.res[0], want);
	EXPECT_PATTERN(buf + offset, want, offset);
	EXPECT(all_are(buf + offset + want, 'x', len - want));
}

static void across_the_end(void)
{
	read_at(PAGE, 8 * PAGE, SIZE - PAGE);
}

static void the_last_byte(void)
{
	read_at(SIZE - 1, 1, 1);
}

static void nothing_from(off_t offset)
{
	int fd = cold_short_file();

	reads_begin();
	reads_add_op(IOCB_CMD_PREAD, fd, buf, PAGE, offset);
	reads_submit();
	reads_wait();
	EXPECT_EQ(reads.res[0], 0);
	EXPECT(all_are(buf, 'x', PAGE));
}

static void at_the_end(void)
{
	nothing_from(SIZE);
}

static void behind_the_end(void)
{
	nothing_from(SIZE + 5 * PAGE);
}

static void of_an_empty_file(void)
{
	int fd;

	cold_file();		/* for the file system */
	fd = make_pattern_file(MOUNT_POINT "/empty", 0);
	reads_begin();
	reads_add(fd, PAGE, 0);
	reads_submit();
	reads_wait();
	EXPECT_EQ(reads.res[0], 0);
}

/* A hole is read without the disk. */
static void of_a_hole(void)
{
	int fd;

	cold_file();		/* for the file system */
	fd = make_pattern_file(MOUNT_POINT "/hole", 0);
	ASSERT_OK(ftruncate(fd, MIB));
	reads_begin();
	reads_add(fd, 2 * MIB, 0);
	reads_submit();
	reads_wait();
	EXPECT_EQ(reads.res[0], MIB);
	EXPECT(all_are(buf, 0, MIB));
	EXPECT(all_are(buf + MIB, 'x', MIB));
}

/* What it gives then is the file as it was at some moment, and it does come. */
static void that_is_cut_meanwhile(void)
{
	int fd;

	cold_file();		/* for the file system */
	fd = make_pattern_file(MOUNT_POINT "/cut", MIB);
	evict(fd, MIB);
	reads_begin();
	reads_add(fd, MIB, 0);
	keep_busy(BUSY_MIB);
	reads_submit();
	ASSERT_OK(ftruncate(fd, PAGE));
	reads_wait();
	EXPECT(reads.res[0] >= 0 && reads.res[0] <= MIB);
	EXPECT_PATTERN(buf, reads.res[0], 0);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(across_the_end),
	KTAP_CASE(the_last_byte),
	KTAP_CASE(at_the_end),
	KTAP_CASE(behind_the_end),
	KTAP_CASE(of_an_empty_file),
	KTAP_CASE(of_a_hole),
	KTAP_CASE(that_is_cut_meanwhile),
};

SLOW_MAIN(cases)
