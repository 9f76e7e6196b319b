# SPDX-License-Identifier: GPL-2.0-only
import os
from pathlib import Path

import pytest

from harness import proc


@pytest.fixture(autouse=True)
def _own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's cache, results or configuration."""
    for name in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / f"xdg-{name.lower()}"))
    for name in [name for name in os.environ if name.startswith("HARNESS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes start without guard.py, for tests that run hundreds of short ones: it is a Python
    of its own, and most of their time. What it does is tested in test_proc.py."""
    monkeypatch.setattr(proc, "guarded", lambda argv, life: list(argv))
