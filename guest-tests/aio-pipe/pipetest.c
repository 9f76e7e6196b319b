// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tokens go round in rings of pipes, unix sockets and TCP connections, and all
 * their bytes are checked: with blocking calls, with epoll, with IOCB_CMD_POLL,
 * and with IOCB_CMD_PREAD and IOCB_CMD_PWRITE, for which io_submit() must not
 * wait until a token comes.  After pipetest, by which such kernels were compared
 * in 2006 (Message-ID: <20061227153855.GA25898@in.ibm.com>).
 *
 * Without options a test: few rounds, or with PIPETEST_FULL=1 or --all all sizes
 * of rings.  With options that name a ring a benchmark of it; see usage().
 */
#include <getopt.h>
#include "modes.h"

static const char * const mode_names[] = { "sync", "epoll", "aio-poll", "aio" };
static const char * const file_names[] = { "pipe", "unix", "tcp" };

/*
 * The test.  The last two meet short reads and writes, and writes that wait: a
 * full link may have one token only.  With two for each node all could wait.
 */
static const struct shape few[] = {
	{ .hops = 1, .tokens = 1, .laps = 30, .size = TOKEN_SIZE },
	{ .hops = 64, .tokens = 32, .laps = 1, .size = TOKEN_SIZE },
	{ .hops = 3, .tokens = 2, .laps = 8, .size = TOKEN_SIZE, .piece = 24 },
	{ .hops = 4, .tokens = 7, .laps = 4, .size = 2000, .small = true },
};

static const unsigned int all_hops[] = { 1, 2, 4, 8, 16, 32, 64 };
static const unsigned int all_tokens[] = { 1, 2, 4, 8, 16, 32 };

/* What the table shows. */
static const unsigned int corners[][2] = { { 1, 1 }, { 8, 1 }, { 64, 1 }, { 8, 8 }, { 64, 32 } };

static struct {
	int mode, file;			/* -1: all */
	unsigned int hops, tokens;	/* 0: those above */
	double seconds;
	bool full, table;
} options = { .mode = -1, .file = -1 };

static struct {
	enum mode mode;
	enum file file;
	char name[16];
} plan[NR_MODES * NR_FILES];

static void print_metrics(struct ring *ring, enum mode mode, enum file file)
{
	char name[48], figure[64];

	snprintf(name, sizeof(name), "%s.%s.%ux%u%s%s", mode_names[mode], file_names[file],
		 ring->shape.hops, ring->shape.tokens, ring->shape.piece ? ".pieces" : "",
		 ring->shape.small ? ".full" : "");
	snprintf(figure, sizeof(figure), "%s.rate", name);
	ktap_metric(figure, ring_rate(ring), "hops/s", "higher");
	snprintf(figure, sizeof(figure), "%s.p50", name);
	ktap_metric(figure, ring_percentile(ring, 0.5) / 1000, "us", "lower");
	snprintf(figure, sizeof(figure), "%s.p99", name);
	ktap_metric(figure, ring_percentile(ring, 0.99) / 1000, "us", "lower");
}

static void test_shape(const struct shape *shape)
{
	enum mode mode = plan[ktap.cur].mode;
	enum file file = plan[ktap.cur].file;
	struct ring *ring;

	KTAP_HERE("a ring that goes round");
	/* One that stands still says so itself; the slowest guest seen did 80 hops/s. */
	alarm(KTAP_CASE_TIMEOUT_S + shape->ns / 1000000000 +
	      shape->laps * shape->hops * shape->tokens / 10);
	ring = ring_run(mode, file, shape);
	if (ring->unsupported)
		snprintf(ktap.skip, sizeof(ktap.skip), "%.100s", ring->error);
	else if (ring->stop)
		ktap_fail("%s, %s, %u hops, %u tokens: %s", mode_names[mode], file_names[file],
			  shape->hops, shape->tokens, ring->error);
	else
		print_metrics(ring, mode, file);
	ring_close(ring);
	if (ktap.skip[0] || ktap.case_failed)
		ktap_leave();
}

static struct shape timed(unsigned int hops, unsigned int tokens, double seconds)
{
	return (struct shape) {
		.hops = hops, .tokens = tokens, .size = TOKEN_SIZE, .ns = seconds * 1e9,
	};
}

static void test_sizes(void)
{
	struct shape shape;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(all_hops); i++)
		for (j = 0; j < ARRAY_SIZE(all_tokens); j++) {
			shape = timed(options.hops ? options.hops : all_hops[i],
				      options.tokens ? options.tokens : all_tokens[j],
				      options.seconds);
			shape.laps = options.seconds ? 0 : 2;
			if ((!i || !options.hops) && (!j || !options.tokens))
				test_shape(&shape);
		}
}

static void test_case(void)
{
	size_t i;

	if (options.full || options.hops || options.tokens)
		test_sizes();
	for (i = 0; i < ARRAY_SIZE(few) && !options.hops && !options.tokens; i++) {
		struct shape shape = few[i];

		if (shape.small && plan[ktap.cur].file == FILE_TCP)
			continue;	/* its windows are not to be had that small */
		if (options.seconds)
			shape.laps = 0;
		shape.ns = options.seconds * 1e9;
		test_shape(&shape);
	}
}

