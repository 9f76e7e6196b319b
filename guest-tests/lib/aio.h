/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Native AIO, with the system calls themselves and no libaio between: what is
 * under test is the kernel.
 *
 * The io_*() functions are the system calls: -1 and errno.  The aio_*() ones
 * check what they do, and leave the case when it goes wrong.
 */
#ifndef GUEST_TESTS_AIO_H
#define GUEST_TESTS_AIO_H

#include <linux/aio_abi.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include "files.h"
#include "ktap.h"

/* An event that is due has to come within this, however slow the guest is. */
#define AIO_EVENT_TIMEOUT_MS	3000

#define AIO_BATCH		16

static inline int io_setup(unsigned int nr, aio_context_t *ctx)
{
	return syscall(__NR_io_setup, nr, ctx);
}

static inline int io_destroy(aio_context_t ctx)
{
	return syscall(__NR_io_destroy, ctx);
}

static inline int io_submit(aio_context_t ctx, long nr, struct iocb **iocbs)
{
	return syscall(__NR_io_submit, ctx, nr, iocbs);
}

static inline int io_cancel(aio_context_t ctx, struct iocb *iocb)
{
	struct io_event unused;

	return syscall(__NR_io_cancel, ctx, iocb, &unused);
}

static inline int io_getevents(aio_context_t ctx, long min, long nr,
			       struct io_event *events, struct timespec *timeout)
{
	return syscall(__NR_io_getevents, ctx, min, nr, events, timeout);
}

struct aio_sigset {
	const sigset_t *sigmask;
	size_t size;
};

static inline int io_pgetevents(aio_context_t ctx, long min, long nr,
				struct io_event *events, struct timespec *timeout,
				const struct aio_sigset *sigset)
{
	return syscall(__NR_io_pgetevents, ctx, min, nr, events, timeout, sigset);
}

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static inline int64_t deadline_in_ms(int64_t ms)
{
	return now_ns() + ms * 1000000;
}

/* What is left until @deadline, never negative. */
static inline struct timespec time_left(int64_t deadline)
{
	int64_t ns = deadline - now_ns();

	if (ns < 0)
		ns = 0;
	return (struct timespec) {
		.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000,
	};
}

/*
 * A context, which the end of the process destroys: io_destroy() waits for RCU
 * grace periods, 40 ms a case, and exit does them all at once.
 */
static inline aio_context_t aio_setup(unsigned int nr)
{
	aio_context_t ctx = 0;

	if (io_setup(nr, &ctx) < 0) {
		if (errno == ENOSYS)
			ktap_skip("no native AIO here: CONFIG_AIO");
		ktap_fail_errno("io_setup", errno);
		ktap_leave();
	}
	return ctx;
}

static inline void aio_prep_poll(struct iocb *iocb, int fd, unsigned int events)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IOCB_CMD_POLL;
	iocb->aio_fildes = fd;
	iocb->aio_buf = events;
	iocb->aio_data = ~(uintptr_t)iocb;
}

/* One of IOCB_CMD_*; @buf and @nbytes are those of iovecs for PREADV and PWRITEV. */
static inline void aio_prep_rw(struct iocb *iocb, int opcode, int fd,
			       const void *buf, size_t nbytes, off_t offset)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = opcode;
	iocb->aio_fildes = fd;
	iocb->aio_buf = (uintptr_t)buf;
	iocb->aio_nbytes = nbytes;
	iocb->aio_offset = offset;
	iocb->aio_data = ~(uintptr_t)iocb;
}

/* Submit one prepared iocb: 0 or -errno. */
static inline int aio_submit(aio_context_t ctx, struct iocb *iocb)
{
	return io_submit(ctx, 1, &iocb) == 1 ? 0 : -errno;
}

/* io_cancel(): -EINPROGRESS means that the event will come, 0 never happens. */
static inline int aio_cancel_iocb(aio_context_t ctx, struct iocb *iocb)
{
	return io_cancel(ctx, iocb) < 0 ? -errno : 0;
}

static inline void aio_poll_here(aio_context_t ctx, struct iocb *iocb, int fd,
				 unsigned int events)
{
	int err;

	aio_prep_poll(iocb, fd, events);
	err = aio_submit(ctx, iocb);
	if (err) {
		ktap_fail_errno("io_submit", -err);
		ktap_leave();
	}
}

/* Submit a poll of @fd for @events. */
#define aio_poll(ctx, iocb, fd, events) do {				\
	KTAP_HERE("io_submit");						\
	aio_poll_here(ctx, iocb, fd, events);				\
} while (0)

/* Get at least @min events, fewer only when time is up. */
static inline int aio_wait(aio_context_t ctx, int min, int max,
			   struct io_event *events, int timeout_ms)
{
	int64_t deadline = deadline_in_ms(timeout_ms);
	int got = 0;

	for (;;) {
		struct timespec left = time_left(deadline);
		int ret = io_getevents(ctx, min - got, max - got, events + got, &left);

		if (ret < 0 && errno != EINTR) {
			ktap_fail_errno("io_getevents", errno);
			ktap_leave();
		}
		if (ret > 0)
			got += ret;
		if (got >= min || now_ns() >= deadline)
			return got;
	}
}

/* The result of the one event that is due, which must be that of @iocb. */
static inline long aio_event_here(aio_context_t ctx, struct iocb *iocb)
{
	struct io_event event;

	if (aio_wait(ctx, 1, 1, &event, AIO_EVENT_TIMEOUT_MS) != 1) {
		ktap_fail("no event within %d ms", AIO_EVENT_TIMEOUT_MS);
		ktap_leave();
	}
	if (event.obj != (uintptr_t)iocb || event.data != iocb->aio_data ||
	    event.res2) {
		ktap_fail("event of a request we did not wait for: obj %#llx data %#llx res2 %lld",
			  event.obj, event.data, event.res2);
		ktap_leave();
	}
	return event.res;
}

