/* SPDX-License-Identifier: GPL-2.0-only */
/* Which operation comes next: a function of the round's key and of nothing else. */
#ifndef FSX_CHOOSE_H
#define FSX_CHOOSE_H

#include "fsx.h"

#define PAGE		4096

struct chooser {
	struct rng rng;
	bool overlap, drop;		/* options */
	bool mmap, punch, alloc;	/* what the file system has */
	unsigned int target;		/* requests in flight, for now */
	unsigned int together;		/* requests that still go into one io_submit() */
	unsigned int hot_left;		/* reads that still go to one place */
	uint64_t hot;
	uint64_t next;			/* where the last read or write ended */
	struct op wanted;		/* once a request that is in its way is done */
	bool waiting;
};

/* How often, of the sum; --overlap has its own. */
static const unsigned char weights[2][NR_OPS] = {
	{
		[OP_READ] = 80, [OP_WRITE] = 56, [OP_FSYNC] = 3, [OP_FDSYNC] = 2, [OP_WAIT] = 12,
		[OP_MREAD] = 6, [OP_MWRITE] = 6, [OP_TRUNC] = 6, [OP_PUNCH] = 4, [OP_ALLOC] = 3,
		[OP_SYNC] = 1, [OP_EVICT] = 8, [OP_DROP] = 2, [OP_VERIFY] = 1,
	}, {
		[OP_READ] = 160, [OP_WRITE] = 16, [OP_WAIT] = 6, [OP_MREAD] = 3, [OP_TRUNC] = 2,
		[OP_EVICT] = 8, [OP_DROP] = 2,
	},
};

static inline bool possible(const struct chooser *c, enum op_kind kind)
{
	if (kind == OP_MREAD || kind == OP_MWRITE)
		return c->mmap;
	if (kind == OP_PUNCH)
		return c->punch;
	if (kind == OP_ALLOC)
		return c->alloc;
	return kind != OP_DROP || c->drop;
}

static inline enum op_kind choose_kind(struct chooser *c)
{
	const unsigned char *weight = weights[c->overlap];
	unsigned int kind, sum = 0, at;

	for (kind = 0; kind < NR_OPS; kind++)
		sum += weight[kind];
	for (;;) {
		at = rng_below(&c->rng, sum);
		for (kind = 0; at >= weight[kind]; kind++)
			at -= weight[kind];
		if (possible(c, kind))
			return kind;
	}
}

/* Small ones more often than large ones, and whole pages now and then. */
static inline size_t choose_length(struct chooser *c, size_t most)
{
	static const size_t limits[] = { 16, 600, PAGE + 1, 3 * PAGE, 16384, SIZE_MAX };
	size_t limit = limits[rng_below(&c->rng, ARRAY_SIZE(limits))];

	if (limit > most)
		limit = most;
	if (limit > PAGE && rng_one_in(&c->rng, 4))
		return limit / PAGE * PAGE;
	return 1 + rng_below(&c->rng, limit);
}

/* Anywhere below @end, at the beginning of a page now and then, or a byte beside it. */
static inline uint64_t choose_offset(struct chooser *c, uint64_t end)
{
	uint64_t off = rng_below(&c->rng, end);

	if (rng_one_in(&c->rng, 4)) {
		off = off / PAGE * PAGE + rng_below(&c->rng, 3);
		off -= off > 0;
	}
	return off;
}

/* Into the file's bounds, and as the device wants it. */
static inline void fit(const struct fsx *fsx, struct op *op)
{
	unsigned int align = op_is_request(op) ? fsx->setup->align : 1;
	uint64_t max = fsx->setup->size;

	op->off -= op->off % align;
	op->len = round_up_to(op->len, align);
	if (op->off >= max)
		op->off = max - align;
	if (op->len > max - op->off)
		op->len = max - op->off;
	if (op->kind != OP_MREAD && op->kind != OP_MWRITE)
		return;
	if (op->off >= fsx->model.size)
		op->off = 0;
	op->len = model_readable(&fsx->model, op->off, op->len);
}

static inline void choose_range(struct chooser *c, const struct fsx *fsx, struct op *op)
{
	size_t size = fsx->model.size;

	op->layout = rng_below(&c->rng, 1 << 16);
	op->len = choose_length(c, fsx->setup->length);
	if (op->kind == OP_READ && c->hot_left) {
		c->hot_left--;
		op->len = choose_length(c, 2 * PAGE);
		op->off = c->hot + rng_below(&c->rng, 2 * PAGE);
	} else if (op->kind <= OP_WRITE && rng_one_in(&c->rng, 4)) {
		op->off = c->next;
	} else if (op->kind == OP_WRITE && rng_one_in(&c->rng, 5)) {
		op->off = size;
	} else if (op->kind == OP_WRITE || op->kind == OP_ALLOC) {
		op->off = choose_offset(c, size + size / 8 + 2 * PAGE);
	} else {
		op->off = choose_offset(c, size + 100);
	}
	fit(fsx, op);
	c->next = op->off + op->len;
}

