// SPDX-License-Identifier: GPL-2.0-only
/*
 * What PWRITE and PWRITEV wrote is in the file, and PREAD and PREADV get it
 * back, on tmpfs and on the root of the guest.
 */
#include <sys/uio.h>
#include "aio.h"

#define SIZE	10000			/* more than two pages, and no whole number of them */
#define OFFSET	3000

static char written[SIZE], got[SIZE + 1];

static long rw(aio_context_t ctx, int opcode, int fd, const void *buf, size_t nbytes,
	       off_t offset)
{
	struct iocb iocb;

	aio_prep_rw(&iocb, opcode, fd, buf, nbytes, offset);
	ASSERT_EQ(aio_submit(ctx, &iocb), 0);
	return aio_event(ctx, &iocb);
}

static void fill_written(int seed)
{
	size_t i;

	for (i = 0; i < SIZE; i++)
		written[i] = (i * 7 + i / 256 + seed) & 0xff;
	memset(got, 0, sizeof(got));
}

static void round_trip(const char *dir)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_file(dir, 0);

	fill_written(1);
	EXPECT_EQ(rw(ctx, IOCB_CMD_PWRITE, fd, written, SIZE, OFFSET), SIZE);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_END), OFFSET + SIZE);
	EXPECT_EQ(pread(fd, got, SIZE, OFFSET), SIZE);
	EXPECT(!memcmp(got, written, SIZE));
	memset(got, 0, sizeof(got));
	/* One byte more than there is. */
	EXPECT_EQ(rw(ctx, IOCB_CMD_PREAD, fd, got, SIZE + 1, OFFSET), SIZE);
	EXPECT(!memcmp(got, written, SIZE));
	EXPECT_EQ(rw(ctx, IOCB_CMD_PREAD, fd, got, 1, OFFSET + SIZE), 0);
	EXPECT_EQ(rw(ctx, IOCB_CMD_PREAD, fd, got, 1, OFFSET - 1), 1);
	EXPECT_EQ(got[0], 0);
}

static void round_trip_in_pieces(const char *dir)
{
	struct iovec out[] = {
		{ written, 1 }, { written + 1, 4999 }, { NULL, 0 }, { written + 5000, 5000 },
	};
	struct iovec in[] = { { got, 4097 }, { got + 4097, SIZE - 4097 } };
	aio_context_t ctx = aio_setup(1);
	int fd = make_file(dir, 0);

	fill_written(2);
	EXPECT_EQ(rw(ctx, IOCB_CMD_PWRITEV, fd, out, ARRAY_SIZE(out), OFFSET), SIZE);
	EXPECT_EQ(pread(fd, got, SIZE, OFFSET), SIZE);
	EXPECT(!memcmp(got, written, SIZE));
	memset(got, 0, sizeof(got));
	EXPECT_EQ(rw(ctx, IOCB_CMD_PREADV, fd, in, ARRAY_SIZE(in), OFFSET), SIZE);
	EXPECT(!memcmp(got, written, SIZE));
	EXPECT_EQ(rw(ctx, IOCB_CMD_PREADV, fd, in, 0, OFFSET), 0);
}

static void whole_on_tmpfs(void)
{
	round_trip("/tmp");
}

static void whole_on_the_root(void)
{
	round_trip("/var/tmp");
}

static void pieces_on_tmpfs(void)
{
	round_trip_in_pieces("/tmp");
}

static void pieces_on_the_root(void)
{
	round_trip_in_pieces("/var/tmp");
}

/* Each request of one io_submit() has its own place. */
static void many_at_once(void)
{
	struct iocb iocb[AIO_BATCH], *iocbs[AIO_BATCH];
	struct aio_batch batch = { .ctx = aio_setup(AIO_BATCH) };
	int i, fd = make_file("/var/tmp", 0);

	fill_written(3);
	for (i = 0; i < AIO_BATCH; i++) {
		aio_prep_rw(&batch.iocb[i], IOCB_CMD_PWRITE, fd, written + i * 100, 100,
			    (AIO_BATCH - i) * 100);
	}
	aio_batch_submit(&batch);
	aio_batch_collect(&batch);
	for (i = 0; i < AIO_BATCH; i++) {
		EXPECT_EQ(batch.res[i], 100);
		aio_prep_rw(&iocb[i], IOCB_CMD_PREAD, fd, got + i * 100, 100,
			    (AIO_BATCH - i) * 100);
		iocbs[i] = &iocb[i];
	}
	ASSERT_EQ(io_submit(batch.ctx, AIO_BATCH, iocbs), AIO_BATCH);
	EXPECT(!memcmp(got, written, AIO_BATCH * 100));
}

/* Told by io_submit(), as nothing has begun. */
static void pieces_that_are_none(void)
{
	static struct iovec iov[2000];
	struct iovec negative = { got, (size_t)1 << 63 }, nowhere = { (void *)(1UL << 63), 1 };
	aio_context_t ctx = aio_setup(1);
	int fd = make_file("/tmp", 0);
	struct iocb iocb;

	aio_prep_rw(&iocb, IOCB_CMD_PREADV, fd, iov, ARRAY_SIZE(iov), 0);
	EXPECT_EQ(aio_submit(ctx, &iocb), -EINVAL);
	aio_prep_rw(&iocb, IOCB_CMD_PREADV, fd, NULL, 1, 0);
	EXPECT_EQ(aio_submit(ctx, &iocb), -EFAULT);
	aio_prep_rw(&iocb, IOCB_CMD_PREADV, fd, &negative, 1, 0);
	EXPECT_EQ(aio_submit(ctx, &iocb), -EINVAL);
	aio_prep_rw(&iocb, IOCB_CMD_PREADV, fd, &nowhere, 1, 0);
	EXPECT_EQ(aio_submit(ctx, &iocb), -EFAULT);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

static void offset_that_is_negative(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	aio_prep_rw(&iocb, IOCB_CMD_PREAD, make_file("/tmp", 0), got, 1, -1);
	EXPECT_EQ(aio_submit(ctx, &iocb), -EINVAL);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

/* With IOCB_FLAG_RESFD: counted by the time that the event is there. */
static void eventfd_counts(void)
{
	aio_context_t ctx = aio_setup(1);
	int counter = make_eventfd(0);
	struct iocb iocb;
	uint64_t count = 0;

	aio_prep_rw(&iocb, IOCB_CMD_PWRITE, make_file("/tmp", 0), written, 1, 0);
	iocb.aio_flags = IOCB_FLAG_RESFD;
	iocb.aio_resfd = counter;
	ASSERT_EQ(aio_submit(ctx, &iocb), 0);
	EXPECT_EQ(aio_event(ctx, &iocb), 1);
	EXPECT(ready_ms(counter, POLLIN, AIO_EVENT_TIMEOUT_MS) & POLLIN);
	EXPECT_EQ(read(counter, &count, sizeof(count)), sizeof(count));
	EXPECT_EQ(count, 1);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(whole_on_tmpfs),
	KTAP_CASE(whole_on_the_root),
	KTAP_CASE(pieces_on_tmpfs),
	KTAP_CASE(pieces_on_the_root),
	KTAP_CASE(many_at_once),
	KTAP_CASE(pieces_that_are_none),
	KTAP_CASE(offset_that_is_negative),
	KTAP_CASE(eventfd_counts),
};

KTAP_MAIN(cases)
