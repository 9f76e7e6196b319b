/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A request and its buffers.  They are pieces of one arena, at odd distances,
 * and all of the arena that is none of theirs has to stay as it is.
 */
#ifndef FSX_REQUEST_H
#define FSX_REQUEST_H

#include <sys/mman.h>
#include <sys/uio.h>
#include "aio.h"
#include "model.h"

#define MAX_PIECES	100		/* the kernel has eight on its stack */
#define MAX_PIECES_DIO	12
#define GUARD		64		/* at least, at both ends of the arena */
#define MAX_DEPTH	64

struct request {
	struct iocb iocb;
	struct op op;
	unsigned int number;		/* of op */
	bool busy;			/* from the operation to the wait for it */
	bool submitted, done, extends;
	long res, expect;
	uint64_t low, high;		/* what no other may change, or also not read */
	unsigned char *arena;
	size_t used;
	unsigned char poison;
	int nr;
	struct iovec iov[MAX_PIECES];
};

static inline size_t arena_size(const struct setup *setup)
{
	size_t between = setup->mem_align > GUARD ? setup->mem_align : GUARD;

	return setup->length + (MAX_PIECES + 2) * 2 * GUARD + (MAX_PIECES_DIO + 2) * 2 * between;
}

static inline void request_init(struct request *req, const struct setup *setup)
{
	memset(req, 0, sizeof(*req));
	req->arena = mmap(NULL, arena_size(setup), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(req->arena != MAP_FAILED);
}

static inline size_t round_up_to(size_t n, size_t align)
{
	return (n + align - 1) / align * align;
}

/* Into how many pieces: mostly one or a few, more than eight now and then. */
static inline int choose_nr(struct rng *rng, size_t units, bool direct)
{
	size_t most = direct ? MAX_PIECES_DIO : MAX_PIECES;

	if (rng_one_in(rng, 2))
		most = 1;
	else if (!rng_one_in(rng, 4))
		most = 8;
	if (most > units)
		most = units;
	return 1 + rng_below(rng, most);
}

/*
 * Lay the buffers out, as op.layout says.  Pieces of no length are among them
 * where buffers need no alignment.
 */
static inline void request_lay_out(struct request *req, const struct setup *setup)
{
	struct rng rng = { mix(setup->key ^ req->op.layout) };
	size_t left = req->op.len, units = left / setup->align, piece, at;
	int i;

	req->nr = choose_nr(&rng, units, setup->direct);
	at = round_up_to(GUARD, setup->mem_align);
	for (i = 0; i < req->nr; i++) {
		size_t most = 2 * (left / setup->align) / (req->nr - i) + 1;

		piece = rng_below(&rng, most) * setup->align;
		if (setup->direct && !piece)
			piece = setup->align;
		if (i == req->nr - 1 || piece > left)
			piece = left;
		req->iov[i].iov_base = req->arena + at;
		req->iov[i].iov_len = piece;
		left -= piece;
		at += piece + 1 + rng_below(&rng, GUARD);
		at = round_up_to(at, setup->mem_align);
		if (setup->direct && !left)
			req->nr = i + 1;
	}
	req->used = at + GUARD;
	req->poison = 0x80 | (req->number * 7 & 0x7f);
	if (rng_one_in(&rng, 8) && req->op.kind == OP_READ) {
		/* Memory that is not there yet: the kernel has to fault it in. */
		req->poison = 0;
		madvise(req->arena, req->used, MADV_DONTNEED);
	} else {
		memset(req->arena, req->poison, req->used);
	}
}

/* One buffer goes as PREAD and PWRITE mostly. */
static inline void request_prepare(struct request *req, const struct setup *setup, int fd)
{
	bool reads = req->op.kind == OP_READ;
	int opcode;

	if (req->op.kind >= OP_FSYNC) {
		opcode = req->op.kind == OP_FSYNC ? IOCB_CMD_FSYNC : IOCB_CMD_FDSYNC;
		aio_prep_rw(&req->iocb, opcode, fd, NULL, 0, 0);
		return;
	}
	request_lay_out(req, setup);
	if (req->nr == 1 && req->op.layout % 4) {
		opcode = reads ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
		aio_prep_rw(&req->iocb, opcode, fd, req->iov->iov_base, req->iov->iov_len,
			    req->op.off);
	} else {
		opcode = reads ? IOCB_CMD_PREADV : IOCB_CMD_PWRITEV;
		aio_prep_rw(&req->iocb, opcode, fd, req->iov, req->nr, req->op.off);
	}
}

/* Put @bytes into the buffers, or get what is in them. */
static inline void request_scatter(struct request *req, const unsigned char *bytes)
{
	int i;

	for (i = 0; i < req->nr; i++) {
		memcpy(req->iov[i].iov_base, bytes, req->iov[i].iov_len);
		bytes += req->iov[i].iov_len;
	}
}

static inline void request_gather(const struct request *req, unsigned char *bytes)
{
	int i;

	for (i = 0; i < req->nr; i++) {
		memcpy(bytes, req->iov[i].iov_base, req->iov[i].iov_len);
		bytes += req->iov[i].iov_len;
	}
}

/* A byte between the buffers that is not as it was, or NULL. */
static inline unsigned char *request_overrun(const struct request *req)
{
	unsigned char *p = req->arena, *end;
	int i;

	for (i = 0; i <= req->nr; i++) {
		end = i < req->nr ? req->iov[i].iov_base : req->arena + req->used;
		for (; p < end; p++)
			if (*p != req->poison)
				return p;
		if (i < req->nr)
			p = end + req->iov[i].iov_len;
	}
	return NULL;
}

#endif /* FSX_REQUEST_H */
