/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KTAP 1 for test programs in C, in the manner of KUnit.
 *
 *	static void pipe_has_a_read_end(void)
 *	{
 *		int fds[2];
 *
 *		ASSERT_OK(pipe(fds));
 *		ktap_defer_close(fds[0]);
 *		ktap_defer_close(fds[1]);
 *		EXPECT(fds[0] >= 0);
 *	}
 *
 *	static const struct ktap_case cases[] = {
 *		KTAP_CASE(pipe_has_a_read_end),
 *	};
 *	KTAP_MAIN(cases)
 *
 * A failed EXPECT() is noted and the case goes on; a failed ASSERT() leaves the
 * case.  Either way the deferred actions run, last one first, before the next
 * case starts.  They run after the case's stack frame is gone: pass them values
 * or heap memory, never pointers to locals.
 *
 * Only the thread that runs the cases may use EXPECT() and ASSERT().
 *
 * Every line is one write(2), so a crash loses nothing and a fork() repeats
 * nothing.  Exit status as in kselftest: 0 passed, 1 failed, 4 all skipped.
 */
#ifndef GUEST_TESTS_KTAP_H
#define GUEST_TESTS_KTAP_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KTAP_EXIT_PASS	0
#define KTAP_EXIT_FAIL	1
#define KTAP_EXIT_SKIP	4

/* What one case may take before it counts as hung; settings' timeout= is more. */
#define KTAP_CASE_TIMEOUT_S	10

#define KTAP_MAX_DEFERRED	4096

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct ktap_case {
	const char *name;
	void (*run)(void);
};

#define KTAP_CASE(fn) { .name = #fn, .run = fn }

static struct {
	const struct ktap_case *cases;
	size_t nr, cur;
	size_t failed, skipped;		/* cases */
	bool case_failed;
	char skip[128];			/* why the current case is skipped */
	pid_t pid;			/* who runs the cases: not a fork()ed child */
	const char *file;		/* where the case is: see KTAP_HERE() */
	int line;
	const char *doing;
	sigjmp_buf leave;
	struct {
		void (*fn)(uintptr_t arg);
		uintptr_t arg;
	} deferred[KTAP_MAX_DEFERRED];
	size_t nr_deferred;
} ktap;

__attribute__((format(printf, 1, 2)))
static void ktap_line(const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	size_t len, off = 0;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf) - 1, fmt, ap);
	va_end(ap);
	len = n < 0 ? 0 : (size_t)n;
	if (len > sizeof(buf) - 2)
		len = sizeof(buf) - 2;
	buf[len++] = '\n';
	while (off < len) {
		ssize_t ret = write(STDOUT_FILENO, buf + off, len - off);

		if (ret < 0 && errno != EINTR)
			return;
		if (ret > 0)
			off += ret;
	}
}

/* A diagnostic, about the result that follows it. */
#define ktap_note(fmt, ...) ktap_line("# " fmt, ##__VA_ARGS__)

/*
 * A figure that kernels are compared by (docs/performance.md).  @better is
 * "higher" or "lower", or empty where it is neither.
 */
static inline void ktap_metric(const char *name, double value, const char *unit,
			       const char *better)
{
	ktap_note("metric %s=%.7g unit=%s better=%s", name, value, unit, better);
}

static const char *ktap_errname(int err)
{
	const char *name = strerrorname_np(err);

	return name ? name : "unknown errno";
}

/*
 * Remember where the case is.  A failure, also in a shared function and also a
 * hang, is reported at the last such place.
 */
static void ktap_here(const char *file, int line, const char *doing)
{
	const char *slash = strrchr(file, '/');

	ktap.file = slash ? slash + 1 : file;
	ktap.line = line;
	ktap.doing = doing;
}

#define KTAP_HERE(doing) ktap_here(__FILE__, __LINE__, doing)

static void ktap_defer(void (*fn)(uintptr_t arg), uintptr_t arg)
{
	if (ktap.nr_deferred == KTAP_MAX_DEFERRED) {
		ktap_line("Bail out! more than %d deferred actions",
			  KTAP_MAX_DEFERRED);
		_exit(KTAP_EXIT_FAIL);
	}
	ktap.deferred[ktap.nr_deferred].fn = fn;
	ktap.deferred[ktap.nr_deferred].arg = arg;
	ktap.nr_deferred++;
}

static void ktap_close(uintptr_t fd)
{
	close((int)fd);
}

static inline void ktap_defer_close(int fd)
{
	ktap_defer(ktap_close, fd);
}

/* Close a deferred descriptor already: its number may be another's by the end. */
static inline void ktap_close_now(int fd)
{
	size_t i;

	for (i = 0; i < ktap.nr_deferred; i++)
		if (ktap.deferred[i].fn == ktap_close &&
		    ktap.deferred[i].arg == (uintptr_t)fd)
			ktap.deferred[i].arg = (uintptr_t)-1;
	while (ktap.nr_deferred &&
	       ktap.deferred[ktap.nr_deferred - 1].fn == ktap_close &&
	       ktap.deferred[ktap.nr_deferred - 1].arg == (uintptr_t)-1)
		ktap.nr_deferred--;
	close(fd);
}

