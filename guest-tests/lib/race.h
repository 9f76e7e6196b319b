/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Races of native AIO polls with what makes their file ready.
 *
 * Each loop goes on for AIO_STRESS_MS milliseconds (environment, default 40),
 * and for a least number of rounds; but where a round takes long, as with KASAN
 * and lockdep in an emulated guest, for no more than half of what a case has.
 *
 * The requests come in batches: whoever makes the file ready while a batch is
 * being submitted, or cancelled, meets some request in the middle of it, where
 * a single one would be missed most of the time.
 */
#ifndef GUEST_TESTS_RACE_H
#define GUEST_TESTS_RACE_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include "aio.h"

#define STRESS_MS_DEFAULT	40

struct stress {
	unsigned int round, min_rounds;
	int64_t deadline, patience;
};

static inline struct stress stress_begin(unsigned int min_rounds)
{
	const char *env = getenv("AIO_STRESS_MS");
	int ms = env ? atoi(env) : STRESS_MS_DEFAULT;

	alarm(KTAP_CASE_TIMEOUT_S + ms / 1000);
	return (struct stress) {
		.min_rounds = min_rounds, .deadline = deadline_in_ms(ms),
		.patience = deadline_in_ms(ms + KTAP_CASE_TIMEOUT_S * 500),
	};
}

static inline bool stress_goes_on(struct stress *stress)
{
	unsigned int done = stress->round++;
	int64_t now = now_ns();

	if (done >= stress->min_rounds || now < stress->deadline)
		return now < stress->deadline;
	if (now >= stress->patience)
		ktap_note("slow: %u rounds, not %u", done, stress->min_rounds);
	return now < stress->patience;
}

/* Sweep the whole of @span_ns, and some more, as the rounds go by. */
static inline int64_t stress_delay_ns(const struct stress *stress, int64_t span_ns)
{
	return span_ns * (stress->round * 37 % 64) / 56;
}

/*
 * A thread that does one thing each time it is let go, after a delay.  It lives
 * on the heap and so must what @arg points to, or be static: see ktap_defer().
 */
struct racer {
	pthread_t thread;
	void (*act)(void *arg);
	void *arg;
	int64_t delay_ns;
	atomic_uint go, done;
	atomic_bool stop;
};

/* Spin for a moment, so that the start is exact, but let a single CPU go on. */
static inline void racer_pause(unsigned int *spins)
{
	if (++*spins > 200)
		sched_yield();
}

static void *racer_main(void *data)
{
	struct racer *racer = data;
	unsigned int turn = 0, spins;
	int64_t until;

	for (;;) {
		for (spins = 0; racer->go == turn; )
			racer_pause(&spins);
		turn++;
		if (racer->stop)
			return NULL;
		if (racer->delay_ns) {
			until = now_ns() + racer->delay_ns;
			while (now_ns() < until)
				;
		}
		racer->act(racer->arg);
		racer->done = turn;
	}
}

static inline void racer_wait(struct racer *racer)
{
	unsigned int spins = 0;

	KTAP_HERE("waiting for the racing thread");
	while (racer->done != racer->go)
		racer_pause(&spins);
}

static void racer_stop(uintptr_t arg)
{
	struct racer *racer = (struct racer *)arg;

	racer_wait(racer);
	racer->stop = true;
	racer->go++;
	pthread_join(racer->thread, NULL);
	free(racer);
}

static inline struct racer *racer_start(void (*act)(void *arg), void *arg)
{
	struct racer *racer = calloc(1, sizeof(*racer));

	ASSERT(racer);
	racer->act = act;
	racer->arg = arg;
	ASSERT_EQ(pthread_create(&racer->thread, NULL, racer_main, racer), 0);
	ktap_defer(racer_stop, (uintptr_t)racer);
	return racer;
}

static inline void racer_go(struct racer *racer, int64_t delay_ns)
{
	racer->delay_ns = delay_ns;
	racer->go++;
}

static void set_policy(uintptr_t policy)
{
	struct sched_param param = {
		.sched_priority = sched_get_priority_min(policy),
	};

	sched_setscheduler(0, policy, &param);
}

/*
 * The kernel's workers on our CPU do not run until we sleep: real-time priority
 * keeps them from it.  Without the right to that their side of a race is met
 * less often.
 */
static inline void hold_workers(void)
{
	ktap_defer(set_policy, SCHED_OTHER);
	set_policy(SCHED_FIFO);
}

