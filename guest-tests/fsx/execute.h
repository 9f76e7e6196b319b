/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Do operations, and check what comes of them.
 *
 * Which operations these are never depends on when the kernel is done: a request
 * counts as in flight until the operation that waits for it, also if its event
 * has been there before.  So a seed, or a log, gives the same ones again.
 */
#ifndef FSX_EXECUTE_H
#define FSX_EXECUTE_H

#include "report.h"

#define CHECK_OK(fsx, call) ({						\
	long ok_ret = (long)(call);					\
									\
	if (ok_ret < 0)							\
		fsx_fail(fsx, "%u %s: %s: %s", (fsx)->log.nr - 1,	\
			 op_text(&(fsx)->log.ops[(fsx)->log.nr - 1]), #call, \
			 ktap_errname(errno));				\
	ok_ret;								\
})

/* What was prepared goes to the kernel, in as few calls as it takes. */
static inline void submit_queued(struct fsx *fsx)
{
	unsigned int i, at = 0;

	while (at < fsx->nr_queued) {
		int ret = io_submit(fsx->ctx, fsx->nr_queued - at, fsx->queue + at);

		if (ret <= 0) {
			struct request *req = (void *)fsx->queue[at];

			request_fail(fsx, req, "io_submit: %s",
				     ret ? ktap_errname(errno) : "took none");
		}
		for (i = at; i < at + ret; i++)
			((struct request *)fsx->queue[i])->submitted = true;
		at += ret;
	}
	fsx->nr_queued = 0;
}

static inline void check_request(struct fsx *fsx, struct request *req)
{
	const unsigned char *want = fsx->model.bytes + req->op.off;
	unsigned char *wild;
	size_t i;

	if (req->res != req->expect)
		request_fail(fsx, req, "result %ld%s%s, expected %ld", req->res,
			     req->res < 0 ? " " : "",
			     req->res < 0 ? ktap_errname(-req->res) : "", req->expect);
	if (req->op.kind >= OP_FSYNC)
		return;
	request_gather(req, fsx->got);
	if (memcmp(fsx->got, want, req->res))
		report_bytes(fsx, req, req->number, req->op.off, fsx->got, req->res);
	/* A device reads whole blocks: what is behind the end of the file is its own. */
	for (i = req->res; i < req->op.len && !fsx->setup->direct; i++)
		if (fsx->got[i] != req->poison)
			request_fail(fsx, req, "got %ld bytes and changed byte %zu", req->res, i);
	wild = request_overrun(req);
	if (wild)
		request_fail(fsx, req, "changed memory outside of its buffers: %#x at byte %zu of the arena, was %#x",
			     *wild, wild - req->arena, req->poison);
	fsx->checked += req->res;
}

static inline void note_event(struct fsx *fsx, const struct io_event *event)
{
	struct request *req = (void *)(uintptr_t)event->obj;
	unsigned int i;

	for (i = 0; i < fsx->setup->depth; i++)
		if (req == &fsx->requests[i])
			break;
	if (i == fsx->setup->depth || !req->submitted || req->done ||
	    event->data != req->iocb.aio_data || event->res2)
		fsx_fail(fsx, "event that is not due: obj %#llx data %#llx res %lld res2 %lld",
			 event->obj, event->data, event->res, event->res2);
	req->res = event->res;
	req->done = true;
}

static inline void wait_for(struct fsx *fsx, struct request *req)
{
	struct io_event events[AIO_BATCH];
	int i, n;

	submit_queued(fsx);
	while (!req->done) {
		struct timespec stall = { .tv_sec = STALL_MS / 1000 };

		n = io_getevents(fsx->ctx, 1, AIO_BATCH, events, &stall);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fsx_fail(fsx, "io_getevents: %s", ktap_errname(errno));
		if (!n)
			request_fail(fsx, req, "not done within %d ms", STALL_MS);
		for (i = 0; i < n; i++)
			note_event(fsx, &events[i]);
	}
	check_request(fsx, req);
	req->busy = false;
	fsx->in_flight--;
}

static inline void do_wait(struct fsx *fsx, const struct op *op)
{
	unsigned int i;

	for (i = 0; i < fsx->setup->depth; i++)
		if (fsx->requests[i].busy && fsx->requests[i].number == op->off)
			wait_for(fsx, &fsx->requests[i]);
}

