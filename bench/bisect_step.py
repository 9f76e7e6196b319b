#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""One step of `git bisect run` as somebody does it who has virtme-ng: build, boot, test.

    git bisect run python3 bench/bisect_step.py LOG PROGRAM [MAKE-VARIABLE...]

Run in a worktree of the kernel with a .config. The status is git bisect's: 0 good, 1 bad, 125 for
what does not build and for a guest that did not say. Adds a line of JSON to LOG: commit, status,
booted, build_s, test_s. Imports nothing of ours: a step pays for nothing but itself.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

GOOD, BAD, SKIP = 0, 1, 125
BUILD_S, TEST_S = 3600, 180
# Without modules vng makes the image alone. QEMU's own virtiofsd may not start, and vng waits 3 s
# for it; more than one virtual processor is slower under TCG. One that has KVM drops --disable-kvm.
BUILD = ("vng", "--build", "--skip-modules")
EXEC = ("vng", "--disable-kvm", "--force-9p", "--cpus", "1", "--memory", "512M", "--exec")


def _status(argv: list[str], log: Path, timeout_s: int) -> tuple[int | None, float]:
    """How a command ended, None where its time was up, and the seconds it took."""
    began = time.monotonic()
    try:
        with log.open("ab") as output:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=timeout_s,
                check=False,
            )
        status: int | None = done.returncode
    except subprocess.TimeoutExpired:
        status = None
    return status, time.monotonic() - began


def main() -> int:
    """The status for git."""
    log, program, *variables = sys.argv[1:]
    output = Path(f"{log}.output")
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    built, build_s = _status([*BUILD, *variables], output, BUILD_S)
    ran, test_s = None, 0.0
    if built == 0:
        ran, test_s = _status([*EXEC, program], output, TEST_S)
    status = ran if ran in (GOOD, BAD) else SKIP
    step = {
        "commit": commit,
        "status": status,
        "booted": built == 0,
        "build_s": build_s,
        "test_s": test_s,
    }
    with Path(log).open("a") as file:
        file.write(json.dumps(step) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
