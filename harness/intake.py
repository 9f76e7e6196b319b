# SPDX-License-Identifier: GPL-2.0-only
"""Series from anywhere: a name, a directory, a mailbox, a diff, a range, a checkout's changes.

And what they were made for: the base that a series names, or whose files its patches fit.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from harness import cache, checkout, diff, mbox, series, thread, tree
from harness.errors import UsageError
from harness.git import Git
from harness.model import Base, Patch, Series

_STDIN = "standard input"
_SUFFIXES = {".patch", ".diff", ".eml", ".mbox", ".mbx"}
_ARCHIVE = "https://lore.kernel.org/r/"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseChoice:
    """A tree's name as `--tree` takes it, the commit where that is not the tree's newest, and a
    short sentence that says why."""

    tree: str
    commit: str | None
    why: str


def load(root: Path, spec: str, *, tree: str | None = None, version: int | None = None) -> Series:
    """The series that `spec` names: NAME of patches/, a directory, a file, `-` for stdin.

    A directory is a quilt directory when it has a `series` file (`tree` then may choose between
    patches for several bases), else the patches and mails in it, sorted by name. A file is a
    mailbox, a mail, or a diff. Of several versions in mails the newest is taken, or `version`.
    UsageError for what cannot be understood as one whole series.
    """
    if spec == "-":
        data = series.unpacked(sys.stdin.buffer.read())
        return _from_boxes("stdin", [(_STDIN, data)], thread.Wish(place=_STDIN, version=version))
    path = Path(spec)
    named = "/" not in spec and (root / "patches" / spec / "series.yaml").is_file()
    if named or not path.exists():
        _refuse_missing(root, spec)
        quilt = series.load(root, spec, tree)
    elif (path / "series").is_file():
        quilt = series.read(path, tree)
    elif path.is_dir():
        boxes = [(str(file), series.read_file(file)) for file in _files(path)]
        return _from_boxes(path.absolute().name, boxes, _wish(path, version, ordered=True))
    else:
        boxes = [(str(path), series.read_file(path))]
        return _from_boxes(_stem(path.name), boxes, _wish(path, version))
    if version is not None:
        raise UsageError(f"{spec} is a quilt directory, which has no versions to choose from")
    return quilt


def from_range(place: str, spec: str) -> tuple[Series, str]:
    """The commits A..B of the checkout `place` as a series, and the commit it is for.

    That is A, or where A is no ancestor of B the merge base. UsageError for merges, or nothing.
    """
    found = checkout.commits(place, spec)
    count = len(found.patches)
    made = Series(
        name=_name(spec),
        title=found.titles[0] if count == 1 else f"{count} commits, {spec}",
        patches=found.patches,
        base_commit=found.base,
        note=found.note,
    )
    return made, found.base


def from_checkout(place: str) -> Series | None:
    """What the checkout `place` holds beyond its HEAD, as a series of one patch, or None.

    The checkout is not written to. Its base is HEAD, in `base_commit`.
    """
    patch = checkout.uncommitted(place)
    if patch is None:
        return None
    return Series(
        name="uncommitted",
        title=f"uncommitted changes of {place}",
        patches=(patch,),
        base_commit=tree.checkout(place).head,
    )


def has_changes(place: str) -> bool:
    """True when from_checkout() would give a series; False too where `place` is no checkout."""
    try:
        return checkout.has_changes(place)
    except UsageError:
        return False


def choose_base(wanted: Series, default: str | None = None) -> BaseChoice:
    """The tree for a series: as its series.yaml says, else by its base-commit, else `default`
    (what people set), else the one that has most of the blobs its patches were made on. No
    network: only trees that are here count.
    """
    if wanted.bases:
        return BaseChoice(tree=wanted.bases[0], commit=None, why="its series.yaml says so")
    names = tree.local()
    missed = ""
    if wanted.base_commit:
        for name in names:
            if at := tree.with_commit(name, wanted.base_commit):
                return _by_commit(name, at)
        missed = f"base-commit {wanted.base_commit[:12]} is in no known tree; "
    if default is not None:
        why = f"{missed}{default} is your default"
        return BaseChoice(tree=default, commit=None, why=why)
    choice = _by_blobs(wanted, names)
    return replace(choice, why=missed + choice.why)


def write(wanted: Series, directory: Path) -> None:
    """A series as a quilt directory with `series`, *.patch and series.yaml, whole or not at all.

    UsageError when something is there already.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} is there already", hint="remove it, or take another name")
    names = _file_names(wanted.patches)
    lines = [
        name if patch.strip == 1 else f"{name} -p{patch.strip}"
        for name, patch in zip(names, wanted.patches, strict=True)
    ]
    about = {
        "title": wanted.title,
        "thread": wanted.thread,
        "base-commit": wanted.base_commit,
        "after": list(wanted.after),
        "bases": list(wanted.bases),
        "kconfigs": list(wanted.kconfigs),
        "suites": list(wanted.suites),
        "fails-on-base": wanted.fails_on_base,
    }
    text = yaml.safe_dump(
        {key: value for key, value in about.items() if value or key in ("title", "thread")},
        sort_keys=False,
        allow_unicode=True,
    )
    if directory.is_dir():
        directory.rmdir()
    with cache.building(directory) as work:
        for name, patch in zip(names, wanted.patches, strict=True):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(patch.data)
        (work / "series").write_text("".join(f"{line}\n" for line in lines))
        (work / "series.yaml").write_text(text)
        work.chmod(0o755)


def _refuse_missing(root: Path, spec: str) -> None:
    """A better sentence than "no series named" where a path was meant."""
    if ("/" in spec or Path(spec).suffix in _SUFFIXES) and not Path(spec).exists():
        raise UsageError(f"{spec} does not exist", hint=f"series of {root / 'patches'} have names")


