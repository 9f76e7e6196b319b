// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file that is read at random has no readahead to start the reads: each page is
 * asked for by the request itself, and that does not wait for it either.
 */
#include "reads.h"

static int cold_random_file(void)
{
	int fd = cold_file();

	ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	return fd;
}

static void single_pages(void)
{
	int i, fd = cold_random_file();

	reads_begin();
	for (i = 0; i < 16; i++)
		reads_add(fd, PAGE, i * 37 % 16 * 20 * PAGE);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

static void many_pages(void)
{
	int fd = cold_random_file();

	reads_begin();
	reads_add(fd, 64 * KIB, MIB);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

static void across_pages(void)
{
	int i, fd = cold_random_file();

	reads_begin();
	for (i = 1; i < 9; i++)
		reads_add(fd, 100, i * 50 * PAGE - 50);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

static const struct ktap_case cases[] = {
	KTAP_CASE(single_pages),
	KTAP_CASE(many_pages),
	KTAP_CASE(across_pages),
};

SLOW_MAIN(cases)
