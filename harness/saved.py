# SPDX-License-Identifier: GPL-2.0-only
"""The saved guests of a run: each found in the cache or made once, and kept for the next run."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from harness import cache, disuse
from harness.errors import QemuDiedError, RestoreError, SaveError, StageError
from harness.guest import root, snapshot
from harness.guest.root import Root
from harness.guest.session import Session
from harness.guest.snapshot import Recipe, State
from harness.model import Contents, Splat
from harness.record import Record
from harness.watch import Watch

_LIMIT_SHARE = 4  # of what built kernels may take, saved guests get one in so many


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fresh:
    """A state that was just made, the guest that it was made of, and the number of its boot."""

    state: State
    guest: Session
    number: int


class SavedGuests:
    """States by recipe, for guests of any thread. As a context manager it ends with those that
    only this run has."""

    def __init__(self, record: Record, watch: Watch) -> None:
        self._record = record
        self._watch = watch
        self._lock = threading.RLock()
        self._states: dict[str, State] = {}
        self._untold: dict[str, tuple[Splat, ...]] = {}
        self._own: list[State] = []
        self.given_up = False
        self._roots: dict[tuple[Contents, ...], Root] = {}

    def root(self, contents: tuple[Contents, ...], agent: Path) -> Root:
        """The image for what suites need, looked up once: its files do not change meanwhile."""
        with self._lock:
            if contents not in self._roots:
                self._roots[contents] = root.find_or_build(contents, agent)
            return self._roots[contents]

    @contextlib.contextmanager
    def guest(self, recipe: Recipe) -> Iterator[tuple[Session, int]]:
        """A guest that was saved, and the number of its boot. The one that a state is made of is
        the first to go on from it. RestoreError where a state is of no use, which is then gone;
        other errors as of snapshot.make()."""
        cache.touch(recipe.kernel.dir)
        cache.touch(recipe.root.image.parent)
        with contextlib.ExitStack() as stack:
            with self._lock:
                state = self._find(recipe)
                fresh = None if state else self._make(recipe, stack)
            if fresh is not None and (guest := self._go_on(recipe, fresh, stack)):
                state, number = fresh.state, fresh.number
            else:
                state = state or self._states[recipe.key]
                guest, number = self._restore(recipe, state, stack)
            own = guest.console.splats  # which the guest tells itself
            told = self._first_told(state)
            guest.inherit(tuple(o for o in told if replace(o, phase="", boot=0) not in own))
            yield guest, number

    def _go_on(self, recipe: Recipe, fresh: _Fresh, stack: contextlib.ExitStack) -> Session | None:
        """The guest that was saved; None, and it is gone, where it does not go on."""
        try:
            snapshot.go_on(fresh.guest, recipe, f"saved as {fresh.state.key[:12]}, goes on")
        except StageError:
            stack.close()
            return None
        return fresh.guest

    def _find(self, recipe: Recipe) -> State | None:
        """The state for a recipe, of this run or of the cache."""
        key = recipe.key
        if key not in self._states and (state := self._load(key)):
            self._states[key] = state
        found = self._states.get(key)
        if found is not None and found.directory is not None:
            cache.touch(found.directory)
        return found

    def _restore(
        self, recipe: Recipe, state: State, stack: contextlib.ExitStack
    ) -> tuple[Session, int]:
        number, directory = self._record.new_boot()
        text = f"restored from {state.key[:12]} as boot {number}"
        try:
            return stack.enter_context(snapshot.restore(recipe, state, directory, text)), number
        except StageError as error:
            self._discard(state, error.message)
            said = f"a saved guest does not come back: {error.message}"
            raise RestoreError(said, log=error.log, lines=error.lines) from None

    def _remember(self, state: State, number: int) -> None:
        """What the kernel reported before it was saved is to be told once, as of that boot."""
        splats = (replace(splat, phase="boot", boot=number) for splat in state.splats)
        self._untold.setdefault(state.key, tuple(splats))

    def _first_told(self, state: State) -> tuple[Splat, ...]:
        """What the kernel reported before it was saved, to whoever asks first."""
        with self._lock:
            self._untold.pop(state.about.get("parent", ""), None)  # it is in this one's
            return self._untold.pop(state.key, ())

    def _discard(self, state: State, why: str) -> None:
        """Throw a state away that is of no use, and say so; the next one is booted."""
        with self._lock:
            self._states = {k: one for k, one in self._states.items() if one is not state}
            snapshot.discard(state)
            self._watch.note(f"the saved guest {state.key[:12]} is thrown away: {why}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        own, self._own = self._own, []
        self._states = {key: one for key, one in self._states.items() if one not in own}
        for state in own:
            state.close()

    def give_up(self, error: SaveError) -> None:
        """No guest of this run is saved or restored any more; says so once."""
        with self._lock:
            if not self.given_up:
                self.given_up = True
                self._watch.note(f"guests are booted under vng from now on: {error.message}")

    def _load(self, key: str) -> State | None:
        try:
            found = snapshot.load(key)
        except SaveError as error:
            self._watch.note(f"{error.message}; another one is booted")
            return None
        if found is not None and found.directory is not None:
            number, directory = self._record.new_boot()
            for name in ("console.log", "qemu.cmd"):
                shutil.copyfile(found.directory / name, directory / name)
            self._remember(found, number)
        return found

    def _make(self, recipe: Recipe, stack: contextlib.ExitStack) -> _Fresh:
        """A new state and its guest. QEMU may die once, and a parent that does not come back is
        made again once."""
        for last in (False, True):
            parent = self._parent(recipe)
            try:
                return self._make_once(recipe, parent, stack)
            except SaveError:
                raise
            except StageError as error:
                if last or not (parent or isinstance(error, QemuDiedError)):
                    raise
                if parent is not None:
                    self._discard(parent, error.message)
        raise AssertionError("the last attempt returns or raises")

    def _parent(self, recipe: Recipe) -> State | None:
        """The state without a server, for one with a server."""
        if recipe.server is None:
            return None
        plain = replace(recipe, server=None)
        if (state := self._find(plain)) is None:
            with contextlib.ExitStack() as stack:
                self._make(plain, stack)
        return state or self._states[plain.key]

    def _make_once(
        self, recipe: Recipe, parent: State | None, stack: contextlib.ExitStack
    ) -> _Fresh:
        number, directory = self._record.new_boot()
        with contextlib.ExitStack() as attempt:
            made, guest = attempt.enter_context(snapshot.make(recipe, directory, parent))
            self._remember(made, number)
            try:
                self._states[made.key] = snapshot.keep(made, directory)
            except SaveError as error:
                self._watch.note(f"{error.message}; it serves this run only")
                self._own.append(snapshot.hold(made))
                self._states[made.key] = self._own[-1]
            else:
                disuse.evict("states", cache.limit_bytes() // _LIMIT_SHARE)
            stack.push(attempt.pop_all())
        return _Fresh(state=self._states[made.key], guest=guest, number=number)
