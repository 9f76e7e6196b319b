// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults: the N-th allocation, or copy from or to user space, of a test fails.
 *
 * The kernel counts for one task, from the moment at which somebody writes N to
 * its /proc/PID/fail-nth (Documentation/fault-injection/fault-injection.rst).  A
 * command that is to have a fault is traced until main(), where nothing of exec(),
 * of the dynamic loader or of the C library's start is to come any more, and runs
 * on by itself from there: the program is as it is, static or not, and neither a
 * library nor a variable in its environment is for it or its children to find.
 *
 * What is left of N once the task is dead tells whether the fault came: 0, it did.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent.h"

#define ARM_MS		10000	/* for a program to come to main() */
#define BREAKPOINT	0xccul
#define DEBUGFS		"/sys/kernel/debug/"

/* As they are, only allocations fail that may neither sleep nor be of one page. */
static const char *const knobs[][2] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
};

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

uint32_t take_fault(struct request *request)
{
	uint32_t nth = 0;

	for (char **env = request->env; *env; env++) {
		if (strncmp(*env, FAULT_VARIABLE, strlen(FAULT_VARIABLE)))
			continue;
		nth = strtoul(*env + strlen(FAULT_VARIABLE), NULL, 10);
		do
			env[0] = env[1];
		while (*env++);
		break;
	}
	return nth;
}

void allow_faults(void)
{
	for (size_t i = 0; i < sizeof(knobs) / sizeof(knobs[0]); i++)
		if (!write_text(knobs[i][0], knobs[i][1]))
			dprintf(2, "harness agent: %s: %s\n", knobs[i][0], strerror(errno));
}

uint64_t left_of_fault(pid_t pid)
{
	char path[64], text[32];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fail-nth", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return NO_FAULT;
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}

/*
 * The next stop of the traced @pid, as waitpid() tells it.  False when it has
 * ended, which is for others to reap, or is killed as it takes too long.
 */
static bool await_stop(pid_t pid, int *status)
{
	uint64_t deadline = now_us() + ARM_MS * 1000ull;
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT))
			return false;
		if (info.si_pid && (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED))
			return waitpid(pid, status, 0) == pid;
		if (info.si_pid)
			return false;
		if (now_us() > deadline) {
			kill(pid, SIGKILL);
			return false;
		}
		usleep(200);	/* poll: it needs a moment */
	}
}

/* How far from where its file says is the program of @pid? */
static uint64_t bias_of(pid_t pid, const Elf64_Ehdr *head)
{
	Elf64_auxv_t entry;
	uint64_t found = 0;
	char path[64];
	FILE *file;

	if (head->e_type != ET_DYN)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	file = fopen(path, "re");
	while (file && fread(&entry, sizeof(entry), 1, file) == 1)
		if (entry.a_type == AT_ENTRY)
			found = entry.a_un.a_val - head->e_entry;
	if (file)
		fclose(file);
	return found;
}

static bool fits(uint64_t size, uint64_t offset, uint64_t length)
{
	return offset <= size && length <= size - offset;
}

/* The address of main() in the file, 0 where it is stripped of its names. */
static uint64_t find_main(const char *file, uint64_t size)
{
	const Elf64_Ehdr *head = (const void *)file;
	const Elf64_Shdr *sections = (const void *)(file + head->e_shoff);

	if (!fits(size, head->e_shoff, head->e_shnum * sizeof(*sections)))
		return 0;
	for (int i = 0; i < head->e_shnum; i++) {
		const Elf64_Shdr *table = &sections[i], *names = &sections[table->sh_link];
		const Elf64_Sym *symbols = (const void *)(file + table->sh_offset);

		if (table->sh_type != SHT_SYMTAB || table->sh_link >= head->e_shnum ||
		    !fits(size, table->sh_offset, table->sh_size) ||
		    !fits(size, names->sh_offset, names->sh_size))
			continue;
		for (size_t n = 0; n < table->sh_size / sizeof(*symbols); n++)
			if (ELF64_ST_TYPE(symbols[n].st_info) == STT_FUNC &&
			    fits(names->sh_size, symbols[n].st_name, sizeof("main")) &&
			    !strcmp(file + names->sh_offset + symbols[n].st_name, "main"))
				return symbols[n].st_value;
	}
	return 0;
}

static uint64_t main_of(pid_t pid)
{
	struct stat status;
	uint64_t found = 0;
	char path[64];
	void *file;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (!fstat(fd, &status) && status.st_size >= (off_t)sizeof(Elf64_Ehdr)) {
		file = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (file != MAP_FAILED) {
			found = find_main(file, status.st_size);
			if (found)
				found += bias_of(pid, file);
			munmap(file, status.st_size);
		}
	}
	close(fd);
	return found;
}

/* Let the stopped @pid go on until it is at @address; false when it does not come there. */
static bool run_to(pid_t pid, uint64_t address)
{
	struct user_regs_struct registers;
	unsigned long word;
	int status, signal = 0;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, address, NULL);
	if (errno || ptrace(PTRACE_POKETEXT, pid, address, (word & ~0xfful) | BREAKPOINT))
		return true;	/* from where it is, then */
	do {
		if (ptrace(PTRACE_CONT, pid, NULL, signal) || !await_stop(pid, &status))
			return false;
		signal = WSTOPSIG(status);
		if (ptrace(PTRACE_GETREGS, pid, NULL, &registers))
			return false;
	} while (signal != SIGTRAP || registers.rip != address + 1);
	registers.rip = address;
	return !ptrace(PTRACE_POKETEXT, pid, address, word) &&
	       !ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}

bool arm_fault(pid_t pid, uint32_t nth)
{
	char path[64], text[16];
	uint64_t address;
	bool armed;
	int status;

	if (!await_stop(pid, &status))
		return false;	/* there was nothing to exec */
	address = main_of(pid);
	if (address && !run_to(pid, address))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fail-nth", pid);
	snprintf(text, sizeof(text), "%u", nth);
	armed = write_text(path, text);
	if (!armed)
		dprintf(2, "harness agent: %s: %s\n", path, strerror(errno));
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return armed;
}
