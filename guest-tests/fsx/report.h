/* SPDX-License-Identifier: GPL-2.0-only */
/* What is said when the file is not as the model. */
#ifndef FSX_REPORT_H
#define FSX_REPORT_H

#include "fsx.h"

#define SAMPLE		16		/* bytes shown, and bytes looked for elsewhere */
#define SHOWN_OPS	12

/* The options that make this round again, if it was none of a log. */
static char again[200];

static inline void hex_line(const char *what, const unsigned char *bytes, size_t len)
{
	char text[SAMPLE * 3 + 1] = "";
	size_t i;

	for (i = 0; i < len && i < SAMPLE; i++)
		snprintf(text + i * 3, 4, " %02x", bytes[i]);
	ktap_note("  %-8s%s", what, text);
}

static inline bool all_are(const unsigned char *bytes, size_t len, unsigned char value)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* Say that @bytes, found at @off, are what write @number left at @from. */
static inline void say_whose(struct fsx *fsx, unsigned int number, uint64_t from, uint64_t off,
			     const unsigned char *bytes, size_t len)
{
	bool there = from + len <= fsx->model.size &&
		     !memcmp(fsx->model.bytes + from, bytes, len);

	ktap_note("  these are the bytes that %u wrote to %llu, %s", number,
		  (unsigned long long)from,
		  there ? "where they still are" : "where they have been overwritten since");
	if (from == off)
		ktap_note("  the same place: old data");
	else
		ktap_note("  shifted by %lld", (long long)(off - from));
}

/*
 * Every write has bytes of its own: find the last that has the first of @bytes,
 * zeros apart, which can be a hole.
 */
static inline bool find_writer(struct fsx *fsx, uint64_t off, const unsigned char *bytes, size_t len)
{
	unsigned int i = fsx->log.nr;
	unsigned char *data, *at;

	while (len && !*bytes) {
		bytes++;
		off++;
		len--;
	}
	if (len > SAMPLE)
		len = SAMPLE;
	if (len < 4)
		return false;
	while (i-- > 0) {
		const struct op *op = &fsx->log.ops[i];

		if (!op_writes(op) || !(data = malloc(op->len)))
			continue;
		data_fill(fsx->model.key, i, op->off, data, op->len);
		at = memmem(data, op->len, bytes, len);
		if (at)
			say_whose(fsx, i, op->off + (at - data), off, bytes, len);
		free(data);
		if (at)
			return true;
	}
	return false;
}

/* The last operations that had to do with [@low, @high). */
static inline void say_history(struct fsx *fsx, uint64_t low, uint64_t high)
{
	unsigned int i = fsx->log.nr, shown = 0, list[SHOWN_OPS];
	bool evicted = false;

	while (i-- > 0 && shown < SHOWN_OPS) {
		const struct op *op = &fsx->log.ops[i];
		bool ranged = op->len && op->off < high && low < op->off + op->len;

		/* Only the last time that it was evicted, or there would be little else. */
		if (op->kind == OP_EVICT && evicted)
			continue;
		if (ranged || (op->kind == OP_TRUNC && op->off < high))
			list[shown++] = i;
		evicted |= ranged && op->kind == OP_EVICT;
	}
	ktap_note("the last operations there:");
	while (shown-- > 0)
		ktap_note("  %u %s", list[shown], op_text(&fsx->log.ops[list[shown]]));
}

static inline void say_pieces(const struct request *req)
{
	char text[160] = "";
	size_t n = 0;
	int i;

	for (i = 0; i < req->nr && n < sizeof(text) - 24; i++)
		n += snprintf(text + n, sizeof(text) - n, " %zu", req->iov[i].iov_len);
	ktap_note("%u %s: its buffers have%s%s bytes", req->number, op_text(&req->op), text,
		  i < req->nr ? " ..." : "");
}

static inline void say_in_flight(struct fsx *fsx)
{
	unsigned int i;

	for (i = 0; i < fsx->setup->depth; i++) {
		const struct request *req = &fsx->requests[i];

		if (req->busy)
			ktap_note("  in flight: %u %s%s", req->number, op_text(&req->op),
				  req->done ? " (done)" : "");
	}
}

/*
 * The log first: of long outputs harness keeps the beginning and the end, and
 * what is to be read is in the last lines.
 */
static inline void report_begin(struct fsx *fsx)
{
	running = NULL;
	oplog_print(&fsx->log);
	say_in_flight(fsx);
}

static inline void report_end(void)
{
	if (again[0])
		ktap_note("again: fsx-aio%s", again);
	ktap_note("again: fsx-aio --replay FILE, which has this output");
	ktap_note("again: harness run --suite fsx --test NAME --env FSX_REPLAY=RUN-DIRECTORY/run.json");
}

/* @fmt is what is wrong, in a line.  Leaves the case. */
#define fsx_fail(fsx, fmt, ...) do {					\
	report_begin(fsx);						\
	report_end();							\
	KTAP_HERE("");							\
	ktap_fail(fmt, ##__VA_ARGS__);					\
	ktap_leave();							\
} while (0)

/* The same for the result of a request. */
#define request_fail(fsx, req, fmt, ...) do {				\
	report_begin(fsx);						\
	say_pieces(req);						\
	say_history(fsx, (req)->low, (req)->high);			\
	report_end();							\
	KTAP_HERE("");							\
	ktap_fail("%u %s: " fmt, (req)->number, op_text(&(req)->op), ##__VA_ARGS__); \
	ktap_leave();							\
} while (0)

/* Where the two differ: first and last byte of it, and how many. */
struct difference {
	size_t first, last, count;
};

static inline struct difference differ(const unsigned char *got, const unsigned char *want, size_t len)
{
	struct difference bad = { 0 };
	size_t i;

	for (i = 0; i < len; i++) {
		if (got[i] == want[i])
			continue;
		if (!bad.count++)
			bad.first = i;
		bad.last = i;
	}
	return bad;
}

/*
 * @len bytes from @off on were to be those of the model, and @got is what came:
 * by @req, or if that is NULL by operation @number.  Leaves the case.
 */
__attribute__((noreturn))
static inline void report_bytes(struct fsx *fsx, const struct request *req, unsigned int number,
				uint64_t off, const unsigned char *got, size_t len)
{
	const unsigned char *want = fsx->model.bytes + off, *found;
	struct difference bad = differ(got, want, len);
	size_t span = bad.last - bad.first + 1, before = bad.first < 8 ? bad.first : 8;
	uint64_t at = off + bad.first;

	report_begin(fsx);
	found = got + bad.first;
	if (req)
		say_pieces(req);
	ktap_note("wrong bytes: %zu, from %llu (%zu into it) to %llu; from %llu on:", bad.count,
		  (unsigned long long)at, bad.first, (unsigned long long)(at + span),
		  (unsigned long long)(at - before));
	hex_line("expected", want + bad.first - before, len - bad.first + before);
	hex_line("found", found - before, len - bad.first + before);
	if (all_are(found, span, 0))
		ktap_note("  all of them are 0: not read, or a hole");
	else if (req && all_are(found, span, req->poison))
		ktap_note("  all of them are as they were before the request: not filled");
	else if (!find_writer(fsx, at, found, span))
		ktap_note("  no write of this log has these bytes");
	say_history(fsx, at, at + span);
	report_end();
	KTAP_HERE("comparing with the model");
	ktap_fail("%u %s: wrong bytes: %zu, in %llu..%llu", number, op_text(&fsx->log.ops[number]),
		  bad.count, (unsigned long long)at, (unsigned long long)(at + span));
	ktap_leave();
}

#endif /* FSX_REPORT_H */
