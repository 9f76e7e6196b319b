# SPDX-License-Identifier: GPL-2.0-only
"""How fast the harness is, against what it stands on: `tox -e bench` or `python -m bench`.

    python -m bench [--rounds N] [--edits N] [--json FILE]

Boots and restores against `vng --exec true` and against QEMU alone, the cost of isolated tests,
an edit of fs/aio.c to its verdict against the same by hand, memory and start-up of the harness
itself. All under TCG, taking turns in one run; medians, with half the distance between quartiles.
Writes bench/results.json and prints the table of the README.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import bare, clock, edit
from bench.clock import Times
from harness import cache, proc

REPO = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.json")
_OVER_9P = "--force-9p"  # QEMU 7.2's own virtiofsd does not start, and vng waits for it for 3 s


def project(root: Path) -> Path:
    """A project with one suite of one test that does nothing, on the shipped aio-poll's kernel."""
    area = root / "guest-tests/one"
    area.mkdir(parents=True)
    (area / "Makefile").write_text("TEST_GEN_PROGS := one\ninclude ../lib/lib.mk\n")
    (area / "one.c").write_text("#include <stdio.h>\nint main(void)\n{\n\treturn 0;\n}\n")
    (area / "config").symlink_to(REPO / "guest-tests/aio-poll/config")
    for shared in ("kconfigs", "guest-tests/lib", "patches"):
        (root / shared).symlink_to(REPO / shared)
    return root


