/* SPDX-License-Identifier: GPL-2.0-only */
/* The files of a ring.  Each function gives -1, and errno, when it can't. */
#ifndef AIO_PIPE_LINKS_H
#define AIO_PIPE_LINKS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

enum file { FILE_PIPE, FILE_UNIX, FILE_TCP, NR_FILES };

static inline int link_open_tcp(int listener, struct sockaddr_in *addr, int fds[2])
{
	struct linger reset = { .l_onoff = 1 };	/* no TIME_WAIT of thousands */
	int one = 1;

	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[1] < 0 || connect(fds[1], (struct sockaddr *)addr, sizeof(*addr)))
		return -1;
	fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fds[0] < 0)
		return -1;
	setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static inline int listen_tcp(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd, err;

	*addr = (struct sockaddr_in) {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !bind(fd, (struct sockaddr *)addr, len) && !listen(fd, 1) &&
	    !getsockname(fd, (struct sockaddr *)addr, &len))
		return fd;
	err = errno;
	if (fd >= 0)
		close(fd);
	errno = err;
	return -1;
}

/* In fds[0] what is read from, in fds[1] what is written to. */
static inline int link_open(enum file file, bool small, int fds[2])
{
	int size = 1;	/* the least possible */

	if (file == FILE_PIPE) {
		if (pipe2(fds, O_CLOEXEC))
			return -1;
		return small && fcntl(fds[1], F_SETPIPE_SZ, size) < 0 ? -1 : 0;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -1;
	return small ? setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) : 0;
}

#endif /* AIO_PIPE_LINKS_H */
