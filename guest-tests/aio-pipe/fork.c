// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork() while a request waits: the data goes to the process that submitted it,
 * and comes from there.
 */
#include "child.h"
#include "parked.h"

static char buf[64];

struct scene {
	int data, gone;		/* to make the request go on; done when readable */
};

static void scribble_and_look(void *arg)
{
	struct scene *scene = arg;

	memset(buf, 'c', sizeof(buf));
	put(scene->data);
	ASSERT(ready_ms(scene->gone, POLLIN, AIO_EVENT_TIMEOUT_MS));
	let_retries_run();
	EXPECT(all_are(buf, 'c', sizeof(buf)));
}

static void read_comes_to_the_parent(void)
{
	aio_context_t ctx = aio_setup(1);
	int fds[2], efd = make_eventfd(0);
	struct iocb iocb;

	make_blocking_pipe(fds);
	memset(buf, 'p', sizeof(buf));
	aio_prep_rw(&iocb, IOCB_CMD_PREAD, fds[0], buf, sizeof(buf), 0);
	iocb.aio_flags = IOCB_FLAG_RESFD;
	iocb.aio_resfd = efd;
	submit(ctx, &iocb);
	EXPECT_EQ(in_child(scribble_and_look, &(struct scene){ fds[1], efd }), 0);
	EXPECT_EQ(aio_event(ctx, &iocb), 8);
	EXPECT_EQ(buf[0], 1);
}

static void scribble(void *arg)
{
	(void)arg;
	memset(buf, 'c', sizeof(buf));
}

static void write_comes_from_the_parent(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	int fds[2];

	make_blocking_pipe(fds);
	fill_up(fds[1]);
	memset(buf, 'p', sizeof(buf));
	submit_write(ctx, &iocb, fds[1], buf, sizeof(buf));
	EXPECT_EQ(in_child(scribble, NULL), 0);
	read_behind_fill(fds[0], buf, sizeof(buf));
	EXPECT_EQ(aio_event(ctx, &iocb), sizeof(buf));
	EXPECT(all_are(buf, 'p', sizeof(buf)));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(read_comes_to_the_parent),
	KTAP_CASE(write_comes_from_the_parent),
};

KTAP_MAIN(cases)
