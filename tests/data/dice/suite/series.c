// SPDX-License-Identifier: GPL-2.0-only
/* Fails where io_destroy() has another error than EINVAL for no context. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	return syscall(SYS_io_destroy, 0UL) != -1 || errno != EINVAL;
}
