// SPDX-License-Identifier: GPL-2.0-only
/* A CPU that spins with interrupts off. */
#include "deadlock.h"

int main(void)
{
	deadlock((void *)3UL);
	return 0;
}
