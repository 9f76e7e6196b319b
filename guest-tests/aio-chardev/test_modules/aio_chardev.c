// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/aio_chardev: a character device whose requests complete later.
 *
 * It does what the kernel has asked of drivers with asynchronous I/O since 2.6:
 * start the request, return -EIOCBQUEUED, complete it from an interrupt, let it
 * be cancelled until then.
 *
 * The device is a FIFO of bytes.  The offset of a request is its delay in
 * nanoseconds.  When that is over a timer has it put its bytes in, or take bytes
 * out: as many as there is room for, or as there are, which may be none.
 * Requests get their turn in the order in which they are due, and of those that
 * are due at once the one that came first.
 *
 * Who polls it waits on poll_queues wait queues, and is woken by the last of
 * them alone.  It asks for each queue twice, as a driver may that asks for each
 * thing it can wait for and has one queue for some of them.
 */
#include <linux/aio.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kfifo.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define FIFO_SIZE	4096
#define MAX_QUEUES	3

struct request {
	struct list_head entry;		/* in queue, until it has had its turn */
	struct kiocb *iocb;
	ktime_t due;
	bool write;
	bool cancelled;
	bool done;			/* too late to cancel */
	ssize_t res;

	/* Where a read goes to, and a worker that may wait for those pages. */
	struct work_struct work;
	struct mm_struct *mm;
	struct iov_iter to;
	const void *to_iovec;

	size_t count;
	u8 data[];
};

/*
 * Protects all of the below, and of a request what changes after it has been
 * queued.  AIO calls aio_chardev_cancel() with interrupts off and a lock of its
 * own held, which ki_complete() and kiocb_set_cancel_fn() take: neither may be
 * called under this one.
 */
static DEFINE_SPINLOCK(lock);
static DEFINE_KFIFO(fifo, u8, FIFO_SIZE);
static LIST_HEAD(queue);
static struct hrtimer timer;		/* runs for the first of queue */
static struct workqueue_struct *workqueue;

static unsigned int pending;
module_param(pending, uint, 0444);
MODULE_PARM_DESC(pending, "requests that are not complete");

static unsigned int cancelled;
module_param(cancelled, uint, 0444);
MODULE_PARM_DESC(cancelled, "requests that were cancelled");

static wait_queue_head_t queues[MAX_QUEUES];
static unsigned int poll_queues = 1;
module_param(poll_queues, uint, 0644);
MODULE_PARM_DESC(poll_queues, "wait queues of a poll, up to 3");

static unsigned int nr_poll_queues(void)
{
	return clamp(READ_ONCE(poll_queues), 1U, (unsigned int)MAX_QUEUES);
}

/* Not under the lock: whoever is woken may come back with a request. */
static void wake_pollers(void)
{
	wake_up_poll(&queues[nr_poll_queues() - 1], EPOLLIN | EPOLLOUT);
}

static void start_timer(void)
{
	struct request *first;

	first = list_first_entry_or_null(&queue, struct request, entry);
	if (first)
		hrtimer_start(&timer, first->due, HRTIMER_MODE_ABS);
}

static void enqueue(struct request *req)
{
	struct list_head *pos;

	list_for_each_prev(pos, &queue)
		if (list_entry(pos, struct request, entry)->due <= req->due)
			break;
	list_add(&req->entry, pos);
	start_timer();
}

/* Whose turn it is: off the queue, and done but for telling. */
static void transfer(struct request *req)
{
	req->done = true;
	if (req->cancelled)
		req->res = -ECANCELED;
	else if (req->write)
		req->res = kfifo_in(&fifo, req->data, req->count);
	else
		req->res = kfifo_out(&fifo, req->data, req->count);
}

static void free_request(struct request *req)
{
	kfree(req->to_iovec);
	kfree(req);
}

static void complete_request(struct request *req)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	pending--;
	spin_unlock_irqrestore(&lock, flags);

	req->iocb->ki_complete(req->iocb, req->res);
	/* Not before: up to here it may be asked to cancel. */
	free_request(req);
}

/*
 * The process is still there, if only at the end of its exit: that waits for the
 * requests of its AIO contexts before it takes the memory down.
 */
static void finish_read(struct work_struct *work)
{
	struct request *req = container_of(work, struct request, work);

	kthread_use_mm(req->mm);
	if (copy_to_iter(req->data, req->res, &req->to) != req->res)
		req->res = -EFAULT;
	kthread_unuse_mm(req->mm);
	complete_request(req);
}

static enum hrtimer_restart on_timer(struct hrtimer *unused)
{
	struct request *req, *next;
	unsigned long flags;
	ktime_t now = ktime_get();
	LIST_HEAD(ready);

	spin_lock_irqsave(&lock, flags);
	list_for_each_entry_safe(req, next, &queue, entry) {
		if (req->due > now)
			break;
		list_move_tail(&req->entry, &ready);
		transfer(req);
	}
	start_timer();
	spin_unlock_irqrestore(&lock, flags);

	list_for_each_entry_safe(req, next, &ready, entry) {
		if (!req->write && req->res > 0)
			queue_work(workqueue, &req->work);
		else
			complete_request(req);
	}
	wake_pollers();
	return HRTIMER_NORESTART;
}

