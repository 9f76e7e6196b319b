# SPDX-License-Identifier: GPL-2.0-only
"""TLS as Dask has it: who has no certificate of the cluster's authority stays outside."""

from pathlib import Path

import pytest
import trustme

from harness.errors import ExitCode, HostError
from harness.executors.dask import DaskExecutor
from harness.executors.link import is_open
from harness.model import Kind
from tests.cluster.conftest import Project, executor
from tests.cluster.machines import cluster
from tests.cluster.test_dask import run

DASK = "DASK_DISTRIBUTED__COMM__"


def certificates(place: Path) -> dict[str, str]:
    """Dask's configuration with an authority's certificates that are made here."""
    place.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    one = authority.issue_cert("127.0.0.1", "localhost")
    one.private_key_and_cert_chain_pem.write_to_path(str(place / "one.pem"))
    keys = {f"{DASK}TLS__CA_FILE": str(place / "ca.pem")}
    for who in ("SCHEDULER", "WORKER", "CLIENT"):
        keys[f"{DASK}TLS__{who}__CERT"] = str(place / "one.pem")
    return keys


def settle(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    """Have this process's Dask read them."""
    import dask

    for key, value in env.items():
        monkeypatch.setenv(key, value)
    dask.config.refresh()


def test_only_who_has_a_certificate_comes_in(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = certificates(tmp_path / "ours"), certificates(tmp_path / "others")
    env = {
        **ours,
        f"{DASK}DEFAULT_SCHEME": "tls",
        f"{DASK}REQUIRE_ENCRYPTION": "true",
    }
    with cluster(tmp_path / "cluster", workers=("a",), env=env) as there:
        assert there.address.startswith("tls://") and not is_open(there.address)
        with pytest.raises(HostError, match="wants a certificate"):
            DaskExecutor(there.address, root=project.root).__enter__()
        settle(monkeypatch, others)
        with pytest.raises(HostError, match="no Dask scheduler answers"):  # of somebody else
            DaskExecutor(there.address, root=project.root).__enter__()
        plain = there.address.replace("tls://", "tcp://")
        with pytest.raises(HostError, match="no Dask scheduler answers"):
            DaskExecutor(plain, root=project.root).__enter__()
        settle(monkeypatch, ours)
        with executor(there, project.root) as on:
            told = run(on, [project.task("c", Kind.TEST)])
    assert told.ended["c"].exit == ExitCode.OK, told.ended