static bool asked_for(enum mode mode, enum file file)
{
	return (options.mode < 0 || mode == (enum mode)options.mode) &&
	       (options.file < 0 || file == (enum file)options.file);
}

static int run_cases(void)
{
	struct ktap_case cases[NR_MODES * NR_FILES];
	enum mode mode;
	enum file file;
	size_t nr = 0;

	for (mode = 0; mode < NR_MODES; mode++)
		for (file = 0; file < NR_FILES; file++) {
			if (!asked_for(mode, file))
				continue;
			plan[nr].mode = mode;
			plan[nr].file = file;
			snprintf(plan[nr].name, sizeof(plan[nr].name), "%s_%s",
				 mode == MODE_AIO_POLL ? "aio_poll" : mode_names[mode],
				 file_names[file]);
			cases[nr].name = plan[nr].name;
			cases[nr++].run = test_case;
		}
	return ktap_run(cases, nr);
}

static bool table_row(enum mode mode, enum file file, const struct shape *shape)
{
	struct ring *ring = ring_run(mode, file, shape);
	bool ok = !ring->stop;

	if (ok)
		ktap_line("| %s | %s | %u | %u | %.0f | %.1f | %.1f |", mode_names[mode],
			  file_names[file], shape->hops, shape->tokens, ring_rate(ring),
			  ring_percentile(ring, 0.5) / 1000, ring_percentile(ring, 0.99) / 1000);
	else
		ktap_line("| %s | %s | %u | %u | %s | | |", mode_names[mode], file_names[file],
			  shape->hops, shape->tokens, ring->error);
	ring_close(ring);
	return ok;
}

/* The modes below each other, for one file and corner. */
static bool table_rows(enum file file, const struct shape *shape)
{
	enum mode mode;
	bool ok = true;

	for (mode = 0; mode < NR_MODES; mode++)
		if (asked_for(mode, file))
			ok &= table_row(mode, file, shape);
	return ok;
}

static int print_table(void)
{
	double seconds = options.seconds ? options.seconds : 0.2;
	struct shape shape;
	enum file file;
	bool ok = true;
	size_t i;

	ktap_line("| mode | file | hops | tokens | hops/s | p50 us | p99 us |");
	ktap_line("|---|---|--:|--:|--:|--:|--:|");
	for (file = 0; file < NR_FILES; file++)
		for (i = 0; i < ARRAY_SIZE(corners); i++) {
			if (i && (options.hops || options.tokens))
				break;
			shape = timed(corners[i][0], corners[i][1], seconds);
			if (options.hops)
				shape.hops = options.hops;
			if (options.tokens)
				shape.tokens = options.tokens;
			ok &= table_rows(file, &shape);
		}
	return ok ? KTAP_EXIT_PASS : KTAP_EXIT_FAIL;
}

__attribute__((noreturn))
static void usage(void)
{
	fputs("usage: pipetest [--mode sync|epoll|aio-poll|aio] [--file pipe|unix|tcp]\n"
	      "                [--hops 1..64] [--tokens 1..32] [--seconds S] [--all] [--table]\n"
	      "\n"
	      "  --seconds S  for each ring, instead of a few rounds\n"
	      "  --all        all sizes of rings, as PIPETEST_FULL=1\n"
	      "  --table      hops/s and time for a hop of some of them, as Markdown; a size\n"
	      "               that is not given is 1 beside one that is\n", stderr);
	exit(2);
}

static int name_option(const char *arg, const char * const *names, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (!strcmp(arg, names[i]))
			return i;
	usage();
}

static double number_option(const char *arg, double min, double max)
{
	char *end;
	double value = strtod(arg, &end);

	if (*end || end == arg || !(value >= min && value <= max))
		usage();
	return value;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "file", required_argument, NULL, 'f' },
		{ "hops", required_argument, NULL, 'h' },
		{ "tokens", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 's' },
		{ "all", no_argument, NULL, 'a' },
		{ "table", no_argument, NULL, 'T' },
		{ }
	};
	const char *full = getenv("PIPETEST_FULL");
	int opt;

	options.full = full && *full && strcmp(full, "0");
	while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (opt == 'm')
			options.mode = name_option(optarg, mode_names, NR_MODES);
		else if (opt == 'f')
			options.file = name_option(optarg, file_names, NR_FILES);
		else if (opt == 'h')
			options.hops = number_option(optarg, 1, RING_MAX_HOPS);
		else if (opt == 't')
			options.tokens = number_option(optarg, 1, RING_MAX_TOKENS);
		else if (opt == 's')
			options.seconds = number_option(optarg, 0.001, 3600);
		else if (opt == 'a')
			options.full = true;
		else if (opt == 'T')
			options.table = true;
		else
			usage();
	}
	if (optind != argc)
		usage();
	return options.table ? print_table() : run_cases();
}
