/* SPDX-License-Identifier: GPL-2.0-only */
/* A test program: one load, read both ways. */
#ifndef AIO_BENCH_BENCH_H
#define AIO_BENCH_BENCH_H

#include "processes.h"
#include "submitter.h"

/*
 * Read the load that way and measure it, when the same in small has made what the
 * kernel makes once, as a worker.
 */
static inline void measure(const struct load *load, void (*way)(const struct load *, bool))
{
	struct load small = *load;
	int disk = open_disk(O_RDONLY);

	small.at = WARM_UP_AT;
	small.each = WARM_UP_BYTES / READERS;
	if (small.chunk > small.each)
		small.chunk = small.each;
	small.rounds = 1;
	small.work_ms = 0;

	alarm(CASE_TIMEOUT_S);
	counts_open();
	if (!data)
		data = shared_memory(MAX_BYTES);
	ASSERT(load_bytes(load) <= MAX_BYTES);
	/* What the case before has left there. */
	ASSERT_EQ(posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED), 0);
	write_load(load);
	way(&small, false);
	if (load->rounds > 1)
		cache_load(load);
	else
		ASSERT_EQ(cached_pages(load), 0);
	way(load, true);
	EXPECT_LOAD(load);
}

static struct load load_of_sync, load_of_aio;

static void sync_case(void)
{
	measure(&load_of_sync, read_by_processes);
}

static void aio_case(void)
{
	measure(&load_of_aio, read_by_aio);
}

/* The cases, whose names the metrics begin with: both ways to read such a load. */
static inline int bench(const struct load *load)
{
	static const struct ktap_case cases[] = {
		{ .name = "sync", .run = sync_case },
		{ .name = "aio", .run = aio_case },
	};

	load_of_sync = *load;
	load_of_sync.at = LOAD_AT;
	/* Not the same bytes, of which some might have stayed in memory. */
	load_of_aio = *load;
	load_of_aio.at = LOAD_AT + load_bytes(load) + GAP_BYTES;
	return ktap_run(cases, ARRAY_SIZE(cases));
}

#endif /* AIO_BENCH_BENCH_H */
