#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Leaves children in sessions of their own that hold its output.
setsid sleep 1000 &
(setsid sh -c "sleep 1000 & sleep 1000" &)
printf "KTAP version 1\n1..1\nok 1 parent\n"
