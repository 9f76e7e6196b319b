/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ring of links (pipes, socket pairs, TCP connections on loopback), a node
 * between each two of them, and tokens that go round.  Node n reads a token from
 * link n, checks it, and writes it to link n + 1; it has one token at a time.
 *
 * Nothing here waits: how the nodes do that is what modes.h is about.
 */
#ifndef AIO_PIPE_RING_H
#define AIO_PIPE_RING_H

#include <stdatomic.h>
#include <sys/ioctl.h>
#include "aio.h"
#include "links.h"
#include "token.h"

#define RING_MAX_HOPS	64
#define RING_MAX_TOKENS	32

/* Tokens that do not move for so long are lost, however slow the guest is. */
#define RING_STALL_MS	3000

/* Powers of two in 16 parts: percentiles are right to 3 %. */
#define HIST_BUCKETS	640

enum want { WANT_READ, WANT_WRITE, WANT_NOTHING };

/* How a ring is to be. */
struct shape {
	unsigned int hops, tokens;
	unsigned int laps;		/* 0: go on for @ns */
	int64_t ns;
	size_t size;			/* of a token */
	size_t piece;			/* bytes for one write, 0: all */
	bool small;			/* links hold about one token of TOKEN_SIZE_MAX */
};

struct ring;

struct node {
	struct ring *ring;
	unsigned int link;		/* what it reads from */
	int in, out;
	enum want want;
	uint64_t received;		/* messages */
	size_t done;			/* bytes of the token that it has or passes on */
	struct iocb iocb;
	bool queued;			/* the kernel has the iocb */
	struct token token;
	uint32_t hist[HIST_BUCKETS];
};

struct ring {
	struct shape shape;
	uint32_t number;
	int write_end[RING_MAX_HOPS], read_end[RING_MAX_HOPS];
	atomic_uint laps;		/* UINT_MAX until that is decided */
	unsigned int running;		/* nodes that want something */
	int64_t began, ended;
	atomic_bool stop;
	bool unsupported;
	atomic_flag failed;
	char error[160];
	struct node node[RING_MAX_HOPS];
};

/* The first one to fail is heard, in whatever thread. */
#define ring_fail(ring, fmt, ...) do {					\
	if (!atomic_flag_test_and_set(&(ring)->failed))			\
		snprintf((ring)->error, sizeof((ring)->error), fmt, ##__VA_ARGS__); \
	(ring)->stop = true;						\
} while (0)

static inline size_t hist_bucket(int64_t ns)
{
	int log;

	if (ns < 16)
		return ns < 0 ? 0 : ns;
	log = 63 - __builtin_clzll(ns);
	return log > 42 ? HIST_BUCKETS - 1 : (log - 3) * 16 + ((ns >> (log - 4)) & 15);
}

static inline double hist_value(size_t bucket)
{
	return bucket < 16 ? bucket : (16.5 + bucket % 16) * (1ULL << (bucket / 16 - 1));
}

/* The time in ns from one node to the next that @part of all hops kept to. */
static inline double ring_percentile(const struct ring *ring, double part)
{
	uint64_t all[HIST_BUCKETS] = { 0 }, sum = 0, seen = 0;
	unsigned int n;
	size_t i;

	for (n = 0; n < ring->shape.hops; n++)
		for (i = 0; i < HIST_BUCKETS; i++) {
			all[i] += ring->node[n].hist[i];
			sum += ring->node[n].hist[i];
		}
	for (i = 0; i < HIST_BUCKETS - 1; i++) {
		seen += all[i];
		if (seen >= part * sum)
			break;
	}
	return hist_value(i);
}

static inline uint64_t ring_hops(struct ring *ring)
{
	uint64_t sum = 0;
	unsigned int n;

	for (n = 0; n < ring->shape.hops; n++)
		sum += __atomic_load_n(&ring->node[n].received, __ATOMIC_RELAXED);
	return sum;
}

static inline double ring_rate(struct ring *ring)
{
	return ring_hops(ring) * 1e9 / (ring->ended - ring->began);
}

/* The tokens begin spread over the ring, the first ones behind the later ones. */
static inline unsigned int token_start(const struct ring *ring, unsigned int id)
{
	return id * ring->shape.hops / ring->shape.tokens;
}

/* Head of the message that comes as number @nth out of @link. */
static inline void token_expect(const struct ring *ring, unsigned int link,
				uint64_t nth, struct token *token)
{
	unsigned int hops = ring->shape.hops, tokens = ring->shape.tokens;
	unsigned int first = tokens - 1;

	while (token_start(ring, first) > link)
		first--;
	token->ring = ring->number;
	token->link = link;
	token->id = (first + tokens - nth % tokens) % tokens;
	token->hop = (link + hops - token_start(ring, token->id)) % hops +
		     nth / tokens * hops;
}

/* Where the bytes of the next read or write are, and how many they may be. */
static inline void *node_buf(struct node *node, size_t *len)
{
	size_t piece = node->ring->shape.piece;

	*len = node->ring->shape.size - node->done;
	if (node->want == WANT_WRITE && piece && piece < *len)
		*len = piece;
	return (char *)&node->token + node->done;
}

static inline void node_read_or_end(struct node *node)
{
	struct ring *ring = node->ring;

	node->done = 0;
	node->want = WANT_READ;
	if (node->received == (uint64_t)ring->laps * ring->shape.tokens)
		node->want = WANT_NOTHING;
}

