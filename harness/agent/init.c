// SPDX-License-Identifier: GPL-2.0-only
/*
 * Process 1 of a guest whose root is read-only: the host's, over 9p or virtiofs,
 * or an image that the harness has made (harness/guest/root.py).
 *
 * virtme-ng has an init of its own, which does all that a desktop may want:
 * udev, tmpfiles, sudo, snap.  On a host that has them that is most of a boot's
 * time.  Tests need little of it, so this does that little:
 *
 *   /          an overlay of that root: writes stay in the guest's memory
 *   /proc /sys /dev /dev/pts /dev/shm /run /tmp, debugfs, tracefs, configfs,
 *   securityfs and cgroup2 at their usual places, where the kernel has them
 *   the directories that the host exports beside its root (virtme_initmount*), or
 *   that an image has for places where these mounts are (/.harness/places)
 *   loopback up, a host name, PATH, HOME
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "init.h"

#define OPTIONS_9P	"trans=virtio,version=9p2000.L,access=any,msize=524288,cache=loose"

struct mount_point {
	const char *type, *path, *options;
	mode_t mode;		/* of a directory to make; 0: the kernel has it */
	bool optional;		/* not every configuration has it */
};

static const struct mount_point mount_points[] = {
	{ "proc", "/proc", NULL, 0, false },
	{ "sysfs", "/sys", NULL, 0, false },
	{ "devtmpfs", "/dev", "mode=0755", 0, false },
	{ "devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666", 0755, true },
	{ "tmpfs", "/dev/shm", "mode=1777", 0755, false },
	{ "tmpfs", "/run", "mode=0755", 0, false },
	{ "tmpfs", "/tmp", "mode=1777", 0, false },
	{ "debugfs", "/sys/kernel/debug", NULL, 0, true },
	{ "tracefs", "/sys/kernel/tracing", NULL, 0, true },
	{ "configfs", "/sys/kernel/config", NULL, 0, true },
	{ "securityfs", "/sys/kernel/security", NULL, 0, true },
	{ "cgroup2", "/sys/fs/cgroup", NULL, 0, true },
};

static void complain(const char *what, const char *path)
{
	dprintf(2, "harness init: %s %s: %s\n", what, path, strerror(errno));
}

void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);	/* a machine without ACPI; QEMU has -no-reboot */
	for (;;)
		pause();
}

static _Noreturn void give_up(const char *what, const char *path)
{
	complain(what, path);
	power_off();
}

/*
 * The host's /tmp is only where the new root is put together.  Without an
 * overlay file system the root stays read-only.
 */
static void make_root_writable(void)
{
	if (mount("tmpfs", "/tmp", "tmpfs", 0, "mode=0755"))
		give_up("tmpfs on", "/tmp");
	mkdir("/tmp/upper", 0755);
	mkdir("/tmp/work", 0755);
	mkdir("/tmp/root", 0755);
	if (mount("overlay", "/tmp/root", "overlay", 0,
		  "lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work")) {
		complain("the root stays read-only: overlay on", "/");
		return;
	}
	if (chdir("/tmp/root") || mount(".", "/", NULL, MS_MOVE, NULL) ||
	    chroot(".") || chdir("/"))
		give_up("cannot enter", "the overlay");
}

static void mount_all(void)
{
	for (size_t i = 0; i < sizeof(mount_points) / sizeof(mount_points[0]); i++) {
		const struct mount_point *m = &mount_points[i];

		if (m->mode)
			mkdir(m->path, m->mode);
		if (!mount(m->type, m->path, m->type, MS_NOSUID, m->options))
			continue;
		if (!m->optional)
			give_up("cannot mount", m->path);
		if (errno != ENODEV && errno != ENOENT)
			complain("cannot mount", m->path);
	}
}

static void make_directories(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	mkdir(path, 0755);
}

/*
 * What the guest's own mounts would hide: /tmp/work of the host, say.  As with
 * the root, tests may write there and the host sees none of it.
 */
static void mount_export(int number, const char *path, const char *type)
{
	/* Nobody changes these while we run: loose caching is right. */
	const char *options_9p = strcmp(type, "9p") ? NULL : OPTIONS_9P;
	char tag[64], lower[64], upper[64], work[64], options[256];

	snprintf(tag, sizeof(tag), "virtme.initmount%d", number);
	snprintf(lower, sizeof(lower), "/run/exports/%d/lower", number);
	snprintf(upper, sizeof(upper), "/run/exports/%d/upper", number);
	snprintf(work, sizeof(work), "/run/exports/%d/work", number);
	make_directories(lower);
	mkdir(upper, 0755);
	mkdir(work, 0755);
	if (mount(tag, lower, type, MS_NOSUID | MS_RDONLY, options_9p))
		give_up("cannot mount what is to be at", path);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s",
		 lower, upper, work);
	if (!mount("overlay", path, "overlay", MS_NOSUID, options))
		return;
	complain("stays read-only: overlay on", path);
	if (mount(lower, path, NULL, MS_MOVE, NULL))
		give_up("cannot mount", path);
}

