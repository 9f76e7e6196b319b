// SPDX-License-Identifier: GPL-2.0-only
/*
 * A socket whose error queue holds something reports POLLERR all the time, while
 * reads find no data: the request waits, and the kernel does not try it again and
 * again.
 */
#include <time.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include "parked.h"

#ifndef SO_TIMESTAMPING
#define SO_TIMESTAMPING 37
#endif

static char buf[64];

/* What all CPUs have been idle, in ticks. */
static long idle_ticks(void)
{
	long user, nice, system, idle;
	FILE *stat = fopen("/proc/stat", "r");

	ASSERT(stat);
	ASSERT_EQ(fscanf(stat, "cpu %ld %ld %ld %ld", &user, &nice, &system, &idle), 4);
	fclose(stat);
	return idle;
}

static void expect_idle(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), hz = sysconf(_SC_CLK_TCK);
	long ticks = 0, best = 0;
	int i;

	/* Something else may want to run, but not all the time. */
	for (i = 0; i < 5 && best < 100; i++) {
		int64_t began = now_ns();
		long idle = idle_ticks();

		usleep(200000);
		idle = idle_ticks() - idle;
		ticks = (now_ns() - began) * hz * cpus / 1000000000;
		if (idle * 100 / ticks > best)
			best = idle * 100 / ticks;
	}
	ktap_note("idle %ld %% of %ld CPUs", best, cpus);
	EXPECT(best > 100 - 50 / cpus);
}

/* The timestamp of a packet that was sent, which nobody fetches. */
static void fill_error_queue(int fd)
{
	int what = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

	ASSERT_OK(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &what, sizeof(what)));
	put(fd);
	if (!(ready_ms(fd, 0, AIO_EVENT_TIMEOUT_MS) & POLLERR))
		ktap_skip("no timestamps here");
}

static void read_waits_without_spinning(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_loopback_pair(SOCK_DGRAM, fds);
	/* fds[1] sends to fds[0], which knows no peer. */
	fill_error_queue(fds[1]);
	submit_read(ctx, &iocb, fds[1], buf, sizeof(buf));
	expect_idle();
	EXPECT_EQ(aio_pending_events(ctx), 0);
	EXPECT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), -ECANCELED);
}

/* Filled while the request waits, which wakes it. */
static void error_comes_later(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_loopback_pair(SOCK_DGRAM, fds);
	submit_read(ctx, &iocb, fds[1], buf, sizeof(buf));
	fill_error_queue(fds[1]);
	expect_idle();
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

/* An error of the socket itself, unlike those in the queue, ends the read. */
static void refused_datagram_ends_the_read(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_loopback_pair(SOCK_DGRAM, fds);
	submit_read(ctx, &iocb, fds[1], buf, sizeof(buf));
	ktap_close_now(fds[0]);
	put(fds[1]);
	EXPECT_EQ(aio_event(ctx, &iocb), -ECONNREFUSED);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(read_waits_without_spinning),
	KTAP_CASE(error_comes_later),
	KTAP_CASE(refused_datagram_ends_the_read),
};

KTAP_MAIN(cases)
