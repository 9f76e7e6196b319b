// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers that want single pages from all over the disk, without readahead: what
 * it costs to wait once for each.
 */
#include "bench.h"

static const struct load load = {
	.each = 512 * KIB,
	.chunk = PAGE,
	.rounds = 1,
	.random = true,
};

int main(void)
{
	return bench(&load);
}