/* virtme-ng names them in kernel arguments, which come to us as environment. */
static void mount_exports(void)
{
	for (int i = 0; ; i++) {
		char name[64], path[512];
		const char *where, *type;

		snprintf(name, sizeof(name), "virtme_initmount%d", i);
		where = getenv(name);
		if (!where)
			return;
		snprintf(name, sizeof(name), "virtme_initmount%d_fstype", i);
		type = getenv(name);
		snprintf(path, sizeof(path), "/%s", where);
		make_directories(path);
		mount_export(i, path, type ? type : "9p");
	}
}

static void make_parents(char *path)
{
	char *name = strrchr(path, '/');

	if (!name || name == path)
		return;
	*name = '\0';
	make_directories(path);
	*name = '/';
}

/* What is at @from, at @path too: a directory, a file or a link. */
static bool put_place(const char *from, char *path)
{
	char target[4096];
	struct stat status;
	ssize_t n;
	int fd;

	if (lstat(from, &status))
		return false;
	if (S_ISDIR(status.st_mode)) {
		make_directories(path);
		return !mount(from, path, NULL, MS_BIND, NULL);
	}
	make_parents(path);
	if (S_ISLNK(status.st_mode)) {
		n = readlink(from, target, sizeof(target) - 1);
		if (n < 0)
			return false;
		target[n] = '\0';
		return !symlink(target, path);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0)
		close(fd);
	return !mount(from, path, NULL, MS_BIND, NULL);
}

/* What an image has as /.harness/N, for the path on the N-th line (from 0) of its list. */
static void mount_places(void)
{
	char line[4096], from[64];
	FILE *list = fopen("/.harness/places", "re");
	int number = 0;

	while (list && fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(from, sizeof(from), "/.harness/%d", number++);
		if (!put_place(from, line))
			give_up("cannot put what is to be at", line);
	}
	if (list)
		fclose(list);
}

static void link_descriptors(void)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]))
			complain("cannot link", links[i][1]);
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;		/* no network in this kernel */
	if (!ioctl(fd, SIOCGIFFLAGS, &request)) {
		request.ifr_flags |= IFF_UP;
		ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
}

void init_system(void)
{
	umask(0);
	make_root_writable();
	mount_all();
	umask(022);
	link_descriptors();
	mount_exports();
	mount_places();
	loopback_up();
	if (sethostname("harness", strlen("harness")))
		complain("cannot set", "the host name");
}

/* Programs need not see the kernel arguments that came to us as environment. */
static void clean_environment(void)
{
	const char *term = getenv("TERM"), *scratch = getenv("SCRATCH_DEV");
	char kept[64], disk[64];

	snprintf(kept, sizeof(kept), "%s", term ? term : "linux");
	snprintf(disk, sizeof(disk), "%s", scratch ? scratch : "");
	clearenv();
	if (*disk)
		setenv("SCRATCH_DEV", disk, 1);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("USER", "root", 1);
	setenv("TERM", kept, 1);
}

/* The size of the user's terminal, as virtme-ng passes it on. */
static void set_size(int tty)
{
	const char *stty = getenv("virtme_stty_con");
	struct winsize size = { 0 };

	if (stty && sscanf(stty, "rows %hu cols %hu", &size.ws_row, &size.ws_col) == 2)
		ioctl(tty, TIOCSWINSZ, &size);
}

static _Noreturn void be_shell(const char *asked)
{
	const char *shell = strdup(asked);
	const char *name = getenv("virtme_console");
	char path[64];
	int tty;

	setsid();
	snprintf(path, sizeof(path), "/dev/%s", name ? name : "console");
	tty = open(path, O_RDWR);
	if (tty < 0) {
		complain("cannot open", path);
		_exit(1);
	}
	ioctl(tty, TIOCSCTTY, 1);
	set_size(tty);
	for (int fd = 0; fd < 3; fd++)
		dup2(tty, fd);
	if (tty > 2)
		close(tty);
	if (chdir("/root"))
		complain("cannot enter", "/root");
	clean_environment();
	execl(shell, strrchr(shell, '/') ? strrchr(shell, '/') + 1 : shell, "-i", NULL);
	complain("cannot run", shell);
	_exit(127);
}

void init_shell(void)
{
	const char *shell = getenv("harness_shell");
	pid_t pid, ended;

	if (!shell) {
		clean_environment();
		return;
	}
	pid = fork();
	if (pid == 0)
		be_shell(shell);
	do
		ended = wait(NULL);
	while (ended != pid && (ended > 0 || errno == EINTR));
	power_off();
}
