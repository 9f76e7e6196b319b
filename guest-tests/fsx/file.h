/* SPDX-License-Identifier: GPL-2.0-only */
/* The file of a round, and what its file system can. */
#ifndef FSX_FILE_H
#define FSX_FILE_H

#include "choose.h"
#include "options.h"

static inline int open_path(void)
{
	struct stat st;
	int fd;

	if (!stat(options.path, &st) && S_ISDIR(st.st_mode))
		return make_file(options.path, 0);
	KTAP_HERE("open");
	fd = open(options.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		ktap_fail_errno(options.path, errno);
		ktap_leave();
	}
	return keep_fd(fd);
}

/* New and empty, opened twice: what is no AIO goes through the page cache. */
static inline void open_file(struct fsx *fsx, bool direct)
{
	char self[40];

	fsx->fd = open_path();
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fsx->fd);
	KTAP_HERE("open");
	fsx->aio_fd = open(self, O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0));
	if (fsx->aio_fd < 0) {
		ktap_fail("%s: a file there cannot be opened%s: %s", options.path,
			  direct ? " with O_DIRECT" : "", ktap_errname(errno));
		ktap_leave();
	}
	keep_fd(fsx->aio_fd);
}

static inline void close_file(struct fsx *fsx)
{
	ktap_close_now(fsx->aio_fd);
	ktap_close_now(fsx->fd);
}

/* What O_DIRECT wants: a page, where the file system does not say. */
static inline void ask_alignment(int fd, struct setup *setup)
{
#ifdef STATX_DIOALIGN
	struct statx st = { 0 };
#endif

	setup->align = setup->mem_align = setup->direct ? PAGE : 1;
#ifdef STATX_DIOALIGN
	if (!setup->direct || statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st))
		return;
	if (st.stx_mask & STATX_DIOALIGN && st.stx_dio_offset_align) {
		setup->align = st.stx_dio_offset_align;
		setup->mem_align = st.stx_dio_mem_align;
	}
#else
	(void)fd;
#endif
}

static inline bool can_allocate(int fd, int mode)
{
	return !fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, 0, PAGE) ||
	       (errno != EOPNOTSUPP && errno != ENOSYS);
}

/* What the file system and the options leave to choose from. */
static inline void ask_file(struct fsx *fsx, struct setup *setup, struct chooser *chooser)
{
	void *map;

	open_file(fsx, setup->direct);
	ask_alignment(fsx->aio_fd, setup);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fsx->fd, 0);
	if (map != MAP_FAILED)
		munmap(map, PAGE);
	chooser->mmap = !options.no_mmap && map != MAP_FAILED;
	chooser->punch = can_allocate(fsx->fd, FALLOC_FL_PUNCH_HOLE);
	chooser->alloc = can_allocate(fsx->fd, 0);
	chooser->drop = options.drop_caches;
	chooser->overlap = options.overlap;
	close_file(fsx);
}

#endif /* FSX_FILE_H */
