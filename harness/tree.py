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
from dataclasses import asdict, dataclass
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
_FETCHED = "refs/harness/head"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A repository of the user's, which is only read, and the mirror that borrows its objects.

    `git_dir` and `common_dir` differ in a linked worktree; `head` is 40 hex.
    """

    path: Path
    git_dir: Path
    common_dir: Path
    head: str
    mirror: Path


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


def base_name(name: str) -> str:
    """What a series calls this tree among its bases: a known name as it is, 6.1 for a local
    directory with the files of 6.1.192. Reads nothing but its Makefile."""
    makefile = Path(added().get(name, name)) / "Makefile"
    if name in KNOWN or not makefile.is_file():
        return name
    fields = _version(makefile.read_text(errors="replace"))
    return ".".join(fields[:2]) if fields else name


def resolve(name: str, commit: str | None = None) -> Base:
    """The base that a name, a path or a URL stands for, imported on first use.

    `commit` (hex) takes another commit of the same mirror than its newest. UsageError when there
    is no such tree or commit or it is no kernel, HostError when it cannot be had.
    """
    base = _resolve(name)
    if commit is None or base.commit == commit:
        return base
    if (found := _commit_in(base.mirror, commit)) is None:
        raise UsageError(
            f"tree {name} has no commit {commit[:12]}",
            hint=f"it is at {base.commit[:12]} ({base.version})",
        )
    return _describe(base.name, base.mirror, found)


def local() -> tuple[str, ...]:
    """Trees that can be had without the network: those the user added, then the known ones."""
    trees = added()
    mine = [
        name
        for name, place in trees.items()
        if (_fetched(name, place) if "://" in place else Path(place).exists())
    ]
    return (*mine, *(n for n in KNOWN if n not in trees and _tarball_here(n)))


def resolve_local(name: str) -> Base:
    """resolve() of one of local(), as it was when it last came over the network."""
    place = added().get(name, "")
    if "://" in place:
        mirror = _mirror(name, place)
        return _describe(name, mirror, Git(mirror).out("rev-parse", _FETCHED))
    if not place and (tarball := _tarball_here(name)):
        return _from_tarball(name, tarball)
    return resolve(name)


def with_commit(name: str, commit: str) -> Base | None:
    """The Base of a tree of local() at a commit, None where it has no such commit."""
    base = resolve_local(name)
    found = base.commit if base.commit == commit else _commit_in(base.mirror, commit)
    return _describe(base.name, base.mirror, found) if found else None


def is_checkout(name: str) -> bool:
    """True where an added name or a path stands for a repository of the user's."""
    place = added().get(name, name)
    return "://" not in place and _is_repository(Path(place))


def checkout(name: str) -> Checkout:
    """The user's repository that an added name or a path stands for; UsageError for none."""
    place = added().get(name, name)
    if not is_checkout(name):
        raise UsageError(f"{place} is no git checkout")
    return _open_checkout(name, Path(place).absolute())


def _resolve(name: str) -> Base:
    trees = added()
    if name in trees:
        return _from_place(name, trees[name])
    if name in KNOWN:
        return _from_tarball(name, _package(name) or fetch.kernel_org(name))
    if "/" in name or Path(name).exists():
        shown = name if "://" in name else Path(name).resolve().name
        return _from_place(shown, name)
    close = difflib.get_close_matches(name, [*trees, *KNOWN], 1)
    hint = f"did you mean {close[0]}?" if close else "`harness tree list` shows the known ones"
    raise UsageError(f"no tree named {name}", hint=hint)


def _commit_in(mirror: Path, commit: str) -> str | None:
    """A commit that the mirror has, in full; None for none, or an ambiguous hash."""
    if not re.fullmatch(r"[0-9a-f]{7,40}", commit):
        return None
    done = Git(mirror).run("rev-parse", "--verify", "-q", f"{commit}^{{commit}}")
    return None if done.status else done.text


def _fetched(name: str, url: str) -> bool:
    return (_mirror(name, url) / _FETCHED).exists()


def _tarball_here(name: str) -> Path | None:
    """The package's tarball, else the newest one that was downloaded."""
    if package := _package(name):
        return package
    found = (cache.root() / "tarballs").glob(f"linux-{name}.*tar.xz")
    newest = sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    return newest[-1] if newest else None


