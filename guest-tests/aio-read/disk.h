/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files on a slow disk, the suite's scratch disk, that are not in memory.
 *
 * Slow is what is in front of a read: the disk is throttled, first come first
 * served, and keep_busy() asks it for something else.  So a read of one byte
 * takes as long as one of a hundred kilobytes, and nobody has to wait for a
 * burst allowance to be used up.
 */
#ifndef AIO_READ_DISK_H
#define AIO_READ_DISK_H

#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/wait.h>
#include "aio.h"

#define KIB		1024
#define MIB		(1024 * KIB)
#define PAGE		4096

/* What keep_busy() is asked for as a rule: 400 ms at least, with bps-read=4M. */
#define BUSY_MIB	2

/* All that is in flight comes within this, on a busy host, too. */
#define READS_TIMEOUT_MS	8000

#define FILE_BYTES	(5 * MIB)
#define MOUNT_POINT	"/tmp/aio-read"
#define TOOL_OUTPUT	"/tmp/aio-read.log"

/* Where reads go; a case that fails waits for what it has in flight. */
static char buf[FILE_BYTES] __attribute__((aligned(PAGE)));

extern char **environ;

static inline const char *scratch_dev(void)
{
	const char *dev = getenv("SCRATCH_DEV");

	if (!dev || !*dev) {
		ktap_fail("SCRATCH_DEV names no disk");
		ktap_leave();
	}
	return dev;
}

/* The byte at @offset of all files and disks here. */
static inline unsigned char byte_at(uint64_t offset)
{
	return offset * 0x9e3779b97f4a7c15ULL >> 56;
}

static inline void expect_pattern_here(const char *data, size_t len, uint64_t offset)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if ((unsigned char)data[i] == byte_at(offset + i))
			continue;
		ktap_fail("byte %zu of the file came as %#x, expected %#x",
			  (size_t)offset + i, (unsigned char)data[i],
			  byte_at(offset + i));
		return;
	}
}

/* What was read from @offset on is what is there. */
#define EXPECT_PATTERN(data, len, offset) do {				\
	KTAP_HERE("comparing");						\
	expect_pattern_here(data, len, offset);				\
} while (0)

static inline bool all_are(const char *data, char c, size_t len)
{
	while (len)
		if (data[--len] != c)
			return false;
	return true;
}

static inline int open_disk(int flags)
{
	return keep_fd(ASSERT_OK(open(scratch_dev(), flags | O_CLOEXEC)));
}

/* Other work for the disk, with O_DIRECT, which no kernel waits for. */
static struct {
	aio_context_t ctx;
	int fd, in_flight;
} busy;

/* The disk has done what was asked of it. */
static inline void wait_until_idle(void)
{
	static struct io_event events[16];

	if (busy.in_flight)
		busy.in_flight -= aio_wait(busy.ctx, busy.in_flight, ARRAY_SIZE(events),
					   events, READS_TIMEOUT_MS);
	ASSERT_EQ(busy.in_flight, 0);
}

/*
 * Let the disk have @mib to do first.  It does one thing after the other, so
 * what is asked for after this comes when that has come.
 */
static inline void keep_busy(int mib)
{
	static char trash[MIB] __attribute__((aligned(PAGE)));
	struct iocb iocb;

	if (!busy.ctx) {
		busy.ctx = aio_setup(16);
		busy.fd = ASSERT_OK(open(scratch_dev(), O_RDONLY | O_DIRECT | O_CLOEXEC));
	}
	wait_until_idle();
	/*
	 * From the disk's beginning, as QEMU sorts what it is asked for at once,
	 * and all from there, as it makes one request of neighbours.
	 */
	for (; busy.in_flight < mib; busy.in_flight++) {
		aio_prep_rw(&iocb, IOCB_CMD_PREAD, busy.fd, trash, MIB, 0);
		ASSERT_EQ(aio_submit(busy.ctx, &iocb), 0);
	}
}

/* Whether the disk still has to do with what keep_busy() asked for. */
static inline bool is_busy(void)
{
	static struct io_event events[16];

	busy.in_flight -= aio_wait(busy.ctx, 0, ARRAY_SIZE(events), events, 0);
	return busy.in_flight;
}

/* All that the disk was asked for before this has come. */
static inline void wait_for_the_disk(void)
{
	keep_busy(1);
	wait_until_idle();
}

