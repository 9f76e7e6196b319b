/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Operations, and the log of them: what is printed when something is wrong is
 * what --replay reads.
 *
 *	# fsx-aio log 1 key=5eed align=1 memalign=1 size=1048576 length=65536 depth=64 direct=0
 *	# 0 write 4095 3 7f31+
 *	# 1 read 0 512 0c2a
 *	# 2 wait 0
 *	# fsx-aio end
 *
 * Each operation has its number; a request has the number its buffers are laid
 * out by (request.h), and a + where the one that follows goes with it into the
 * same io_submit().
 */
#ifndef FSX_OP_H
#define FSX_OP_H

#include <fcntl.h>
#include "ktap.h"

enum op_kind {
	OP_READ, OP_WRITE, OP_FSYNC, OP_FDSYNC,		/* requests */
	OP_WAIT,					/* for request number .off */
	OP_MREAD, OP_MWRITE, OP_TRUNC, OP_PUNCH, OP_ALLOC,
	OP_SYNC, OP_EVICT, OP_DROP,
	OP_VERIFY,					/* wait for all, compare all */
	NR_OPS,
};

struct op {
	enum op_kind kind;
	bool more;
	uint16_t layout;
	uint64_t off, len;
};

static const struct {
	const char *name;
	int args;
} op_forms[NR_OPS] = {
	[OP_READ] = { "read", 3 },
	[OP_WRITE] = { "write", 3 },
	[OP_FSYNC] = { "fsync", 0 },
	[OP_FDSYNC] = { "fdsync", 0 },
	[OP_WAIT] = { "wait", 1 },
	[OP_MREAD] = { "mread", 2 },
	[OP_MWRITE] = { "mwrite", 2 },
	[OP_TRUNC] = { "trunc", 1 },
	[OP_PUNCH] = { "punch", 2 },
	[OP_ALLOC] = { "alloc", 2 },
	[OP_SYNC] = { "sync", 0 },
	[OP_EVICT] = { "evict", 2 },
	[OP_DROP] = { "drop", 0 },
	[OP_VERIFY] = { "verify", 0 },
};

/* What a round is, besides its operations. */
struct setup {
	uint64_t key;			/* of all that looks random */
	unsigned int align, mem_align;	/* of offsets and lengths, of buffers */
	size_t size, length;		/* at most: of the file, of a request */
	unsigned int depth;		/* requests in flight at most */
	bool direct;
};

struct oplog {
	struct setup setup;
	struct op *ops;
	unsigned int nr, room;
	int fd;				/* of --log, or -1 */
};

static inline bool op_is_request(const struct op *op)
{
	return op->kind <= OP_FDSYNC;
}

static inline bool op_writes(const struct op *op)
{
	return op->kind == OP_WRITE || op->kind == OP_MWRITE;
}

/* "read 0 512 0c2a+" */
static inline const char *op_text(const struct op *op)
{
	static char text[80];
	int n = snprintf(text, sizeof(text), "%s", op_forms[op->kind].name);

	if (op_forms[op->kind].args > 0)
		n += snprintf(text + n, sizeof(text) - n, " %llu", (unsigned long long)op->off);
	if (op_forms[op->kind].args > 1)
		n += snprintf(text + n, sizeof(text) - n, " %llu", (unsigned long long)op->len);
	if (op_forms[op->kind].args > 2)
		n += snprintf(text + n, sizeof(text) - n, " %04x", op->layout);
	if (op->more)
		snprintf(text + n, sizeof(text) - n, "+");
	return text;
}

static inline const char *setup_text(const struct setup *setup)
{
	static char text[160];

	snprintf(text, sizeof(text),
		 "fsx-aio log 1 key=%llx align=%u memalign=%u size=%zu length=%zu depth=%u direct=%d",
		 (unsigned long long)setup->key, setup->align, setup->mem_align, setup->size,
		 setup->length, setup->depth, setup->direct);
	return text;
}

