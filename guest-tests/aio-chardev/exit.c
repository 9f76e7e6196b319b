// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process ends with requests pending: the driver cancels them, also those of a
 * process that is killed, and the process is gone only when none is left.
 */
#include "chardev.h"
#include "child.h"

struct scene {
	int64_t delay;
	bool kill;
};

static void submit_and_end(void *arg)
{
	struct scene *scene = arg;
	struct aio_batch batch;

	chardev_prep_batch(&batch, aio_setup(AIO_BATCH), chardev_open(), scene->delay);
	aio_batch_submit(&batch);
	if (scene->kill)
		kill(getpid(), SIGKILL);
}

static void ends_with_pending_requests(struct scene *scene, int want_status)
{
	int fd = chardev_load();
	char data[AIO_BATCH];

	EXPECT_EQ(in_child(submit_and_end, scene), want_status);
	EXPECT_EQ(chardev_cancelled(), AIO_BATCH);
	EXPECT_EQ(chardev_pending(), 0);
	EXPECT_EQ(read(fd, data, sizeof(data)), 0);
}

static void child_exits(void)
{
	ends_with_pending_requests(&(struct scene){ NEVER, false }, 0);
}

static void child_is_killed(void)
{
	ends_with_pending_requests(&(struct scene){ NEVER, true }, SIGKILL);
}

/* Reads that are due just then go to memory that is about to be taken down. */
static void child_exits_while_they_complete(void)
{
	int fd = chardev_load(), i;
	static char data[4096];

	for (i = 0; i < 20; i++) {
		struct scene scene = { i * MS / 10, i % 2 };

		ASSERT_OK(write(fd, data, sizeof(data)));
		EXPECT_EQ(in_child(submit_and_end, &scene), i % 2 ? SIGKILL : 0);
		EXPECT_EQ(chardev_pending(), 0);
	}
}

static const struct ktap_case cases[] = {
	KTAP_CASE(child_exits),
	KTAP_CASE(child_is_killed),
	KTAP_CASE(child_exits_while_they_complete),
};

KTAP_MAIN(cases)
