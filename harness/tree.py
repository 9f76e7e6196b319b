# SPDX-License-Identifier: GPL-2.0-only
"""Kernel trees by name, path or URL, each brought into a bare mirror under the cache.

Known without configuration are 6.12 and 6.1: the distribution's linux-source package, else
kernel.org's tarball. A user's checkout is never written to: its mirror borrows its objects.
"""

import difflib
import logging
import os
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from harness import cache, config, fetch, proc
from harness.errors import HostError, UsageError
from harness.git import Git, init_mirror
from harness.model import Base

log = logging.getLogger(__name__)

KNOWN = ("6.12", "6.1")
_IMPORT_S = 1800.0


def config_path() -> Path:
    """Where `harness tree add` keeps names: `$XDG_CONFIG_HOME/harness/trees.yaml`."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "harness/trees.yaml"


def added() -> dict[str, str]:
    """Trees that the user added or a configuration file names: name -> path or URL."""
    return {**config.trees(), **_saved()}


def _saved() -> dict[str, str]:
    try:
        value = yaml.safe_load(config_path().read_text())
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise UsageError(f"{config_path()}: not YAML: {error}") from None
    if not isinstance(value or {}, dict):
        raise UsageError(f"{config_path()}: expected `name: path or URL` lines")
    return {str(name): str(place) for name, place in (value or {}).items()}


def add(name: str, place: str) -> Base:
    """Remember a tree under a name, once it has proved to be a kernel."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"{name} is no name for a tree: letters, digits, dots and dashes")
    if "://" not in place:
        place = str(Path(place).absolute())
    base = _from_place(name, place)
    _save({**_saved(), name: place})
    return base


def remove(name: str) -> None:
    """Forget a name; the tree itself and its mirror stay."""
    trees = _saved()
    if trees.pop(name, None) is None:
        raise UsageError(f"no tree named {name} was added")
    _save(trees)


def _save(trees: dict[str, str]) -> None:
    cache.write_whole(config_path(), yaml.safe_dump(trees).encode())


def place_of(name: str) -> str:
    """Where a named tree comes from, in words, without fetching anything."""
    if name in (trees := added()):
        return trees[name]
    package = _package(name)
    return str(package) if package else f"kernel.org ({fetch.mirror()})"


def resolve(name: str) -> Base:
    """The base that a name, a path or a URL stands for, imported on first use.

    UsageError when there is no such tree or it is no kernel, HostError when it cannot be had.
    """
    trees = added()
    if name in trees:
        return _from_place(name, trees[name])
    if name in KNOWN:
        return _from_tarball(name, _package(name) or fetch.kernel_org(name))
    if "/" in name or Path(name).exists():
        return _from_place(name, name)
    close = difflib.get_close_matches(name, [*trees, *KNOWN], 1)
    hint = f"did you mean {close[0]}?" if close else "`harness tree list` shows the known ones"
    raise UsageError(f"no tree named {name}", hint=hint)


def _package(name: str) -> Path | None:
    """The tarball of Debian's or Ubuntu's linux-source package."""
    found = sorted(Path("/usr/src").glob(f"linux-source-{name}.tar.*"))
    return found[0] if found else None


def _from_place(name: str, place: str) -> Base:
    if "://" in place:
        return _from_url(name, place)
    path = Path(place).absolute()
    if (path / ".git").exists() or (path / "objects").is_dir():
        return _from_checkout(name, path)
    if path.is_dir():
        return _from_directory(name, path)
    if path.is_file():
        return _from_tarball(name, path)
    raise UsageError(f"tree {name}: {place} does not exist")


def _mirror(name: str, place: str) -> Path:
    """A mirror's path: readable, and different for different places."""
    stem = re.sub(r"[^A-Za-z0-9.]+", "-", Path(name).name or name).strip("-.") or "tree"
    return cache.root() / "mirrors" / f"{stem}-{cache.digest(place)[:8]}.git"


def _locked(mirror: Path) -> Any:
    def waiting() -> None:
        log.info("waiting for another run that imports %s", mirror.name)

    return cache.locked(mirror.with_suffix(".lock"), timeout_s=_IMPORT_S, waiting=waiting)


