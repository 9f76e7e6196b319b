// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_destroy() with requests pending: the driver cancels each of them, and
 * nothing of them is left.
 */
#include "chardev.h"
#include "race.h"

static void pending_requests(void)
{
	int fd = chardev_load();
	struct aio_batch batch;
	aio_context_t ctx = 0;
	char data[AIO_BATCH];

	ASSERT_OK(io_setup(AIO_BATCH, &ctx));
	chardev_prep_batch(&batch, ctx, fd, NEVER);
	aio_batch_submit(&batch);
	EXPECT_EQ(chardev_pending(), AIO_BATCH);
	ASSERT_OK(io_destroy(ctx));
	EXPECT_EQ(chardev_cancelled(), AIO_BATCH);
	EXPECT_EQ(chardev_pending(), 0);
	EXPECT_EQ(read(fd, data, sizeof(data)), 0);
	ktap_close_now(fd);
	EXPECT_EQ(module_unload_soon(CHARDEV), 0);
}

static void while_they_complete(void)
{
	/* io_destroy() waits for grace periods: some 10 ms a round. */
	struct stress stress = stress_begin(10);
	int fd = chardev_load();
	struct aio_batch batch;
	char data[AIO_BATCH];

	while (stress_goes_on(&stress) && !ktap.case_failed) {
		aio_context_t ctx = 0;

		ASSERT_OK(io_setup(AIO_BATCH, &ctx));
		chardev_prep_batch(&batch, ctx, fd, stress_delay_ns(&stress, MS));
		aio_batch_submit(&batch);
		ASSERT_OK(io_destroy(ctx));
		EXPECT_EQ(chardev_pending(), 0);
		while (read(fd, data, sizeof(data)) > 0)
			;
	}
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pending_requests),
	KTAP_CASE(while_they_complete),
};

KTAP_MAIN(cases)
