// SPDX-License-Identifier: GPL-2.0-only
/* The request keeps its file: what becomes of the descriptor and the name is no matter. */
#include "reads.h"

static int open_other(void)
{
	int fd;

	cold_file();		/* for the file system */
	fd = make_pattern_file(MOUNT_POINT "/other", MIB);
	evict(fd, MIB);
	ktap_close_now(fd);	/* the one that is returned is the only one */
	return ASSERT_OK(open(MOUNT_POINT "/other", O_RDONLY | O_CLOEXEC));
}

static void submit_read_of(int fd)
{
	reads_begin();
	reads_add(fd, 50000, 5);
	keep_busy(BUSY_MIB);
	reads_submit();
}

static void expect_data(void)
{
	reads_wait();
	ASSERT_ASYNC();
	EXPECT_ALL_READ();
}

static void the_descriptor_is_closed(void)
{
	int fd = open_other();

	submit_read_of(fd);
	close(fd);
	expect_data();
}

static void it_is_another_files(void)
{
	int fd = open_other(), zero;

	submit_read_of(fd);
	zero = keep_fd(ASSERT_OK(open("/dev/zero", O_RDONLY)));
	ASSERT_OK(dup2(zero, fd));
	expect_data();
	close(fd);
}

static void the_file_is_removed(void)
{
	int fd = open_other();

	submit_read_of(fd);
	ASSERT_OK(unlink(MOUNT_POINT "/other"));
	close(fd);
	expect_data();
}

static const struct ktap_case cases[] = {
	KTAP_CASE(the_descriptor_is_closed),
	KTAP_CASE(it_is_another_files),
	KTAP_CASE(the_file_is_removed),
};

SLOW_MAIN(cases)
