#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Boots the guest of this directory and runs its one test: what that prints comes to standard
# output as it is printed, the kernel's console is in console.log afterwards. README says more.
#
#   ACCEL=kvm|tcg   in place of what the recorded run had
#   KERNEL=FILE     another kernel
#   APPEND=WORDS    more for the kernel's command line
#   TIMEOUT=S       for the test, in seconds as they are; 0: none
#   CONSOLE=FILE    in place of console.log
#   QEMU=PROGRAM    in place of qemu-system-x86_64
#   TMPDIR=DIR      where the scratch disk lies meanwhile
#
# Ends with the test's status (128 + N for signal N), or with
#   123  the test ended with 0, but the kernel reported something
#   124  the test did not end in time
#   125  the guest died or did not come up, or there is none
set -u

test_name=test accel=tcg cpu=max kernel=vmlinux boot_s=120 end_s=20 timeout_ms=60000 scaled=1 serve_ms=0
host_us=1 scratch_bytes=0 hosted=0 expected='' recorded=''
# @settings@

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 125
QEMU=${QEMU:-qemu-system-x86_64}
export QEMU

say() {
	printf 'repro: %s\n' "$*" >&2
}

give_up() {
	say "$1"
	exit 125
}

# shellcheck disable=SC2317 # a trap calls it
clean_up() {
	[ -z "$watcher" ] || kill -9 "$watcher" 2>/dev/null # first: it would kill what QEMU's number is then
	[ -z "$qemu" ] || kill -9 "$qemu" 2>/dev/null
	[ -z "$work" ] || rm -rf "$work"
}

# The time that the test has, in seconds, in a guest where the calibration takes $1.
limit() {
	if [ -n "${TIMEOUT:-}" ]; then
		echo "$TIMEOUT"
		return
	fi
	us=$1
	[ "$us" -gt "$host_us" ] || us=$host_us
	if [ "$scaled" = 1 ]; then
		echo $(((timeout_ms + serve_ms) * us / host_us / 1000 + 1))
	else
		echo $((timeout_ms / 1000 + serve_ms * us / host_us / 1000 + 1))
	fi
}

# The word that follows $1 in what the guest has told, if it has.
told() {
	sed -n "s/^$1 \([0-9][0-9]*\)\$/\1/p" "$work/status"
}

# Ends QEMU, process $1, when the time is up for what the guest does; says in `late` what that was.
watch() {
	phase=boot left=$boot_s
	while sleep 1; do
		if [ "$phase" = boot ] && us=$(told start) && [ -n "$us" ]; then
			phase=test left=$(limit "$us")
			[ "$left" != 0 ] || left=-1
		elif [ "$phase" = test ] && [ -n "$(told exit)" ]; then
			phase=end left=$end_s
		fi
		[ "$left" != 0 ] || break
		left=$((left - 1))
	done
	echo "$phase" >"$work/late"
	kill -9 "$1"
}

# One guest, from its start to its end.
boot() {
	rm -f "$work/late" "$work/scratch"
	: >"$work/status"
	: >"$work/console.log"
	[ "$scratch_bytes" = 0 ] || truncate -s "$scratch_bytes" "$work/scratch" ||
		give_up "there is no scratch disk of $scratch_bytes bytes in $work"
	# At the end of its input QEMU would take the reader of its output for gone: this has none.
	# shellcheck source=/dev/null
	(cd "$work" && . ./qemu.cmd) <>"$work/input" &
	qemu=$!
	watch "$qemu" >/dev/null 2>&1 &
	watcher=$!
	wait "$qemu" 2>/dev/null
	kill -9 "$watcher" 2>/dev/null # a TERM may come while it still has our trap for it, and be lost
	wait "$watcher" 2>/dev/null
	qemu='' watcher=''
}