/*
 * The request may not be completed in here, only made to: it is due now.  If it
 * has not been queued yet, it soon will be.
 */
static int aio_chardev_cancel(struct kiocb *iocb)
{
	struct request *req = iocb->private;
	unsigned long flags;
	int ret = -EAGAIN;

	spin_lock_irqsave(&lock, flags);
	if (!req->done) {
		req->cancelled = true;
		req->due = 0;
		cancelled++;
		if (!list_empty(&req->entry)) {
			list_del(&req->entry);
			enqueue(req);
		}
		ret = 0;
	}
	spin_unlock_irqrestore(&lock, flags);
	return ret;
}

static struct request *alloc_request(struct kiocb *iocb, struct iov_iter *iter)
{
	size_t count = min_t(size_t, iov_iter_count(iter), FIFO_SIZE);
	struct request *req;

	req = kzalloc(struct_size(req, data, count), GFP_KERNEL);
	if (!req)
		return NULL;
	INIT_LIST_HEAD(&req->entry);
	INIT_WORK(&req->work, finish_read);
	req->iocb = iocb;
	req->due = ktime_add_safe(ktime_get(), iocb->ki_pos);
	req->write = iov_iter_rw(iter) == WRITE;
	req->mm = current->mm;
	req->count = count;
	return req;
}

/* For read(2) and its like, who wait for the request in here. */
static ssize_t do_sync(struct request *req, struct iov_iter *iter)
{
	set_current_state(TASK_INTERRUPTIBLE);
	if (schedule_hrtimeout(&req->due, HRTIMER_MODE_ABS))
		return -EINTR;

	spin_lock_irq(&lock);
	transfer(req);
	spin_unlock_irq(&lock);
	wake_pollers();

	if (!req->write && copy_to_iter(req->data, req->res, iter) != req->res)
		return -EFAULT;
	return req->res;
}

static ssize_t do_async(struct request *req, struct iov_iter *iter)
{
	struct kiocb *iocb = req->iocb;

	/* The vectors lie on the submitter's stack (on 6.1 a plain read's too). */
	if (!req->write) {
		req->to_iovec = dup_iter(&req->to, iter, GFP_KERNEL);
		if (!req->to_iovec && !iter_is_ubuf(iter))
			return -ENOMEM;
	}

	/* First of all: once it is queued it may complete, and be freed. */
	iocb->private = req;
	kiocb_set_cancel_fn(iocb, aio_chardev_cancel);

	spin_lock_irq(&lock);
	pending++;
	enqueue(req);
	spin_unlock_irq(&lock);
	return -EIOCBQUEUED;
}

static ssize_t aio_chardev_rw(struct kiocb *iocb, struct iov_iter *iter)
{
	struct request *req = alloc_request(iocb, iter);
	ssize_t ret;

	if (!req)
		return -ENOMEM;

	/* io_uring waits as well: its requests can't be cancelled like that. */
	if (req->write && !copy_from_iter_full(req->data, req->count, iter))
		ret = -EFAULT;
	else if (iocb->ki_flags & IOCB_AIO_RW)
		ret = do_async(req, iter);
	else
		ret = do_sync(req, iter);

	if (ret != -EIOCBQUEUED)
		free_request(req);
	return ret;
}

static __poll_t aio_chardev_poll(struct file *file, poll_table *wait)
{
	unsigned int nr = nr_poll_queues(), i;
	__poll_t mask = 0;

	for (i = 0; i < 2 * nr; i++)
		poll_wait(file, &queues[i % nr], wait);

	spin_lock_irq(&lock);
	if (!kfifo_is_empty(&fifo))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (!kfifo_is_full(&fifo))
		mask |= EPOLLOUT | EPOLLWRNORM;
	spin_unlock_irq(&lock);
	return mask;
}

static const struct file_operations aio_chardev_fops = {
	.owner		= THIS_MODULE,	/* a request holds the file, and that us */
	.read_iter	= aio_chardev_rw,
	.write_iter	= aio_chardev_rw,
	.poll		= aio_chardev_poll,
};

static struct miscdevice aio_chardev = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= KBUILD_MODNAME,
	.fops	= &aio_chardev_fops,
};

static int __init aio_chardev_init(void)
{
	int err, i;

	for (i = 0; i < MAX_QUEUES; i++)
		init_waitqueue_head(&queues[i]);

	/* From 6.13 on that is hrtimer_setup(). */
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	timer.function = on_timer;

	workqueue = alloc_ordered_workqueue(KBUILD_MODNAME, 0);
	if (!workqueue)
		return -ENOMEM;
	err = misc_register(&aio_chardev);
	if (err)
		destroy_workqueue(workqueue);
	return err;
}

/* No request is left, but who completed the last one may still be returning. */
static void __exit aio_chardev_exit(void)
{
	misc_deregister(&aio_chardev);
	hrtimer_cancel(&timer);
	destroy_workqueue(workqueue);
}

module_init(aio_chardev_init);
module_exit(aio_chardev_exit);

MODULE_DESCRIPTION("Character device with asynchronous I/O that completes later");
MODULE_LICENSE("GPL");
