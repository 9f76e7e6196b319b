// SPDX-License-Identifier: GPL-2.0-only
/*
 * What io_submit() refuses, with which error, and that a refused request costs
 * the context nothing.
 */
#include <sys/mman.h>
#include "aio.h"

static char buf[64];

/* A read of a file of no bytes, which is fine as it is. */
static void prep(struct iocb *iocb)
{
	aio_prep_rw(iocb, IOCB_CMD_PREAD, make_file("/tmp", O_RDWR), buf, sizeof(buf), 0);
}

static void takes_a_good_one(aio_context_t ctx)
{
	struct iocb good;

	prep(&good);
	EXPECT_EQ(aio_submit(ctx, &good), 0);
	EXPECT_EQ(aio_event(ctx, &good), 0);
}

/* Over and over: no slot may get lost. */
static void refused(struct iocb *iocb, int want)
{
	aio_context_t ctx = aio_setup(1);
	int i;

	for (i = 0; i < 200; i++) {
		if (!EXPECT_EQ(aio_submit(ctx, iocb), want))
			return;
	}
	EXPECT_EQ(aio_pending_events(ctx), 0);
	takes_a_good_one(ctx);
}

static void number_of_requests(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb, *iocbs[] = { &iocb };

	prep(&iocb);
	EXPECT_EQ(io_submit(ctx, -1, iocbs), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(io_submit(ctx, LONG_MIN, iocbs), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(io_submit(ctx, 0, iocbs), 0);
	EXPECT_EQ(io_submit(ctx, 0, NULL), 0);
	EXPECT_EQ(aio_pending_events(ctx), 0);
	takes_a_good_one(ctx);
}

static void pointers_to_nowhere(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb *nothing[] = { NULL };

	EXPECT_EQ(io_submit(ctx, 1, NULL), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(io_submit(ctx, 1, nothing), -1);
	EXPECT_EQ(errno, EFAULT);
	takes_a_good_one(ctx);
}

static void unmap(uintptr_t page)
{
	munmap((void *)page, getpagesize());
}

/* The kernel writes aio_key. */
static void request_that_can_only_be_read(void)
{
	struct iocb *iocb = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(iocb != MAP_FAILED);
	ktap_defer(unmap, (uintptr_t)iocb);
	prep(iocb);
	ASSERT_OK(mprotect(iocb, getpagesize(), PROT_READ));
	refused(iocb, -EFAULT);
}

static void opcode_that_is_none(void)
{
	/* 4, 6: PREADX and NOOP, which never came to be. */
	static const unsigned int none[] = { 4, IOCB_CMD_NOOP, 9, 0xffff };
	struct iocb iocb;
	size_t i;

	prep(&iocb);
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		iocb.aio_lio_opcode = none[i];
		refused(&iocb, -EINVAL);
	}
}

static void field_that_is_reserved(void)
{
	struct iocb iocb;

	prep(&iocb);
	iocb.aio_reserved2 = 1;
	refused(&iocb, -EINVAL);
	iocb.aio_reserved2 = 1ULL << 63;
	refused(&iocb, -EINVAL);
}

static void size_that_is_negative(void)
{
	struct iocb iocb;

	prep(&iocb);
	iocb.aio_nbytes = -1;
	refused(&iocb, -EINVAL);
	iocb.aio_nbytes = 1ULL << 63;
	refused(&iocb, -EINVAL);
}

static void file_that_is_none(void)
{
	struct iocb iocb;

	prep(&iocb);
	iocb.aio_fildes = -1;
	refused(&iocb, -EBADF);
	iocb.aio_fildes = keep_fd(ASSERT_OK(open("/", O_PATH | O_CLOEXEC)));
	refused(&iocb, -EBADF);
}

static void file_opened_for_something_else(void)
{
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	prep(&iocb);
	iocb.aio_fildes = fds[1];
	refused(&iocb, -EBADF);
	iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
	iocb.aio_fildes = fds[0];
	refused(&iocb, -EBADF);
}

static void result_descriptor_that_is_none(void)
{
	struct iocb iocb;
	int fds[2];

	make_pipe(fds);
	prep(&iocb);
	iocb.aio_flags = IOCB_FLAG_RESFD;
	iocb.aio_resfd = -1;
	refused(&iocb, -EBADF);
	iocb.aio_resfd = fds[1];
	refused(&iocb, -EINVAL);
	iocb.aio_resfd = iocb.aio_fildes;
	refused(&iocb, -EINVAL);
}

/* An address that can be none is refused; one that is not mapped fails the read. */
static void buffer_that_is_none(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	prep(&iocb);
	ASSERT_EQ(pwrite(iocb.aio_fildes, "data", 4, 0), 4);
	iocb.aio_buf = 1ULL << 63;
	refused(&iocb, -EFAULT);
	iocb.aio_buf = 8;
	EXPECT_EQ(aio_submit(ctx, &iocb), 0);
	EXPECT_EQ(aio_event(ctx, &iocb), -EFAULT);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(number_of_requests),
	KTAP_CASE(pointers_to_nowhere),
	KTAP_CASE(request_that_can_only_be_read),
	KTAP_CASE(opcode_that_is_none),
	KTAP_CASE(field_that_is_reserved),
	KTAP_CASE(size_that_is_negative),
	KTAP_CASE(file_that_is_none),
	KTAP_CASE(file_opened_for_something_else),
	KTAP_CASE(result_descriptor_that_is_none),
	KTAP_CASE(buffer_that_is_none),
};

KTAP_MAIN(cases)
