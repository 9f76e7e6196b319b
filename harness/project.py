# SPDX-License-Identifier: GPL-2.0-only
"""Where series, fragments and guest tests lie: in a directory with kconfigs/base.config."""

import os
from pathlib import Path

from harness.errors import UsageError


def root() -> Path:
    """The project of the current directory or a parent of it, else the one that this package was
    installed from; `$HARNESS_PROJECT` overrides both."""
    if chosen := os.environ.get("HARNESS_PROJECT"):
        if not _is_project(Path(chosen)):
            raise UsageError(f"HARNESS_PROJECT={chosen}: no kconfigs/base.config there")
        return Path(chosen).absolute()
    here = Path.cwd()
    source = Path(__file__).parent.parent
    for place in (here, *here.parents, source):
        if _is_project(place):
            return place
    raise UsageError(
        "no project here: no kconfigs/base.config in this directory or above it",
        hint="run in a checkout of harness, or set HARNESS_PROJECT",
    )


def _is_project(path: Path) -> bool:
    return (path / "kconfigs/base.config").is_file()