def _wish(path: Path, version: int | None, *, ordered: bool = False) -> thread.Wish:
    return thread.Wish(place=str(path), version=version, ordered=ordered)


def _files(directory: Path) -> list[Path]:
    """The patches and mails of a directory, or the mails of a Maildir, sorted by name."""
    if (directory / "cur").is_dir():
        found = [*directory.glob("cur/*"), *directory.glob("new/*")]
        return sorted(found, key=lambda path: path.name)
    files = sorted(p for p in directory.iterdir() if _suffix(p.name) in _SUFFIXES and p.is_file())
    if not files:
        raise UsageError(
            f"{directory} holds no patches", hint="a `series` file, or *.patch, *.eml, *.mbox"
        )
    return files


def _suffix(name: str) -> str:
    return Path(re.sub(r"\.(?:gz|bz2|xz)$", "", name)).suffix


def _stem(name: str) -> str:
    return re.sub(r"(?:\.(?:patch|diff|eml|mbox|mbx|txt|gz|bz2|xz))+$", "", name)


def _name(text: str) -> str:
    """A series' name for the record: no character that a path or a shell minds."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "series"


def _from_boxes(name: str, boxes: Sequence[tuple[str, bytes]], wish: thread.Wish) -> Series:
    mails = [box for box in boxes if mbox.is_mail(box[1])]
    if not mails:
        if wish.version is not None:
            raise UsageError(f"{wish.place}: a diff without a mail's header has no version")
        patches = tuple(_plain(where, data) for where, data in boxes)
        return Series(name=_name(name), patches=patches, base_commit=series.base_commit(patches))
    if len(mails) != len(boxes):
        other = next(where for where, data in boxes if not mbox.is_mail(data))
        raise UsageError(
            f"{wish.place} holds mails and plain diffs ({Path(other).name})",
            hint="a `series` file in it says which are meant, and in what order",
        )
    picked = thread.pick(mbox.read(mails), mbox.holds_diff, wish)
    return _from_mails(name, picked)


def _from_mails(name: str, picked: thread.Picked) -> Series:
    patches = tuple(
        mbox.to_patch(message, mbox.file_name(number, message.title))
        for number, message in enumerate(picked.patches, 1)
    )
    first = picked.cover or picked.patches[0]
    cover = mbox.text(picked.cover) if picked.cover else b""
    return Series(
        name=_name(name),
        title=_title(picked),
        thread=f"{_ARCHIVE}{first.id}" if first.id else "",
        patches=patches,
        base_commit=diff.base_commit(cover) or series.base_commit(patches),
        note=picked.note,
    )


def _title(picked: thread.Picked) -> str:
    """The cover letter's, unless it is still the one that git format-patch puts there."""
    if picked.cover and picked.cover.title != "*** SUBJECT HERE ***":
        return picked.cover.title
    return picked.patches[0].title


def _plain(where: str, data: bytes) -> Patch:
    """A diff as it is, with whatever stands in front of it."""
    data = diff.unix(data)
    if not any(diff.files(data)):
        what = "it is empty" if not data.strip() else "there is no unified diff in it"
        raise UsageError(f"{where}: {what}")
    if len(re.findall(rb"^commit [0-9a-f]{40}", data, re.MULTILINE)) > 1:
        raise UsageError(
            f"{where} is a log of several commits, newest first",
            hint="write them with git format-patch --stdout",
        )
    stem = "stdin" if where == _STDIN else _stem(Path(where).name)
    return Patch(name=f"{_name(stem)}.patch", data=data)


def _file_names(patches: Sequence[Patch]) -> list[str]:
    """The patches' own names, with a number in front where two are equal (stacked series)."""
    names = [patch.name for patch in patches]
    if len(set(names)) == len(names):
        return names
    return [f"{number:04}-{name.replace('/', '-')}" for number, name in enumerate(names, 1)]


def _by_commit(name: str, at: Base) -> BaseChoice:
    newest = tree.resolve_local(name).commit
    if at.commit == newest:
        return BaseChoice(tree=name, commit=None, why=f"base-commit {at.commit[:12]} is {name}")
    why = f"base-commit {at.commit[:12]} ({at.version}) is in {name}"
    return BaseChoice(tree=name, commit=at.commit, why=why)


def _by_blobs(wanted: Series, names: Sequence[str]) -> BaseChoice:
    blobs = diff.blobs(wanted.patches)
    default = next((name for name in tree.KNOWN if name in names), tree.KNOWN[0])
    if not blobs:
        why = f"the patches name no blobs; taking {default}"
        return BaseChoice(tree=default, commit=None, why=why)
    best, most = default, 0
    for name in names:
        count = _matching(tree.resolve_local(name), blobs)
        if count > most:
            best, most = name, count
        if count == len(blobs):
            break
    if not most:
        why = f"no known tree has these files; taking {default}"
        return BaseChoice(tree=default, commit=None, why=why)
    files = "file matches" if len(blobs) == 1 else f"of {len(blobs)} files match"
    return BaseChoice(tree=best, commit=None, why=f"{most} {files} {best}")


def _matching(base: Base, blobs: dict[str, str]) -> int:
    """How many of the blobs are what the tree has under those names."""
    feed = "".join(f"{base.tree}:{path}\n" for path in blobs).encode(errors="surrogateescape")
    done = Git(base.mirror).run("cat-file", "--batch-check=%(objectname)", feed=feed)
    found = done.stdout.decode(errors="replace").splitlines()
    return sum(have.startswith(blob) for have, blob in zip(found, blobs.values(), strict=False))
