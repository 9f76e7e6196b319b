#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Consoles of kernels that break, for tests/data/consoles: `tests/record_consoles.py [TREE...]`.

Boots each tree with tests/data/breaker applied, without and with kconfigs/debug.config, breaks it
in every way of PLAIN and DEBUG, a guest each, and writes what came to the console from the test's
marker on, with what the scanner has to find in it; then in every way of BOOT, and writes the whole
console. The tables say kind and function; the title is the scanner's, to be read before it is
committed.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import splat

REPO = Path(__file__).parents[1]
BREAKER = REPO / "tests/data/breaker"
CONSOLES = REPO / "tests/data/consoles"
_BEFORE = 3  # lines of the console before the marker
_LINES = 200

PLAIN: dict[str, tuple[str, str]] = {
    "null_deref": ("null-deref", "breaker_null_deref"),
    "page_fault": ("page-fault", "breaker_page_fault"),
    "gpf": ("gpf", "breaker_gpf"),
    "jump_null": ("null-deref", "breaker_jump_null"),
    "divide": ("trap", "breaker_divide"),
    "invalid_opcode": ("trap", "breaker_invalid_opcode"),
    "bug": ("bug", "breaker_bug"),
    "warn": ("warning", "breaker_warn"),
    "warn_message": ("warning", "breaker_warn_message"),
    "panic": ("panic", "breaker_panic"),
    "refcount": ("refcount", "breaker_refcount"),
    "hung_task": ("hung-task", "breaker_stuck_thread"),
    "soft_lockup": ("soft-lockup", "breaker_busy"),
    "rcu_stall": ("rcu-stall", "breaker_busy"),
    "sysrq_crash": ("panic", ""),
    "oom": ("oom", ""),
    "stack_overflow": ("stack-overflow", "breaker_stack_overflow"),
}
TWO_CPUS = {"rcu_stall"}  # a grace period needs one that is free to begin
DEBUG: dict[str, tuple[str, str]] = {
    "null_deref": ("gpf", "breaker_null_deref"),  # KASAN looks at its shadow first
    "gpf": ("gpf", "breaker_gpf"),
    "list_del": ("list-corruption", "breaker_list_del"),
    "list_add": ("list-corruption", "breaker_list_add"),
    "atomic_sleep": ("atomic-sleep", "breaker_atomic_sleep"),
    "schedule_atomic": ("atomic-sleep", "breaker_schedule_atomic"),
    "spinlock": ("spinlock", "breaker_spinlock"),
    "circular": ("lockdep", "breaker_circular"),
    "unlock_balance": ("lockdep", "breaker_unlock_balance"),
    "recursive": ("lockdep", "breaker_recursive"),
    "lock_held": ("lockdep", "breaker_lock_held"),
    "lock_freed": ("lockdep", "breaker_lock_freed"),
    "irq_unsafe": ("lockdep", "breaker_irq_unsafe"),
    "rcu_usage": ("rcu-usage", "breaker_rcu_usage"),
    "workqueue": ("workqueue-lockup", ""),  # 6.12 says nothing of it
    "use_after_free": ("kasan", "breaker_use_after_free"),
    "out_of_bounds": ("kasan", "breaker_out_of_bounds"),
    "double_free": ("kasan", "breaker_double_free"),
    "stack_out_of_bounds": ("ubsan", "breaker_stack_out_of_bounds"),  # and then KASAN
    "ubsan_shift": ("ubsan", "breaker_ubsan_shift"),
    "ubsan_bounds": ("ubsan", "breaker_ubsan_bounds"),
    "odebug": ("odebug", "breaker_odebug"),
    "leak": ("kmemleak", ""),
}
"""What breaks, the kind of its first splat, and the guilty function (empty: not of breaker.c)."""
BOOT: dict[str, tuple[str, tuple[str, str]]] = {
    "panic": ("breaker=panic", ("panic", "breaker_panic")),
    "null_deref": ("breaker=null_deref", ("null-deref", "breaker_null_deref")),
    "hang": ("breaker=hang watchdog_thresh=1", ("soft-lockup", "breaker_hang")),
    "no_init": ("init=/nowhere", ("no-init", "")),
    "no_root": ("root=/dev/nowhere", ("no-init", "")),
    "init_ends": ("init=/bin/true", ("panic", "")),
}
"""The same for a boot, with what is on its command line."""


def project(root: Path, names: list[str], suites: tuple[str, ...]) -> Path:
    """A project with one suite: a test for each way to break."""
    area = root / "guest-tests/breaker"
    area.mkdir(parents=True)
    for shared in ("kconfigs", "patches", "guest-tests/lib"):
        (root / shared).symlink_to(REPO / shared)
    (area / "Makefile").write_text(f"TEST_PROGS := {' '.join(names)}\ninclude ../lib/lib.mk\n")
    (area / "settings").write_text("timeout=20\nisolation=test\n")
    # Of suites that kernels are built for anyway.
    configs = [REPO / f"guest-tests/{name}/config" for name in suites]
    (area / "config").write_text("".join(path.read_text() for path in configs))
    for name in names:
        (area / name).write_bytes((BREAKER / "suite/act").read_bytes())
        (area / name).chmod(0o755)
    return root


