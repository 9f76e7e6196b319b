// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent: runs commands in the guest for the harness on the host.
 *
 * It speaks over the virtio-serial port named "harness.agent" in frames of
 *
 *	u32 length of the payload, u32 id, u8 type, payload
 *
 * (little endian; harness/guest/channel.py is the other side).  A command gets
 * a session of its own, /dev/null as its standard input and a pipe as its
 * output; the port is close-on-exec and can be opened only once, so nothing
 * that a test prints or opens can pass for a frame.  Before and after a
 * command a marker goes to /dev/kmsg, for the host to tell whose splat it is.
 * Tests that share a long-lived process, the server, are in server.c.
 *
 * The kernel starts it as process 1, and it sets the guest up first: init.c.
 *
 * "agent --calibrate" prints how many microseconds a fixed piece of work
 * takes: host and guest do the same, which says how slow the guest is.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent.h"
#include "init.h"
#include "state.h"

#define PORT_NAME	"harness.agent"
#define FRAME_MAX	(16u << 20)
#define REAP_MS		2000	/* for killed processes to go away */

struct frame_header {
	uint32_t length;
	uint32_t id;
	uint8_t type;
} __attribute__((packed));

static int port = -1;
static int kmsg = -1;
struct command running = { .output = -1 };

uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static void die(const char *what)
{
	dprintf(2, "harness agent: %s: %s\n", what, strerror(errno));
	if (getpid() == 1)
		power_off();
	exit(1);
}

static void put(const void *data, size_t length)
{
	const char *p = data;

	while (length) {
		ssize_t n = write(port, p, length);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			die("write to the host");
		}
		p += n;
		length -= n;
	}
}

void send_frame(uint8_t type, uint32_t id, const void *data, size_t length)
{
	struct frame_header header = { .length = length, .id = id, .type = type };

	put(&header, sizeof(header));
	put(data, length);
}

void mark(const char *format, ...)
{
	char text[512];
	va_list args;
	int n;

	/* One write() is one record; dprintf() would try to seek first, which fails. */
	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	if (kmsg >= 0 && write(kmsg, text, n) < 0)
		dprintf(2, "harness agent: /dev/kmsg: %s\n", strerror(errno));
}

static int open_port(void)
{
	char path[512], name[64];
	struct dirent *entry;
	DIR *dir = opendir("/sys/class/virtio-ports");

	if (!dir)
		return -1;
	while ((entry = readdir(dir))) {
		ssize_t n = 0;
		int fd;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name",
			 entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			n = read(fd, name, sizeof(name) - 1);
			close(fd);
		}
		if (n <= 0)
			continue;
		name[n] = '\0';
		name[strcspn(name, "\n")] = '\0';
		if (strcmp(name, PORT_NAME))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		closedir(dir);
		return open(path, O_RDWR | O_CLOEXEC);
	}
	closedir(dir);
	errno = ENOENT;
	return -1;
}

/*
 * Kill what is left of a command: every process of its session, and every
 * child that we got as the subreaper of orphans.  Killing a parent hands us its
 * children, so look again until there is nothing.  The server stays, its
 * children go.  Returns how many were found.
 */
int kill_leftovers(pid_t session)
{
	uint64_t deadline = now_us() + REAP_MS * 1000ull;
	int total = 0, found;
	siginfo_t child;
	pid_t gone;

	/*
	 * Whatever outlives its parent becomes ours: without a child there is
	 * nobody, and /proc, which is slow to read under emulation, need not say so.
	 */
	if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
		return 0;
	do {
		struct dirent *entry;
		DIR *dir = opendir("/proc");

		if (!dir)
			return total;
		found = 0;
		while ((entry = readdir(dir))) {
			char path[300], text[512], *p, state;
			pid_t pid = atoi(entry->d_name);
			int fd, ppid, pgrp, sid;
			ssize_t n;

			if (pid <= 1 || pid == getpid() || pid == server.pid)
				continue;
			snprintf(path, sizeof(path), "/proc/%d/stat", pid);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				continue;
			n = read(fd, text, sizeof(text) - 1);
			close(fd);
			if (n <= 0)
				continue;
			text[n] = '\0';
			p = strrchr(text, ')');
			if (!p || sscanf(p + 1, " %c %d %d %d", &state, &ppid, &pgrp, &sid) != 4)
				continue;
			if (state == 'Z' || (sid != session && ppid != getpid() &&
					     (!server.pid || ppid != server.pid)))
				continue;
			kill(pid, SIGKILL);
			found++;
		}
		closedir(dir);
		total += found;
		while ((gone = waitpid(-1, NULL, WNOHANG)) > 0)
			server_reaped(gone);
		if (found)
			usleep(2000);	/* poll: they need a moment to go */
	} while (found && now_us() < deadline);
	return total;
}

