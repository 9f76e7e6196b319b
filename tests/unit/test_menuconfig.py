# SPDX-License-Identifier: GPL-2.0-only
"""What is left of the changes that menuconfig made, on a small Kconfig in Python, and the way from
a user's terminal to the fragment on a tree whose Makefile does what a kernel's does."""

import os
import sys
from pathlib import Path

import pexpect
import pytest

from harness import cache, menuconfig, tree
from harness.errors import HostError
from harness.menuconfig import Change, smallest
from harness.model import Fragment, Kconfig, Series
from harness.toolchain import Toolchain
from tests.unit import fakes

# What `wanted` says before the user's changes; KVM selects IRQFD, which has no prompt, and brings
# ASYNC, which is y by default. HZ and TICK are what a choice makes of its two members.
SAID = {"NET": "y", "HZ_1000": "y"}


def olddefconfig(said: dict[str, str]) -> dict[str, str]:
    """The .config that kconfig would make of these lines."""
    asked = SAID | said
    config = {"NET": asked["NET"], "KVM": asked.get("KVM", "n"), "NAME": '"x"'}
    config["NAME"] = asked.get("NAME", '"x"')
    if config["NET"] == "y":
        config["UNIX"] = asked.get("UNIX", "n")
    if config["KVM"] == "y":
        config |= {"IRQFD": "y", "ASYNC": asked.get("ASYNC", "y"), "DEPTH": "4"}
    fast = said.get("HZ_250") != "y"
    config |= {"HZ_1000": "ny"[fast], "HZ_250": "yn"[fast], "HZ": "1000" if fast else "250"}
    return config


DEFAULTS = {"NET": "n", "KVM": "n", "NAME": '"x"', "UNIX": "n", "ASYNC": "y", "HZ_250": "y"}
DERIVED = ("IRQFD", "DEPTH", "HZ", "HZ_1000")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"KVM": "y"},
        {"KVM": "y", "ASYNC": "n"},
        {"NET": "n"},
        {"NAME": '"mine"', "UNIX": "y"},
        {"NAME": '""', "KVM": "y", "NET": "n"},
        {"HZ_250": "y"},
    ],
)
def test_what_was_changed_is_told_and_what_follows_is_not(changed: dict[str, str]) -> None:
    before, after = olddefconfig({}), olddefconfig(changed)
    told = [s for s, v in after.items() if s not in DERIVED and DEFAULTS[s] != v]
    chosen = smallest(Change(before=before, after=after), told, olddefconfig)
    assert chosen == changed
    assert olddefconfig(chosen) == after


def test_an_attempt_that_nothing_helps_comes_to_an_end() -> None:
    attempts: list[dict[str, str]] = []

    def stubborn(said: dict[str, str]) -> dict[str, str]:
        attempts.append(said)
        return {"A": "n", "B": "y"}

    change = Change(before={"A": "n", "B": "y"}, after={"A": "y", "B": "n"})
    assert smallest(change, ["A"], stubborn) == {"A": "y", "B": "n"}
    assert len(attempts) < 20


def test_no_change_needs_no_attempt() -> None:
    same = {"A": "y", "B": "n"}
    change = Change(before=same, after={"A": "y"})
    assert smallest(change, ["A"], lambda said: pytest.fail("tried")) == {}


# `menuconfig` asks for a line and takes it for a symbol; olddefconfig gives MENU a friend.
MAKEFILE = (
    fakes.BUILDABLE
    + """
olddefconfig:
\t@if grep -q MENU=y $(O)/.config; then echo CONFIG_FRIEND=y >> $(O)/.config; fi
build_menuconfig:
\t@if [ -n "$$NO_CURSES" ]; then echo '* Unable to find the ncurses package.' >&2; exit 1; fi
menuconfig:
\t@echo "change what?"; read line; [ -z "$$line" ] || \\
\t{ sed -i "/CONFIG_$${line%=*}=/d" $(O)/.config; echo "CONFIG_$$line" >> $(O)/.config; }
\t@make -f $(CURDIR)/Makefile olddefconfig
savedefconfig:
\t@grep -v FRIEND $(O)/.config > $(O)/defconfig
"""
)
ON_A_TERMINAL = """
import sys
from pathlib import Path
from tests.unit import test_menuconfig
tmp = Path(sys.argv[1])
print("symbols:", test_menuconfig.configure(tmp, Path(sys.argv[2])))
"""


def configure(tmp_path: Path, linux: Path) -> int:
    """menuconfig.run() on the tree `linux`."""
    return menuconfig.run(
        tree.resolve(str(linux)),
        Series(name="s"),
        Kconfig(fragments=(Fragment(name="base", text="CONFIG_BASE=y\n"),)),
        toolchain=Toolchain(),
        output=tmp_path / "mine.config",
        log=tmp_path / "menuconfig.log",
    )


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    made = fakes.commit_kernel(tmp_path / "linux")
    (made / "Makefile").write_text(MAKEFILE)
    fakes.git(made, "commit", "-q", "-am", "configures")
    return made


@pytest.mark.parametrize(
    ("typed", "said", "text"),
    [
        ("MENU=y", "symbols: 1", "CONFIG_MENU=y\n"),
        ("BASE=n", "mine.config says n of CONFIG_BASE, base says y", "# CONFIG_BASE is not set\n"),
        ("", "symbols: 0", None),
    ],
)
def test_what_the_user_changes_becomes_a_fragment(
    tmp_path: Path, linux: Path, typed: str, said: str, text: str | None
) -> None:
    root = Path(__file__).parents[2]
    child = pexpect.spawn(
        sys.executable,
        ["-c", ON_A_TERMINAL, str(tmp_path), str(linux)],
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    child.expect(r"change what\?")
    child.sendline(typed)
    child.expect_exact(said)
    child.expect(pexpect.EOF)
    output = tmp_path / "mine.config"
    head = "# Help: Changed in menuconfig on 6.12.7\n"
    assert (output.read_text() if output.exists() else None) == (text and head + text)
    assert "change what?" in (tmp_path / "menuconfig.log").read_text()
    assert not list(cache.root().glob("slots/*/obj/*"))


def test_missing_headers_of_ncurses_are_named(
    tmp_path: Path, linux: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_CURSES", "1")
    with pytest.raises(HostError, match="headers of ncurses") as caught:
        configure(tmp_path, linux)
    assert "libncurses-dev" in caught.value.hint
    assert not list(cache.root().glob("slots/*/obj/*"))
