# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a GitHub workflow that are shell, run as GitHub's runner does.

After https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions: a script goes
to a file, which `bash -e` runs; a step is left out after one that failed, but for `if: always()`.
Steps that use an action are left out. What is not known here is an error, never ignored.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Ran:
    """What a job came to: the exit status of each step that ran, what all of them printed."""

    statuses: dict[str, int] = field(default_factory=dict)
    output: str = ""
    summary: str = ""

    @property
    def failed(self) -> bool:
        return any(self.statuses.values())


def run(workflow: Path, part: str, workspace: Path, **environment: str) -> Ran:
    """Run the job `cells` of a part in a checkout."""
    job = yaml.safe_load(workflow.read_text())["jobs"]["cells"]
    assert part in job["strategy"]["matrix"]["part"]
    context = {"matrix.part": part, "github.workspace": str(workspace)}
    context |= {"github.run_id": "1", "github.run_attempt": "1"}
    ran = Ran()
    with tempfile.TemporaryDirectory() as name:
        summary = Path(name, "summary.md")
        summary.touch()
        given = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(workspace),
            "GITHUB_STEP_SUMMARY": str(summary),
            "RUNNER_TEMP": name,
            **environment,
            **_evaluated(job["env"], context),
        }
        for step in job["steps"]:
            assert step.get("if", "always()") == "always()"
            if "run" not in step or (ran.failed and "if" not in step):
                continue
            env = {**given, **_evaluated(step.get("env", {}), context)}
            script = Path(name, "script.sh")
            script.write_text(_evaluate(step["run"], context))
            done = subprocess.run(
                ["bash", "-e", str(script)],
                cwd=workspace,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            ran.statuses[step["name"]] = done.returncode
            ran.output += done.stdout
        ran.summary = summary.read_text()
    return ran


def _evaluated(values: Mapping[str, Any], context: Mapping[str, str]) -> dict[str, str]:
    return {key: _evaluate(str(value), context) for key, value in values.items()}


def _evaluate(text: str, context: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: context[found[1].strip()], text, flags=re.S)
