// SPDX-License-Identifier: GPL-2.0-only
/*
 * A wait queue that is freed with polls on it (POLLFREE).
 *
 * A signalfd waits on a queue of the task that polls it, not of its own, and the
 * queue goes with the task.  Here it is polled by a child that shares our memory
 * (vfork), hence our context, and exits.  The polls must complete then, they
 * can never be woken again, and must not touch the queue any more.
 */
#include <sched.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include "aio.h"

/* Blocked SIGUSR1, in a signalfd. */
static int make_signalfd(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0 && errno == ENOSYS)
		ktap_skip("no signalfds here: CONFIG_SIGNALFD");
	ASSERT_OK(fd);
	return keep_fd(fd);
}

/*
 * Submit @batch in a child that then exits, at once or with the polls on their
 * way to the worker: a signal wakes them with no event mask, and a child with
 * real-time priority is gone before any worker runs.
 */
static void submit_in_child(struct aio_batch *batch, bool busy)
{
	static const struct sched_param lowest = { .sched_priority = 1 };
	static struct iocb *iocbs[AIO_BATCH];
	static volatile int submitted;
	pid_t pid;
	int i;

	for (i = 0; i < AIO_BATCH; i++)
		iocbs[i] = &batch->iocb[i];
	submitted = 0;
	/* Nobody has to reap the child: it frees its queue itself. */
	signal(SIGCHLD, SIG_IGN);
	pid = vfork();
	if (!pid) {
		submitted = io_submit(batch->ctx, AIO_BATCH, iocbs);
		if (busy) {
			sched_setscheduler(0, SCHED_FIFO, &lowest);
			kill(getpid(), SIGUSR1);
		}
		_exit(0);
	}
	ASSERT_OK(pid);
	KTAP_HERE("waiting for the child to be gone");
	while (waitpid(pid, NULL, 0) != -1 || errno != ECHILD)
		;
	ASSERT_EQ(submitted, AIO_BATCH);
}

static void polling_task_exits(bool busy)
{
	int fd = make_signalfd(), i;
	struct aio_batch batch;
	struct bystanders by;

	aio_batch_prep(&batch, aio_setup(AIO_BATCH), fd, POLLIN);
	bystanders_submit(&by);
	for (i = 0; i < 10; i++) {
		submit_in_child(&batch, busy);
		aio_batch_collect(&batch);
		EXPECT_EQ(aio_cancel_iocb(batch.ctx, &batch.iocb[0]), -EINVAL);
	}
	EXPECT_NO_EVENT(batch.ctx);
	EXPECT_UNDISTURBED(&by);
}

static void task_exits(void)
{
	polling_task_exits(false);
}

static void task_exits_with_the_polls_busy(void)
{
	polling_task_exits(true);
}

/* The same without the end: signals do complete polls of their own task. */
static void signal_is_ready_at_once(void)
{
	aio_context_t ctx = aio_setup(1);
	int fd = make_signalfd();
	struct iocb iocb;

	ASSERT_OK(kill(getpid(), SIGUSR1));
	aio_poll(ctx, &iocb, fd, POLLIN);
	EXPECT_EVENT(ctx, &iocb, POLLIN, POLLHUP | POLLERR);
	drain(fd);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(signal_is_ready_at_once),
	KTAP_CASE(task_exits),
	KTAP_CASE(task_exits_with_the_polls_busy),
};

KTAP_MAIN(cases)
