// SPDX-License-Identifier: GPL-2.0-only
/* Restarts the guest without a word: a crash that leaves no splat. */
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	reboot(RB_AUTOBOOT);
	pause();
	return 0;
}
