// SPDX-License-Identifier: GPL-2.0-only
/* The iocbs of finished fsyncs are never freed (0001). */
#include "aio.h"

static void fsyncs(void)
{
	aio_context_t ctx = aio_setup(AIO_BATCH);
	int i, fd = make_file("/tmp", 0);
	struct iocb iocb;

	for (i = 0; i < AIO_BATCH; i++) {
		aio_prep_rw(&iocb, IOCB_CMD_FSYNC, fd, NULL, 0, 0);
		ASSERT_EQ(aio_submit(ctx, &iocb), 0);
		EXPECT_EQ(aio_event(ctx, &iocb), 0);
	}
	ASSERT_OK(io_destroy(ctx));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(fsyncs),
};

KTAP_MAIN(cases)
