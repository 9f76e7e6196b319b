// SPDX-License-Identifier: GPL-2.0-only
/*
 * A socket that waits for something of which its waitqueue knows nothing has to go
 * on to do so by itself: the request completes, though io_submit() takes its time.
 */
#include <linux/netlink.h>
#include <pthread.h>
#include "parked.h"

#define DRAIN_MS	100

static char message[1024];

static int netlink_socket(uint32_t *portid)
{
	int fd = ASSERT_OK(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_USERSOCK));
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(addr);

	ktap_defer_close(fd);
	ASSERT_OK(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_OK(getsockname(fd, (struct sockaddr *)&addr, &len));
	*portid = addr.nl_pid;
	return fd;
}

static void *drain_later(void *arg)
{
	usleep(DRAIN_MS * 1000);
	while (recv(*(int *)arg, message, sizeof(message), MSG_DONTWAIT) > 0)
		;
	return NULL;
}

/* It is the receiver's queue that is full, and the sender's that is polled. */
static void netlink_write_waits_for_the_receiver(void)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb, *iocbs = &iocb;
	static int receiver;
	pthread_t thread;
	uint32_t portid;
	int sender;

	sender = netlink_socket(&portid);
	receiver = netlink_socket(&to.nl_pid);
	ASSERT_OK(connect(sender, (struct sockaddr *)&to, sizeof(to)));
	while (send(sender, message, sizeof(message), MSG_DONTWAIT) > 0)
		;
	ASSERT_EQ(errno, EAGAIN);

	ASSERT_EQ(pthread_create(&thread, NULL, drain_later, &receiver), 0);
	aio_prep_rw(&iocb, IOCB_CMD_PWRITE, sender, message, sizeof(message), 0);
	KTAP_HERE("io_submit");
	EXPECT_EQ(io_submit(ctx, 1, &iocbs), 1);
	EXPECT_EQ(aio_event(ctx, &iocb), sizeof(message));
	pthread_join(thread, NULL);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(netlink_write_waits_for_the_receiver),
};

KTAP_MAIN(cases)
