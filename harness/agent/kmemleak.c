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
 * in jiffies when each command ran.  /proc/timer_list has them as they are: a
 * clock that we count them from does not tell how many ticks a busy host lost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "state.h"

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define MIN_AGE_US	5100000

static uint64_t ended_us;

uint64_t jiffies_now(void)
{
	static const char name[] = "\njiffies: ";
	static char list[4 * 4096];
	size_t size = 0;
	char *found = NULL;
	ssize_t n;
	int fd;

	ended_us = now_us();
	if (access(KMEMLEAK, F_OK))
		return 0;
	fd = open("/proc/timer_list", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && !found && size < sizeof(list) - 1 &&
	       (n = read(fd, list + size, sizeof(list) - 1 - size)) > 0) {
		size += n;
		list[size] = '\0';
		found = strstr(list, name);
	}
	if (fd >= 0)
		close(fd);
	return found ? strtoull(found + strlen(name), NULL, 10) : 0;
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
