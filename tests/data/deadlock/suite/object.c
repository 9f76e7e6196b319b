// SPDX-License-Identifier: GPL-2.0-only
/* Two threads that wait for each other's rw_semaphore and semaphore. */
#include "deadlock.h"

int main(void)
{
	return deadlock_of(4, 5);
}
