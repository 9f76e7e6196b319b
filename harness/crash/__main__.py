# SPDX-License-Identifier: GPL-2.0-only
"""`python -m harness.crash CORE VMLINUX [--json]`: what a memory dump says of a hang."""

import argparse
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """Print it; an exit status."""
    made = argparse.ArgumentParser(prog="harness.crash", description=__doc__)
    made.add_argument("core", type=Path)
    made.add_argument("vmlinux", type=Path)
    made.add_argument("--json", action="store_true", help="one JSON document")
    asked = made.parse_args(argv)
    from drgn import MissingDebugInfoError, Program

    from harness.crash import script

    prog = Program()
    try:
        prog.set_core_dump(asked.core)
        prog.load_debug_info([asked.vmlinux])
    except MissingDebugInfoError as error:
        print(f"{asked.vmlinux} is not the kernel of {asked.core}: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 -- drgn has none of its own for a broken dump
        print(f"{asked.core} cannot be read: {error}", file=sys.stderr)
        return 1
    if not script.has_types(prog):
        print(f"{asked.vmlinux} has no debug information: --kconfig debuginfo", file=sys.stderr)
        return 1
    print(script.told(prog, as_json=asked.json))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
