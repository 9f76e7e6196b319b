/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads that nobody waits for any more: whoever has them in flight goes, without
 * waiting for the disk, and nothing is written to their memory from then on.
 */
#ifndef AIO_READ_END_H
#define AIO_READ_END_H

#include "reads.h"

#define ABANDONED_READS	4

/* What the disk needs for keep_busy(BUSY_MIB) and for all of them, at least. */
#define ABANDONED_MS	1200

/* Shared with a child. */
struct abandoned {
	char data[ABANDONED_READS][MIB];
	int64_t began, submitted;	/* ns; 0: not yet */
	long slept;			/* in io_submit() */
};

static inline struct abandoned *abandoned_make(void)
{
	struct abandoned *abandoned;

	abandoned = mmap(NULL, sizeof(*abandoned), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT(abandoned != MAP_FAILED);
	return abandoned;
}

static inline void abandoned_submit(struct abandoned *abandoned, aio_context_t ctx,
				    int fd)
{
	struct iocb iocb[ABANDONED_READS], *list[ABANDONED_READS];
	long before = nr_sleeps();
	int i;

	for (i = 0; i < ABANDONED_READS; i++) {
		list[i] = &iocb[i];
		aio_prep_rw(list[i], IOCB_CMD_PREAD, fd, abandoned->data[i], MIB, i * MIB);
	}
	abandoned->began = now_ns();
	ASSERT_EQ(io_submit(ctx, ABANDONED_READS, list), ABANDONED_READS);
	abandoned->submitted = now_ns();
	abandoned->slept = nr_sleeps() - before;
}

/* They are gone since now, and that was soon. */
static inline void abandoned_check_here(struct abandoned *abandoned)
{
	int64_t submit = abandoned->submitted - abandoned->began;
	int64_t end = now_ns() - abandoned->submitted;

	if (submit * SUBMIT_SHARE > ABANDONED_MS * 1000000LL && abandoned->slept) {
		ktap_fail("io_submit took %lld of at least %d ms",
			  (long long)submit / 1000000, ABANDONED_MS);
		ktap_leave();
	}
	if (end * 2 > ABANDONED_MS * 1000000LL)
		ktap_fail("the end took %lld ms, as if it waited for the disk",
			  (long long)end / 1000000);
	memset(abandoned->data, 'y', sizeof(abandoned->data));
	wait_for_the_disk();
	if (!all_are(abandoned->data[0], 'y', sizeof(abandoned->data)))
		ktap_fail("memory was written when nobody read any more");
	munmap(abandoned, sizeof(*abandoned));
}

#define EXPECT_ABANDONED(abandoned) do {				\
	KTAP_HERE("abandoning reads");					\
	abandoned_check_here(abandoned);				\
} while (0)

#endif /* AIO_READ_END_H */
