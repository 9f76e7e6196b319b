#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Keeps its pass, whatever its neighbours do.
printf "KTAP version 1\n1..1\nok 1 good\n"
