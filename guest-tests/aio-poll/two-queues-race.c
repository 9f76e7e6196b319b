// SPDX-License-Identifier: GPL-2.0-only
/*
 * The races of submit-race, cancel-race and destroy on files with two wait
 * queues, where no single queue's lock keeps the sides apart.
 *
 * Kernels without the aio-poll series refuse this: io_submit: EINVAL.
 */
#include "subjects.h"

static void fifo_gets_data_during_submit(void)
{
	race_submit(loop_subject(make_fifo()));
}

static void pty_gets_input_during_submit(void)
{
	race_submit(pty_subject());
}

static void fifo_gets_data_during_cancel(void)
{
	race_cancel(loop_subject(make_fifo()));
}

static void pty_gets_input_during_cancel(void)
{
	race_cancel(pty_subject());
}

static void fifo_gets_data_during_destroy(void)
{
	race_destroy(loop_subject(make_fifo()));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(fifo_gets_data_during_submit),
	KTAP_CASE(pty_gets_input_during_submit),
	KTAP_CASE(fifo_gets_data_during_cancel),
	KTAP_CASE(pty_gets_input_during_cancel),
	KTAP_CASE(fifo_gets_data_during_destroy),
};

KTAP_MAIN(cases)
