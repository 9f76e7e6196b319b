# SPDX-License-Identifier: GPL-2.0-only
"""KCIDB's JSON for submission to kernelci.org: checkouts, builds, tests (I/O schema 5.3).

Source of the format: kcidb-io 141, kcidb_io/schema/v05_03.py. What would need an URL (logs,
patches) is left out, as nothing of a run is on the network.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import verdict
from harness.errors import ExitCode, UsageError
from harness.model import Metric, Outcome, Result
from harness.recorded import Recorded
from harness.report import Options, outline, posted

_VERSION = {"major": 5, "minor": 3}
_EXCERPT_MOST = 16384  # characters
_NOT_BUILT = (ExitCode.BUILD, ExitCode.KCONFIG)
_ORIGIN = re.compile(r"[a-z0-9_]+")
_STATUS = {
    Outcome.PASS: "PASS",
    Outcome.XPASS: "PASS",  # the kernel did right, whatever was expected of it
    Outcome.FAIL: "FAIL",
    Outcome.XFAIL: "FAIL",
    Outcome.TIMEOUT: "FAIL",
    Outcome.CRASH: "FAIL",
    Outcome.SKIP: "SKIP",
    Outcome.ERROR: "MISS",
}


def report(runs: Sequence[Recorded], options: Options) -> str:
    """See harness.report.Reporter. UsageError for an origin that KCIDB would not take."""
    if not _ORIGIN.fullmatch(options.origin):
        raise UsageError(f"--origin {options.origin}: lower-case letters, digits and _ only")
    checkouts: dict[str, Any] = {}
    builds: dict[str, Any] = {}
    tests: list[dict[str, Any]] = []
    for one in runs:
        told = _Told(one, options.origin)
        for made in told.checkouts():
            checkouts.setdefault(made["id"], made)  # the base of several runs, for one
        for made in told.builds():
            builds.setdefault(made["id"], made)
        tests += told.tests()
    document = {
        "version": _VERSION,
        "checkouts": list(checkouts.values()),
        "builds": list(builds.values()),
        "tests": tests,
    }
    return json.dumps(document, indent=1) + "\n"


class _Told:
    """One run, as a CI system of the name `origin` tells it."""

    def __init__(self, one: Recorded, origin: str) -> None:
        self._one = one
        self._origin = origin
        self._hashes = one.patch_hashes

    def checkouts(self) -> Iterator[dict[str, Any]]:
        """One for each step: the base, and the base with more and more patches."""
        one = self._one
        for label in one.steps:
            made: dict[str, Any] = {
                **self._object(self._checkout_id(label)),
                "tree_name": one.run.base,
                "start_time": one.started,
                "valid": one.exit != ExitCode.APPLY or label == "base",
            }
            if (known := self._patchset_hash(label)) is not None:
                made["patchset_hash"] = known
            if one.base is not None:
                made["git_commit_name"] = f"v{one.base.version}"
                if not one.base.imported:
                    made["git_commit_hash"] = one.base.commit
            if not made["valid"]:
                made["comment"] = _plain(one.error)
            if label != "base" and (found := posted.message_id(one)):
                made["message_id"] = found
            yield made

    def builds(self) -> Iterator[dict[str, Any]]:
        """Every kernel that was built, and the one that could not be."""
        one = self._one
        for label in one.steps:
            made = {
                **self._object(self._build_id(label)),
                "checkout_id": self._checkout_id(label),
                "start_time": one.started,
                "architecture": "x86_64",
                "config_name": outline.kconfig(one),
            }
            if compiler := _compiler(one.directory / "kernels" / label / "config"):
                made["compiler"] = compiler
            if kernel := one.kernels.get(label):
                warnings = list(kernel.warnings)
                more = {"release": kernel.release, "warnings": warnings}
                yield {**made, "status": "PASS", "misc": {"harness": more}}
            elif why := self._why_not_built(label):
                yield {**made, "status": "FAIL", "comment": _plain(why)}

    def _why_not_built(self, label: str) -> str:
        """What the compiler said of a step's kernel; empty where it was not tried, or is there."""
        one = self._one
        mine = [r for r in one.results if (r.kernel, r.test) == (label, verdict.BUILD)]
        if mine:
            return mine[0].detail or "it does not build"
        tried = next((step for step in one.steps if step not in one.kernels), "")
        return one.error if tried == label and one.exit in _NOT_BUILT else ""

    def tests(self) -> Iterator[dict[str, Any]]:
        """Every run of every test, and each of its metrics."""
        last = self._one.steps[-1] if self._one.steps else ""
        verdicts = {row.result.test: row.verdict for row in self._one.run.rows}
        for result in self._one.results:
            if result.kernel not in self._one.kernels:
                continue  # a kernel that did not build says so itself
            made = self._test(result)
            if result.kernel == last and (known := verdicts.get(result.test)):
                made["misc"]["harness"]["verdict"] = known
            yield made
            yield from (self._figure(made, metric) for metric in result.metrics)

    def _test(self, result: Result) -> dict[str, Any]:
        name = f"{self._one.directory.name}/{result.kernel}/{result.test}/{result.round}"
        about = {"outcome": result.outcome, "boot": result.boot, "round": result.round}
        made: dict[str, Any] = {
            **self._object(f"{self._origin}:{_plain(name)}"),
            "build_id": self._build_id(result.kernel),
            "path": _path(result.test),
            "status": _STATUS[result.outcome],
            "duration": result.duration_s,
            "environment": {"comment": outline.guest(self._one)},
            "misc": {"harness": about},
        }
        if result.detail:
            made["comment"] = _plain(result.detail)
        excerpt = _plain("\n".join(line for splat in result.splats for line in splat.text))
        if excerpt := (excerpt or _plain(result.output))[-_EXCERPT_MOST:]:
            made["log_excerpt"] = excerpt
        return made

    def _figure(self, test: dict[str, Any], metric: Metric) -> dict[str, Any]:
        number = {"value": metric.value, **({"unit": metric.unit} if metric.unit else {})}
        kept = {key: test[key] for key in ("origin", "build_id", "environment")}
        return {
            **kept,
            "id": f"{test['id']}/{metric.name}",
            "path": f"{test['path']}.{_path(metric.name)}",
            "status": "DONE",
            "number": number,
        }

    def _object(self, name: str) -> dict[str, Any]:
        return {"id": name, "origin": self._origin}

    def _patchset_hash(self, label: str) -> str | None:
        """Over the patches up to a step: empty for the base, as the schema has it; None where the
        patches are not known any more."""
        if label == "base":
            return ""
        if not self._hashes:
            return None
        count = len(self._hashes) if label == "tip" else int(label)
        text = "".join(f"{one}\n" for one in self._hashes[:count])
        return hashlib.sha256(text.encode()).hexdigest() if text else ""

    def _checkout_id(self, label: str) -> str:
        base = self._one.base
        tree = base.tree if base else self._one.run.base
        known = self._patchset_hash(label)
        what = f"{self._one.directory.name} {label}" if known is None else known
        name = hashlib.sha256(f"{tree}\n{what}".encode()).hexdigest()
        return f"{self._origin}:{name[:32]}"

    def _build_id(self, label: str) -> str:
        kernel = self._one.kernels.get(label)
        return f"{self._origin}:{kernel.key if kernel else f'{self._one.directory.name}-{label}'}"


def _path(test: str) -> str:
    """A name as a path of the test classification tree."""
    parts = [re.sub(r"[^a-zA-Z0-9_-]+", "_", part) for part in test.split("/")]
    return ".".join(part or "_" for part in parts)


def _plain(text: str) -> str:
    """Without NUL, which no string there may hold."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _compiler(config: Path) -> str:
    """What the kernel's .config says of it: `gcc (Debian 12.2.0-14) 12.2.0`."""
    text = config.read_text(errors="replace") if config.exists() else ""
    found = re.search(r'^CONFIG_CC_VERSION_TEXT="(.*)"$', text, re.MULTILINE)
    return found[1] if found else ""
