// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests that share a process: a server that takes long to start, such as a
 * Python interpreter with pytest, does one after another as we ask it to.
 *
 * It has an end of a socket (SOCK_SEQPACKET, so a write is a message) as the
 * descriptor that HARNESS_CONTROL="FD TOKEN" names.  It answers
 *
 *	TOKEN STATUS USER_US SYSTEM_US [FAULT_LEFT]
 *
 * when it is ready, and then to each request "TOKEN ARGUMENT", whose token is a
 * new one every time: what a test prints or writes to any descriptor is no
 * answer.  Lines after the first are variables for the environment.  STATUS is what the exit
 * status of a program would be; the two times are what the test took of the processor.  One
 * of the variables may be a fault's (fault.c): the server arms it around the test itself, and
 * answers what is left.
 *
 * A call looks to the host like a command of its own.  When the server ends
 * meanwhile it does end like one, and the host starts another for the next.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent.h"
#include "state.h"

#define STOP_MS		2000	/* for a server that is killed to go away */

struct server server = { .control = -1, .output = -1 };

static void new_token(void)
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = now_us();	/* at boot: still none that is written by chance */
	snprintf(server.token, sizeof(server.token), "%016llx", (unsigned long long)random);
}

static void close_control(void)
{
	if (server.control >= 0)
		close(server.control);
	server.control = -1;
}

bool server_reaped(pid_t pid)
{
	if (!server.pid || pid != server.pid)
		return false;
	server.pid = 0;
	close_control();
	/* A call that is running has the last of its output to forward. */
	if (running.pid != pid && server.output >= 0)
		close(server.output);
	server.output = -1;
	return true;
}

static void stop_server(void)
{
	uint64_t deadline = now_us() + STOP_MS * 1000ull;
	pid_t old = server.pid;

	if (!old)
		return;
	kill(-old, SIGKILL);
	kill(old, SIGKILL);
	/* One that hangs in the kernel stays, and what it holds is left behind. */
	while (waitpid(old, NULL, WNOHANG) == 0 && now_us() < deadline)
		usleep(500);	/* poll: it needs a moment to go */
	server_reaped(old);
	kill_leftovers(old);
}

void start_server(struct request *request)
{
	char control[64];
	int ends[2], error;
	size_t n = 0;

	stop_server();
	state_before_server();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return fail_command(request->id, errno, 0);
	new_token();
	snprintf(control, sizeof(control), "HARNESS_CONTROL=%d %s", CONTROL_FD, server.token);
	while (request->env[n])
		n++;
	request->env[n] = control;
	request->env[n + 1] = NULL;

	begin_command(request);
	running.starting = true;
	server.pid = spawn(request, ends[1], &server.output);
	error = errno;
	close(ends[1]);
	if (server.pid < 0) {
		close(ends[0]);
		server.pid = 0;
		return fail_command(request->id, error, 0);
	}
	server.control = ends[0];
	running.pid = server.pid;
	running.output = server.output;
}

void start_call(const struct request *request)
{
	static char text[48 << 10];
	int n;

	new_token();
	n = snprintf(text, sizeof(text), "%s %s", server.token, request->argv[0]);
	for (char **env = request->env; *env && n < (int)sizeof(text); env++)
		n += snprintf(text + n, sizeof(text) - n, "\n%s", *env);
	if (request->fail_nth && n < (int)sizeof(text))
		n += snprintf(text + n, sizeof(text) - n, "\n" FAULT_VARIABLE "%u",
			      request->fail_nth);
	if (n >= (int)sizeof(text))
		return fail_command(request->id, ENAMETOOLONG, 0);
	if (!server.pid || server.control < 0)
		return fail_command(request->id, ESRCH, EXIT_NO_SERVER);
	begin_command(request);
	running.pid = server.pid;
	running.output = server.output;
	/* It fails when the server is about to end: that ends the call too. */
	if (send(server.control, text, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		kill(server.pid, SIGKILL);
}

/* The server has answered; it has flushed its output before. */
static void finish_call(int status, uint64_t user_us, uint64_t system_us, uint64_t fault_left)
{
	struct exit_report *report = &running.report;

	report->wall_us = now_us() - running.started_us;
	report->status = status;
	report->user_us = user_us;
	report->system_us = system_us;
	report->fault_left = fault_left;
	drain(0);
	if (kill_leftovers(running.pid))
		report->flags |= EXIT_LEFTOVERS;
	drain(0);
	if (server.pid && running.starting)
		state_of_server();
	else if (server.pid && !state_after_call(report))
		stop_server();	/* what is there more of now may be its own */
	if (!server.pid) {
		if (running.output >= 0)
			close_output();
		state_after_server(report);
	}
	end_command();
}

void serve_control(void)
{
	unsigned long long user_us, system_us, fault_left = NO_FAULT;
	char text[128], token[17];
	ssize_t n;
	int status;

	n = recv(server.control, text, sizeof(text) - 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		/* It ends, or a test has closed what is not its own: it is of no use. */
		close_control();
		kill(server.pid, SIGKILL);
		return;
	}
	text[n] = '\0';
	if (running.pid != server.pid || running.report.flags & EXIT_TIMED_OUT)
		return;
	if (sscanf(text, "%16s %d %llu %llu %llu", token, &status, &user_us, &system_us,
		   &fault_left) >= 4 &&
	    !strcmp(token, server.token) && status >= 0)
		finish_call(status, user_us, system_us, fault_left);
}

void drop_output(void)
{
	char chunk[4096];
	ssize_t n = read(server.output, chunk, sizeof(chunk));

	if (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)))
		return;
	close(server.output);
	server.output = -1;
}