def _describe(name: str, mirror: Path, commit: str) -> Base:
    """The Base of a commit, remembered beside the mirror."""
    memo = mirror.with_suffix(".bases") / f"{commit}.json"
    if known := cache.read_json(memo):
        return Base(**{**known, "name": name, "mirror": mirror})
    git = Git(mirror)
    makefile = git.run("cat-file", "-p", f"{commit}:Makefile")
    fields = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL)\s*=\s*(\d+)", makefile.text, re.M))
    if len(fields) < 3 or git.run("cat-file", "-e", f"{commit}:Kconfig").status:
        raise UsageError(f"{name} is no kernel tree: there is no kernel's Makefile at its top")
    base = Base(
        name=name,
        mirror=mirror,
        commit=commit,
        tree=git.out("rev-parse", f"{commit}^{{tree}}"),
        version=".".join(fields[k] for k in ("VERSION", "PATCHLEVEL", "SUBLEVEL")),
    )
    cache.write_json(memo, {**asdict(base), "mirror": str(mirror)})
    return base


def _from_tarball(name: str, tarball: Path) -> Base:
    """Imported once into one commit of fixed author and date: equal on every machine."""
    mirror = _mirror(name, str(tarball))
    stat = tarball.stat()
    identity = [str(tarball), stat.st_size, stat.st_mtime_ns]
    memo = mirror.with_suffix(".json")
    known = cache.read_json(memo)
    if known and known["identity"] == identity:
        return _describe(name, mirror, known["commit"])
    with _locked(mirror):
        init_mirror(mirror)
        with tempfile.TemporaryDirectory(prefix="unpack-", dir=cache.root()) as scratch:
            log.info("unpacking %s", tarball)
            done = proc.run(["tar", "-xf", str(tarball), "-C", scratch], timeout_s=_IMPORT_S)
            if done.status:
                last = tuple(done.complaint.splitlines()[-3:])
                raise UsageError(f"tree {name}: tar cannot unpack {tarball}", lines=last)
            inside = list(Path(scratch).iterdir())
            top = inside[0] if len(inside) == 1 and inside[0].is_dir() else Path(scratch)
            commit = _commit_files(name, mirror, top, Path(scratch) / ".index")
        cache.write_json(memo, {"identity": identity, "commit": commit})
    return _describe(name, mirror, commit)


def _from_directory(name: str, path: Path) -> Base:
    """An unpacked tree without git: what it holds now, found by file times after the first."""
    if not (path / "Makefile").is_file() or not (path / "Kconfig").is_file():
        raise UsageError(f"{path} is no kernel tree: there is no kernel's Makefile at its top")
    mirror = _mirror(name, str(path))
    with _locked(mirror):
        init_mirror(mirror)
        commit = _commit_files(name, mirror, path, mirror.with_suffix(".index"))
    return _describe(name, mirror, commit)


def _commit_files(name: str, mirror: Path, top: Path, index: Path) -> str:
    log.info("importing %s into %s", name, mirror.name)
    git = Git(mirror, index=index, work=top)
    # -f: a kernel's own .gitignore hides a dozen files that its tarball has.
    git.out("add", "-f", "-A", ".")
    tree = git.out("write-tree")
    commit = git.out("commit-tree", "-m", "Imported by harness", tree)
    git.out("update-ref", f"refs/harness/{commit}", commit)
    return commit


def _from_checkout(name: str, path: Path) -> Base:
    """HEAD of a user's repository, through a mirror that borrows its objects."""
    done = proc.run(["git", "-C", str(path), "rev-parse", "--git-common-dir", "HEAD"])
    if done.status:
        raise UsageError(f"{path}: git finds no commit there", lines=(done.complaint[:200],))
    common, commit = done.text.splitlines()
    objects = (path / common / "objects").resolve()
    mirror = _mirror(name if "/" not in name else path.name, str(path))
    borrow = mirror / "objects/info/alternates"
    if not borrow.exists():
        with _locked(mirror):
            init_mirror(mirror)
            cache.write_whole(borrow, f"{objects}\n".encode())
    return _describe(name, mirror, commit)


def _from_url(name: str, url: str) -> Base:
    """The newest commit of a remote repository's HEAD."""
    mirror = _mirror(name, url)
    with _locked(mirror):
        init_mirror(mirror)
        log.info("fetching %s", url)
        git = Git(mirror)
        done = git.run("fetch", "-q", "--depth=1", url, "+HEAD:refs/harness/head")
        if done.status:
            last = tuple(done.complaint.splitlines()[-3:])
            raise HostError(f"tree {name}: cannot fetch {url}", lines=last)
        return _describe(name, mirror, git.out("rev-parse", "refs/harness/head"))
