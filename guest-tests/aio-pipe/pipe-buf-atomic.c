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

/* What comes out of the pipe, byte by byte: how many records are complete. */
struct parser {
	size_t size;		/* of records other than 'z' */
	char c;
	size_t left;		/* of this record */
	int complete;
};

static bool parse(struct parser *parser, const char *in, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!parser->left) {
			if (!in[i])
				continue;	/* what filled the pipe */
			parser->c = in[i];
			parser->left = in[i] == 'z' ? PIPE_BUF : parser->size;
		}
		if (in[i] != parser->c) {
			ktap_fail("%zu bytes of a record are missing", parser->left);
			return false;
		}
		if (!--parser->left)
			parser->complete++;
	}
	return true;
}

static void records_stay_whole(size_t size)
{
	static char in[PIPE_BUF];
	static int fds[2];
	struct parser parser = { .size = size };
	aio_context_t ctx = aio_setup(NR);
	struct io_event events[NR];
	struct iocb iocb[NR];
	pthread_t thread;
	ssize_t got;
	int i;

	make_blocking_pipe(fds);
	fill_up(fds[1]);
	for (i = 0; i < NR; i++) {
		memset(record[i], 'a' + i, size);
		submit_write(ctx, &iocb[i], fds[1], record[i], size);
	}
	EXPECT_WAITS(ctx);
	ASSERT_EQ(pthread_create(&thread, NULL, write_records, &fds[1]), 0);

	/* In odd steps, each of which may make room for a part of a record. */
	for (i = 0; parser.complete < 2 * NR; i++) {
		if (!ready_ms(fds[0], POLLIN, AIO_EVENT_TIMEOUT_MS)) {
			ktap_fail("%d of %d records came", parser.complete, 2 * NR);
			break;
		}
		got = ASSERT_OK(read(fds[0], in, 1 + i * 331 % sizeof(in)));
		if (!parse(&parser, in, got))
			break;
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