static inline void do_request(struct fsx *fsx, const struct op *op)
{
	struct request *req = fsx_free_request(fsx);

	if (!req)
		fsx_fail(fsx, "the log has more requests in flight than its depth");
	req->op = *op;
	req->number = fsx->log.nr - 1;
	req->submitted = req->done = false;
	req->extends = op->kind == OP_WRITE && op->off + op->len > fsx->model.size;
	req->nr = 0;
	req->expect = 0;
	op_range(&fsx->model, op, &req->low, &req->high);
	request_prepare(req, fsx->setup, fsx->aio_fd);
	if (op->kind == OP_READ)
		req->expect = model_readable(&fsx->model, op->off, op->len);
	if (op->kind == OP_WRITE) {
		req->expect = op->len;
		model_write(&fsx->model, req->number, op->off, op->len);
		request_scatter(req, fsx->model.bytes + op->off);
	}
	req->busy = true;
	fsx->in_flight++;
	fsx->queue[fsx->nr_queued++] = &req->iocb;
	if (!op->more)
		submit_queued(fsx);
}

static inline void do_mapped(struct fsx *fsx, const struct op *op)
{
	unsigned int number = fsx->log.nr - 1;
	uint64_t page = op->off & ~(uint64_t)(sysconf(_SC_PAGESIZE) - 1);
	size_t skip = op->off - page;
	unsigned char *map;

	KTAP_HERE("mmap");
	map = mmap(NULL, skip + op->len, PROT_READ | PROT_WRITE, MAP_SHARED, fsx->fd, page);
	if (map == MAP_FAILED)
		fsx_fail(fsx, "%u %s: mmap: %s", number, op_text(op), ktap_errname(errno));
	if (op->kind == OP_MWRITE) {
		model_write(&fsx->model, number, op->off, op->len);
		memcpy(map + skip, fsx->model.bytes + op->off, op->len);
	} else {
		memcpy(fsx->got, map + skip, op->len);
		if (memcmp(fsx->got, fsx->model.bytes + op->off, op->len))
			report_bytes(fsx, NULL, number, op->off, fsx->got, op->len);
		fsx->checked += op->len;
	}
	munmap(map, skip + op->len);
}

static inline void do_verify(struct fsx *fsx)
{
	unsigned int i, number = fsx->log.nr - 1;
	struct stat st;
	size_t at, len;
	ssize_t got;

	for (i = 0; i < fsx->setup->depth; i++)
		if (fsx->requests[i].busy)
			wait_for(fsx, &fsx->requests[i]);
	CHECK_OK(fsx, fstat(fsx->fd, &st));
	if ((size_t)st.st_size != fsx->model.size)
		fsx_fail(fsx, "%u verify: the file has %lld bytes, expected %zu", number,
			 (long long)st.st_size, fsx->model.size);
	for (at = 0; at < fsx->model.size; at += len) {
		len = model_readable(&fsx->model, at, fsx->setup->length);
		got = CHECK_OK(fsx, pread(fsx->fd, fsx->got, len, at));
		if ((size_t)got != len)
			fsx_fail(fsx, "%u verify: got %zd of %zu bytes at %zu", number, got, len, at);
		if (memcmp(fsx->got, fsx->model.bytes + at, len))
			report_bytes(fsx, NULL, number, at, fsx->got, len);
		fsx->checked += len;
	}
}

/* Pages that are dirty are not dropped: they are written first. */
static inline void do_evict(struct fsx *fsx, const struct op *op)
{
	CHECK_OK(fsx, fdatasync(fsx->fd));
	posix_fadvise(fsx->fd, op->off, op->len, POSIX_FADV_DONTNEED);
}

static inline void do_drop(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		ktap_note("drop_caches: %s", ktap_errname(errno));
	if (fd >= 0)
		close(fd);
}

/* One operation, which must be in the bounds that fsx->setup has. */
static inline void execute(struct fsx *fsx, const struct op *op)
{
	oplog_add(&fsx->log, op);
	ktap_here(__FILE__, __LINE__, op_forms[op->kind].name);
	alarm(OP_TIMEOUT_S);
	if (op_is_request(op)) {
		do_request(fsx, op);
		return;
	}
	submit_queued(fsx);
	if (op->kind == OP_WAIT) {
		do_wait(fsx, op);
	} else if (op->kind == OP_MREAD || op->kind == OP_MWRITE) {
		do_mapped(fsx, op);
	} else if (op->kind == OP_TRUNC) {
		CHECK_OK(fsx, ftruncate(fsx->fd, op->off));
		model_truncate(&fsx->model, op->off);
	} else if (op->kind == OP_PUNCH) {
		CHECK_OK(fsx, fallocate(fsx->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					op->off, op->len));
		model_punch(&fsx->model, op->off, op->len);
	} else if (op->kind == OP_ALLOC) {
		CHECK_OK(fsx, fallocate(fsx->fd, FALLOC_FL_KEEP_SIZE, op->off, op->len));
	} else if (op->kind == OP_SYNC) {
		CHECK_OK(fsx, fsync(fsx->fd));
	} else if (op->kind == OP_EVICT) {
		do_evict(fsx, op);
	} else if (op->kind == OP_DROP) {
		do_drop();
	} else {
		do_verify(fsx);
	}
}

#endif /* FSX_EXECUTE_H */
