# SPDX-License-Identifier: GPL-2.0-only
"""Stores that all workers share: a directory, and a server that speaks S3."""

import io
import secrets
from pathlib import Path

import boto3
import pytest

from harness import parcel
from harness.errors import ExitCode, HostError, UsageError
from harness.model import Kind
from harness.store import SharedStore
from tests.cluster.conftest import Project, executor
from tests.cluster.machines import Cluster
from tests.cluster.test_dask import run


@pytest.fixture(params=["directory", "s3"])
def url(
    request: pytest.FixtureRequest,
    s3: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The address of a store that is empty."""
    if request.param == "directory":
        return str(tmp_path / "store")
    for key, value in s3.items():
        monkeypatch.setenv(key, value)
    bucket = secrets.token_hex(8)
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/nightly"


def test_what_is_put_can_be_had_by_others(url: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * (6 << 12)  # in several parts
    (tmp_path / "blob").write_bytes(data)
    store = SharedStore(url)
    assert not store.has("kernels/x")
    assert not store.get("kernels/x", tmp_path / "other")
    store.put("kernels/x", tmp_path / "blob")
    store.put("kernels/x", tmp_path / "blob")
    assert store.has("kernels/x"), "whoever asked before sees what is new"
    other = SharedStore(url)
    assert other.has("kernels/x") and not other.has("kernels/y")
    assert other.get("kernels/x", tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == data


def test_a_blob_that_is_not_finished_is_none(url: str, tmp_path: Path) -> None:
    store = SharedStore(url)

    class Failing(io.BytesIO):
        """A file whose second part cannot be read."""

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError("the disk is gone")
            return super().read(size)

    class Broken(type(tmp_path)):  # type: ignore[misc]
        def open(self, *args: object, **kwargs: object) -> io.BytesIO:
            return Failing(bytes(9 << 20))

    with pytest.raises(HostError, match="the disk is gone"):
        store.put("kernels/x", Broken(tmp_path / "blob"))
    assert not store.has("kernels/x")
    (tmp_path / "blob").write_bytes(b"whole")
    store.put("kernels/x", tmp_path / "blob")
    assert store.has("kernels/x")
    store.remove("kernels/x")
    store.remove("kernels/x")
    assert not store.has("kernels/x")
    if "://" not in url:
        assert not list(Path(url).rglob("*tmp*")), "nothing is left of it"


def test_a_kernel_goes_by_the_store(url: str, project: Project, shared: Cluster) -> None:
    first = project.task("kernel", Kind.BUILD)
    cells = [project.task(f"c{n}", Kind.TEST, needs=["kernel"]) for n in range(6)]
    with executor(shared, project.root, store=url) as on:
        told = run(on, [first, *cells])
    assert {one.exit for one in told.ended.values()} == {ExitCode.OK}, told.ended
    assert len({one.worker for one in told.ended.values()}) == 3
    assert project.built() == 1
    store = SharedStore(url)
    (key,) = first.kernels
    assert store.has(parcel.kernel(key)) and store.has(parcel.base(first.base))
    assert not list(shared.cache("scheduler").glob(f"store/*{key}*")), "not by the scheduler"


def test_addresses_that_nobody_knows() -> None:
    with pytest.raises(UsageError, match="nosuch"):
        SharedStore("nosuch://bucket")


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = SharedStore(str(tmp_path / "file"))  # which is no directory
    with pytest.raises(HostError, match="store .*file"):
        store.put("kernels/x", tmp_path / "file")
