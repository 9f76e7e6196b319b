# SPDX-License-Identifier: GPL-2.0-only
"""The `harness` command: arguments, logging, progress. The only room that prints or exits."""

import argparse
import errno
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from harness import cache, project
from harness.errors import ExitCode, HarnessError, HostError, UsageError
from harness.model import SCHEMA, Cell, Command, GuestSpec, Mount, Series
from harness.report import text

_HIDDEN_IN_GUEST = ("/tmp", "/run", "/dev", "/proc", "/sys", "/var/tmp", "/var/cache", "/var/log")


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit status of docs/design.md."""
    _handle_signals()
    arguments = _parser().parse_args(argv)
    arguments.argv = list(argv)
    try:
        return int(arguments.command(arguments))
    except HarnessError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except OSError as error:
        from harness import proc

        place = str(error.filename or "a file")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _complain(proc.disk_full(place))
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return _complain(HostError(f"{place}: {error.strerror}"))
        return _bug()
    except Exception:  # noqa: BLE001 (the last resort: a bug of ours has its own exit code)
        return _bug()
    finally:
        logging.getLogger("harness").handlers.clear()


def _complain(error: HarnessError) -> int:
    print(text.render_error(error, colour=_colour(sys.stderr)), end="", file=sys.stderr)
    return error.exit_code


def _bug() -> int:
    traceback.print_exc()
    print("harness: a bug in harness: please report it with the lines above", file=sys.stderr)
    return ExitCode.BUG


def _handle_signals() -> None:
    """The first Ctrl-C (or TERM, HUP) unwinds and keeps what is known; the second ends at once:
    the guards below us then see their pipe close and kill what they guard."""
    seen: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if seen:
            os._exit(ExitCode.INTERRUPTED)
        seen.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _colour(stream: Any) -> bool:
    return bool(stream.isatty()) and "NO_COLOR" not in os.environ


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Apply a kernel patch series, build it, boot it, test it, say what it changed.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_boot(commands)
    _add_series(commands)
    _add_tree(commands)
    _add_doctor(commands)
    _add_cache(commands)
    return parser


def _add(
    commands: Any, name: str, function: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + "."
    )
    parser.set_defaults(command=function)
    return parser


def _add_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--series", metavar="A[,B]", help="series of patches/, one on the other")
    parser.add_argument("--tree", metavar="NAME|PATH", help="kernel tree (default: series' first)")
    parser.add_argument(
        "--kconfig", action="append", default=[], metavar="NAME|FILE", help="a fragment more"
    )
    parser.add_argument("--cpus", type=int, default=1, help="processors of the guest")
    parser.add_argument("--memory", type=int, default=512, metavar="MIB", help="its memory")
    parser.add_argument(
        "--append", action="append", default=[], metavar="WORD", help="kernel command line"
    )
    parser.add_argument("--accel", choices=("kvm", "tcg"), help="default: find out what works")
    parser.add_argument(
        "--suite", action="append", default=[], metavar="NAME", help="area of guest-tests/"
    )


def _add_run(commands: Any) -> None:
    parser = _add(commands, "run", _run, "apply, build, boot, test, and say what came out")
    _add_cell(parser)
    parser.add_argument(
        "--test", action="append", default=[], metavar="GLOB", help="only the tests that match"
    )
    parser.add_argument("--base", action="store_true", help="run the unpatched base as well")
    parser.add_argument(
        "--new-only", action="store_true", help="with --base: exit 1 only for what is new"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--output", type=Path, metavar="DIR", help="parent of the run directory")


def _add_boot(commands: Any) -> None:
    parser = _add(commands, "boot", _boot, "a shell, or one command, in the same guest")
    _add_cell(parser)
    parser.add_argument("guest_command", nargs="*", metavar="CMD", help="after `--`: run this")


def _add_series(commands: Any) -> None:
    parser = commands.add_parser("series", help="list, show or check the series of patches/")
    inner = parser.add_subparsers(required=True, metavar="ACTION")
    _add(inner, "list", _series_list, "the series of this project")
    _add(inner, "show", _series_show, "one series: its patches and what they touch").add_argument(
        "name"
    )
    check = _add(inner, "check", _series_check, "does it apply to its bases, and checkpatch")
    check.add_argument("name")
    check.add_argument("--build", action="store_true", help="build it on each base as well")


def _add_tree(commands: Any) -> None:
    parser = commands.add_parser("tree", help="list, add or remove named kernel trees")
    inner = parser.add_subparsers(required=True, metavar="ACTION")
    _add(inner, "list", _tree_list, "the trees that have a name")
    add = _add(inner, "add", _tree_add, "give a repository, tarball, directory or URL a name")
    add.add_argument("name")
    add.add_argument("place", metavar="PATH|URL")
    _add(inner, "remove", _tree_remove, "forget a name").add_argument("name")


def _add_doctor(commands: Any) -> None:
    parser = _add(commands, "doctor", _doctor, "what this machine has and lacks")
    parser.add_argument("--probe", action="store_true", help="try KVM anew with a built kernel")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _add_cache(commands: Any) -> None:
    parser = commands.add_parser("cache", help="show or empty the cache")
    inner = parser.add_subparsers(required=True, metavar="ACTION")
    _add(inner, "show", _cache_show, "what lies in the cache and how large it is")
    _add(inner, "prune", _cache_prune, "remove slots and kernels that are not in use")


def _load_series(names: str | None, tree: str | None) -> Series:
    from harness import series

    root = project.root()
    parts = [name for name in (names or "").split(",") if name]
    return series.stack(tuple(series.load(root, name, tree) for name in parts))


def _cell(arguments: argparse.Namespace, mounts: tuple[Mount, ...] = ()) -> Cell:
    if arguments.cpus < 1 or arguments.memory < 64:
        raise UsageError("a guest has at least one processor and 64 MiB")
    return Cell(
        stack=_load_series(arguments.series, arguments.tree),
        tree=arguments.tree,
        kconfigs=tuple(arguments.kconfig),
        suites=tuple(arguments.suite),
        tests=tuple(getattr(arguments, "test", ())),
        guest=GuestSpec(
            cpus=arguments.cpus, memory_mib=arguments.memory, cmdline=tuple(arguments.append)
        ),
        mounts=mounts,
        with_base=getattr(arguments, "base", False),
        accel=arguments.accel,
    )


def _terminal(*, quiet: bool = False) -> Any:
    from harness.terminal import Terminal

    live = sys.stderr.isatty()
    terminal = Terminal(sys.stderr, live=live, colour=_colour(sys.stderr), quiet=quiet)
    log = logging.getLogger("harness")
    log.setLevel(logging.INFO)
    log.addHandler(terminal)
    return terminal


def _open_record(cell: Cell, parent: Path | None) -> Any:
    from harness.record import Record

    tree = cell.tree or (cell.stack.bases[0] if cell.stack.bases else "6.12")
    kconfig = "+".join(("base", *(Path(name).stem for name in cell.kconfigs)))
    return Record(
        parent or cache.runs(), series=cell.stack.name, base=Path(tree).name, kconfig=kconfig
    )


def _run(arguments: argparse.Namespace) -> int:
    from harness import verdict
    from harness.pipeline import CellRun
    from harness.record import document

    cell = _cell(arguments)
    watch = _terminal()
    error: HarnessError | None = None
    interrupted = False
    with _open_record(cell, arguments.output) as record:
        record.cell(cell, arguments.argv)
        story = CellRun(cell, project.root(), record, watch)
        try:
            story.run()
        except HarnessError as caught:
            error = caught
        except KeyboardInterrupt:
            interrupted = True
        watch.clear()
        run = story.snapshot()
        if error is not None:
            code = error.exit_code
        elif interrupted:
            code = ExitCode.INTERRUPTED
        else:
            code = verdict.exit_code(run, new_only=arguments.new_only)
        said = error.message if error else "interrupted" if interrupted else ""
        made = document(run, code, said)
        record.finish(made)
    if arguments.json:
        print(json.dumps(made, indent=1))
    else:
        print(text.render(run, colour=_colour(sys.stdout)), end="")
        if again := text.rerun_command(run, arguments.argv):
            print(f"rerun:  {again}")
    if error is not None:
        _complain(error)
    elif interrupted:
        print("harness: interrupted; what was known by then is recorded", file=sys.stderr)
    return code


def _boot(arguments: argparse.Namespace) -> int:
    from harness import console
    from harness.pipeline import CellRun

    here = str(Path.cwd())
    hidden = any(here == place or here.startswith(f"{place}/") for place in _HIDDEN_IN_GUEST)
    mounts = (Mount(guest=here, host=Path(here)),) if hidden else ()
    cell = _cell(arguments, mounts)
    watch = _terminal(quiet=not sys.stderr.isatty())
    with _open_record(cell, None) as record:
        record.cell(cell, arguments.argv)
        story = CellRun(cell, project.root(), record, watch)
        if not arguments.guest_command:
            if not sys.stdin.isatty():
                raise UsageError(
                    "a shell needs a terminal", hint="harness boot ... -- CMD runs one command"
                )
            argv = story.shell_command()
            watch.clear()
            return console.interact(argv, record.new_boot()[1] / "console.log")
        with story.guest() as guest:
            watch.clear()
            command = Command(
                argv=tuple(arguments.guest_command),
                cwd=here,
                timeout_s=86400.0,
                label="boot command",
            )
            ended = guest.run(command, _write_through)
            if ended.loss is not None:
                lines = guest.console.tail(8)
                print(f"harness: {ended.loss}", *lines, sep="\n  ", file=sys.stderr)
                return ExitCode.GUEST_LOST
            return 128 + ended.signal if ended.status is None else ended.status


def _write_through(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _series_list(arguments: argparse.Namespace) -> int:
    from harness import series

    root = project.root()
    for name in series.names(root):
        one = series.load(root, name)
        count = len(one.patches)
        print(f"{name:<20} {count:>2} patches  {', '.join(one.bases):<10}  {one.title}")
    return ExitCode.OK


def _series_show(arguments: argparse.Namespace) -> int:
    from harness import series

    one = series.load(project.root(), arguments.name)
    print(f"{one.name}: {one.title}")
    print(f"thread:   {one.thread}")
    print(f"bases:    {', '.join(one.bases)}")
    print(f"suites:   {', '.join(one.suites)}")
    for patch in one.patches:
        print(f"  {patch.name}: {', '.join(sorted(series.touched(patch)))}")
    for test, reason in one.fails_on_base.items():
        print(f"  fails on the base: {test} ({reason})")
    return ExitCode.OK


def _series_check(arguments: argparse.Namespace) -> int:
    from harness import check

    root = project.root()
    bad = False
    for finding in check.check(root, arguments.name):
        bad |= not finding.good
        print(f"{'ok ' if finding.good else 'BAD'} {finding.what}")
        for line in () if finding.good else finding.lines:
            print(f"    {line}")
    if arguments.build and not bad:
        return _check_build(root, arguments.name)
    return ExitCode.APPLY if bad else ExitCode.OK


def _check_build(root: Path, name: str) -> int:
    from harness import series
    from harness.pipeline import CellRun

    watch = _terminal()
    for base in series.load(root, name).bases:
        cell = Cell(stack=series.load(root, name, base), tree=base)
        with _open_record(cell, None) as record:
            built = CellRun(cell, root, record, watch).build_only()
        print(f"ok  {name} builds on {base}: {built.release}")
        for warning in built.warnings:
            print(f"    {warning}")
    return ExitCode.OK


def _tree_list(arguments: argparse.Namespace) -> int:
    from harness import tree

    for name in (*tree.added(), *(n for n in tree.KNOWN if n not in tree.added())):
        print(f"{name:<16} {tree.place_of(name)}")
    return ExitCode.OK


def _tree_add(arguments: argparse.Namespace) -> int:
    from harness import tree

    _terminal()
    base = tree.add(arguments.name, arguments.place)
    print(f"{base.name}: {base.version}, {base.commit[:12]}")
    return ExitCode.OK


def _tree_remove(arguments: argparse.Namespace) -> int:
    from harness import tree

    tree.remove(arguments.name)
    return ExitCode.OK


def _doctor(arguments: argparse.Namespace) -> int:
    from harness import doctor

    images = sorted(cache.root().glob("kernels/*/bzImage"), key=lambda image: image.stat().st_mtime)
    image = images[-1] if images else None
    checks = doctor.examine(probe=arguments.probe, image=image)
    missing = [check for check in checks if check.state == "missing"]
    code = ExitCode.HOST if missing else ExitCode.OK
    if arguments.json:
        document = {"schema": SCHEMA, "exit": code, "checks": [asdict(check) for check in checks]}
        print(json.dumps(document, indent=1))
        return code
    colours = {"ok": "32", "missing": "31", "optional": "33"}
    for check in checks:
        state = text.paint(f"{check.state:<8}", colours[check.state], colour=_colour(sys.stdout))
        print(f"{state}  {check.name:<19} {check.note}")
        if check.mend:
            print(f"{'':<10}{'':<19} -> {check.mend}")
    if arguments.probe and image is None:
        print("no kernel was built yet, so KVM was not tried: `harness run` does both")
    return code


def _cache_show(arguments: argparse.Namespace) -> int:
    for part in sorted(cache.root().iterdir()):
        if part.is_dir():
            size = sum(f.lstat().st_blocks * 512 for f in part.rglob("*"))
            print(f"{part.name:<14} {size / (1 << 20):>9.1f} MiB")
    print(f"{cache.root()}")
    return ExitCode.OK


def _cache_prune(arguments: argparse.Namespace) -> int:
    from harness import slot

    count = slot.prune()
    gone = cache.evict(cache.root() / "kernels", 0) if (cache.root() / "kernels").exists() else 0
    print(f"removed {count} slots and {gone} kernels")
    return ExitCode.OK
