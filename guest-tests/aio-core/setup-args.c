// SPDX-License-Identifier: GPL-2.0-only
/*
 * What io_setup() refuses, with which error, and that nothing is left of it: a
 * refused context counts neither in aio-nr nor in the address space.
 */
#include <sys/mman.h>
#include "aio.h"

static long read_aio_nr(void)
{
	FILE *file = fopen("/proc/sys/fs/aio-nr", "re");
	long nr = -1;

	if (!file)
		ktap_skip("no aio-nr here: CONFIG_PROC_SYSCTL");
	EXPECT_EQ(fscanf(file, "%ld", &nr), 1);
	fclose(file);
	return nr;
}

static void refused(unsigned int nr, aio_context_t *ctx, int want)
{
	int ret = io_setup(nr, ctx);

	EXPECT_EQ(ret < 0 ? -errno : ret, want);
}

static void context_that_is_not_zero(void)
{
	aio_context_t ctx = 1;

	refused(1, &ctx, -EINVAL);
	EXPECT_EQ(ctx, 1);
	ctx = ~0UL;
	refused(1, &ctx, -EINVAL);
}

static void no_events(void)
{
	aio_context_t ctx = 0;

	refused(0, &ctx, -EINVAL);
	EXPECT_EQ(ctx, 0);
}

/*
 * The kernel doubles the number, in 32 bits: too large for a ring is EINVAL; of
 * what has become small again the limit of aio-max-nr is left, EAGAIN.
 */
static void more_events_than_there_can_be(void)
{
	static const unsigned int wrap[] = { 0x80000000, 0x80000001 };
	aio_context_t ctx = 0;
	size_t i;

	refused(0x7fffffff, &ctx, -EINVAL);
	refused(0xffffffff, &ctx, -EINVAL);
	for (i = 0; i < ARRAY_SIZE(wrap); i++) {
		EXPECT_EQ(io_setup(wrap[i], &ctx), -1);
		EXPECT(errno == EINVAL || errno == EAGAIN);
	}
	EXPECT_EQ(ctx, 0);
}

static void pointer_to_nowhere(void)
{
	refused(1, NULL, -EFAULT);
	refused(1, (aio_context_t *)~7UL, -EFAULT);
}

static void unmap(uintptr_t page)
{
	munmap((void *)page, getpagesize());
}

/* The context is there already when its name can't be told. */
static void place_that_can_only_be_read(void)
{
	long before = read_aio_nr();
	void *page = mmap(NULL, getpagesize(), PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(page != MAP_FAILED);
	ktap_defer(unmap, (uintptr_t)page);
	refused(100, page, -EFAULT);
	EXPECT_EQ(read_aio_nr(), before);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(context_that_is_not_zero),
	KTAP_CASE(no_events),
	KTAP_CASE(more_events_than_there_can_be),
	KTAP_CASE(pointer_to_nowhere),
	KTAP_CASE(place_that_can_only_be_read),
};

KTAP_MAIN(cases)
