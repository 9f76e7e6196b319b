// SPDX-License-Identifier: GPL-2.0-only
/*
 * read-cost FILE: what a synchronous read of a file costs, in nanoseconds of this
 * process's CPU time, cached and cold: for bench/sync_cost.py.
 *
 * Under QEMU's -icount shift=0 these are instructions.  The file is made anew.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES	(4 << 20)
#define ROUNDS		8

static char buf[65536] __attribute__((aligned(4096)));

static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void read_whole(int fd, size_t size)
{
	off_t at;

	for (at = 0; at < FILE_BYTES; at += size)
		if (pread(fd, buf, size, at) != (ssize_t)size)
			err(1, "pread of %zu bytes at %lld", size, (long long)at);
}

static void measure(int fd, size_t size, int cold)
{
	int64_t spent = 0, began;
	int round;

	read_whole(fd, size);
	for (round = 0; round < ROUNDS; round++) {
		if (cold && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
			err(1, "posix_fadvise");
		began = cpu_ns();
		read_whole(fd, size);
		spent += cpu_ns() - began;
	}
	printf("# metric %s.%zuk.cpu=%.1f unit=ns better=lower\n", cold ? "cold" : "cached", size / 1024,
	       (double)spent / ROUNDS / (FILE_BYTES / size));
}

int main(int argc, char *argv[])
{
	size_t done = 0;
	ssize_t ret;
	int fd;

	if (argc != 2)
		errx(2, "usage: read-cost FILE");
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		err(1, "%s", argv[1]);
	for (; done < FILE_BYTES; done += ret) {
		ret = write(fd, buf, sizeof(buf));
		if (ret <= 0)
			err(1, "%s", argv[1]);
	}
	if (fsync(fd))
		err(1, "fsync");

	measure(fd, 4096, 0);
	measure(fd, 65536, 0);
	measure(fd, 4096, 1);
	measure(fd, 65536, 1);
	return 0;
}
