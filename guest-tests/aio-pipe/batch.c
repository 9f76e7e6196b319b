// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request that waits holds up nobody: not the others of its io_submit(), not
 * other requests of its file, and not those who block in read(2) or write(2) on
 * the same pipe.
 */
#include <pthread.h>
#include "parked.h"

#define NR	8

static char buf[NR][64];

static void others_of_the_batch_complete(void)
{
	aio_context_t ctx = aio_setup(NR);
	struct iocb iocb[NR], *iocbs[NR];
	struct io_event events[NR];
	int i, fds[NR][2];

	for (i = 0; i < NR; i++) {
		make_blocking_pipe(fds[i]);
		if (i % 2)
			put(fds[i][1]);
		aio_prep_rw(&iocb[i], IOCB_CMD_PREAD, fds[i][0], buf[i], 64, 0);
		iocbs[i] = &iocb[i];
	}
	submit_nr(ctx, NR, iocbs);
	EXPECT_EQ(aio_wait(ctx, NR / 2, NR, events, AIO_EVENT_TIMEOUT_MS), NR / 2);
	EXPECT_WAITS(ctx);
	for (i = NR - 2; i >= 0; i -= 2) {
		put(fds[i][1]);
		EXPECT_EQ(aio_event(ctx, &iocb[i]), 8);
	}
}

/* Each takes what it asked for, and who finds nothing left goes on waiting. */
static void many_reads_of_one_pipe(void)
{
	aio_context_t ctx = aio_setup(NR);
	struct iocb iocb[NR], *iocbs[NR];
	struct io_event event;
	int i, fds[2];

	make_blocking_pipe(fds);
	for (i = 0; i < NR; i++) {
		aio_prep_rw(&iocb[i], IOCB_CMD_PREAD, fds[0], buf[i], 8, 0);
		iocbs[i] = &iocb[i];
	}
	submit_nr(ctx, NR, iocbs);
	for (i = 0; i < NR; i++) {
		EXPECT_WAITS(ctx);
		put(fds[1]);
		ASSERT_EQ(aio_wait(ctx, 1, 1, &event, AIO_EVENT_TIMEOUT_MS), 1);
		EXPECT_EQ(event.res, 8);
	}
	EXPECT_EQ(ready_now(fds[0], POLLIN), 0);
}

static void read_and_write_of_one_socket(void)
{
	aio_context_t ctx = aio_setup(2);
	struct iocb in, out;
	int fds[2];

	make_blocking_socketpair(SOCK_STREAM, fds);
	fill_up(fds[0]);
	submit_read(ctx, &in, fds[0], buf[0], 64);
	submit_write(ctx, &out, fds[0], buf[1], 64);
	EXPECT_WAITS(ctx);
	put(fds[1]);
	EXPECT_EQ(aio_event(ctx, &in), 8);
	EXPECT_WAITS(ctx);
	drain_all(fds[1]);
	EXPECT_EQ(aio_event(ctx, &out), 64);
}

static void *block_in_read(void *arg)
{
	static char in[8];

	return (void *)(intptr_t)read(*(int *)arg, in, sizeof(in));
}

/* Whoever comes first, both get eight bytes of sixteen. */
static void blocking_reader_of_the_same_pipe(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb;
	pthread_t thread;
	static int fds[2];
	void *got;
	int i;

	make_blocking_pipe(fds);
	for (i = 0; i < 20; i++) {
		submit_read(ctx, &iocb, fds[0], buf[0], 8);
		ASSERT_EQ(pthread_create(&thread, NULL, block_in_read, &fds[0]), 0);
		if (i % 2)
			let_retries_run();
		put(fds[1]);
		put(fds[1]);
		KTAP_HERE("waiting for read() in a thread");
		pthread_join(thread, &got);
		EXPECT_EQ((intptr_t)got, 8);
		EXPECT_EQ(aio_event(ctx, &iocb), 8);
	}
}

static const struct ktap_case cases[] = {
	KTAP_CASE(others_of_the_batch_complete),
	KTAP_CASE(many_reads_of_one_pipe),
	KTAP_CASE(read_and_write_of_one_socket),
	KTAP_CASE(blocking_reader_of_the_same_pipe),
};

KTAP_MAIN(cases)
