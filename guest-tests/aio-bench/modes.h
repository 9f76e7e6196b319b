/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two ways: a process for each reader, which reads synchronously, and one
 * process that has a request of each reader in flight.
 */
#ifndef AIO_BENCH_MODES_H
#define AIO_BENCH_MODES_H

#include <sys/prctl.h>
#include <sys/wait.h>
#include "load.h"

/* A case: the disk alone takes it 1 s. */
#define CASE_TIMEOUT_S	(2 * KTAP_CASE_TIMEOUT_S)

static inline int64_t own_cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1000000000LL + used.tv_nsec;
}

/* What the submitter, or the parent of the readers, has to do meanwhile. */
static inline void work(const struct load *load)
{
	int64_t until = own_cpu_ns() + load->work_ms * 1000000;
	volatile unsigned int sum = 0;
	unsigned int i;

	while (load->work_ms && own_cpu_ns() < until)
		for (i = 0; i < 20000; i++)
			sum += i;
}

/* A gate is open when nobody has its write end any more. */
struct gate {
	int fds[2];
};

static inline struct gate make_gate(void)
{
	struct gate gate;

	ASSERT_OK(pipe2(gate.fds, O_CLOEXEC));
	ktap_defer_close(gate.fds[0]);
	ktap_defer_close(gate.fds[1]);
	return gate;
}

static inline void gate_wait(const struct gate *gate)
{
	char none;

	while (read(gate->fds[0], &none, 1) < 0 && errno == EINTR)
		;
}

/* Processes that wait, read, and wait to be counted. */
struct readers {
	const struct load *load;
	pid_t pids[READERS];
	struct gate ready, begin, done, leave;
	struct usage *used;		/* shared with them */
};

