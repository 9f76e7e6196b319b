# SPDX-License-Identifier: GPL-2.0-only
"""`harness series check`: does a series apply to its bases, and what says checkpatch?"""

from dataclasses import dataclass
from pathlib import Path

from harness import apply, proc, series, slot, tree
from harness.errors import HarnessError

_CHECKPATCH_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer: `good`, what was looked at, and the lines that say why not."""

    good: bool
    what: str
    lines: tuple[str, ...] = ()


def check(root: Path, name: str) -> list[Finding]:
    """Apply a series to each of its bases, then checkpatch --strict every patch there (the
    sign-off apart: whoever submits adds their own)."""
    findings = []
    for base_name in series.load(root, name).bases:
        own = series.load(root, name, base_name)
        stack = series.stack(series.with_below(root, [own], base_name))
        base = tree.resolve(base_name)
        try:
            applied = apply.apply(base, stack)
        except HarnessError as error:
            findings.append(Finding(good=False, what=error.message, lines=error.lines))
            continue
        count = len(own.patches)
        below = f" after {', '.join(own.after)}" if own.after else ""
        findings.append(Finding(good=True, what=f"{count} patches apply to {base_name}{below}"))
        with slot.take(base, applied) as taken:
            script = str(taken.source / "scripts/checkpatch.pl")
            for patch in own.patches:
                done = proc.run(
                    ["perl", script, "--strict", "--no-signoff", "--terse", "--no-summary", "-"],
                    cwd=taken.source,
                    feed=patch.data,
                    timeout_s=_CHECKPATCH_S,
                    keep_fds=(taken.lock,),
                )
                findings.append(
                    Finding(
                        good=not done.status,
                        what=f"checkpatch {base_name} {patch.name}",
                        lines=tuple((done.text or done.complaint).splitlines()[:20]),
                    )
                )
    return findings
