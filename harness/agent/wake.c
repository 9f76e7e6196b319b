// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest that has just come up is asked and told: how fast it is, what
 * time it is, random numbers of its own, what counts as a hang; and whether it
 * has come to rest, so that it can be saved.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent.h"

#define AGENT_VERSION	6
#define HUNG_CHECK_S	5	/* each time, a task that hangs is reported again */
#define QUIET_MS	3000	/* at most, for what a boot leaves to be done later */
#define LOOK_MS		30	/* how long it is to be quiet */

static uint64_t calibration_us;

/* A little of what tests do: compute, talk through a pipe, fork. */
static void calibration_work(void)
{
	volatile uint32_t x = 1;
	int ends[2];
	char byte = 0;

	for (int i = 0; i < 100000; i++)
		x = x * 1664525u + 1013904223u;
	if (pipe2(ends, O_CLOEXEC))
		return;
	for (int i = 0; i < 300; i++)
		if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1)
			break;
	close(ends[0]);
	close(ends[1]);
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}

uint64_t calibrate(void)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < 3; round++) {
		uint64_t start = now_us(), took;

		calibration_work();
		took = now_us() - start;
		if (took < best)
			best = took;
	}
	return best ? best : 1;
}

static void say_hello(void)
{
	struct utsname uts;
	char text[256];
	int n;

	uname(&uts);
	n = snprintf(text, sizeof(text), "%d\n%s\n%llu\n", AGENT_VERSION, uts.release,
		     (unsigned long long)calibration_us);
	send_frame(F_HELLO, 0, text, n);
}

void greet(void)
{
	calibration_us = calibrate();
	say_hello();
}

/*
 * Entropy that is ours alone: a guest that was saved would go on with the same
 * random numbers at every restore, and one that has booted has none for seconds.
 */
static void add_entropy(const uint8_t *seed, size_t length)
{
	struct {
		struct rand_pool_info info;
		uint8_t seed[32];
	} pool = { .info = { .entropy_count = 8 * length, .buf_size = length } };
	int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

	memcpy(pool.info.buf, seed, length);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool))
		dprintf(2, "harness agent: entropy: %s\n", strerror(errno));
	else
		ioctl(fd, RNDRESEEDCRNG);	/* what is drawn from now on has it */
	if (fd >= 0)
		close(fd);
}

/* Only where it changes something: to set what is set already costs a restored guest time. */
static void set_number(const char *path, uint32_t wanted)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char text[32];
	ssize_t n;

	if (fd < 0)
		return;		/* not in this kernel */
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	if ((uint32_t)atoi(text) != wanted) {
		snprintf(text, sizeof(text), "%u", wanted);
		if (pwrite(fd, text, strlen(text), 0) < 0)
			dprintf(2, "harness agent: %s: %s\n", path, strerror(errno));
	}
	close(fd);
}

/* What the kernel takes for a hang; its own values are for machines that nobody waits for. */
static void tune_watchdogs(const struct wake *wake)
{
	set_number("/proc/sys/kernel/hung_task_timeout_secs", wake->hung_s);
	set_number("/proc/sys/kernel/hung_task_check_interval_secs", HUNG_CHECK_S);
	set_number("/proc/sys/kernel/watchdog_thresh", wake->lockup_s);
	set_number("/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", wake->stall_s);
}

void wake(const char *data, size_t length)
{
	struct timespec now;
	struct wake wake;

	if (length < sizeof(wake) + 1 || data[length - 1])
		return;
	memcpy(&wake, data, sizeof(wake));
	now.tv_sec = wake.realtime_ns / 1000000000;
	now.tv_nsec = wake.realtime_ns % 1000000000;
	if (clock_settime(CLOCK_REALTIME, &now))
		dprintf(2, "harness agent: clock: %s\n", strerror(errno));
	add_entropy(wake.seed, sizeof(wake.seed));
	tune_watchdogs(&wake);
	if (data[sizeof(wake)])
		mark("<5>harness %s\n", data + sizeof(wake));
	say_hello();
}

/* Clock ticks that the processors were idle, and all of them. */
static bool read_ticks(unsigned long long *idle, unsigned long long *total)
{
	unsigned long long ticks[8] = { 0 };
	FILE *file = fopen("/proc/stat", "re");
	int n = 0;

	if (file) {
		n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu",
			   &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4],
			   &ticks[5], &ticks[6], &ticks[7]);
		fclose(file);
	}
	*idle = ticks[3] + ticks[4];
	*total = 0;
	for (int i = 0; i < 8; i++)
		*total += ticks[i];
	return n == 8;
}

void wait_quiet(uint32_t id)
{
	uint64_t deadline = now_us() + QUIET_MS * 1000ull;
	unsigned long long idle, total, idle_before, total_before;
	struct exit_report report = { .status = 0 };

	sync();
	while (now_us() < deadline && read_ticks(&idle_before, &total_before)) {
		usleep(LOOK_MS * 1000);
		if (!read_ticks(&idle, &total))
			break;
		if (10 * (idle - idle_before) >= 9 * (total - total_before))
			break;
	}
	send_frame(F_EXIT, id, &report, sizeof(report));
}