static void reader_stop(uintptr_t pid)
{
	kill((pid_t)pid, SIGKILL);
	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static inline void read_part(const struct load *load, int reader, int fd)
{
	unsigned int n, nr = load->rounds * load_chunks(load);

	for (n = 0; n < nr; n++) {
		size_t at = chunk_at(load, reader, n);

		ASSERT_EQ(pread(fd, data + at, load->chunk, load->at + at), load->chunk);
	}
}

__attribute__((noreturn))
static inline void reader_run(const struct readers *readers, int number)
{
	struct usage before;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	alarm(CASE_TIMEOUT_S);
	close(readers->begin.fds[1]);
	close(readers->leave.fds[1]);
	fd = open_part(readers->load);
	/* A fork()ed process has shared memory, but no pages in its page table. */
	ASSERT_OK(madvise(data, load_bytes(readers->load), MADV_POPULATE_WRITE));
	close(readers->ready.fds[1]);
	gate_wait(&readers->begin);
	before = usage_now();
	read_part(readers->load, number, fd);
	readers->used[number] = usage_since(before);
	close(readers->done.fds[1]);
	gate_wait(&readers->leave);
	_exit(0);
}

static inline void *shared_memory(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	ASSERT(memory != MAP_FAILED);
	return memory;
}

static inline void readers_start(struct readers *readers, const struct load *load)
{
	static struct usage *used;
	int i;

	if (!used)
		used = shared_memory(READERS * sizeof(*used));
	readers->load = load;
	readers->used = used;
	readers->ready = make_gate();
	readers->begin = make_gate();
	readers->done = make_gate();
	readers->leave = make_gate();
	for (i = 0; i < READERS; i++) {
		readers->pids[i] = ASSERT_OK(fork());
		if (!readers->pids[i])
			reader_run(readers, i);
		ktap_defer(reader_stop, readers->pids[i]);
	}
	ktap_close_now(readers->done.fds[1]);
	ktap_close_now(readers->ready.fds[1]);
	gate_wait(&readers->ready);
}

/* What they have used.  One that had an error has said so; case's end reaps them. */
static inline struct usage readers_leave(struct readers *readers)
{
	struct usage sum = { 0 };
	siginfo_t end;
	int i;

	ktap_close_now(readers->leave.fds[1]);
	for (i = 0; i < READERS; i++) {
		KTAP_HERE("a reader's end");
		ASSERT_OK(waitid(P_PID, readers->pids[i], &end, WEXITED | WNOWAIT));
		ASSERT(end.si_code == CLD_EXITED && !end.si_status);
		sum.cpu_us += readers->used[i].cpu_us;
		sum.voluntary += readers->used[i].voluntary;
		sum.involuntary += readers->used[i].involuntary;
	}
	return sum;
}

/* The one that reads for all, with a request of each in flight. */
struct submitter {
	const struct load *load;
	aio_context_t ctx;
	int fds[READERS];
	struct iocb iocbs[READERS], *next[READERS];
	unsigned int asked[READERS];	/* chunks of each, up to now */
	int nr_next;
	int64_t submit_ns;		/* in io_submit() */
	long submit_switches;		/* how often it slept there */
};

/* The next chunk of @reader, if there is one, goes with the next io_submit(). */
static inline void ask_next(struct submitter *sub, int reader)
{
	const struct load *load = sub->load;
	size_t at;

	if (sub->asked[reader] == load->rounds * load_chunks(load))
		return;
	at = chunk_at(load, reader, sub->asked[reader]++);
	aio_prep_rw(&sub->iocbs[reader], IOCB_CMD_PREAD, sub->fds[reader], data + at,
		    load->chunk, load->at + at);
	sub->next[sub->nr_next++] = &sub->iocbs[reader];
}

static inline int submit_timed(struct submitter *sub)
{
	long slept = usage_now().voluntary;
	int64_t began = now_ns();
	int ret = ASSERT_OK(io_submit(sub->ctx, sub->nr_next, sub->next));

	sub->submit_ns += now_ns() - began;
	sub->submit_switches += usage_now().voluntary - slept;
	ASSERT_EQ(ret, sub->nr_next);
	sub->nr_next = 0;
	return ret;
}

/* One event at least: what has come is asked for what comes next. */
static inline int collect(struct submitter *sub)
{
	struct io_event events[READERS];
	int i, got = ASSERT_OK(io_getevents(sub->ctx, 1, READERS, events, NULL));

	for (i = 0; i < got; i++) {
		struct iocb *iocb = (struct iocb *)(uintptr_t)events[i].obj;

		ASSERT_EQ(events[i].res, iocb->aio_nbytes);
		ask_next(sub, iocb - sub->iocbs);
	}
	return got;
}

static inline void submitter_start(struct submitter *sub, const struct load *load)
{
	int i;

	memset(sub, 0, sizeof(*sub));
	sub->load = load;
	sub->ctx = aio_setup(READERS);
	for (i = 0; i < READERS; i++)
		sub->fds[i] = open_part(load);
	for (i = 0; i < READERS; i++)
		ask_next(sub, i);
}

static inline void submitter_run(struct submitter *sub)
{
	int in_flight = submit_timed(sub);

	work(sub->load);
	while (in_flight) {
		in_flight -= collect(sub);
		if (sub->nr_next)
			in_flight += submit_timed(sub);
	}
}

static inline void read_by_processes(const struct load *load, bool measured)
{
	int disk = open_disk(O_RDONLY | O_DIRECT);
	struct counts begin, end;
	struct readers readers;
	struct usage used;

	readers_start(&readers, load);
	use_up_burst(disk);
	begin = counts_at_begin();
	ktap_close_now(readers.begin.fds[1]);
	work(load);
	gate_wait(&readers.done);
	pay_the_disk(disk);
	end = counts_at_end();
	used = readers_leave(&readers);
	if (!measured)
		return;
	metrics_of_counts(&begin, &end);
	metrics_of_usage(&used);
}

static inline void read_by_aio(const struct load *load, bool measured)
{
	int disk = open_disk(O_RDONLY | O_DIRECT);
	static struct submitter sub;
	struct counts begin, end;
	struct usage used;

	submitter_start(&sub, load);
	use_up_burst(disk);
	begin = counts_at_begin();
	used = usage_now();
	submitter_run(&sub);
	used = usage_since(used);
	pay_the_disk(disk);
	end = counts_at_end();
	if (!measured)
		return;
	metrics_of_counts(&begin, &end);
	metrics_of_usage(&used);
	metric("submit", sub.submit_ns / 1e6, "unit=ms better=lower");
	metric("submit_slept", sub.submit_switches, "unit=switches better=lower");
}

/*
 * Read the load that way and measure it, when the same in small has made what the
 * kernel makes once, as a worker.
 */
static inline void measure(const struct load *load, void (*way)(const struct load *, bool))
{
	struct load small = *load;
	int disk = open_disk(O_RDONLY);

	small.at = WARM_UP_AT;
	small.each = WARM_UP_BYTES / READERS;
	if (small.chunk > small.each)
		small.chunk = small.each;
	small.rounds = 1;
	small.work_ms = 0;

	alarm(CASE_TIMEOUT_S);
	counts_open();
	if (!data)
		data = shared_memory(MAX_BYTES);
	ASSERT(load_bytes(load) <= MAX_BYTES);
	/* What the case before has left there. */
	ASSERT_EQ(posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED), 0);
	write_load(load);
	way(&small, false);
	if (load->rounds > 1)
		cache_load(load);
	else
		ASSERT_EQ(cached_pages(load), 0);
	way(load, true);
	EXPECT_LOAD(load);
}

static struct load load_of_sync, load_of_aio;

static void sync_case(void)
{
	measure(&load_of_sync, read_by_processes);
}

static void aio_case(void)
{
	measure(&load_of_aio, read_by_aio);
}

/* The cases, whose names the metrics begin with: both ways to read such a load. */
static inline int bench(const struct load *load)
{
	static const struct ktap_case cases[] = {
		{ .name = "sync", .run = sync_case },
		{ .name = "aio", .run = aio_case },
	};

	load_of_sync = *load;
	load_of_sync.at = LOAD_AT;
	/* Not the same bytes, of which some might have stayed in memory. */
	load_of_aio = *load;
	load_of_aio.at = LOAD_AT + load_bytes(load) + GAP_BYTES;
	return ktap_run(cases, ARRAY_SIZE(cases));
}

#endif /* AIO_BENCH_MODES_H */
