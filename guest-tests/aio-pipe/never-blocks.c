// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_submit() of a read or write that cannot be done yet returns at once, on all
 * files that can be polled; the event comes when the file is ready.
 *
 * A stock kernel blocks in io_submit().
 */
#include <sys/timerfd.h>
#include <sys/un.h>
#include "parked.h"

static char buf[64], got[64];

static void read_waits_for_put(int fd, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	submit_read(ctx, &iocb, fd, buf, sizeof(buf));
	EXPECT_WAITS(ctx);
	put(other);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
	EXPECT_EQ(buf[0], 1);
}

static void write_waits_for_room(int fd, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	fill_up(fd);
	memset(buf, 'w', sizeof(buf));
	submit_write(ctx, &iocb, fd, buf, sizeof(buf));
	EXPECT_WAITS(ctx);
	read_behind_fill(other, got, sizeof(got));
	EXPECT_EQ(aio_event(ctx, &iocb), sizeof(buf));
	EXPECT(all_are(got, 'w', sizeof(got)));
}

static void pipe_read(void)
{
	int fds[2];

	make_blocking_pipe(fds);
	read_waits_for_put(fds[0], fds[1]);
}

static void pipe_write(void)
{
	int fds[2];

	make_blocking_pipe(fds);
	write_waits_for_room(fds[1], fds[0]);
}

static void fifo_read(void)
{
	int fd = make_blocking_fifo();

	read_waits_for_put(fd, fd);
}

static void fifo_write(void)
{
	int fd = make_blocking_fifo();

	write_waits_for_room(fd, fd);
}

static void unix_stream_read(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	read_waits_for_put(fds[0], fds[1]);
}

static void unix_stream_write(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	write_waits_for_room(fds[0], fds[1]);
}

static void unix_dgram_read(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_DGRAM, fds);
	read_waits_for_put(fds[0], fds[1]);
}

static void unix_dgram_write(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_DGRAM, fds);
	write_waits_for_room(fds[0], fds[1]);
}

/* Full is the queue of the peer, who is not connected back: it wakes us then. */
static void unix_dgram_write_to_a_full_peer(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int server, client;

	server = keep_fd(ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0)));
	client = keep_fd(ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0)));
	snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "aio-pipe-%d", getpid());
	ASSERT_OK(bind(server, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_OK(connect(client, (struct sockaddr *)&addr, sizeof(addr)));
	write_waits_for_room(client, server);
}

static void unix_seqpacket_write(void)
{
	int fds[2];

	make_blocking_socketpair(SOCK_SEQPACKET, fds);
	write_waits_for_room(fds[0], fds[1]);
}

static void tcp_read(void)
{
	int fds[2];

	make_loopback_pair(SOCK_STREAM, fds);
	read_waits_for_put(fds[0], fds[1]);
}

static void tcp_write(void)
{
	int fds[2];

	make_loopback_pair(SOCK_STREAM, fds);
	write_waits_for_room(fds[1], fds[0]);
}

static void udp_read(void)
{
	int fds[2];

	make_loopback_pair(SOCK_DGRAM, fds);
	read_waits_for_put(fds[0], fds[1]);
}

static void eventfd_counts(void)
{
	int fd = make_eventfd(0);

	set_nonblock(fd, false);
	read_waits_for_put(fd, fd);
}

static void expire_in(int fd, long ns)
{
	struct itimerspec when = { .it_value.tv_nsec = ns };

	ASSERT_OK(timerfd_settime(fd, 0, &when, NULL));
}

static void timerfd_expires(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fd;

	fd = keep_fd(ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)));
	expire_in(fd, 1);
	aio_prep_rw(&iocb, IOCB_CMD_PREAD, fd, buf, 8, 0);
	if (aio_submit(ctx, &iocb) == -EINVAL)
		ktap_skip("no ->read_iter() in timerfds");
	EXPECT_EQ(aio_event(ctx, &iocb), 8);

	submit(ctx, &iocb);
	EXPECT_WAITS(ctx);
	expire_in(fd, 1);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
	EXPECT_EQ(buf[0], 1);
}

static void vectors(void)
{
	static char a[4], b[4];
	static struct iovec iov[] = { { a, 4 }, { b, 4 } };
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	aio_prep_rw(&iocb, IOCB_CMD_PREADV, fds[0], iov, 2, 0);
	submit(ctx, &iocb);
	EXPECT_WAITS(ctx);
	ASSERT_EQ(write(fds[1], "frontend", 8), 8);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
	EXPECT(!memcmp(a, "fron", 4) && !memcmp(b, "tend", 4));

	fill_up(fds[1]);
	aio_prep_rw(&iocb, IOCB_CMD_PWRITEV, fds[1], iov, 2, 0);
	submit(ctx, &iocb);
	EXPECT_WAITS(ctx);
	read_behind_fill(fds[0], got, 8);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
	EXPECT(!memcmp(got, "frontend", 8));
}

/* The result eventfd counts the request when it is done, not before. */
static void result_eventfd(void)
{
	int fds[2], efd = make_eventfd(0);
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	make_blocking_pipe(fds);
	aio_prep_rw(&iocb, IOCB_CMD_PREAD, fds[0], buf, sizeof(buf), 0);
	iocb.aio_flags = IOCB_FLAG_RESFD;
	iocb.aio_resfd = efd;
	submit(ctx, &iocb);
	let_retries_run();
	EXPECT_EQ(ready_now(efd, POLLIN), 0);
	put(fds[1]);
	EXPECT_EQ(ready_ms(efd, POLLIN, AIO_EVENT_TIMEOUT_MS), POLLIN);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pipe_read),
	KTAP_CASE(pipe_write),
	KTAP_CASE(fifo_read),
	KTAP_CASE(fifo_write),
	KTAP_CASE(unix_stream_read),
	KTAP_CASE(unix_stream_write),
	KTAP_CASE(unix_dgram_read),
	KTAP_CASE(unix_dgram_write),
	KTAP_CASE(unix_dgram_write_to_a_full_peer),
	KTAP_CASE(unix_seqpacket_write),
	KTAP_CASE(tcp_read),
	KTAP_CASE(tcp_write),
	KTAP_CASE(udp_read),
	KTAP_CASE(eventfd_counts),
	KTAP_CASE(timerfd_expires),
	KTAP_CASE(vectors),
	KTAP_CASE(result_eventfd),
};

KTAP_MAIN(cases)
