#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# W, as a warning would, but without one; and U, which says nothing against a kernel
echo 576 >/proc/sys/kernel/tainted