static void set_oom_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, score, strlen(score)) < 0)
		dprintf(2, "harness agent: oom_score_adj: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void run_child(const struct request *request, int out, int control)
{
	char **argv = (char **)request->argv, *const *env;
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	setsid();
	set_oom_score("0");
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	if (null > 2)
		close(null);
	if (out > 2 && out != control)
		close(out);
	if (control >= 0 && control != CONTROL_FD)
		dup2(control, CONTROL_FD);
	else if (control >= 0)
		fcntl(control, F_SETFD, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir(request->cwd)) {
		dprintf(2, "harness agent: cannot enter %s: %s\n", request->cwd, strerror(errno));
		_exit(127);
	}
	for (env = request->env; *env; env++)
		putenv(*env);
	if (request->fail_nth && control < 0)
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	execvp(argv[0], argv);
	dprintf(2, "harness agent: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

pid_t spawn(const struct request *request, int control, int *output)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid == 0)
		run_child(request, ends[1], control);
	close(ends[1]);
	if (pid < 0)
		close(ends[0]);
	else
		*output = ends[0];
	return pid;
}

void fail_command(uint32_t id, int error, uint32_t flags)
{
	struct exit_report report = {
		.status = -1, .signal = error, .flags = flags, .fault_left = NO_FAULT,
	};

	send_frame(F_EXIT, id, &report, sizeof(report));
}

static bool parse_request(struct request *request, uint32_t id, char *data, uint32_t length)
{
	char *p = data + 8, *end = data + length;
	uint32_t argc, n = 0;

	if (length < 9 || end[-1])
		return false;
	request->id = id;
	memcpy(&request->timeout_ms, data, 4);
	memcpy(&argc, data + 4, 4);
	for (; p < end && n < MAX_STRINGS; p += strlen(p) + 1)
		request->strings[n++] = p;
	if (argc < 1 || argc > n || n < 3 + argc || p != end)
		return false;
	request->nonce = request->strings[0];
	request->label = request->strings[1];
	request->cwd = request->strings[2];
	/* A NULL between the arguments and the environment, and one after it. */
	memmove(request->strings + 4 + argc, request->strings + 3 + argc,
		(n - 3 - argc) * sizeof(char *));
	request->argv = request->strings + 3;
	request->strings[3 + argc] = NULL;
	request->env = request->strings + 4 + argc;
	request->strings[n + 1] = NULL;
	request->fail_nth = take_fault(request);
	return true;
}

void begin_command(const struct request *request)
{
	memset(&running, 0, sizeof(running));
	running.id = request->id;
	running.output = -1;
	running.fail_nth = request->fail_nth;
	running.report.fault_left = NO_FAULT;
	if (request->fail_nth)
		allow_faults();
	snprintf(running.nonce, sizeof(running.nonce), "%s", request->nonce);
	mark("<5>harness %s: start %u %s\n", running.nonce, running.id, request->label);
	state_before();
	running.report.left.jiffies_from = jiffies_now();
	running.started_us = now_us();
	running.deadline_us = running.started_us + request->timeout_ms * 1000ull;
}

void end_command(void)
{
	running.report.left.jiffies_to = jiffies_now();
	mark("<5>harness %s: end %u\n", running.nonce, running.id);
	send_frame(F_EXIT, running.id, &running.report, sizeof(running.report));
	running.pid = 0;
	running.output = -1;
}

static void start_command(const struct request *request)
{
	begin_command(request);
	running.pid = spawn(request, -1, &running.output);
	if (running.pid < 0) {
		running.pid = 0;
		return fail_command(request->id, errno, 0);
	}
	/* Who was never armed has a count of 0, which is no fault that came. */
	if (request->fail_nth && !arm_fault(running.pid, request->fail_nth))
		running.fail_nth = 0;
}

static void start(uint8_t type, uint32_t id, char *data, uint32_t length)
{
	static struct request request;

	if (running.pid)
		return fail_command(id, EBUSY, 0);
	if (!parse_request(&request, id, data, length))
		return fail_command(id, EINVAL, 0);
	if (type == F_EXEC)
		start_command(&request);
	else if (type == F_SERVE)
		start_server(&request);
	else
		start_call(&request);
}

/* Forward what the pipe holds, and close it at its end. */
static void forward_output(void)
{
	static char chunk[CHUNK];
	ssize_t n = read(running.output, chunk, sizeof(chunk));

	if (n > 0)
		send_frame(F_OUTPUT, running.id, chunk, n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		close_output();
}

void close_output(void)
{
	close(running.output);
	if (server.output == running.output)
		server.output = -1;
	running.output = -1;
}

void drain(int wait_ms)
{
	uint64_t deadline_us = now_us() + DRAIN_MS * 1000ull;

	while (running.output >= 0 && now_us() < deadline_us) {
		struct pollfd fd = { .fd = running.output, .events = POLLIN };

		if (poll(&fd, 1, wait_ms) <= 0)
			return;
		forward_output();
	}
}

/* The command itself is over: see to its rest and report. */
static void finish_command(void)
{
	struct exit_report *report = &running.report;

	report->wall_us = now_us() - running.started_us;
	if (!(report->flags & EXIT_TIMED_OUT))
		drain(DRAIN_MS);
	if (kill_leftovers(running.pid))
		report->flags |= EXIT_LEFTOVERS;
	drain(DRAIN_MS);
	if (running.output >= 0)
		close_output();
	if (running.served)
		state_after_server(report);
	else
		state_after(report);
	end_command();
}

/* The next child that is dead, 0 for none; it can still be asked about. */
static pid_t next_dead(void)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT))
		return 0;
	return info.si_pid;
}

