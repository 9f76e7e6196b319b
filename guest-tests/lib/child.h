/* SPDX-License-Identifier: GPL-2.0-only */
/* Something done in a process of its own, which then ends. */
#ifndef GUEST_TESTS_CHILD_H
#define GUEST_TESTS_CHILD_H

#include <sys/prctl.h>
#include <sys/wait.h>
#include "ktap.h"

/*
 * Do @act in a child: its wait status, 0 if it came to its end.  A failed
 * ASSERT() in there is printed and gives exit status 1.
 */
static inline int in_child(void (*act)(void *arg), void *arg)
{
	int status = -1;
	pid_t pid;

	pid = ASSERT_OK(fork());
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGALRM, SIG_DFL);
		alarm(KTAP_CASE_TIMEOUT_S);
		act(arg);
		_exit(ktap.case_failed);
	}
	KTAP_HERE("waiting for a child to end");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

#endif /* GUEST_TESTS_CHILD_H */
