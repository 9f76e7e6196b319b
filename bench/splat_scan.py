#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The splat scanner against a plain loop over the same lines, interleaved.

    bench/splat_scan.py [--rounds N] [--mib N] [--stream-mib N] [FILE]

Prints MB/s of both on a console without splats (made up, or FILE) and the ratio of the medians,
then the peak RSS while --stream-mib come from a generator in pieces of 64 KiB, and MB/s on
consoles that are nothing but splats (tests/data/consoles). The promise: 50 MB/s where there is no
splat, and memory that does not grow with the console.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from harness.splat import SplatScanner, scan

PIECE = 64 << 10
SAID = (
    "systemd[1]: Started Session {n} of User root.",
    "EXT4-fs (vda{n}): mounted filesystem with ordered data mode. Quota mode: none.",
    'audit: type=1400 audit({n}.123:45): avc:  denied  {{ read }} for  pid={n} comm="cat"',
    "e1000 0000:00:03.0 eth0: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: RX",
    "ok {n} - selftests: aio: cancel-race",
    "usb 1-{n}: new high-speed USB device number {n} using xhci_hcd",
)


def console(size: int) -> Iterator[bytes]:
    """At least `size` bytes of a quiet console, in pieces of 64 KiB."""
    lines = (f"[{n / 1000:12.6f}] {SAID[n % len(SAID)].format(n=n)}\r\n" for n in range(1, 20_000))
    block = "".join(lines).encode()
    sent = 0
    while sent < size:
        for start in range(0, len(block), PIECE):
            yield block[start : start + PIECE]
        sent += len(block)


def count_lines(pieces: list[bytes]) -> int:
    """The peer: what any loop over lines in Python costs."""
    count, rest = 0, b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for _ in lines:
            count += 1
    return count


def scan_all(pieces: list[bytes]) -> int:
    """Number of lines; a splat in here is an error."""
    scanner = SplatScanner()
    found = [splat for piece in pieces for splat in scanner.feed(piece)]
    found += scanner.finish()
    if found:
        print(f"found {len(found)} splats, the first at line {found[0].line_from}")
    return scanner.line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--stream-mib", type=int, default=1024)
    parser.add_argument("file", type=Path, nargs="?")
    arguments = parser.parse_args()
    # First, while the peak is that of the scanner alone.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scanner = SplatScanner()
    size, started = 0, time.monotonic()
    for piece in console(arguments.stream_mib << 20):
        scanner.feed(piece)
        size += len(piece)
    took = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"streamed      {size / 1e6:.0f} MB at {size / 1e6 / took:.0f} MB/s, generator included")
    print(f"peak RSS      {before / 1024:.0f} MiB before, {after / 1024:.0f} MiB after")
    if arguments.file:
        data = arguments.file.read_bytes()
        pieces = [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
    else:
        pieces = list(console(arguments.mib << 20))
    size = sum(map(len, pieces))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(arguments.rounds):
        for function, times in ((scan_all, ours), (count_lines, theirs)):
            started = time.process_time()
            function(pieces)
            times.append(time.process_time() - started)
    for name, times in (("scanner", ours), ("loop over lines", theirs)):
        print(f"{name:<16} {size / 1e6 / statistics.median(times):6.0f} MB/s of processor time")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"ratio         {ratio:.1f} times the loop's time")
    root = Path(__file__).parents[1] / "tests/data/consoles"
    consoles = [path.read_bytes() for path in sorted(root.glob("*.txt"))]
    started = time.process_time()
    found = sum(len(scan(data)) for data in consoles)
    took = time.process_time() - started
    print(f"only splats   {sum(map(len, consoles)) / 1e6 / took:.1f} MB/s, {found} splats")


if __name__ == "__main__":
    main()
