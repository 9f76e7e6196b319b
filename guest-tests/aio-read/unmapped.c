// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data goes where the buffer is when the data comes: EFAULT when there is
 * nothing any more, and then nothing is written anywhere.
 */
#include "reads.h"

static char *map_pages(int nr)
{
	char *pages = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	ASSERT(pages != MAP_FAILED);
	return pages;
}

static void submit_into(char *pages, int nr)
{
	int fd = cold_file();

	reads_begin();
	reads_add_op(IOCB_CMD_PREAD, fd, pages, nr * PAGE, MIB);
	keep_busy(BUSY_MIB);
	reads_submit();
}

static void read_into_nothing(void)
{
	char *page = map_pages(1);

	submit_into(page, 1);
	ASSERT_OK(munmap(page, PAGE));
	reads_wait();
	ASSERT_ASYNC();
	EXPECT_EQ(reads.res[0], -EFAULT);
}

static void read_into_what_is_read_only(void)
{
	char *page = map_pages(1);

	submit_into(page, 1);
	ASSERT_OK(mprotect(page, PAGE, PROT_READ));
	reads_wait();
	ASSERT_ASYNC();
	EXPECT_EQ(reads.res[0], -EFAULT);
	EXPECT(all_are(page, 0, PAGE));
	munmap(page, PAGE);
}

/* What read() gives then: the bytes up to there. */
static void the_second_half_is_gone(void)
{
	char *pages = map_pages(4);

	submit_into(pages, 4);
	ASSERT_OK(munmap(pages + 2 * PAGE, 2 * PAGE));
	reads_wait();
	ASSERT_ASYNC();
	EXPECT_EQ(reads.res[0], 2 * PAGE);
	EXPECT_PATTERN(pages, 2 * PAGE, MIB);
	munmap(pages, 2 * PAGE);
}

static void mapped_again(void)
{
	char *page = map_pages(1);

	submit_into(page, 1);
	ASSERT(mmap(page, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
	reads_wait();
	ASSERT_ASYNC();
	EXPECT_EQ(reads.res[0], PAGE);
	EXPECT_PATTERN(page, PAGE, MIB);
	munmap(page, PAGE);
}

/* The buffer is the very page that is read: writing there waits for it. */
static void into_itself(void)
{
	int fd = cold_file();
	char *page;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 2 * MIB);
	ASSERT(page != MAP_FAILED);
	reads_begin();
	reads_add_op(IOCB_CMD_PREAD, fd, page, PAGE, 2 * MIB);
	keep_busy(1);
	reads_submit();
	reads_wait();
	EXPECT_EQ(reads.res[0], PAGE);
	EXPECT_PATTERN(page, PAGE, 2 * MIB);
	munmap(page, PAGE);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(read_into_nothing),
	KTAP_CASE(read_into_what_is_read_only),
	KTAP_CASE(the_second_half_is_gone),
	KTAP_CASE(mapped_again),
	KTAP_CASE(into_itself),
};

SLOW_MAIN(cases)
