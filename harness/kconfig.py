# SPDX-License-Identifier: GPL-2.0-only
"""Kconfig fragments: reading, merging, and why a symbol did not survive `make olddefconfig`.

The .config format is scripts/kconfig/confdata.c's, the language of the Kconfig files that of
Documentation/kbuild/kconfig-language.rst (both as of Linux 6.12).
"""

import gzip
import lzma
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import kconfig_reason
from harness.errors import KconfigError, UsageError
from harness.model import Fragment, Kconfig

_SET = re.compile(r'CONFIG_(\w+)=([ymn]|-?\d+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*")')
_NOT_SET = re.compile(r"# CONFIG_(\w+) is not set")
_NEARLY_NOT_SET = re.compile(r"#\s*CONFIG_\w+\s+is\s+not\s+set\b")
_ARCH = re.compile(r"^# Linux/(\S+) \S+ Kernel Configuration$", re.MULTILINE)

# Files that only the machine has that a .config was made for. Without them the kernel does not
# build, and an initramfs of its own would hide the guest's root.
_FILES_ELSEWHERE = frozenset(
    {"SYSTEM_TRUSTED_KEYS", "SYSTEM_REVOCATION_KEYS", "INITRAMFS_SOURCE", "EXTRA_FIRMWARE"}
)
_STRICT = 1  # the layer whose fragments have to agree
_MISTYPED = frozenset({"yes", "no", "true", "false", "on", "off", "mod", "module", "Y", "M", "N"})


def load_fragment(path: Path, name: str) -> Fragment:
    """The fragment in the file `path`, shown to people as `name`.

    UsageError where there is no such file, KconfigError where it is not UTF-8 text.
    """
    return Fragment(name=name, text=_decoded(_read(path, f"kconfig fragment {name}"), name))


def find_fragment(root: Path, name: str) -> Fragment:
    """The fragment kconfigs/<name>.config of the project, or the file that `name` is a path of.

    UsageError names the known ones.
    """
    if "/" in name or name.endswith(".config"):
        path = Path(name)
        return load_fragment(path, name)
    path = root / "kconfigs" / f"{name}.config"
    if not path.is_file():
        known = sorted(p.stem for p in (root / "kconfigs").glob("*.config"))
        raise UsageError(f"no fragment named {name}", hint=f"there are: {', '.join(known)}")
    return load_fragment(path, f"kconfigs/{name}.config")


def load_config(path: Path) -> Fragment:
    """A whole .config, or one that is packed by gzip (/proc/config.gz) or xz (Debian's
    linux-config packages); of a symbol that it has twice the last value, as for kconfig.

    Values that name files of another machine (keys, firmware, an initramfs) are left out.
    UsageError where there is no such file or it is no .config of an x86 kernel, KconfigError for
    a line that kconfig would pass over.
    """
    lines = _decoded(_unpacked(_read(path, f"configuration {path}"), path), str(path))
    arch = _ARCH.search(lines)
    if arch and arch[1] not in ("x86", "x86_64", "i386"):
        raise UsageError(f"{path} is the configuration of a kernel for {arch[1]}, not for x86")
    found = _assignments(Fragment(name=str(path), text=lines))
    values = {symbol: value for _, symbol, value in found if symbol not in _FILES_ELSEWHERE}
    if not values:
        raise UsageError(f"{path} is no .config: it sets no CONFIG_ symbol")
    return Fragment(name=str(path), text=text(values))


def setting(asked: str) -> Fragment:
    """What `--set ASKED` asks for: `SYMBOL=value`, with or without CONFIG_; the value is y, m, n,
    a number or any other text, which becomes a string (quoted already or not).

    UsageError for anything else.
    """
    symbol, equals, value = asked.partition("=")
    symbol = symbol.removeprefix("CONFIG_")
    if not equals or not re.fullmatch(r"[A-Za-z0-9]\w*", symbol, re.ASCII):
        raise UsageError(f"--set {asked}: not SYMBOL=value", hint="as --set KASAN=y")
    if value in _MISTYPED:
        raise UsageError(
            f"--set {asked}: {value} is no value of a symbol",
            hint=f"y, m or n; if it is to be a text: --set '{symbol}=\"{value}\"'",
        )
    if not _SET.fullmatch(f"CONFIG_{symbol}={value}"):
        if not value.isprintable():
            raise UsageError(f"--set {symbol}: a value is one line of printable text")
        value = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    return Fragment(name=f"--set {asked}", text=_line(symbol, value))


def compose(
    root: Path,
    fragments: Sequence[Fragment],
    *,
    config_file: Fragment | None = None,
    settings: Sequence[Fragment] = (),
) -> Kconfig:
    """`fragments` and `settings` with the defaults of the project `root`: what a guest needs, and
    without `config_file` what makes tinyconfig a small, fast kernel. A project may have both in
    its base.config."""
    names = ("guest",) if config_file else ("guest", "base")
    if not config_file and not (root / "kconfigs/guest.config").exists():
        names = ("base",)
    defaults = tuple(
        load_fragment(root / f"kconfigs/{name}.config", f"kconfigs/{name}.config") for name in names
    )
    return Kconfig(
        config_file=config_file,
        defaults=defaults,
        fragments=tuple(f for f in fragments if f not in defaults),
        settings=tuple(settings),
    )


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
    for number, symbol, value in _assignments(fragment):
        if values.setdefault(symbol, value) != value:
            raise KconfigError(
                f"CONFIG_{symbol}: {fragment.name} says {values[symbol]} in line {lines[symbol]} "
                f"and {value} in line {number}"
            )
        lines.setdefault(symbol, number)
    return values


