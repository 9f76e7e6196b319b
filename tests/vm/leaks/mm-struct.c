// SPDX-License-Identifier: GPL-2.0-only
/* A context that cannot be read keeps a reference of the mm_struct (0005). */
#include "aio.h"

static void no_context(void)
{
	EXPECT_EQ(io_destroy(8), -1);
	EXPECT_EQ(errno, EINVAL);
}

static const struct ktap_case cases[] = {
	KTAP_CASE(no_context),
};

KTAP_MAIN(cases)
