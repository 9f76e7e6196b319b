// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many requests that wait for one page: all of them get it, each once.  And as
 * many that wait for a page each, of which some share a place in the table of
 * those who wait for pages.
 */
#include "reads.h"

static void read_all(void)
{
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

static void whole(void)
{
	int i, fd = cold_file();

	reads_begin();
	for (i = 0; i < MAX_READS; i++)
		reads_add_op(IOCB_CMD_PREAD, fd, buf + i * PAGE, PAGE, 9 * PAGE);
	read_all();
}

static void in_pieces(void)
{
	int i, fd = cold_file();

	reads_begin();
	for (i = 0; i < MAX_READS; i++)
		reads_add(fd, PAGE / MAX_READS, 9 * PAGE + i * (PAGE / MAX_READS));
	read_all();
}

static void from_two_files(void)
{
	int i, fd = cold_file(), again = cold_file();

	reads_begin();
	for (i = 0; i < MAX_READS; i++)
		reads_add_op(IOCB_CMD_PREAD, i % 2 ? fd : again, buf + i * PAGE, PAGE,
			     9 * PAGE + i % 3);
	read_all();
}

static void each_its_own(void)
{
	int i, fd = cold_file();

	reads_begin();
	for (i = 0; i < MAX_READS; i++)
		reads_add(fd, PAGE, i * 2 * PAGE);
	read_all();
}

static const struct ktap_case cases[] = {
	KTAP_CASE(whole),
	KTAP_CASE(in_pieces),
	KTAP_CASE(from_two_files),
	KTAP_CASE(each_its_own),
};

SLOW_MAIN(cases)
