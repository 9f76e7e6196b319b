// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOCB_CMD_POLL of sockets: unix streams, unix datagrams, TCP on loopback.
 *
 * A socket has one wait queue for everything, so its polls are woken for events
 * they did not ask for and have to tell them apart.  A unix datagram socket that
 * is connected to a full one gets its POLLOUT by way of that peer's queue.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include "aio.h"

static void stream_gets_data(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_socketpair(SOCK_STREAM, fds);
	aio_poll(ctx, &iocb, fds[0], POLLIN);
	EXPECT_NO_EVENT(ctx);
	put(fds[1]);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
}

static void stream_gets_room(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_socketpair(SOCK_STREAM, fds);
	fill(fds[0]);
	aio_poll(ctx, &iocb, fds[0], POLLOUT);
	put(fds[1]);	/* wakes the same queue, but not for POLLOUT */
	EXPECT_NO_EVENT(ctx);
	drain(fds[1]);
	EXPECT_EVENT(ctx, &iocb, POLLOUT, POLLHUP | POLLERR);
}

static void dgram_waits_for_room_at_its_peer(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int server, client;

	server = keep_fd(ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)));
	client = keep_fd(ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)));
	snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "guest-test-%d", getpid());
	ASSERT_OK(bind(server, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_OK(connect(client, (struct sockaddr *)&addr, sizeof(addr)));
	while (send(client, "x", 1, 0) == 1)
		;
	ASSERT_EQ(ready_now(client, POLLOUT), 0);

	aio_poll(ctx, &iocb, client, POLLOUT);
	EXPECT_NO_EVENT(ctx);
	drain(server);
	EXPECT_EVENT(ctx, &iocb, POLLOUT, POLLHUP | POLLERR);
}

/* A listening socket on loopback, and one connected to it. */
static void make_tcp(int *listener, int *client)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);

	*listener = keep_fd(ASSERT_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)));
	*client = keep_fd(ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0)));
	if (bind(*listener, (struct sockaddr *)&addr, len))
		ktap_skip("no loopback: %s", strerror(errno));
	ASSERT_OK(listen(*listener, 1));
	ASSERT_OK(getsockname(*listener, (struct sockaddr *)&addr, &len));
	if (connect(*client, (struct sockaddr *)&addr, len))
		ktap_skip("no loopback: %s", strerror(errno));
	ASSERT_OK(fcntl(*client, F_SETFL, O_NONBLOCK));
}

static void tcp_from_connection_to_end(void)
{
	aio_context_t ctx = aio_setup(2);
	struct iocb in, rdhup;
	int listener, client, server;

	make_tcp(&listener, &client);
	aio_poll(ctx, &in, listener, POLLIN);
	EXPECT_EVENT(ctx, &in, POLLIN, POLLHUP | POLLERR);
	server = keep_fd(ASSERT_OK(accept(listener, NULL, NULL)));

	aio_poll(ctx, &in, server, POLLIN);
	aio_poll(ctx, &rdhup, server, POLLRDHUP);
	EXPECT_NO_EVENT(ctx);
	put(client);
	EXPECT_EVENT(ctx, &in, POLLIN, POLLRDHUP | POLLHUP | POLLERR);
	EXPECT_NO_EVENT(ctx);
	ASSERT_OK(shutdown(client, SHUT_WR));
	EXPECT_EVENT(ctx, &rdhup, POLLRDHUP, POLLHUP | POLLERR);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(stream_gets_data),
	KTAP_CASE(stream_gets_room),
	KTAP_CASE(dgram_waits_for_room_at_its_peer),
	KTAP_CASE(tcp_from_connection_to_end),
};

KTAP_MAIN(cases)
