// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOCB_CMD_FSYNC and IOCB_CMD_FDSYNC: a worker does it, with the credentials of
 * who asked, and a file that has no fsync is refused.
 */
#include "aio.h"

static const int opcodes[] = { IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC };

static void file_is_synced(int fd)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		aio_prep_rw(&iocb, opcodes[i], fd, NULL, 0, 0);
		ASSERT_EQ(aio_submit(ctx, &iocb), 0);
		EXPECT_EQ(aio_event(ctx, &iocb), 0);
	}
}

static void refused(int fd, void (*change)(struct iocb *iocb), int want)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		aio_prep_rw(&iocb, opcodes[i], fd, NULL, 0, 0);
		if (change)
			change(&iocb);
		EXPECT_EQ(aio_submit(ctx, &iocb), want);
	}
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

static void on_tmpfs(void)
{
	int fd = make_file("/tmp", 0);

	put(fd);
	file_is_synced(fd);
}

static void on_the_root(void)
{
	int fd = make_file("/var/tmp", 0);

	put(fd);
	file_is_synced(fd);
}

/* Unlike reads and writes it needs no right to the data. */
static void file_opened_for_reading(void)
{
	file_is_synced(keep_fd(ASSERT_OK(open("/var/tmp", O_RDONLY | O_CLOEXEC))));
}

/* The request holds the file. */
static void file_closed_meanwhile(void)
{
	aio_context_t ctx = aio_setup(AIO_BATCH);
	struct aio_batch batch = { .ctx = ctx };
	int i, fd = make_file("/var/tmp", 0);

	put(fd);
	for (i = 0; i < AIO_BATCH; i++)
		aio_prep_rw(&batch.iocb[i], opcodes[i % 2], fd, NULL, 0, 0);
	aio_batch_submit(&batch);
	ktap_close_now(fd);
	aio_batch_collect(&batch);
	for (i = 0; i < AIO_BATCH; i++)
		EXPECT_EQ(batch.res[i], 0);
}

static void context_destroyed_meanwhile(void)
{
	aio_context_t ctx = aio_setup(AIO_BATCH);
	struct aio_batch batch = { .ctx = ctx };
	int i, fd = make_file("/var/tmp", 0);

	for (i = 0; i < AIO_BATCH; i++)
		aio_prep_rw(&batch.iocb[i], opcodes[i % 2], fd, NULL, 0, 0);
	aio_batch_submit(&batch);
	ASSERT_OK(io_destroy(ctx));
}

static void file_that_has_none(void)
{
	int fds[2];

	refused(make_eventfd(0), NULL, -EINVAL);
	make_pipe(fds);
	refused(fds[1], NULL, -EINVAL);
	make_socketpair(SOCK_STREAM, fds);
	refused(fds[0], NULL, -EINVAL);
	refused(-1, NULL, -EBADF);
}

static void set_buf(struct iocb *iocb)
{
	iocb->aio_buf = 1;
}

static void set_nbytes(struct iocb *iocb)
{
	iocb->aio_nbytes = 1;
}

static void set_offset(struct iocb *iocb)
{
	iocb->aio_offset = 1;
}

static void set_rw_flags(struct iocb *iocb)
{
	iocb->aio_rw_flags = 1;
}

static void fields_that_mean_nothing_here(void)
{
	int fd = make_file("/tmp", 0);

	refused(fd, set_buf, -EINVAL);
	refused(fd, set_nbytes, -EINVAL);
	refused(fd, set_offset, -EINVAL);
	refused(fd, set_rw_flags, -EINVAL);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(on_tmpfs),
	KTAP_CASE(on_the_root),
	KTAP_CASE(file_opened_for_reading),
	KTAP_CASE(file_closed_meanwhile),
	KTAP_CASE(context_destroyed_meanwhile),
	KTAP_CASE(file_that_has_none),
	KTAP_CASE(fields_that_mean_nothing_here),
};

KTAP_MAIN(cases)