def record(tree: str, variant: str, expected: dict[str, tuple[str, str]], *more: str) -> None:
    """Break one kernel in all ways, and write what came of it."""
    options = ["--tree", tree, "--series", str(BREAKER), "--suite", "breaker", "--timeout", "60"]
    options += [*more, "--jobs", "1"]
    suites: tuple[str, ...] = ("aio-poll",)
    if variant == "debug":
        suites = ("aio-read", "fsx")
        options += ["--kconfig", "debug", "--memory", "1024"]
    with tempfile.TemporaryDirectory() as place:
        root = project(Path(place) / "p", list(expected), suites)
        run = harness_run(options, place, root)
        for result in run["results"]:
            name = result["test"].partition("/")[2]
            log = Path(run["run_dir"]) / f"boots/{result['boot']:03}/console.log"
            said = f"harness run {' '.join([*options[:6], *more])}, breaker/{name}"
            write(f"{tree}-{variant}-{name}", said, from_marker(log.read_bytes()), expected[name])


def record_boots(tree: str, chosen: list[str]) -> None:
    """Break the boot of a kernel in all ways; it has the image that the guests of a test have."""
    options = [
        "--tree",
        tree,
        "--series",
        str(BREAKER),
        "--suite",
        "breaker",
        "--guest",
        "snapshot",
    ]
    with tempfile.TemporaryDirectory() as place:
        run = harness_run(options, place, project(Path(place) / "p", ["warn"], ("aio-poll",)))
        words = shlex.split((Path(run["run_dir"]) / "boots/001/qemu.cmd").read_text())
    kernel = words[words.index("-kernel") + 1]
    root = next(word for word in words if word.startswith("file=") and "id=root" in word)
    machine = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max", "-m", "512", "-no-reboot"]
    machine += ["-nodefaults", "-display", "none", "-serial", "stdio", "-kernel", kernel]
    machine += ["-drive", root, "-device", "virtio-blk-pci,drive=root"]
    for name, (argument, expected) in BOOT.items():
        if name not in chosen:
            continue
        said = f"console=ttyS0 panic=-1 root=/dev/vda rootfstype=ext4 ro init=/bin/true {argument}"
        try:
            done = subprocess.run(
                [*machine, "-append", said], capture_output=True, timeout=20, check=False
            )
            console = done.stdout
        except subprocess.TimeoutExpired as error:
            console = error.stdout or b""
        where = f"qemu-system-x86_64 of breaker, -append '{said}'"
        write(f"{tree}-boot-{name}", where, console, expected)


def harness_run(options: list[str], place: str, root: Path) -> dict[str, Any]:
    """The document of a run on that project."""
    command = [sys.executable, "-m", "harness", "run", *options, "--json", "--output", place]
    env = {**os.environ, "HARNESS_PROJECT": str(root)}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=env, check=False)
    run: dict[str, Any] = json.loads(done.stdout)
    return run


def from_marker(console: bytes) -> bytes:
    """What came from a few lines before the test's start on."""
    lines = console.split(b"\n")
    marker = next(number for number, line in enumerate(lines) if b": start " in line)
    return b"\n".join(lines[max(0, marker - _BEFORE) :][:_LINES])


def write(name: str, command: str, kept: bytes, expected: tuple[str, str]) -> None:
    """One console and its expectations; complains where the table says otherwise."""
    found = splat.scan(kept)
    first = (found[0].kind, found[0].function) if found else ("nothing", "")
    wrong = first[0] != expected[0] or (expected[1] and first[1] != expected[1])
    print(f"{'NOT' if wrong else 'ok ':<4}{name:<28} {first} {[s.title for s in found]}")
    head = [f"# made by: {command.replace(str(REPO) + '/', '')}"]
    head += [f"# expect: {one.kind} {one.function or '-'} {one.title}" for one in found]
    (CONSOLES / f"{name}.txt").write_bytes("\n".join([*head, ""]).encode() + kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="*", default=["6.12", "6.1"])
    parser.add_argument("--variant", choices=("plain", "debug", "boot"))
    parser.add_argument("--only", action="append", default=[], metavar="ACT")
    arguments = parser.parse_args()
    wanted = set(arguments.only)
    for tree in arguments.trees:
        for variant, expected in (("plain", PLAIN), ("debug", DEBUG)):
            chosen = {k: v for k, v in expected.items() if not wanted or k in wanted}
            alone = {k: v for k, v in chosen.items() if k not in TWO_CPUS}
            if arguments.variant not in (None, variant):
                continue
            if alone:
                record(tree, variant, alone)
            if beside := {k: v for k, v in chosen.items() if k in TWO_CPUS}:
                record(tree, variant, beside, "--cpus", "2")
        if arguments.variant in (None, "boot"):
            record_boots(tree, [name for name in BOOT if not wanted or name in wanted])


if __name__ == "__main__":
    main()
