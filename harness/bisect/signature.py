# SPDX-License-Identifier: GPL-2.0-only
"""Is it the same failure? Pure."""

from collections import Counter
from collections.abc import Iterable

from harness.model import Outcome, Result, Signature, Splat

_FAILED = {Outcome.FAIL, Outcome.TIMEOUT, Outcome.CRASH, Outcome.XFAIL}
_PASSED = {Outcome.PASS, Outcome.XPASS}
_TOP = 3  # kind, title, and the function on top: what is below it differs between commits


def failed(result: Result) -> bool:
    """The test failed, whether a series expects that of its base or not."""
    return result.outcome in _FAILED


def passed(result: Result) -> bool:
    """Its counterpart: neither is true of a test that was skipped or of the host's fault."""
    return result.outcome in _PASSED


def of(result: Result) -> Signature:
    """That of a failed test. What the kernel reported says more than what the test did."""
    splat = shown(Signature(), result)
    return Signature(
        outcome="fail" if result.outcome is Outcome.XFAIL else str(result.outcome),
        splat=_key(splat) if splat else (),
        subtests=_failing(result),
    )


def shown(wanted: Signature, result: Result) -> Splat | None:
    """The report of the kernel that makes it this failure, else the one that came first."""
    same_one = (one for one in result.splats if _key(one) == wanted.splat)
    first = (one for one in result.splats if one.first)
    return next(same_one, None) or next(first, None) or next(iter(result.splats), None)


def usual(results: Iterable[Result]) -> Signature:
    """That of most of the failures among some results; an empty one for none."""
    found = Counter(of(one) for one in results if failed(one))
    return found.most_common(1)[0][0] if found else Signature()


def same(wanted: Signature, result: Result) -> bool:
    """A failed test failed as it did at the bad end: with the same report of the kernel, else with
    one of the same subtests, else in the same way; the last two without a report."""
    if wanted.splat:
        return any(_key(one) == wanted.splat for one in result.splats)
    if result.splats:
        return False
    if wanted.subtests:
        return not set(wanted.subtests).isdisjoint(_failing(result))
    return of(result) == wanted


def _key(splat: Splat) -> tuple[str, ...]:
    return (splat.fingerprint or (splat.kind, splat.title))[:_TOP]


def _failing(result: Result) -> tuple[str, ...]:
    return tuple(one.name for one in result.subtests if one.outcome.bad)
