// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOCB_CMD_POLL of files that are ready already completes within io_submit(),
 * however many wait queues the file has, and leaves nothing on them.
 */
#include "aio.h"

/* @fd is ready for @events; what it does later must not matter any more. */
static void completes_with(aio_context_t ctx, int fd, short events)
{
	struct io_event event;
	struct iocb iocb;

	aio_poll(ctx, &iocb, fd, events);
	ASSERT_EQ(aio_wait(ctx, 0, 1, &event, 0), 1);
	EXPECT_EQ(event.obj, (uintptr_t)&iocb);
	EXPECT_EQ(event.res, events);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINVAL);
}

static void regular_file(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = keep_fd(ASSERT_OK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));

	completes_with(ctx, fd, POLLIN);
	completes_with(ctx, fd, POLLIN | POLLOUT);
}

static void pty_with_room(void)
{
	aio_context_t ctx = aio_setup(1);
	int master, slave;

	make_pty(&master, &slave);
	completes_with(ctx, slave, POLLOUT);
	completes_with(ctx, master, POLLOUT);
	put(master);
	put(slave);
	ASSERT(ready_ms(slave, POLLIN, AIO_EVENT_TIMEOUT_MS));
	ASSERT(ready_ms(master, POLLIN, AIO_EVENT_TIMEOUT_MS));
	EXPECT_NO_EVENT(ctx);
	completes_with(ctx, slave, POLLIN);
	completes_with(ctx, master, POLLIN | POLLOUT);
	EXPECT_NO_EVENT(ctx);
}

static void fifo_with_data_or_room(void)
{
	aio_context_t ctx = aio_setup(1);
	struct bystanders by;
	int fd = make_fifo();

	completes_with(ctx, fd, POLLOUT);
	put(fd);
	completes_with(ctx, fd, POLLIN);
	completes_with(ctx, fd, POLLIN | POLLOUT);
	bystanders_submit(&by);
	drain(fd);
	fill(fd);
	drain(fd);
	EXPECT_NO_EVENT(ctx);
	EXPECT_UNDISTURBED(&by);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(regular_file),
	KTAP_CASE(pty_with_room),
	KTAP_CASE(fifo_with_data_or_room),
};

KTAP_MAIN(cases)
