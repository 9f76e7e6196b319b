# SPDX-License-Identifier: GPL-2.0-only
"""The scratch disk that a suite's settings ask for."""

import re

from harness.errors import UsageError
from harness.model import Disk

_RATES = {"bps-read", "bps-write"}
_SIZES = range(1 << 20, (1 << 40) + 1)


def parse(value: str, name: str, where: str) -> Disk:
    """`SIZE[,bps-read=N][,bps-write=N]`, bytes or with K, M, G of 1024, for the suite `name`;
    UsageError beginning with `where` for anything else."""
    size, *limits = (part.strip() for part in value.split(","))
    size_bytes = _bytes(size, where)
    if size_bytes not in _SIZES or size_bytes % 512:
        raise UsageError(f"{where}: scratch={size}: from 1M to 1024G, whole sectors of 512")
    rates = {}
    for limit in limits:
        key, _, rate = (part.strip() for part in limit.partition("="))
        if key not in _RATES or key in rates:
            known = ", ".join(sorted(_RATES))
            raise UsageError(f"{where}: scratch: {limit}: expected one of {known}, each once")
        rates[key] = _bytes(rate, where)
    return Disk(
        name=name,
        size_bytes=size_bytes,
        bps_read=rates.get("bps-read", 0),
        bps_write=rates.get("bps-write", 0),
    )


def _bytes(text: str, where: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,12})([KMG]?)", text)
    if match is None:
        hint = "as scratch=256M,bps-read=4M"
        raise UsageError(f"{where}: scratch: {text or 'nothing'} is no size", hint=hint)
    return int(match[1]) << 10 * " KMG".index(match[2] or " ")
