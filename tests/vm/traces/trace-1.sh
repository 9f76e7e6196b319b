#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Fails where it finds what it, or one like it, has left in this guest before.

found() {
	echo "a trace: $*"
	exit 1
}

for place in /tmp /dev/shm /run /root /etc "$(pwd)"; do
	[ ! -e "$place/trace" ] || found "$place/trace"
	echo "$0" > "$place/trace" || exit 1
done
[ "$(hostname)" = harness ] || found "hostname $(hostname)"
hostname traced
# In the memory of the kernel, and of a process that stays.
[ "$(cat /proc/sys/kernel/msgmax)" != 12345 ] || found msgmax
echo 12345 > /proc/sys/kernel/msgmax
pidof sleep > /dev/null && found "a process"
setsid sleep 1000 > /dev/null 2>&1 < /dev/null &
[ -b "$SCRATCH_DEV" ] || found "no $SCRATCH_DEV"
[ "$(dd if="$SCRATCH_DEV" bs=4096 count=16 2> /dev/null | tr -d '\000' | wc -c)" = 0 ] ||
	found "$SCRATCH_DEV"
tr '\000' x < /dev/zero | dd of="$SCRATCH_DEV" bs=4096 count=16 iflag=fullblock conv=fsync 2> /dev/null
[ "$(dd if="$SCRATCH_DEV" bs=4096 count=16 2> /dev/null | tr -d '\000' | wc -c)" = 65536 ] ||
	found "$SCRATCH_DEV does not keep what is written"
# Random numbers are nobody else's.
echo "random $(od -An -N16 -tx1 /dev/urandom | tr -d ' ')"
echo "date $(date +%s)"
