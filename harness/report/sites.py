# SPDX-License-Identifier: GPL-2.0-only
"""Which calls into the kernel were made to fail, and what it made of that: as Markdown, and in
short for a terminal (docs/fault-injection.md)."""

import shlex
from collections.abc import Iterator, Sequence

from harness import failnth
from harness.model import BadShot, Chain, Result, Run, Site
from harness.recorded import Recorded
from harness.report import Options

_TESTS_MAX = 3
_SHOWN = 15  # sites on a terminal


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter: what was shot at, then each site, of each run."""
    return "\n".join("\n".join(_recorded(one)) for one in runs) + "\n"


def _recorded(one: Recorded) -> Iterator[str]:
    run = one.run
    chains = failnth.chains(_results(run))
    if not chains:
        yield f"`{one.command}`: no call was made to fail."
        return
    yield f"`{one.command}`: {run.kernel_release}, {said(run)}."
    yield ""
    yield from _table(
        ("fault", "in", "at", "system call", "shots", "tests", "handled"),
        (_row(site) for site in run.sites),
        right=(4,),
    )
    yield ""
    yield from _table(
        ("test", "calls", "shots", "failed calls", ""),
        (_chain(chain) for chain in chains),
        right=(1, 2, 3),
    )
    bad = [(site, shot) for site in run.sites for shot in site.bad]
    if bad:
        yield ""
        yield from (f"- {told(site, shot)}" for site, shot in bad)


def _row(site: Site) -> tuple[str, ...]:
    return (
        site.kind,
        f"`{site.function}`" if site.function else "",
        f"`{site.place}`" if site.place else "",
        f"`{site.syscall}`" if site.syscall else "",
        str(site.count),
        _tests(site.tests),
        f"**badly** in {len(site.bad)}" if site.bad else "well",
    )


def _chain(chain: Chain) -> tuple[str, ...]:
    calls = "" if chain.calls is None else str(chain.calls)
    left_out = "" if chain.whole else "some are left out" if chain.shots else "not shot at"
    return f"`{chain.test}`", calls, str(chain.shots), str(chain.injected), left_out


def _table(
    head: Sequence[str], rows: Iterator[tuple[str, ...]], *, right: tuple[int, ...]
) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    rules = ("---:" if number in right else "---" for number in range(len(head)))
    yield f"| {' | '.join(rules)} |"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"


def _tests(tests: Sequence[str]) -> str:
    shown = ", ".join(tests[:_TESTS_MAX])
    return f"{shown} and {len(tests) - _TESTS_MAX} more" if len(tests) > _TESTS_MAX else shown


def said(run: Run) -> str:
    """As `812 calls failed at 61 sites in 9 tests, 2 of them handled badly`."""
    chains = failnth.chains(_results(run))
    count = sum(site.count for site in run.sites)
    bad = sum(len(site.bad) for site in run.sites)
    text = f"{_count(count, 'call')} failed at {_count(len(run.sites), 'site')} in "
    text += f"{_count(len(chains), 'test')}, {bad or 'none'} of them handled badly"
    some = sum(not chain.whole for chain in chains)
    return f"{text}; of {_count(some, 'test')} not every call" if some else text


def told(site: Site, shot: BadShot) -> str:
    """A bad shot in one line, with what to say to see it again."""
    where = f"{site.kind} in {site.function} ({site.place})" if site.function else site.kind
    call = f", {site.syscall}" if site.syscall else ""
    again = f"--fail-nth {shot.nth}-{shot.nth} --test {shlex.quote(shot.test)}"
    return f"{where}{call}: {shot.outcome}: {shot.detail} ({again}; boot {shot.boot})"


def lines(run: Run) -> Iterator[str]:
    """For a terminal: the sums, every bad shot, and the sites that were hit most."""
    if not any(result.fault for result in _results(run)):
        return
    yield ""
    yield f"faults: {said(run)}"
    yield from (f"  {told(site, shot)}" for site in run.sites for shot in site.bad)
    shown = run.sites[:_SHOWN]
    width = max((len(f"{site.function} {site.place}") for site in shown), default=0)
    for site in shown:
        where = f"{site.function} {site.place}"
        how = f"{len(site.bad)} badly" if site.bad else "well"
        yield f"  {site.count:>5}  {site.kind:<15} {where:<{width}}  {site.syscall or '-'}  {how}"
    if len(run.sites) > _SHOWN:
        more = len(run.sites) - _SHOWN
        yield f"  {_count(more, 'site')} more: harness report --format sites"


def _results(run: Run) -> list[Result]:
    return [one for row in run.rows for one in (row.all_results or (row.result,))]


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
