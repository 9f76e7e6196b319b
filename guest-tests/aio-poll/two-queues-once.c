// SPDX-License-Identifier: GPL-2.0-only
/*
 * Both wait queues of a file fire for one poll: it completes once.
 *
 * The file is the slave of a pseudo-terminal that has been stopped (no room) and
 * has no input: then starting it fires one queue, and input the other.
 *
 * Kernels without the aio-poll series refuse this: io_submit: EINVAL.
 */
#include "race.h"

static int master, slave;

static void make_scene(void)
{
	make_pty(&master, &slave);
	ASSERT_OK(tcflow(slave, TCOOFF));
}

static void give_input(void *unused)
{
	(void)unused;
	put(master);
}

static void give_room(void *unused)
{
	(void)unused;
	tcflow(slave, TCOON);
}

static void take_both_back(void)
{
	ready_ms(slave, POLLIN, AIO_EVENT_TIMEOUT_MS);
	drain(slave);
	ASSERT_OK(tcflow(slave, TCOOFF));
	ASSERT_EQ(ready_now(slave, POLLIN | POLLOUT), 0);
}

static void one_after_the_other(void (*first)(void *), void (*second)(void *),
				int want)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;

	make_scene();
	aio_poll(ctx, &iocb, slave, POLLIN | POLLOUT);
	EXPECT_NO_EVENT(ctx);
	first(NULL);
	EXPECT_EVENT(ctx, &iocb, want, POLLHUP | POLLERR);
	second(NULL);
	EXPECT_NO_EVENT(ctx);
	take_both_back();
	first(NULL);
	second(NULL);
	EXPECT_NO_EVENT(ctx);
}

static void input_then_room(void)
{
	one_after_the_other(give_input, give_room, POLLIN);
}

static void room_then_input(void)
{
	one_after_the_other(give_room, give_input, POLLOUT);
}

static void both_from_two_threads(void)
{
	struct racer *input = racer_start(give_input, NULL);
	struct racer *room = racer_start(give_room, NULL);
	struct stress stress = stress_begin(100);
	struct aio_batch batch;
	int i;

	make_scene();
	aio_batch_prep(&batch, aio_setup(AIO_BATCH), slave, POLLIN | POLLOUT);
	while (stress_goes_on(&stress)) {
		aio_batch_submit(&batch);
		racer_go(input, 0);
		/* Input takes longer: a worker of the tty brings it. */
		racer_go(room, stress_delay_ns(&stress, 20000));
		aio_batch_collect(&batch);
		for (i = 0; i < AIO_BATCH; i++)
			EXPECT(batch.res[i] & (POLLIN | POLLOUT));
		racer_wait(input);
		racer_wait(room);
		take_both_back();
		ASSERT_EQ(aio_pending_events(batch.ctx), 0);
	}
	EXPECT_NO_EVENT(batch.ctx);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(input_then_room),
	KTAP_CASE(room_then_input),
	KTAP_CASE(both_from_two_threads),
};

KTAP_MAIN(cases)
