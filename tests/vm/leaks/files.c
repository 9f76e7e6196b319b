// SPDX-License-Identifier: GPL-2.0-only
/* Segments of shared memory outlive the process, which is no fault of the kernel: three files. */
#include <sys/ipc.h>
#include <sys/shm.h>
#include "ktap.h"

static void leaves_segments(void)
{
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_OK(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(leaves_segments),
};

KTAP_MAIN(cases)
