/* SPDX-License-Identifier: GPL-2.0-only */
/* Buffered reads from the slow disk, and an io_submit() that must not wait for them. */
#ifndef AIO_READ_READS_H
#define AIO_READ_READS_H

#include <sys/resource.h>
#include <sys/uio.h>
#include "disk.h"

#define MAX_READS	256

/*
 * Of the time until the last event, io_submit() may take one part of these.  If it
 * never slept it may take more: a busy host has kept the guest from running.
 */
#define SUBMIT_SHARE	10

/* How often this thread has slept. */
static inline long nr_sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* Some reads, which are submitted at once. */
struct reads {
	aio_context_t ctx;
	int nr;
	struct iocb iocb[MAX_READS], *list[MAX_READS];
	long res[MAX_READS];			/* after reads_wait() */
	int64_t began, submitted, done;		/* ns */
	long slept;				/* in io_submit() */
};

static struct reads reads;

static void reads_destroy(uintptr_t ctx)
{
	if (reads.ctx == ctx)
		io_destroy(ctx);	/* waits for what is in flight */
}

static inline void reads_begin(void)
{
	reads.ctx = aio_setup(MAX_READS);
	reads.nr = 0;
	memset(buf, 'x', sizeof(buf));	/* and let it be there */
	ktap_defer(reads_destroy, reads.ctx);
}

static inline struct iocb *reads_add_op(int opcode, int fd, const void *data,
					size_t len, off_t offset)
{
	struct iocb *iocb = &reads.iocb[reads.nr];

	ASSERT(reads.nr < MAX_READS);
	aio_prep_rw(iocb, opcode, fd, data, len, offset);
	reads.list[reads.nr++] = iocb;
	return iocb;
}

/* To the same place in buf as it has in the file. */
static inline struct iocb *reads_add(int fd, size_t len, off_t offset)
{
	ASSERT(offset + len <= sizeof(buf));
	return reads_add_op(IOCB_CMD_PREAD, fd, buf + offset, len, offset);
}

/* How many were taken, or -errno. */
static inline int reads_submit_timed(void)
{
	long before = nr_sleeps();
	int ret;

	reads.began = now_ns();
	ret = io_submit(reads.ctx, reads.nr, reads.list);
	if (ret < 0)
		ret = -errno;
	reads.submitted = now_ns();
	reads.slept = nr_sleeps() - before;
	return ret;
}

static inline void reads_submit_here(void)
{
	int ret = reads_submit_timed();

	if (ret == reads.nr)
		return;
	if (ret < 0)
		ktap_fail_errno("io_submit", -ret);
	else
		ktap_fail("io_submit accepts %d of %d", ret, reads.nr);
	ktap_leave();
}

#define reads_submit() do {						\
	KTAP_HERE("io_submit");						\
	reads_submit_here();						\
} while (0)

static inline void reads_wait_here(void)
{
	static struct io_event events[MAX_READS];
	int got, i;

	for (i = 0; i < reads.nr; i++)
		reads.res[i] = -EINPROGRESS;
	got = aio_wait(reads.ctx, reads.nr, reads.nr, events, READS_TIMEOUT_MS);
	reads.done = now_ns();
	for (i = 0; i < got; i++) {
		struct iocb *iocb = (struct iocb *)(uintptr_t)events[i].obj;
		size_t n = iocb - reads.iocb;

		if (n >= (size_t)reads.nr || events[i].data != iocb->aio_data ||
		    reads.res[n] != -EINPROGRESS) {
			ktap_fail("event of a request that has none due: obj %#llx data %#llx",
				  events[i].obj, events[i].data);
			ktap_leave();
		}
		reads.res[n] = events[i].res;
	}
	if (got != reads.nr) {
		ktap_fail("%d of %d events came within %d ms", got, reads.nr,
			  READS_TIMEOUT_MS);
		ktap_leave();
	}
}

/* Get the events of all reads, one of each. */
#define reads_wait() do {						\
	KTAP_HERE("io_getevents");					\
	reads_wait_here();						\
} while (0)

static inline void expect_async_here(void)
{
	int64_t submit = reads.submitted - reads.began;
	int64_t total = reads.done - reads.began;
	char name[96];

	snprintf(name, sizeof(name), "%s_submit", ktap.cases[ktap.cur].name);
	ktap_metric(name, submit / 1e3, "us", "lower");
	snprintf(name, sizeof(name), "%s_total", ktap.cases[ktap.cur].name);
	ktap_metric(name, total / 1e3, "us", "lower");
	if (submit * SUBMIT_SHARE > total && reads.slept) {
		ktap_fail("io_submit took %lld of %lld ms",
			  (long long)submit / 1000000, (long long)total / 1000000);
		ktap_leave();
	}
	/* Else nothing was measured. */
	if (total < 200 * 1000000LL) {
		ktap_fail("no slow disk: all came in %lld ms",
			  (long long)total / 1000000);
		ktap_leave();
	}
}

/* io_submit() did not wait for the disk.  After reads_wait(). */
#define ASSERT_ASYNC() do {						\
	KTAP_HERE("io_submit");						\
	expect_async_here();						\
} while (0)

/* All of it: the reads wait for the disk, io_submit() does not. */
#define reads_do() do {							\
	KTAP_HERE("io_submit");						\
	reads_submit_here();						\
	reads_wait_here();						\
	expect_async_here();						\
} while (0)

/* Read what was added by reads_add() has come, all of it, and is right. */
static inline void expect_all_here(void)
{
	int i;

	for (i = 0; i < reads.nr; i++) {
		struct iocb *iocb = &reads.iocb[i];

		if (reads.res[i] != (long)iocb->aio_nbytes)
			ktap_fail("read of %llu bytes at %lld gives %ld",
				  (unsigned long long)iocb->aio_nbytes,
				  (long long)iocb->aio_offset, reads.res[i]);
		else
			expect_pattern_here((char *)(uintptr_t)iocb->aio_buf,
					    iocb->aio_nbytes, iocb->aio_offset);
	}
}

#define EXPECT_ALL_READ() do {						\
	KTAP_HERE("comparing");						\
	expect_all_here();						\
} while (0)

#endif /* AIO_READ_READS_H */
