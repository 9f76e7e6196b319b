# SPDX-License-Identifier: GPL-2.0-only
"""`harness boot`, `build` and `menuconfig`: kernels and guests without tests."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from harness import cache, project
from harness.cli import cell, parser, screen
from harness.errors import ExitCode, UsageError
from harness.model import SCHEMA, Command

_DAY_S = 86400.0


def add(commands: Any) -> None:
    """See harness.cli.build()."""
    build = parser.command(commands, "build", _build, "apply and build, without a guest")
    cell.add_source(build)
    cell.add_suites(build)
    build.add_argument("--json", action="store_true", help="one JSON document")
    menu = parser.command(
        commands, "menuconfig", _menuconfig, "make menuconfig; what you change becomes a fragment"
    )
    cell.add_source(menu)
    menu.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("menuconfig.config"),
        metavar="FILE",
        help="the fragment, for --kconfig (default: menuconfig.config)",
    )
    boot = parser.command(commands, "boot", _boot, "a shell, or one command, in the same guest")
    cell.add_source(boot)
    cell.add_guest(boot)
    boot.add_argument("guest_command", nargs="*", metavar="CMD", help="after `--`: run this")


def _build(arguments: argparse.Namespace) -> int:
    from harness.visit import Visit

    wanted = cell.from_arguments(arguments)
    watch = screen.watch()
    with cell.open_record(wanted, cache.runs("boots")) as record:
        record.cell(wanted, arguments.argv)
        built = Visit(wanted, project.root(), record, watch).build()
    watch.clear()
    if arguments.json:
        about = {
            "schema": SCHEMA,
            "release": built.release,
            "image": str(built.image),
            "vmlinux": str(built.vmlinux),
            "config": str(built.config),
            "cached": built.cached,
            "warnings": list(built.warnings),
        }
        print(json.dumps(about, indent=1))
        return ExitCode.OK
    for warning in built.warnings:
        print(f"warning: {warning}")
    for name, path in (
        ("image", built.image),
        ("vmlinux", built.vmlinux),
        ("config", built.config),
    ):
        print(f"{name + ':':<9}{path}")
    return ExitCode.OK


def _menuconfig(arguments: argparse.Namespace) -> int:
    from harness.visit import Visit

    if not sys.stdin.isatty():
        raise UsageError("menuconfig needs a terminal")
    wanted = cell.from_arguments(arguments)
    output: Path = arguments.output
    with cell.open_record(wanted, cache.runs("boots")) as record:
        record.cell(wanted, arguments.argv)
        story = Visit(wanted, project.root(), record, screen.watch())
        count = story.menuconfig(output)
    if count:
        print(f"{output}: {count} symbol{'s' * (count > 1)}")
        print(f"next: harness run ... --kconfig {output}")
    else:
        print("nothing was changed")
    return ExitCode.OK


def _boot(arguments: argparse.Namespace) -> int:
    from harness import console, suites
    from harness.visit import Visit

    here = Path.cwd()
    wanted = cell.from_arguments(arguments, suites.shown([here]))
    watch = screen.watch(quiet=not sys.stderr.isatty())
    with cell.open_record(wanted, cache.runs("boots")) as record:
        record.cell(wanted, arguments.argv)
        story = Visit(wanted, project.root(), record, watch)
        if not arguments.guest_command:
            if wanted.guest_kind == "snapshot":
                raise UsageError("--guest snapshot is for a command", hint="a shell boots with vng")
            if not sys.stdin.isatty():
                raise UsageError(
                    "a shell needs a terminal", hint="harness boot ... -- CMD runs one command"
                )
            with story.shell_command() as argv:
                watch.clear()
                return console.interact(argv, record.new_boot()[1] / "console.log")
        with story.guest() as guest:
            watch.clear()
            return run_in(guest, tuple(arguments.guest_command), here)


def run_in(guest: Any, argv: tuple[str, ...], cwd: Path) -> int:
    """Run one command, its output passed through; its status, 128 + N for signal N.

    SCRATCH_DEV is the disk of the first suite that has one."""
    env = tuple(("SCRATCH_DEV", path) for path in list(guest.scratch.values())[:1])
    command = Command(
        argv=argv, cwd=str(cwd), env=env, timeout_s=_DAY_S, label="boot command", patient=True
    )
    ended = guest.run(command, _write_through)
    if ended.loss is not None:
        lines = guest.console.tail(8)
        print(f"harness: {ended.loss}", *lines, sep="\n  ", file=sys.stderr)
        return ExitCode.GUEST_LOST
    return int(128 + ended.signal if ended.status is None else ended.status)


def _write_through(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