def _package(name: str) -> Path | None:
    """The tarball of Debian's or Ubuntu's linux-source package."""
    found = sorted(Path("/usr/src").glob(f"linux-source-{name}.tar.*"))
    return found[0] if found else None


def _from_place(name: str, place: str) -> Base:
    if "://" in place:
        return _from_url(name, place)
    path = Path(place).absolute()
    if _is_repository(path):
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
    if (known := cache.read_json(memo)) and "imported" in known:
        return Base(**{**known, "name": name, "mirror": mirror})
    git = Git(mirror)
    makefile = git.run("cat-file", "-p", f"{commit}:Makefile")
    fields = _version(makefile.text)
    if not fields or git.run("cat-file", "-e", f"{commit}:Kconfig").status:
        raise UsageError(f"{name} is no kernel tree: there is no kernel's Makefile at its top")
    base = Base(
        name=name,
        mirror=mirror,
        commit=commit,
        tree=git.out("rev-parse", f"{commit}^{{tree}}"),
        version=".".join(fields),
        imported=not git.run("show-ref", "--verify", "-q", _imported(commit)).status,
    )
    cache.write_json(memo, {**asdict(base), "mirror": str(mirror)})
    return base


def _version(makefile: str) -> list[str]:
    """VERSION, PATCHLEVEL and SUBLEVEL of a kernel's Makefile; empty when they are not there."""
    keys = ("VERSION", "PATCHLEVEL", "SUBLEVEL")
    fields = dict(re.findall(rf"^({'|'.join(keys)})\s*=\s*(\d+)", makefile, re.M))
    return [fields[key] for key in keys] if len(fields) == len(keys) else []


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
    git.out("update-ref", _imported(commit), commit)
    return commit


def _imported(commit: str) -> str:
    """The reference that keeps a commit of our own making."""
    return f"refs/harness/{commit}"


def _is_repository(path: Path) -> bool:
    return (path / ".git").exists() or (path / "objects").is_dir()


def _from_checkout(name: str, path: Path) -> Base:
    """HEAD of a user's repository, through a mirror that borrows its objects."""
    found = _open_checkout(name, path)
    return _describe(name, found.mirror, found.head)


def _open_checkout(name: str, path: Path) -> Checkout:
    found = user_git(path, "rev-parse", "--git-dir", "--git-common-dir", "HEAD")
    if found.status:
        raise UsageError(f"{path}: git finds no commit there", lines=(found.complaint[:200],))
    git_dir, common_dir, commit = found.text.splitlines()
    opened = Checkout(
        path=path,
        git_dir=(path / git_dir).resolve(),
        common_dir=(path / common_dir).resolve(),
        head=commit,
        mirror=_mirror(name if "/" not in name else path.name, str(path)),
    )
    _borrow(opened)
    return opened


def user_git(path: Path, *args: str) -> proc.Completed:
    """git on the user's own repository: only for names and settings, which it alone knows."""
    git_dir = path / ".git" if (path / ".git").exists() else path
    argv = ["git", "-C", str(path), f"--git-dir={git_dir}", *args]
    return proc.run(argv, env={"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"})


def _borrow(opened: Checkout) -> None:
    """Make or mend the mirror of a checkout: its objects, and where its history was cut off."""
    mirror = opened.mirror
    wanted = {mirror / "objects/info/alternates": f"{opened.common_dir / 'objects'}\n".encode()}
    if (shallow := opened.common_dir / "shallow").exists():
        wanted[mirror / "shallow"] = shallow.read_bytes()
    else:
        (mirror / "shallow").unlink(missing_ok=True)
    if all(path.is_file() and path.read_bytes() == data for path, data in wanted.items()):
        return
    with _locked(mirror):
        init_mirror(mirror)
        for path, data in wanted.items():
            cache.write_whole(path, data)


def _from_url(name: str, url: str) -> Base:
    """The newest commit of a remote repository's HEAD."""
    mirror = _mirror(name, url)
    with _locked(mirror):
        init_mirror(mirror)
        log.info("fetching %s", url)
        git = Git(mirror)
        done = git.run("fetch", "-q", "--depth=1", url, f"+HEAD:{_FETCHED}")
        if done.status:
            last = tuple(done.complaint.splitlines()[-3:])
            raise HostError(f"tree {name}: cannot fetch {url}", lines=last)
        return _describe(name, mirror, git.out("rev-parse", _FETCHED))
