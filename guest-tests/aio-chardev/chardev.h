/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device of test_modules/aio_chardev.c: a FIFO of bytes, in which a request
 * has its turn after a delay, its offset in nanoseconds.
 */
#ifndef AIO_CHARDEV_H
#define AIO_CHARDEV_H

#include "aio.h"
#include "module.h"

#define CHARDEV		"aio_chardev"
#define MS		1000000LL

/*
 * No case goes on for so long: a request that it ends was not cancelled.  It does
 * end, as not even SIGKILL gets rid of a process before its requests.
 */
#define NEVER		(15000 * MS)

static inline int chardev_open(void)
{
	return keep_fd(ASSERT_OK(open("/dev/" CHARDEV, O_RDWR | O_CLOEXEC)));
}

/* Load the module for this case, and open its device. */
static inline int chardev_load(void)
{
	module_load(CHARDEV);
	return chardev_open();
}

static inline long chardev_pending(void)
{
	return module_param(CHARDEV, "pending");
}

static inline long chardev_cancelled(void)
{
	return module_param(CHARDEV, "cancelled");
}

static void chardev_destroy(uintptr_t ctx)
{
	KTAP_HERE("io_destroy");
	io_destroy(ctx);
}

/* A context that ends with the case: its requests would keep the module. */
static inline aio_context_t chardev_setup(unsigned int nr)
{
	aio_context_t ctx = aio_setup(nr);

	ktap_defer(chardev_destroy, ctx);
	return ctx;
}

static inline void chardev_submit_here(aio_context_t ctx, struct iocb *iocb)
{
	int err = aio_submit(ctx, iocb);

	if (err) {
		ktap_fail_errno("io_submit", -err);
		ktap_leave();
	}
}

/* Submit a read to, or a write from, @buf, which has its turn after @delay. */
#define chardev_read(ctx, iocb, fd, buf, nbytes, delay) do {		\
	KTAP_HERE("io_submit of a read");				\
	aio_prep_rw(iocb, IOCB_CMD_PREAD, fd, buf, nbytes, delay);	\
	chardev_submit_here(ctx, iocb);					\
} while (0)

#define chardev_write(ctx, iocb, fd, buf, nbytes, delay) do {		\
	KTAP_HERE("io_submit of a write");				\
	aio_prep_rw(iocb, IOCB_CMD_PWRITE, fd, buf, nbytes, delay);	\
	chardev_submit_here(ctx, iocb);					\
} while (0)

/* AIO_BATCH requests of a byte, reads and writes by turns, each after @delay. */
static inline void chardev_prep_batch(struct aio_batch *batch, aio_context_t ctx,
				      int fd, int64_t delay)
{
	static char bytes[AIO_BATCH];
	int i;

	batch->ctx = ctx;
	for (i = 0; i < AIO_BATCH; i++)
		aio_prep_rw(&batch->iocb[i], i % 2 ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE,
			    fd, &bytes[i], 1, delay);
}

#endif /* AIO_CHARDEV_H */
