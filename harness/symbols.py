# SPDX-License-Identifier: GPL-2.0-only
"""Where in the sources the frames of stack traces are. Kernels are built without debug
information, as it would cost every build: the objects that a trace needs are compiled once more,
with lines. A kernel that has it (kconfigs/debuginfo.config) is asked as it is.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from harness import image, proc, recompile, slot, toolchain
from harness.errors import HarnessError
from harness.image import Function
from harness.model import Base, Frame, Kernel, Position
from harness.slot import Slot

_TIME_S = 60.0
# Whichever slot it was: ccache may have the object from another one.
_IN_SLOT = re.compile(r".*/slots/[^/]+/(?:tree|obj/[^/]+)/(.+)")
_IN_MODULE = re.compile(r".*/modules/\.tmp-[^/]+/build/(.+)")
_SYMBOL = re.compile(
    r"[^:]+:(?P<object>[^:]+):[0-9a-f]+ (?:(?P<size>[0-9a-f]+) )?[tTwW] (?P<name>\S+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A kernel and what it was built from: `objects` is the name of its O= in a slot, `touched`
    the files that the series changes, `modules` the directories of .ko files by the names of
    their sources."""

    base: Base
    kernel: Kernel
    objects: str
    touched: frozenset[str]
    modules: tuple[tuple[str, Path], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Frames with their places, by the frames without; `why` the others have none, by frame."""

    places: dict[Frame, Frame]
    why: dict[Frame, str]


def decode(frames: Iterable[Frame], built: Built, *, within_s: float = _TIME_S) -> Decoded:
    """Where the frames are, as far as it is found out within a minute; never an error."""
    every = list(dict.fromkeys(frames))
    work = _Work(built, within_s)
    wanted = [frame for frame in every if not frame.module]
    try:
        work.ask_modules([frame for frame in every if frame.module])
        if "\nCONFIG_DEBUG_INFO=y\n" in built.kernel.config.read_text():
            work.ask_vmlinux(wanted)
        else:
            work.ask_objects(wanted)
    except (HarnessError, OSError) as error:
        said = error.message if isinstance(error, HarnessError) else str(error)
        work.why |= {frame: said for frame in every if frame not in work.places}
    return Decoded(places=work.places, why=work.why)


class _Work:
    """One decoding: what is found by now, and until when."""

    def __init__(self, built: Built, within_s: float) -> None:
        self._built = built
        self._within_s = within_s
        self._deadline = time.monotonic() + within_s
        self.places: dict[Frame, Frame] = {}
        self.why: dict[Frame, str] = {}

    def _left_s(self) -> float:
        return max(0.1, self._deadline - time.monotonic())

    def ask_modules(self, frames: Sequence[Frame]) -> None:
        """Those of the suites' modules, which have lines (modules.py)."""
        for name in dict.fromkeys(frame.module for frame in frames):
            mine = [frame for frame in frames if frame.module == name]
            files = (
                path
                for _, directory in self._built.modules
                for path in directory.glob("*.ko")
                if path.stem.replace("-", "_") == name
            )
            module = next(files, None)
            table = image.functions(module, self._left_s()) if module else {}
            known = {f: one for f in mine if (one := _pick(table, f))}
            if module:
                self._place(module, known)
            self.why |= {f: f"{name} is not of this run" for f in mine if f not in known}

    def ask_vmlinux(self, frames: Sequence[Frame]) -> None:
        """Those of a kernel with debug information."""
        vmlinux = self._built.kernel.vmlinux
        table = image.functions(vmlinux, self._left_s())
        known = {f: replace(one, section="") for f in frames if (one := _pick(table, f))}
        self._place(vmlinux, known)
        self.why |= {f: "vmlinux does not have it" for f in frames if f not in known}

    def ask_objects(self, frames: Sequence[Frame]) -> None:
        """Those of a kernel without."""
        built = self._built
        with slot.borrow(built.base, built.kernel.tree, built.objects) as taken:
            if taken is None:
                said = "no free slot has the objects of this kernel"
                self.why |= dict.fromkeys(frames, said)
                return
            groups = self._by_object(frames, taken)
            with tempfile.TemporaryDirectory(prefix="harness-symbols-") as scratch:
                pool = ThreadPoolExecutor(toolchain.jobs())
                try:
                    jobs = [
                        pool.submit(self._ask_object, taken, name, group, Path(scratch) / f"{n}.o")
                        for n, (name, group) in enumerate(groups.items())
                    ]
                    for job in jobs:
                        job.result()
                finally:  # interrupted: what is not begun never is
                    pool.shutdown(cancel_futures=True)

    def _by_object(self, frames: Sequence[Frame], taken: Slot) -> dict[str, list[Frame]]:
        """Which object to ask for which frames, those that the series touches first."""
        objects = taken.objects(self._built.objects)
        index = _index(objects, {frame.function for frame in frames}, self._left_s())
        sources = sorted(file for file in self._built.touched if file.endswith(".c"))
        touched = [str(Path(file).with_suffix(".o")) for file in sources]
        found = {frame: _fitting(index, frame) for frame in frames}
        # A header's function is in many objects, with the same line in each; a file's own one is
        # called by its neighbours.
        near = [*touched, *(names[0] for names in found.values() if len(names) == 1)]
        groups: dict[str, list[Frame]] = {}
        for frame, names in found.items():
            names = names or [
                # O= may be another tree's by now: what is new in this one is the series'.
                name
                for name, file in zip(touched, sources, strict=True)
                if _mentions(taken.source / file, frame.function)
            ]
            chosen = next((name for name in near if name in names), names[0] if names else "")
            if chosen:
                groups.setdefault(chosen, []).append(frame)
            else:
                self.why[frame] = "no object has it"
        return dict(sorted(groups.items(), key=lambda group: group[0] not in touched))

    def _ask_object(self, taken: Slot, name: str, frames: Sequence[Frame], output: Path) -> None:
        objects = taken.objects(self._built.objects)
        env = toolchain.environment(taken.dir)
        try:
            if time.monotonic() > self._deadline:
                self.why |= dict.fromkeys(frames, f"not within {self._within_s:.0f} s")
                return
            recompile.with_lines(
                taken, objects, name, output=output, env=env, timeout_s=self._left_s()
            )
            table = image.functions(output, self._left_s())
            known = {f: one for f in frames if (one := _pick(table, f))}
            self.why |= {f: f"{name} has another one" for f in frames if f not in known}
            self._place(output, known)
        except (HarnessError, OSError) as error:
            said = error.message if isinstance(error, HarnessError) else str(error)
            self.why |= {frame: said for frame in frames if frame not in self.places}

    def _place(self, path: Path, known: dict[Frame, Function]) -> None:
        """Take the places of frames that are functions of one file."""
        for section in {one.section for one in known.values()}:
            here = {f: _address(f, one) for f, one in known.items() if one.section == section}
            found = image.places(path, section, here.values(), self._left_s())
            for frame, address in here.items():
                chain = [self._of_tree(one, path) for one in found.get(address, ())]
                if chain and chain[-1].file:
                    self.places[frame] = _placed(frame, chain)
                else:
                    self.why[frame] = "the compiler says no line"

    def _of_tree(self, one: Position, path: Path) -> Position:
        """A place with its file as the tree has it, or O= for a header that was made, or the
        suite of a module."""
        file = os.path.normpath(one.file)
        if found := _IN_SLOT.match(file):
            return replace(one, file=found[1])
        if found := _IN_MODULE.match(file):
            names = (name for name, directory in self._built.modules if directory == path.parent)
            return replace(one, file=f"{next(names, '')}/{found[1]}")
        return one


_Index = dict[str, list[tuple[str, Function]]]


def _index(objects: Path, names: set[str], timeout_s: float) -> _Index:
    """The objects of an O= that define functions of these names."""
    libraries = [str(path.relative_to(objects)) for path in objects.glob("arch/*/lib/lib.a")]
    argv = ["nm", "-A", "-S", "--defined-only", "vmlinux.a", "lib/lib.a", *libraries]
    done = proc.run(argv, cwd=objects, timeout_s=timeout_s)
    found: _Index = {}
    for line in done.text.splitlines():  # a file that is gone is one complaint, no more
        symbol = _SYMBOL.fullmatch(line)
        if symbol and symbol["name"] in names:
            one = Function(section="", start=0, size=int(symbol["size"] or "0", 16))
            found.setdefault(symbol["name"], []).append((symbol["object"], one))
    return found


def _fitting(index: _Index, frame: Frame) -> list[str]:
    """The objects that may have the frame's function: by size where one fits, as O= may be
    another tree's by now."""
    every = index.get(frame.function, ())
    sized = [name for name, one in every if one.fits(frame.size)]
    return list(dict.fromkeys(sized or [name for name, _ in every]))


def _mentions(source: Path, function: str) -> bool:
    name = re.escape(function.split(".")[0])
    return source.exists() and bool(re.search(rf"\b{name}\(", source.read_text(errors="replace")))


def _pick(table: dict[str, list[Function]], frame: Frame) -> Function | None:
    """The function that the kernel printed: by name, and by size as names are not unique."""
    fitting = [one for one in table.get(frame.function, ()) if one.fits(frame.size)]
    return max(fitting, key=lambda one: one.size, default=None)


def _address(frame: Frame, function: Function) -> int:
    """A call that does not return may be a function's last: the line is that of the call."""
    return function.start + frame.offset - (not frame.exact and frame.offset > 0)


def _placed(frame: Frame, chain: Sequence[Position]) -> Frame:
    own = chain[-1]
    return replace(frame, file=own.file, line=own.line, inlines=tuple(reversed(chain[:-1])))
