// SPDX-License-Identifier: GPL-2.0-only
/* The same of the disk itself, read through the page cache. */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include "reads.h"

static int cold_disk(void)
{
	static bool written;
	int fd;

	unmount();
	fd = open_disk(O_RDWR);
	if (!written) {
		write_pattern(fd, FILE_BYTES);
		written = true;
	}
	evict(fd, FILE_BYTES);
	return fd;
}

static void four_of_a_mebibyte(void)
{
	int i, fd = cold_disk();

	reads_begin();
	for (i = 0; i < 4; i++)
		reads_add(fd, MIB, i * MIB);
	keep_busy(2);
	reads_do();
	EXPECT_ALL_READ();
}

static void pieces(void)
{
	int i, fd = cold_disk();

	reads_begin();
	for (i = 0; i < 8; i++)
		reads_add(fd, 1 + i * 1000, (i + 1) * 100003);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

static void across_the_end(void)
{
	int i, fd = cold_disk();
	uint64_t size;

	ASSERT_OK(ioctl(fd, BLKGETSIZE64, &size));
	reads_begin();
	for (i = 0; i < PAGE; i++)
		buf[i] = byte_at(size - PAGE + i);
	ASSERT_EQ(pwrite(fd, buf, PAGE, size - PAGE), PAGE);
	memset(buf, 'x', 2 * PAGE);
	evict(fd, FILE_BYTES);
	reads_add_op(IOCB_CMD_PREAD, fd, buf, 2 * PAGE, size - 1000);
	reads_add_op(IOCB_CMD_PREAD, fd, buf + MIB, PAGE, size);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_EQ(reads.res[0], 1000);
	EXPECT_PATTERN(buf, 1000, size - 1000);
	EXPECT(all_are(buf + 1000, 'x', PAGE));
	EXPECT_EQ(reads.res[1], 0);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(four_of_a_mebibyte),
	KTAP_CASE(pieces),
	KTAP_CASE(across_the_end),
};

SLOW_MAIN(cases)