def merge(wanted: Kconfig) -> str:
    """One fragment with what the layers above the start ask for, each symbol once.

    KconfigError names every symbol that two of `fragments` want differently. Equal requests give
    equal text, whatever the comments, the names and the order within a layer, so the text can be
    part of a cache key. A stronger layer comes later: of a choice, kconfig takes the last.
    """
    return text({wish.symbol: wish.value for wish in _wishes(wanted)})


def text(values: Mapping[str, str]) -> str:
    """The lines of a fragment that parse() reads as `values`."""
    return "".join(_line(symbol, value) for symbol, value in values.items())


def dropped(wanted: Kconfig, final: str, kconfig_dir: Path | None) -> None:
    """Nothing, if `final` (a .config after `make olddefconfig`) holds all that is asked for above
    the start: a `config_file` may be another kernel's.

    KconfigError otherwise: `lines` has every symbol with the fragment that asks for it, what it
    wants, what came out and, where `kconfig_dir` (a kernel source tree) says so, why; the
    sentence has the first. n asks for a symbol that is absent or not set. A default may give way
    to another member of its choice that a stronger layer asks for.
    """
    config = parse(final)
    wishes = _wishes(wanted)
    lost = [wish for wish in wishes if not _same(wish.value, config.get(wish.symbol, "n"))]
    if not lost:
        return
    tree = (
        kconfig_reason.KconfigTree(kconfig_dir)
        if kconfig_dir and (kconfig_dir / "Kconfig").exists()
        else None
    )
    release = re.search(r"^# Linux/\S+ (\S+) Kernel Configuration", final, re.MULTILINE)
    chosen = {wish.symbol for wish in wishes if wish.layer and wish.value == "y"}
    lines = []
    for wish in lost:
        got = config.get(wish.symbol, "n")
        line = (
            f"CONFIG_{wish.symbol}: {wish.by} asks for {wish.value}, the final .config says {got}"
        )
        reason = ""
        if tree and wish.symbol in tree.entries:
            other = kconfig_reason.chosen_instead(tree, config, wish.symbol)
            if wish.layer == 0 and other in chosen:
                continue
            reason = kconfig_reason.reason(tree, config, wish.symbol, wish.value)
        elif tree:
            name = release[1] if release else "this tree"
            reason = kconfig_reason.unknown(tree, wish.symbol, name)
        lines.append(f"{line}: {reason}" if reason else line)
    if lines:
        raise _listed(lines, "add what is needed to the fragment, or take the symbol out of it")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What counts for a symbol: the value, the fragment's name and the layer that it is of."""

    symbol: str
    value: str
    by: str
    layer: int


def _wishes(wanted: Kconfig) -> list[_Wish]:
    """One for each symbol, the weakest layer first, by name within a layer."""
    asked: dict[str, _Wish] = {}
    clashes: list[str] = []
    for layer, fragments in enumerate((wanted.defaults, wanted.fragments, wanted.settings)):
        for fragment in fragments:
            for symbol, value in parse_fragment(fragment).items():
                wish = _Wish(symbol=symbol, value=value, by=fragment.name, layer=layer)
                before = asked.get(symbol, wish)
                if layer == _STRICT and before.layer == layer:
                    if before.value != value:
                        clashes.append(
                            f"CONFIG_{symbol}: {before.by} says {before.value}, "
                            f"{fragment.name} says {value}"
                        )
                    wish = before
                asked[symbol] = wish
    if clashes:
        raise _listed(clashes, "change or leave out one of the two fragments")
    return sorted(asked.values(), key=lambda wish: (wish.layer, wish.symbol))


def _assignments(fragment: Fragment) -> Iterator[tuple[int, str, str]]:
    """(line from 1, symbol, value); KconfigError for a line that kconfig would pass over."""
    for number, raw in enumerate(fragment.text.splitlines(), start=1):
        line = raw.rstrip()
        if match := _SET.fullmatch(line):
            yield number, match[1], match[2]
        elif match := _NOT_SET.fullmatch(line):
            yield number, match[1], "n"
        elif line and (not line.startswith("#") or _NEARLY_NOT_SET.match(line)):
            raise KconfigError(
                f"{fragment.name}, line {number}: not a kconfig line: {line}",
                hint="write CONFIG_X=y or # CONFIG_X is not set, with nothing before or after it",
            )


def _line(symbol: str, value: str) -> str:
    return f"# CONFIG_{symbol} is not set\n" if value == "n" else f"CONFIG_{symbol}={value}\n"


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {what}: {error.strerror}") from error


def _unpacked(data: bytes, path: Path) -> bytes:
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.decompress(data)
        if data.startswith(b"\xfd7zXZ"):
            return lzma.decompress(data)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UsageError(f"{path} is damaged: {error}") from error
    return data


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise KconfigError(f"{name} is not UTF-8 text (byte {error.start})") from error


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
