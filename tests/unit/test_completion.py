# SPDX-License-Identifier: GPL-2.0-only
"""Completion in a real bash, the manual page, and what --help costs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from harness import cli
from harness.cli import completion

BIN = Path(sys.executable).parent


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[pexpect.spawn]:
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PS1": "> ", "TERM": "dumb"}
    shell = pexpect.spawn(
        "bash", ["--norc", "--noprofile", "-i"], env=env, encoding="utf-8", timeout=20, echo=True
    )
    shell.sendline(
        "PS1='ready''> '; bind 'set bell-style none'; eval \"$(harness completion bash)\""
    )
    shell.expect("ready> ")
    yield shell
    shell.close(force=True)


def test_bash_completes_commands_options_and_names(bash: pexpect.spawn) -> None:
    for typed, completed in (
        ("harness wat\t", "harness watch "),
        ("harness run --until\t", "harness run --until-fail "),
        ("harness run --series aio-po\t", "harness run --series aio-poll "),
        ("harness boot --suite aio-po\t", "harness boot --suite aio-poll "),
    ):
        bash.send(typed)
        bash.expect_exact(completed)
        bash.send("\x15")  # kill the line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_code(shell: str) -> None:
    assert "harness" in completion.code(shell)


def test_the_manual_page_has_each_command() -> None:
    page = completion.man_page(cli.build())
    assert page.startswith(".TH HARNESS")
    for command in ("run", "watch", "boot", "build", "series", "config"):
        assert command in page


def test_help_is_there_at_once_and_imports_little() -> None:
    """The time itself is a matter for bench/; what it comes from is this."""
    code = "import sys; from harness import cli; cli.build().format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    heavy = {"yaml", "pexpect", "watchfiles", "argcomplete", "harness.pipeline", "subprocess"}
    assert not heavy & set(loaded.stdout.decode().split())
