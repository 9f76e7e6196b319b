# SPDX-License-Identifier: GPL-2.0-only
"""The kernels of a run: base, tip and what is between them, with the modules of the suites."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import cache, elf, failnth, kernel, modules, places, symbols
from harness.execution import Execution, Target
from harness.model import Base, Kconfig, Kernel, Mount, Series, Splat, Step
from harness.record import Record
from harness.series import touched
from harness.stages import Stages
from harness.suites import Modules
from harness.toolchain import Toolchain
from harness.watch import Watch

_SITES_S = 300.0  # some fifty objects to compile again


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the kernels of a run have in common; `series` is its name, with which modules' errors
    begin."""

    base: Base
    series: str
    kconfig: Kconfig
    toolchain: Toolchain
    modules: tuple[Modules, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    kernel: Kernel
    mounts: tuple[Mount, ...] = ()
    files: tuple[tuple[str, Path], ...] = ()


class Builds:
    """Kernels by the label of their step, each from the cache or built now."""

    def __init__(self, wanted: Wanted, record: Record, watch: Watch, stages: Stages) -> None:
        self._wanted = wanted
        self._record = record
        self._watch = watch
        self._stages = stages
        self._built: dict[str, _Built] = {}

    @property
    def kernels(self) -> dict[str, Kernel]:
        """Those that there are."""
        return {label: one.kernel for label, one in self._built.items()}

    def target(self, label: str) -> Target:
        """What guests boot for a step."""
        built = self._built[label]
        return Target(label=label, kernel=built.kernel, mounts=built.mounts)

    def make(self, step: Step) -> Kernel:
        """The kernel of a step and its modules. ApplyError, KconfigError, BuildError."""
        made = _Built(kernel=self._make_kernel(step))
        if self._wanted.modules:
            made = self._make_modules(step, made.kernel)
        self._built[step.label] = made
        return made.kernel

    def same(self, label: str, other: str) -> bool:
        """Two steps have the same program in their kernels and modules, so that what one did the
        other does."""
        return self.program(label) == self.program(other)

    def program(self, label: str) -> str:
        """A digest of what a step's kernel and modules are, whatever sources they came from."""
        built = self._built[label]
        files = [path for _, place in built.files for path in sorted(place.glob("*.ko"))]
        programs = [elf.digest(path) for path in (built.kernel.vmlinux, *files)]
        return cache.digest("\n".join([*(name for name, _ in built.files), *programs]))

    def find_places(self, step: Step, execution: Execution) -> None:
        """Where in the sources the kernel's reports are, if it made any."""
        if execution.splats:
            execution.say_more(self.places(step, execution.splats))

    def find_sites(self, step: Step, execution: Execution) -> None:
        """Where in the sources what was made to fail is."""
        frames = failnth.callers(execution.results)
        if frames:
            with self._stages.stage(f"sites {step.label}") as said:
                found = symbols.decode(frames, self._about(step), within_s=_SITES_S)
                said.append(f"{len(found.places)} of {len(frames)} callers placed")
            execution.places = found.places
            self._record.frames(step.label, tuple(found.places.values()))

    def places(self, step: Step, splats: Sequence[Splat]) -> Mapping[Splat, Splat]:
        """What splats of a step's kernel say of the sources, by the splats as they were."""
        with self._stages.stage(f"symbols {step.label}") as said:
            found = places.find(splats, self._about(step), step.stack)
            said.append(f"{found.placed} of {found.frames} frames")
        return found.splats

    def _about(self, step: Step) -> symbols.Built:
        wanted, built = self._wanted, self._built[step.label]
        return symbols.Built(
            base=wanted.base,
            kernel=built.kernel,
            objects=kernel.objects_key(wanted.kconfig, wanted.toolchain),
            touched=frozenset(file for patch in step.stack.patches for file in touched(patch)),
            modules=built.files,
        )

    def _make_kernel(self, step: Step) -> Kernel:
        directory = self._record.kernel_dir(step.label)
        with self._stages.stage(f"kernel {step.label}") as said:
            built = kernel.find_or_build(
                self._wanted.base,
                step.stack,
                self._wanted.kconfig,
                toolchain=self._wanted.toolchain,
                build_log=directory / "build.log",
                progress=self._watch.build,
                modules=bool(self._wanted.modules),
            )
            said.append(f"{built.release} {_what(step.stack)}{', from the cache' * built.cached}")
        shutil.copyfile(built.config, directory / "config")
        if built.cached:
            shutil.copyfile(built.dir / "build.log", directory / "build.log")
        self._record.kernel(step.label, built)
        return built

    def _make_modules(self, step: Step, made: Kernel) -> _Built:
        """The modules of the suites, for one kernel, and where its guests see them."""
        base = self._wanted.base.name
        target = modules.Target(
            base=self._wanted.base,
            kernel=made,
            tools=self._wanted.toolchain,
            name=f"{self._wanted.series} on {base}" if step.stack.patches else base,
        )
        log = self._record.kernel_dir(step.label) / "modules.log"
        with self._stages.stage(f"modules {step.label}") as said:
            mounts, files = [], []
            for one in self._wanted.modules:
                built = modules.find_or_build(one, target, log)
                files.append((one.name, built))
                mounts += [Mount(guest=place, host=built) for place in one.places]
                said += sorted(path.name for path in built.iterdir())
        return _Built(kernel=made, mounts=tuple(mounts), files=tuple(files))


def _what(stack: Series) -> str:
    count = len(stack.patches)
    return f"+ {count} patch{'es' * (count != 1)}" if count else "unpatched"