#define aio_event(ctx, iocb) ({						\
	KTAP_HERE("io_getevents, waiting for one event");		\
	aio_event_here(ctx, iocb);					\
})

/*
 * The event of @iocb is due and must report @must, and nothing of @mustnot.  It
 * may report more than was asked for: Linux completes with the mask of the
 * wake-up, POLLRDNORM for example with POLLIN.
 */
#define EXPECT_EVENT(ctx, iocb, must, mustnot) ({			\
	long aio_res = aio_event(ctx, iocb);				\
	long aio_must = (must);						\
									\
	if ((aio_res & aio_must) != aio_must || aio_res < 0 ||		\
	    (aio_res & (mustnot)))					\
		ktap_fail("event reports %#lx, expected %s and not %s",	\
			  aio_res, #must, #mustnot);			\
})

/*
 * Wait until completions that the kernel has put off have been done, as far as
 * that can be seen from outside: a cancelled poll is completed by a work item,
 * which is queued behind those that are there, on each CPU in turn.
 */
static inline void aio_settle(void)
{
	static aio_context_t ctx;
	static int fds[2];
	cpu_set_t all, one;
	struct iocb iocb;
	int cpu;

	if (!ctx) {
		ASSERT_OK(pipe2(fds, O_CLOEXEC));
		ASSERT_OK(io_setup(1, &ctx));
	}
	ASSERT_OK(sched_getaffinity(0, sizeof(all), &all));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		ASSERT_OK(sched_setaffinity(0, sizeof(one), &one));
		aio_poll(ctx, &iocb, fds[0], POLLIN);
		ASSERT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
		aio_event(ctx, &iocb);
	}
	ASSERT_OK(sched_setaffinity(0, sizeof(all), &all));
}

static inline int aio_pending_events(aio_context_t ctx)
{
	struct io_event events[AIO_BATCH];

	return aio_wait(ctx, 0, AIO_BATCH, events, 0);
}

/* Nothing is due on @ctx, and nothing comes. */
#define EXPECT_NO_EVENT(ctx) ({						\
	aio_settle();							\
	EXPECT_EQ(aio_pending_events(ctx), 0);				\
})

/* AIO_BATCH polls of one file for the same events, in one io_submit(). */
struct aio_batch {
	aio_context_t ctx;
	struct iocb iocb[AIO_BATCH];
	long res[AIO_BATCH];		/* after aio_batch_collect() */
};

static inline void aio_batch_prep(struct aio_batch *batch, aio_context_t ctx,
				  int fd, unsigned int events)
{
	int i;

	batch->ctx = ctx;
	for (i = 0; i < AIO_BATCH; i++)
		aio_prep_poll(&batch->iocb[i], fd, events);
}

static inline void aio_batch_submit_here(struct aio_batch *batch)
{
	struct iocb *iocbs[AIO_BATCH];
	int i, ret;

	for (i = 0; i < AIO_BATCH; i++)
		iocbs[i] = &batch->iocb[i];
	ret = io_submit(batch->ctx, AIO_BATCH, iocbs);
	if (ret == AIO_BATCH)
		return;
	if (ret < 0)
		ktap_fail_errno("io_submit", errno);
	else
		ktap_fail("io_submit took %d of %d", ret, AIO_BATCH);
	ktap_leave();
}

#define aio_batch_submit(batch) do {					\
	KTAP_HERE("io_submit");						\
	aio_batch_submit_here(batch);					\
} while (0)

/* All of @batch are due: get one event of each, and none twice. */
static inline void aio_batch_collect_here(struct aio_batch *batch)
{
	struct io_event events[AIO_BATCH];
	bool seen[AIO_BATCH] = { false };
	int i, got;

	got = aio_wait(batch->ctx, AIO_BATCH, AIO_BATCH, events, AIO_EVENT_TIMEOUT_MS);
	for (i = 0; i < got; i++) {
		struct iocb *iocb = (struct iocb *)(uintptr_t)events[i].obj;
		size_t n = iocb - batch->iocb;

		if (n >= AIO_BATCH || events[i].data != iocb->aio_data || seen[n]) {
			ktap_fail("event of a request that has none due: obj %#llx data %#llx",
				  events[i].obj, events[i].data);
			ktap_leave();
		}
		seen[n] = true;
		batch->res[n] = events[i].res;
	}
	if (got != AIO_BATCH) {
		ktap_fail("%d of %d events came within %d ms", got, AIO_BATCH,
			  AIO_EVENT_TIMEOUT_MS);
		ktap_leave();
	}
}

#define aio_batch_collect(batch) do {					\
	KTAP_HERE("io_getevents, waiting for a batch of events");	\
	aio_batch_collect_here(batch);					\
} while (0)

/*
 * Polls that have nothing to do with what is tested.  Submitted after requests
 * have been completed they get their memory, so that a wake-up, or a second
 * completion, of a request that is gone falls on them.
 */
struct bystanders {
	struct aio_batch batch;
	int fds[2];
};

static inline void bystanders_submit(struct bystanders *by)
{
	make_pipe(by->fds);
	aio_batch_prep(&by->batch, aio_setup(AIO_BATCH), by->fds[0], POLLIN);
	aio_batch_submit(&by->batch);
}

/* None of them has completed; when their own file is ready all do, once each. */
#define EXPECT_UNDISTURBED(by) do {					\
	EXPECT_NO_EVENT((by)->batch.ctx);				\
	put((by)->fds[1]);						\
	aio_batch_collect(&(by)->batch);				\
	EXPECT_NO_EVENT((by)->batch.ctx);				\
} while (0)

#endif /* GUEST_TESTS_AIO_H */
