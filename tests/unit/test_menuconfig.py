# SPDX-License-Identifier: GPL-2.0-only
"""What is left of the changes that menuconfig made, on a small Kconfig in Python."""

import pytest

from harness.menuconfig import Change, smallest

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
