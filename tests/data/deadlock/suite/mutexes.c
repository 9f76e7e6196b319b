// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two threads that wait for each other's mutex, while a poll of a pipe is pending in an
 * AIO context.
 */
#include "deadlock.h"

int main(void)
{
	struct iocb poll = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN };
	struct iocb *iocbs[] = { &poll };
	aio_context_t context = 0;
	int fds[2];

	if (pipe(fds) || syscall(SYS_io_setup, 8, &context))
		return 2;
	poll.aio_data = 0x1234;
	poll.aio_fildes = fds[0];
	if (syscall(SYS_io_submit, context, 1, iocbs) != 1)
		return 2;
	return deadlock_of(1, 2);
}
