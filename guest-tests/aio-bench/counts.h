/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest has done so far: what vmstat showed in 2003, and the same more
 * exactly.
 *
 * /proc/stat counts in ticks of 10 ms, and guesses whose each was.  rq_cpu_time in
 * /proc/schedstat is the time that tasks have run, all of them, workers of the
 * kernel included, in nanoseconds; but a task's time is added when it stops
 * running.
 */
#ifndef AIO_BENCH_COUNTS_H
#define AIO_BENCH_COUNTS_H

#include <sys/resource.h>
#include "aio.h"

/* The columns of the line cpu in /proc/stat, up to the last that is not 0 here. */
enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, NR_TICKS };

struct counts {
	int64_t wall_ns, cpu_ns;
	long long switches, ticks[NR_TICKS];
};

/* What some processes have used themselves. */
struct usage {
	int64_t cpu_us;
	long voluntary, involuntary;	/* switches */
};

static struct {
	int stat, schedstat;
} counts_fds;

static inline void counts_open(void)
{
	counts_fds.stat = keep_fd(ASSERT_OK(open("/proc/stat", O_RDONLY | O_CLOEXEC)));
	counts_fds.schedstat = open("/proc/schedstat", O_RDONLY | O_CLOEXEC);
	if (counts_fds.schedstat < 0)
		ktap_skip("no /proc/schedstat here: CONFIG_SCHEDSTATS");
	keep_fd(counts_fds.schedstat);
}

/* The text of a file of /proc, from its beginning. */
static inline const char *counts_text(int fd)
{
	static char text[16384];
	size_t len = 0;
	ssize_t ret;

	do {
		ret = ASSERT_OK(pread(fd, text + len, sizeof(text) - 1 - len, len));
		len += ret;
	} while (ret);
	text[len] = '\0';
	return text;
}

/* The sum of rq_cpu_time, the seventh of the numbers behind cpuN. */
static inline int64_t all_tasks_ns(void)
{
	const char *line = counts_text(counts_fds.schedstat);
	long long ns, sum = 0;

	for (; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "cpu%*d %*d %*d %*d %*d %*d %*d %lld", &ns) == 1)
			sum += ns;
		else if (!*line)
			break;
	}
	return sum;
}

static inline void read_stat(struct counts *now)
{
	const char *text = counts_text(counts_fds.stat), *ctxt;
	long long *t = now->ticks;

	ASSERT_EQ(sscanf(text, "cpu %lld %lld %lld %lld %lld %lld %lld", &t[USER], &t[NICE],
			 &t[SYSTEM], &t[IDLE], &t[IOWAIT], &t[IRQ], &t[SOFTIRQ]), NR_TICKS);
	ctxt = strstr(text, "\nctxt ");
	ASSERT(ctxt);
	now->switches = atoll(ctxt + strlen("\nctxt "));
}

/* Stop running for a moment, for our time up to now to be in /proc/schedstat. */
static inline void let_it_be_counted(void)
{
	struct timespec moment = { .tv_nsec = 1000000 };

	nanosleep(&moment, NULL);
}

static inline struct counts counts_at_begin(void)
{
	struct counts now;

	read_stat(&now);
	let_it_be_counted();
	now.cpu_ns = all_tasks_ns();
	now.wall_ns = now_ns();
	return now;
}

static inline struct counts counts_at_end(void)
{
	struct counts now;

	now.wall_ns = now_ns();
	let_it_be_counted();
	now.cpu_ns = all_tasks_ns();
	read_stat(&now);
	return now;
}

static inline struct usage usage_now(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (struct usage) {
		.cpu_us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL +
			  used.ru_utime.tv_usec + used.ru_stime.tv_usec,
		.voluntary = used.ru_nvcsw,
		.involuntary = used.ru_nivcsw,
	};
}

static inline struct usage usage_since(struct usage before)
{
	struct usage now = usage_now();

	now.cpu_us -= before.cpu_us;
	now.voluntary -= before.voluntary;
	now.involuntary -= before.involuntary;
	return now;
}

/* One figure of the case that runs: NAME is `case_what`. */
static inline void metric(const char *what, double value, const char *attributes)
{
	ktap_note("metric %s_%s=%.3f %s", ktap.cases[ktap.cur].name, what, value,
		  attributes);
}

/* What part of the time the CPUs spent so, as vmstat shows it. */
static inline void metric_share(const char *what, long long ticks, long long all)
{
	metric(what, all ? 100.0 * ticks / all : 0, "unit=%");
}

static inline void metrics_of_counts(const struct counts *begin, const struct counts *end)
{
	long long ticks[NR_TICKS], all = 0;
	int i;

	for (i = 0; i < NR_TICKS; i++) {
		ticks[i] = end->ticks[i] - begin->ticks[i];
		all += ticks[i];
	}
	metric("wall", (end->wall_ns - begin->wall_ns) / 1e6, "unit=ms better=lower");
	metric("cpu", (end->cpu_ns - begin->cpu_ns) / 1e6, "unit=ms better=lower");
	metric("ctxt", end->switches - begin->switches, "unit=switches better=lower");
	metric_share("user", ticks[USER] + ticks[NICE], all);
	metric_share("system", ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ], all);
	metric_share("idle", ticks[IDLE], all);
	metric_share("iowait", ticks[IOWAIT], all);
}

static inline void metrics_of_usage(const struct usage *own)
{
	metric("own_cpu", own->cpu_us / 1e3, "unit=ms better=lower");
	metric("own_voluntary", own->voluntary, "unit=switches better=lower");
	metric("own_involuntary", own->involuntary, "unit=switches better=lower");
}

#endif /* AIO_BENCH_COUNTS_H */
