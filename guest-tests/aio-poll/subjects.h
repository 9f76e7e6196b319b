/* SPDX-License-Identifier: GPL-2.0-only */
/* Files to race on, for more than one test: see struct subject. */
#ifndef AIO_POLL_SUBJECTS_H
#define AIO_POLL_SUBJECTS_H

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include "race.h"

static void subject_put(void *data)
{
	struct subject *subject = data;

	put(subject->other);
}

static inline void subject_drain(struct subject *subject)
{
	drain(subject->fd);
}

static inline struct subject *pipe_subject(void)
{
	static struct subject subject = {
		.events = POLLIN, .fire = subject_put, .reset = subject_drain,
	};
	int fds[2];

	make_pipe(fds);
	subject.fd = fds[0];
	subject.other = fds[1];
	return &subject;
}

/* @fd can be written to, and then read. */
static inline struct subject *loop_subject(int fd)
{
	static struct subject subject = {
		.events = POLLIN, .fire = subject_put, .reset = subject_drain,
	};

	subject.fd = fd;
	subject.other = fd;
	return &subject;
}

static inline void timer_start(int fd, int64_t ns)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 },
	};

	timerfd_settime(fd, 0, &when, NULL);
}

static inline void timer_stop(int fd)
{
	timer_start(fd, 0);
	drain(fd);
}

static inline int make_timerfd(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0 && errno == ENOSYS)
		ktap_skip("no timerfds here: CONFIG_TIMERFD");
	ASSERT_OK(fd);
	return keep_fd(fd);
}

static inline void timer_fire_in(struct subject *subject, int64_t ns)
{
	timer_start(subject->other, ns);
}

static inline void timer_reset(struct subject *subject)
{
	timer_stop(subject->other);
}

/* Becomes ready by itself, in a hard interrupt: a race with one CPU alone. */
static inline struct subject *timer_subject(void)
{
	static struct subject subject = {
		.events = POLLIN, .fire_in = timer_fire_in, .reset = timer_reset,
	};

	subject.fd = subject.other = make_timerfd();
	return &subject;
}

static inline void pty_reset(struct subject *subject)
{
	/* What has been written is on its way still. */
	ready_ms(subject->fd, POLLIN, AIO_EVENT_TIMEOUT_MS);
	drain(subject->fd);
}

static inline struct subject *pty_subject(void)
{
	static struct subject subject = {
		.events = POLLIN, .fire = subject_put, .reset = pty_reset,
	};

	make_pty(&subject.other, &subject.fd);
	return &subject;
}

/*
 * An epoll instance looks at all files on its ready list.  When many got on it
 * that are not ready any more its ->poll() takes long, and has registered us
 * before: a wide window for the wake-up that comes meanwhile.
 */
#define NR_STALE	800

static void make_stale(int fd)
{
	put(fd);
	drain(fd);
}

static void epoll_reset(struct subject *subject)
{
	drain(subject->other);
	make_stale(subject->more);
}

static inline void epoll_watch(int epfd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	ASSERT_OK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

/* An eventfd for make_stale(), which is many files to @epfd. */
static inline int epoll_watch_many(int epfd)
{
	struct rlimit files = { .rlim_cur = 4 * NR_STALE, .rlim_max = 4 * NR_STALE };
	int i, fd = make_eventfd(0);

	/* Most shells leave us 1024. */
	ASSERT_OK(setrlimit(RLIMIT_NOFILE, &files));
	for (i = 0; i < NR_STALE; i++)
		epoll_watch(epfd, keep_fd(ASSERT_OK(fcntl(fd, F_DUPFD_CLOEXEC, 0))));
	return fd;
}

/* Ready when @watched is. */
static inline struct subject *slow_epoll_subject(int watched)
{
	static struct subject subject;

	subject = (struct subject) {
		.fd = keep_fd(ASSERT_OK(epoll_create1(EPOLL_CLOEXEC))),
		.events = POLLIN,
		.other = watched,
		.fire = subject_put,
		.reset = epoll_reset,
	};
	epoll_watch(subject.fd, watched);
	subject.more = epoll_watch_many(subject.fd);
	make_stale(subject.more);
	return &subject;
}

#endif /* AIO_POLL_SUBJECTS_H */
