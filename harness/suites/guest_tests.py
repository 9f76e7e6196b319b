# SPDX-License-Identifier: GPL-2.0-only
"""Suites of guest-tests/<area>: C programs, scripts, pytest files; Makefile, `config`, `settings`.

The shape is that of the kernel's tools/testing/selftests/<area>; docs/guest-tests.md has the
recipe for a new one.
"""

import difflib
import re
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import cache, kconfig, proc, toolchain
from harness.errors import BuildError, UsageError
from harness.model import Contents, Disk, Fragment, Mount, Test
from harness.suites import Modules, Prepared, python_tests, scratch

GUEST_DIR = "/run/harness/tests"
_COMPILE_S = 600.0
_SUITE_KEYS = {"timeout", "guest", "isolation", "scratch", "tools", "samples"}
_TEST_KEYS = {"timeout", "expect-splat", "samples"}
_SAMPLES_MOST = 1000
_CHOICES = {"guest": {"vng", "any"}, "isolation": {"test", "suite", "run"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """guest-tests/<area>/settings. Timeouts in seconds at the host's own speed."""

    timeout_s: float = 45.0
    guest: str = "any"
    isolation: str = "run"
    scratch: Disk | None = None
    tools: tuple[str, ...] = ()
    timeouts_s: dict[str, float] = field(default_factory=dict)
    expect_splat: dict[str, tuple[str, ...]] = field(default_factory=dict)
    samples: int = 1
    samples_of: dict[str, int] = field(default_factory=dict)


def names(root: Path) -> tuple[str, ...]:
    """The suites of a project, sorted."""
    return tuple(sorted(path.parent.name for path in (root / "guest-tests").glob("*/Makefile")))


class GuestTests:
    """One area. UsageError when there is no such area or its settings are wrong."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self._area = root / "guest-tests" / name
        if not (self._area / "Makefile").is_file():
            known = names(root)
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
            raise UsageError(f"no suite named {name} in {root / 'guest-tests'}", hint=hint)
        self.settings = parse_settings(self._area / "settings")

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        path = self._area / "config"
        if not path.is_file():
            return ()
        return (kconfig.load_fragment(path, f"guest-tests/{self.name}/config"),)

    def prepare(self, log: Path) -> Prepared:
        """Compile the programs and collect the pytest files, unless that was done before for
        equal sources."""
        return self.prepared(self._programs(log), log)

    def prepared(self, programs: Path, log: Path) -> Prepared:
        """The plan for `programs`, which prepare() made now or at some time before."""
        listed = (programs / "tests.txt").read_text().split()
        directory = f"{GUEST_DIR}/{self.name}"
        tests = [self._test(name, argv=(f"{directory}/{name}",), cwd=directory) for name in listed]
        mounts = [Mount(guest=directory, host=programs)]
        contents = list(mounts)
        if (programs / "pytest.txt").exists():
            files = (programs / "pytest.txt").read_text().split()
            # At the host's path: it is what the bytecode, and so a traceback, has in it.
            server = python_tests.command(programs)
            tests += [
                replace(self._test(one.name, argv=(one.node,), cwd=str(programs)), server=server)
                for one in python_tests.collect(programs, files, log)
            ]
            mounts += python_tests.mounts(programs)
            contents += python_tests.contents(programs)
        known = {test.name.removeprefix(f"{self.name}/") for test in tests}
        settings = self.settings
        for name in (*settings.timeouts_s, *settings.expect_splat, *settings.samples_of):
            if name not in known:
                raise UsageError(f"{self._area / 'settings'}: there is no test {name}")
        return Prepared(
            tests=tuple(tests),
            mounts=tuple(mounts),
            contents=Contents(mounts=tuple(contents), tools=self.settings.tools),
            modules=self._modules(programs, tests),
        )

    def _modules(self, programs: Path, tests: Sequence[Test]) -> Modules | None:
        """What the Makefile names as TEST_GEN_MODS_DIR: there in each test's working directory."""
        listed = programs / "modules.txt"
        directory = listed.read_text().strip() if listed.exists() else ""
        if not directory:
            return None
        return Modules(
            name=f"guest-tests/{self.name}/{directory}",
            sources=self._area / directory,
            places=tuple(dict.fromkeys(f"{test.cwd}/{directory}" for test in tests)),
        )

    def _test(self, name: str, *, argv: tuple[str, ...], cwd: str) -> Test:
        settings = self.settings
        return Test(
            name=f"{self.name}/{name}",
            argv=argv,
            cwd=cwd,
            timeout_s=settings.timeouts_s.get(name, settings.timeout_s),
            expect_splat=settings.expect_splat.get(name, ()),
            isolation=settings.isolation,
            guest=settings.guest,
            disk=settings.scratch,
            samples=settings.samples_of.get(name, settings.samples),
        )

    def _programs(self, log: Path) -> Path:
        sources = sorted(
            path
            for directory in (self._area, self._area.parent / "lib")
            for path in directory.rglob("*")
            if path.is_file() and path.parent.name != "__pycache__"
        )
        # The mode counts: a script without its x bit is another program.
        content = [
            [
                str(path.relative_to(self._area.parent)),
                path.stat().st_mode & stat.S_IXUSR,
                path.read_bytes(),
            ]
            for path in sources
        ]
        python = any(self._area.glob("test_*.py"))
        tools = [toolchain.identity(), *(python_tests.identity() if python else ())]
        final = cache.root() / "programs" / cache.digest(tools, content)
        if cache.hold(final):
            return final
        with cache.building(final) as work:
            out = work / "out"
            out.mkdir()
            self._make(log, f"OUTPUT={out}", f"-j{toolchain.jobs()}", "all")
            listed = self._make(log, "print-tests").split()
            for test in listed:
                if not (out / test).is_file():
                    raise BuildError(f"guest-tests/{self.name}: `make all` made no {test}", log=log)
            (out / "tests.txt").write_text("\n".join(listed) + "\n")
            self._list_modules(out, log)
            if python:
                (out / "pytest.txt").write_text(self._make(log, "print-pytest") + "\n")
                python_tests.add_server(out)
            shutil.copytree(out, work, dirs_exist_ok=True)
            shutil.rmtree(out)
        return final

    def _list_modules(self, out: Path, log: Path) -> None:
        """Note which directory has the modules, and make the place where they are mounted."""
        if "TEST_GEN_MODS_DIR" not in (self._area / "Makefile").read_text():
            return
        directory = self._make(log, "print-modules").strip()
        if not (self._area / directory / "Makefile").is_file():
            raise UsageError(
                f"{self._area / 'Makefile'}: TEST_GEN_MODS_DIR: no {directory}/Makefile"
            )
        (out / directory).mkdir(exist_ok=True)
        (out / "modules.txt").write_text(f"{directory}\n")

    def _make(self, log: Path, *arguments: str) -> str:
        command = ["make", "-s", "--no-print-directory", "-C", str(self._area), *arguments]
        done = proc.run(command, timeout_s=_COMPILE_S)
        with log.open("ab") as file:
            file.write(done.stderr)
        if done.status:
            said = done.complaint.splitlines()
            lines = [line for line in said if "error" in line.lower() or "***" in line]
            raise BuildError(
                f"guest-tests/{self.name} does not compile", lines=tuple(lines[:4]), log=log
            )
        return done.text


def parse_settings(path: Path) -> Settings:
    """Read a `settings` file (key=value, # comments); UsageError names the line."""
    if not path.is_file():
        return Settings()
    values: dict[str, str] = {}
    timeouts_s: dict[str, float] = {}
    expect_splat: dict[str, tuple[str, ...]] = {}
    samples_of: dict[str, int] = {}
    disk: Disk | None = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        where = f"{path}:{number}"
        key, equals, value = (part.strip() for part in text.partition("="))
        test, dot, inner = key.rpartition(".")
        if not equals:
            raise UsageError(f"{where}: expected key=value")
        if dot and inner not in _TEST_KEYS or not dot and key not in _SUITE_KEYS:
            known = ", ".join([*sorted(_SUITE_KEYS), *(f"TEST.{k}" for k in sorted(_TEST_KEYS))])
            raise UsageError(f"{where}: unknown key {key}", hint=f"known: {known}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise UsageError(f"{where}: {key} is one of {', '.join(sorted(_CHOICES[key]))}")
        if inner == "expect-splat":
            expect_splat[test] = (*expect_splat.get(test, ()), _expectation(value, where))
        elif inner == "timeout" and dot:
            timeouts_s[test] = _seconds(value, where)
        elif inner == "samples" and dot:
            samples_of[test] = _count(value, where)
        elif key == "scratch":
            disk = scratch.parse(value, path.parent.name, where)
        else:
            values[key] = value
            if key == "timeout":
                _seconds(value, where)
            elif key == "samples":
                _count(value, where)
    return Settings(
        timeout_s=float(values.get("timeout", 45)),
        guest=values.get("guest", "any"),
        isolation=values.get("isolation", "run"),
        scratch=disk,
        tools=tuple(values.get("tools", "").split()),
        timeouts_s=timeouts_s,
        expect_splat=expect_splat,
        samples=int(values.get("samples", 1)),
        samples_of=samples_of,
    )


def _count(value: str, where: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= _SAMPLES_MOST:
        raise UsageError(f"{where}: samples is a number from 1 to {_SAMPLES_MOST}")
    return int(value)


def _expectation(value: str, where: str) -> str:
    """A part of `kind: title`, or a regular expression in slashes."""
    if not value.strip("/"):
        raise UsageError(f"{where}: expect-splat wants a title or /regular expression/")
    if len(value) > 2 and value[0] == value[-1] == "/":
        try:
            re.compile(value[1:-1])
        except re.error as error:
            raise UsageError(f"{where}: {value}: {error}") from None
    return value


def _seconds(value: str, where: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86400:
        raise UsageError(f"{where}: {value} is no number of seconds")
    return seconds