/* The first line of what a program wrote; the rest of it is in its file. */
static inline const char *first_line(const char *path)
{
	static char line[256];
	FILE *file = fopen(path, "re");

	if (!file || !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static inline void run_tool(const char *package, char *const argv[])
{
	posix_spawn_file_actions_t actions;
	int status = 0, err;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, TOOL_OUTPUT,
					 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	KTAP_HERE(argv[0]);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err == ENOENT) {
		ktap_fail("there is no %s: install %s", argv[0], package);
		ktap_leave();
	}
	ASSERT_EQ(err, 0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	KTAP_HERE(argv[0]);
	if (status) {
		ktap_fail("%s ends with status %#x: %s", argv[0], status,
			  first_line(TOOL_OUTPUT));
		ktap_leave();
	}
}

struct filesystem {
	const char *name, *package;
	char *mkfs[8];			/* less the device and NULL */
};

static const struct filesystem ext4 = {
	"ext4", "e2fsprogs", { "mkfs.ext4", "-q", "-F" },
};

static const struct filesystem xfs __attribute__((unused)) = {
	"xfs", "xfsprogs", { "mkfs.xfs", "-q", "-f", "-K" },
};

static const struct filesystem btrfs __attribute__((unused)) = {
	"btrfs", "btrfs-progs", { "mkfs.btrfs", "-q", "-f", "-K" },
};

static const struct filesystem *mounted;

static inline void unmount(void)
{
	/* One that a test left which was killed is there, too. */
	while (!umount2(MOUNT_POINT, 0))
		;
	mounted = NULL;
}

static inline void write_pattern(int fd, size_t len)
{
	size_t i, done = 0;

	for (i = 0; i < len; i++)
		buf[i] = byte_at(i);
	while (done < len)
		done += ASSERT_OK(pwrite(fd, buf + done, len - done, done));
	ASSERT_OK(fsync(fd));
}

/* A new file of @len bytes, not cold yet. */
static inline int make_pattern_file(const char *path, size_t len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	KTAP_HERE(path);
	ASSERT_OK(fd);
	keep_fd(fd);
	write_pattern(fd, len);
	return fd;
}

static inline void mount_fresh(const struct filesystem *fs)
{
	char *argv[ARRAY_SIZE(fs->mkfs) + 2], any;
	size_t n = 0;

	alarm(KTAP_CASE_TIMEOUT_S * 4);
	unmount();
	/*
	 * mkfs takes 5 s to find that a kernel that has just booted has no random
	 * numbers yet (6.1 in an emulated guest); one that is asked to wait for
	 * them makes some.
	 */
	ASSERT_OK(getrandom(&any, 1, 0));
	while (fs->mkfs[n]) {
		argv[n] = fs->mkfs[n];
		n++;
	}
	argv[n++] = (char *)scratch_dev();
	argv[n] = NULL;
	run_tool(fs->package, argv);
	mkdir(MOUNT_POINT, 0700);
	KTAP_HERE("mount");
	if (mount(scratch_dev(), MOUNT_POINT, fs->name, 0, NULL)) {
		if (errno == ENODEV) {
			ktap_fail("this kernel has no %s: see guest-tests/aio-read/config",
				  fs->name);
			ktap_leave();
		}
		ktap_fail_errno(fs->name, errno);
		ktap_leave();
	}
	mounted = fs;
	make_pattern_file(MOUNT_POINT "/file", FILE_BYTES);
	alarm(KTAP_CASE_TIMEOUT_S);
}

/* How many pages of the file are in the page cache. */
static inline size_t cached_pages(int fd, size_t len)
{
	static unsigned char vec[2 * FILE_BYTES / PAGE];
	size_t pages = (len + PAGE - 1) / PAGE, i, cached = 0;
	void *map;

	map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT(map != MAP_FAILED);
	ASSERT_OK(mincore(map, len, vec));
	munmap(map, len);
	for (i = 0; i < pages; i++)
		cached += vec[i] & 1;
	return cached;
}

/* Nothing of the file is in memory any more. */
static inline void evict(int fd, size_t len)
{
	ASSERT_OK(fsync(fd));
	ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	ASSERT_EQ(cached_pages(fd, len), 0);
}

/*
 * A file of FILE_BYTES, none of which is in memory; its metadata is, as
 * io_submit() may wait for that.  Opened anew, without a history for readahead.
 */
static inline int cold_file_on(const struct filesystem *fs, int flags)
{
	int fd;

	if (mounted != fs)
		mount_fresh(fs);
	fd = keep_fd(ASSERT_OK(open(MOUNT_POINT "/file", O_RDWR | O_CLOEXEC | flags)));
	evict(fd, FILE_BYTES);
	return fd;
}

#define cold_file() cold_file_on(&ext4, 0)

/* Put this of a file into memory, and nothing round it. */
static inline void warm(size_t offset, size_t len)
{
	static char data[PAGE];
	int fd = ASSERT_OK(open(MOUNT_POINT "/file", O_RDONLY | O_CLOEXEC));
	size_t end = offset + len;

	keep_fd(fd);
	ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	for (; offset < end; offset += PAGE)
		ASSERT_EQ(pread(fd, data, PAGE, offset), PAGE);
}

#define SLOW_MAIN(cases)						\
	int main(void)							\
	{								\
		int status = ktap_run(cases, ARRAY_SIZE(cases));	\
									\
		unmount();						\
		return status;						\
	}

#endif /* AIO_READ_DISK_H */
