/* SPDX-License-Identifier: GPL-2.0-only */
/* What a command may leave behind in the kernel: state.c, held.c and kmemleak.c. */
#ifndef HARNESS_STATE_H
#define HARNESS_STATE_H

#include "agent.h"

#define HELD	1024	/* of the files that a server has */

/* What a server has: as many files at least as it has inodes open or mapped. */
struct held {
	struct { dev_t dev; ino_t inode; mode_t mode; } of[HELD];
	int files, rings;	/* of AIO contexts */
};

/* Once, when nothing of a test's runs yet. */
void state_init(void);

/* A command is about to begin. */
void state_before(void);

/* It and what it started are gone: what of it is left. */
void state_after(struct exit_report *report);

/* A server is about to be started, it is ready, and it is gone. */
void state_before_server(void);
void state_of_server(void);

/*
 * A call is over and its server is there, which may have opened files of its own.  False
 * when only the end of the server can tell what is whose.
 */
bool state_after_call(struct exit_report *report);

/* The server that a call had is gone, with all that was its own. */
void state_after_server(struct exit_report *report);

/* held.c */
void count_held(struct held *held);

/* kmemleak.c */
/* When it is, as reports of kmemleak say it; 0 where there are none.  A command ends or begins. */
uint64_t jiffies_now(void);

/* Answer with what kmemleak finds, and have it forget that. */
void find_leaks(uint32_t id, const char *nonce);

#endif
