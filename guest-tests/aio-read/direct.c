// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads with O_DIRECT, which never waited in io_submit(), are as they were.  So
 * these measure as the others do, and pass on every kernel.
 */
#include "reads.h"

static void of_some_megabytes(void)
{
	int i, fd = cold_file_on(&ext4, O_DIRECT);

	reads_begin();
	for (i = 0; i < 4; i++)
		reads_add(fd, 512 * KIB, i * MIB);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
	EXPECT_EQ(cached_pages(fd, FILE_BYTES), 0);
}

static void into_vectors(void)
{
	static struct iovec iov[2];
	int fd = cold_file_on(&ext4, O_DIRECT);

	iov[0] = (struct iovec){ buf + PAGE, PAGE };
	iov[1] = (struct iovec){ buf + 5 * PAGE, 2 * PAGE };
	reads_begin();
	reads_add_op(IOCB_CMD_PREADV, fd, iov, 2, MIB);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_EQ(reads.res[0], 3 * PAGE);
	EXPECT_PATTERN(buf + PAGE, PAGE, MIB);
	EXPECT_PATTERN(buf + 5 * PAGE, 2 * PAGE, MIB + PAGE);
}

static void at_the_end(void)
{
	int fd = cold_file_on(&ext4, O_DIRECT);

	reads_begin();
	reads_add_op(IOCB_CMD_PREAD, fd, buf, 2 * PAGE, FILE_BYTES - PAGE);
	reads_add_op(IOCB_CMD_PREAD, fd, buf + 2 * PAGE, PAGE, FILE_BYTES);
	reads_submit();
	reads_wait();
	EXPECT_EQ(reads.res[0], PAGE);
	EXPECT_PATTERN(buf, PAGE, FILE_BYTES - PAGE);
	EXPECT_EQ(reads.res[1], 0);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(of_some_megabytes),
	KTAP_CASE(into_vectors),
	KTAP_CASE(at_the_end),
};

SLOW_MAIN(cases)
