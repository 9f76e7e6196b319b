// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests complete in the order in which the driver is done with them, not in
 * that of their submission; equal ones in that.
 */
#include "chardev.h"

/* Delays that a stall in the middle of io_submit() does not make equal. */
#define STEP	(60 * MS)

#define EXPECT_NEXT(ctx, iocb) EXPECT_EQ(aio_event(ctx, iocb), 1)

static void submit_three(aio_context_t ctx, struct iocb iocb[3])
{
	struct iocb *iocbs[] = { &iocb[0], &iocb[1], &iocb[2] };
	int64_t began = now_ns();

	ASSERT_EQ(io_submit(ctx, 3, iocbs), 3);
	if (now_ns() - began > STEP / 2)
		ktap_skip("io_submit() was held up for longer than the delays differ");
}

static void sooner_ones_overtake(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(3);
	struct iocb iocb[3];
	char data[4] = "";

	aio_prep_rw(&iocb[0], IOCB_CMD_PWRITE, fd, "c", 1, 2 * STEP);
	aio_prep_rw(&iocb[1], IOCB_CMD_PWRITE, fd, "b", 1, STEP);
	aio_prep_rw(&iocb[2], IOCB_CMD_PWRITE, fd, "a", 1, 0);
	submit_three(ctx, iocb);
	EXPECT_NEXT(ctx, &iocb[2]);
	EXPECT_NEXT(ctx, &iocb[1]);
	EXPECT_NEXT(ctx, &iocb[0]);
	EXPECT_EQ(read(fd, data, sizeof(data)), 3);
	EXPECT(!strcmp(data, "abc"));
}

/* What is read is what is there at the end of the read, not at its start. */
static void reads_between_writes(void)
{
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(3);
	struct iocb iocb[3];
	char data[2] = "";

	aio_prep_rw(&iocb[0], IOCB_CMD_PREAD, fd, data, sizeof(data), STEP);
	aio_prep_rw(&iocb[1], IOCB_CMD_PWRITE, fd, "b", 1, 2 * STEP);
	aio_prep_rw(&iocb[2], IOCB_CMD_PWRITE, fd, "a", 1, 0);
	submit_three(ctx, iocb);
	EXPECT_NEXT(ctx, &iocb[2]);
	EXPECT_NEXT(ctx, &iocb[0]);
	EXPECT_NEXT(ctx, &iocb[1]);
	EXPECT_EQ(data[0], 'a');
}

/* Submit @batch, get an event of each, and no later one before an earlier one. */
static void expect_in_order(struct aio_batch *batch)
{
	int i;

	aio_batch_submit(batch);
	for (i = 0; i < AIO_BATCH; i++)
		EXPECT_NEXT(batch->ctx, &batch->iocb[i]);
}

static void equal_writes(void)
{
	static const char letters[] = "abcdefghijklmnop";
	struct aio_batch batch = { .ctx = 0 };
	char data[AIO_BATCH + 1] = "";
	int fd = chardev_load(), i;

	batch.ctx = chardev_setup(AIO_BATCH);
	for (i = 0; i < AIO_BATCH; i++)
		aio_prep_rw(&batch.iocb[i], IOCB_CMD_PWRITE, fd, &letters[i], 1, 20 * MS);
	expect_in_order(&batch);
	EXPECT_EQ(read(fd, data, sizeof(data)), AIO_BATCH);
	EXPECT(!strcmp(data, letters));
}

static void equal_reads(void)
{
	static const char letters[] = "abcdefghijklmnop";
	struct aio_batch batch = { .ctx = 0 };
	char data[AIO_BATCH + 1] = "";
	int fd = chardev_load(), i;

	batch.ctx = chardev_setup(AIO_BATCH);
	ASSERT_EQ(write(fd, letters, AIO_BATCH), AIO_BATCH);
	for (i = 0; i < AIO_BATCH; i++)
		aio_prep_rw(&batch.iocb[i], IOCB_CMD_PREAD, fd, &data[i], 1, 20 * MS);
	expect_in_order(&batch);
	EXPECT(!strcmp(data, letters));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(sooner_ones_overtake),
	KTAP_CASE(reads_between_writes),
	KTAP_CASE(equal_writes),
	KTAP_CASE(equal_reads),
};

KTAP_MAIN(cases)
