// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that nobody points to any more, as the kernel's kmemleak finds it.
 *
 * It reports no object before it is 5 s old (MSECS_MIN_AGE in mm/kmemleak.c),
 * nor one whose content has changed since the scan before.  So there is one scan
 * at once, and when the last command is long enough ago two more, the second of
 * which takes back what only looked lost while it was moved.
 *
 * A report says when its object was allocated, in jiffies, so the host is told
 * in jiffies when each command ran.  No system call gives them but times(), in
 * hundredths of a second: we wait for some to begin, and count on from the one that
 * we came to soonest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>
#include "state.h"

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define MIN_AGE_US	5100000
#define USER_TICK_NS	10000000ull
#define TICKS		8	/* that are looked at: nobody is late for all of them */

static uint64_t tick_ns, ended_us;
static int64_t zero_ns;		/* CLOCK_MONOTONIC when jiffies were 0, were they from then on */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void jiffies_init(void)
{
	struct timespec ts;
	struct tms unused;

	if (access(KMEMLEAK, F_OK) || clock_getres(CLOCK_MONOTONIC_COARSE, &ts))
		return;
	for (int i = 0; i < TICKS; i++) {
		clock_t before = times(&unused), tick;
		int64_t zero;

		do
			tick = times(&unused);
		while (tick == before);
		zero = now_ns() - tick * USER_TICK_NS;
		if (!i || zero < zero_ns)
			zero_ns = zero;
	}
	tick_ns = ts.tv_nsec;
}

uint64_t jiffies_now(void)
{
	ended_us = now_us();
	return tick_ns ? (now_ns() - zero_ns) / tick_ns : 0;
}

static bool tell(const char *what)
{
	int fd = open(KMEMLEAK, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, what, strlen(what)) >= 0;

	if (fd >= 0)
		close(fd);
	return good;
}

static void send_found(uint32_t id)
{
	static char chunk[CHUNK];
	int fd = open(KMEMLEAK, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		send_frame(F_OUTPUT, id, chunk, n);
	if (fd >= 0)
		close(fd);
}

void find_leaks(uint32_t id, const char *nonce)
{
	struct exit_report report = { .status = 0 };
	uint64_t now;

	/* What the kernel says of it on the console is no report of its own. */
	mark("<5>harness %s: start %u kmemleak\n", nonce, id);
	if (tell("scan")) {
		now = now_us();
		if (now < ended_us + MIN_AGE_US)
			usleep(ended_us + MIN_AGE_US - now);
		tell("scan");
		tell("scan");
		send_found(id);
		tell("clear");
	} else {
		report.status = -1;
		report.signal = errno;
	}
	mark("<5>harness %s: end %u\n", nonce, id);
	send_frame(F_EXIT, id, &report, sizeof(report));
}
