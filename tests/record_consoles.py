#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Consoles of kernels that break, for tests/data/consoles: `tests/record_consoles.py [TREE...]`.

Boots each tree with tests/data/breaker applied, without and with kconfigs/debug.config, breaks it
in every way of EXPECTED, a guest each, and writes what came to the console from the test's marker
on, with what the scanner has to find in it. The table says kind and function; the title is the
scanner's, to be read before it is committed.
"""

import argparse
import json
import os
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
}
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


def record(tree: str, variant: str, expected: dict[str, tuple[str, str]]) -> None:
    """Break one kernel in all ways, and write what came of it."""
    options = ["--tree", tree, "--series", str(BREAKER), "--suite", "breaker", "--timeout", "60"]
    suites: tuple[str, ...] = ("aio-poll",)
    if variant == "debug":
        suites = ("aio-read", "fsx")
        options += ["--kconfig", "debug", "--memory", "1024"]
    with tempfile.TemporaryDirectory() as place:
        env = {
            **os.environ,
            "HARNESS_PROJECT": str(project(Path(place) / "p", list(expected), suites)),
        }
        command = [sys.executable, "-m", "harness", "run", *options, "--json"]
        done = subprocess.run(
            [*command, "--output", place], stdout=subprocess.PIPE, env=env, check=False
        )
        run: dict[str, Any] = json.loads(done.stdout)
        for result in run["results"]:
            name = result["test"].partition("/")[2]
            log = Path(run["run_dir"]) / f"boots/{result['boot']:03}/console.log"
            said = f"harness run {' '.join(options[:6])}, breaker/{name}"
            write(f"{tree}-{variant}-{name}", said, log.read_bytes(), expected[name])


def write(name: str, command: str, console: bytes, expected: tuple[str, str]) -> None:
    """One console and its expectations; complains where the table says otherwise."""
    lines = console.split(b"\n")
    marker = next(number for number, line in enumerate(lines) if b": start " in line)
    kept = b"\n".join(lines[max(0, marker - _BEFORE) :][:_LINES])
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
    parser.add_argument("--variant", choices=("plain", "debug"))
    parser.add_argument("--only", action="append", default=[], metavar="ACT")
    arguments = parser.parse_args()
    for tree in arguments.trees:
        for variant, expected in (("plain", PLAIN), ("debug", DEBUG)):
            if arguments.variant in (None, variant):
                chosen = arguments.only or list(expected)
                record(tree, variant, {k: v for k, v in expected.items() if k in chosen})


if __name__ == "__main__":
    main()
