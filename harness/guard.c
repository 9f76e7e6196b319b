// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small parent for what the harness starts: guard LIFE_FD ARGV...
 *
 * It is a child subreaper, so no process below it can escape, however it forks
 * or which session it makes.  LIFE_FD is a pipe whose other end only the
 * harness holds: a byte asks for SIGTERM to all below, end of file (the harness
 * closed it, or died, even by SIGKILL) for SIGKILL.  When the command ends,
 * what it left behind is killed as well.  Exit status: the command's, 128 + N
 * for signal N, 127 when it cannot be started.
 *
 * Descriptors above the standard ones stay here and are not the command's: a
 * lock that is handed in is held until nothing is left below.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC	/* of Linux 5.11 */
#define CLOSE_RANGE_CLOEXEC	(1U << 2)
#endif

#define LOOK_MS		2
#define KILL_LOOKS	(10 * 1000 / LOOK_MS)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

struct process {
	pid_t pid;
	pid_t parent;
	bool below;
};

/* Zombies are left out: they need a wait, not a signal. */
static bool read_process(const char *name, struct process *process)
{
	char path[300], text[512], *end, state;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/stat", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	/* A program's name may hold anything, so look from its last bracket. */
	end = strrchr(text, ')');
	if (!end || sscanf(end + 1, " %c %d", &state, &process->parent) != 2 || state == 'Z')
		return false;
	process->pid = atoi(name);
	process->below = false;
	return true;
}

/* All processes there are; the caller frees them. */
static struct process *read_processes(size_t *count)
{
	struct process *all = NULL;
	struct dirent *entry;
	size_t room = 0;
	DIR *proc;

	*count = 0;
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (*count == room) {
			struct process *more = realloc(all, (room + 512) * sizeof(*all));

			if (!more)
				break;
			all = more;
			room += 512;
		}
		if (read_process(entry->d_name, &all[*count]))
			++*count;
	}
	if (proc)
		closedir(proc);
	return all;
}

static bool is_below(const struct process *all, size_t count, pid_t parent)
{
	if (parent == getpid())
		return true;
	for (size_t i = 0; i < count; i++)
		if (all[i].pid == parent)
			return all[i].below;
	return false;
}

static void signal_all(int number)
{
	struct process *all;
	size_t count;
	bool more;

	all = read_processes(&count);
	do {
		more = false;
		for (size_t i = 0; i < count; i++) {
			if (all[i].below || !is_below(all, count, all[i].parent))
				continue;
			all[i].below = more = true;
		}
	} while (more);
	for (size_t i = 0; i < count; i++)
		if (all[i].below)
			kill(all[i].pid, number);
	free(all);
}

/*
 * Kill until nothing is left: a killed parent's children come to us, so look
 * again.  All are stopped before the first is killed, or a harness below us
 * would see its guest die, and write down that the guest crashed.
 */
static void kill_all(void)
{
	const struct timespec moment = { .tv_nsec = LOOK_MS * 1000 * 1000 };
	pid_t reaped;

	signal_all(SIGSTOP);
	for (int look = 0; look < KILL_LOOKS; look++) {
		do {
			reaped = waitpid(-1, NULL, WNOHANG);
		} while (reaped > 0);
		if (reaped < 0)	/* whoever is below us is our child, or was its parent's */
			return;
		signal_all(SIGKILL);
		nanosleep(&moment, NULL);	/* the kernel needs one to tear them down */
	}
}

static pid_t start(char **argv)
{
	static const int handled[] = { SIGINT, SIGHUP, SIGTERM, SIGPIPE };
	pid_t guard = getpid(), pid;

	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != guard)
		_exit(127);
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
		signal(handled[i], SIG_DFL);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Until the command has ended, and its status; as if by SIGKILL when the harness goes first. */
static int watch(int exited, int life, pid_t child)
{
	struct pollfd polled[] = {
		{ .fd = exited, .events = POLLIN },
		{ .fd = life, .events = POLLIN },
	};
	char asked[16];
	int status;

	for (;;) {
		if (poll(polled, ARRAY_SIZE(polled), -1) < 0)
			continue;
		if (polled[0].revents)
			return waitpid(child, &status, 0) == child ? status : SIGKILL;
		if (polled[1].revents) {
			if (read(life, asked, sizeof(asked)) <= 0)
				return SIGKILL;
			signal_all(SIGTERM);
		}
	}
}

int main(int argc, char **argv)
{
	int exited, life, status;
	pid_t child;

	if (argc < 3)
		return 127;
	life = atoi(argv[1]);
	fcntl(life, F_SETFD, FD_CLOEXEC);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	child = start(argv + 2);
	if (child < 0) {
		fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
		return 127;
	}
	exited = syscall(SYS_pidfd_open, child, 0);
	if (exited < 0) {
		fprintf(stderr, "pidfd_open: %s\n", strerror(errno));
		status = SIGKILL;
	} else {
		status = watch(exited, life, child);
	}
	kill_all();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
