# SPDX-License-Identifier: GPL-2.0-only
"""Tree + configuration -> Kernel, from the cache when equal inputs were built before."""

import logging
import os
import re
import select
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import apply, cache, disuse, kbuild, kconfig, proc, series, slot
from harness.errors import BuildError
from harness.kbuild import Kbuild
from harness.model import Base, Kconfig, Kernel, Series
from harness.toolchain import Toolchain

log = logging.getLogger(__name__)

_RECIPE = 4  # raise it when the way to build changes, so that old entries are not found
_BUILD_S = 4 * 3600.0
_MAKE_ENDED = (0, 1, 2)  # by itself, so that it has removed what it could not finish
_OBJECTS = 2  # raise it when what is kept beside the objects changes
_STEP = re.compile(r"^  (?:CC|AS|AR|LD|HOSTCC|HOSTLD|OBJCOPY|VDSO|CC \[M\])\s+(\S+)")

_KEPT = ("release", "boots", "image_digest", "warnings")  # of a Kernel, in kernel.json

_INCLUDED = re.compile(r"^(?:In file included| {16,}) ?from ([^\s:]+):\d+")

Progress = Callable[[int, int | None, str], None]
"""Called with objects done, objects expected (None: not known) and the object just made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What tells a kernel from others: `key` in the cache, the `tree` object of its sources, and
    `objects`, the name of the O= directory that it is built in."""

    key: str
    tree: str
    objects: str

    def load(self) -> Kernel | None:
        """It, where the cache has it."""
        return _load(self.key, self.tree)


def identify(
    base: Base, stack: Series, wanted: Kconfig, toolchain: Toolchain, *, modules: bool = False
) -> Identity:
    """The identity of what find_or_build() would make. ApplyError, KconfigError, HostError."""
    config = _config_parts(wanted, toolchain)
    tree = apply.apply(base, stack)
    # An entry of its own, so that kernels of runs without modules have nothing to do with them.
    key = cache.digest(_RECIPE, tree, *config, *(("modules",) if modules else ()))
    return Identity(key=key, tree=tree, objects=objects_key(wanted, toolchain))


def find_or_build(
    base: Base,
    stack: Series,
    wanted: Kconfig,
    *,
    toolchain: Toolchain,
    build_log: Path,
    progress: Progress,
    modules: bool = False,
) -> Kernel:
    """The kernel of `base` with `stack` applied, configured as `wanted`, built with `toolchain`.

    With `modules` it keeps what modules outside of the tree are built with (Kernel.kbuild).
    `build_log` gets make's whole output when something is built. Raises ApplyError, KconfigError,
    BuildError (the first error, the patches that touch that file, the log) or HostError.
    """
    limit_bytes = cache.limit_bytes()
    made = identify(base, stack, wanted, toolchain, modules=modules)
    if found := made.load():
        return found
    lock = cache.root() / "kernels" / f"{made.key}.lock"

    def waiting() -> None:
        log.info("waiting for another run that builds this kernel")

    with cache.locked(lock, timeout_s=_BUILD_S, waiting=waiting):
        if found := made.load():
            return found
        with slot.take(base, made.tree, made.objects) as taken:
            work = _Build(base, stack, taken, made.objects, toolchain)
            work.configure(wanted)
            work.make(modules=modules, build_log=build_log, progress=progress)
            built = work.store(made.key, made.tree, build_log, modules=modules)
        lock.unlink(missing_ok=True)
    disuse.evict("kernels", limit_bytes)
    return built


def objects_key(wanted: Kconfig, tools: Toolchain) -> str:
    """The name of the O= directory of such kernels in a slot."""
    return cache.digest(_OBJECTS, *_config_parts(wanted, tools))[:12]


def _config_parts(wanted: Kconfig, tools: Toolchain) -> tuple[str, ...]:
    """What of a key is not the tree's: equal parts, equal .config and equal compiler."""
    start = (wanted.config_file.text,) if wanted.config_file else ()
    return kconfig.merge(wanted), tools.identity(), *start


