# SPDX-License-Identifier: GPL-2.0-only
"""A store that machines share: blobs by name, in a directory or wherever fsspec can write."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from harness import cache
from harness.errors import HostError, UsageError

_EXTRAS = "pip install 'harness[cluster]'; for s3:// s3fs too (docs/cluster.md)"


class Store(Protocol):
    """Blobs by name, as `kernels/<key>`. One of a name is whole or not there, and never changes."""

    def has(self, name: str) -> bool:
        """It is there."""
        ...

    def get(self, name: str, to: Path) -> bool:
        """Write it to a file; False where it is not there."""
        ...

    def put(self, name: str, file: Path) -> None:
        """Have it from a file."""
        ...

    def remove(self, name: str) -> None:
        """It is of no use."""
        ...


class SharedStore:
    """That at an address of fsspec's (https://filesystem-spec.readthedocs.io): a directory,
    s3://bucket/prefix and others. Credentials and endpoints come from the environment, as each
    of these has it. UsageError for an address that it does not know; all methods raise HostError
    where the store does not answer."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec

            place = url if "://" in url else f"file://{Path(url).absolute()}"
            self._fs, self._top = fsspec.url_to_fs(place)
        except ImportError as error:
            raise HostError(f"store {url}: {error}", hint=_EXTRAS) from None
        except ValueError as error:
            raise UsageError(f"store {url}: {error}") from None
        self.url = place

    def has(self, name: str) -> bool:
        """See Store."""
        with self._told():
            self._fs.invalidate_cache()  # others write to it too, so a listing is no news
            return bool(self._fs.exists(self._path(name)))

    def get(self, name: str, to: Path) -> bool:
        """See Store."""
        with self._told():
            try:
                self._fs.get_file(self._path(name), str(to))
            except FileNotFoundError:
                return False
        return True

    def put(self, name: str, file: Path) -> None:
        """See Store."""
        path = self._path(name)
        with self._told(), _whole(self._fs, path) as target, file.open("rb") as source:
            shutil.copyfileobj(source, target, 4 << 20)

    def remove(self, name: str) -> None:
        """See Store."""
        with self._told(), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._top.rstrip('/')}/{name}.tar"

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong in somebody's network or disk is the host's."""
        try:
            yield
        except HostError:
            raise
        except Exception as error:  # noqa: BLE001  each file system has errors of its own
            raise HostError(f"store {self.url}: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _whole(fs: Any, path: str) -> Iterator[Any]:
    """A file that is there at the end of the block, or not at all."""
    if "file" in fs.protocol:
        # fsspec's own way is a copy from $TMPDIR, which others see grow.
        with cache.growing(Path(path)) as growing:
            growing.chmod(0o644)  # for other users' workers
            with growing.open("wb") as file:
                yield file
        return
    file = fs.open(path, "wb", autocommit=False)
    try:
        yield file
        file.close()
    except BaseException:
        file.discard()
        raise
    file.commit()
