// SPDX-License-Identifier: GPL-2.0-only
/*
 * RWF_NOWAIT is a wish of its own: what is not in memory gives EAGAIN, at once,
 * and the request does not wait for it.
 */
#include "reads.h"

static void read_nowait(int fd, size_t len)
{
	struct iocb *iocb;

	reads_begin();
	iocb = reads_add(fd, len, 0);
	iocb->aio_rw_flags = RWF_NOWAIT;
	keep_busy(BUSY_MIB);
	reads_submit();
	reads_wait();
	EXPECT(is_busy());
}

static void of_a_cold_page(void)
{
	read_nowait(cold_file(), PAGE);
	EXPECT_EQ(reads.res[0], -EAGAIN);
	EXPECT(all_are(buf, 'x', PAGE));
}

static void of_a_cached_page(void)
{
	int fd = cold_file();

	warm(0, PAGE);
	read_nowait(fd, PAGE);
	EXPECT_ALL_READ();
}

/* As preadv2() does: what there is. */
static void of_one_and_one(void)
{
	int fd = cold_file();

	warm(0, PAGE);
	read_nowait(fd, 2 * PAGE);
	EXPECT_EQ(reads.res[0], PAGE);
	EXPECT_PATTERN(buf, PAGE, 0);
	EXPECT(all_are(buf + PAGE, 'x', PAGE));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(of_a_cold_page),
	KTAP_CASE(of_a_cached_page),
	KTAP_CASE(of_one_and_one),
};

SLOW_MAIN(cases)
