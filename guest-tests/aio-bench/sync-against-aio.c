// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each reader reads its part of the disk from its beginning to its end: a process
 * for each that reads synchronously, and one process with a request for each in
 * flight.
 *
 * Janet Morgan measured that on 5 March 2003, with ten of them and a disk for each
 * ("Re: [RFC][Patch] Retry based aio read for filesystems"): the same wall time,
 * but less of the CPU and a fifth of the switches.  See docs/aio-bench.md.
 */
#include "bench.h"

static const struct load load = {
	.each = MIB,
	.chunk = 128 * KIB,
	.rounds = 1,
};

int main(void)
{
	return bench(&load);
}
