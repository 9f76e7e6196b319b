// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_pgetevents() waits with a signal mask of its own: what that lets through
 * ends the wait with EINTR, what it holds is delivered afterwards, and the old
 * mask is there again on every way out.
 */
#include "aio.h"

#define KERNEL_SIGSET_BYTES	8

static volatile sig_atomic_t heard;

static void on_signal(int sig)
{
	(void)sig;
	heard++;
}

static void unblock(uintptr_t sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* SIGUSR1 has a handler, and is blocked or not. */
static void setup_signal(int how)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;

	heard = 0;
	ASSERT_OK(sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ktap_defer(unblock, SIGUSR1);
	ASSERT_OK(sigprocmask(how, &set, NULL));
}

static bool is_blocked(void)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, SIGUSR1);
}

static bool is_pending(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGUSR1);
}

/* Wait for one event, with SIGUSR1 blocked or not: the result, or -errno. */
static int wait_masked(aio_context_t ctx, bool blocked, int timeout_ms)
{
	struct timespec timeout = {
		.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000,
	};
	struct aio_sigset sigset = { .size = KERNEL_SIGSET_BYTES };
	struct io_event event;
	sigset_t mask;
	int ret;

	sigemptyset(&mask);
	if (blocked)
		sigaddset(&mask, SIGUSR1);
	sigset.sigmask = &mask;
	ret = io_pgetevents(ctx, 1, 1, &event, &timeout, &sigset);
	return ret < 0 ? -errno : ret;
}

static void unblocked_signal_is_pending(void)
{
	setup_signal(SIG_BLOCK);
	raise(SIGUSR1);
	EXPECT_EQ(heard, 0);
	EXPECT_EQ(wait_masked(aio_setup(1), false, AIO_EVENT_TIMEOUT_MS), -EINTR);
	EXPECT_EQ(heard, 1);
	EXPECT(is_blocked());
}

static void delete_timer(uintptr_t timer)
{
	timer_delete((timer_t)timer);
}

/* SIGUSR1 to us after @ms, when we sleep most of the time. */
static void signal_in_ms(int ms)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec when = { .it_value.tv_nsec = ms * 1000000 };
	timer_t timer;

	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	ktap_defer(delete_timer, (uintptr_t)timer);
	ASSERT_OK(timer_settime(timer, 0, &when, NULL));
}

static void unblocked_signal_comes(void)
{
	setup_signal(SIG_BLOCK);
	signal_in_ms(20);
	EXPECT_EQ(wait_masked(aio_setup(1), false, AIO_EVENT_TIMEOUT_MS), -EINTR);
	EXPECT_EQ(heard, 1);
	EXPECT(is_blocked());
}

/* It is not ours to see before the wait is over, which it does not end. */
static void blocked_signal_comes(void)
{
	int64_t began = now_ns();

	setup_signal(SIG_UNBLOCK);
	signal_in_ms(20);
	EXPECT_EQ(wait_masked(aio_setup(1), true, 60), 0);
	EXPECT(now_ns() - began >= 60000000);
	EXPECT_EQ(heard, 1);
	EXPECT(!is_blocked());
}

static void blocked_signal_is_held(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	setup_signal(SIG_BLOCK);
	raise(SIGUSR1);
	EXPECT_EQ(wait_masked(ctx, true, 20), 0);
	aio_poll(ctx, &iocb, make_eventfd(1), POLLIN);
	EXPECT_EQ(wait_masked(ctx, true, AIO_EVENT_TIMEOUT_MS), 1);
	EXPECT(is_pending());
	EXPECT_EQ(heard, 0);
	unblock(SIGUSR1);
	EXPECT_EQ(heard, 1);
}

/* Both are told: the event is not lost, and the handler has run. */
static void event_and_signal(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	setup_signal(SIG_BLOCK);
	aio_poll(ctx, &iocb, make_eventfd(1), POLLIN);
	raise(SIGUSR1);
	EXPECT_EQ(wait_masked(ctx, false, AIO_EVENT_TIMEOUT_MS), 1);
	EXPECT_EQ(heard, 1);
	EXPECT(is_blocked());
}

static void mask_is_back_after_an_error(void)
{
	setup_signal(SIG_BLOCK);
	EXPECT_EQ(wait_masked(0, false, 0), -EINVAL);
	EXPECT(is_blocked());
	setup_signal(SIG_UNBLOCK);
	EXPECT_EQ(wait_masked(0, true, 0), -EINVAL);
	EXPECT(!is_blocked());
}

static int wait_sigset(aio_context_t ctx, const struct aio_sigset *sigset)
{
	struct timespec none = { 0 };
	struct io_event event;
	int ret = io_pgetevents(ctx, 0, 1, &event, &none, sigset);

	return ret < 0 ? -errno : ret;
}

static void no_mask(void)
{
	aio_context_t ctx = aio_setup(1);
	struct aio_sigset nothing = { .size = 3 };

	setup_signal(SIG_BLOCK);
	EXPECT_EQ(wait_sigset(ctx, NULL), 0);
	/* Without a mask its size means nothing. */
	EXPECT_EQ(wait_sigset(ctx, &nothing), 0);
	EXPECT(is_blocked());
}

static void size_that_is_wrong(void)
{
	static const size_t sizes[] = { 0, 4, 7, 9, 16, sizeof(sigset_t), SIZE_MAX };
	aio_context_t ctx = aio_setup(1);
	sigset_t mask;
	size_t i;

	sigemptyset(&mask);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct aio_sigset sigset = { .sigmask = &mask, .size = sizes[i] };

		EXPECT_EQ(wait_sigset(ctx, &sigset), -EINVAL);
	}
}

static void mask_from_nowhere(void)
{
	struct aio_sigset sigset = {
		.sigmask = (const sigset_t *)8, .size = KERNEL_SIGSET_BYTES,
	};
	aio_context_t ctx = aio_setup(1);

	EXPECT_EQ(wait_sigset(ctx, &sigset), -EFAULT);
	EXPECT_EQ(wait_sigset(ctx, (const struct aio_sigset *)8), -EFAULT);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(unblocked_signal_is_pending),
	KTAP_CASE(unblocked_signal_comes),
	KTAP_CASE(blocked_signal_comes),
	KTAP_CASE(blocked_signal_is_held),
	KTAP_CASE(event_and_signal),
	KTAP_CASE(mask_is_back_after_an_error),
	KTAP_CASE(no_mask),
	KTAP_CASE(size_that_is_wrong),
	KTAP_CASE(mask_from_nowhere),
};

KTAP_MAIN(cases)
