// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data comes while reads are submitted, destroyed or die with their process, and
 * room comes while writes are: no byte is lost, none comes twice, and
 * every request completes once.
 *
 * A request that is woken while it is being submitted, or by a second wake-up
 * while the kernel tries it, has nobody to remind it later.
 */
#include "child.h"
#include "scene.h"

static void data_comes_while_submitting(void (*make)(int fds[2]))
{
	struct stress stress;
	struct racer *racer;

	scene_begin(make);
	submit_one_and_serve_it();
	racer = racer_start(write_records, NULL);
	stress = stress_begin(600);
	while (goes_on(&stress)) {
		racer_go(racer, stress_delay_ns(&stress, 200000));
		KTAP_HERE("io_submit");
		ASSERT_EQ(io_submit(scene.ctx, NR, scene.iocbs), NR);
		racer_wait(racer);
		EXPECT_EQ(collect(), NR * RECORD);
		if (!round_ok(&stress))
			return;
	}
}

static void pipe_submit(void)
{
	data_comes_while_submitting(make_blocking_pipe);
}

static void stream_submit(void)
{
	data_comes_while_submitting(make_stream);
}

static void datagram_submit(void)
{
	data_comes_while_submitting(make_datagrams);
}

static void tcp_submit(void)
{
	data_comes_while_submitting(make_tcp);
}

static void write_record(void *arg)
{
	(void)arg;
	put(scene.fds[1]);
}

/* One wake-up for one request: if it gets lost there is no other. */
static void only_record_comes_while_submitting(void)
{
	int64_t span_ns = 100000;
	struct stress stress;
	struct racer *racer;

	scene_begin(make_blocking_pipe);
	submit_one_and_serve_it();
	racer = racer_start(write_record, NULL);
	stress = stress_begin(2000);
	while (goes_on(&stress)) {
		int64_t took;

		racer_go(racer, stress_delay_ns(&stress, span_ns));
		took = now_ns();
		ASSERT_EQ(io_submit(scene.ctx, 1, scene.iocbs), 1);
		took = now_ns() - took;
		if (took < 8 * span_ns)
			span_ns = (span_ns * 7 + took) / 8;
		racer_wait(racer);
		EXPECT_EQ(aio_event(scene.ctx, scene.iocbs[0]), RECORD);
		if (!round_ok(&stress))
			return;
	}
}

