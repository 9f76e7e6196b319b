// SPDX-License-Identifier: GPL-2.0-only
/*
 * A write that is larger than what its file takes at once goes on until all of it
 * is taken, in order; an error after some bytes reports these bytes.
 */
#include "parked.h"

#define SIZE	(1 << 20)

static char out[SIZE], in[SIZE];

static void write_arrives_whole(int fd, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	pattern(out, SIZE);
	memset(in, 0, SIZE);
	submit_write(ctx, &iocb, fd, out, SIZE);
	EXPECT_WAITS(ctx);
	read_all(other, in, SIZE);
	EXPECT_EQ(aio_event(ctx, &iocb), SIZE);
	EXPECT(!memcmp(in, out, SIZE));
}

static void to_pipe(void)
{
	int fds[2];

	make_blocking_pipe(fds);
	write_arrives_whole(fds[1], fds[0]);
}

static void to_unix_stream(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	write_arrives_whole(fds[1], fds[0]);
}

static void to_tcp(void)
{
	int fds[2], size = 65536;

	make_loopback_pair(SOCK_STREAM, fds);
	/* A megabyte would fit otherwise. */
	ASSERT_OK(setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	ASSERT_OK(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	write_arrives_whole(fds[1], fds[0]);
}

/* The tries end in the middle of segments, and on their borders. */
static void vector_to_pipe(void)
{
	static struct iovec iov[256];
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	size_t at = 0;
	int i, fds[2];

	pattern(out, SIZE);
	memset(in, 0, SIZE);
	for (i = 0; i < 256; i++) {
		iov[i].iov_base = out + at;
		iov[i].iov_len = i % 16 ? i * 13 : 4096;
		at += iov[i].iov_len;
	}
	make_blocking_pipe(fds);
	aio_prep_rw(&iocb, IOCB_CMD_PWRITEV, fds[1], iov, 256, 0);
	submit(ctx, &iocb);
	read_all(fds[0], in, at);
	EXPECT_EQ(aio_event(ctx, &iocb), at);
	EXPECT(!memcmp(in, out, at));
}

static void reader_goes(int fd, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	long res;

	submit_write(ctx, &iocb, fd, out, SIZE);
	read_all(other, in, 100000);
	EXPECT_WAITS(ctx);
	ktap_close_now(other);
	res = aio_event(ctx, &iocb);
	EXPECT(res >= 100000 && res < SIZE);
}

static void pipe_reader_goes(void)
{
	int fds[2];

	make_blocking_pipe(fds);
	reader_goes(fds[1], fds[0]);
}

static void socket_reader_goes(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	reader_goes(fds[1], fds[0]);
}

/* Nothing was taken: the error itself. */
static void reader_goes_before_the_first_byte(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	fill_up(fds[1]);
	submit_write(ctx, &iocb, fds[1], out, 1);
	EXPECT_WAITS(ctx);
	ktap_close_now(fds[0]);
	EXPECT_EQ(aio_event(ctx, &iocb), -EPIPE);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(to_pipe),
	KTAP_CASE(to_unix_stream),
	KTAP_CASE(to_tcp),
	KTAP_CASE(vector_to_pipe),
	KTAP_CASE(pipe_reader_goes),
	KTAP_CASE(socket_reader_goes),
	KTAP_CASE(reader_goes_before_the_first_byte),
};

KTAP_MAIN(cases)
