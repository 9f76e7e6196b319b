// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes of up to PIPE_BUF bytes that waited for room go into the pipe in one
 * piece, however little room there is at a time and whoever else writes.
 */
#include <pthread.h>
#include "parked.h"

#define NR	8

static char record[NR][PIPE_BUF];

static void *write_records(void *arg)
{
	static char own[PIPE_BUF];
	int i, fd = *(int *)arg;

	memset(own, 'z', sizeof(own));
	for (i = 0; i < NR; i++)
		if (write(fd, own, sizeof(own)) != sizeof(own))
			break;
	return NULL;
}

static void records_stay_whole(size_t size)
{
	static char in[PIPE_BUF];
	static int fds[2];
	aio_context_t ctx = aio_setup(NR);
	struct io_event events[NR];
	struct iocb iocb[NR];
	pthread_t thread;
	size_t step;
	int i;

	make_blocking_pipe(fds);
	fill_up(fds[1]);
	for (i = 0; i < NR; i++) {
		memset(record[i], 'a' + i, size);
		submit_write(ctx, &iocb[i], fds[1], record[i], size);
	}
	EXPECT_WAITS(ctx);
	ASSERT_EQ(pthread_create(&thread, NULL, write_records, &fds[1]), 0);

	/* What filled it goes in small steps, odd ones. */
	do {
		ASSERT_EQ(read(fds[0], in, 1), 1);
	} while (!in[0]);
	for (i = 0; i < 2 * NR; i++) {
		char c = in[0];

		step = (c == 'z' ? PIPE_BUF : size) - 1;
		if (step) {
			read_all(fds[0], in, step);
			if (!EXPECT(all_are(in, c, step)))
				break;
		}
		if (i < 2 * NR - 1)
			read_all(fds[0], in, 1);
	}
	EXPECT_EQ(aio_wait(ctx, NR, NR, events, AIO_EVENT_TIMEOUT_MS), NR);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(events[i].res, size);
	drain_all(fds[0]);
	pthread_join(thread, NULL);
}

static void small_records(void)
{
	records_stay_whole(100);
}

static void odd_records(void)
{
	records_stay_whole(PIPE_BUF - 1);
}

static void largest_records(void)
{
	records_stay_whole(PIPE_BUF);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(small_records),
	KTAP_CASE(odd_records),
	KTAP_CASE(largest_records),
};

KTAP_MAIN(cases)
