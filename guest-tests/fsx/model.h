/* SPDX-License-Identifier: GPL-2.0-only */
/* What the file has to be, and the bytes that are written to it. */
#ifndef FSX_MODEL_H
#define FSX_MODEL_H

#include "op.h"

struct model {
	unsigned char *bytes;		/* zero from size on */
	size_t size;
	uint64_t key;
};

/* Splitmix64's step: as good as random, and the same on each machine. */
static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

struct rng {
	uint64_t state;
};

/* 0 up to below @limit. */
static inline uint64_t rng_below(struct rng *rng, uint64_t limit)
{
	rng->state += 0x9e3779b97f4a7c15ULL;
	return limit ? mix(rng->state) % limit : 0;
}

static inline bool rng_one_in(struct rng *rng, unsigned int n)
{
	return !rng_below(rng, n);
}

/*
 * What operation @number writes to @off.  Each operation has other bytes for
 * each place, so that bytes tell who wrote them, and where.
 */
static inline void data_fill(uint64_t key, unsigned int number, uint64_t off,
			     unsigned char *to, size_t len)
{
	uint64_t word = 0;
	size_t i;

	for (i = 0; i < len; i++, off++) {
		if (!i || !(off & 7))
			word = mix(key ^ mix(((uint64_t)number << 40) + (off >> 3)));
		to[i] = word >> ((off & 7) * 8);
	}
}

static inline void model_write(struct model *model, unsigned int number, uint64_t off, size_t len)
{
	data_fill(model->key, number, off, model->bytes + off, len);
	if (off + len > model->size)
		model->size = off + len;
}

static inline void model_truncate(struct model *model, size_t size)
{
	if (size < model->size)
		memset(model->bytes + size, 0, model->size - size);
	model->size = size;
}

static inline void model_punch(struct model *model, uint64_t off, size_t len)
{
	memset(model->bytes + off, 0, len);
}

/* How much a read gets: less than it asked for only at the end. */
static inline size_t model_readable(const struct model *model, uint64_t off, size_t len)
{
	if (off >= model->size)
		return 0;
	return len < model->size - off ? len : model->size - off;
}

#endif /* FSX_MODEL_H */
