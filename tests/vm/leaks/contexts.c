// SPDX-License-Identifier: GPL-2.0-only
/* Contexts that go with their process stay in aio-nr (0003). */
#include "aio.h"

static void leaves_contexts(void)
{
	aio_context_t one = 0, other = 0;

	ASSERT_OK(io_setup(100, &one));
	ASSERT_OK(io_setup(28, &other));
}

static const struct ktap_case cases[] = {
	KTAP_CASE(leaves_contexts),
};

KTAP_MAIN(cases)
