// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process ends with polls pending: it does end, whatever way it goes, and the
 * files it polled go on for others.
 */
#include "child.h"
#include "race.h"

struct scene {
	int polled, other;
	bool kill;
};

static void poll_and_end(void *arg)
{
	struct scene *scene = arg;
	struct aio_batch batch;

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), scene->polled, POLLIN);
	aio_batch_submit(&batch);
	if (scene->kill)
		kill(getpid(), SIGKILL);
}

static void ends_with_pending_polls(struct scene *scene, int want_status)
{
	aio_context_t ctx = aio_setup(1);
	struct bystanders by;
	struct iocb iocb;

	aio_poll(ctx, &iocb, scene->polled, POLLIN);
	EXPECT_EQ(in_child(poll_and_end, scene), want_status);
	bystanders_submit(&by);
	EXPECT_NO_EVENT(ctx);
	put(scene->other);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLERR | POLLHUP);
	EXPECT_UNDISTURBED(&by);
}

static void child_exits(void)
{
	int fds[2];

	make_pipe(fds);
	ends_with_pending_polls(&(struct scene){ fds[0], fds[1], false }, 0);
}

static void child_is_killed(void)
{
	int fds[2];

	make_socketpair(SOCK_STREAM, fds);
	ends_with_pending_polls(&(struct scene){ fds[0], fds[1], true }, SIGKILL);
}

static void write_it(void *arg)
{
	put(*(int *)arg);
}

static void child_exits_while_data_comes(void)
{
	static int other;
	struct bystanders by;
	struct racer *racer;
	int fds[2], i;

	make_pipe(fds);
	other = fds[1];
	racer = racer_start(write_it, &other);
	for (i = 0; i < 10; i++) {
		/* fork() and what follows take 100 us and up. */
		racer_go(racer, i * 50000);
		EXPECT_EQ(in_child(poll_and_end,
				   &(struct scene){ fds[0], -1, i % 2 }),
			  i % 2 ? SIGKILL : 0);
		racer_wait(racer);
		drain(fds[0]);
	}
	bystanders_submit(&by);
	put(other);
	EXPECT_UNDISTURBED(&by);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(child_exits),
	KTAP_CASE(child_is_killed),
	KTAP_CASE(child_exits_while_data_comes),
};

KTAP_MAIN(cases)
