/* SPDX-License-Identifier: GPL-2.0-only */
/* The options, each of which can be a variable of the environment as well. */
#ifndef FSX_OPTIONS_H
#define FSX_OPTIONS_H

#include <ctype.h>
#include <getopt.h>
#include "request.h"

static struct {
	unsigned long long seed, round, ops;
	double seconds;
	unsigned int round_ops, depth;
	size_t size, length;
	bool direct, overlap, drop_caches, no_mmap, seeded;
	const char *log, *replay, *path;
} options = {
	.round_ops = 2000, .depth = MAX_DEPTH, .size = 1 << 20, .length = 1 << 16,
	.path = "/tmp",
};

static const struct option known[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "seconds", required_argument, NULL, 't' },
	{ "ops", required_argument, NULL, 'n' },
	{ "round", required_argument, NULL, 'r' },
	{ "round-ops", required_argument, NULL, 'o' },
	{ "depth", required_argument, NULL, 'd' },
	{ "size", required_argument, NULL, 'l' },
	{ "length", required_argument, NULL, 'w' },
	{ "direct", no_argument, NULL, 'Z' },
	{ "overlap", no_argument, NULL, 'v' },
	{ "drop-caches", no_argument, NULL, 'D' },
	{ "no-mmap", no_argument, NULL, 'M' },
	{ "log", required_argument, NULL, 'L' },
	{ "replay", required_argument, NULL, 'R' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static const char usage_text[] =
"usage: fsx-aio [OPTIONS] [DIR|FILE]\n"
"\n"
"Random reads, writes, truncations, holes, mmap and fsync of a file, those that can be through\n"
"native AIO, all of it checked against a model in memory. In DIR (/tmp) the file is a new one.\n"
"An option can be a variable of the environment as well: FSX_SEED=7, FSX_DROP_CACHES=1.\n"
"\n"
"  --seed N       the same operations as another run with N; else any, and printed\n"
"  --seconds S    how long; 2, if there is no --ops either\n"
"  --ops N        how many operations, in whole rounds\n"
"  --round N      begin with this round (0); each begins with an empty file\n"
"  --round-ops N  operations of a round (2000: what harness keeps of a test's output has them)\n"
"  --depth N      requests in flight at most (64)\n"
"  --size N       of the file at most, in bytes (1048576)\n"
"  --length N     of a request at most, in bytes (65536)\n"
"  -Z, --direct   O_DIRECT\n"
"  --overlap      mostly reads, of the same few pages that are not in memory\n"
"  --drop-caches  empty the caches of all files as well, through /proc/sys/vm/drop_caches\n"
"  --no-mmap      neither read nor write through a mapping\n"
"  --log FILE     write each operation of the current round there before it is begun\n"
"  --replay FILE  the operations of the first log in FILE, once, or again and again for --seconds.\n"
"                 FILE is what --log wrote, or this program's output, or harness's run.json\n"
"\n"
"After a difference it prints the log of the round, what the bytes should be and are, and whose\n"
"they are. Exit status: 0 none; 1 a difference, an error, a hang; 2 usage; 4 no native AIO.\n";

__attribute__((noreturn))
static inline void usage(const char *wrong)
{
	if (wrong)
		fprintf(stderr, "fsx-aio: %s\n\n", wrong);
	fputs(usage_text, wrong ? stderr : stdout);
	exit(wrong ? 2 : 0);
}

static inline double number_option(const char *name, const char *text, double min, double max)
{
	char wrong[120], *end;
	double value = strtod(text, &end);

	if (!*end && end != text && value >= min && value <= max)
		return value;
	snprintf(wrong, sizeof(wrong), "%s %.20s: not a number from %.15g to %.15g", name, text,
		 min, max);
	usage(wrong);
}

static inline void take_option(int opt, const char *name, const char *value)
{
	switch (opt) {
	case 's':
		options.seed = number_option(name, value, 0, 1e15);
		options.seeded = true;
		break;
	case 't':
		options.seconds = number_option(name, value, 0.01, 1e7);
		break;
	case 'n':
		options.ops = number_option(name, value, 1, 1e15);
		break;
	case 'r':
		options.round = number_option(name, value, 0, 1e15);
		break;
	case 'o':
		options.round_ops = number_option(name, value, 10, 1e6);
		break;
	case 'd':
		options.depth = number_option(name, value, 1, MAX_DEPTH);
		break;
	case 'l':
		options.size = number_option(name, value, 1 << 16, 1 << 28);
		break;
	case 'w':
		options.length = number_option(name, value, 1 << 13, 1 << 24);
		break;
	case 'Z':
		options.direct = true;
		break;
	case 'v':
		options.overlap = true;
		break;
	case 'D':
		options.drop_caches = true;
		break;
	case 'M':
		options.no_mmap = true;
		break;
	case 'L':
		options.log = value;
		break;
	case 'R':
		options.replay = value;
		break;
	case 'h':
		usage(NULL);
	default:
		usage("no such option");
	}
}

static inline void take_environment(void)
{
	const struct option *option;
	char name[40], *p;
	const char *value;

	for (option = known; option->name; option++) {
		snprintf(name, sizeof(name), "FSX_%s", option->name);
		for (p = name; *p; p++)
			*p = *p == '-' ? '_' : toupper(*p);
		value = getenv(name);
		if (!value || !*value || (!option->has_arg && !strcmp(value, "0")))
			continue;
		take_option(option->val, name, value);
	}
}

static inline void take_options(int argc, char **argv)
{
	int opt, at = 0;

	take_environment();
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "Z", known, &at)) != -1)
		take_option(opt, known[at].name, optarg);
	if (optind < argc)
		options.path = argv[optind++];
	if (optind < argc)
		usage("one directory or file");
	if (!options.ops && !options.seconds && !options.replay)
		options.seconds = 2;
	if (options.length > options.size)
		options.length = options.size;
	options.size = round_up_to(options.size, 1 << 16);
	options.length = round_up_to(options.length, 1 << 13);
}

#endif /* FSX_OPTIONS_H */
