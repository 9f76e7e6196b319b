#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The status by which virtme-ng itself says that something went wrong.
exit 255
