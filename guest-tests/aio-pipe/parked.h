/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads and writes that have to wait for their file, and an io_submit() that must
 * not.
 *
 * Nearly all files here are without O_NONBLOCK, unlike those of files.h.  Buffers
 * of requests are static: a case that fails leaves requests behind.
 */
#ifndef AIO_PIPE_PARKED_H
#define AIO_PIPE_PARKED_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/uio.h>
#include "aio.h"

/* An io_submit() that blocks is let go after this, with a signal. */
#define BLOCKED_MS	1500

static volatile sig_atomic_t io_submit_blocked;

static void on_blocked(int sig)
{
	(void)sig;
	io_submit_blocked = true;
}

static inline timer_t blocked_timer(void)
{
	struct sigaction act = { .sa_handler = on_blocked };	/* no SA_RESTART */
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = gettid(),
	};
	struct itimerspec when = {
		.it_value = { BLOCKED_MS / 1000, BLOCKED_MS % 1000 * 1000000 },
		.it_interval = { 0, 100 * 1000000 },
	};
	timer_t timer;

	io_submit_blocked = false;
	ASSERT_OK(sigaction(SIGUSR1, &act, NULL));
	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	ASSERT_OK(timer_settime(timer, 0, &when, NULL));
	return timer;
}

/* Submit @nr iocbs: all of them are taken, and that does not wait for a file. */
static inline void submit_nr_here(aio_context_t ctx, int nr, struct iocb **iocbs)
{
	const char *file = ktap.file;
	int line = ktap.line;
	timer_t timer = blocked_timer();
	int ret, err;

	ret = io_submit(ctx, nr, iocbs);
	err = errno;
	timer_delete(timer);
	ktap_here(file, line, "io_submit");
	if (io_submit_blocked) {
		ktap_fail("io_submit blocked %d ms", BLOCKED_MS);
		ktap_leave();
	}
	if (ret == nr)
		return;
	if (ret < 0)
		ktap_fail_errno("io_submit", err);
	else
		ktap_fail("io_submit took %d of %d", ret, nr);
	ktap_leave();
}

#define submit_nr(ctx, nr, iocbs) do {					\
	KTAP_HERE("io_submit");						\
	submit_nr_here(ctx, nr, iocbs);					\
} while (0)

static inline void submit_here(aio_context_t ctx, struct iocb *iocb)
{
	submit_nr_here(ctx, 1, &iocb);
}

#define submit(ctx, iocb) do {						\
	KTAP_HERE("io_submit");						\
	submit_here(ctx, iocb);						\
} while (0)

#define submit_read(ctx, iocb, fd, buf, len) do {			\
	aio_prep_rw(iocb, IOCB_CMD_PREAD, fd, buf, len, 0);		\
	submit(ctx, iocb);						\
} while (0)

#define submit_write(ctx, iocb, fd, buf, len) do {			\
	aio_prep_rw(iocb, IOCB_CMD_PWRITE, fd, buf, len, 0);		\
	submit(ctx, iocb);						\
} while (0)

/*
 * Let retries that are due be done.  A retry that finds nothing to do cannot be
 * seen from outside, so this is the one place that gives them time.
 */
static inline void let_retries_run(void)
{
	usleep(20000);
}

#define EXPECT_WAITS(ctx) do {						\
	let_retries_run();						\
	EXPECT_EQ(aio_pending_events(ctx), 0);				\
} while (0)

static inline void set_nonblock(int fd, bool on)
{
	int flags = ASSERT_OK(fcntl(fd, F_GETFL));

	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	ASSERT_OK(fcntl(fd, F_SETFL, flags));
}

static inline void make_blocking_pipe(int fds[2])
{
	ASSERT_OK(pipe2(fds, O_CLOEXEC));
	ktap_defer_close(fds[0]);
	ktap_defer_close(fds[1]);
}

static inline void make_blocking_socketpair(int type, int fds[2])
{
	ASSERT_OK(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds));
	ktap_defer_close(fds[0]);
	ktap_defer_close(fds[1]);
}

/* A FIFO opened O_RDWR. */
static inline int make_blocking_fifo(void)
{
	int fd = make_fifo();

	set_nonblock(fd, false);
	return fd;
}

static inline void make_loopback_pair(int type, int fds[2])
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr *sa = (struct sockaddr *)&addr;
	socklen_t len = sizeof(addr);
	int fd;

	fd = keep_fd(ASSERT_OK(socket(AF_INET, type | SOCK_CLOEXEC, 0)));
	if (bind(fd, sa, len))
		ktap_skip("no loopback: %s", strerror(errno));
	if (type == SOCK_STREAM)
		ASSERT_OK(listen(fd, 1));
	ASSERT_OK(getsockname(fd, sa, &len));
	fds[1] = keep_fd(ASSERT_OK(socket(AF_INET, type | SOCK_CLOEXEC, 0)));
	if (connect(fds[1], sa, len))
		ktap_skip("no loopback: %s", strerror(errno));
	fds[0] = type == SOCK_STREAM ? keep_fd(ASSERT_OK(accept(fd, NULL, NULL))) : fd;
}

/* fill() and drain() of a file that blocks otherwise. */
static inline void fill_up(int fd)
{
	set_nonblock(fd, true);
	fill(fd);
	set_nonblock(fd, false);
}

static inline void drain_all(int fd)
{
	set_nonblock(fd, true);
	drain(fd);
	set_nonblock(fd, false);
}

/* Bytes that tell their place. */
static inline void pattern(char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = i % 251 + 1;
}

static inline bool all_are(const char *buf, char c, size_t len)
{
	while (len)
		if (buf[--len] != c)
			return false;
	return true;
}

/* Read exactly @len bytes, which are due. */
static inline void read_all_here(int fd, char *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t ret;

		if (!ready_ms(fd, POLLIN, AIO_EVENT_TIMEOUT_MS)) {
			ktap_fail("%zu of %zu bytes came", got, len);
			ktap_leave();
		}
		ret = read(fd, buf + got, len - got);
		if (ret <= 0) {
			ktap_fail("read() is %zd after %zu of %zu bytes", ret, got, len);
			ktap_leave();
		}
		got += ret;
	}
}

#define read_all(fd, buf, len) do {					\
	KTAP_HERE("read");						\
	read_all_here(fd, buf, len);					\
} while (0)

/*
 * What comes behind that which fill() put there, zeros: @len bytes, none of them
 * 0.  The room for it is made by this.
 */
static inline void read_behind_fill_here(int fd, char *buf, size_t len)
{
	static char in[65536];
	size_t got = 0;
	ssize_t ret, i;

	while (got < len) {
		if (!ready_ms(fd, POLLIN, AIO_EVENT_TIMEOUT_MS)) {
			ktap_fail("%zu of %zu bytes came", got, len);
			ktap_leave();
		}
		ret = read(fd, in, sizeof(in));
		if (ret <= 0) {
			ktap_fail("read() is %zd after %zu of %zu bytes", ret, got, len);
			ktap_leave();
		}
		for (i = 0; i < ret; i++)
			if (in[i] && got < len)
				buf[got++] = in[i];
	}
}

#define read_behind_fill(fd, buf, len) do {				\
	KTAP_HERE("read");						\
	read_behind_fill_here(fd, buf, len);				\
} while (0)

#endif /* AIO_PIPE_PARKED_H */
