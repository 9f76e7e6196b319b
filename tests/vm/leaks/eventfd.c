// SPDX-License-Identifier: GPL-2.0-only
/* Where the key cannot be written the eventfd's context keeps a reference (0002). */
#include <sys/mman.h>
#include "aio.h"

static void key_is_read_only(void)
{
	aio_context_t ctx = aio_setup(1);
	struct iocb *iocb;
	int i;

	iocb = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(iocb != MAP_FAILED);
	for (i = 0; i < AIO_BATCH; i++) {
		int eventfd = ASSERT_OK(syscall(__NR_eventfd2, 0, 0));

		ASSERT_OK(mprotect(iocb, 4096, PROT_READ | PROT_WRITE));
		aio_prep_poll(iocb, eventfd, POLLIN);
		iocb->aio_flags = IOCB_FLAG_RESFD;
		iocb->aio_resfd = eventfd;
		ASSERT_OK(mprotect(iocb, 4096, PROT_READ));
		EXPECT_EQ(io_submit(ctx, 1, &iocb), -1);
		EXPECT_EQ(errno, EFAULT);
		close(eventfd);
	}
	ASSERT_OK(io_destroy(ctx));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(key_is_read_only),
};

KTAP_MAIN(cases)
