/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Four ways to wait for the files of a ring:
 *
 *   sync      a thread for each node, in read(2) and write(2)
 *   epoll     one thread, epoll_wait(2), then read(2) and write(2)
 *   aio-poll  the same with IOCB_CMD_POLL in place of epoll
 *   aio       one thread, IOCB_CMD_PREAD and IOCB_CMD_PWRITE of blocking files
 */
#ifndef AIO_PIPE_MODES_H
#define AIO_PIPE_MODES_H

#include <sys/epoll.h>
#include "ring.h"
#include "threads.h"

enum mode { MODE_SYNC, MODE_EPOLL, MODE_AIO_POLL, MODE_AIO, NR_MODES };

/* One read or write: how many bytes, or -errno. */
static inline long node_rw(struct node *node)
{
	size_t len;
	void *buf = node_buf(node, &len);
	ssize_t ret;

	if (node->want == WANT_READ)
		ret = read(node->in, buf, len);
	else
		ret = write(node->out, buf, len);
	return ret < 0 ? -errno : ret;
}

/* The threads of mode sync begin together, when this is unlocked. */
static pthread_mutex_t sync_gate = PTHREAD_MUTEX_INITIALIZER;

static void *sync_node(void *arg)
{
	struct node *node = arg;
	long ret;

	pthread_mutex_lock(&sync_gate);
	pthread_mutex_unlock(&sync_gate);
	while (node->want != WANT_NOTHING && !node->ring->stop) {
		ret = node_rw(node);
		if (ret != -EINTR)
			node_advance(node, ret);
		if (node->want == WANT_WRITE && node->done)
			sched_yield();	/* the next node is to see the piece */
	}
	return NULL;
}

/* Join, as long as tokens move; after a failure get the thread out of its call. */
static inline void sync_join(struct ring *ring, pthread_t thread)
{
	uint64_t hops = ring_hops(ring);
	int waited_ms = 0;

	for (;;) {
		int ms = ring->stop ? 1 : 100;
		struct timespec until = real_time_in_ms(ms);

		if (!pthread_timedjoin_np(thread, NULL, &until))
			return;
		waited_ms += ms;
		if (hops != ring_hops(ring)) {
			hops = ring_hops(ring);
			waited_ms = 0;
		}
		if (waited_ms >= RING_STALL_MS)
			ring_stalled(ring);
		if (ring->stop)
			pthread_kill(thread, SIGUSR1);
	}
}

static inline void run_sync(struct ring *ring)
{
	pthread_t thread[RING_MAX_HOPS];
	unsigned int n;

	pthread_mutex_lock(&sync_gate);
	for (n = 0; n < ring->shape.hops; n++)
		if (thread_start(&thread[n], sync_node, &ring->node[n])) {
			ring_fail(ring, "no thread for node %u", n);
			break;
		}
	ring_start(ring);
	pthread_mutex_unlock(&sync_gate);
	while (n)
		sync_join(ring, thread[--n]);
}

/* Take what is there, until something was written or a file is not ready. */
static inline void node_try(struct node *node)
{
	bool written = false;
	long ret;

	while (!written && node->want != WANT_NOTHING && !node->ring->stop) {
		written = node->want == WANT_WRITE;
		ret = node_rw(node);
		if (ret == -EAGAIN)
			return;
		node_advance(node, ret);
	}
	if (node->want == WANT_NOTHING)
		node->ring->running--;
}

static inline void epoll_set(struct ring *ring, int epfd, struct node *node, enum want want,
			     bool on)
{
	struct epoll_event event = { .data.ptr = node };

	if (on)
		event.events = want == WANT_READ ? EPOLLIN : EPOLLOUT;
	if (epoll_ctl(epfd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
		      want == WANT_READ ? node->in : node->out, &event))
		ring_fail(ring, "epoll_ctl: %s", ktap_errname(errno));
}

/* Level-triggered, on the file that the node waits for. */
static inline void epoll_node(struct ring *ring, int epfd, struct node *node)
{
	enum want before = node->want;

	node_try(node);
	if (node->want == before)
		return;
	epoll_set(ring, epfd, node, before, false);
	if (node->want != WANT_NOTHING)
		epoll_set(ring, epfd, node, node->want, true);
}

static inline void run_epoll(struct ring *ring)
{
	struct epoll_event events[RING_MAX_HOPS];
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	unsigned int n;
	int i, ret;

	if (epfd < 0) {
		ring->unsupported = errno == ENOSYS;
		ring_fail(ring, "epoll_create1: %s", ktap_errname(errno));
		return;
	}
	for (n = 0; n < ring->shape.hops && !ring->stop; n++)
		epoll_set(ring, epfd, &ring->node[n], WANT_READ, true);
	ring_start(ring);
	while (ring->running && !ring->stop) {
		ret = epoll_wait(epfd, events, RING_MAX_HOPS, RING_STALL_MS);
		if (!ret)
			ring_stalled(ring);
		for (i = 0; i < ret; i++)
			epoll_node(ring, epfd, events[i].data.ptr);
	}
	close(epfd);
}

