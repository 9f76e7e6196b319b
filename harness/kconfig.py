# SPDX-License-Identifier: GPL-2.0-only
"""Kconfig fragments: reading, merging, and why a symbol did not survive `make olddefconfig`.

The .config format is scripts/kconfig/confdata.c's, the language of the Kconfig files that of
Documentation/kbuild/kconfig-language.rst (both as of Linux 6.12).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from harness import kconfig_reason
from harness.errors import KconfigError, UsageError
from harness.model import Fragment

_SET = re.compile(r'CONFIG_(\w+)=([ymn]|-?\d+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*")')
_NOT_SET = re.compile(r"# CONFIG_(\w+) is not set")
_NEARLY_NOT_SET = re.compile(r"#\s*CONFIG_\w+\s+is\s+not\s+set\b")


def load_fragment(path: Path, name: str) -> Fragment:
    """The fragment in the file `path`, shown to people as `name`.

    UsageError where there is no such file, KconfigError where it is not UTF-8 text.
    """
    try:
        return Fragment(name=name, text=path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise KconfigError(f"{name} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise UsageError(f"cannot read kconfig fragment {name}: {error.strerror}") from error


def help_line(fragment: Fragment) -> str:
    """What follows `# Help:` in the first line, or nothing."""
    first = fragment.text.partition("\n")[0]
    return first.removeprefix("# Help:").strip() if first.startswith("# Help:") else ""


def parse(text: str) -> dict[str, str]:
    """Symbol (without CONFIG_) to value of a .config or fragment: y, m, n, 0x10, 42, "text".

    `# CONFIG_X is not set` is n. KconfigError as for parse_fragment().
    """
    return parse_fragment(Fragment(name=".config", text=text))


def parse_fragment(fragment: Fragment) -> dict[str, str]:
    """As parse(), in the order of the fragment, which the errors name.

    KconfigError: a line that kconfig would pass over silently, or one symbol with two values.
    """
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, raw in enumerate(fragment.text.splitlines(), start=1):
        line = raw.rstrip()
        if match := _SET.fullmatch(line):
            symbol, value = match[1], match[2]
        elif match := _NOT_SET.fullmatch(line):
            symbol, value = match[1], "n"
        elif not line or (line.startswith("#") and not _NEARLY_NOT_SET.match(line)):
            continue
        else:
            raise KconfigError(
                f"{fragment.name}, line {number}: not a kconfig line: {line}",
                hint="write CONFIG_X=y or # CONFIG_X is not set, with nothing before or after it",
            )
        if values.setdefault(symbol, value) != value:
            raise KconfigError(
                f"CONFIG_{symbol}: {fragment.name} says {values[symbol]} in line {lines[symbol]} "
                f"and {value} in line {number}"
            )
        lines.setdefault(symbol, number)
    return values


def merge(fragments: Sequence[Fragment], *, base_overridable: bool = True) -> str:
    """One fragment with what all of them ask for, each symbol once, without the comments.

    The first fragment is the base: what it says is a default that any later one may change.
    Later ones (all of them without `base_overridable`) must agree: KconfigError names every
    symbol that two of them want differently. Equal requests give equal text, whatever the
    comments and the fragments' names, so the text can be part of a cache key.
    """
    asked, clashes = _asked(fragments, base=0 if base_overridable else -1)
    if clashes:
        raise _listed(clashes, "change or leave out one of the two fragments")
    return "".join(
        f"# CONFIG_{symbol} is not set\n" if value == "n" else f"CONFIG_{symbol}={value}\n"
        for symbol, (value, _) in asked.items()
    )


def dropped(wanted: Sequence[Fragment], final: str, kconfig_dir: Path | None) -> None:
    """Nothing, if `final` (a .config after `make olddefconfig`) holds all that `wanted` asks for.

    KconfigError otherwise: `lines` has every symbol with the fragment that asks for it, what it
    wants, what came out and, where `kconfig_dir` (a kernel source tree) says so, why; the
    sentence has the first. n asks for a symbol that is absent or not set.
    """
    config = parse(final)
    asked, _ = _asked(wanted, base=0)
    lost = [
        (symbol, value, wanted[place].name)
        for symbol, (value, place) in asked.items()
        if not _same(value, config.get(symbol, "n"))
    ]
    if not lost:
        return
    tree = (
        kconfig_reason.KconfigTree(kconfig_dir)
        if kconfig_dir and (kconfig_dir / "Kconfig").exists()
        else None
    )
    release = re.search(r"^# Linux/\S+ (\S+) Kernel Configuration", final, re.MULTILINE)
    lines = []
    for symbol, value, name in lost:
        got = config.get(symbol, "n")
        line = f"CONFIG_{symbol}: {name} asks for {value}, the final .config says {got}"
        reason = ""
        if tree and symbol in tree.entries:
            reason = kconfig_reason.reason(tree, config, symbol, value)
        elif tree:
            reason = kconfig_reason.unknown(tree, symbol, release[1] if release else "this tree")
        lines.append(f"{line}: {reason}" if reason else line)
    raise _listed(lines, "add what is needed to the fragment, or take the symbol out of it")


def _asked(
    fragments: Sequence[Fragment], base: int
) -> tuple[dict[str, tuple[str, int]], list[str]]:
    """Symbol -> (value, index of the fragment), and the disagreements not with fragment `base`."""
    asked: dict[str, tuple[str, int]] = {}
    clashes: list[str] = []
    for place, fragment in enumerate(fragments):
        for symbol, value in parse_fragment(fragment).items():
            before, by = asked.get(symbol, (value, place))
            if before == value or by == base:
                asked[symbol] = value, place
            else:
                clashes.append(
                    f"CONFIG_{symbol}: {fragments[by].name} says {before}, "
                    f"{fragment.name} says {value}"
                )
    return asked, clashes


def _listed(lines: list[str], hint: str) -> KconfigError:
    """The first line as the sentence; all of them below it where there are more."""
    if len(lines) == 1:
        return KconfigError(lines[0], hint=hint)
    return KconfigError(f"{lines[0]} (and {len(lines) - 1} more)", hint=hint, lines=tuple(lines))


def _same(value: str, other: str) -> bool:
    try:
        return value == other or int(value, 0) == int(other, 0)
    except ValueError:
        return False
