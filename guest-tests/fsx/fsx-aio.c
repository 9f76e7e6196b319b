// SPDX-License-Identifier: GPL-2.0-only
/*
 * Native AIO of a file, at random, against a model of it in memory: reads and
 * writes of odd pieces, many in flight, beside truncation, holes, mmap, fsync
 * and a page cache that is emptied.  After fsx, the file system exerciser: with
 * one made to use AIO the first such patches were tested in 2003.
 *
 * The tests of this suite are scripts that run it on a file system of their own.
 * See usage_text in options.h.
 */
#include <sys/random.h>
#include "execute.h"
#include "file.h"

static int64_t deadline;		/* 0: none */

static void get_buffers(struct fsx *fsx, const struct setup *setup)
{
	unsigned int i;

	for (i = 0; i < setup->depth; i++)
		request_init(&fsx->requests[i], setup);
	fsx->model.bytes = calloc(1, setup->size);
	fsx->got = malloc(setup->length);
	ASSERT(fsx->model.bytes && fsx->got);
	/* Twice as many: events of requests that are done keep their places. */
	fsx->ctx = aio_setup(2 * setup->depth);
}

static void begin_round(struct fsx *fsx, const struct setup *setup)
{
	open_file(fsx, setup->direct);
	oplog_begin(&fsx->log, setup);
	model_truncate(&fsx->model, 0);
	fsx->model.key = setup->key;
	fsx->setup = &fsx->log.setup;
	running = fsx;
}

static void end_round(struct fsx *fsx)
{
	execute(fsx, &(struct op) { .kind = OP_VERIFY });
	running = NULL;
	close_file(fsx);
}

static void play_random(struct fsx *fsx, struct chooser *chooser)
{
	const struct op evict = { .kind = OP_EVICT, .len = fsx->setup->size };
	struct op op;

	chooser->rng.state = mix(fsx->setup->key);
	chooser->target = fsx->setup->depth;
	chooser->together = chooser->hot_left = 0;
	chooser->hot = chooser->next = 0;
	chooser->waiting = false;
	/* The log is whole with the two operations after it. */
	while (fsx->log.nr < options.round_ops - 2) {
		op = choose_op(chooser, fsx);
		execute(fsx, &op);
	}
	/* What is on the device. */
	execute(fsx, &evict);
}

/* In bounds, or else nothing here is safe: a log may have been written by hand. */
static bool in_bounds(const struct fsx *fsx, const struct op *op)
{
	const struct setup *setup = fsx->setup;
	bool mapped = op->kind == OP_MREAD || op->kind == OP_MWRITE;

	if (op->kind == OP_WAIT || op->kind == OP_EVICT || !op_forms[op->kind].args)
		return true;
	return op->len <= setup->length && op->off <= setup->size &&
	       op->len <= setup->size - op->off &&
	       (!mapped || op->off + op->len <= fsx->model.size);
}

static void play_log(struct fsx *fsx, const struct oplog *log)
{
	unsigned int i;

	for (i = 0; i < log->nr; i++) {
		if (!in_bounds(fsx, &log->ops[i]))
			fsx_fail(fsx, "%u %s: not in the file's bounds", i, op_text(&log->ops[i]));
		execute(fsx, &log->ops[i]);
	}
}

static void say_metrics(const struct fsx *fsx, int64_t began, unsigned long long ops)
{
	double seconds = (now_ns() - began) / 1e9;

	ktap_metric("fsx.ops", ops / seconds, "ops/s", "higher");
	ktap_metric("fsx.checked", fsx->checked / seconds / 1e6, "MB/s", "higher");
}

/* At most one line a second, or hours of them would be all that is kept. */
static void say_round(unsigned long long round)
{
	static int64_t said;

	if (said && now_ns() - said < 1000000000)
		return;
	said = now_ns();
	ktap_note("round %llu: --seed %llu --round %llu", round, options.seed, round);
}

/* With all options that have a say in which operations it has. */
static void name_round(unsigned long long round)
{
	snprintf(again, sizeof(again),
		 " --seed %llu --round %llu --round-ops %u --depth %u --size %zu --length %zu%s%s%s%s",
		 options.seed, round, options.round_ops, options.depth, options.size,
		 options.length, options.direct ? " --direct" : "",
		 options.overlap ? " --overlap" : "", options.drop_caches ? " --drop-caches" : "",
		 options.no_mmap ? " --no-mmap" : "");
}

static void run_random(struct fsx *fsx)
{
	struct setup setup = {
		.size = options.size, .length = options.length, .depth = options.depth,
		.direct = options.direct,
	};
	unsigned long long round = options.round, ops = 0;
	int64_t began = now_ns();
	struct chooser chooser;

	if (!options.seeded)
		ASSERT(getrandom(&options.seed, 4, 0) == 4);
	ask_file(fsx, &setup, &chooser);
	get_buffers(fsx, &setup);
	do {
		say_round(round);
		name_round(round);
		setup.key = mix(options.seed ^ mix(round));
		begin_round(fsx, &setup);
		play_random(fsx, &chooser);
		end_round(fsx);
		ops += fsx->log.nr;
		round++;
	} while ((!options.ops || ops < options.ops) && (!deadline || now_ns() < deadline));
	say_metrics(fsx, began, ops);
}

static void run_log(struct fsx *fsx)
{
	struct oplog log = { .fd = -1 };
	unsigned long long times = 0;
	int64_t began = now_ns();

	oplog_read(&log, options.replay);
	ktap_note("%u operations of %s", log.nr, options.replay);
	get_buffers(fsx, &log.setup);
	do {
		begin_round(fsx, &log.setup);
		play_log(fsx, &log);
		end_round(fsx);
		times++;
	} while (deadline && now_ns() < deadline);
	say_metrics(fsx, began, times * log.nr);
}

static void file_is_as_the_model(void)
{
	struct fsx *fsx = calloc(1, sizeof(*fsx));

	ASSERT(fsx);
	alarm(OP_TIMEOUT_S);
	fsx->log.fd = -1;
	if (options.log)
		fsx->log.fd = ASSERT_OK(open(options.log, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	if (options.seconds)
		deadline = now_ns() + options.seconds * 1e9;
	if (options.replay)
		run_log(fsx);
	else
		run_random(fsx);
}

/* A system call that does not come back: the log, before ktap.h ends the program. */
static void on_alarm(int sig)
{
	struct fsx *fsx = running;

	if (fsx) {
		report_begin(fsx);
		report_end();
	}
	ktap_on_alarm(sig);
}

/* A mapping that has lost its file; a fault, so it comes where we are. */
static void on_bus_error(int sig)
{
	(void)sig;
	if (running)
		fsx_fail(running, "SIGBUS in %s", ktap.doing);
	_exit(KTAP_EXIT_FAIL);
}

/* ktap_run() has set its own handler of SIGALRM by now. */
static void catch_signals_and_run(void)
{
	struct sigaction alarmed = { .sa_handler = on_alarm };
	struct sigaction bus = { .sa_handler = on_bus_error, .sa_flags = SA_NODEFER };

	sigaction(SIGALRM, &alarmed, NULL);
	sigaction(SIGBUS, &bus, NULL);
	file_is_as_the_model();
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		{ .name = "file_is_as_the_model", .run = catch_signals_and_run },
	};

	take_options(argc, argv);
	return ktap_run(cases, ARRAY_SIZE(cases));
}