/* Up, down, or by little: a file that is mostly short tests little. */
static inline uint64_t choose_size(struct chooser *c, const struct fsx *fsx)
{
	size_t size = fsx->model.size, new;

	if (rng_one_in(&c->rng, 3))
		new = size + rng_below(&c->rng, 4 * PAGE);
	else if (rng_one_in(&c->rng, 2))
		new = size - rng_below(&c->rng, size < 3 * PAGE ? size : 3 * PAGE);
	else
		new = size / 2 + rng_below(&c->rng, fsx->setup->size / 2);
	return new < fsx->setup->size ? new : fsx->setup->size;
}

/* After it was evicted, reads of the same few pages. */
static inline void choose_evict(struct chooser *c, const struct fsx *fsx, struct op *op)
{
	op->off = 0;
	op->len = fsx->setup->size;
	if (rng_one_in(&c->rng, 4)) {
		op->off = choose_offset(c, fsx->model.size) / PAGE * PAGE;
		op->len = PAGE * (1 + rng_below(&c->rng, 8));
	}
	if (!c->overlap && rng_one_in(&c->rng, 2))
		return;
	c->hot = choose_offset(c, fsx->model.size) / PAGE * PAGE;
	c->hot_left = c->overlap ? MAX_DEPTH : 4 + rng_below(&c->rng, 20);
}

static inline struct op wait_op(const struct request *req)
{
	return (struct op) { .kind = OP_WAIT, .off = req->number };
}

/* One of those in flight, the oldest as often as not. */
static inline struct op choose_wait(struct chooser *c, struct fsx *fsx)
{
	unsigned int i, skip = rng_below(&c->rng, fsx->in_flight);
	bool oldest = rng_one_in(&c->rng, 2);
	struct request *chosen = NULL;

	for (i = 0; i < fsx->setup->depth; i++) {
		struct request *req = &fsx->requests[i];

		if (!req->busy)
			continue;
		if (oldest ? !chosen || req->number < chosen->number : !skip--)
			chosen = req;
	}
	return wait_op(chosen);
}

/*
 * A truncation waits for more of the direct writes than it should have to, as
 * each of these is a bug of its own (6.12 and 6.18 have both):
 * - xfs, those that made the file longer: it zeroes what they wrote, as the old
 *   size in xfs_setattr_size() is from before inode_dio_wait();
 * - ext4, those in the page where the file ended: it zeroes the rest of that page
 *   in the page cache under them, and they make the next fsync() say EIO.
 */
static inline uint64_t low_of_truncation(const struct fsx *fsx, uint64_t low)
{
	unsigned int i;

	for (i = 0; i < fsx->setup->depth; i++) {
		const struct request *req = &fsx->requests[i];

		if (req->busy && req->extends && req->low < low)
			low = req->low;
	}
	return low / PAGE * PAGE;
}

/* What must be done before @op can be, or NULL. */
static inline struct request *in_the_way(struct fsx *fsx, const struct op *op)
{
	bool reads = op->kind == OP_READ || op->kind == OP_MREAD;
	uint64_t low, high;

	op_range(&fsx->model, op, &low, &high);
	if (fsx->setup->direct && op->kind == OP_TRUNC)
		low = low_of_truncation(fsx, low);
	/* Only a file at rest is the same in memory and on the device. */
	if (fsx->setup->direct && (op->kind == OP_MREAD || op->kind == OP_MWRITE))
		return fsx_conflict(fsx, 0, UINT64_MAX, true);
	if (reads || op->kind == OP_WRITE || op->kind == OP_MWRITE || op->kind == OP_TRUNC ||
	    op->kind == OP_PUNCH)
		return fsx_conflict(fsx, low, high, !reads);
	return NULL;
}

static inline struct op choose_any(struct chooser *c, struct fsx *fsx)
{
	struct op op = { .kind = choose_kind(c) };

	if (c->together || (c->hot_left && !rng_one_in(&c->rng, 12)))
		op.kind = rng_one_in(&c->rng, 3) && !c->hot_left ? OP_WRITE : OP_READ;
	if (!fsx->model.size && op.kind != OP_READ)
		op.kind = OP_WRITE;
	if (rng_one_in(&c->rng, 60))
		c->target = 1 + rng_below(&c->rng, fsx->setup->depth);
	if (op.kind == OP_EVICT)
		choose_evict(c, fsx, &op);
	else if (op.kind == OP_TRUNC)
		op.off = choose_size(c, fsx);
	else if (op_forms[op.kind].args >= 2)
		choose_range(c, fsx, &op);
	return op;
}

static inline struct op choose_op(struct chooser *c, struct fsx *fsx)
{
	struct request *blocker;
	struct op op = c->waiting ? c->wanted : choose_any(c, fsx);

	c->waiting = true;
	c->wanted = op;
	if (op_is_request(&op) && fsx->in_flight >= c->target)
		return choose_wait(c, fsx);
	blocker = in_the_way(fsx, &op);
	if (blocker)
		return wait_op(blocker);
	c->waiting = false;
	if (op.kind == OP_WAIT)
		return fsx->in_flight ? choose_wait(c, fsx) : (struct op) { .kind = OP_FSYNC };
	if (!op_is_request(&op))
		return op;
	if (c->together)
		c->together--;
	else if (rng_one_in(&c->rng, 6))
		c->together = rng_below(&c->rng, 12);
	op.more = c->together;
	return op;
}

#endif /* FSX_CHOOSE_H */
