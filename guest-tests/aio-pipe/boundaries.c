// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one read gives: on a stream what there is once there is something, 0 at its
 * end; of datagrams and packets one, never two merged and none split.
 */
#include "parked.h"

static char buf[256];

static void stream_gives_what_there_is(int fd, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	submit_read(ctx, &iocb, fd, buf, sizeof(buf));
	ASSERT_EQ(write(other, "abc", 3), 3);
	EXPECT_EQ(aio_event(ctx, &iocb), 3);
	submit_read(ctx, &iocb, fd, buf, 2);
	ASSERT_EQ(write(other, "defg", 4), 4);
	EXPECT_EQ(aio_event(ctx, &iocb), 2);
	submit_read(ctx, &iocb, fd, buf, sizeof(buf));
	EXPECT_EQ(aio_event(ctx, &iocb), 2);
	EXPECT(!memcmp(buf, "fg", 2));
}

static void pipe_is_a_stream(void)
{
	int fds[2];

	make_blocking_pipe(fds);
	stream_gives_what_there_is(fds[0], fds[1]);
}

static void tcp_is_a_stream(void)
{
	int fds[2];

	make_loopback_pair(SOCK_STREAM, fds);
	stream_gives_what_there_is(fds[0], fds[1]);
}

static void end_of_pipe(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	submit_read(ctx, &iocb, fds[0], buf, sizeof(buf));
	EXPECT_WAITS(ctx);
	ktap_close_now(fds[1]);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
	submit_read(ctx, &iocb, fds[0], buf, sizeof(buf));
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
}

static void end_of_socket(int fd, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	submit_read(ctx, &iocb, fd, buf, sizeof(buf));
	EXPECT_WAITS(ctx);
	ASSERT_OK(shutdown(other, SHUT_WR));
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
}

static void end_of_unix_stream(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	end_of_socket(fds[0], fds[1]);
}

static void end_of_tcp(void)
{
	int fds[2];

	make_loopback_pair(SOCK_STREAM, fds);
	end_of_socket(fds[0], fds[1]);
}

/* Both are there before the worker has a look, and each read gets one. */
static void messages_stay_apart(int fd, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	submit_read(ctx, &iocb, fd, buf, sizeof(buf));
	ASSERT_EQ(write(other, "first", 5), 5);
	ASSERT_EQ(write(other, "second", 6), 6);
	EXPECT_EQ(aio_event(ctx, &iocb), 5);
	EXPECT(!memcmp(buf, "first", 5));
	submit_read(ctx, &iocb, fd, buf, sizeof(buf));
	EXPECT_EQ(aio_event(ctx, &iocb), 6);
	EXPECT(!memcmp(buf, "second", 6));
}

static void unix_datagrams(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_DGRAM, fds);
	messages_stay_apart(fds[0], fds[1]);
}

static void udp_datagrams(void)
{
	int fds[2];

	make_loopback_pair(SOCK_DGRAM, fds);
	messages_stay_apart(fds[0], fds[1]);
}

static void unix_packets(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_SEQPACKET, fds);
	messages_stay_apart(fds[0], fds[1]);
}

static void pipe_packets(void)
{
	int fds[2];

	ASSERT_OK(pipe2(fds, O_DIRECT | O_CLOEXEC));
	ktap_defer_close(fds[0]);
	ktap_defer_close(fds[1]);
	messages_stay_apart(fds[0], fds[1]);
}

/* A packet that waited for room goes as one. */
static void parked_packet_stays_whole(void)
{
	static char packet[3000], in[4096];
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];
	ssize_t got;

	make_blocking_socketpair(SOCK_SEQPACKET, fds);
	fill_up(fds[1]);
	memset(packet, 'p', sizeof(packet));
	submit_write(ctx, &iocb, fds[1], packet, sizeof(packet));
	EXPECT_WAITS(ctx);
	do {
		ASSERT(ready_ms(fds[0], POLLIN, AIO_EVENT_TIMEOUT_MS));
		got = ASSERT_OK(read(fds[0], in, sizeof(in)));
	} while (in[0] != 'p');
	EXPECT_EQ(got, sizeof(packet));
	EXPECT_EQ(aio_event(ctx, &iocb), sizeof(packet));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pipe_is_a_stream),
	KTAP_CASE(tcp_is_a_stream),
	KTAP_CASE(end_of_pipe),
	KTAP_CASE(end_of_unix_stream),
	KTAP_CASE(end_of_tcp),
	KTAP_CASE(unix_datagrams),
	KTAP_CASE(udp_datagrams),
	KTAP_CASE(unix_packets),
	KTAP_CASE(pipe_packets),
	KTAP_CASE(parked_packet_stays_whole),
};

KTAP_MAIN(cases)