static inline bool setup_parse(const char *line, struct setup *setup)
{
	unsigned long long key;
	int direct;

	if (sscanf(line, "# fsx-aio log 1 key=%llx align=%u memalign=%u size=%zu length=%zu depth=%u direct=%d",
		   &key, &setup->align, &setup->mem_align, &setup->size, &setup->length,
		   &setup->depth, &direct) != 7)
		return false;
	setup->key = key;
	setup->direct = direct;
	return true;
}

/* The number of the operation in @line, or -1: the line is something else. */
static inline long op_parse(const char *line, struct op *op)
{
	char name[16], *plus = strchr(line, '+');
	unsigned long long off = 0, len = 0;
	unsigned int number, layout = 0;
	int kind, got;

	got = sscanf(line, "# %u %15[a-z] %llu %llu %x", &number, name, &off, &len, &layout);
	for (kind = 0; kind < NR_OPS; kind++)
		if (got >= 2 && !strcmp(name, op_forms[kind].name))
			break;
	if (kind == NR_OPS || got != 2 + op_forms[kind].args)
		return -1;
	*op = (struct op) {
		.kind = kind, .off = off, .len = len, .layout = layout, .more = plus,
	};
	return number;
}

/* A new round. */
static inline void oplog_begin(struct oplog *log, const struct setup *setup)
{
	log->setup = *setup;
	log->nr = 0;
	if (log->fd < 0)
		return;
	ASSERT_OK(ftruncate(log->fd, 0));
	ASSERT_OK(lseek(log->fd, 0, SEEK_SET));
	dprintf(log->fd, "# %s\n", setup_text(setup));
}

/* One operation more.  It is in the file of --log before it is begun. */
static inline void oplog_add(struct oplog *log, const struct op *op)
{
	if (log->nr == log->room) {
		log->room = log->room * 2 + 1024;
		log->ops = realloc(log->ops, log->room * sizeof(*log->ops));
		ASSERT(log->ops);
	}
	log->ops[log->nr] = *op;
	if (log->fd >= 0)
		dprintf(log->fd, "# %u %s\n", log->nr, op_text(op));
	log->nr++;
}

static inline void oplog_print(const struct oplog *log)
{
	unsigned int i;

	ktap_note("%s", setup_text(&log->setup));
	for (i = 0; i < log->nr; i++)
		ktap_note("%u %s", i, op_text(&log->ops[i]));
	ktap_note("fsx-aio end");
}

static inline char *read_whole(const char *path)
{
	size_t room = 1 << 16, len = 0;
	char *text = malloc(room);
	ssize_t n;
	int fd;

	KTAP_HERE("reading the log");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		ktap_fail_errno(path, errno);
		ktap_leave();
	}
	while (text && (n = read(fd, text + len, room - len - 1)) > 0) {
		len += n;
		if (len == room - 1)
			text = realloc(text, room *= 2);
	}
	ASSERT(text);
	close(fd);
	text[len] = '\0';
	return text;
}

/*
 * The first log in a file: that of --log, the output of a test as it is, or a
 * run.json or journal.jsonl that has it, where the ends of lines are "\n".
 */
static inline void oplog_read(struct oplog *log, const char *path)
{
	char *text = read_whole(path), *line, *end, *p;
	bool begun = false;
	struct op op;
	long number;

	for (p = text; (p = strstr(p, "\\n")); p += 2)
		memcpy(p, " \n", 2);
	for (line = text; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (!strncmp(line, "# fsx-aio end", 13) ||
		    (begun && !strncmp(line, "# fsx-aio log", 13)))
			break;
		if (!begun) {
			begun = setup_parse(line, &log->setup);
			continue;
		}
		number = op_parse(line, &op);
		if (number < 0)
			continue;
		KTAP_HERE("reading the log");
		if (number != log->nr) {
			ktap_fail("%s: operation %ld comes after %u others: lines are missing",
				  path, number, log->nr);
			ktap_leave();
		}
		oplog_add(log, &op);
	}
	free(text);
	if (!log->nr) {
		ktap_fail("%s has no log of fsx-aio", path);
		ktap_leave();
	}
}

#endif /* FSX_OP_H */
