/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files to test on.  Each function leaves the case when it can't do its work,
 * and closes what it opened when the case ends.
 */
#ifndef GUEST_TESTS_FILES_H
#define GUEST_TESTS_FILES_H

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include "ktap.h"

static inline int keep_fd(int fd)
{
	ktap_defer_close(fd);
	return fd;
}

/* Both ends are O_NONBLOCK, as everywhere in this file, for fill() and drain(). */
static inline void make_pipe(int fds[2])
{
	ASSERT_OK(pipe2(fds, O_NONBLOCK | O_CLOEXEC));
	ktap_defer_close(fds[0]);
	ktap_defer_close(fds[1]);
}

static inline void make_socketpair(int type, int fds[2])
{
	ASSERT_OK(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	ktap_defer_close(fds[0]);
	ktap_defer_close(fds[1]);
}

static inline int make_eventfd(uint64_t count)
{
	int fd = ASSERT_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

	ktap_defer_close(fd);
	if (count)
		ASSERT_EQ(write(fd, &count, sizeof(count)), sizeof(count));
	return fd;
}

/* A FIFO opened O_RDWR: one file on two wait queues. */
static inline int make_fifo(void)
{
	char dir[PATH_MAX], path[PATH_MAX + 8];
	const char *tmp = getenv("TMPDIR");
	int fd, ret;

	snprintf(dir, sizeof(dir), "%s/guest-test.XXXXXX", tmp ? tmp : "/tmp");
	ASSERT(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	ret = mkfifo(path, 0600);
	fd = ret ? -1 : open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	ret = errno;
	unlink(path);
	rmdir(dir);
	errno = ret;
	ASSERT_OK(fd);
	return keep_fd(fd);
}

/*
 * An empty regular file in @dir that nobody else has.  In a guest of ours
 * /var/tmp is overlayfs on tmpfs, and /tmp a tmpfs.
 */
static inline int make_file(const char *dir, int flags)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/guest-test.XXXXXX", dir);
	KTAP_HERE("make_file");
	fd = mkostemp(path, flags | O_CLOEXEC);
	if (fd < 0) {
		ktap_fail_errno(path, errno);
		ktap_leave();
	}
	unlink(path);
	return keep_fd(fd);
}

/* A raw pseudo-terminal: each side is one file on two wait queues. */
static inline void make_pty(int *master, int *slave)
{
	struct termios tio;
	char name[64];

	*master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (*master < 0 && (errno == ENOENT || errno == ENODEV))
		ktap_skip("no pseudo-terminals here");
	ASSERT_OK(*master);
	ktap_defer_close(*master);
	ASSERT_OK(unlockpt(*master));
	ASSERT_EQ(ptsname_r(*master, name, sizeof(name)), 0);
	*slave = ASSERT_OK(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
	ktap_defer_close(*slave);
	ASSERT_OK(tcgetattr(*slave, &tio));
	cfmakeraw(&tio);
	ASSERT_OK(tcsetattr(*slave, TCSANOW, &tio));
}

/* Eight bytes suit every file, eventfds included.  Safe in other threads. */
static inline void put(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Write until nothing more goes in. */
static inline void fill(int fd)
{
	static const char zeros[4096];

	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	while (write(fd, zeros, 1) > 0)
		;
}

/* Read until nothing more comes out. */
static inline void drain(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

/* poll(2) for @events: what of them is there within @timeout_ms. */
static inline int ready_ms(int fd, int events, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int ret;

	do {
		ret = poll(&pfd, 1, timeout_ms);
	} while (ret < 0 && errno == EINTR);
	return ret > 0 ? pfd.revents : 0;
}

#define ready_now(fd, events) ready_ms(fd, events, 0)

#endif /* GUEST_TESTS_FILES_H */
