/* SPDX-License-Identifier: GPL-2.0-only */
/* What agent.c and server.c share. */
#ifndef HARNESS_AGENT_H
#define HARNESS_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHUNK		(64u << 10)
#define DRAIN_MS	250	/* for output still in the pipe after the exit */
#define MAX_STRINGS	1024
#define CONTROL_FD	3	/* in a server: its end of the control socket */
#define STATE_CACHES	3	/* of slabs, whose objects are counted where that is exact */
#define NO_FAULT	UINT64_MAX
#define FAULT_VARIABLE	"HARNESS_FAIL_NTH="	/* of a request's environment */

enum frame_type {
	/* host to guest */
	F_EXEC = 1,	/* u32 timeout in ms, u32 argc, then strings: nonce, label,
			 * cwd, argc arguments, environment
			 */
	F_KILL = 2,	/* end the running command now */
	F_READ = 3,	/* path: answered with F_OUTPUT and F_EXIT */
	F_SERVE = 4,	/* as F_EXEC: start a server, in place of the one that runs;
			 * over when it is ready
			 */
	F_CALL = 5,	/* as F_EXEC: have the server do what the one argument says */
	F_WAKE = 6,	/* struct wake, then a text for the kernel's log, if any:
			 * answered with F_HELLO
			 */
	F_QUIET = 7,	/* answered with F_EXIT as soon as there is little to do */
	F_LEAKS = 8,	/* nonce: what kmemleak finds, answered like F_READ after 5 s and more */
	/* guest to host */
	F_HELLO = 16,	/* text: version, kernel release, calibration in us */
	F_OUTPUT = 17,	/* bytes */
	F_EXIT = 18,	/* struct exit_report */
	F_DIED = 19,	/* the agent itself was killed; nothing: its guardian says so */
};

enum exit_flags {
	EXIT_TIMED_OUT	= 1,
	EXIT_LEFTOVERS	= 2,	/* processes of the command outlived it */
	EXIT_NO_SERVER	= 4,	/* F_CALL: there is none, nothing was done */
};

/* What a guest cannot know: it has just booted, or slept in a file. */
struct wake {
	uint64_t realtime_ns;
	uint8_t seed[32];
	uint32_t hung_s;	/* a task blocked for so long is reported */
	uint32_t lockup_s;	/* half of what a processor may not get on for */
	uint32_t stall_s;	/* what an RCU grace period may last */
} __attribute__((packed));

/* What there is more of after a command than before (state.c), and when it ran. */
struct left {
	uint64_t jiffies_from;	/* 0 without kmemleak */
	uint64_t jiffies_to;
	uint64_t taint_before;	/* /proc/sys/kernel/tainted */
	uint64_t taint;
	int32_t files;
	int32_t aio_nr;
	int32_t objects[STATE_CACHES];
} __attribute__((packed));

struct exit_report {
	int32_t status;		/* exit status, or -1 */
	int32_t signal;		/* that ended it, or 0; for F_READ an errno */
	uint32_t flags;
	uint64_t wall_us;
	uint64_t user_us;
	uint64_t system_us;
	uint64_t max_rss_kib;
	struct left left;
	uint64_t fault_left;	/* of the N of a fault, 0: it came; NO_FAULT: none was asked for */
} __attribute__((packed));

/* F_EXEC, F_SERVE or F_CALL, taken apart. */
struct request {
	uint32_t id;
	uint32_t timeout_ms;
	const char *nonce, *label, *cwd;
	char **argv, **env;	/* each ends with NULL */
	uint32_t fail_nth;	/* which call of its own is to fail; 0: none */
	char *strings[MAX_STRINGS + 4];	/* an end of each, and one more variable */
};

struct command {
	uint32_t id;
	pid_t pid;		/* 0: none is running; a call has the server's */
	int output;		/* read end of its pipe, or -1 */
	bool starting;		/* a server that is not ready yet */
	bool served;		/* by a server, which is gone now */
	uint64_t started_us;
	uint64_t deadline_us;
	uint32_t fail_nth;	/* as in its request */
	char nonce[64];
	struct exit_report report;
};

struct server {
	pid_t pid;		/* 0: there is none */
	int control;		/* our end of the socket, or -1 */
	int output;		/* read end of its pipe, or -1; a call's output too */
	char token[17];		/* only an answer that begins so is the one we wait for */
};

extern struct command running;
extern struct server server;

/* agent.c */
uint64_t now_us(void);
void send_frame(uint8_t type, uint32_t id, const void *data, size_t length);
void mark(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Refuse a command that has not begun. */
void fail_command(uint32_t id, int error, uint32_t flags);

/* Make it the running one, all but its process and output, and mark its start. */
void begin_command(const struct request *request);

/* Start its process, with the write end of a new pipe as output and control, if it is not
 * negative, as CONTROL_FD; -1 and errno.
 */
pid_t spawn(const struct request *request, int control, int *output);

/* Forward output until none has come for @wait_ms, but not for ever. */
void drain(int wait_ms);
void close_output(void);
int kill_leftovers(pid_t session);

/* Mark the end of the running command, and report it. */
void end_command(void);

/* fault.c */

/* Take N out of the environment of @request, where the host puts it. */
uint32_t take_fault(struct request *request);

/* Have the kernel's knobs allow the faults of all allocations. */
void allow_faults(void);

/*
 * The N-th call of @pid fails, a child that asked to be traced and then to be exec()ed; false where
 * it did not come to its main().
 */
bool arm_fault(pid_t pid, uint32_t nth);

/* What is left of N; NO_FAULT where that is not known. */
uint64_t left_of_fault(pid_t pid);

/* wake.c */
uint64_t calibrate(void);	/* microseconds that a fixed piece of work takes */
void greet(void);
void wake(const char *data, size_t length);
void wait_quiet(uint32_t id);	/* answer as soon as there is little to do */

/* server.c */
void start_server(struct request *request);
void start_call(const struct request *request);

/* The control socket has something to say. */
void serve_control(void);

/* The server prints while nobody has asked it for anything. */
void drop_output(void);

/* A child was reaped: true when it was the server, which is then forgotten. */
bool server_reaped(pid_t pid);

#endif
