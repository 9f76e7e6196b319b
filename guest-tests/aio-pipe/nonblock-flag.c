// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who asks for EAGAIN gets it, as ever: with O_NONBLOCK, or with RWF_NOWAIT, which
 * io_submit() refuses for files that do not say they can.
 */
#include "parked.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x08
#endif

static char buf[16];

static void answers_at_once(int opcode, int fd, int rw_flags)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	aio_prep_rw(&iocb, opcode, fd, buf, sizeof(buf), 0);
	iocb.aio_rw_flags = rw_flags;
	submit(ctx, &iocb);
	EXPECT_EQ(aio_event(ctx, &iocb), -EAGAIN);
}

static void pipe_with_o_nonblock(void)
{
	int fds[2];

	make_pipe(fds);
	answers_at_once(IOCB_CMD_PREAD, fds[0], 0);
	fill(fds[1]);
	answers_at_once(IOCB_CMD_PWRITE, fds[1], 0);
}

static void socket_with_o_nonblock(void)
{
	int fds[2];

	make_socketpair(SOCK_STREAM, fds);
	answers_at_once(IOCB_CMD_PREAD, fds[0], 0);
	fill(fds[0]);
	answers_at_once(IOCB_CMD_PWRITE, fds[0], 0);
}

/* Since pipes and sockets say that they can, which they did not in Linux 6.1. */
static void answers_or_refuses(int opcode, int fd)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	aio_prep_rw(&iocb, opcode, fd, buf, sizeof(buf), 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	if (aio_submit(ctx, &iocb) == -EOPNOTSUPP)
		return;
	EXPECT_EQ(aio_event(ctx, &iocb), -EAGAIN);
}

static void pipe_with_rwf_nowait(void)
{
	int fds[2];

	make_blocking_pipe(fds);
	answers_or_refuses(IOCB_CMD_PREAD, fds[0]);
	fill_up(fds[1]);
	answers_or_refuses(IOCB_CMD_PWRITE, fds[1]);
}

static void socket_with_rwf_nowait(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	answers_or_refuses(IOCB_CMD_PREAD, fds[0]);
}

static void fifo_with_rwf_nowait(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_blocking_fifo();
	struct iocb iocb;

	aio_prep_rw(&iocb, IOCB_CMD_PREAD, fd, buf, sizeof(buf), 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	EXPECT_EQ(aio_submit(ctx, &iocb), -EOPNOTSUPP);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pipe_with_o_nonblock),
	KTAP_CASE(socket_with_o_nonblock),
	KTAP_CASE(pipe_with_rwf_nowait),
	KTAP_CASE(socket_with_rwf_nowait),
	KTAP_CASE(fifo_with_rwf_nowait),
};

KTAP_MAIN(cases)
