// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a command leaves behind in the kernel: open files, room for AIO, objects
 * of a few slab caches, taints.  Each is counted before the command and when it is
 * gone with all its processes, and again for a while where there is more than
 * before: much is freed by workers, or after a grace period of RCU.
 *
 * How many files are open
 * -----------------------
 * /proc/sys/fs/file-nr is not exact: the kernel adds to a counter of each CPU,
 * whose value goes to the one that is shown when it reaches 32 or more
 * (percpu_counter_read() in fs/file_table.c).  So we open files until the number
 * moves.  At this moment our CPU's counter is 0; once that was done on each of
 * them, what is shown is exact, and what we have opened is known.
 *
 * With one CPU a few files that stay open make it so that a count begins and
 * ends with a counter of 0: it takes 32 files, and the number is looked at thrice.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "state.h"

#define LOOK_AGAIN_MS	1000	/* for what is freed a little later */
#define PROBES		512	/* files that we open at most, to count the others */
#define UNKNOWN		-1
#define CONTEXTS	1	/* in objects */
#define IN_VAIN		3	/* servers to end for nothing, before we believe in them */

struct counts {
	int64_t files, aio_nr;
	int64_t objects[STATE_CACHES];
};

static const char *const caches[STATE_CACHES] = { "mm_struct", "kioctx", "aio_kiocb" };

static int file_nr = -1, aio_nr = -1, tainted = -1, objects[STATE_CACHES];
static cpu_set_t cpus;
static int step;		/* of file-nr; 0: files cannot be counted */
static bool level;		/* our CPU's counter was 0 after the last count */
static int ballast[PROBES], ballasts;	/* files that we keep open for this */
static struct counts before, before_server;
static uint64_t taint_before;
static struct held held;	/* by the server, when before was counted */
static bool suspected;		/* a server that is going to be ended for what there is more */
static int in_vain;		/* how often it was its own */

/* The first number in a file of /proc or /sys that is kept open. */
static int64_t read_number(int fd)
{
	char text[64];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return UNKNOWN;
	text[n] = '\0';
	return strtoll(text, NULL, 10);
}

static int probe(void)
{
	return open("/", O_PATH | O_CLOEXEC);
}

static void close_all(const int *fds, int n)
{
	while (n > 0)
		close(fds[--n]);
}

/* Open files on this CPU until file-nr moves; how many there are in @fds then, or -1. */
static int fill(int *fds, int n)
{
	int64_t shown = read_number(file_nr);

	do {
		if (n == PROBES || (fds[n] = probe()) < 0) {
			close_all(fds, n);
			return -1;
		}
		n++;
	} while (read_number(file_nr) == shown);
	return n;
}

/* The usual case: our CPU's counter is 0, as we left it.  Else nothing is done. */
static int fill_level(int *fds)
{
	int64_t shown = read_number(file_nr);
	int n;

	for (n = 0; n < step; n++) {
		if (n == step - 1 && read_number(file_nr) != shown)
			break;
		fds[n] = probe();
		if (fds[n] < 0)
			break;
	}
	if (n == step && read_number(file_nr) == shown + step)
		return n;
	close_all(fds, n);
	return 0;
}

static int fill_all(int *fds, int n)
{
	cpu_set_t one;

	if (CPU_COUNT(&cpus) == 1)
		return fill(fds, n);
	for (int cpu = 0; cpu < CPU_SETSIZE && n >= 0; cpu++) {
		if (!CPU_ISSET(cpu, &cpus))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!sched_setaffinity(0, sizeof(one), &one))
			n = fill(fds, n);
	}
	sched_setaffinity(0, sizeof(cpus), &cpus);
	return n;
}

static int64_t count_files(void)
{
	static int fds[PROBES];
	int64_t total;
	int n = 0;

	if (!step)
		return UNKNOWN;
	if (level)
		n = fill_level(fds);
	if (n == 0)
		n = fill_all(fds, 0);
	if (n < 0) {
		level = false;
		return UNKNOWN;
	}
	total = read_number(file_nr) - n - ballasts;
	level = CPU_COUNT(&cpus) == 1 && ballasts + n <= PROBES;
	while (level && n % step)
		ballast[ballasts++] = fds[--n];
	close_all(fds, n);
	if (level && ballasts >= step) {
		close_all(ballast + ballasts - step, step);
		ballasts -= step;
	}
	return total;
}

/*
 * Find out by how much file-nr moves, and keep files open: so many that it, which
 * is not shown below 0, never gets there, and that our CPU's counter is now 0.
 */
static void find_step(void)
{
	static int fds[PROBES];
	int64_t shown = read_number(file_nr);
	int first, second;

	CPU_ZERO(&cpus);
	if (shown == UNKNOWN || sched_getaffinity(0, sizeof(cpus), &cpus))
		return;
	do {
		first = fill_all(fds, 0);
		shown = read_number(file_nr);
		second = fill(fds, 0);
		if (first < 0 || second < 0)
			return;
	} while (shown < 64 * CPU_COUNT(&cpus));
	step = read_number(file_nr) - shown;
	level = step == second && CPU_COUNT(&cpus) == 1;
	if (step < 2 || step > PROBES / 4)
		step = 0;
}

