# SPDX-License-Identifier: GPL-2.0-only
"""A directory that runs one test of a recorded run again, where there is no harness
(docs/repro.md)."""

import json
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from harness import proc
from harness.errors import HostError, UsageError
from harness.guest import BootPlan, Drive, machine, root
from harness.model import SCHEMA, Contents
from harness.recorded import Recorded
from harness.repro import cell, files, hosted, material, readme
from harness.repro.cell import Wanted, choose
from harness.repro.material import Material
from harness.suites.guest_tests import GUEST_DIR
from harness.watch import Watch

__all__ = ["choose", "default_name", "make"]

_PACKED = {".tar.gz": "gzip", ".tgz": "gzip", ".tar.zst": "zstd"}
_UNKNOWN = (".tgz", ".txz", ".tbz", ".zip", ".zst", ".gz", ".xz", ".bz2")
_PACK_S = 1800.0
_SERVE_MS = 30_000  # for the interpreter and pytest to start, as in guest/session.py


def make(wanted: Wanted, output: Path, project: Path, watch: Watch) -> Material:
    """Write what `wanted` needs into a new directory `output`, or into an archive of that name
    with it. What it is made of is in the result.

    UsageError where `output` is there already; as material.gather() else.
    """
    packer = next((tool for end, tool in _PACKED.items() if output.name.endswith(end)), "")
    if not packer and (".tar" in output.suffixes or output.suffix in _UNKNOWN):
        raise UsageError(f"{output}: an archive is {', '.join(f'FILE{end}' for end in _PACKED)}")
    there = output.is_symlink() or output.exists()
    if there and (packer or not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is there already", hint="-o names another place")
    if packer:
        proc.find(packer)
    made = material.gather(wanted, project, watch)
    output = output.absolute()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, so that what is cut short or has no room leaves nothing of that name.
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".tmp-") as scratch:
            inside = Path(scratch) / (default_name(wanted) if packer else output.name)
            inside.mkdir()
            _fill(inside, made)
            if packer:
                _pack(inside, output, packer)
            else:
                inside.replace(output)
    except OSError as error:
        raise HostError(f"cannot write {output}: {error.strerror}") from None
    return made


def default_name(wanted: Wanted) -> str:
    """The directory's name where none is given: run, test and kernel."""
    test = "".join(c if c.isalnum() or c in "._-" else "-" for c in wanted.test.name).strip("-")
    return f"repro-{wanted.run.directory.name[-4:]}-{test}-{wanted.label}"


def _pack(directory: Path, output: Path, packer: str) -> None:
    argv = ["tar", "-C", str(directory.parent), "-S", f"--{packer}", "-cf", str(output)]
    argv += ["--owner=0", "--group=0", directory.name]
    proc.check(proc.run(argv, timeout_s=_PACK_S), f"cannot pack {output.name}")


def _fill(directory: Path, made: Material) -> None:
    wanted = made.wanted
    seeds = files.seeds(wanted.result)
    run: Recorded = wanted.run
    _write(directory / "README", readme.text(made, seeds))
    _write(directory / "base.txt", readme.base_text(run.base))
    _write(directory / "result.json", _result(wanted))
    _write(directory / "seed", files.seed_text(wanted.cell, seeds))
    shutil.copyfile(wanted.config, directory / "config")
    shutil.copyfile(made.kernel.image, directory / made.kernel.boots)
    _write_patches(directory, wanted)
    _write_guest(directory, made, seeds)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)


def _result(wanted: Wanted) -> str:
    about = {
        "schema": SCHEMA,
        "run": wanted.run.directory.name,
        "kernel": wanted.label,
        "result": asdict(wanted.result) if wanted.result else None,
    }
    return json.dumps(about, indent=1) + "\n"


def _write_patches(directory: Path, wanted: Wanted) -> None:
    """A quilt directory; empty for a kernel without patches."""
    place = directory / "patches"
    place.mkdir()
    for patch in wanted.patches:
        (place / patch.name).write_bytes(patch.data)
    lines = [f"{patch.name} -p{patch.strip}\n" for patch in wanted.patches]
    _write(place / "series", "".join(lines))


def _write_guest(directory: Path, made: Material, seeds: dict[str, str]) -> None:
    """The root, the machine, the test, and the script that joins them."""
    test = made.wanted.test
    drives = (Drive(disk=test.disk, file=Path(files.SCRATCH)),) if test.disk else ()
    plan = BootPlan(
        spec=made.wanted.cell.guest,
        mounts=(),
        agent=made.agent.program,
        calibration_us=made.agent.calibration_us,
        accel=made.wanted.run.run.accel or "tcg",
        drives=drives,
    )
    cpu = "max"
    if made.wanted.hosted:
        hosted.fill(directory, made)
        machine_text = hosted.command_line(made, plan)
        test = replace(test, cwd=hosted.place(made), argv=hosted.argv(made))
    else:
        own = root.find_or_build(_contents(made), made.agent.program)
        _copy_sparse(own.image, directory / "root.img")
        alone = machine.alone(made.kernel, plan)
        machine_text, cpu = files.machine(alone), alone.cpu
    scratch = (("SCRATCH_DEV", "/dev/vda"),) if test.disk else ()
    env = (*scratch, *seeds.items(), *made.wanted.cell.env)
    _write(directory / "qemu.cmd", machine_text)
    _write(directory / "command", files.command(test, env))
    _write(directory / "run.sh", files.script(_settings(made, plan, cpu)), 0o755)


def _contents(made: Material) -> tuple[Contents, ...]:
    """What the test needs in its root; without Python where it is a program: nine tenths of it."""
    every = made.prepared.contents
    programs = tuple(one for one in every.mounts if one.guest.startswith(f"{GUEST_DIR}/"))
    own = every if made.wanted.test.server else replace(every, mounts=programs)
    return own, Contents(mounts=made.mounts)


def _settings(made: Material, plan: BootPlan, cpu: str) -> dict[str, str | int]:
    wanted, cell_s = made.wanted, made.wanted.cell.timeout_s
    timeout_s = wanted.test.timeout_s if cell_s is None else cell_s
    return {
        "test_name": wanted.test.name,
        "accel": plan.accel,
        "cpu": cpu,
        "kernel": made.kernel.boots,
        "boot_s": int(plan.spec.boot_timeout_s),
        "timeout_ms": int(timeout_s * 1000),
        "scaled": int(cell_s is None),
        "serve_ms": _SERVE_MS if wanted.test.server else 0,
        "host_us": plan.calibration_us,
        "scratch_bytes": files.scratch_bytes(wanted.test.disk),
        "hosted": int(wanted.hosted),
        "expected": "; ".join(wanted.test.expect_splat),
        "recorded": cell.outcome(wanted.result),
    }


def _copy_sparse(source: Path, target: Path) -> None:
    done = proc.run(["cp", "--sparse=always", str(source), str(target)], timeout_s=_PACK_S)
    proc.check(done, f"cannot copy {source.name}")
    target.chmod(0o644)
