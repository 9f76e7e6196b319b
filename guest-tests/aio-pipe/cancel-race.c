// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data comes, or just a wake-up, while requests are being cancelled.
 *
 * Either the request has moved something, and says so, or it is cancelled and has
 * moved nothing; and it does complete, once, though nobody will cancel it again.
 */
#include <sys/mman.h>
#include "scene.h"

#define PIPE_SIZE	65536		/* what a pipe takes */
#define LONG_WRITE	(2 * PIPE_SIZE)

static long left_in(int fd)
{
	long sum = 0, got;

	set_nonblock(fd, true);
	while ((got = read(fd, sink, sizeof(sink))) > 0)
		sum += got;
	set_nonblock(fd, false);
	return sum;
}

static void data_comes_while_cancelling(void (*make)(int fds[2]))
{
	struct stress stress;
	struct racer *racer;
	int i, err;

	scene_begin(make);
	submit_one_and_serve_it();
	racer = racer_start(write_records, NULL);
	stress = stress_begin(100);
	while (goes_on(&stress)) {
		ASSERT_EQ(io_submit(scene.ctx, NR, scene.iocbs), NR);
		racer_go(racer, stress_delay_ns(&stress, 100000));
		for (i = 0; i < NR; i++) {
			err = aio_cancel_iocb(scene.ctx, scene.iocbs[i]);
			EXPECT(err == -EINPROGRESS || err == -EINVAL);
		}
		racer_wait(racer);
		EXPECT_EQ(collect() + left_in(scene.fds[0]), NR * RECORD);
		if (!round_ok(&stress))
			return;
	}
}

static void pipe_cancel(void)
{
	data_comes_while_cancelling(make_blocking_pipe);
}

static void stream_cancel(void)
{
	data_comes_while_cancelling(make_stream);
}

/* Shutting the other direction wakes with no event mask, and there is no room. */
static void wake_in_vain(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 4; i++)
		shutdown(scene.fds[0], SHUT_WR);
}

static void wakes_in_vain_while_cancelling(void)
{
	int64_t span_ns = 20000;
	struct stress stress;
	struct racer *racer;
	int i;

	scene_begin(make_stream);
	submit_one_and_serve_it();
	for (i = 0; i < NR; i++)
		aio_prep_rw(scene.iocbs[i], IOCB_CMD_PWRITE, scene.fds[1], big,
			    RECORD, 0);
	fill_up(scene.fds[1]);
	racer = racer_start(wake_in_vain, NULL);
	stress = stress_begin(100);
	while (goes_on(&stress)) {
		int64_t took;

		ASSERT_EQ(io_submit(scene.ctx, NR, scene.iocbs), NR);
		racer_go(racer, stress_delay_ns(&stress, span_ns));
		took = now_ns();
		for (i = 0; i < NR; i++)
			EXPECT_EQ(aio_cancel_iocb(scene.ctx, scene.iocbs[i]),
				  -EINPROGRESS);
		took = now_ns() - took;
		if (took < 8 * span_ns)
			span_ns = (span_ns * 7 + took) / 8;
		racer_wait(racer);
		EXPECT_EQ(collect(), 0);
		if (!round_ok(&stress))
			return;
	}
}

/* Memory that faults page by page: to copy from it or to it takes its time. */
static char *fresh(void)
{
	static char *memory;

	if (!memory) {
		memory = mmap(NULL, LONG_WRITE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT(memory != MAP_FAILED);
	}
	ASSERT_OK(madvise(memory, LONG_WRITE, MADV_DONTNEED));
	return memory;
}

static void give_data(void *arg)
{
	(void)arg;
	if (write(scene.fds[1], big, PIPE_SIZE) != PIPE_SIZE)
		_exit(KTAP_EXIT_FAIL);
}

static void give_room(void *arg)
{
	(void)arg;
	if (read(scene.fds[0], sink, PIPE_SIZE) != PIPE_SIZE)
		_exit(KTAP_EXIT_FAIL);
}

/*
 * A retry is met in the middle of what @give has made possible: then there is
 * nothing more to do, and nobody to wake it again.
 */
static void cancel_while_copying(struct iocb *iocb, void (*give)(void *arg))
{
	bool write = give == give_room;
	int64_t span_ns = 20000;
	struct stress stress;
	struct racer *racer;

	racer = racer_start(give, NULL);
	stress = stress_begin(128);
	while (goes_on(&stress)) {
		int64_t until;
		long res, left;

		fresh();
		if (write)
			fill_up(scene.fds[1]);
		submit(scene.ctx, iocb);
		until = now_ns() + stress_delay_ns(&stress, span_ns);
		racer_go(racer, 0);
		while (now_ns() < until)
			;
		aio_cancel_iocb(scene.ctx, iocb);
		res = aio_event(scene.ctx, iocb);
		racer_wait(racer);

		/* Half of the cancellations should come too early. */
		if (res < 0 && span_ns < 2000000)
			span_ns += span_ns / 16;
		else if (res > 0 && span_ns > 20000)
			span_ns -= span_ns / 16;

		EXPECT(res > 0 || res == -ECANCELED);
		left = left_in(scene.fds[0]);
		EXPECT_EQ(res < 0 ? 0 : res, write ? left : PIPE_SIZE - left);
		if (!round_ok(&stress))
			return;
	}
}

static void read_is_cancelled_while_copying(void)
{
	scene_begin(make_blocking_pipe);
	submit_one_and_serve_it();
	aio_prep_rw(scene.iocbs[0], IOCB_CMD_PREAD, scene.fds[0], fresh(), PIPE_SIZE, 0);
	cancel_while_copying(scene.iocbs[0], give_data);
}

/* Twice as much as there will be room for: it waits again after that. */
static void write_is_cancelled_while_copying(void)
{
	scene_begin(make_blocking_pipe);
	submit_one_and_serve_it();
	aio_prep_rw(scene.iocbs[0], IOCB_CMD_PWRITE, scene.fds[1], fresh(), LONG_WRITE, 0);
	cancel_while_copying(scene.iocbs[0], give_room);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pipe_cancel),
	KTAP_CASE(stream_cancel),
	KTAP_CASE(wakes_in_vain_while_cancelling),
	KTAP_CASE(read_is_cancelled_while_copying),
	KTAP_CASE(write_is_cancelled_while_copying),
};

KTAP_MAIN(cases)
