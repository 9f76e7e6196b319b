// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests are cancelled just when the driver completes them.  Each has one
 * event, which is in accord with what io_cancel() said.
 */
#include "chardev.h"
#include "race.h"

/* All of @batch, half of them reads, are about to be due when this begins. */
static void cancel_all(struct aio_batch *batch)
{
	int cancelled[AIO_BATCH];
	int i;

	for (i = 0; i < AIO_BATCH; i++)
		cancelled[i] = aio_cancel_iocb(batch->ctx, &batch->iocb[i]);
	aio_batch_collect(batch);
	for (i = 0; i < AIO_BATCH; i++) {
		if (cancelled[i] == -EINPROGRESS) {
			EXPECT_EQ(batch->res[i], -ECANCELED);
			continue;
		}
		/* Too late, says the driver, or AIO, which knows it no more. */
		EXPECT(cancelled[i] == -EAGAIN || cancelled[i] == -EINVAL);
		EXPECT(batch->res[i] >= 0);
	}
}

static void completion(void)
{
	struct stress stress = stress_begin(100);
	struct aio_batch batch;
	int fd = chardev_load();
	aio_context_t ctx = chardev_setup(AIO_BATCH);
	int64_t span = 200000, began;

	while (stress_goes_on(&stress) && !ktap.case_failed) {
		chardev_prep_batch(&batch, ctx, fd, stress_delay_ns(&stress, span));
		began = now_ns();
		aio_batch_submit(&batch);
		cancel_all(&batch);
		EXPECT_EQ(aio_pending_events(ctx), 0);
		span = (span * 7 + now_ns() - began) / 8;
		if (span > 20 * MS)
			span = 20 * MS;
	}
	EXPECT_EQ(chardev_pending(), 0);
}

static struct aio_batch shared;

static void cancel_shared(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < AIO_BATCH; i++)
		aio_cancel_iocb(shared.ctx, &shared.iocb[i]);
}

/* Also those that are only half submitted: the driver meets the cancel first. */
static void submission(void)
{
	struct racer *racer = racer_start(cancel_shared, NULL);
	struct stress stress = stress_begin(100);
	int fd = chardev_load(), i;
	aio_context_t ctx = chardev_setup(AIO_BATCH);

	while (stress_goes_on(&stress) && !ktap.case_failed) {
		chardev_prep_batch(&shared, ctx, fd, NEVER);
		racer_go(racer, stress_delay_ns(&stress, 50000));
		aio_batch_submit(&shared);
		racer_wait(racer);
		cancel_shared(NULL);
		aio_batch_collect(&shared);
		for (i = 0; i < AIO_BATCH; i++)
			EXPECT_EQ(shared.res[i], -ECANCELED);
	}
	EXPECT_EQ(chardev_pending(), 0);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(completion),
	KTAP_CASE(submission),
};

KTAP_MAIN(cases)
