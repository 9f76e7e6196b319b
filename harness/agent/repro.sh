#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs one test in a guest without the harness (`harness repro`): the agent, as init, has set the
# guest up and starts this in place of a shell. What to run is in the file `command` beside this
# one, or else on a disk of that serial number: shell code that sets `label`, the working
# directory, the environment and, with `set --`, the command line. The test's output goes to the
# port harness.output; to the port harness.status go "start MICROSECONDS", what the agent's
# calibration takes here, and "exit STATUS". What the agent gives a test it has here too: a session
# of its own, no standard input, a pipe, no other descriptor, and what it leaves behind is killed.

find_port() {
	for port in /sys/class/virtio-ports/*; do
		[ "$(cat "$port/name")" = "$1" ] && echo "/dev/${port##*/}"
	done
}

find_disk() {
	for disk in /sys/block/vd*; do
		[ "$(cat "$disk/serial")" = "$1" ] && echo "/dev/${disk##*/}"
	done
}

mark() {
	echo "<5>harness 0000000000000000: $*" >/dev/kmsg
}

kill_leftovers() {
	for process in /proc/[0-9]*; do
		case " 1 $$ $1 " in
		*" ${process##*/} "*) ;;
		*) kill -9 "${process##*/}" 2>/dev/null ;;
		esac
	done
}

calibration=$("${0%/*}/agent" --calibrate)
command=${0%/*}/command
[ -f "$command" ] || command=$(find_disk command)
tr -d '\000' <"$command" >/run/command # the rest of a disk's last sector
mkfifo /run/output
cat /run/output >"$(find_port harness.output)" &
reader=$!
exec 9>"$(find_port harness.status)"

label='a test'
# shellcheck source=/dev/null
. /run/command
mark "start 1 $label"
echo "start $calibration" >&9
env -u PWD -u OLDPWD -u SHLVL -u _ setsid "$@" </dev/null >/run/output 2>&1 9>&- &
wait $!
status=$?
sleep 0.1 # for output still in the pipe
kill -0 "$reader" 2>/dev/null && kill_leftovers "$reader"
wait "$reader"
mark "end 1"
echo "exit $status" >&9
