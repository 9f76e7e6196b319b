// SPDX-License-Identifier: GPL-2.0-only
/*
 * A write to a unix socket carries pid, uid and gid of who submitted it
 * (SCM_CREDENTIALS), also when it had to wait: not those of the kernel's worker,
 * which would be root's.
 */
#include "child.h"
#include "parked.h"

#define UID	1234
#define GID	5678

struct scene {
	int fd;
	int said;		/* an eventfd: the request waits, or has done */
	bool change;		/* become somebody else meanwhile */
};

static void write_as_somebody(void *arg)
{
	struct scene *scene = arg;
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	ASSERT_OK(syscall(SYS_setresgid, GID, GID, GID));
	ASSERT_OK(syscall(SYS_setresuid, UID, UID, scene->change ? 0 : UID));
	submit_write(ctx, &iocb, scene->fd, "hello", 5);
	EXPECT_EQ(aio_pending_events(ctx), 0);
	if (scene->change)
		ASSERT_OK(syscall(SYS_setresuid, 0, 0, 0));
	put(scene->said);
	EXPECT_EQ(aio_event(ctx, &iocb), 5);
}

static void expect_sender(int fd, pid_t pid)
{
	char buf[4096], control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { buf, sizeof(buf) };
	struct cmsghdr *cmsg;
	struct ucred ucred;
	ssize_t got;

	/* First comes what filled the socket: zeros. */
	do {
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control, .msg_controllen = sizeof(control),
		};

		ASSERT(ready_ms(fd, POLLIN, AIO_EVENT_TIMEOUT_MS));
		got = ASSERT_OK(recvmsg(fd, &msg, 0));
		cmsg = CMSG_FIRSTHDR(&msg);
	} while (!buf[0]);
	ASSERT_EQ(got, 5);
	ASSERT(cmsg && cmsg->cmsg_type == SCM_CREDENTIALS);
	memcpy(&ucred, CMSG_DATA(cmsg), sizeof(ucred));
	EXPECT_EQ(ucred.pid, pid);
	EXPECT_EQ(ucred.uid, UID);
	EXPECT_EQ(ucred.gid, GID);
}

static void sent_with_credentials(int type, bool change)
{
	int fds[2], one = 1, status = -1;
	struct scene scene;
	pid_t pid;

	make_blocking_socketpair(type, fds);
	ASSERT_OK(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	fill_up(fds[1]);
	scene = (struct scene){ fds[1], make_eventfd(0), change };

	pid = ASSERT_OK(fork());
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(KTAP_CASE_TIMEOUT_S);
		write_as_somebody(&scene);
		_exit(ktap.case_failed);
	}
	if (ready_ms(scene.said, POLLIN, AIO_EVENT_TIMEOUT_MS))
		expect_sender(fds[0], pid);
	KTAP_HERE("waiting for a child to end");
	ASSERT_OK(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 0);
}

static void stream(void)
{
	sent_with_credentials(SOCK_STREAM, false);
}

static void datagram(void)
{
	sent_with_credentials(SOCK_DGRAM, false);
}

static void as_they_were_when_submitted(void)
{
	sent_with_credentials(SOCK_STREAM, true);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(stream),
	KTAP_CASE(datagram),
	KTAP_CASE(as_they_were_when_submitted),
};

KTAP_MAIN(cases)
