# SPDX-License-Identifier: GPL-2.0-only
"""Runs as one HTML file: a table of tests and kernels, each cell with all that is known of it.

The file needs nothing else and asks for nothing: its content security policy forbids it, and
allows no script but its own, by its digest. What it says comes from outside (names, output,
consoles), so the template escapes it, and the script makes text nodes of it, never markup.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from harness.recorded import Recorded
from harness.report import Options, text
from harness.report.html import facts, payload
from harness.report.html.embed import visible

BUDGET = 20 << 20
"""Bytes of outputs, subtests, splats and consoles in one file (docs/reports.md)."""

_HERE = Path(__file__).parent
_TEXT_MAX = 1 << 20
_WIDTH = 110


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter."""
    return page(runs, budget=BUDGET, options=options)


def page(runs: Sequence[Recorded], *, budget: int, options: Options | None = None) -> str:
    """The page, with about `budget` bytes of what can be left out; it says what was."""
    own = script()
    made = payload.of(runs, budget)
    told = [facts.of(one) for one in runs]
    return template(_HERE / "report.html.j2").render(
        csp=policy(own),
        style=style(),
        script=own,
        title=_title([one["title"] for one in told]),
        notice=options.notice if options else "",
        refresh=options.refresh_s if options else 0,
        runs=told,
        made=made,
        budget=f"{budget / (1 << 20):.0f} MiB",
        text=_plain(runs),
    )


def _title(titles: Sequence[str]) -> str:
    names = list(dict.fromkeys(titles))
    shown = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
    return shown if len(titles) == 1 else f"{len(titles)} runs: {shown}"


def style() -> str:
    """The style sheet of all pages."""
    return (_HERE / "report.css").read_text()


def script() -> str:
    """The script of a report."""
    return "".join((_HERE / name).read_text() for name in ("sheet.js", "report.js"))


def template(path: Path) -> jinja2.Template:
    """A template, which escapes what comes from outside and shows what of it cannot be seen."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    return environment.get_template(path.name)


def _shown(value: Any) -> Any:
    """What the template writes, where it is not `safe`."""
    return visible(value) if type(value) is str else value


def policy(*scripts: str) -> str:
    """Nothing from anywhere, and no scripts but these. Styles are the page's own; bars have their
    width in an attribute."""
    allowed = f"script-src {' '.join(map(_digest, scripts))}; " if scripts else ""
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; {allowed}"
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _plain(runs: Sequence[Recorded]) -> str:
    """The report for a browser without scripts."""
    whole = text.report(runs, Options(width=_WIDTH))
    if len(whole) <= _TEXT_MAX:
        return whole
    return f"{whole[:_TEXT_MAX]}\n[the rest is left out here: harness report --format text]\n"