def _load(key: str, tree: str) -> Kernel | None:
    directory = cache.root() / "kernels" / key
    if not cache.hold(directory) or (about := cache.read_json(directory / "kernel.json")) is None:
        return None
    return Kernel(
        key=key,
        release=about["release"],
        tree=tree,
        dir=directory,
        cached=True,
        boots=about["boots"],
        image_digest=about["image_digest"],
        warnings=tuple(about["warnings"]),
    )


def added_warnings(before: Kernel, after: Kernel) -> tuple[str, ...]:
    """The compiler's warnings about one kernel that another one does not have: the same words
    about the same file are the same warning, wherever in it and however often."""
    known = {kbuild.without_place(warning) for warning in before.warnings}
    return tuple(one for one in after.warnings if kbuild.without_place(one) not in known)


def latest_image() -> Path | None:
    """The image of the kernel that was built last, of those in the cache."""
    abouts = sorted(cache.root().glob("kernels/*/kernel.json"), key=lambda p: p.stat().st_mtime)
    known = ((path.parent, cache.read_json(path)) for path in reversed(abouts))
    images = (place / str(about["boots"]) for place, about in known if about)
    return next(filter(cache.hold, images), None)


class _Build:
    """One build in a slot: configure, make, store."""

    def __init__(
        self, base: Base, stack: Series, taken: slot.Slot, config_key: str, tools: Toolchain
    ) -> None:
        self._base = base
        self._stack = stack
        self._slot = taken
        self._objects = taken.objects(config_key)
        self._sizes = cache.root() / "build-sizes" / config_key
        self._kbuild = Kbuild(
            base=base.name,
            slot=taken.dir,
            source=taken.source,
            objects=self._objects,
            tools=tools,
            lock=taken.lock,
        )
        self._objects.mkdir(parents=True, exist_ok=True)
        cache.touch(self._objects)
        self._making = self._objects / ".harness-making"
        self._discard_partial()

    def _discard_partial(self) -> None:
        """Remove what a make that was killed may have left half written, as the next one would
        take it for done: whatever is younger than its start."""
        if not self._making.exists():
            return
        since = self._making.stat().st_mtime_ns
        for path in self._objects.rglob("*"):
            if not path.is_dir() and path.lstat().st_mtime_ns >= since and path != self._making:
                path.unlink()
        self._making.unlink()

    def configure(self, wanted: Kconfig) -> None:
        """Make .config, and check that what was asked for is in it."""
        config = self._kbuild.config
        done = self._objects / ".harness-configured"
        known = done.read_text().split() if done.exists() and config.exists() else []
        patches = [
            patch.data
            for patch in self._stack.patches
            if any(map(kbuild.is_read_to_configure, series.touched(patch)))
        ]
        tokens = [cache.digest(self._base.tree, patches)]
        if tokens[0] not in known:  # another tree, which may have all the same of what matters
            files = kbuild.configured_by(self._base.mirror, self._base.tree)
            tokens.append(cache.digest(files, patches))
            if tokens[1] not in known:
                done.unlink(missing_ok=True)
                log.info("configuring")
                self._kbuild.configure(wanted)
            cache.write_whole(done, " ".join(tokens).encode())
        kconfig.dropped(wanted, config.read_text(), self._slot.source)

    def make(self, *, modules: bool, build_log: Path, progress: Progress) -> None:
        """Build the image, and with `modules` what those need; all of make's output to
        `build_log`."""
        targets = [self._kbuild.image_name(), *(["modules_prepare"] if modules else [])]
        fresh = not (self._objects / "vmlinux").exists()
        expected = self._expected() if fresh else 0
        command = self._kbuild.command(*targets)
        count = 0
        self._making.touch()
        with (
            build_log.open("wb", buffering=0) as file,
            proc.spawn(
                command,
                env=self._kbuild.environment(),
                keep_fds=(self._slot.lock,),
            ) as process,
        ):
            deadline = time.monotonic() + _BUILD_S
            for line in proc.lines(_tee(process, file.write, deadline)):
                if step := _STEP.match(line):
                    count += 1
                    known = count <= expected  # another configuration's, where there is none
                    progress(count, expected if known else None, step[1])
            status = process.wait(60)
        if status in _MAKE_ENDED:
            self._making.unlink()
        text = build_log.read_text(errors="replace")
        if status:
            self._warnings(text)  # of what was compiled, and is not again
            raise self._failure(text, build_log, status)
        if fresh:  # or gone on with after an interruption, so that some were made before
            cache.write_json(self._sizes, max(count, cache.read_json(self._sizes) or 0))

    def _expected(self) -> int:
        """Objects that a build from nothing makes: as many as the last one of this configuration
        did, or of another one."""
        others = sorted(self._sizes.parent.glob("*"), key=lambda p: p.stat().st_mtime, reverse=True)
        counts = (cache.read_json(path) for path in (self._sizes, *others))
        return next((int(count) for count in counts if count), 0)

    def _failure(self, text: str, build_log: Path, status: int | None) -> Exception:
        if "No space left on device" in text:
            return proc.disk_full("make")
        lines = [self._kbuild.relative(line) for line in text.splitlines()]
        found = kbuild.failure(lines)
        if not found.file:
            return BuildError(
                f"{self._stack.name} does not build on {self._base.name}: make ended with {status}",
                lines=found.lines,
                log=build_log,
            )
        guilty = [p.name for p in self._stack.patches if found.file in series.touched(p)]
        whose = (
            f"{found.file} is touched by {', '.join(guilty)}"
            if guilty
            else f"no patch of the series touches {found.file}"
        )
        return BuildError(
            f"{self._stack.name} does not compile on {self._base.name}: {whose}",
            lines=found.lines,
            log=build_log,
        )

    def _warnings(self, text: str) -> tuple[str, ...]:
        """The compiler's warnings in the whole tree, as `file:line:column: text`: those that this
        make shows, and those of earlier ones in what was not compiled again."""
        kept = self._objects / ".harness-warnings.json"
        known: dict[str, list[str]] = cache.read_json(kept) or {}
        since = kept.stat().st_mtime if known else 0.0
        lines = [self._kbuild.relative(line) for line in text.splitlines()]
        made = {Path(step[1]).with_suffix("") for line in lines if (step := _STEP.match(line))}
        for file in list(known):
            source = self._slot.source / file
            if (
                Path(file).with_suffix("") in made
                or not source.exists()
                or source.stat().st_mtime > since
            ):
                del known[file]
        source_file = ""
        for line in lines:
            if included := _INCLUDED.match(line):
                source_file = included[1]  # the last one of several: what was compiled
            elif _STEP.match(line):
                source_file = ""
            match = kbuild.COMPILER.match(line)
            if match and match["what"] == "warning":
                of_file = known.setdefault(source_file or match["file"], [])
                of_file += [line] if line not in of_file else []
        cache.write_json(kept, known)
        return tuple(line for file in sorted(known) for line in known[file])

    def store(self, key: str, tree: str, build_log: Path, *, modules: bool) -> Kernel:
        """Put what a boot and a later look need into the cache."""
        release = (self._objects / "include/config/kernel.release").read_text().strip()
        warnings = self._warnings(build_log.read_text(errors="replace"))
        with cache.building(cache.root() / "kernels" / key) as work:
            boots = self._kbuild.image_name()
            if boots != "vmlinux":
                shutil.copyfile(self._objects / "arch/x86/boot" / boots, work / boots)
            shutil.copyfile(self._objects / "vmlinux", work / "vmlinux")
            image_digest = cache.digest((work / boots).read_bytes())
            shutil.copyfile(self._objects / ".config", work / "config")
            shutil.copyfile(build_log, work / "build.log")
            if modules:
                self._kbuild.keep_for_modules(work / "kbuild")
            built = Kernel(
                key=key,
                release=release,
                tree=tree,
                dir=cache.root() / "kernels" / key,
                cached=False,
                boots=boots,
                image_digest=image_digest,
                warnings=warnings,
            )
            about = {name: getattr(built, name) for name in _KEPT}
            cache.write_json(work / "kernel.json", about)
        return built


def _tee(
    process: proc.Process, write: Callable[[bytes], object], deadline: float
) -> Iterator[bytes]:
    fd = process.stdout.fileno()
    while select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(fd, 64 << 10)
        if not chunk:
            return
        write(chunk)
        yield chunk
    process.kill()
