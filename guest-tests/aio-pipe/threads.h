/* SPDX-License-Identifier: GPL-2.0-only */
/* Threads beside the one that runs the cases, and the one that watches it. */
#ifndef AIO_PIPE_THREADS_H
#define AIO_PIPE_THREADS_H

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/* io_submit() is not to wait for a file.  As long as this is no slow guest. */
#define BLOCKED_MS	1500
#define BLOCKED_TICKS	30

/* Gets a thread out of a system call: see wake_by_signal(). */
static void on_wake(int sig)
{
	(void)sig;
}

static inline void wake_by_signal(void)
{
	struct sigaction wake = { .sa_handler = on_wake };	/* no SA_RESTART */

	sigaction(SIGUSR1, &wake, NULL);
}

/* Other threads leave alarms and the like to the one that runs the cases. */
static inline int thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	sigset_t most, before;
	pthread_attr_t attr;
	int err;

	sigfillset(&most);
	sigdelset(&most, SIGUSR1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	err = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

static inline struct timespec real_time_in_ms(int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += ms * 1000000L;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

/* Looks whether the thread that runs the cases stays in one io_submit(). */
static struct {
	pthread_t thread, watched;
	sem_t end;
	atomic_uint call;		/* number of the io_submit(), 0 out of it */
	atomic_bool blocked;
} watch;

static void *watch_main(void *unused)
{
	unsigned int before = 0, ticks = 0;
	struct timespec until;

	do {
		/* Counted, not timed: all of the guest may have stood still. */
		ticks = watch.call && watch.call == before ? ticks + 1 : 0;
		before = watch.call;
		if (ticks >= BLOCKED_TICKS) {
			watch.blocked = true;
			pthread_kill(watch.watched, SIGUSR1);
		}
		until = real_time_in_ms(BLOCKED_MS / BLOCKED_TICKS);
	} while (sem_timedwait(&watch.end, &until));
	return unused;
}

static inline bool watch_begin(void)
{
	watch.watched = pthread_self();
	watch.blocked = false;
	watch.call = 0;
	sem_init(&watch.end, 0, 0);
	return !thread_start(&watch.thread, watch_main, NULL);
}

static inline void watch_end(void)
{
	sem_post(&watch.end);
	pthread_join(watch.thread, NULL);
}

#endif /* AIO_PIPE_THREADS_H */
