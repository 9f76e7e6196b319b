# SPDX-License-Identifier: GPL-2.0-only
"""ci/bootstrap, run for real on a project of stubs: no network, no root, nothing is installed.

PATH holds only stubs and links to the few tools that the script itself uses. The headers that it
looks for by path are the host's (it is ci/bootstrap that put them there).
"""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
TABLE = [
    line.split("|")
    for line in re.findall(
        r"^[?*]?(?:cmd|file|hdr|libc|python):.*$", (REPO / "ci/bootstrap").read_text(), re.M
    )
]
HOST_TOOLS = ("sh", "cat", "cut", "grep", "sort", "tr", "cksum", "env", "rm", "mv", "cp", "chmod")
MORE_TOOLS = ("mkdir", "sleep", "true", "flock")
NEEDED = [
    name for row in TABLE if row[0].startswith("cmd:") for name in row[0][4:].split(",")
]  # "?cmd:" rows are left out: those things are missing here

PYTHON = """#!/bin/sh
# A stub python3.11 that logs what it is asked to do and makes a .venv of itself.
case $* in
-Ic*) printf 3.11.9 ;;
"-m venv --clear "*)
    echo "venv $4" >>"$LOG"; rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; >"$4/bin/pip"
    chmod +x "$4/bin/pip" ;;
"-m pip install"*)
    echo "pip $*" >>"$LOG"; sleep 0.1
    [ -z "$PIP_SAYS" ] || { echo "$PIP_SAYS"; exit 1; } ;;
esac
"""


