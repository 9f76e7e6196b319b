# SPDX-License-Identifier: GPL-2.0-only
"""pytest files of a suite: their tests, and the interpreter that runs them in the guest.

It is the one that runs us. The guest's root is the host's, so that it is there at the same path,
with its bytecode caches; what lies where the guest has file systems of its own is mounted there.
"""

import importlib.metadata
import importlib.util
import json
import os
import py_compile
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import cache, proc
from harness.errors import BuildError
from harness.model import Mount
from harness.suites import shown

_SERVER = Path(__file__).parent.parent / "agent/pytest_server.py"
_COLLECT_S = 120.0
_LISTING = "pytest.json"
_PROGRAM = "pytest_server.pyc"
# pytest and all that it imports of others.
_PACKAGES = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments")
# pytest's own loop, and then which files were imported, for _LISTING.
_COLLECTOR = """
import json, sys, pytest
status = pytest.main(sys.argv[2:])
files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
with open(sys.argv[1], "w") as listing:
    json.dump(sorted({file for file in files if file}), listing)
sys.exit(status)
"""
# Of the standard library, what no test in a guest imports.
_LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "turtle.py", "lib2to3", "ensurepip"}
_LEFT_OUT |= {"pydoc_data", "site-packages", "dist-packages", "distutils", "venv"}
_NO_TESTS = 5  # pytest.ExitCode.NO_TESTS_COLLECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonTest:
    """`node` is pytest's id, `test_a.py::test_b[8]`; `name` ours, `test_a.test_b[8]`."""

    name: str
    node: str


def identity() -> list[str]:
    """What decides, beside the files themselves, which tests they hold and how they run."""
    version = importlib.metadata.version("pytest")
    return [sys.executable, sys.version, version, cache.digest(_SERVER.read_bytes())]


def add_server(directory: Path) -> None:
    """Put the server's program into `directory`, compiled, as Python would not keep it so."""
    py_compile.compile(str(_SERVER), str(directory / _PROGRAM), _SERVER.name, doraise=True)


def collect(directory: Path, files: Sequence[str], log: Path) -> tuple[PythonTest, ...]:
    """The tests of `files` in `directory`, in pytest's order.

    The first time pytest imports the files on the host, and its list and the bytecode stay in
    `directory`. BuildError with pytest's words when it cannot.
    """
    stored = directory / _LISTING
    if cache.read_json(stored) is None:
        with tempfile.TemporaryDirectory(prefix="harness-collect-") as scratch:
            imported = Path(scratch) / "imported.json"
            nodes = _collect(directory, files, log, imported)
            about = {"nodes": nodes, "imported": json.loads(imported.read_text())}
        cache.write_json(stored, about)
    nodes = cache.read_json(stored)["nodes"]
    return tuple(PythonTest(name=_name(node), node=node) for node in nodes)


def _collect(directory: Path, files: Sequence[str], log: Path, imported: Path) -> list[str]:
    argv = [sys.executable, "-P", "-c", _COLLECTOR, str(imported)]
    argv += ["--collect-only", "-q"]
    argv += ["-c", os.devnull, "--rootdir", str(directory), "-p", "no:cacheprovider", *files]
    env = {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    done = proc.run(argv, cwd=directory, env=env, timeout_s=_COLLECT_S)
    with log.open("ab") as file:
        file.write(done.stdout + done.stderr)
    if done.status:
        said = [line.strip() for line in done.text.splitlines() if line.startswith("E ")]
        why = "holds no test" if done.status == _NO_TESTS else "cannot be collected"
        lines = tuple(said or done.complaint.splitlines())[:6]
        raise BuildError(f"{' '.join(files)}: pytest says it {why}", lines=lines, log=log)
    listing = done.text.partition("\n\n")[0]
    return [line for line in listing.splitlines() if "::" in line]


def _name(node: str) -> str:
    file, _, test = node.partition("::")
    return f"{file.removesuffix('.py')}.{test.replace('::', '.')}"


def command(directory: Path) -> tuple[str, ...]:
    """The command line of the server for the tests in `directory` (agent/pytest_server.py).

    Isolated and without `site`: neither its time nor what a virtual environment adds is needed.
    """
    sites = (str(path) for path in _sites())
    return (sys.executable, "-I", "-S", "-u", str(directory / _PROGRAM), str(directory), *sites)


def mounts(directory: Path) -> tuple[Mount, ...]:
    """What of `directory` and the interpreter the guest would not see at its place."""
    prefixes = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parents[1])
    return shown((directory, *prefixes, *_sites()))


def contents(directory: Path) -> tuple[Mount, ...]:
    """What of the host a guest with a root of its own has for the tests in `directory`: them, the
    interpreter, its library, and the packages that they import at their top."""
    library = Path(sysconfig.get_path("stdlib"))
    own = [path for path in library.iterdir() if path.name not in _LEFT_OUT]
    imported = [Path(file) for file in cache.read_json(directory / _LISTING)["imported"]]
    packages = {
        site / file.relative_to(site).parts[0]
        for site in _sites()
        for file in imported
        if file.is_relative_to(site)
    }
    places = [directory, Path(sys.executable), Path(sys.prefix) / "pyvenv.cfg", *own]
    places += sorted(packages)
    return tuple(Mount(guest=str(place), host=place) for place in places if place.exists())


def _sites() -> tuple[Path, ...]:
    """The directories that pytest and what it needs are imported from."""
    specs = (importlib.util.find_spec(name) for name in _PACKAGES)
    origins = (Path(spec.origin) for spec in specs if spec and spec.origin)
    return tuple(
        dict.fromkeys(
            path.parent.parent if path.name == "__init__.py" else path.parent for path in origins
        )
    )