class Bench:
    """A project to run, and what was measured of it."""

    def __init__(self, place: Path, rounds: int) -> None:
        self._env = {"HARNESS_PROJECT": str(project(place / "project"))}
        self._runs = place / "runs"
        self._rounds = rounds
        self._kernel = Path()
        self.rows: list[dict[str, Any]] = []

    def harness(self, *options: str, series: str = "aio-poll") -> list[str]:
        """The command line of a run of the one test."""
        return [
            *(sys.executable, "-m", "harness", "run", "--series", series, "--suite", "one"),
            *("--accel", "tcg", "--output", str(self._runs), *options),
        ]

    def run(self, *options: str) -> dict[str, Any]:
        """The document of a run."""
        done = subprocess.run(
            [*self.harness(*options), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self._env},
            check=True,
        )
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def row(self, name: str, times: Times, peer: str, peers: Times, promise: float) -> None:
        """Keep a measurement and its peer's."""
        ratio = times.median / peers.median
        self.rows.append(
            {
                "name": name,
                "median_s": round(times.median, 3),
                "spread_s": round(times.spread, 3),
                "peer": peer,
                "peer_median_s": round(peers.median, 3),
                "peer_spread_s": round(peers.spread, 3),
                "ratio": round(ratio, 3),
                "promise": promise,
            }
        )
        print(f"{name}: {times.median:.3f} s, {ratio:.2f} of {peer}", file=sys.stderr)

    def boots(self) -> None:
        """A cold boot and a restore, each to the first result."""
        self.run("--guest", "snapshot")  # so that the next one restores
        first = self.run("--guest", "snapshot")
        kernel = next(
            json.loads(line)
            for line in (Path(first["run_dir"]) / "journal.jsonl").open()
            if '"event": "kernel"' in line
        )
        self._kernel = Path(kernel["dir"])
        command = sorted(Path(first["run_dir"]).glob("boots/*/qemu.cmd"))[-1]
        console = command.with_name("console.log").read_text(errors="replace")
        said = re.search(r"(?:restored from|saved as) (\w+)", console)
        assert said, "the guest does not say which state it has"
        (state,) = (cache.root() / "states").glob(f"{said[1]}*")
        image = str(self._kernel / "vmlinux")
        vng = ["vng", "--disable-kvm", "--run", image, "--exec", "true"]
        kept = state.with_name(".bench")

        def cold() -> float:
            state.rename(kept)
            try:
                return self.to_result("--guest", "snapshot")
            finally:
                shutil.rmtree(state, ignore_errors=True)
                kept.rename(state)

        found = clock.interleaved(
            {
                "cold": cold,
                "warm": self.restores,
                "vng": partial(clock.wall, vng),
                "vng 9p": partial(
                    clock.wall, ["vng", "--disable-kvm", _OVER_9P, "--run", image, "--exec", "true"]
                ),
                "bare boot": partial(bare.boot, command),
                "bare restore": partial(bare.restore, command, state / "devices"),
            },
            self._rounds,
        )
        self.row("cold boot to first result", found["cold"], "vng --exec true", found["vng"], 0.30)
        peer = f"vng {_OVER_9P} --exec true"
        self.row("cold boot to first result", found["cold"], peer, found["vng 9p"], 0.30)
        peer = "bare QEMU, boot to power-off"
        self.row("cold boot to first result", found["cold"], peer, found["bare boot"], 0)
        peer = "bare QEMU, -incoming to the end of `true`"
        self.row("restore to first result", found["warm"], peer, found["bare restore"], 1.3)

    def to_result(self, *options: str) -> float:
        """Seconds from the moment that the run wants its first guest to its first result."""
        directory = Path(self.run(*options)["run_dir"])
        events = [json.loads(line) for line in (directory / "journal.jsonl").open()]
        # The first boot is noted where a state was looked up already: the stage before ended then.
        staged = [event for event in events if event["event"] == "stage"]
        begun = next(event for event in staged if event["name"] == "accel")
        result = next(event for event in events if event["event"] == "result")
        between = (datetime.fromisoformat(event["time"]) for event in (begun, result))
        first, second = between
        return (second - first).total_seconds()

    def last_test(self, *options: str) -> float:
        """Seconds of the stage that boots or restores and runs the tests."""
        run = self.run(*options)
        return float(next(s["duration_s"] for s in run["stages"] if s["name"] == "run tip"))

    def restores(self) -> float:
        """Median seconds from a guest's turn to its test's result, of 10 in a run."""
        options = ("--repeat", "10", "--isolation", "test", "--guest", "snapshot", "--jobs", "1")
        directory = Path(self.run(*options)["run_dir"])
        begun: dict[int, datetime] = {}
        found = []
        for line in (directory / "journal.jsonl").open():
            event = json.loads(line)
            if event["event"] == "boot":
                begun[event["boot"]] = datetime.fromisoformat(event["time"])
            elif event["event"] == "result":
                now = datetime.fromisoformat(event["time"])
                found.append((now - begun[event["boot"]]).total_seconds())
        return statistics.median(found)

    def isolation(self) -> None:
        """What a guest of its own costs each test, at 1, 10 and 100 tests."""
        measured: dict[str, Callable[[], float]] = {}
        alone = ("--isolation", "test", "--guest", "snapshot")
        for count in (1, 10, 100):
            options = ("--repeat", str(count), "--jobs", "1", *alone)
            measured[f"alone {count}"] = partial(self.last_test, *options)
        thirty = self.harness("--repeat", "30", *alone)
        measured["alone 30"] = partial(clock.wall, thirty, env=self._env)
        loop = "for i in $(seq 30); do true; done"
        image = str(self._kernel / "vmlinux")
        theirs = ["vng", "--disable-kvm", _OVER_9P, "--run", image, "--exec", loop]
        measured["vng --exec 30"] = partial(clock.wall, theirs)
        shared = self.harness("--repeat", "30", "--guest", "vng")
        measured["vng 30"] = partial(clock.wall, shared, env=self._env)
        measured["vng 10"] = partial(self.last_test, "--repeat", "10", "--guest", "vng")
        one = ("--repeat", "100", "--isolation", "run", "--guest", "vng")
        measured["vng 100"] = partial(self.last_test, *one)
        found = clock.interleaved(measured, max(2, self._rounds // 2))
        took = found["alone 30"]
        peer = f"30 in one vng {_OVER_9P} --exec"
        self.row("30 isolated tests", took, peer, found["vng --exec 30"], 1)
        self.row("30 isolated tests", took, "30 in one boot, --guest vng", found["vng 30"], 0)
        for count in (10, 100):
            together = (found["vng 100"].median - found["vng 10"].median) / 90
            each = (found[f"alone {count}"].median - found["alone 1"].median) / (count - 1)
            added = each - max(0.0, together)
            self.rows.append(
                {
                    "name": f"added per isolated test, of {count}",
                    "median_s": round(added, 3),
                    "peer": "a test in a guest that runs",
                    "peer_median_s": round(together, 3),
                    "promise_s": 0.25,
                }
            )
            print(f"added per isolated test, of {count}: {added:.3f} s", file=sys.stderr)

    def edits(self, rounds: int) -> None:
        """One line in fs/aio.c to its verdict."""
        with edit.ByHand(self._kernel, self._runs) as hand:
            found = clock.interleaved(
                {
                    "harness": lambda: clock.wall(
                        self.harness("--guest", "snapshot", series=str(hand.next_patch())),
                        env=self._env,
                    ),
                    "by hand": hand.minimal,
                    "vng": hand.vng,
                    "vng 9p": partial(hand.vng, _OVER_9P),
                },
                rounds,
            )
        peer = "git apply, make, bare QEMU boot and test"
        self.row("edit to verdict", found["harness"], peer, found["by hand"], 1.10)
        self.row("edit to verdict", found["harness"], "vng --build, --exec", found["vng"], 0.6)
        peer = f"vng --build, {_OVER_9P} --exec"
        self.row("edit to verdict", found["harness"], peer, found["vng 9p"], 0)

    def own(self) -> None:
        """Start-up and memory of the harness itself."""
        help_ = [sys.executable, "-m", "harness", "--help"]
        python = [sys.executable, "-c", "pass"]
        found = clock.interleaved(
            {"help": partial(clock.wall, help_), "python": partial(clock.wall, python)}, 10
        )
        self.row("harness --help", found["help"], "python -c pass", found["python"], 0)
        argv = self.harness("--repeat", "20", "--isolation", "test", "--guest", "snapshot")
        peak = _peak_kib(argv, self._env)
        self.rows.append({"name": "memory of harness run, 20 tests", "mib": round(peak / 1024, 1)})
        print(f"memory of harness run: {peak / 1024:.1f} MiB", file=sys.stderr)


def _peak_kib(argv: list[str], env: dict[str, str]) -> int:
    """VmHWM of the harness alone: the guests and guards are processes of their own."""
    process = subprocess.Popen(
        argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        try:
            text = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        for line in text.splitlines():
            if line.startswith("VmHWM:"):
                peak = max(peak, int(line.split()[1]))
        time.sleep(0.05)  # poll: the peak of a process is gone with it
    if process.wait():
        raise SystemExit(f"harness run ended with {process.returncode}")
    return peak


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| what | median | against | ratio |", "|---|---|---|---|"]
    for row in rows:
        if "mib" in row:
            lines.append(f"| {row['name']} | {row['mib']} MiB | | |")
            continue
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        peer = f"{row['peer']}, {row['peer_median_s']:.2f} s"
        lines.append(f"| {row['name']} | {row['median_s']:.2f} s | {peer} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--edits", type=int, default=3, help="rounds of edits, 0 for none")
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if shutil.which("udevadm") is None:
        raise SystemExit("virtme-ng's guests need udev: without it what it does is fail sooner")
    with tempfile.TemporaryDirectory(prefix=".tmp-bench-", dir=cache.root()) as place:
        bench = Bench(Path(place), arguments.rounds)
        bench.boots()
        bench.isolation()
        bench.own()
        if arguments.edits:
            bench.edits(arguments.edits)
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "qemu": proc.run(["qemu-system-x86_64", "--version"]).text.partition("\n")[0],
    }
    document = {"schema": 1, "machine": machine, "rows": bench.rows}
    arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    print(table(bench.rows))


if __name__ == "__main__":
    main()
