# SPDX-License-Identifier: GPL-2.0-only
"""The reproducer bundle of an answer: the failing kernel and test, to be run anywhere."""

import shutil
from pathlib import Path

from harness import repro
from harness.bisect.answer import BUNDLE, Answer
from harness.errors import HarnessError
from harness.watch import Watch


def make(one: Answer, project: Path, watch: Watch) -> str:
    """Write it into the bisection's directory, in place of one of an earlier answer. Why there is
    none; empty where there is. Nothing is built for it: whoever wants that has `harness repro`."""
    place = one.told.directory / BUNDLE
    shown = one.failing
    if shown is None:
        return "the runs that failed are gone"
    try:
        if place.exists():
            shutil.rmtree(place)
        wanted = repro.choose(shown.run, shown.result.test, shown.result.kernel)
        if not shown.run.kernels[wanted.label].image.is_file():
            return "the kernel is not in the cache any more"
        repro.make(wanted, place, project, watch)
    except HarnessError as error:
        return error.message
    except OSError as error:
        return f"{error.filename or place}: {error.strerror}"
    return ""
