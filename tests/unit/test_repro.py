# SPDX-License-Identifier: GPL-2.0-only
"""What `harness repro` takes along, and run.sh with a program in QEMU's place."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import repro
from harness.errors import HarnessError, HostError, NothingRanError, UsageError
from harness.guest import root
from harness.guest.machine import Alone
from harness.model import (
    Base,
    Cell,
    GuestSpec,
    Kernel,
    Outcome,
    Patch,
    Result,
    Series,
    Step,
)
from harness.model import Test as PlannedTest
from harness.record import Record
from harness.recorded import Recorded, load
from harness.repro import cell, files, material, readme
from harness.suites import python_tests
from harness.suites.guest_tests import GUEST_DIR

DEADLINE_S = 30.0
STACK = Series(
    name="s", patches=(Patch(name="0001-a.patch", data=b"one"), Patch(name="b", data=b"two"))
)
STEPS = tuple(Step(label=label, stack=STACK) for label in ("base", "0001", "tip"))
TESTS = tuple(
    PlannedTest(name=name, argv=(f"/t/{name}", "a b"), cwd="/t") for name in ("x/a", "x/ab", "y/a")
)


def run_of(parent: Path, results: Sequence[Result] = (), **options: object) -> Recorded:
    """A run with the kernels 0001 and tip."""
    made = Cell(stack=STACK, tree="6.12", **options)  # type: ignore[arg-type]
    with Record(parent, series="s", base="6.12", kconfig="base") as record:
        record.cell(made, ["run", "--series", "s"])
        record.base(Base(name="6.12", mirror=Path("/m"), commit="c" * 40, tree="t", version="6.1"))
        record.plan(STEPS, TESTS)
        for label in ("0001", "tip"):
            record.kernel(
                label,
                Kernel(key="k", release="6.1", tree="t", dir=Path("/gone"), cached=True),
            )
            (record.kernel_dir(label) / "config").write_text("CONFIG_A=y\n")
        for result in results:
            record.result(result)
    return load(record.path)


class Quiet:
    def __getattr__(self, name: str) -> object:
        return lambda *_: None


@pytest.mark.parametrize(
    ("pattern", "label", "kind", "said"),
    [
        ("nope", "", NothingRanError, "no test matches nope"),
        ("x/*", "", UsageError, r"x/\* names 2 tests: x/a, x/ab"),
        ("a", "", UsageError, "a names 2 tests: x/a, y/a"),
        ("ab", "0002", UsageError, "has no kernel 0002"),
        ("ab", "base", UsageError, "has no kernel base"),
    ],
)
def test_what_cannot_be_chosen(
    tmp_path: Path, pattern: str, label: str, kind: type[HarnessError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        repro.choose(run_of(tmp_path), pattern, label)


def test_a_name_is_no_glob_of_others(tmp_path: Path) -> None:
    assert repro.choose(run_of(tmp_path), "x/a").test.name == "x/a"
    assert repro.choose(run_of(tmp_path), "ab").test.name == "x/ab"


def test_the_patches_are_those_up_to_the_kernel(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    chosen = {label: repro.choose(run, "ab", label) for label in ("0001", "")}
    assert [patch.data for patch in chosen["0001"].patches] == [b"one"]
    assert [patch.data for patch in chosen[""].patches] == [b"one", b"two"]
    assert chosen[""].label == "tip"


def test_the_first_bad_result_counts_and_what_ran_before_it(tmp_path: Path) -> None:
    results = [
        Result(test="x/a", outcome=Outcome.PASS, boot=2),
        Result(test="x/ab", outcome=Outcome.PASS, boot=2),
        Result(test="x/a", outcome=Outcome.PASS, boot=3, round=2),
        Result(test="x/ab", outcome=Outcome.FAIL, boot=3, round=2, detail="no"),
    ]
    chosen = repro.choose(run_of(tmp_path, results), "ab")
    assert chosen.result == results[3] and chosen.before == ("x/a",)
    assert cell.outcome(chosen.result) == "fail: no"
    assert repro.choose(run_of(tmp_path, results), "ab", "0001").result is None


def test_an_old_run_says_that_it_is_too_old(tmp_path: Path) -> None:
    with Record(tmp_path, series="s", base="b", kconfig="k") as record:
        pass
    with pytest.raises(UsageError, match="does not tell how its tests were run"):
        repro.choose(load(record.path), "x")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    chosen = repro.choose(run_of(tmp_path), "ab")
    for name in ("d", "f.tar.gz", "d.tar.zst"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        with pytest.raises(UsageError, match=f"{name} is there already"):
            repro.make(chosen, tmp_path / name, tmp_path, Quiet())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["bug.tar.xz", "bug.zip", "bug.tar"])
def test_an_archive_of_another_kind_is_no_directory(tmp_path: Path, name: str) -> None:
    chosen = repro.choose(run_of(tmp_path), "ab")
    with pytest.raises(UsageError, match=r"an archive is FILE\.tar\.gz"):
        repro.make(chosen, tmp_path / name, tmp_path, Quiet())  # type: ignore[arg-type]


def test_a_run_of_pytest_cannot_be_taken_along(tmp_path: Path) -> None:
    with Record(tmp_path, series="s", base="b", kconfig="k") as record:
        record.cell(Cell(stack=Series(name="s"), tree="6.12"), ["pytest", "t"])
    with pytest.raises(UsageError, match="is a run of pytest"):
        repro.choose(load(record.path), "t/test_a.py::test_b")


def test_a_kernel_that_cannot_be_had_names_the_command(tmp_path: Path) -> None:
    chosen = repro.choose(run_of(tmp_path), "ab")
    with pytest.raises(HostError, match="not in the cache any more") as caught:
        material._kernel(chosen, Quiet(), modules_too=False)  # type: ignore[arg-type]
    assert caught.value.hint == "run it again: harness run --series s"


def test_programs_of_the_run_are_taken_while_they_are_there(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    run = run_of(tmp_path)
    with (run.directory / "journal.jsonl").open("a") as journal:
        told = {"event": "contexts", "kernel": "tip", "tests": {"x/ab": "d"}}
        journal.write(json.dumps({**told, "mounts": {f"{GUEST_DIR}/x": str(programs)}}) + "\n")
    chosen = repro.choose(load(run.directory), "ab")
    assert material._kept(chosen) == programs
    programs.rmdir()
    assert material._kept(chosen) is None
    assert material._kept(repro.choose(run, "ab")) is None


def test_a_suite_without_the_test_is_told(tmp_path: Path) -> None:
    chosen = repro.choose(run_of(tmp_path, suites=("x",)), "ab")
    with pytest.raises(UsageError, match="no suite named x"):
        repro.make(chosen, tmp_path / "out", tmp_path, Quiet())  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_command_says_the_same_to_a_shell(tmp_path: Path) -> None:
    words = ("./t", "a b", "it's", "$HOME", "")
    test = PlannedTest(name="x/a[b'c]", argv=words, cwd=str(tmp_path))
    text = files.command(test, [("A", "x y"), ("B", "$(false)")])
    shell = f'{text}\nprintf "%s|" "$label" "$PWD" "$A" "$B" "$@"'
    said = subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.split("|")[:-1] == ["x/a[b'c]", str(tmp_path), "x y", "$(false)", *words]


def test_fsx_gets_its_seed_again() -> None:
    result = Result(
        test="fsx/ext4",
        outcome=Outcome.FAIL,
        output="1..1\n# round 0: --seed 17 --round 0\n# round 4: --seed 17 --round 4\n",
    )
    assert files.seeds(result) == {"FSX_SEED": "17"}
    assert files.seeds(None) == {}


def test_the_seed_file_has_what_the_user_has_set() -> None:
    made = Cell(
        stack=STACK,
        tree="t",
        env=(("PYTHONHASHSEED", "3"), ("A", "b")),
        guest=GuestSpec(cmdline=("random.trust_cpu=on", "quiet")),
    )
    text = files.seed_text(made, {"FSX_SEED": "1"})
    assert text == "FSX_SEED=1\nPYTHONHASHSEED=3\nkernel: random.trust_cpu=on\n"
    assert files.seed_text(Cell(stack=STACK, tree="t"), {}).startswith("# none")


def test_the_base_says_when_its_commit_is_ours() -> None:
    made = Base(name="/home/me/linux", mirror=Path("/m"), commit="c", tree="t", version="6.1.2")
    assert "/home" not in readme.base_text(made) and "import" not in readme.base_text(made)
    ours = Base(name="6.1", mirror=Path("/m"), commit="c", tree="t", version="6.1.2", imported=True)
    assert "linux-6.1.2.tar.xz" in readme.base_text(ours)


QEMU = """#!/bin/sh
# In QEMU's place: what it was started with, and what a guest does.
echo "$@" >>"$0.log"
"""


class Directory:
    """A reproducer whose QEMU is a shell script."""

    def __init__(self, path: Path, **settings: str | int) -> None:
        self.path = path
        path.mkdir()
        about: dict[str, str | int] = {"test_name": "x/a", "recorded": "pass"}
        about |= {"host_us": 100, "timeout_ms": 9000}
        (path / "run.sh").write_text(files.script({**about, **settings}))
        (path / "qemu.cmd").write_text('exec "$QEMU" -accel "$ACCEL" -cpu "$CPU"\n')
        for name in ("vmlinux", "root.img", "command"):
            (path / name).touch()

    def run(self, guest: str, shell: str = "sh", **env: str) -> subprocess.CompletedProcess[str]:
        qemu = self.path / "qemu"
        qemu.write_text(QEMU + guest)
        qemu.chmod(0o755)
        return subprocess.run(
            [shell, str(self.path / "run.sh")],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=DEADLINE_S,
            env={"PATH": os.environ["PATH"], "QEMU": str(qemu), **env},
            check=False,
        )

    @property
    def started(self) -> list[str]:
        return (self.path / "qemu.log").read_text().splitlines()


@pytest.fixture
def made(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "it's a, place: here")


BEGIN = "echo start 100 >status; echo '[ 1.0] harness 0000: start 1 x/a' >console.log\n"


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "busybox"])
def test_output_and_status_are_the_tests(made: Directory, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    if shell == "busybox":
        shell = str(made.path / "sh")
        Path(shell).symlink_to(shutil.which("busybox") or "")
    done = made.run(BEGIN + "echo said; echo exit 3 >>status", shell)
    assert (done.returncode, done.stdout) == (3, "said\n")
    assert "repro: x/a: exit status 3 (recorded: pass)\n" in done.stderr
    assert "start 1 x/a" in (made.path / "console.log").read_text()


def test_what_the_kernel_reported_spoils_a_pass(made: Directory) -> None:
    warn = "echo '[ 1.1] WARNING: CPU: 0 PID: 1 at fs/aio.c:1' >>console.log\n"
    done = made.run(BEGIN + warn + "echo exit 0 >>status")
    assert done.returncode == 123 and "the kernel reported: WARNING: CPU: 0" in done.stderr
    before = "echo '[ 0.1] WARNING: CPU: 0' >console.log; echo start 100 >status\n"
    before += "echo 'harness 0000: start 1 x' >>console.log; echo exit 0 >>status"
    assert made.run(before).returncode == 0


def test_what_is_to_be_reported_spoils_nothing(tmp_path: Path) -> None:
    made = Directory(tmp_path / "d", expected="warning: WARNING in f")
    warn = "echo '[ 1.1] WARNING: CPU: 0 PID: 1' >>console.log\n"
    assert made.run(BEGIN + warn + "echo exit 0 >>status").returncode == 0


def test_a_guest_that_dies_shows_its_last_words(made: Directory) -> None:
    done = made.run(BEGIN + "echo 'Kernel panic - not syncing: oh' >>console.log")
    assert done.returncode == 125
    assert "x/a: the guest died; the kernel reported: Kernel panic" in done.stderr


def test_a_guest_that_does_not_come_up(made: Directory) -> None:
    done = made.run("echo QEMU says why >&2; exit 1")
    assert done.returncode == 125
    assert "QEMU says why" in done.stderr and "the guest did not come up" in done.stderr


def test_a_test_that_hangs_is_ended(made: Directory) -> None:
    done = made.run(BEGIN + "exec sleep 60", TIMEOUT="1")
    assert done.returncode == 124 and "no end within 1 s" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing_running(made: Directory, number: int) -> None:
    qemu = made.path / "qemu"
    qemu.write_text(QEMU + BEGIN + 'echo $$ >"$0.pid"; exec sleep 60\n')
    qemu.chmod(0o755)
    script = subprocess.Popen(
        ["sh", str(made.path / "run.sh")],
        env={"PATH": os.environ["PATH"], "QEMU": str(qemu), "TMPDIR": str(made.path)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + DEADLINE_S
    while not (made.path / "qemu.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)  # a poll
    time.sleep(0.3)  # the watcher is at it
    mine = [pid for pid in below(script.pid) if "run.sh" in command_of(pid)]
    assert len(mine) > 1  # the watcher is a copy of the script
    script.send_signal(number)
    assert script.wait(DEADLINE_S) == 128 + number
    left = time.monotonic() + 3  # a `sleep 1` of the watcher's may end by itself
    while (found := [pid for pid in mine if command_of(pid)]) and time.monotonic() < left:
        time.sleep(0.05)  # a poll
    assert not found
    assert "sleep" not in command_of(int((made.path / "qemu.pid").read_text()))
    assert not list(made.path.glob("tmp.*"))


def command_of(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def below(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in below(int(child)))]


def test_a_guest_that_does_not_power_off_is_no_failure(tmp_path: Path) -> None:
    made = Directory(tmp_path / "d", end_s=1)
    done = made.run(BEGIN + "echo exit 0 >>status; exec sleep 60")
    assert done.returncode == 0


def test_the_time_grows_with_the_guests_slowness(tmp_path: Path) -> None:
    made = Directory(tmp_path / "d", timeout_ms=50)
    done = made.run(
        "echo start 2000 >status; echo 'harness 0: start 1' >console.log; exec sleep 60"
    )
    assert done.returncode == 124 and "no end within 2 s" in done.stderr


def test_acceleration_is_the_recorded_one_or_as_asked_for(made: Directory) -> None:
    end = BEGIN + "echo exit 0 >>status"
    made.run(end)
    made.run(end, ACCEL="kvm")
    assert made.started == ["-accel tcg -cpu max", "-accel kvm -cpu host"]


def test_without_a_kvm_that_works_there_is_tcg(tmp_path: Path) -> None:
    made = Directory(tmp_path / "d", accel="kvm", cpu="host,topoext=on")
    done = made.run(f'[ "$2" = kvm ] && exit 1\n{BEGIN}echo exit 4 >>status')
    assert done.returncode == 4
    assert made.started[-1] == "-accel tcg -cpu max"
    assert "without it (tcg)" in done.stderr
    assert made.run("exit 1", ACCEL="kvm").returncode == 125
    assert made.started[-1] == "-accel kvm -cpu host,topoext=on"


def test_a_scratch_disk_is_there_and_gone(tmp_path: Path) -> None:
    made = Directory(tmp_path / "d", scratch_bytes=1 << 30)
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    guest = BEGIN + 'wc -c <scratch; echo "exit 0" >>status'
    done = made.run(guest, TMPDIR=str(scratch))
    assert done.stdout.strip() == str(1 << 30)
    assert list(scratch.iterdir()) == []


def test_missing_programs_are_named(tmp_path: Path, made: Directory) -> None:
    done = made.run("", QEMU="qemu-system-nowhere")
    assert done.returncode == 125 and "apt-get install qemu-system-x86" in done.stderr
    places = [str(Path(shutil.which(tool) or "").parent) for tool in ("sh", "dirname")]
    if any((Path(place) / "vng").exists() for place in places):
        pytest.skip("vng is where the shell is")
    hosted = Directory(tmp_path / "hosted", hosted=1)
    done = hosted.run("", PATH=":".join(places))
    assert done.returncode == 125 and "virtme-ng" in done.stderr


def test_shellcheck_finds_nothing(tmp_path: Path, made: Directory) -> None:
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("no shellcheck here")
    scripts = [str(made.path / "run.sh"), str(root.program(root.REPRO))]
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def pytest_once(directory: Path, node: str) -> subprocess.CompletedProcess[str]:
    server = python_tests.command(directory)
    argv = [sys.executable, "-I", "-S", str(root.program(root.PYTEST_ONCE)), node, *server]
    return subprocess.run(
        argv,
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE_S,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("assert True", 0),
        ("assert 1 == 2", 1),
        ("import pytest; pytest.skip('no')", 4),
        ("import os; os._exit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", 137),
    ],
)
def test_one_of_pytests(tmp_path: Path, body: str, status: int) -> None:
    python_tests.add_server(tmp_path)
    (tmp_path / "test_a.py").write_text(f"def test_one():\n    {body}\n")
    done = pytest_once(tmp_path, "test_a.py::test_one")
    assert done.returncode == status, done.stdout
    assert ("ok 1 test_one" in done.stdout) == (status in (0, 1, 4))


def test_the_words_of_a_command_line_stay_words() -> None:
    made = files.machine(
        Alone(words=("-m", "512M", "-no-reboot", "-x", "a b"), append="c d", cpu="max")
    )
    shell = made.replace("exec ", "printf '%s|' ", 1)
    said = subprocess.run(
        ["sh", "-c", shell],
        env={"PATH": os.environ["PATH"], "ACCEL": "tcg", "CPU": "max", "APPEND": "e"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    words = shlex.split("qemu-system-x86_64 -accel tcg -cpu max -m 512M -no-reboot -x 'a b'")
    assert said.stdout.split("|")[:-1] == [*words, "-append", "c d e"]