static int open_objects(const char *cache)
{
	char path[128], debugged[2] = "";
	int fd;

	/* Exact only where no CPU has objects in reserve, as with the checks of slab_debug=F. */
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/sanity_checks", cache);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (read(fd, debugged, 1) < 0)
		debugged[0] = '0';
	close(fd);
	if (debugged[0] != '1')
		return -1;
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", cache);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/*
 * KASAN keeps what is freed for a while, in its quarantine, and counts go up with every
 * process.  Where they do we don't count.
 */
static void check_objects(void)
{
	int64_t shown = read_number(objects[0]);
	siginfo_t child;
	pid_t pid;

	if (shown == UNKNOWN)
		return;
	for (int i = 0; i < 4; i++) {
		pid = fork();
		if (pid == 0)
			_exit(0);
		if (pid > 0)
			waitid(P_PID, pid, &child, WEXITED);
	}
	for (int i = 0; i < 20 && read_number(objects[0]) > shown; i++)
		usleep(5000);	/* poll: the last one may go a little later */
	if (read_number(objects[0]) <= shown)
		return;
	for (int i = 0; i < STATE_CACHES; i++) {
		close(objects[i]);
		objects[i] = -1;
	}
}

void state_init(void)
{
	tainted = open("/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC);
	file_nr = open("/proc/sys/fs/file-nr", O_RDONLY | O_CLOEXEC);
	aio_nr = open("/proc/sys/fs/aio-nr", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < STATE_CACHES; i++)
		objects[i] = open_objects(caches[i]);
	check_objects();
	find_step();
}

static void count(struct counts *counts)
{
	counts->aio_nr = read_number(aio_nr);
	for (int i = 0; i < STATE_CACHES; i++)
		counts->objects[i] = read_number(objects[i]);
	counts->files = count_files();
}

static int32_t more(int64_t now, int64_t then)
{
	return now == UNKNOWN || then == UNKNOWN ? 0 : now - then;
}

/* What there is more of now; false for nothing. */
static bool compare(struct left *left, const struct counts *now, const struct counts *then)
{
	bool any;

	left->files = more(now->files, then->files);
	left->aio_nr = more(now->aio_nr, then->aio_nr);
	any = left->files > 0 || left->aio_nr > 0;
	for (int i = 0; i < STATE_CACHES; i++) {
		left->objects[i] = more(now->objects[i], then->objects[i]);
		any |= left->objects[i] > 0;
	}
	return any;
}

/* Take off what a server has of its own by now, and have that be known from now on. */
static void excuse(struct counts *now, const struct counts *then)
{
	static struct held new;
	int rings;

	count_held(&new);
	rings = new.rings - held.rings;
	if (now->files != UNKNOWN && now->files - then->files <= new.files - held.files)
		now->files = then->files;
	/* Nothing says for how many requests its contexts are. */
	if (rings > 0 && now->aio_nr > then->aio_nr)
		now->aio_nr = then->aio_nr;
	if (rings > 0 && now->objects[CONTEXTS] != UNKNOWN)
		now->objects[CONTEXTS] -= rings;
}

/* Look until there is no more than @then, for a while; false where there is none at the end. */
static bool settle(struct left *left, const struct counts *then, int wait_ms, bool of_server)
{
	uint64_t deadline = now_us() + wait_ms * 1000ull;
	unsigned int wait_us = 1000;
	struct counts now;

	for (;;) {
		count(&now);
		if (!compare(left, &now, then))
			return false;
		if (of_server) {
			excuse(&now, then);
			if (!compare(left, &now, then))
				return false;
		}
		if (now_us() >= deadline)
			return true;
		usleep(wait_us);	/* poll: nothing tells that a worker is done */
		if (wait_us < 50000)
			wait_us *= 2;
	}
}

void state_before(void)
{
	struct counts known = before;

	count(&before);
	taint_before = read_number(tainted);
	if (server.pid && memcmp(&before, &known, sizeof(before)))
		count_held(&held);
}

static void tell_taints(struct left *left)
{
	left->taint_before = taint_before;
	left->taint = read_number(tainted);
}

void state_after(struct exit_report *report)
{
	/* What was killed is not judged by what it leaves. */
	int wait_ms = report->flags & EXIT_TIMED_OUT ? 0 : LOOK_AGAIN_MS;

	if (settle(&report->left, &before, wait_ms, false)) {
		/* A server that began before is not to be asked for it again. */
		before_server.files += report->left.files;
		before_server.aio_nr += report->left.aio_nr;
		for (int i = 0; i < STATE_CACHES; i++)
			before_server.objects[i] += report->left.objects[i];
	}
	tell_taints(&report->left);
}

void state_before_server(void)
{
	count(&before_server);
}

void state_of_server(void)
{
	count(&before);
	count_held(&held);
}

static void none_left(struct left *left)
{
	left->files = left->aio_nr = 0;
	memset(left->objects, 0, sizeof(left->objects));
}

bool state_after_call(struct exit_report *report)
{
	struct counts then = before;

	tell_taints(&report->left);
	if (!settle(&report->left, &then, LOOK_AGAIN_MS, true))
		return true;
	suspected = in_vain < IN_VAIN;
	if (!suspected)
		none_left(&report->left);
	return !suspected;
}

void state_after_server(struct exit_report *report)
{
	int wait_ms = report->flags & EXIT_TIMED_OUT ? 0 : LOOK_AGAIN_MS;

	if (settle(&report->left, &before_server, wait_ms, false))
		in_vain = 0;
	else if (suspected)
		in_vain++;
	suspected = false;
	tell_taints(&report->left);
}