struct aio_ring {
	struct ring *ring;
	aio_context_t ctx;
	bool poll;
	struct iocb *batch[RING_MAX_HOPS];
	int nr;
};

static inline void aio_queue(struct aio_ring *aio, struct node *node)
{
	bool in = node->want == WANT_READ;
	int fd = in ? node->in : node->out;
	size_t len;
	void *buf;

	if (node->want == WANT_NOTHING)
		return;
	if (aio->poll) {
		aio_prep_poll(&node->iocb, fd, in ? POLLIN : POLLOUT);
	} else {
		buf = node_buf(node, &len);
		aio_prep_rw(&node->iocb, in ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE, fd, buf, len, 0);
	}
	node->queued = true;
	aio->batch[aio->nr++] = &node->iocb;
}

static inline void aio_submit_batch(struct aio_ring *aio)
{
	static unsigned int calls;
	int done = 0, ret;

	while (done < aio->nr && !aio->ring->stop) {
		watch.call = ++calls | 1u << 31;
		ret = io_submit(aio->ctx, aio->nr - done, aio->batch + done);
		watch.call = 0;
		if (watch.blocked)
			ring_fail(aio->ring, "io_submit blocked %d ms", BLOCKED_MS);
		else if (ret <= 0)
			ring_fail(aio->ring, "io_submit: %s", ktap_errname(ret ? errno : 0));
		done += ret;
	}
	aio->nr = 0;
}

static inline void aio_node_event(struct aio_ring *aio, struct io_event *event)
{
	struct ring *ring = aio->ring;
	size_t n = (event->obj - (uintptr_t)&ring->node[0].iocb) / sizeof(struct node);
	struct node *node = &ring->node[n];

	if (n >= ring->shape.hops || event->obj != (uintptr_t)&node->iocb || !node->queued ||
	    event->data != node->iocb.aio_data || event->res2) {
		ring_fail(ring, "event of a request that has none due: obj %#llx res %lld",
			  event->obj, event->res);
		return;
	}
	node->queued = false;
	if (!aio->poll) {
		node_advance(node, event->res);
		if (node->want == WANT_NOTHING)
			ring->running--;
	} else if (event->res & (node->want == WANT_READ ? POLLIN : POLLOUT)) {
		node_try(node);
	} else {
		ring_fail(ring, "poll of node %zu gave %lld", n, event->res);
	}
	aio_queue(aio, node);
}

/*
 * The nodes begin one after the other: so the first ones pass tokens on before
 * the next ones have made room.
 */
static inline void aio_loop(struct aio_ring *aio)
{
	struct io_event events[RING_MAX_HOPS];
	struct ring *ring = aio->ring;
	unsigned int begun = 0;
	int i, ret;

	while (ring->running && !ring->stop) {
		struct timespec timeout = { .tv_sec = RING_STALL_MS / 1000 };

		if (begun < ring->shape.hops)
			aio_queue(aio, &ring->node[begun++]);
		aio_submit_batch(aio);
		if (ring->stop)
			break;
		ret = io_getevents(aio->ctx, begun == ring->shape.hops, RING_MAX_HOPS, events,
				   &timeout);
		if (ret < 0 && errno != EINTR)
			ring_fail(ring, "io_getevents: %s", ktap_errname(errno));
		if (!ret && begun == ring->shape.hops)
			ring_stalled(ring);
		for (i = 0; i < ret && !ring->stop; i++)
			aio_node_event(aio, &events[i]);
	}
}

/*
 * One context for all rings, as io_destroy() waits for RCU grace periods, 40 ms
 * each; a ring that fails leaves it, and what it asked for, to exit.
 */
static inline void run_aio(struct ring *ring, bool poll)
{
	static aio_context_t ctx;
	struct aio_ring aio = { .ring = ring, .poll = poll };

	if (!ctx && io_setup(RING_MAX_HOPS, &ctx) < 0) {
		ring->unsupported = errno == ENOSYS;
		ring_fail(ring, "io_setup: %s", ktap_errname(errno));
		return;
	}
	if (!watch_begin()) {
		ring_fail(ring, "no thread to watch io_submit");
		return;
	}
	aio.ctx = ctx;
	ring_start(ring);
	aio_loop(&aio);
	watch_end();
	if (ring->stop)
		ctx = 0;
}

/* The tokens' way through a ring, checked: the ring tells how it was. */
static inline struct ring *ring_run(enum mode mode, enum file file, const struct shape *shape)
{
	struct ring *ring = ring_open(file, shape, mode == MODE_EPOLL || mode == MODE_AIO_POLL);

	wake_by_signal();
	if (ring->stop)
		return ring;
	if (mode == MODE_SYNC)
		run_sync(ring);
	else if (mode == MODE_EPOLL)
		run_epoll(ring);
	else
		run_aio(ring, mode == MODE_AIO_POLL);
	ring_end(ring);
	return ring;
}

#endif /* AIO_PIPE_MODES_H */
