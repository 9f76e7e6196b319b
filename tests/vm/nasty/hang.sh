#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Never ends, and does not listen to SIGTERM.
trap "" TERM
while :; do sleep 1000; done
