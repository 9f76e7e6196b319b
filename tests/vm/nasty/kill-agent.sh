#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# An agent that dies without a splat is no fault of the kernel.
kill -KILL $PPID
sleep 1000
