// SPDX-License-Identifier: GPL-2.0-only
/* The result eventfd counts a read when its data is there, not before. */
#include "reads.h"

static uint64_t counted(int efd)
{
	uint64_t count = 0;

	return read(efd, &count, sizeof(count)) < 0 ? 0 : count;
}

static void counts(int nr)
{
	int i, fd = cold_file(), efd = make_eventfd(0);
	uint64_t count, early;
	int64_t deadline;

	reads_begin();
	for (i = 0; i < nr; i++) {
		struct iocb *iocb = reads_add(fd, 3 * PAGE, i * 75 * PAGE + 5);

		iocb->aio_flags = IOCB_FLAG_RESFD;
		iocb->aio_resfd = efd;
	}
	keep_busy(BUSY_MIB);
	reads_submit();
	early = count = counted(efd);
	deadline = deadline_in_ms(READS_TIMEOUT_MS);
	while (count < (uint64_t)nr && now_ns() < deadline) {
		ready_ms(efd, POLLIN, 1000);
		count += counted(efd);
	}
	/* The events are there by then: what is counted can be had. */
	EXPECT_EQ(count, nr);
	reads.done = now_ns();
	EXPECT_EQ(aio_pending_events(reads.ctx), nr);
	ASSERT_ASYNC();
	EXPECT_EQ(early, 0);
	for (i = 0; i < nr; i++)
		EXPECT_PATTERN(buf + i * 75 * PAGE + 5, 3 * PAGE, i * 75 * PAGE + 5);
	EXPECT_EQ(counted(efd), 0);
}

static void one(void)
{
	counts(1);
}

static void some(void)
{
	counts(AIO_BATCH);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(one),
	KTAP_CASE(some),
};

SLOW_MAIN(cases)
