// SPDX-License-Identifier: GPL-2.0-only
/*
 * All of it is in memory, so nobody has to wait: what it costs to try first
 * whether that is so.
 */
#include "bench.h"

static const struct load load = {
	.each = 512 * KIB,
	.chunk = PAGE,
	.rounds = 8,
};

int main(void)
{
	return bench(&load);
}
