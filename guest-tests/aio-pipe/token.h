/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What goes round in a ring.
 *
 * Tokens do not overtake each other, so which token comes as the nth message of
 * a link, and how far it has gone by then, is known beforehand.  All bytes of a
 * message follow from that, from a number that no other ring has, and from its
 * time stamp: whatever is lost, doubled, torn, swapped or not ours is noticed
 * where it comes out.
 */
#ifndef AIO_PIPE_TOKEN_H
#define AIO_PIPE_TOKEN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TOKEN_SIZE	64		/* unless a ring wants another */
#define TOKEN_SIZE_MAX	4096		/* a multiple of 8, as all sizes */

struct token {
	uint32_t ring;
	uint16_t link;			/* it is written to */
	uint16_t id;
	uint64_t hop;			/* number of links that it left behind */
	int64_t sent_ns;
	uint64_t pattern[(TOKEN_SIZE_MAX - 24) / 8];
};

_Static_assert(sizeof(struct token) == TOKEN_SIZE_MAX, "no padding");

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014. */
static inline uint64_t splitmix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* The pattern that follows from what stands in front of it. */
static inline void token_seal(struct token *token, size_t size)
{
	uint64_t state = token->ring + ((uint64_t)token->link << 32) +
			 ((uint64_t)token->id << 48);
	size_t i;

	state = splitmix(&state) ^ token->hop;
	state = splitmix(&state) ^ token->sent_ns;
	for (i = 0; i < (size - offsetof(struct token, pattern)) / 8; i++)
		token->pattern[i] = splitmix(&state);
}

static inline bool token_sealed(const struct token *token, size_t size)
{
	struct token again;

	memcpy(&again, token, offsetof(struct token, pattern));
	token_seal(&again, size);
	return !memcmp(&again, token, size);
}

/* What is wrong with @got in place of @want. */
static inline void token_complain(char *text, size_t len, const struct token *got,
				  const struct token *want, size_t size)
{
	const unsigned char *g = (const unsigned char *)got;
	const unsigned char *w = (const unsigned char *)want;
	size_t i = 0;

	if (!token_sealed(got, size)) {
		while (g[i] == w[i])
			i++;
		snprintf(text, len, "byte %zu is %#x, not %#x", i, g[i], w[i]);
	} else if (got->ring != want->ring) {
		snprintf(text, len, "a message of another ring, %u", got->ring);
	} else {
		snprintf(text, len,
			 "token %u after %llu hops to link %u, not token %u after %llu hops",
			 got->id, (unsigned long long)got->hop, got->link, want->id,
			 (unsigned long long)want->hop);
	}
}

#endif /* AIO_PIPE_TOKEN_H */