/* A file to race on.  Static, not on a case's stack: see struct racer. */
struct subject {
	int fd;				/* polled for @events */
	unsigned int events;
	int other;			/* what @fire and @reset need beside fd */
	int more;
	void (*fire)(void *subject);	/* makes fd ready; runs in a thread */
	void (*fire_in)(struct subject *subject, int64_t ns);	/* or by itself */
	void (*reset)(struct subject *subject);	/* makes it not ready */
};

struct race {
	struct subject *subject;
	struct racer *racer;
	struct stress stress;
	int64_t span_ns;		/* the longest that we took so far */
	int64_t began;
};

static inline struct race race_begin(struct subject *subject,
				     unsigned int min_rounds)
{
	return (struct race) {
		.subject = subject,
		.racer = subject->fire ? racer_start(subject->fire, subject) : NULL,
		.stress = stress_begin(min_rounds),
		.span_ns = 20000,
	};
}

/* From here on the subject becomes ready at some moment. */
static inline void race_go(struct race *race)
{
	int64_t delay_ns = stress_delay_ns(&race->stress, race->span_ns);

	if (race->racer)
		racer_go(race->racer, delay_ns);
	else
		race->subject->fire_in(race->subject, delay_ns + 1);
	race->began = now_ns();
}

/* Our side of the race is over; soon the subject's is. */
static inline void race_wait(struct race *race)
{
	int64_t took = now_ns() - race->began;

	/* Preempted, or the host was busy: not what the next rounds look like. */
	if (took < 8 * race->span_ns)
		race->span_ns = (race->span_ns * 7 + took) / 8;
	if (race->racer)
		racer_wait(race->racer);
}

static inline bool race_round_ok(struct race *race)
{
	if (ktap.case_failed)
		ktap_note("in round %u", race->stress.round);
	return !ktap.case_failed;
}

/* The file becomes ready while it is being polled. */
static inline void race_submit(struct subject *subject)
{
	struct race race = race_begin(subject, 100);
	struct aio_batch batch;
	int i;

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), subject->fd, subject->events);
	while (stress_goes_on(&race.stress)) {
		race_go(&race);
		aio_batch_submit(&batch);
		race_wait(&race);
		aio_batch_collect(&batch);
		for (i = 0; i < AIO_BATCH; i++)
			EXPECT(batch.res[i] & subject->events);
		EXPECT_EQ(aio_pending_events(batch.ctx), 0);
		if (!race_round_ok(&race))
			return;
		subject->reset(subject);
	}
	EXPECT_NO_EVENT(batch.ctx);
}

/* The file becomes ready while its polls are being cancelled. */
static inline void race_cancel(struct subject *subject)
{
	struct race race = race_begin(subject, 100);
	struct bystanders by;
	struct aio_batch batch;
	int cancelled[AIO_BATCH];
	int i;

	bystanders_submit(&by);
	aio_batch_prep(&batch, aio_setup(AIO_BATCH), subject->fd, subject->events);
	while (stress_goes_on(&race.stress)) {
		aio_batch_submit(&batch);
		race_go(&race);
		for (i = 0; i < AIO_BATCH; i++)
			cancelled[i] = aio_cancel_iocb(batch.ctx, &batch.iocb[i]);
		race_wait(&race);
		aio_batch_collect(&batch);
		for (i = 0; i < AIO_BATCH; i++) {
			if (cancelled[i] == -EINPROGRESS)
				continue;
			/* Too late: then it has been completed by the file. */
			EXPECT_EQ(cancelled[i], -EINVAL);
			EXPECT(batch.res[i] & subject->events);
		}
		EXPECT_EQ(aio_pending_events(batch.ctx), 0);
		if (!race_round_ok(&race))
			return;
		subject->reset(subject);
	}
	EXPECT_NO_EVENT(batch.ctx);
	EXPECT_UNDISTURBED(&by);
}

/* The file becomes ready while the context of its polls is being destroyed. */
static inline void race_destroy(struct subject *subject)
{
	/* io_destroy() waits for grace periods: some 10 ms a round. */
	struct race race = race_begin(subject, 10);
	struct bystanders by;
	struct aio_batch batch;

	while (stress_goes_on(&race.stress)) {
		aio_context_t ctx = 0;

		ASSERT_OK(io_setup(AIO_BATCH, &ctx));
		aio_batch_prep(&batch, ctx, subject->fd, subject->events);
		aio_batch_submit(&batch);
		race_go(&race);
		ASSERT_OK(io_destroy(ctx));
		race_wait(&race);
		subject->reset(subject);
	}
	bystanders_submit(&by);
	if (subject->fire)
		subject->fire(subject);
	EXPECT_UNDISTURBED(&by);
}

#endif /* GUEST_TESTS_RACE_H */
