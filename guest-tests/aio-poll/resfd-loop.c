// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two polls of an epoll instance that watches a pipe and the eventfd which both
 * polls signal (IOCB_FLAG_RESFD).
 *
 * The pipe's wake-up completes the first poll under the lock of the instance's
 * wait queue.  A kernel that signals the eventfd at once wakes the instance with
 * that, finds the second poll waiting and takes the lock again: the CPU hangs,
 * with interrupts off.  That is Linux 6.1, which has a guard against eventfds
 * that signal eventfds only.
 */
#include <sys/epoll.h>
#include "aio.h"

static void watch(int epfd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	ASSERT_OK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

static void second_poll_waits_on_the_queue(void)
{
	int epfd = keep_fd(ASSERT_OK(epoll_create1(EPOLL_CLOEXEC)));
	int resfd = make_eventfd(0), pipe_fds[2], i, round;
	aio_context_t ctx = aio_setup(2);
	struct io_event events[2];
	struct iocb iocb[2];

	make_pipe(pipe_fds);
	watch(epfd, pipe_fds[0]);
	watch(epfd, resfd);
	for (round = 0; round < 50; round++) {
		uint64_t count;

		for (i = 0; i < 2; i++) {
			aio_prep_poll(&iocb[i], epfd, POLLIN);
			iocb[i].aio_flags = IOCB_FLAG_RESFD;
			iocb[i].aio_resfd = resfd;
			ASSERT_EQ(aio_submit(ctx, &iocb[i]), 0);
		}
		put(pipe_fds[1]);
		ASSERT_EQ(aio_wait(ctx, 2, 2, events, AIO_EVENT_TIMEOUT_MS), 2);
		drain(pipe_fds[0]);
		/* Both are counted, if maybe a moment after their events. */
		for (i = 0; i < 2; i += count) {
			ASSERT_EQ(ready_ms(resfd, POLLIN, AIO_EVENT_TIMEOUT_MS), POLLIN);
			ASSERT_EQ(read(resfd, &count, sizeof(count)), sizeof(count));
		}
		ASSERT_EQ(i, 2);
	}
	EXPECT_NO_EVENT(ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(second_poll_waits_on_the_queue),
};

KTAP_MAIN(cases)
