// SPDX-License-Identifier: GPL-2.0-only
/*
 * aio_rw_flags: the RWF_* that Linux 6.1 has do what they say, and others are
 * refused.
 */
#include <sys/uio.h>
#include "aio.h"

#define RWF_UNKNOWN	(1 << 30)

static int submit_flags(aio_context_t ctx, struct iocb *iocb, int opcode, int fd, char *buf,
			int flags)
{
	aio_prep_rw(iocb, opcode, fd, buf, 8, 0);
	iocb->aio_rw_flags = flags;
	return aio_submit(ctx, iocb);
}

static long rw_flags(int opcode, int fd, char *buf, int flags)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	ASSERT_EQ(submit_flags(ctx, &iocb, opcode, fd, buf, flags), 0);
	return aio_event(ctx, &iocb);
}

/* Nothing but time tells them apart. */
static void data_is_there(int flags)
{
	int fd = make_file("/var/tmp", 0);
	char out[8] = "payload", in[8] = "";

	EXPECT_EQ(rw_flags(IOCB_CMD_PWRITE, fd, out, flags), 8);
	EXPECT_EQ(rw_flags(IOCB_CMD_PREAD, fd, in, flags), 8);
	EXPECT(!memcmp(in, out, 8));
}

static void dsync_and_sync(void)
{
	data_is_there(RWF_DSYNC);
	data_is_there(RWF_SYNC);
	data_is_there(RWF_DSYNC | RWF_SYNC);
}

static void hipri(void)
{
	data_is_there(RWF_HIPRI);
}

/* Wherever the request says to write. */
static void append(void)
{
	int fd = make_file("/var/tmp", 0);
	char first[8] = "old data", second[8] = "new data", in[16];

	EXPECT_EQ(rw_flags(IOCB_CMD_PWRITE, fd, first, 0), 8);
	EXPECT_EQ(rw_flags(IOCB_CMD_PWRITE, fd, second, RWF_APPEND), 8);
	EXPECT_EQ(pread(fd, in, 16, 0), 16);
	EXPECT(!memcmp(in, "old datanew data", 16));
}

/* A read that would block says so; without the flag io_submit() would block. */
static void nowait_on_a_file_that_can(void)
{
	int fd = keep_fd(ASSERT_OK(eventfd(0, EFD_CLOEXEC)));
	char in[8];

	EXPECT_EQ(rw_flags(IOCB_CMD_PREAD, fd, in, RWF_NOWAIT), -EAGAIN);
	put(fd);
	EXPECT_EQ(rw_flags(IOCB_CMD_PREAD, fd, in, RWF_NOWAIT), 8);
	EXPECT_EQ(in[0], 1);
}

/* Terminals do not know how. */
static void nowait_on_a_file_that_cannot(void)
{
	aio_context_t ctx = aio_setup(1);
	int master, slave;
	struct iocb iocb;
	char in[8];

	make_pty(&master, &slave);
	EXPECT_EQ(submit_flags(ctx, &iocb, IOCB_CMD_PREAD, slave, in, RWF_NOWAIT), -EOPNOTSUPP);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

static void flag_that_is_none(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	char in[8];
	int fd = make_file("/tmp", 0);

	EXPECT_EQ(submit_flags(ctx, &iocb, IOCB_CMD_PREAD, fd, in, RWF_UNKNOWN), -EOPNOTSUPP);
	EXPECT_EQ(submit_flags(ctx, &iocb, IOCB_CMD_PWRITE, fd, in, RWF_UNKNOWN | RWF_SYNC),
		  -EOPNOTSUPP);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(dsync_and_sync),
	KTAP_CASE(hipri),
	KTAP_CASE(append),
	KTAP_CASE(nowait_on_a_file_that_can),
	KTAP_CASE(nowait_on_a_file_that_cannot),
	KTAP_CASE(flag_that_is_none),
};

KTAP_MAIN(cases)
