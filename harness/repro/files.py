# SPDX-License-Identifier: GPL-2.0-only
"""The files that tell a guest of its own what to do: its machine, its test, run.sh. Text only."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.guest.machine import Alone
from harness.guest.root import PYTEST_ONCE
from harness.model import Cell, Disk, Result, Test

SCRATCH = "scratch"
"""The name that QEMU has for the file behind a scratch disk."""

_RUN = Path(__file__).with_name("run.sh")
_SETTINGS = "# @settings@\n"
# fsx names its seed in each round, and takes it from its environment (guest-tests/fsx/options.h).
_SEEDS = {"FSX_SEED": re.compile(r"^# round \d+: --seed (\d+) ", re.MULTILINE)}


def machine(alone: Alone) -> str:
    """qemu.cmd: the command line, which run.sh becomes; ACCEL, CPU, QEMU and APPEND are its."""
    lines = [
        "# In a directory with what it names; run.sh says ACCEL (tcg or kvm) and CPU.",
        'exec "${QEMU:-qemu-system-x86_64}" -accel "$ACCEL" -cpu "$CPU" \\',
        *(f"\t{shlex.join(option)} \\" for option in _options(alone.words)),
        f'\t-append {shlex.quote(alone.append)}" ${{APPEND:-}}"',
    ]
    return "\n".join(lines) + "\n"


def _options(words: Sequence[str]) -> Iterator[list[str]]:
    """Each option with its value."""
    option: list[str] = []
    for word in words:
        if option and word.startswith("-"):
            yield option
            option = []
        option.append(word)
    yield option


def command(test: Test, env: Sequence[tuple[str, str]]) -> str:
    """command: what agent/repro.sh reads, shell code."""
    lines = [
        "# What the guest's shell does before it runs the last line; you may edit it.",
        f"label={shlex.quote(test.name)}",
        f"cd {shlex.quote(test.cwd)} || exit",
        *(f"export {name}={shlex.quote(value)}" for name, value in env),
        f"set -- {shlex.join(_argv(test))}",
    ]
    return "\n".join(lines) + "\n"


def _argv(test: Test) -> tuple[str, ...]:
    """The command line of a test; a server's is asked for by a program of ours."""
    if not test.server:
        return test.argv
    program, *options = test.server
    return (program, "-I", "-S", PYTEST_ONCE, *test.argv, program, *options)


def seeds(result: Result | None) -> dict[str, str]:
    """Variables for the environment that make a test take the random numbers of a result."""
    said = result.output if result else ""
    found = {name: pattern.search(said) for name, pattern in _SEEDS.items()}
    return {name: match[1] for name, match in found.items() if match}


def seed_text(cell: Cell, taken: Mapping[str, str]) -> str:
    """seed: all that decides on random numbers, as far as it is known: a line for each variable
    of the test's environment, and for each word of the kernel's command line."""
    env = {name: value for name, value in cell.env if "SEED" in name.upper()}
    words = [word for word in cell.guest.cmdline if "seed" in word or "random" in word]
    lines = [f"{name}={value}" for name, value in {**taken, **env}.items()]
    lines += [f"kernel: {word}" for word in words]
    return "".join(
        f"{line}\n" for line in lines or ["# none that is known: random numbers are new ones"]
    )


def script(settings: Mapping[str, str | int]) -> str:
    """run.sh for these values of its variables."""
    lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
    before, _, after = _RUN.read_text().partition(_SETTINGS)
    return before + "".join(lines) + after


def scratch_bytes(disk: Disk | None) -> int:
    """How large the scratch disk is, 0 without one."""
    return disk.size_bytes if disk else 0
