# SPDX-License-Identifier: GPL-2.0-only
"""Cells of a matrix -> what GitHub, GitLab and systemd want to have of a nightly (docs/ci.md).

A service's job is a part: all cells of one tree and kconfig, as they share most objects of their
kernels. The first builds, the others compile what their patches touch; and there is one cache a
part, which counts where a service keeps 10 GB of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from harness.errors import StaleError, UsageError
from harness.model import MatrixCell
from harness.render import words

TARGETS = {
    "github": ".github/workflows/harness.yml",
    "gitlab": ".gitlab-ci.yml",
    "systemd": "ci/harness-nightly.service",
}
"""What can be rendered, and where it is written by default, from the project's top."""

_HERE = Path(__file__).parent
_MOST = {"github": (256, "GitHub"), "gitlab": (200, "GitLab")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one job of a service runs, one cell after another; `name` is safe anywhere."""

    name: str
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to render of the project `root` from its matrix file `matrix`, into `output`."""

    target: str
    root: Path
    matrix: Path
    output: Path

    @property
    def command(self) -> str:
        """What to type at the project's top for it."""
        asked = ["harness", "ci", "render", self.target]
        for option, path, default in (
            ("--file", self.matrix, "ci/matrix.yaml"),
            ("--output", self.output, TARGETS[self.target]),
        ):
            if path != self.root / default:
                asked += [option, self.shown(path)]
        return words.command(asked)

    def shown(self, path: Path) -> str:
        """A path from the project's top, where it is below that: the same on each machine."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A file as it has to be."""

    path: Path
    text: str

    def differs(self) -> str:
        """What is wrong with the file on disk, in words; empty where it is up to date."""
        try:
            found = self.path.read_bytes()
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            raise UsageError(f"{self.path}: {error.strerror}") from None
        wanted = self.text.encode()
        if found == wanted:
            return ""
        same = zip(found.splitlines(), wanted.splitlines(), strict=False)
        line = next((n for n, (one, two) in enumerate(same, 1) if one != two), None)
        return f"is out of date in line {line}" if line else "is out of date at its end"


def parts(cells: Sequence[MatrixCell]) -> tuple[Part, ...]:
    """The cells of each tree and kconfig, both in the order of `cells`. UsageError for none."""
    if not cells:
        raise UsageError("the matrix has no cell that is run")
    found: dict[tuple[str, str], list[MatrixCell]] = {}
    for cell in cells:
        found.setdefault((cell.tree, cell.kconfig), []).append(cell)
    names = [words.slug(f"{tree}-{kconfig}") for tree, kconfig in found]
    return tuple(
        # a-b of c and a of b-c.
        Part(name=f"{name}-{words.tag('/'.join(key))}" if names.count(name) > 1 else name, cells=of)
        for name, (key, of) in zip(
            names, ((key, tuple(of)) for key, of in found.items()), strict=True
        )
    )


def files(wish: Wish, cells: Sequence[MatrixCell]) -> tuple[Rendered, ...]:
    """The files that a wish is for: equal wishes and cells, equal bytes. UsageError for what the
    service does not take: too many parts, a name that cannot be written down."""
    made = parts(cells)
    if wish.target == "systemd":
        return _units(wish)
    most, service = _MOST[wish.target]
    if len(made) > most:
        raise UsageError(
            f"{wish.shown(wish.matrix)} has {len(made)} pairs of a tree and a kconfig,"
            f" {service} takes {most} jobs of a matrix",
            hint="--file with a part of it, rendered to an --output of its own",
        )
    return (_render(wish, f"{wish.target}.yml.j2", wish.output, parts=made),)


def write(rendered: Sequence[Rendered]) -> None:
    """Bring the files up to date, and make their directories. UsageError where that fails."""
    for one in rendered:
        try:
            if one.differs():
                one.path.parent.mkdir(parents=True, exist_ok=True)
                one.path.write_text(one.text)
        except OSError as error:
            raise UsageError(f"{one.path}: {error.strerror}") from None


def check(wish: Wish, rendered: Sequence[Rendered]) -> None:
    """StaleError where a file is not what it has to be; it has the command that mends it."""
    wrong = [f"{wish.shown(one.path)} {what}" for one in rendered if (what := one.differs())]
    if wrong:
        raise StaleError("; ".join(wrong), hint=wish.command)


def _units(wish: Wish) -> tuple[Rendered, ...]:
    if wish.output.suffix != ".service":
        raise UsageError(
            f"--output {wish.output}: expected NAME.service; NAME.timer is written beside it"
        )
    start = [_place(wish, wish.root / "ci/bootstrap", program=True)]
    start += ["--no-install", "harness", "nightly", "--deadline", "6h"]
    if wish.matrix != wish.root / "ci/matrix.yaml":
        start += ["--file", _place(wish, wish.matrix)]
    return tuple(
        _render(wish, f"nightly{path.suffix}.j2", path, start=" ".join(start))
        for path in (wish.output, wish.output.with_suffix(".timer"))
    )


def _place(wish: Wish, path: Path, *, program: bool = False) -> str:
    """A path as a unit says it: from its own directory where that is the project's ci/, so that
    the unit can be committed."""
    ci = wish.root / "ci"
    if wish.output.parent == ci and path.is_relative_to(ci):
        rest = words.systemd(f"/{path.relative_to(ci)}", program=program)
        return f'"%Y{rest[1:]}' if rest.startswith('"') else f"%Y{rest}"
    return words.systemd(str(path), program=program)


def _render(wish: Wish, template: str, path: Path, **values: Any) -> Rendered:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="[[",  # {{ is GitHub's
        variable_end_string="]]",
    )
    environment.filters["word"] = words.shell
    environment.filters["command"] = words.command
    text = environment.get_template(template).render(
        wish=wish, matrix=wish.shown(wish.matrix), **values
    )
    return Rendered(path=path, text=text)
