// SPDX-License-Identifier: GPL-2.0-only
/*
 * Polls that signal an eventfd when they complete (IOCB_FLAG_RESFD).
 *
 * A poll completes from a wake-up, with the lock of the polled file's wait queue
 * held.  Signalling an eventfd wakes that one's queue, and what watches it.  If
 * that leads back to the polled file (it is the eventfd itself, or an epoll
 * instance that watches it) a kernel that signals at once deadlocks on the lock,
 * or meets its own guard against recursion and loses the count.
 */
#include <sys/epoll.h>
#include "aio.h"

static void aio_prep_notify(struct iocb *iocb, int fd, unsigned int events, int resfd)
{
	aio_prep_poll(iocb, fd, events);
	iocb->aio_flags = IOCB_FLAG_RESFD;
	iocb->aio_resfd = resfd;
}

/* The count of @fd, once it has reached @want. */
static uint64_t count_reaches(int fd, uint64_t want)
{
	uint64_t sum = 0, count;

	while (sum < want && ready_ms(fd, POLLIN, AIO_EVENT_TIMEOUT_MS)) {
		ASSERT_EQ(read(fd, &count, sizeof(count)), sizeof(count));
		sum += count;
	}
	return sum;
}

static void watch(int epfd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	ASSERT_OK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

static void counts_each_completion(void)
{
	aio_context_t ctx = aio_setup(AIO_BATCH);
	int resfd = make_eventfd(0), fd = make_eventfd(0), i;
	struct aio_batch batch = { .ctx = ctx };

	for (i = 0; i < AIO_BATCH; i++)
		aio_prep_notify(&batch.iocb[i], fd, POLLIN, resfd);
	aio_batch_submit(&batch);
	EXPECT_EQ(ready_now(resfd, POLLIN), 0);
	put(fd);
	EXPECT_EQ(count_reaches(resfd, AIO_BATCH), AIO_BATCH);
	/* The event is there before the count that tells of it. */
	EXPECT_EQ(aio_pending_events(ctx), AIO_BATCH);
	EXPECT_NO_EVENT(ctx);
	EXPECT_EQ(ready_now(resfd, POLLIN), 0);
}

static void tells_of_ready_at_once_and_of_cancelled(void)
{
	aio_context_t ctx = aio_setup(1);
	int resfd = make_eventfd(0), fd = make_eventfd(0);
	struct iocb iocb;

	aio_prep_notify(&iocb, fd, POLLOUT, resfd);
	ASSERT_EQ(aio_submit(ctx, &iocb), 0);
	EXPECT_EQ(count_reaches(resfd, 1), 1);
	EXPECT_EVENT(ctx, &iocb, POLLOUT, POLLIN);

	aio_prep_notify(&iocb, fd, POLLIN, resfd);
	ASSERT_EQ(aio_submit(ctx, &iocb), 0);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(count_reaches(resfd, 1), 1);
	EXPECT_EQ(aio_event(ctx, &iocb), 0);
}

static void polled_file_is_the_eventfd(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_eventfd(0), i;
	struct iocb iocb;

	for (i = 0; i < 50; i++) {
		aio_prep_notify(&iocb, fd, POLLIN, fd);
		ASSERT_EQ(aio_submit(ctx, &iocb), 0);
		put(fd);
		EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
		/* Ours and the kernel's. */
		ASSERT_EQ(count_reaches(fd, 2), 2);
	}
}

static void polled_epoll_watches_the_eventfd(void)
{
	int resfd = make_eventfd(0), fd = make_eventfd(0), i;
	int epfd = keep_fd(ASSERT_OK(epoll_create1(EPOLL_CLOEXEC)));
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	watch(epfd, resfd);
	watch(epfd, fd);
	for (i = 0; i < 50; i++) {
		aio_prep_notify(&iocb, epfd, POLLIN, resfd);
		ASSERT_EQ(aio_submit(ctx, &iocb), 0);
		put(fd);
		EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR);
		ASSERT_EQ(count_reaches(resfd, 1), 1);
		drain(fd);
	}
	EXPECT_NO_EVENT(ctx);
}

/* Each one's completion is the other's wake-up. */
static void two_eventfds_in_a_circle(void)
{
	aio_context_t ctx = aio_setup(2);
	int first = make_eventfd(0), second = make_eventfd(0);
	struct io_event events[2];
	struct iocb iocb[2];

	aio_prep_notify(&iocb[0], first, POLLIN, second);
	aio_prep_notify(&iocb[1], second, POLLIN, first);
	ASSERT_EQ(aio_submit(ctx, &iocb[0]), 0);
	ASSERT_EQ(aio_submit(ctx, &iocb[1]), 0);
	put(first);
	EXPECT_EQ(aio_wait(ctx, 2, 2, events, AIO_EVENT_TIMEOUT_MS), 2);
	EXPECT_EQ(count_reaches(first, 2), 2);
	EXPECT_EQ(count_reaches(second, 1), 1);
	EXPECT_NO_EVENT(ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(counts_each_completion),
	KTAP_CASE(tells_of_ready_at_once_and_of_cancelled),
	KTAP_CASE(polled_file_is_the_eventfd),
	KTAP_CASE(polled_epoll_watches_the_eventfd),
	KTAP_CASE(two_eventfds_in_a_circle),
};

KTAP_MAIN(cases)
