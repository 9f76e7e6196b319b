// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOCB_CMD_POLL of both sides of a pseudo-terminal.  A tty's ->poll() registers
 * two wait queues, for input and for room to write; either must complete the
 * poll, and a hang-up does without being asked for.
 *
 * Kernels without the aio-poll series refuse this: io_submit: EINVAL.
 */
#include "aio.h"

static void slave_gets_input(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int master, slave;

	make_pty(&master, &slave);
	aio_poll(ctx, &iocb, slave, POLLIN);
	EXPECT_NO_EVENT(ctx);
	put(master);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
	EXPECT_NO_EVENT(ctx);
}

static void master_gets_output(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int master, slave;

	make_pty(&master, &slave);
	aio_poll(ctx, &iocb, master, POLLIN);
	EXPECT_NO_EVENT(ctx);
	put(slave);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
	EXPECT_NO_EVENT(ctx);
}

/*
 * A line that is not read from fills up; then the reader makes room.  While it
 * fills up a worker of the tty takes what has been written further down the line
 * and so makes some room itself, hence the tries.
 */
static void room_completes(int full, int other)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int tries = 0;

	do {
		ASSERT(tries++ < 20);
		fill(full);
		aio_poll(ctx, &iocb, full, POLLOUT);
		aio_settle();
	} while (aio_pending_events(ctx));
	while (ready_ms(other, POLLIN, 20))
		drain(other);
	EXPECT_EVENT(ctx, &iocb, POLLOUT, POLLHUP | POLLERR);
	EXPECT_NO_EVENT(ctx);
}

static void master_gets_room(void)
{
	int master, slave;

	make_pty(&master, &slave);
	room_completes(master, slave);
}

static void slave_gets_room(void)
{
	int master, slave;

	make_pty(&master, &slave);
	room_completes(slave, master);
}

static void stopped_slave_goes_on(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int master, slave;

	make_pty(&master, &slave);
	ASSERT_OK(tcflow(slave, TCOOFF));
	aio_poll(ctx, &iocb, slave, POLLOUT);
	EXPECT_NO_EVENT(ctx);
	ASSERT_OK(tcflow(slave, TCOON));
	EXPECT_EVENT(ctx, &iocb, POLLOUT, POLLHUP | POLLERR);
}

static void master_is_told_when_the_slave_closes(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int master, slave;

	make_pty(&master, &slave);
	aio_poll(ctx, &iocb, master, 0);
	EXPECT_NO_EVENT(ctx);
	ktap_close_now(slave);
	EXPECT_EVENT(ctx, &iocb, POLLHUP, 0);
	EXPECT_NO_EVENT(ctx);
}

static void slave_is_told_when_the_master_closes(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int master, slave;

	make_pty(&master, &slave);
	aio_poll(ctx, &iocb, slave, 0);
	EXPECT_NO_EVENT(ctx);
	ktap_close_now(master);
	EXPECT_EVENT(ctx, &iocb, POLLHUP, 0);
	EXPECT_NO_EVENT(ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(slave_gets_input),
	KTAP_CASE(master_gets_output),
	KTAP_CASE(master_gets_room),
	KTAP_CASE(slave_gets_room),
	KTAP_CASE(stopped_slave_goes_on),
	KTAP_CASE(master_is_told_when_the_slave_closes),
	KTAP_CASE(slave_is_told_when_the_master_closes),
};

KTAP_MAIN(cases)
