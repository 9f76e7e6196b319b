// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_cancel() of a read either comes too late, EINVAL, and the data is there; or it
 * is EINPROGRESS, and the event says ECANCELED, or how many bytes there were by then.
 * There is one event either way, and nothing is written to the buffer after it.
 *
 * A stock kernel is always too late, having done it all in io_submit().
 */
#include "reads.h"

static void expect_one_or_the_other(int nr, int err)
{
	struct iocb *iocb = &reads.iocb[nr];
	char *data = (char *)(uintptr_t)iocb->aio_buf;

	if (err == -EINVAL)
		EXPECT_EQ(reads.res[nr], iocb->aio_nbytes);
	else
		EXPECT_EQ(err, -EINPROGRESS);
	if (reads.res[nr] > 0 && reads.res[nr] <= (long)iocb->aio_nbytes)
		EXPECT_PATTERN(data, reads.res[nr], iocb->aio_offset);
	else
		EXPECT_EQ(reads.res[nr], -ECANCELED);
	EXPECT_EQ(aio_cancel_iocb(reads.ctx, iocb), -EINVAL);
}

static void expect_untouched_later(void)
{
	memset(buf, 'y', sizeof(buf));
	wait_for_the_disk();
	EXPECT(all_are(buf, 'y', sizeof(buf)));
	EXPECT_EQ(aio_pending_events(reads.ctx), 0);
}

static void cancel_one(size_t len)
{
	int err, fd = cold_file();

	reads_begin();
	reads_add(fd, len, 11);
	keep_busy(BUSY_MIB);
	reads_submit();
	err = aio_cancel_iocb(reads.ctx, &reads.iocb[0]);
	reads_wait();
	expect_one_or_the_other(0, err);
	expect_untouched_later();
}

static void a_page(void)
{
	cancel_one(PAGE);
}

static void a_large_one(void)
{
	cancel_one(2 * MIB);
}

/* When some of its data has come already. */
static void in_the_middle(void)
{
	int err, fd = cold_file(), i;

	reads_begin();
	reads_add(fd, 2 * MIB, 0);
	reads_submit();
	for (i = 0; i < 5000 && buf[256 * KIB] == 'x'; i++)
		usleep(1000);	/* poll: nothing else tells of it */
	err = aio_cancel_iocb(reads.ctx, &reads.iocb[0]);
	reads_wait();
	expect_one_or_the_other(0, err);
	expect_untouched_later();
}

/* Each at another moment of its life. */
static void many(void)
{
	int errs[64], i, fd = cold_file();

	reads_begin();
	for (i = 0; i < 64; i++)
		reads_add(fd, 10000, i * 20 * KIB);
	reads_submit();
	for (i = 0; i < 64; i++) {
		errs[i] = aio_cancel_iocb(reads.ctx, &reads.iocb[i]);
		usleep(i * 200);
	}
	reads_wait();
	for (i = 0; i < 64; i++)
		expect_one_or_the_other(i, errs[i]);
	expect_untouched_later();
}

/* The others that wait for the page get it. */
static void one_of_two(void)
{
	int err, fd = cold_file();

	reads_begin();
	reads_add_op(IOCB_CMD_PREAD, fd, buf, PAGE, 7 * PAGE);
	reads_add_op(IOCB_CMD_PREAD, fd, buf + PAGE, PAGE, 7 * PAGE);
	keep_busy(BUSY_MIB);
	reads_submit();
	err = aio_cancel_iocb(reads.ctx, &reads.iocb[0]);
	reads_wait();
	expect_one_or_the_other(0, err);
	EXPECT_EQ(reads.res[1], PAGE);
	EXPECT_PATTERN(buf + PAGE, PAGE, 7 * PAGE);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(a_page),
	KTAP_CASE(a_large_one),
	KTAP_CASE(in_the_middle),
	KTAP_CASE(many),
	KTAP_CASE(one_of_two),
};

SLOW_MAIN(cases)
