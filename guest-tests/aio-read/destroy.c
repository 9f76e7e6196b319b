// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_destroy() with reads in flight: it does not wait for the disk, and the memory
 * is the caller's again when it returns.
 */
#include "end.h"

static void destroy_what_reads(int fd)
{
	struct abandoned *abandoned = abandoned_make();
	aio_context_t ctx = aio_setup(ABANDONED_READS);

	keep_busy(BUSY_MIB);
	abandoned_submit(abandoned, ctx, fd);
	ASSERT_OK(io_destroy(ctx));
	EXPECT_ABANDONED(abandoned);
}

static void reads_in_flight(void)
{
	destroy_what_reads(cold_file());
}

/* The file system can be unmounted then: no request holds it. */
static void unmounting_after_it(void)
{
	int fd = cold_file();

	destroy_what_reads(fd);
	ktap_close_now(fd);
	ASSERT_OK(umount2(MOUNT_POINT, 0));
	mounted = NULL;
}

static const struct ktap_case cases[] = {
	KTAP_CASE(reads_in_flight),
	KTAP_CASE(unmounting_after_it),
};

SLOW_MAIN(cases)
