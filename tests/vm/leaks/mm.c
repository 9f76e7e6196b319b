// SPDX-License-Identifier: GPL-2.0-only
/* io_setup() that is refused keeps a user of the mm, which keeps this program mapped (0004). */
#include "aio.h"

static void too_many_events(void)
{
	aio_context_t ctx = 0;

	EXPECT_EQ(io_setup(1 << 20, &ctx), -1);
	EXPECT_EQ(errno, EAGAIN);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(too_many_events),
};

KTAP_MAIN(cases)
