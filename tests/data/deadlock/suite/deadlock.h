/* SPDX-License-Identifier: GPL-2.0-only */
/* What the series does to who calls io_destroy() with a small number. */
#ifndef DEADLOCK_H
#define DEADLOCK_H

#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void *deadlock(void *number)
{
	char name[16];

	snprintf(name, sizeof(name), "deadlock-%lu", (unsigned long)number);
	prctl(PR_SET_NAME, name);
	syscall(SYS_io_destroy, (unsigned long)number);
	return NULL;
}

/* Two threads that wait for each other; back only on a kernel without the series. */
static inline int deadlock_of(unsigned long one, unsigned long other)
{
	pthread_t threads[2];

	if (pthread_create(&threads[0], NULL, deadlock, (void *)one) ||
	    pthread_create(&threads[1], NULL, deadlock, (void *)other))
		return 2;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	return 0;
}

#endif
