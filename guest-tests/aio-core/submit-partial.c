// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_submit() stops at the first request that it refuses and says how many it
 * took; only if that is none does it say why.
 */
#include "aio.h"

#define NR 5

/* All of them are fine but that at @bad, which is broken by @breaks. */
static void stops_at(int bad, void (*breaks)(struct iocb **iocb), int want)
{
	aio_context_t ctx = aio_setup(NR);
	struct iocb iocb[NR], *iocbs[NR];
	struct io_event events[NR];
	int i, ret, fd = make_eventfd(1);

	for (i = 0; i < NR; i++) {
		aio_prep_poll(&iocb[i], fd, POLLIN);
		iocbs[i] = &iocb[i];
	}
	breaks(&iocbs[bad]);
	ret = io_submit(ctx, NR, iocbs);
	EXPECT_EQ(ret < 0 ? -errno : ret, bad ? bad : want);
	EXPECT_EQ(aio_wait(ctx, bad, NR, events, AIO_EVENT_TIMEOUT_MS), bad);
	for (i = 0; i < bad; i++)
		EXPECT_EQ(events[i].obj, (uintptr_t)&iocb[i]);
	EXPECT_EQ(aio_pending_events(ctx), 0);
}

static void bad_file(struct iocb **iocb)
{
	(*iocb)->aio_fildes = -1;
}

static void bad_opcode(struct iocb **iocb)
{
	(*iocb)->aio_lio_opcode = 99;
}

static void bad_pointer(struct iocb **iocb)
{
	*iocb = NULL;
}

static void at_a_file_that_is_none(void)
{
	stops_at(0, bad_file, -EBADF);
	stops_at(1, bad_file, -EBADF);
	stops_at(NR - 1, bad_file, -EBADF);
}

static void at_an_opcode_that_is_none(void)
{
	stops_at(0, bad_opcode, -EINVAL);
	stops_at(2, bad_opcode, -EINVAL);
}

static void at_a_pointer_to_nowhere(void)
{
	stops_at(0, bad_pointer, -EFAULT);
	stops_at(3, bad_pointer, -EFAULT);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(at_a_file_that_is_none),
	KTAP_CASE(at_an_opcode_that_is_none),
	KTAP_CASE(at_a_pointer_to_nowhere),
};

KTAP_MAIN(cases)
