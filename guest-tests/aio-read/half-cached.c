// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads of which a part is in memory: all of it comes, not what was there, and
 * io_submit() does not wait for the rest.  What is all in memory does not wait for
 * the disk at all.
 */
#include "reads.h"

#define LEN	(16 * PAGE)

static void read_all(int fd)
{
	reads_begin();
	reads_add(fd, LEN, 0);
	keep_busy(BUSY_MIB);
	reads_do();
	EXPECT_ALL_READ();
}

static void the_first_half(void)
{
	int fd = cold_file();

	warm(0, LEN / 2);
	read_all(fd);
}

static void the_second_half(void)
{
	int fd = cold_file();

	warm(LEN / 2, LEN / 2);
	read_all(fd);
}

static void every_other_page(void)
{
	int i, fd = cold_file();

	for (i = 0; i < LEN / PAGE; i += 2)
		warm(i * PAGE, PAGE);
	ASSERT_EQ(cached_pages(fd, LEN), LEN / PAGE / 2);
	read_all(fd);
}

static void all_but_the_last_page(void)
{
	int fd = cold_file();

	warm(0, LEN - PAGE);
	read_all(fd);
}

/* It comes while the disk is busy with other things. */
static void all_of_it(void)
{
	int fd = cold_file();

	warm(0, LEN);
	reads_begin();
	reads_add(fd, LEN, 0);
	keep_busy(BUSY_MIB);
	reads_submit();
	reads_wait();
	EXPECT(is_busy());
	EXPECT_ALL_READ();
}

/* What is in memory does not wait behind what is not. */
static void behind_one_that_waits(void)
{
	struct io_event event;
	int fd = cold_file();

	warm(MIB, PAGE);
	reads_begin();
	reads_add(fd, PAGE, 0);
	reads_add(fd, PAGE, MIB);
	keep_busy(BUSY_MIB);
	reads_submit();
	ASSERT_EQ(aio_wait(reads.ctx, 1, 1, &event, READS_TIMEOUT_MS), 1);
	reads.done = now_ns();
	if (event.obj == (uintptr_t)&reads.iocb[1]) {
		EXPECT(is_busy());
		EXPECT_PATTERN(buf + MIB, PAGE, MIB);
		ASSERT_EQ(aio_wait(reads.ctx, 1, 1, &event, READS_TIMEOUT_MS), 1);
		reads.done = now_ns();
	}
	ASSERT_ASYNC();
	EXPECT_EQ(event.obj, (uintptr_t)&reads.iocb[0]);
	EXPECT_PATTERN(buf, PAGE, 0);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(the_first_half),
	KTAP_CASE(the_second_half),
	KTAP_CASE(every_other_page),
	KTAP_CASE(all_but_the_last_page),
	KTAP_CASE(all_of_it),
	KTAP_CASE(behind_one_that_waits),
};

SLOW_MAIN(cases)
