/* SPDX-License-Identifier: GPL-2.0-only */
/* A round: a file that begins empty, its model, and what is in flight. */
#ifndef FSX_FSX_H
#define FSX_FSX_H

#include "request.h"

/* A request that is not done within this never will be, however slow the guest is. */
#define STALL_MS	30000

/* The same for a system call that has to come back. */
#define OP_TIMEOUT_S	60

struct fsx {
	struct oplog log;
	struct model model;
	const struct setup *setup;	/* &log.setup */
	int aio_fd, fd;			/* one file; only aio_fd may be O_DIRECT */
	aio_context_t ctx;
	struct request requests[MAX_DEPTH];
	struct iocb *queue[MAX_DEPTH];	/* prepared, for the next io_submit() */
	unsigned int nr_queued, in_flight;
	unsigned char *got;		/* length bytes */
	unsigned long long checked;	/* bytes that were as they have to be */
};

/* For the handlers of signals. */
static struct fsx *running;

static inline struct request *fsx_free_request(struct fsx *fsx)
{
	unsigned int i;

	for (i = 0; i < fsx->setup->depth; i++)
		if (!fsx->requests[i].busy)
			return &fsx->requests[i];
	return NULL;
}

/* Which request keeps [@low, @high) from being read, or also from being changed. */
static inline struct request *fsx_conflict(struct fsx *fsx, uint64_t low, uint64_t high,
					   bool changes)
{
	unsigned int i;

	for (i = 0; i < fsx->setup->depth; i++) {
		struct request *req = &fsx->requests[i];

		if (req->busy && low < req->high && req->low < high &&
		    (changes || req->op.kind == OP_WRITE))
			return req;
	}
	return NULL;
}

/*
 * What @op changes or reads.  A write beyond the end changes all from there on;
 * what is allocated or synced stays as it is.
 */
static inline void op_range(const struct model *model, const struct op *op,
			    uint64_t *low, uint64_t *high)
{
	*low = op->off;
	*high = op->off + op->len;
	if (op->kind == OP_WRITE && model->size < op->off)
		*low = model->size;
	if (op->kind == OP_TRUNC) {
		*low = model->size < op->off ? model->size : op->off;
		*high = UINT64_MAX;
	}
	if (op->kind == OP_FSYNC || op->kind == OP_FDSYNC)
		*low = *high = 0;
}

#endif /* FSX_FSX_H */
