/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is read: from the suite's scratch disk, through the page cache, as in 2003.
 * Each reader has a part of it, and a struct file, so a readahead, of its own.
 */
#ifndef AIO_BENCH_LOAD_H
#define AIO_BENCH_LOAD_H

#include <sys/mman.h>
#include "counts.h"

#define KIB		1024
#define MIB		(1024 * KIB)
#define PAGE		4096

#define READERS		16
#define MAX_BYTES	(16 * MIB)

/* A case: the disk alone takes it 1 s. */
#define CASE_TIMEOUT_S	(2 * KTAP_CASE_TIMEOUT_S)

/*
 * Where on the disk: what is read before anything is measured, and between what the
 * cases read room for a readahead that goes too far.
 */
#define WARM_UP_AT	0
#define WARM_UP_BYTES	(READERS * 64 * KIB)
#define BURST_AT	(4 * MIB)
#define LOAD_AT		(8 * MIB)
#define GAP_BYTES	(2 * MIB)

/* A disk of 16 MiB/s that was idle has 1.6 MiB in hand. */
#define BURST_BYTES	(2 * MIB)

struct load {
	size_t each;		/* bytes that a reader has, a power of two */
	size_t chunk;		/* bytes at once, another */
	int rounds;		/* how often it is read; more than one wants it cached */
	bool random;		/* readers have chunks from all over it */
	int64_t work_ms;	/* CPU time that somebody has another use for meanwhile */
	off_t at;		/* where it is on the disk, as bench() says */
};

/* Shared with the processes that read.  A chunk's place is that on the disk. */
static char *data;

static inline size_t load_bytes(const struct load *load)
{
	return READERS * load->each;
}

static inline unsigned int load_chunks(const struct load *load)
{
	return load->each / load->chunk;
}

/* Any permutation of the numbers below @nr, a power of two, that no readahead follows. */
static inline uint32_t shuffled(uint32_t n, uint32_t nr)
{
	int half = __builtin_ctz(nr) / 2 + 1;

	n = n * 0x9e3779b1u & (nr - 1);
	n ^= n >> half;
	return n * 0x85ebca6bu & (nr - 1);
}

/* Where in the load the @n-th chunk of @reader is. */
static inline size_t chunk_at(const struct load *load, int reader, unsigned int n)
{
	uint32_t place = reader * load_chunks(load) + n % load_chunks(load);

	if (load->random)
		place = shuffled(place, READERS * load_chunks(load));
	return place * load->chunk;
}

static inline uint64_t word_at(uint64_t offset)
{
	return (offset + 1) * 0x9e3779b97f4a7c15ULL;
}

static inline int open_disk(int flags)
{
	const char *dev = getenv("SCRATCH_DEV");
	int fd;

	if (!dev || !*dev)
		ktap_skip("SCRATCH_DEV names no disk");
	fd = ASSERT_OK(open(dev, flags | O_CLOEXEC));
	return keep_fd(fd);
}

/* One of a reader's own, advised of what is to come. */
static inline int open_part(const struct load *load)
{
	int fd = open_disk(O_RDONLY);

	if (load->random)
		ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	return fd;
}

/* With O_DIRECT: nothing of it is in memory then. */
static inline void write_load(const struct load *load)
{
	int fd = open_disk(O_RDWR | O_DIRECT);
	uint64_t *words = (uint64_t *)data;
	size_t i, done = 0, len = load_bytes(load);

	for (i = 0; i < len / sizeof(*words); i++)
		words[i] = word_at(load->at + i * sizeof(*words));
	while (done < len)
		done += ASSERT_OK(pwrite(fd, data + done, len - done, load->at + done));
	memset(data, 'x', len);
}

static inline void expect_load_here(const struct load *load)
{
	const uint64_t *words = (const uint64_t *)data;
	size_t i;

	for (i = 0; i < load_bytes(load) / sizeof(*words); i++) {
		uint64_t at = load->at + i * sizeof(*words);

		if (words[i] == word_at(at))
			continue;
		ktap_fail("eight bytes at %#llx came as %#llx, expected %#llx",
			  (unsigned long long)at, (unsigned long long)words[i],
			  (unsigned long long)word_at(at));
		return;
	}
}

/* What has been read is what is there, all of it. */
#define EXPECT_LOAD(load) do {						\
	KTAP_HERE("comparing");						\
	expect_load_here(load);						\
} while (0)

static inline size_t cached_pages(const struct load *load)
{
	static unsigned char vec[MAX_BYTES / PAGE];
	size_t pages = load_bytes(load) / PAGE, cached = 0;
	int fd = open_disk(O_RDONLY);
	void *map;

	map = mmap(NULL, load_bytes(load), PROT_READ, MAP_SHARED, fd, load->at);
	ASSERT(map != MAP_FAILED);
	ASSERT_OK(mincore(map, load_bytes(load), vec));
	munmap(map, load_bytes(load));
	while (pages)
		cached += vec[--pages] & 1;
	return cached;
}

/* Have all of it in memory already. */
static inline void cache_load(const struct load *load)
{
	int fd = open_disk(O_RDONLY);
	size_t done = 0;

	while (done < load_bytes(load))
		done += ASSERT_OK(pread(fd, data + done, load_bytes(load) - done,
					load->at + done));
	memset(data, 'x', load_bytes(load));
}

/*
 * QEMU lets a request pass when those before it have been paid for, and makes one of
 * neighbours, so that the last one is free, and it may be large.  Have it paid for,
 * by one that is small.
 */
static inline void pay_the_disk(int fd)
{
	static char trash[PAGE] __attribute__((aligned(PAGE)));

	ASSERT_EQ(pread(fd, trash, PAGE, BURST_AT), PAGE);
}

/*
 * Take what the idle disk has in hand, for it to be as slow as it is from here on:
 * a tenth of a second later it has all that again.
 */
static inline void use_up_burst(int fd)
{
	static char trash[MIB] __attribute__((aligned(PAGE)));
	size_t done;

	for (done = 0; done < BURST_BYTES; done += MIB)
		ASSERT_EQ(pread(fd, trash, MIB, BURST_AT), MIB);
	pay_the_disk(fd);
}

static inline int64_t own_cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1000000000LL + used.tv_nsec;
}

/* What the submitter, or the parent of the readers, has to do meanwhile. */
static inline void work(const struct load *load)
{
	int64_t until = own_cpu_ns() + load->work_ms * 1000000;
	volatile unsigned int sum = 0;
	unsigned int i;

	while (load->work_ms && own_cpu_ns() < until)
		for (i = 0; i < 20000; i++)
			sum += i;
}

#endif /* AIO_BENCH_LOAD_H */
