/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads and writes that race with what they wait for.
 *
 * Each case begins with one request that is served, which shows whether io_submit()
 * blocks, and then goes on for AIO_STRESS_MS: see race.h.
 */
#ifndef AIO_PIPE_SCENE_H
#define AIO_PIPE_SCENE_H

#include "parked.h"
#include "race.h"

#define RECORD	8

/* Not AIO_BATCH: each record wakes all requests that wait, in vain but for one. */
#define NR	8

static char buf[NR][64], big[200000], sink[65536];

struct scene {
	aio_context_t ctx;
	struct iocb iocb[NR], *iocbs[NR];
	struct io_event events[NR];
	int fds[2];
};

static struct scene scene;

static inline void scene_begin(void (*make)(int fds[2]))
{
	int i;

	make(scene.fds);
	scene.ctx = aio_setup(NR);
	for (i = 0; i < NR; i++) {
		aio_prep_rw(&scene.iocb[i], IOCB_CMD_PREAD, scene.fds[0], buf[i],
			    RECORD, 0);
		scene.iocbs[i] = &scene.iocb[i];
	}
}

static inline void make_stream(int fds[2])
{
	make_blocking_socketpair(SOCK_STREAM, fds);
}

static inline void make_datagrams(int fds[2])
{
	make_blocking_socketpair(SOCK_DGRAM, fds);
}

static inline void make_tcp(int fds[2])
{
	make_loopback_pair(SOCK_STREAM, fds);
}

/* A round takes 2 ms, and 100 on a kernel that checks itself: not all of them then. */
static inline bool goes_on(struct stress *stress)
{
	return stress_goes_on(stress) && now_ns() < stress->deadline + 3000000000LL;
}

/* Bytes that the requests have read, each of which has one event. */
static inline long collect(void)
{
	long sum = 0;
	int i, got;

	KTAP_HERE("io_getevents");
	got = aio_wait(scene.ctx, NR, NR, scene.events,
		       AIO_EVENT_TIMEOUT_MS);
	if (got != NR)
		ktap_fail("%d of %d events came", got, NR);
	for (i = 0; i < got; i++) {
		if ((long)scene.events[i].res > 0)
			sum += scene.events[i].res;
		else
			EXPECT_EQ((long)scene.events[i].res, -ECANCELED);
	}
	EXPECT_EQ(aio_pending_events(scene.ctx), 0);
	return sum;
}

static inline void write_records(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < NR; i++)
		put(scene.fds[1]);
}

static inline bool round_ok(struct stress *stress)
{
	if (ktap.case_failed)
		ktap_note("in round %u", stress->round);
	return !ktap.case_failed;
}

/* The first submission shows whether io_submit() blocks. */
static inline void submit_one_and_serve_it(void)
{
	submit(scene.ctx, scene.iocbs[0]);
	put(scene.fds[1]);
	EXPECT_EQ(aio_event(scene.ctx, scene.iocbs[0]), RECORD);
}

#endif /* AIO_PIPE_SCENE_H */