static void ktap_run_deferred(void)
{
	while (ktap.nr_deferred) {
		ktap.nr_deferred--;
		ktap.deferred[ktap.nr_deferred].fn(
			ktap.deferred[ktap.nr_deferred].arg);
	}
}

/* Leave the case.  In a fork()ed child: leave the process. */
__attribute__((noreturn))
static void ktap_leave(void)
{
	if (getpid() != ktap.pid)
		_exit(KTAP_EXIT_FAIL);
	siglongjmp(ktap.leave, 1);
}

#define ktap_fail(fmt, ...) do {					\
	ktap_note("%s:%d: " fmt, ktap.file, ktap.line, ##__VA_ARGS__);	\
	ktap.case_failed = true;					\
} while (0)

/* "pty.c:12: io_submit: EINVAL (Invalid argument)" */
#define ktap_fail_errno(what, err)					\
	ktap_fail("%s: %s (%s)", what, ktap_errname(err), strerror(err))

__attribute__((noreturn, format(printf, 1, 2)))
static inline void ktap_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ktap.skip, sizeof(ktap.skip), fmt, ap);
	va_end(ap);
	ktap_leave();
}

#define EXPECT(cond) ({							\
	KTAP_HERE(#cond);						\
	bool ktap_ok = !!(cond);					\
									\
	if (!ktap_ok)							\
		ktap_fail("expected %s", #cond);			\
	ktap_ok;							\
})

/* Two integers, whose values a failure shows. */
#define EXPECT_EQ(got, want) ({						\
	KTAP_HERE(#got);						\
	long long ktap_got = (got), ktap_want = (want);			\
									\
	if (ktap_got != ktap_want)					\
		ktap_fail("%s is %lld (%#llx), expected %s, %lld (%#llx)", \
			  #got, ktap_got, ktap_got,			\
			  #want, ktap_want, ktap_want);			\
	ktap_got == ktap_want;						\
})

#define ASSERT(cond) do {						\
	if (!EXPECT(cond))						\
		ktap_leave();						\
} while (0)

#define ASSERT_EQ(got, want) do {					\
	if (!EXPECT_EQ(got, want))					\
		ktap_leave();						\
} while (0)

/* A call that returns -1 and sets errno when it fails; gives what it returned. */
#define ASSERT_OK(call) ({						\
	KTAP_HERE(#call);						\
	long ktap_ret = (long)(call);					\
									\
	if (ktap_ret < 0) {						\
		ktap_fail_errno(#call, errno);				\
		ktap_leave();						\
	}								\
	ktap_ret;							\
})

static void ktap_result(void)
{
	const char *name = ktap.cases[ktap.cur].name;
	size_t number = ktap.cur + 1;

	if (ktap.case_failed) {
		ktap.failed++;
		ktap_line("not ok %zu %s", number, name);
	} else if (ktap.skip[0]) {
		ktap.skipped++;
		ktap_line("ok %zu %s # SKIP %s", number, name, ktap.skip);
	} else {
		ktap_line("ok %zu %s", number, name);
	}
}

/*
 * A case hangs.  The threads' locks and memory can't be trusted any more, so
 * say where it hung, complete the plan, and leave the cleaning to the kernel.
 */
static void ktap_on_alarm(int sig)
{
	(void)sig;
	ktap_fail("hung in %s", ktap.doing ? ktap.doing : "the first step");
	ktap_result();
	while (++ktap.cur < ktap.nr)
		ktap_line("ok %zu %s # SKIP not run: an earlier case hung",
			  ktap.cur + 1, ktap.cases[ktap.cur].name);
	_exit(KTAP_EXIT_FAIL);
}

static int ktap_run(const struct ktap_case *cases, size_t nr)
{
	struct sigaction on_alarm = { .sa_handler = ktap_on_alarm };

	ktap.cases = cases;
	ktap.nr = nr;
	ktap.pid = getpid();
	sigaction(SIGALRM, &on_alarm, NULL);
	signal(SIGPIPE, SIG_IGN);

	ktap_line("KTAP version 1");
	ktap_line("1..%zu", nr);
	for (ktap.cur = 0; ktap.cur < nr; ktap.cur++) {
		ktap.case_failed = false;
		ktap.skip[0] = '\0';
		ktap_here(__FILE__, __LINE__, NULL);
		alarm(KTAP_CASE_TIMEOUT_S);
		if (!sigsetjmp(ktap.leave, 1))
			cases[ktap.cur].run();
		ktap_run_deferred();
		alarm(0);
		ktap_result();
	}
	if (ktap.failed)
		return KTAP_EXIT_FAIL;
	return ktap.skipped == nr ? KTAP_EXIT_SKIP : KTAP_EXIT_PASS;
}

#define KTAP_MAIN(cases)						\
	int main(void)							\
	{								\
		return ktap_run(cases, ARRAY_SIZE(cases));		\
	}

#endif /* GUEST_TESTS_KTAP_H */
