#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A real panic.
echo c > /proc/sysrq-trigger