/* Shutting the other direction wakes, and there is no room; then there is. */
static void wake_in_vain_and_drain(void *arg)
{
	int64_t until = now_ns() + *(int64_t *)arg;

	shutdown(scene.fds[0], SHUT_WR);
	while (now_ns() < until)
		;
	while (recv(scene.fds[0], sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

static void room_comes_while_trying_in_vain(void)
{
	static int64_t delay_ns;
	struct stress stress;
	struct racer *racer;

	scene_begin(make_stream);
	aio_prep_rw(scene.iocbs[0], IOCB_CMD_PWRITE, scene.fds[1], big, RECORD, 0);
	racer = racer_start(wake_in_vain_and_drain, &delay_ns);
	stress = stress_begin(100);
	while (goes_on(&stress)) {
		fill_up(scene.fds[1]);
		submit(scene.ctx, scene.iocbs[0]);
		delay_ns = stress_delay_ns(&stress, 200000);
		racer_go(racer, 0);
		racer_wait(racer);
		EXPECT_EQ(aio_event(scene.ctx, scene.iocbs[0]), RECORD);
		if (!round_ok(&stress))
			return;
		drain_all(scene.fds[0]);
	}
}

/* io_destroy() waits for grace periods: some 10 ms a round. */
static void data_comes_while_destroying(void)
{
	struct stress stress;
	struct racer *racer;
	char was[NR][64];

	scene_begin(make_blocking_pipe);
	submit_one_and_serve_it();
	racer = racer_start(write_records, NULL);
	stress = stress_begin(20);
	while (goes_on(&stress)) {
		aio_context_t ctx = 0;

		ASSERT_OK(io_setup(NR, &ctx));
		memset(buf, 'x', sizeof(buf));
		ASSERT_EQ(io_submit(ctx, NR, scene.iocbs), NR);
		racer_go(racer, stress_delay_ns(&stress, 100000));
		ASSERT_OK(io_destroy(ctx));
		memcpy(was, buf, sizeof(was));
		racer_wait(racer);
		let_retries_run();
		EXPECT(!memcmp(was, buf, sizeof(was)));
		drain_all(scene.fds[0]);
		if (!round_ok(&stress))
			return;
	}
}

static void submit_and_end(void *arg)
{
	aio_context_t ctx = aio_setup(NR);

	ASSERT_EQ(io_submit(ctx, NR, scene.iocbs), NR);
	if (arg)
		kill(getpid(), SIGKILL);
}

static void data_comes_while_exiting(void)
{
	struct stress stress;
	struct racer *racer;

	scene_begin(make_blocking_pipe);
	submit_one_and_serve_it();
	racer = racer_start(write_records, NULL);
	stress = stress_begin(20);
	while (goes_on(&stress)) {
		bool killed = stress.round % 2;

		/* fork() and what follows take 100 us and up. */
		racer_go(racer, stress_delay_ns(&stress, 2000000));
		EXPECT_EQ(in_child(submit_and_end, killed ? &scene : NULL),
			  killed ? SIGKILL : 0);
		racer_wait(racer);
		drain_all(scene.fds[0]);
		if (!round_ok(&stress))
			return;
	}
}

static void write_much(void *arg)
{
	(void)arg;
	if (write(scene.fds[1], big, sizeof(big)) < 0)
		_exit(KTAP_EXIT_FAIL);
}

static void read_much_and_end(void *arg)
{
	static char fresh[sizeof(big)];	/* each page of it faults */
	aio_context_t ctx = aio_setup(1);
	struct iocb iocb, *iocbs = &iocb;
	int64_t until;

	aio_prep_rw(&iocb, IOCB_CMD_PREAD, scene.fds[0], fresh, sizeof(fresh), 0);
	ASSERT_EQ(io_submit(ctx, 1, &iocbs), 1);
	write_much(NULL);
	until = now_ns() + *(int64_t *)arg;
	while (now_ns() < until)
		;
}

/*
 * The process ends while the kernel copies for it, which then has the last
 * reference to its memory; and it must let go of the file all the same.
 */
static void process_ends_while_data_is_copied(void)
{
	struct stress stress;
	int64_t delay_ns;

	scene_begin(make_blocking_pipe);
	submit_one_and_serve_it();
	stress = stress_begin(30);
	while (goes_on(&stress)) {
		make_blocking_pipe(scene.fds);
		ASSERT_OK(fcntl(scene.fds[1], F_SETPIPE_SZ, 1 << 20));
		delay_ns = stress_delay_ns(&stress, 1000000);
		EXPECT_EQ(in_child(read_much_and_end, &delay_ns), 0);
		ktap_close_now(scene.fds[0]);
		EXPECT(ready_ms(scene.fds[1], POLLERR, AIO_EVENT_TIMEOUT_MS) & POLLERR);
		ktap_close_now(scene.fds[1]);
		if (!round_ok(&stress))
			return;
	}
}

static void read_everything(void *arg)
{
	size_t left = 4 * sizeof(big);

	(void)arg;
	while (left) {
		ssize_t got = read(scene.fds[0], sink, 1 + left % sizeof(sink));

		if (got <= 0)
			return;
		left -= got;
	}
}

/* Four large writes at a time against a reader of odd sizes. */
static void room_comes_while_writing(void (*make)(int fds[2]))
{
	struct stress stress;
	struct racer *racer;
	int i;

	scene_begin(make);
	for (i = 0; i < 4; i++)
		aio_prep_rw(&scene.iocb[i], IOCB_CMD_PWRITE, scene.fds[1], big,
			    sizeof(big), 0);
	submit(scene.ctx, scene.iocbs[0]);
	read_all(scene.fds[0], big, sizeof(big));
	EXPECT_EQ(aio_event(scene.ctx, scene.iocbs[0]), sizeof(big));

	racer = racer_start(read_everything, NULL);
	stress = stress_begin(10);
	while (goes_on(&stress)) {
		racer_go(racer, stress_delay_ns(&stress, 200000));
		ASSERT_EQ(io_submit(scene.ctx, 4, scene.iocbs), 4);
		KTAP_HERE("io_getevents");
		EXPECT_EQ(aio_wait(scene.ctx, 4, 4, scene.events,
				   AIO_EVENT_TIMEOUT_MS), 4);
		for (i = 0; i < 4; i++)
			EXPECT_EQ(scene.events[i].res, sizeof(big));
		if (!round_ok(&stress))
			_exit(KTAP_EXIT_FAIL);	/* the reader would wait */
		racer_wait(racer);
	}
}

static void pipe_room(void)
{
	room_comes_while_writing(make_blocking_pipe);
}

static void stream_room(void)
{
	room_comes_while_writing(make_stream);
}

static void tcp_room(void)
{
	room_comes_while_writing(make_tcp);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(pipe_submit),
	KTAP_CASE(stream_submit),
	KTAP_CASE(datagram_submit),
	KTAP_CASE(tcp_submit),
	KTAP_CASE(only_record_comes_while_submitting),
	KTAP_CASE(room_comes_while_trying_in_vain),
	KTAP_CASE(data_comes_while_destroying),
	KTAP_CASE(data_comes_while_exiting),
	KTAP_CASE(process_ends_while_data_is_copied),
	KTAP_CASE(pipe_room),
	KTAP_CASE(stream_room),
	KTAP_CASE(tcp_room),
};

KTAP_MAIN(cases)
