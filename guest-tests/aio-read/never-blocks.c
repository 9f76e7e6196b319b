// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_submit() of reads of a file that is not in memory returns at once, on every
 * file system that can wait for a page without a thread that sleeps; the events
 * come when the disk has done its work.
 *
 * A stock kernel reads it all in io_submit().
 */
#include "reads.h"

static void four_of_a_mebibyte(const struct filesystem *fs)
{
	int i, fd = cold_file_on(fs, 0);

	reads_begin();
	for (i = 0; i < 4; i++)
		reads_add(fd, MIB, i * MIB);
	keep_busy(2);
	reads_do();
	EXPECT_ALL_READ();
}

static void one_large(const struct filesystem *fs)
{
	int fd = cold_file_on(fs, 0);

	reads_begin();
	reads_add(fd, 3 * MIB, 2 * MIB);
	keep_busy(2);
	reads_do();
	EXPECT_ALL_READ();
}

static void one_page(const struct filesystem *fs)
{
	int fd = cold_file_on(fs, 0);

	reads_begin();
	reads_add(fd, PAGE, 5 * PAGE);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

#define ON(fs)								\
	static void fs##_four_of_a_mebibyte(void) { four_of_a_mebibyte(&fs); } \
	static void fs##_one_large(void) { one_large(&fs); }		\
	static void fs##_one_page(void) { one_page(&fs); }

ON(ext4)
ON(xfs)
ON(btrfs)

static const struct ktap_case cases[] = {
	KTAP_CASE(ext4_four_of_a_mebibyte),
	KTAP_CASE(ext4_one_large),
	KTAP_CASE(ext4_one_page),
	KTAP_CASE(xfs_four_of_a_mebibyte),
	KTAP_CASE(xfs_one_large),
	KTAP_CASE(xfs_one_page),
	KTAP_CASE(btrfs_four_of_a_mebibyte),
	KTAP_CASE(btrfs_one_large),
	KTAP_CASE(btrfs_one_page),
};

SLOW_MAIN(cases)
