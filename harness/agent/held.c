// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files that a server has, as far as /proc tells: those that are open, and those
 * that are mapped.  What may be one file counts once, so that there are as many at
 * least: the same inode, open for the same.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include "state.h"

/* False for what is known; @mode is that of the link, which says for what a file is open. */
static bool add_file(struct held *held, const struct stat *status, mode_t mode)
{
	for (int i = 0; i < held->files; i++)
		if (held->of[i].inode == status->st_ino && held->of[i].dev == status->st_dev &&
		    (held->of[i].mode == mode || !mode))
			return false;
	if (held->files == HELD)
		return false;
	held->of[held->files].mode = mode;
	held->of[held->files].inode = status->st_ino;
	held->of[held->files++].dev = status->st_dev;
	return true;
}

static void add_open(struct held *held)
{
	struct stat status, link;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", server.pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !fstatat(dirfd(dir), entry->d_name, &status, 0) &&
		    !fstatat(dirfd(dir), entry->d_name, &link, AT_SYMLINK_NOFOLLOW))
			add_file(held, &status, link.st_mode & 0600);
	if (dir)
		closedir(dir);
}

static void add_mapped(struct held *held)
{
	char path[128], line[4400], range[64], device[16];
	unsigned long inode, last = 0;
	struct stat status;
	struct statfs fs;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", server.pid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%63s %*s %*s %15s %lu", range, device, &inode) != 3)
			continue;
		if (!inode || inode == last)
			continue;
		last = inode;
		/*
		 * An overlay maps the file below, which file-nr does not count.  In
		 * other file systems a file may be open and mapped, and is one.
		 */
		snprintf(path, sizeof(path), "/proc/%d/map_files/%s", server.pid, range);
		if (!statfs(path, &fs) && fs.f_type != OVERLAYFS_SUPER_MAGIC &&
		    !stat(path, &status) && add_file(held, &status, 0))
			held->rings += strstr(line, "/[aio]") != NULL;
	}
	if (maps)
		fclose(maps);
}

void count_held(struct held *held)
{
	held->files = held->rings = 0;
	add_open(held);
	add_mapped(held);
}
