// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module is unloaded while it is busy: that is refused as long as its device
 * is open or a request is pending, and works as soon as the last one is done.
 */
#include "chardev.h"
#include "race.h"

static void idle(void)
{
	module_load(CHARDEV);
	EXPECT_EQ(module_unload(CHARDEV), 0);
	EXPECT_EQ(module_unload(CHARDEV), -ENOENT);
}

static void device_is_open(void)
{
	int fd = chardev_load();

	EXPECT_EQ(module_unload(CHARDEV), -EWOULDBLOCK);
	EXPECT_EQ(write(fd, "x", 1), 1);
	ktap_close_now(fd);
	EXPECT_EQ(module_unload_soon(CHARDEV), 0);
}

/* It is the request that holds the file, also when nobody else does. */
static void request_is_pending(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(1);
	struct iocb iocb;

	chardev_write(ctx, &iocb, fd, "x", 1, NEVER);
	ktap_close_now(fd);
	EXPECT_EQ(module_unload(CHARDEV), -EWOULDBLOCK);
	EXPECT_EQ(chardev_pending(), 1);
	ASSERT_EQ(aio_cancel_iocb(ctx, &iocb), -EINPROGRESS);
	EXPECT_EQ(aio_event(ctx, &iocb), -ECANCELED);
	EXPECT_EQ(module_unload_soon(CHARDEV), 0);
}

/* Unloading wins its race with what completes the last request, not too early. */
static void last_request_completes(void)
{
	struct stress stress = stress_begin(10);
	aio_context_t ctx = aio_setup(AIO_BATCH);
	struct aio_batch batch;
	int fd, i, err;

	while (stress_goes_on(&stress) && !ktap.case_failed) {
		fd = chardev_load();
		chardev_prep_batch(&batch, ctx, fd, stress_delay_ns(&stress, MS));
		aio_batch_submit(&batch);
		ktap_close_now(fd);
		do {
			err = module_unload(CHARDEV);
		} while (err == -EWOULDBLOCK);
		EXPECT_EQ(err, 0);
		aio_batch_collect(&batch);
		for (i = 0; i < AIO_BATCH; i++)
			EXPECT(batch.res[i] >= 0);
	}
}

static const struct ktap_case cases[] = {
	KTAP_CASE(idle),
	KTAP_CASE(device_is_open),
	KTAP_CASE(request_is_pending),
	KTAP_CASE(last_request_completes),
};

KTAP_MAIN(cases)
