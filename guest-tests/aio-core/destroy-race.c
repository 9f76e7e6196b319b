// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread destroys a context that others are using: io_destroy() succeeds, and
 * they are told EINVAL, soon.
 */
#include "race.h"

struct user {
	_Atomic(aio_context_t) ctx;
	int fd;
	atomic_int ret;			/* how it ended: -errno, or 0 */
	atomic_int tid;
};

static struct user user;

static aio_context_t setup_user(int nr)
{
	aio_context_t ctx = 0;

	ASSERT_OK(io_setup(nr, &ctx));
	user.ctx = ctx;
	user.ret = 1;
	return ctx;
}

/* Until it can't: a few, so that none waits for room. */
static void submit_until_refused(void *unused)
{
	static struct iocb iocb[AIO_BATCH];
	int i, err = 0;

	(void)unused;
	for (i = 0; i < AIO_BATCH && !err; i++) {
		aio_prep_poll(&iocb[i], user.fd, POLLIN);
		err = aio_submit(user.ctx, &iocb[i]);
	}
	user.ret = err;
}

/* What was taken is cancelled, what was not is refused with EINVAL. */
static void submit(void)
{
	struct racer *racer = racer_start(submit_until_refused, NULL);
	struct stress stress = stress_begin(20);
	int64_t began;

	user.fd = make_eventfd(0);
	while (stress_goes_on(&stress) && !ktap.case_failed) {
		aio_context_t ctx = setup_user(AIO_BATCH);

		racer_go(racer, 0);
		began = now_ns() + stress_delay_ns(&stress, 100000);
		while (now_ns() < began)
			;
		EXPECT_EQ(io_destroy(ctx), 0);
		racer_wait(racer);
		EXPECT(user.ret == 0 || user.ret == -EINVAL);
	}
}

static void wait_for_an_event(void *unused)
{
	struct timespec timeout = { .tv_sec = KTAP_CASE_TIMEOUT_S };
	struct io_event event;
	int ret;

	(void)unused;
	user.tid = gettid();
	ret = io_getevents(user.ctx, 1, 1, &event, &timeout);
	user.ret = ret < 0 ? -errno : ret;
}

static void getevents(void)
{
	struct racer *racer = racer_start(wait_for_an_event, NULL);
	struct stress stress = stress_begin(20);
	int64_t began;

	while (stress_goes_on(&stress) && !ktap.case_failed) {
		aio_context_t ctx = setup_user(1);

		racer_go(racer, stress_delay_ns(&stress, 100000));
		began = now_ns();
		EXPECT_EQ(io_destroy(ctx), 0);
		racer_wait(racer);
		EXPECT_EQ(user.ret, -EINVAL);
		EXPECT(now_ns() - began < AIO_EVENT_TIMEOUT_MS * 1000000LL);
	}
}

/* The state of a thread of ours, as proc(5) has it. */
static char thread_state(int tid)
{
	char path[64], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	if (file) {
		if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			state = '?';
		fclose(file);
	}
	return state;
}

/* As above, but it surely sleeps in there: the thread does nowhere else. */
static void getevents_asleep(void)
{
	struct racer *racer = racer_start(wait_for_an_event, NULL);
	aio_context_t ctx = setup_user(1);
	int64_t deadline = deadline_in_ms(AIO_EVENT_TIMEOUT_MS), began;

	user.tid = 0;
	racer_go(racer, 0);
	while ((!user.tid || thread_state(user.tid) != 'S') && now_ns() < deadline)
		sched_yield();
	EXPECT_EQ(thread_state(user.tid), 'S');
	began = now_ns();
	EXPECT_EQ(io_destroy(ctx), 0);
	racer_wait(racer);
	EXPECT_EQ(user.ret, -EINVAL);
	EXPECT(now_ns() - began < AIO_EVENT_TIMEOUT_MS * 1000000LL);
}

static void destroy_it(void *unused)
{
	(void)unused;
	user.ret = io_destroy(user.ctx) < 0 ? -errno : 0;
}

/* One of them does it. */
static void destroy(void)
{
	struct racer *racer = racer_start(destroy_it, NULL);
	struct stress stress = stress_begin(20);
	int fd = make_eventfd(0);

	while (stress_goes_on(&stress) && !ktap.case_failed) {
		aio_context_t ctx = setup_user(1);
		struct iocb iocb;
		int ret;

		aio_poll(ctx, &iocb, fd, POLLIN);
		racer_go(racer, stress_delay_ns(&stress, 20000));
		ret = io_destroy(ctx) < 0 ? -errno : 0;
		racer_wait(racer);
		EXPECT_EQ(ret + user.ret, -EINVAL);
	}
}

static const struct ktap_case cases[] = {
	KTAP_CASE(submit),
	KTAP_CASE(getevents),
	KTAP_CASE(getevents_asleep),
	KTAP_CASE(destroy),
};

KTAP_MAIN(cases)
