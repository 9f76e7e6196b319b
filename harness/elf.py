# SPDX-License-Identifier: GPL-2.0-only
"""Do two ELF files hold the same program? What is loaded counts, not when or from where it was
built (elf(5))."""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HostError

_ALLOC = 0x2  # SHF_ALLOC
_NOBITS, _NOTE = 8, 7  # SHT_NOBITS, SHT_NOTE: the build id is a note
_RELOCATABLE = 1  # ET_REL: a module, which its symbols and relocations belong to
_LINKING = (2, 3, 4)  # SHT_SYMTAB, SHT_STRTAB, SHT_RELA
# struct bug_entry (include/asm-generic/bug.h): two relative pointers, then the line of the source.
_BUG_ENTRY, _BUG_LINE = 12, slice(8, 10)


def digest(path: Path) -> str:
    """40 hex digits over all that is loaded, or linked: equal for a file whose sources differ in
    comments only, also where these move the lines that BUG() and WARN() print. HostError when it
    is no ELF file of 64 bits."""
    found = hashlib.sha256()
    for name, kind, size, data in sorted(_sections(path)):
        if name == "__bug_table":
            data = _without_lines(data)
        found.update(f"{name} {kind} {size} ".encode())
        found.update(hashlib.sha256(data).digest())
    return found.hexdigest()[:40]


def _without_lines(table: bytes) -> bytes:
    if len(table) % _BUG_ENTRY:
        return table
    plain = bytearray(table)
    for at in range(0, len(plain), _BUG_ENTRY):
        plain[at + _BUG_LINE.start : at + _BUG_LINE.stop] = b"\0\0"
    return bytes(plain)


def _sections(path: Path) -> Iterator[tuple[str, int, int, bytes]]:
    """Name, type, size and content of what is loaded."""
    image = path.read_bytes()
    if image[:5] != b"\x7fELF\x02":
        raise HostError(f"{path} is no ELF file of 64 bits")
    order = "<" if image[5] == 1 else ">"
    (sort,) = struct.unpack_from(f"{order}H", image, 16)
    (table,) = struct.unpack_from(f"{order}Q", image, 40)
    entry, count, names_at = struct.unpack_from(f"{order}HHH", image, 58)
    headers = [
        struct.unpack_from(f"{order}IIQQQQ", image, table + number * entry)
        for number in range(count)
    ]
    names = headers[names_at][4]
    for name_at, kind, flags, _, offset, size in headers:
        linking = sort == _RELOCATABLE and kind in _LINKING
        if kind == _NOTE or not (flags & _ALLOC or linking):
            continue
        name = image[names + name_at : image.index(b"\0", names + name_at)].decode()
        yield name, kind, size, b"" if kind == _NOBITS else image[offset : offset + size]