# console.log is of the run that ended last; one that began before has its own.
keep_console() {
	console=${CONSOLE:-}
	if [ -z "$console" ]; then
		place=$here
		[ -w "$place" ] || place=$PWD
		[ -w "$place" ] || place=${TMPDIR:-/tmp}
		console=$place/console.log
		# shellcheck disable=SC3013 # in POSIX since 2024, in shells before
		[ ! "$console" -nt "$work/qemu.cmd" ] || console=$place/console.$$.log
	fi
	cat "$work/console.log" >"$console" || say "there is no room for $console"
}

# What the kernel reported since the test began, if it did, by the first lines of usual reports.
reports() {
	mark='harness 0*: start 1 '
	grep -q "$mark" "$work/console.log" || mark='^'
	tr -d '\r' <"$work/console.log" | sed -n "/$mark/,\$p" | grep -E \
		'(WARNING|BUG|kernel BUG|Oops|UBSAN|INFO): |general protection|Kernel panic|double fault' |
		grep -v -E 'INFO: (NMI handler|lockdep is turned off)' | sed 's/^\[[^]]*\] *//'
}

last_words() {
	tr -d '\r' <"$work/console.log" | tail -n "$1" | sed 's/^/  /' >&2
}

# What the shell is to end with.
judge() {
	status=$(told exit)
	late=$(cat "$work/late" 2>/dev/null)
	report=$(reports | head -n 1)
	if [ -n "$status" ]; then
		verdict="exit status $status"
		[ "$status" -le 128 ] || [ "$status" -gt 192 ] || verdict="killed by signal $((status - 128))"
		[ "$status" != 0 ] || [ -z "$report" ] || [ -n "$expected" ] || status=123
	elif [ "$late" = test ]; then
		status=124 verdict="no end within $(limit "$(told start)") s"
		last_words 10
	else
		status=125 verdict='the guest died'
		[ -n "$(told start)" ] || verdict='the guest did not come up'
		[ -z "$late" ] || verdict="$verdict within $boot_s s"
		last_words 25
	fi
	[ -z "$report" ] || verdict="$verdict; the kernel reported: $report"
}

work='' qemu='' watcher=''
command -v "$QEMU" >/dev/null || give_up "$QEMU is not installed: apt-get install \
qemu-system-x86, dnf install qemu-system-x86-core, pacman -S qemu-system-x86, zypper install qemu-x86"
[ "$hosted" = 0 ] || command -v vng >/dev/null ||
	give_up 'vng is not installed: pipx install virtme-ng, or the package virtme-ng'
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
work=$(mktemp -d) || exit 125
case ${KERNEL:=$here/$kernel} in
/*) ;;
*) KERNEL=$PWD/$KERNEL ;;
esac
[ -r "$KERNEL" ] || give_up "there is no kernel $KERNEL"
# QEMU sees names without a directory: no comma or colon in one upsets it.
ln -s "$KERNEL" "$work/$kernel"
ln -s "$here/command" "$work"
cp "$here/qemu.cmd" "$work" && mkfifo "$work/input" || exit 125
if [ "$hosted" = 0 ]; then
	ln -s "$here/root.img" "$work"
else
	cp -R "$here/agent" "$here/program" "$work" && cp "$here/command" "$work/agent" || exit 125
fi

asked=${ACCEL:-}
ACCEL=${asked:-$accel}
if [ -z "$asked" ] && [ "$ACCEL" = kvm ] && ! { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }; then
	say 'the recorded run had KVM, which is not to be had here: without it (tcg)'
	ACCEL=tcg
fi
while :; do
	CPU=$cpu
	[ "$ACCEL" = "$accel" ] || case $ACCEL in kvm) CPU=host ;; *) CPU=max ;; esac
	export ACCEL CPU
	boot
	[ -n "$(told start)" ] || [ -n "$asked" ] || [ "$ACCEL" != kvm ] || {
		say 'no guest comes up with KVM here: without it (tcg)'
		ACCEL=tcg
		continue
	}
	break
done
# What the guest said is not all there where there was no room for it.
dd if=/dev/zero of="$work/room" bs=4096 count=1 2>/dev/null || give_up "there is no room left in $work"
judge
keep_console
say "$test_name: $verdict${recorded:+ (recorded: $recorded)}"
say "console: $console"
exit "$status"
