/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel modules of a suite, built for the kernel that runs: they lie in
 * test_modules, where the test is started.
 */
#ifndef GUEST_TESTS_MODULE_H
#define GUEST_TESTS_MODULE_H

#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include "ktap.h"

/* What still holds a module when its last user is done goes within this. */
#define MODULE_TIMEOUT_S	3

/* 0 or -errno; -EWOULDBLOCK when it is in use. */
static inline int module_unload(const char *name)
{
	return syscall(__NR_delete_module, name, O_NONBLOCK) < 0 ? -errno : 0;
}

/*
 * The same when it is about to be let go: the last reference to a file is not
 * dropped by close() or with the event of a request, but soon after it.
 */
static inline int module_unload_soon(const char *name)
{
	struct timespec pause = { .tv_nsec = 200000 };
	time_t deadline = time(NULL) + MODULE_TIMEOUT_S;
	int err;

	KTAP_HERE("module_unload_soon");
	for (;;) {
		err = module_unload(name);
		if (err != -EWOULDBLOCK || time(NULL) > deadline)
			return err;
		nanosleep(&pause, NULL);	/* poll: nothing tells of it */
	}
}

static void module_unload_deferred(uintptr_t name)
{
	int err = module_unload_soon((const char *)name);

	if (err && err != -ENOENT)
		ktap_fail_errno("delete_module", -err);
}

/*
 * Load test_modules/@name.ko for this case; @name is a string literal.  One that
 * is there was left by a test that did not get to its end: make way.
 */
static inline void module_load(const char *name)
{
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "test_modules/%s.ko", name);
	KTAP_HERE("module_load");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		ktap_fail_errno(path, errno);
		ktap_leave();
	}
	err = syscall(__NR_finit_module, fd, "", 0) < 0 ? errno : 0;
	if (err == EEXIST && !module_unload_soon(name))
		err = syscall(__NR_finit_module, fd, "", 0) < 0 ? errno : 0;
	close(fd);
	if (err == ENOSYS)
		ktap_skip("no modules here: CONFIG_MODULES");
	if (err) {
		ktap_fail_errno("finit_module", err);
		ktap_leave();
	}
	/* Once will do for a case that loads it again and again. */
	if (!ktap.nr_deferred ||
	    ktap.deferred[ktap.nr_deferred - 1].fn != module_unload_deferred)
		ktap_defer(module_unload_deferred, (uintptr_t)name);
}

/* A number that the module shows as its parameter. */
static inline long module_param(const char *name, const char *param)
{
	char path[PATH_MAX];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", name, param);
	KTAP_HERE("module_param");
	file = fopen(path, "re");
	if (!file || fscanf(file, "%ld", &value) != 1)
		ktap_fail_errno(path, errno);
	if (file)
		fclose(file);
	return value;
}

static inline void module_param_set(const char *name, const char *param, long value)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", name, param);
	KTAP_HERE("module_param_set");
	file = fopen(path, "we");
	if (!file || fprintf(file, "%ld", value) < 0 || fflush(file))
		ktap_fail_errno(path, errno);
	if (file)
		fclose(file);
}

#endif /* GUEST_TESTS_MODULE_H */