static void reap(void)
{
	struct exit_report *report = &running.report;
	struct rusage usage;
	bool over = false;
	int status;
	pid_t pid;

	while ((pid = next_dead()) > 0) {
		bool served;

		if (pid == running.pid && running.fail_nth)
			report->fault_left = left_of_fault(pid);
		if (wait4(pid, &status, WNOHANG, &usage) != pid)
			continue;
		served = server_reaped(pid);
		if (pid != running.pid)
			continue;
		report->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		report->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		over = true;
		running.served = served;
		if (served)
			continue;	/* the usage is that of all tests it ran */
		report->user_us = usage.ru_utime.tv_sec * 1000000ull + usage.ru_utime.tv_usec;
		report->system_us = usage.ru_stime.tv_sec * 1000000ull + usage.ru_stime.tv_usec;
		report->max_rss_kib = usage.ru_maxrss;
	}
	if (over)
		finish_command();
}

/* Its time is up, or the host says so. */
static void kill_command(bool timed_out)
{
	if (!running.pid)
		return;
	if (timed_out)
		running.report.flags |= EXIT_TIMED_OUT;
	running.deadline_us = UINT64_MAX;
	kill(-running.pid, SIGKILL);
	kill(running.pid, SIGKILL);
}

static void read_file(uint32_t id, const char *path)
{
	static char chunk[CHUNK];
	struct exit_report report = { .status = 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1;

	if (fd >= 0) {
		while ((n = read(fd, chunk, sizeof(chunk))) > 0)
			send_frame(F_OUTPUT, id, chunk, n);
	}
	if (n < 0) {
		report.status = -1;
		report.signal = errno;
	}
	if (fd >= 0)
		close(fd);
	send_frame(F_EXIT, id, &report, sizeof(report));
}

static void take_frame(const struct frame_header *header, char *data)
{
	switch (header->type) {
	case F_EXEC:
	case F_SERVE:
	case F_CALL:
		start(header->type, header->id, data, header->length);
		break;
	case F_KILL:
		kill_command(false);
		break;
	case F_READ:
		if (header->length && !data[header->length - 1])
			read_file(header->id, data);
		break;
	case F_WAKE:
		wake(data, header->length);
		break;
	case F_QUIET:
		wait_quiet(header->id);
		break;
	case F_LEAKS:
		if (header->length && !data[header->length - 1])
			find_leaks(header->id, data);
		break;
	}
}

static bool get(void *data, size_t length)
{
	char *p = data;

	while (length) {
		ssize_t n = read(port, p, length);

		if (n <= 0) {
			if (n < 0 && errno == EINTR)
				continue;
			return false;
		}
		p += n;
		length -= n;
	}
	return true;
}

/* Read one frame; false when the host is gone or talks nonsense. */
static bool serve_port(void)
{
	struct frame_header header;
	char *data;
	bool good;

	if (!get(&header, sizeof(header)) || header.length > FRAME_MAX)
		return false;
	data = malloc(header.length + 1);
	good = data && get(data, header.length);
	if (good)
		take_frame(&header, data);
	free(data);
	return good;
}

/*
 * The agent proper is a child of process 1: should a test or the OOM killer end it, we
 * tell the host, which else sees only a guest that powers itself off.
 */
static void guard_agent(void)
{
	pid_t pid = fork(), ended;
	int status = 0;

	if (pid < 0)
		die("fork");
	if (pid == 0)
		return;
	signal(SIGPIPE, SIG_IGN);
	do
		ended = waitpid(-1, &status, 0);
	while (ended != pid && (ended > 0 || errno == EINTR));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		send_frame(F_DIED, 0, NULL, 0);
	power_off();
}

int main(int argc, char **argv)
{
	struct signalfd_siginfo info;
	struct pollfd fds[4];
	sigset_t mask;

	if (argc == 2 && !strcmp(argv[1], "--calibrate")) {
		printf("%llu\n", (unsigned long long)calibrate());
		return 0;
	}
	if (getpid() != 1) {
		dprintf(2, "harness agent: only the kernel of a guest can start this\n");
		return 2;
	}
	init_system();
	init_shell();
	port = open_port();
	if (port < 0)
		die("no virtio-serial port named " PORT_NAME);
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	set_oom_score("-1000");
	guard_agent();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	fds[0] = (struct pollfd){ .fd = port, .events = POLLIN };
	fds[1] = (struct pollfd){
		.fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN
	};
	state_init();
	greet();

	for (;;) {
		uint64_t now = now_us();
		int wait_ms = -1;

		if (running.pid && running.deadline_us != UINT64_MAX)
			wait_ms = now < running.deadline_us ?
				  (running.deadline_us - now) / 1000 + 1 : 0;
		fds[2] = (struct pollfd){
			.fd = running.pid ? running.output : server.output, .events = POLLIN
		};
		fds[3] = (struct pollfd){ .fd = server.control, .events = POLLIN };
		if (poll(fds, 4, wait_ms) < 0 && errno != EINTR)
			die("poll");
		if (running.pid && now_us() >= running.deadline_us)
			kill_command(true);
		if (fds[2].revents && running.pid)
			forward_output();
		else if (fds[2].revents)
			drop_output();
		/* Before its end: a server may answer and die. */
		if (fds[3].revents)
			serve_control();
		if (fds[1].revents) {
			while (read(fds[1].fd, &info, sizeof(info)) > 0)
				;
			reap();
		}
		if (fds[0].revents && !serve_port())
			return 0;
	}
}