@dataclass(frozen=True)
class Project:
    """A copy of the script in a project of its own, and the PATH that it sees."""

    dir: Path
    bin: Path
    log: Path

    def environment(self, **env: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "LOG": str(self.log), "HOME": str(self.dir), **env}

    def argv(self, *args: str) -> list[str]:
        return [str(self.dir / "ci/bootstrap"), *args]

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*args),
            cwd="/",
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def stub(self, name: str, script: str = "#!/bin/sh\n") -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def manager(self, name: str, *, installs: str = "") -> None:
        """A package manager that logs its arguments and makes the command `installs` appear."""
        make = f'>"{self.bin}/{installs}"; chmod +x "{self.bin}/{installs}"' if installs else ":"
        self.stub(name, f'#!/bin/sh\necho "{name} $*" >>"$LOG"\n{make}\n')

    def root(self, uid: int = 0) -> None:
        self.stub("id", f"#!/bin/sh\necho {uid}\n")

    def calls(self, word: str) -> list[str]:
        text = self.log.read_text() if self.log.exists() else ""
        return [line for line in text.splitlines() if line.startswith(word)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    headers = [h for row in TABLE if row[0].startswith("hdr:") for h in row[0][4:].split(",")]
    if missing := [h for h in headers if not (Path("/usr/include") / h).exists()]:
        pytest.skip(f"the host lacks {', '.join(missing)}: run ci/bootstrap")
    made = Project(dir=tmp_path / "a project", bin=tmp_path / "bin", log=tmp_path / "log")
    (made.dir / "ci").mkdir(parents=True)
    made.bin.mkdir()
    shutil.copy(REPO / "ci/bootstrap", made.dir / "ci")
    (made.dir / "pyproject.toml").write_text("[project]\n")
    for tool in HOST_TOOLS + MORE_TOOLS:
        (made.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    for name in set(NEEDED) - set(HOST_TOOLS + MORE_TOOLS):
        made.stub(name)
    (tmp_path / "libc.a").touch()
    made.stub("gcc", f"#!/bin/sh\necho '{tmp_path}/libc.a'\n")
    made.stub("python3.11", PYTHON)
    made.root(1000)
    return made


def test_every_row_names_a_package_for_each_of_the_four_and_the_docs_have_them() -> None:
    docs = (REPO / "docs/setup.md").read_text()
    assert len(TABLE) > 20
    for row in TABLE:
        assert len(row) == 6, row
        for package in row[2:]:
            assert package
        assert f"| {' | '.join(row[2:])} |" in docs, f"docs/setup.md differs for {row[0]}"


@pytest.mark.parametrize("args", [(), ("--no-install",), ("--help",)])
def test_without_a_command_it_says_how_to_use_it(project: Project, args: tuple[str, ...]) -> None:
    done = project.run(*args)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_it_makes_the_venv_and_becomes_the_command_where_the_caller_is(project: Project) -> None:
    done = project.run(
        "sh", "-c", 'pwd; echo "$VIRTUAL_ENV"; echo "$PATH"; echo "$1"; exit 7', "-", "a  b"
    )
    venv = project.dir / ".venv"
    assert done.returncode == 7
    cwd, env, path, word = done.stdout.splitlines()
    assert (cwd, env, word) == ("/", str(venv), "a  b")
    assert path.startswith(f"{venv}/bin:{project.bin}")
    assert project.calls("venv") == [f"venv {venv}"]
    assert len(project.calls("pip")) == 1
    assert f"-e {project.dir} tox" in project.calls("pip")[0]


def test_a_second_run_does_nothing_and_is_quick(project: Project) -> None:
    project.run("true")
    before = project.log.read_text()
    durations = []
    for _ in range(4):
        start = time.monotonic()
        done = project.run("true")
        durations.append(time.monotonic() - start)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert project.log.read_text() == before
    assert min(durations) < 0.5


def test_a_changed_pyproject_is_installed_again_into_the_same_venv(project: Project) -> None:
    project.run("true")
    (project.dir / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    project.run("true")
    assert (len(project.calls("venv")), len(project.calls("pip"))) == (1, 2)


def test_a_venv_that_was_moved_or_lost_its_python_is_made_anew(project: Project) -> None:
    project.run("true")
    (project.dir / ".venv/bin/python").unlink()
    assert project.run("true").returncode == 0
    assert len(project.calls("venv")) == 2
    moved = Project(dir=project.dir.with_name("moved"), bin=project.bin, log=project.log)
    project.dir.rename(moved.dir)
    assert moved.run("true").returncode == 0
    assert project.calls("venv")[2:] == [f"venv {moved.dir}/.venv"]


def test_a_venv_that_somebody_else_made_is_kept(project: Project) -> None:
    project.run("true")
    (project.dir / ".venv/.harness-stamp").unlink()
    (project.dir / ".venv/mine").touch()
    assert project.run("true").returncode == 0
    assert (project.dir / ".venv/mine").exists()
    assert (len(project.calls("venv")), len(project.calls("pip"))) == (1, 2)


def test_two_at_once_install_once(project: Project) -> None:
    both = [
        subprocess.Popen(project.argv("true"), env=project.environment(), stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=30)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert (len(project.calls("venv")), len(project.calls("pip"))) == (1, 1)


def test_a_command_does_not_hold_the_lock(project: Project) -> None:
    done = project.run("flock", "-n", str(project.dir / "ci"), "true")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        (
            "apt-get",
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
            "-o DPkg::Lock::Timeout=600 flex",
        ),
        ("dnf", "dnf install -y --setopt=install_weak_deps=False flex"),
        ("pacman", "pacman -S --needed --noconfirm flex"),
        ("zypper", "zypper --non-interactive install --no-recommends flex"),
    ],
)
def test_without_root_it_says_what_is_missing_why_and_the_command(
    project: Project, manager: str, command: str
) -> None:
    (project.bin / "flex").unlink()
    project.manager(manager)
    for args in (("true",), ("--no-install", "true")):
        done = project.run(*args)
        assert done.returncode == 20
        first, *_, last = done.stderr.splitlines()
        assert first == "bootstrap: missing flex: generates the scanners of kconfig and dtc"
        assert last.strip() == command
    assert project.calls("") == []
    assert not (project.dir / ".venv").exists()


@pytest.mark.parametrize("manager", ["apt-get", "dnf", "pacman", "zypper"])
def test_root_installs_and_goes_on(project: Project, manager: str) -> None:
    (project.bin / "flex").unlink()
    project.root()
    project.manager(manager, installs="flex")
    done = project.run("true")
    assert done.returncode == 0, done.stderr
    assert any(re.search(r" (install|-S) .*flex$", call) for call in project.calls(manager))


def test_sudo_is_used_where_it_needs_no_password(project: Project) -> None:
    (project.bin / "flex").unlink()
    project.manager("dnf", installs="flex")
    project.stub("sudo", '#!/bin/sh\n[ "$1" = -n ] && exit 0\necho "sudo $1" >>"$LOG"\nexec "$@"\n')
    assert project.run("true").returncode == 0
    assert project.calls("sudo")[0] == "sudo dnf"
    project.stub("sudo", "#!/bin/sh\nexit 1\n")
    (project.bin / "flex").unlink()
    assert "cannot become root" in project.run("true").stderr


def test_an_install_that_fails_or_does_not_help_is_told(project: Project) -> None:
    (project.bin / "flex").unlink()
    project.root()
    project.stub("dnf", "#!/bin/sh\necho No match for argument; exit 1\n")
    done = project.run("true")
    assert done.returncode == 20
    assert "dnf could not install: flex" in done.stderr
    assert "No match for argument" in done.stderr
    project.stub("dnf")
    done = project.run("true")
    assert done.returncode == 20
    assert "still missing flex" in done.stderr


def test_an_unknown_package_manager_is_told(project: Project) -> None:
    (project.bin / "flex").unlink()
    (project.bin / "bc").unlink()
    done = project.run("true")
    assert done.returncode == 20
    assert "missing flex: " in done.stderr
    assert "missing bc: " in done.stderr
    assert "no apt-get, dnf, pacman or zypper here" in done.stderr


def test_an_optional_package_that_is_not_to_be_had_is_asked_for_once(project: Project) -> None:
    project.root()
    project.manager("apt-get")
    project.stub(
        "apt-cache", '#!/bin/sh\necho "apt-cache $*" >>"$LOG"\necho "  Candidate: (none)"\n'
    )
    for said in (True, False):
        done = project.run("true")
        assert done.returncode == 0
        assert ("ccache is not to be had here" in done.stderr) == said
    assert project.calls("apt-cache").count("apt-cache policy ccache") == 2  # old lists, new ones
    assert not [call for call in project.calls("apt-get") if "install" in call]


def test_an_optional_package_is_looked_for_once_more_with_new_lists(project: Project) -> None:
    """As in images of containers, whose lists are old or those of one archive of several."""
    project.root()
    fresh = project.dir / "fresh"
    project.stub("apt-get", f'#!/bin/sh\necho "apt-get $*" >>"$LOG"\n>"{fresh}"\n')
    project.stub("apt-cache", f'#!/bin/sh\n[ -e "{fresh}" ] && echo "Candidate: 1"\n')
    assert project.run("true").returncode == 0
    update, *installs = project.calls("apt-get")
    assert update.endswith("update")
    assert any(call.endswith(" ccache") for call in installs)
    assert not any("update" in call for call in installs)


def test_a_browser_is_for_those_who_run_the_tests(project: Project) -> None:
    project.root()
    project.manager("dnf")
    assert project.run("true").returncode == 0
    assert not [call for call in project.calls("dnf") if "chromium" in call]
    project.stub("tox")
    assert project.run("tox", "-e", "browser").returncode == 0
    assert [call for call in project.calls("dnf") if call.endswith(" chromium")]


def test_an_optional_package_does_not_stop_a_check(project: Project) -> None:
    project.run("true")
    project.manager("dnf")
    (project.dir / ".venv/.harness-tried").unlink()
    done = project.run("--no-install", "true")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_check_makes_no_venv(project: Project) -> None:
    done = project.run("--no-install", "true")
    assert done.returncode == 20
    assert ".venv is missing or out of date" in done.stderr
    assert done.stderr.endswith("/ci/bootstrap true\n")
    assert not (project.dir / ".venv").exists()
    project.run("true")
    assert project.run("--no-install", "true").returncode == 0


@pytest.mark.parametrize(
    ("stub", "message"),
    [
        ("printf 3.9.2; exit 3", "HARNESS_PYTHON=old is not what harness needs, a Python 3.11 or "),
        ("printf 3.12.1; exit 4", "old has no venv or no ensurepip module"),
        ("exit 127", "HARNESS_PYTHON=old is not what harness needs"),
    ],
)
def test_a_python_that_will_not_do_is_told(project: Project, stub: str, message: str) -> None:
    project.stub("old", f"#!/bin/sh\n{stub}\n")
    done = project.run("true", HARNESS_PYTHON="old")
    assert done.returncode == 20
    assert message in done.stderr


def test_another_python_makes_another_venv(project: Project) -> None:
    project.run("true")
    project.stub("new python", PYTHON.replace("3.11.9", "3.12.1"))
    for _ in range(2):
        done = project.run("true", HARNESS_PYTHON=str(project.bin / "new python"))
        assert done.returncode == 0, done.stderr
    assert len(project.calls("venv")) == 2


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("Failed to establish a new connection: refused", "pip cannot reach its package index"),
        ("error: invalid pyproject.toml", "pip could not install harness"),
    ],
)
def test_a_failing_pip_shows_its_output_and_is_run_again(
    project: Project, output: str, message: str
) -> None:
    done = project.run("true", PIP_SAYS=output)
    assert done.returncode == 20
    assert message in done.stderr
    assert output in done.stderr
    assert project.run("true").returncode == 0


def test_shellcheck_finds_nothing() -> None:
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("no shellcheck here")
    done = subprocess.run(
        [shellcheck, str(REPO / "ci/bootstrap")],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stdout
