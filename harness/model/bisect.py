# SPDX-License-Identifier: GPL-2.0-only
"""A bisection: what is searched, and what each step has shown. No I/O here."""

from dataclasses import dataclass
from enum import StrEnum


class Space(StrEnum):
    """What is searched."""

    COMMITS = "commits"
    PATCHES = "patches"
    OPTIONS = "options"
    SUBSET = "subset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One of what may have broken it: a commit, a patch, an option.

    `name` is a hash, a file name, `CONFIG_X`; `title` a subject, or what an option turns from and
    to. `value` names the kernel that has it and all that comes before it, for Question.option.
    `parents` are the numbers of the candidates right before it (from 0, lower than its own)."""

    name: str
    title: str
    value: str
    parents: tuple[int, ...] = ()


GOOD = -1
"""The number of the good end, which is no candidate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a bisection is of. `argv` are the arguments of `harness` that run the test, all but
    `option` and its value, which choose the kernel. `good` is the good end, the last candidate the
    bad one. `place` names the tree or series, `cwd` the directory that relative paths in `argv` are
    relative to, `built` the candidates whose kernels were there before."""

    space: Space
    place: str
    test: str
    argv: tuple[str, ...]
    option: str
    good: Candidate
    candidates: tuple[Candidate, ...]
    cwd: str
    confidence: float = 0.99
    any_failure: bool = False
    jobs: int = 1
    most_runs: int = 100
    built: tuple[int, ...] = ()

    @property
    def bad(self) -> int:
        """The number of the bad end."""
        return len(self.candidates) - 1

    def candidate(self, number: int) -> Candidate:
        """The one of a number; GOOD is the good end."""
        return self.good if number == GOOD else self.candidates[number]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to do next: up to so many runs on a candidate's kernel, or on that of the `chosen`
    patches, until one fails."""

    number: int
    runs: int
    chosen: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a bisection is: how many candidates are left, the likeliest and its probability,
    about how many steps and seconds it takes. What is not known is 0."""

    left: int
    likeliest: tuple[int, ...] = ()
    probability: float = 0.0
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What tells one failure of a test from another: its outcome, the kind, title and top function
    of what the kernel reported, the subtests that fail. Empty where there is none of it."""

    outcome: str = ""
    splat: tuple[str, ...] = ()
    subtests: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """For a person."""
        if self.splat:
            return self.splat[1]
        if self.subtests:
            more = f" and {len(self.subtests) - 1} more" if len(self.subtests) > 1 else ""
            return f"{self.subtests[0]} fails{more}"
        return {"timeout": "it does not end in time", "crash": "it crashes"}.get(
            self.outcome, "it fails"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a step has shown of a candidate's kernel, or of that of the `chosen` patches: runs that
    failed in the same way, those that passed, those that say nothing (`lost`, and `why`).
    `untestable`: no run of it will say more. `program` is what its kernel is (Builds.program()).
    Seconds: the build, boots and tests, all of it."""

    step: int
    number: int
    chosen: tuple[int, ...] = ()
    failed: int = 0
    passed: int = 0
    lost: int = 0
    why: str = ""
    untestable: bool = False
    signature: Signature = Signature()
    run_dir: str = ""
    program: str = ""
    built: bool = False
    boots: int = 0
    build_s: float = 0.0
    test_s: float = 0.0
    duration_s: float = 0.0

    @property
    def verdict(self) -> str:
        """bad, good or skip, as git has it; same, for the program of another candidate."""
        if self.failed:
            return "bad"
        if self.passed:
            return "good"
        return "skip" if self.lost or self.untestable else "same"
