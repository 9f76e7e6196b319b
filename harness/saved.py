# SPDX-License-Identifier: GPL-2.0-only
"""The saved guests of a run: each found in the cache or made once, and kept for the next run."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Self

from harness import cache
from harness.errors import QemuDiedError, SaveError
from harness.guest import root, snapshot
from harness.guest.root import Root
from harness.guest.snapshot import Recipe, State
from harness.model import Contents, Splat
from harness.record import Record
from harness.watch import Watch

_LIMIT_SHARE = 4  # of what built kernels may take, saved guests get one in so many


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

    def state(self, recipe: Recipe) -> State:
        """The state for a recipe. Errors as of snapshot.make()."""
        key = recipe.key
        with self._lock:
            if key not in self._states:
                state = self._load(key) or self._make(recipe)
                self._states[key] = state
                self._untold.setdefault(state.key, state.splats)
            return self._states[key]

    def splats(self, state: State) -> tuple[Splat, ...]:
        """What the kernel reported before it was saved, to whoever asks first."""
        with self._lock:
            return self._untold.pop(state.key, ())

    def discard(self, state: State, why: str) -> None:
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
            _, directory = self._record.new_boot()
            for name in ("console.log", "qemu.cmd"):
                shutil.copyfile(found.directory / name, directory / name)
        return found

    def _make(self, recipe: Recipe) -> State:
        parent = self.state(replace(recipe, server=None)) if recipe.server else None
        try:
            return self._make_once(recipe, parent)
        except QemuDiedError:
            return self._make_once(recipe, parent)
        except SaveError:
            if parent is None:
                raise
            return parent  # whose first test starts the server again, and says what is wrong

    def _make_once(self, recipe: Recipe, parent: State | None) -> State:
        _, directory = self._record.new_boot()
        made = snapshot.make(recipe, directory, parent)
        try:
            kept = snapshot.keep(made, directory)
        except SaveError as error:
            self._watch.note(f"{error.message}; it serves this run only")
            self._own.append(made)
            return made
        made.close()
        cache.evict(cache.root() / "states", cache.limit_bytes() // _LIMIT_SHARE)
        return kept
