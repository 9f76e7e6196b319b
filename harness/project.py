# SPDX-License-Identifier: GPL-2.0-only
"""Where series, fragments and guest tests lie: in a directory with kconfigs/base.config."""

import os
from pathlib import Path

from harness.errors import UsageError


def root() -> Path:
    """The project of the current directory or a parent of it, else what this package ships;
    `$HARNESS_PROJECT` overrides both."""
    if chosen := os.environ.get("HARNESS_PROJECT"):
        if not _is_project(Path(chosen)):
            raise UsageError(f"HARNESS_PROJECT={chosen}: no kconfigs/base.config there")
        return Path(chosen).absolute()
    here = Path.cwd()
    for place in (here, *here.parents):
        if _is_project(place):
            return place
    checkout = Path(__file__).parent.parent
    return checkout if _is_project(checkout) else Path(__file__).parent / "shipped"


def _is_project(path: Path) -> bool:
    return (path / "kconfigs/base.config").is_file()
