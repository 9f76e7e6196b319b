/* SPDX-License-Identifier: GPL-2.0-only */
/* The asynchronous way: one process that has a request of each reader in flight. */
#ifndef AIO_BENCH_SUBMITTER_H
#define AIO_BENCH_SUBMITTER_H

#include "load.h"

/* The one that reads for all, with a request of each in flight. */
struct submitter {
	const struct load *load;
	aio_context_t ctx;
	int fds[READERS];
	struct iocb iocbs[READERS], *next[READERS];
	unsigned int asked[READERS];	/* chunks of each, up to now */
	int nr_next;
	int64_t submit_ns;		/* in io_submit() */
	long submit_switches;		/* how often it slept there */
};

/* The next chunk of @reader, if there is one, goes with the next io_submit(). */
static inline void ask_next(struct submitter *sub, int reader)
{
	const struct load *load = sub->load;
	size_t at;

	if (sub->asked[reader] == load->rounds * load_chunks(load))
		return;
	at = chunk_at(load, reader, sub->asked[reader]++);
	aio_prep_rw(&sub->iocbs[reader], IOCB_CMD_PREAD, sub->fds[reader], data + at,
		    load->chunk, load->at + at);
	sub->next[sub->nr_next++] = &sub->iocbs[reader];
}

static inline int submit_timed(struct submitter *sub)
{
	long slept = usage_now().voluntary;
	int64_t began = now_ns();
	int ret = ASSERT_OK(io_submit(sub->ctx, sub->nr_next, sub->next));

	sub->submit_ns += now_ns() - began;
	sub->submit_switches += usage_now().voluntary - slept;
	ASSERT_EQ(ret, sub->nr_next);
	sub->nr_next = 0;
	return ret;
}

/* One event at least: what has come is asked for what comes next. */
static inline int collect(struct submitter *sub)
{
	struct io_event events[READERS];
	int i, got = ASSERT_OK(io_getevents(sub->ctx, 1, READERS, events, NULL));

	for (i = 0; i < got; i++) {
		struct iocb *iocb = (struct iocb *)(uintptr_t)events[i].obj;

		ASSERT_EQ(events[i].res, iocb->aio_nbytes);
		ask_next(sub, iocb - sub->iocbs);
	}
	return got;
}

static inline void submitter_start(struct submitter *sub, const struct load *load)
{
	int i;

	memset(sub, 0, sizeof(*sub));
	sub->load = load;
	sub->ctx = aio_setup(READERS);
	for (i = 0; i < READERS; i++)
		sub->fds[i] = open_part(load);
	for (i = 0; i < READERS; i++)
		ask_next(sub, i);
}

static inline void submitter_run(struct submitter *sub)
{
	int in_flight = submit_timed(sub);

	work(sub->load);
	while (in_flight) {
		in_flight -= collect(sub);
		if (sub->nr_next)
			in_flight += submit_timed(sub);
	}
}

/* Read all of it; print the metrics if it is @measured. */
static inline void read_by_aio(const struct load *load, bool measured)
{
	int disk = open_disk(O_RDONLY | O_DIRECT);
	static struct submitter sub;
	struct counts begin, end;
	struct usage used;

	submitter_start(&sub, load);
	use_up_burst(disk);
	begin = counts_at_begin();
	used = usage_now();
	submitter_run(&sub);
	used = usage_since(used);
	pay_the_disk(disk);
	end = counts_at_end();
	if (!measured)
		return;
	metrics_of_counts(&begin, &end);
	metrics_of_usage(&used);
	metric("submit", sub.submit_ns / 1e6, "unit=ms better=lower");
	metric("submit_slept", sub.submit_switches, "unit=switches better=lower");
}

#endif /* AIO_BENCH_SUBMITTER_H */
