// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread that ends leaves its requests to the process.  A process that ends
 * takes them along, whatever way it goes, and does end.
 */
#include <pthread.h>
#include "child.h"
#include "parked.h"

static char buf[AIO_BATCH][64];

struct scene {
	aio_context_t ctx;
	struct iocb iocb[AIO_BATCH];
	int fds[2];
	bool kill;
};

static void submit_all(struct scene *scene)
{
	int i;

	for (i = 0; i < AIO_BATCH; i++)
		submit_read(scene->ctx, &scene->iocb[i], scene->fds[0], buf[i], 64);
}

static void *submit_and_end_thread(void *arg)
{
	struct scene *scene = arg;
	struct iocb *iocb = &scene->iocb[0];

	aio_prep_rw(iocb, IOCB_CMD_PREAD, scene->fds[0], buf[0], 64, 0);
	return (void *)(intptr_t)aio_submit(scene->ctx, iocb);
}

static void thread_ends(void)
{
	static struct scene scene;
	pthread_t thread;
	struct iocb iocb;
	void *err;
	int fds[2];

	/* Whether io_submit() blocks is seen here, not in the thread. */
	make_blocking_pipe(fds);
	scene.ctx = aio_setup(2);
	submit_read(scene.ctx, &iocb, fds[0], buf[1], 64);
	make_blocking_pipe(scene.fds);
	ASSERT_EQ(pthread_create(&thread, NULL, submit_and_end_thread, &scene), 0);
	pthread_join(thread, &err);
	ASSERT_EQ((intptr_t)err, 0);
	put(scene.fds[1]);
	EXPECT_EQ(aio_event(scene.ctx, &scene.iocb[0]), 8);
}

static void submit_and_end(void *arg)
{
	struct scene *scene = arg;

	scene->ctx = aio_setup(AIO_BATCH);
	submit_all(scene);
	if (scene->kill)
		kill(getpid(), SIGKILL);
}

static void process_ends(bool killed)
{
	static struct scene scene;

	scene.kill = killed;
	make_blocking_pipe(scene.fds);
	EXPECT_EQ(in_child(submit_and_end, &scene), killed ? SIGKILL : 0);
	put(scene.fds[1]);
	/* The descriptors of the child are gone, and so are its requests' files. */
	EXPECT_EQ(read(scene.fds[0], buf, 64), 8);
	ktap_close_now(scene.fds[0]);
	EXPECT(ready_ms(scene.fds[1], POLLERR, AIO_EVENT_TIMEOUT_MS) & POLLERR);
}

static void process_exits(void)
{
	process_ends(false);
}

static void process_is_killed(void)
{
	process_ends(true);
}

static void submit_and_exec(void *arg)
{
	submit_and_end(arg);
	execl("/proc/self/exe", "exit", "end-at-once", NULL);
}

static void process_executes(void)
{
	static struct scene scene;

	make_blocking_pipe(scene.fds);
	EXPECT_EQ(in_child(submit_and_exec, &scene), 0);
	put(scene.fds[1]);
	EXPECT_EQ(read(scene.fds[0], buf, 64), 8);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(thread_ends),
	KTAP_CASE(process_exits),
	KTAP_CASE(process_is_killed),
	KTAP_CASE(process_executes),
};

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 0;
	return ktap_run(cases, ARRAY_SIZE(cases));
}