/* A whole token is there. */
static inline void node_received(struct node *node)
{
	struct token *token = &node->token, want;
	struct ring *ring = node->ring;
	int64_t now = now_ns();
	char wrong[120];

	token_expect(ring, node->link, node->received, &want);
	want.sent_ns = token->sent_ns;
	token_seal(&want, ring->shape.size);
	if (memcmp(token, &want, ring->shape.size)) {
		token_complain(wrong, sizeof(wrong), token, &want, ring->shape.size);
		ring_fail(ring, "message %llu of link %u: %s",
			  (unsigned long long)node->received, node->link, wrong);
		return;
	}
	node->hist[hist_bucket(now - token->sent_ns)]++;
	__atomic_store_n(&node->received, node->received + 1, __ATOMIC_RELAXED);

	/* No token is two laps ahead of what link 0 sees. */
	if (!node->link && ring->laps == UINT_MAX && now - ring->began >= ring->shape.ns)
		ring->laps = token->hop / ring->shape.hops + 3;

	if (token->hop + 1 == (uint64_t)ring->laps * ring->shape.hops) {
		node_read_or_end(node);
		return;
	}
	token->hop++;
	token->link = (token->link + 1) % ring->shape.hops;
	token->sent_ns = now;
	token_seal(token, ring->shape.size);
	node->done = 0;
	node->want = WANT_WRITE;
}

/* What the node wanted gave @ret, a number of bytes or -errno. */
static inline void node_advance(struct node *node, long ret)
{
	const char *what = node->want == WANT_READ ? "read of link" : "write after link";
	size_t len;

	node_buf(node, &len);
	if (ret < 0) {
		ring_fail(node->ring, "%s %u: %s", what, node->link, ktap_errname(-ret));
	} else if (!ret || (size_t)ret > len) {
		ring_fail(node->ring, "%s %u: %ld bytes of %zu", what, node->link, ret, len);
	} else {
		node->done += ret;
		if (node->done < node->ring->shape.size)
			return;
		if (node->want == WANT_READ)
			node_received(node);
		else
			node_read_or_end(node);
	}
}

static inline void ring_open_links(struct ring *ring, enum file file)
{
	struct sockaddr_in addr;
	int listener = -1, ret = 0;
	unsigned int n;

	if (file == FILE_TCP) {
		listener = listen_tcp(&addr);
		ret = listener < 0 ? -1 : 0;
	}
	for (n = 0; n < ring->shape.hops && !ret; n++) {
		int fds[2] = { -1, -1 };

		if (file == FILE_TCP)
			ret = link_open_tcp(listener, &addr, fds);
		else
			ret = link_open(file, ring->shape.small, fds);
		ring->read_end[n] = fds[0];
		ring->write_end[n] = fds[1];
	}
	if (ret) {
		ring->unsupported = errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL;
		ring_fail(ring, "link %u: %s", n, ktap_errname(errno));
	}
	if (listener >= 0)
		close(listener);
}

static inline struct ring *ring_open(enum file file, const struct shape *shape, bool nonblock)
{
	static uint32_t number = 0x70697065;
	struct ring *ring = calloc(1, sizeof(*ring));
	unsigned int n;

	if (!ring)
		abort();
	ring->shape = *shape;
	ring->number = number++;
	ring->laps = shape->laps ? shape->laps : UINT_MAX;
	ring->running = shape->hops;
	memset(ring->read_end, -1, sizeof(ring->read_end));
	memset(ring->write_end, -1, sizeof(ring->write_end));
	ring_open_links(ring, file);
	for (n = 0; n < shape->hops && !ring->stop; n++) {
		struct node *node = &ring->node[n];

		node->ring = ring;
		node->link = n;
		node->in = ring->read_end[n];
		node->out = ring->write_end[(n + 1) % shape->hops];
		if (nonblock) {
			fcntl(node->in, F_SETFL, O_NONBLOCK);
			fcntl(node->out, F_SETFL, O_NONBLOCK);
		}
	}
	return ring;
}

/* All tokens to their places, before any node begins. */
static inline void ring_start(struct ring *ring)
{
	size_t size = ring->shape.size;
	unsigned int id, link;
	struct token token;

	ring->began = now_ns();
	for (id = ring->shape.tokens; id-- && !ring->stop; ) {
		link = token_start(ring, id);
		token = (struct token) {
			.ring = ring->number, .link = link, .id = id, .sent_ns = ring->began,
		};
		token_seal(&token, size);
		if (write(ring->write_end[link], &token, size) != (ssize_t)size)
			ring_fail(ring, "token %u does not fit in link %u", id, link);
	}
}

/* The tokens are back; there is nothing more. */
static inline void ring_end(struct ring *ring)
{
	unsigned int n;
	int left;

	ring->ended = now_ns();
	for (n = 0; n < ring->shape.hops && !ring->stop; n++) {
		if (ioctl(ring->read_end[n], FIONREAD, &left))
			ring_fail(ring, "FIONREAD: %s", ktap_errname(errno));
		else if (left)
			ring_fail(ring, "%d bytes too many in link %u", left, n);
	}
	if (!ring->stop && ring_hops(ring) !=
	    (uint64_t)ring->laps * ring->shape.hops * ring->shape.tokens)
		ring_fail(ring, "%llu hops in %u laps", (unsigned long long)ring_hops(ring),
			  ring->laps);
}

static inline void ring_stalled(struct ring *ring)
{
	ring_fail(ring, "no token came for %d ms, after %llu hops", RING_STALL_MS,
		  (unsigned long long)ring_hops(ring));
}

static inline void ring_close(struct ring *ring)
{
	bool queued = false;
	unsigned int n;

	for (n = 0; n < ring->shape.hops; n++) {
		if (ring->read_end[n] >= 0)
			close(ring->read_end[n]);
		if (ring->write_end[n] >= 0)
			close(ring->write_end[n]);
		queued |= ring->node[n].queued;
	}
	/* Else it is the kernel's until the end of the process. */
	if (!queued)
		free(ring);
}

#endif /* AIO_PIPE_RING_H */
