# SPDX-License-Identifier: GPL-2.0-only
"""An edit of one line in fs/aio.c and the way to its verdict without the harness.

Two trees, as somebody has them who works on a kernel: one with an O= directory, for make and bare
QEMU; one that virtme-ng builds in. Both are built once before anything is timed.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import bare, clock
from harness import apply, project, series, toolchain, tree

_LINE = "\tnr_events *= 2;\n"


class ByHand:
    """The trees, with aio-poll applied and the configuration of `kernel`; gone at the end.

    `runs` holds the runs of the harness, the last of which wrote down QEMU's command line.
    """

    def __init__(self, kernel: Path, runs: Path) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="edit-", dir=runs.parent))
        self._runs = runs
        self._numbers = itertools.count(int(time.time()))
        self._series = series.load(project.root(), "aio-poll")
        base = tree.resolve("6.12", None)
        applied = apply.apply(base, self._series)
        for name in ("make", "vng"):
            work = self._place / name
            work.mkdir()
            archive = subprocess.Popen(
                ["git", f"--git-dir={base.mirror}", "archive", applied], stdout=subprocess.PIPE
            )
            subprocess.run(["tar", "x", "-C", work], stdin=archive.stdout, check=True)
            archive.wait()
        (self._place / "objects").mkdir()
        shutil.copy(kernel / "config", self._place / "objects/.config")
        shutil.copy(kernel / "config", self._place / "vng/.config")
        self._old = self._text("make")
        clock.wall(self._make())
        clock.wall(self._vng_build(), cwd=self._place / "vng")

    def _text(self, name: str) -> str:
        text = (self._place / name / "fs/aio.c").read_text()
        if text.count(_LINE) != 1:
            raise SystemExit(f"fs/aio.c has not one line {_LINE!r}")
        return text

    def _make(self) -> list[str]:
        jobs = f"-j{toolchain.jobs()}"
        objects = f"O={self._place / 'objects'}"
        return ["make", "-C", str(self._place / "make"), objects, jobs, "vmlinux"]

    def _vng_build(self) -> list[str]:
        return ["vng", "--build", "--verbose", f"-j{toolchain.jobs()}"]

    def next_patch(self) -> Path:
        """A series that changes that line as no other one did, on top of aio-poll."""
        directory = self._place / "series"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for patch in self._series.patches:
            (directory / patch.name).write_bytes(patch.data)
        (directory / "edit.patch").write_text(self._diff())
        names = [*(patch.name for patch in self._series.patches), "edit.patch"]
        (directory / "series").write_text("".join(f"{name}\n" for name in names))
        return directory

    def _diff(self) -> str:
        new = self._old.replace(
            _LINE, f"\tnr_events += nr_events + {next(self._numbers) % 1000};\n"
        )
        (self._place / "a").write_text(self._old)
        (self._place / "b").write_text(new)
        done = subprocess.run(
            ["diff", "-u", "--label=a/fs/aio.c", "--label=b/fs/aio.c", "a", "b"],
            cwd=self._place,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        return done.stdout

    def _apply(self, name: str) -> None:
        work = self._place / name
        (work / "fs/aio.c").write_text(self._old)
        subprocess.run(["patch", "-s", "-p1"], cwd=work, input=self._diff(), text=True, check=True)

    def minimal(self) -> float:
        """Seconds of patch, make, and a bare boot that runs the test."""
        command = max(self._runs.glob("*/boots/*/qemu.cmd"), key=lambda path: path.stat().st_mtime)
        image = self._place / "objects/vmlinux"
        words = command.read_text().replace(self._image(command), str(image))
        (self._place / "qemu.cmd").write_text(words)
        started = time.monotonic()
        self._apply("make")
        built = clock.wall(self._make())
        booted = bare.boot(self._place / "qemu.cmd", "/.harness/0/one; poweroff -f")
        print(f"  by hand: make {built:.1f} s, boot {booted:.1f} s", file=sys.stderr)
        return time.monotonic() - started

    def _image(self, command: Path) -> str:
        words = command.read_text().split()
        return words[words.index("-kernel") + 1]

    def vng(self, *options: str) -> float:
        """Seconds of patch, `vng --build`, `vng --exec` with more options."""
        started = time.monotonic()
        self._apply("vng")
        work = self._place / "vng"
        old = (work / "arch/x86/boot/bzImage").stat().st_mtime_ns
        built = clock.wall(self._vng_build(), cwd=work)
        if (work / "arch/x86/boot/bzImage").stat().st_mtime_ns == old:
            raise SystemExit("vng --build has built nothing")
        ran = clock.wall(["vng", "--disable-kvm", *options, "--exec", "true"], cwd=work)
        said = f"  vng: --build {built:.1f} s, --exec {ran:.1f} s"
        print(said, *options, file=sys.stderr)
        return time.monotonic() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        os.sync()
