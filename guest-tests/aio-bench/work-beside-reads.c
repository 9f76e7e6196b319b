// SPDX-License-Identifier: GPL-2.0-only
/*
 * What asynchronous reads are for: the submitter asks for a part of each reader at
 * once, and has something else to do while the disk has.  An io_submit() that waits
 * for the disk leaves it to do afterwards.  For comparison the parent of processes
 * that read synchronously does it.
 */
#include "bench.h"

static const struct load load = {
	.each = MIB,
	.chunk = MIB,
	.rounds = 1,
	.work_ms = 600,
};

int main(void)
{
	return bench(&load);
}
