/* SPDX-License-Identifier: GPL-2.0-only */
/* The synchronous way: a process for each reader. */
#ifndef AIO_BENCH_PROCESSES_H
#define AIO_BENCH_PROCESSES_H

#include <sys/prctl.h>
#include <sys/wait.h>
#include "load.h"

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

/* Read all of it; print the metrics if it is @measured. */
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

#endif /* AIO_BENCH_PROCESSES_H */
