// SPDX-License-Identifier: GPL-2.0-only
/* Fails in three of ten runs, whatever the kernel does. */
#include <stdint.h>
#include <sys/random.h>

int main(void)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return 2;
	return number % 10 < 3;
}
