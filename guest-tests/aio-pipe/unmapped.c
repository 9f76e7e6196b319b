// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer that is unmapped while its request waits: EFAULT, and nothing is
 * written anywhere.
 */
#include <sys/mman.h>
#include "parked.h"

static char *map_page(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(page != MAP_FAILED);
	return page;
}

static void read_into_nothing(void)
{
	aio_context_t ctx = aio_setup(1);
	char *page = map_page();
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	submit_read(ctx, &iocb, fds[0], page, 4096);
	ASSERT_OK(munmap(page, 4096));
	put(fds[1]);
	EXPECT_EQ(aio_event(ctx, &iocb), -EFAULT);
}

static void write_from_nothing(void)
{
	aio_context_t ctx = aio_setup(1);
	char *page = map_page();
	struct iocb iocb;
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	fill_up(fds[0]);
	submit_write(ctx, &iocb, fds[0], page, 4096);
	ASSERT_OK(munmap(page, 4096));
	drain_all(fds[1]);
	EXPECT_EQ(aio_event(ctx, &iocb), -EFAULT);
	EXPECT_EQ(ready_now(fds[1], POLLIN), 0);
}

/* The data goes to what is there when it comes. */
static void mapped_again(void)
{
	aio_context_t ctx = aio_setup(1);
	char *page = map_page();
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	submit_read(ctx, &iocb, fds[0], page, 4096);
	ASSERT(mmap(page, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
	put(fds[1]);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
	EXPECT_EQ(page[0], 1);
	munmap(page, 4096);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(read_into_nothing),
	KTAP_CASE(write_from_nothing),
	KTAP_CASE(mapped_again),
};

KTAP_MAIN(cases)
