// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests complete later: io_submit() returns at once, the event comes when the
 * driver has done the work, with the driver's answer.
 */
#include <sys/uio.h>
#include "chardev.h"

static void submit_does_not_wait(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(2);
	struct iocb read, write;
	char byte = 'x';

	chardev_read(ctx, &read, fd, &byte, 1, NEVER);
	chardev_write(ctx, &write, fd, &byte, 1, NEVER);
	EXPECT_EQ(chardev_pending(), 2);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

static void write_completes(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	int64_t began = now_ns();
	struct iocb iocb;
	char data[8];

	chardev_write(ctx, &iocb, fd, "written", 8, 20 * MS);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
	EXPECT(now_ns() - began >= 20 * MS);
	EXPECT_EQ(chardev_pending(), 0);
	EXPECT_EQ(read(fd, data, sizeof(data)), 8);
	EXPECT(!strcmp(data, "written"));
}

static void read_completes(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	int64_t began = now_ns();
	char data[16] = "";
	struct iocb iocb;

	ASSERT_EQ(write(fd, "to read", 8), 8);
	chardev_read(ctx, &iocb, fd, data, sizeof(data), 20 * MS);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
	EXPECT(now_ns() - began >= 20 * MS);
	EXPECT_EQ(chardev_pending(), 0);
	EXPECT(!strcmp(data, "to read"));
}

/* The vectors are the caller's again as soon as io_submit() has returned. */
static void vectors_of_a_read(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	char first[4] = "", second[4] = "";
	struct iovec vectors[] = {
		{ .iov_base = first, .iov_len = 3 },
		{ .iov_base = second, .iov_len = 3 },
	};
	struct iocb iocb;

	ASSERT_EQ(write(fd, "onetwo", 6), 6);
	aio_prep_rw(&iocb, IOCB_CMD_PREADV, fd, vectors, 2, 20 * MS);
	ASSERT_EQ(aio_submit(ctx, &iocb), 0);
	memset(vectors, 0, sizeof(vectors));
	EXPECT_EQ(aio_event(ctx, &iocb), 6);
	EXPECT(!strcmp(first, "one"));
	EXPECT(!strcmp(second, "two"));
}

static void vectors_of_a_write(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	struct iovec vectors[] = {
		{ .iov_base = "one", .iov_len = 3 },
		{ .iov_base = "two", .iov_len = 4 },
	};
	struct iocb iocb;
	char data[8];

	aio_prep_rw(&iocb, IOCB_CMD_PWRITEV, fd, vectors, 2, 20 * MS);
	ASSERT_EQ(aio_submit(ctx, &iocb), 0);
	EXPECT_EQ(aio_event(ctx, &iocb), 7);
	EXPECT_EQ(read(fd, data, sizeof(data)), 7);
	EXPECT(!strcmp(data, "onetwo"));
}

/* As much as there is: the FIFO holds 4096 bytes, and then 2048 more than none. */
static void short_requests(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	static char data[4096];
	struct iocb iocb;

	chardev_read(ctx, &iocb, fd, data, sizeof(data), 0);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
	ASSERT_EQ(write(fd, data, 2048), 2048);
	chardev_write(ctx, &iocb, fd, data, sizeof(data), 0);
	EXPECT_EQ(aio_event(ctx, &iocb), 2048);
	chardev_read(ctx, &iocb, fd, data, sizeof(data), 0);
	EXPECT_EQ(aio_event(ctx, &iocb), 4096);
}

/* The request is refused where that is seen, which for a read is at its end. */
static void memory_that_is_not_there(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	void *nowhere = (void *)16;
	struct iocb iocb;

	chardev_write(ctx, &iocb, fd, nowhere, 8, 0);
	EXPECT_EQ(aio_event(ctx, &iocb), -EFAULT);
	ASSERT_EQ(write(fd, "data", 4), 4);
	chardev_read(ctx, &iocb, fd, nowhere, 8, 0);
	EXPECT_EQ(aio_event(ctx, &iocb), -EFAULT);
}

/* An eventfd is told, here from the timer's interrupt. */
static void eventfd_is_signalled(void)
{
	int fd = chardev_load(), efd = make_eventfd(0);
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;

	aio_prep_rw(&iocb, IOCB_CMD_PWRITE, fd, "x", 1, 20 * MS);
	iocb.aio_flags = IOCB_FLAG_RESFD;
	iocb.aio_resfd = efd;
	ASSERT_EQ(aio_submit(ctx, &iocb), 0);
	EXPECT_EQ(ready_ms(efd, POLLIN, AIO_EVENT_TIMEOUT_MS), POLLIN);
	EXPECT_EQ(aio_event(ctx, &iocb), 1);
}

/* Who does not ask for asynchronous I/O gets an answer, not -EIOCBQUEUED. */
static void synchronous_calls_wait(void)
{
	int fd = chardev_load();
	int64_t began = now_ns();
	char data[8];

	EXPECT_EQ(pwrite(fd, "waited", 7, 20 * MS), 7);
	EXPECT(now_ns() - began >= 20 * MS);
	EXPECT_EQ(pread(fd, data, sizeof(data), 20 * MS), 7);
	EXPECT(now_ns() - began >= 40 * MS);
	EXPECT(!strcmp(data, "waited"));
	EXPECT_EQ(chardev_pending(), 0);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(submit_does_not_wait),
	KTAP_CASE(write_completes),
	KTAP_CASE(read_completes),
	KTAP_CASE(vectors_of_a_read),
	KTAP_CASE(vectors_of_a_write),
	KTAP_CASE(short_requests),
	KTAP_CASE(memory_that_is_not_there),
	KTAP_CASE(eventfd_is_signalled),
	KTAP_CASE(synchronous_calls_wait),
};

KTAP_MAIN(cases)
