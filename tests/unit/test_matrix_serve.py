# SPDX-License-Identifier: GPL-2.0-only
"""What is served of a matrix, and to whom."""

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness import cli, report
from harness.errors import ExitCode, HostError, UsageError
from harness.executors import Progress
from harness.matrix import serve
from harness.matrix.live import MOST, Live
from harness.matrix.record import Told
from harness.matrix.run import State
from harness.matrix.schedule import Grant
from harness.model import Ended, Kind, Outcome, Task
from harness.report import Options
from tests import runs

TOKEN = "a-token.of_24~characters"
CELL = Task(name="6.12/s/<b>base</b>/one", kind=Kind.TEST, argv=("run",))
OTHER = Task(name="6.12/s/base/two", kind=Kind.TEST, argv=("run",))
BUILD = Task(name="kernel 6.12", kind=Kind.BUILD, argv=("build",))
ENDED = Ended(task=CELL.name, exit=1, duration_s=2.0, counts={"pass": 3, "fail": 1}, new=1)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_FAREWELL_S", 0.0)


@contextmanager
def serving(live: Live | None = None, address: str = ":0", token: str = "") -> Iterator[str]:
    with serve.serving(serve.place(address, token), live or Live()) as url:
        yield url


def ask(
    url: str, path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    where = urlsplit(url)
    with closing(http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)) as to:
        to.request(method, path, headers=headers)
        answer = to.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def told(directory: Path, *ended: Ended) -> Told:
    return Told(
        directory=directory,
        tasks=(BUILD, CELL, OTHER),
        ended={one.task: one for one in ended},
        begun={},
        left_out=(),
        source={},
        exit=None,
    )


def state(**progress: Progress) -> State:
    return State(
        builds_waiting=2,
        cells_waiting=3,
        running=[(Grant(task=OTHER, cpus=1), 41.0)],
        cells_ended=1,
        cells=2,
        elapsed_s=125.0,
        left_s=300.0,
        progress=lambda: {OTHER.name: progress["one"]} if progress else {},
    )


def document(live: Live, after: int = 0) -> Mapping[str, Any]:
    found = json.loads(json.dumps(live.document(after, "")))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_nothing_can_be_done_but_reading(method: str) -> None:
    with serving() as url:
        status, headers, _ = ask(url, method=method)
    assert status == 405 and headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/report.html", "/../etc/passwd", "/live.json/", "//", "/journal.jsonl", "*", "/%2e/"]
)
def test_there_are_two_paths_and_no_more(path: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<body>\n")
    live = Live()
    live.begin(told(tmp_path))
    with serving(live) as url:
        wanted = 200 if path == "//" else 404  # the same as /
        assert ask(url, path)[0] == wanted
        assert ask(url, "/")[0] == ask(url, "/live.json?after=x&report=%ff")[0] == 200


def test_answers_are_not_kept_guessed_at_or_framed() -> None:
    with serving() as url:
        for path in ("/", "/live.json", "/none"):
            _, headers, _ = ask(url, path)
            assert headers["Cache-Control"] == "no-store"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
            assert ("connect-src 'self'" in policy) == (path == "/")
            assert "script-src 'unsafe" not in policy and "Python" not in headers["Server"]


def test_a_head_is_the_same_without_the_page() -> None:
    with serving() as url:
        status, headers, text = ask(url, method="HEAD")
        assert (status, text) == (200, "")
        assert headers["Content-Length"] == ask(url)[1]["Content-Length"]


def test_who_has_the_token_reads() -> None:
    with serving(token=TOKEN) as url:
        status, headers, _ = ask(url, f"/live.json?token={TOKEN}")
        assert (status, headers["Location"]) == (303, "/")
        cookie, *about = headers["Set-Cookie"].split("; ")
        assert set(about) == {"HttpOnly", "SameSite=Strict", "Path=/"}
        assert ask(url, Cookie=f"other=1; {cookie}")[0] == 200
        assert ask(url, Authorization=f"Bearer {TOKEN}")[0] == 200
        assert ask(url, Host="elsewhere.example", Authorization=f"bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/live.json", {}),
        ("/none", {}),
        ("/?token=", {}),
        (f"/?token={TOKEN}x", {}),
        ("/?token=%ff%00\u20ac", {}),
        ("/", {"Authorization": f"Basic {TOKEN}"}),
        ("/", {"Authorization": "Bearer "}),
        ("/", {"Authorization": "Bearer \xe9"}),
        ("/", {"Cookie": f"harness={TOKEN}"}),
        ("/", {"Cookie": "harness-0="}),
    ],
)
def test_who_has_it_not_is_told_nothing(path: str, headers: dict[str, str]) -> None:
    with serving(token=TOKEN) as url:
        for method in ("GET", "POST"):
            said = ask(url, path.replace("\u20ac", "%e2%82%ac"), method, **headers)
            assert (said[0], said[2]) == (401, "401 Unauthorized\n")
            assert "Set-Cookie" not in said[1] and "Location" not in said[1]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("rebound.example:8000", 421),
        ("127.0.0.1.rebound.example", 421),
        ("192.168.0.1", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_without_a_token_another_s_name_for_here_is_refused(host: str, status: int) -> None:
    with serving() as url:
        assert ask(url, Host=host)[0] == status


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "255.255.255.255:1"])
def test_what_others_reach_wants_a_token(address: str) -> None:
    with pytest.raises(UsageError, match="needs a token") as caught:
        serve.place(address, "")
    assert "HARNESS_TOKEN" in caught.value.hint
    assert serve.place(address, TOKEN).token == TOKEN


@pytest.mark.parametrize(
    "token", ["short", "with a space in it, too", "sixteen;letters=", "\xe9" * 16]
)
def test_a_token_that_can_be_guessed_or_is_no_cookie_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="too short, or has odd"):
        serve.place(":0", token)


@pytest.mark.parametrize("text", ["", "localhost", ":http", "::1:8000", ":65536", ":-1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no place"):
        serve.place(text, "")


def test_a_port_that_is_taken_is_said_at_once() -> None:
    with serving() as url:
        port = urlsplit(url).port
        with pytest.raises(HostError, match=f"127.0.0.1 port {port}: Address already in use"):
            serve.serving(serve.place(f":{port}", ""), Live()).__enter__()


def test_ipv6_is_served_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with serving(address="[::1]:0") as url:
        assert url.startswith("http://[::1]:") and ask(url)[0] == 200


def test_clients_that_say_nothing_hold_up_nobody_and_not_the_end() -> None:
    with serving() as url:
        where = urlsplit(url)
        silent = [socket.create_connection((where.hostname, where.port)) for _ in range(20)]
        for number, one in enumerate(silent):
            one.sendall(b"GET / HTTP/1.1\r\nHost: local"[: number * 3])
        assert ask(url)[0] == 200
        began = time.monotonic()
    assert time.monotonic() - began < 5
    for one in silent:
        one.settimeout(5)
        assert one.recv(1) == b""
        one.close()


def test_of_many_connections_some_are_hung_up_on() -> None:
    with serving() as url:
        where = urlsplit(url)
        many = [socket.create_connection((where.hostname, where.port)) for _ in range(70)]
        many[-1].settimeout(5)
        assert many[-1].recv(1) == b""
        for one in many:
            one.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                assert ask(url)[0] == 200
                break
            except OSError:  # the others are not seen to be gone yet
                assert time.monotonic() < deadline


@pytest.mark.parametrize(
    "said", [b"\r\n\r\n", b"\x16\x03\x01\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"]
)
def test_what_is_no_request_is_refused(said: bytes) -> None:
    with serving() as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=5) as to:
            to.sendall(said)
            to.shutdown(socket.SHUT_WR)
            answer = to.recv(1 << 16)
        assert b" 200 " not in answer
        assert ask(url)[0] == 200


def test_before_anything_has_ended_there_is_a_page(tmp_path: Path) -> None:
    live = Live()
    with serving(live) as url:
        assert 'id="live"' in ask(url)[2]
        assert json.loads(ask(url, "/live.json")[2])["said"] == "The cells are being planned."
        live.begin(told(tmp_path))
        live.look(state())
        now = json.loads(ask(url, "/live.json")[2])
    assert (now["ended"], now["cells"], now["count"], now["version"]) == (1, 2, 0, "")
    assert now["said"] == "about 5 min left, 3 waiting, 2 kernels to build, 2 min by now"


def test_the_page_is_the_report_with_what_runs_above(tmp_path: Path) -> None:
    recorded = runs.write(tmp_path / "runs", runs.pair("s/a", Outcome.PASS, Outcome.FAIL))
    file = tmp_path / "report.html"
    file.write_bytes(report.make("html", [recorded], Options(notice="1 of 2", refresh_s=20)))
    live = Live()
    live.begin(told(tmp_path))
    with serving(live) as url:
        _, headers, page = ask(url)
        now = json.loads(ask(url, "/live.json")[2])
    alone = file.read_text()
    assert 'http-equiv="refresh"' in alone and 'http-equiv="refresh"' not in page
    assert alone.count("http-equiv") == 2 and "http-equiv" not in page  # the policy is a header
    assert headers["Content-Security-Policy"].count("'sha256-") == 2
    assert page.index('id="live"') < page.index('id="results"')
    assert page.endswith(alone.partition("<body>\n")[2])
    assert f'data-version="{now["version"]}"' in page and now["version"]


def test_a_report_that_is_not_of_this_harness_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<head></head>\n<body>\n<script>other()</script>\n")
    live = Live()
    live.begin(told(tmp_path))
    with serving(live) as url:
        assert "other()" not in ask(url)[2]


def test_what_runs_is_told_with_how_far_it_is(tmp_path: Path) -> None:
    live = Live()
    live.begin(told(tmp_path))
    document(live)
    far = Progress(ended=2, planned=5, test="s/\x1b<i>", counts={"pass": 1, "fail": 1}, worker="w")
    live.look(state(one=far))
    (one,) = document(live)["running"]
    assert one == {
        "name": OTHER.name,
        "kind": "test",
        "time": "41 s",
        "left": "",
        "ended": 2,
        "planned": 5,
        "test": "s/\u241b<i>",
        "counts": [["fail", 1], ["pass", 1]],
        "worker": "w",
    }


def test_nothing_is_found_out_while_nobody_looks(tmp_path: Path) -> None:
    def find() -> Mapping[str, Progress]:
        pytest.fail("somebody asked")

    live = Live()
    live.begin(told(tmp_path))
    live.look(replace(state(), progress=find))


def test_what_has_ended_is_told_once_to_each_page(tmp_path: Path) -> None:
    live = Live()
    live.begin(told(tmp_path, Ended(task=BUILD.name, exit=0, duration_s=1.0)))
    assert document(live)["count"] == 0
    live.ended(CELL, ENDED, state())
    live.ended(BUILD, Ended(task=BUILD.name, exit=12, duration_s=1.0, error="no"), state())
    first = document(live)
    assert [one["name"] for one in first["last"]] == [CELL.name, BUILD.name]
    assert first["last"][0]["counts"] == [["fail", 1], ["pass", 3]] and first["bad"] == 1
    assert first["last"][1]["word"] == "does not build" and first["last"][1]["error"] == "no"
    assert document(live, 1)["last"] == first["last"][1:] and document(live, 2)["last"] == []
    for _ in range(2 * MOST):
        live.ended(OTHER, ENDED, state())
    assert len(document(live)["last"]) == MOST and document(live)["count"] == 2 * MOST + 2


def test_one_that_is_gone_on_with_has_what_had_ended(tmp_path: Path) -> None:
    live = Live()
    live.begin(told(tmp_path, ENDED))
    now = document(live)
    assert (now["ended"], now["cells"], now["bad"], now["count"]) == (1, 2, 1, 1)


def test_who_looks_is_told_of_the_end_and_nobody_is_waited_for_in_vain(tmp_path: Path) -> None:
    live = Live()
    live.begin(told(tmp_path))
    live.look(state())
    began = time.monotonic()
    live.finish(60)  # nobody has looked
    assert time.monotonic() - began < 5
    assert document(live)["over"] and document(live)["running"] == []
    live.finish(60)  # it has been told
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--serve", "0.0.0.0:0"], ExitCode.USAGE, "it needs a token"),
        (["--serve", "nowhere"], ExitCode.USAGE, "is no place"),
        (["--serve", "--list"], ExitCode.USAGE, "--serve is for a matrix that runs"),
        (["--token", TOKEN], ExitCode.USAGE, "--token goes with --serve"),
        (["--serve", "{taken}"], ExitCode.HOST, "Address already in use"),
        (["--resume", "--serve", "{taken}"], ExitCode.HOST, "Address already in use"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_is_run(
    words: list[str],
    code: ExitCode,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with serving() as url:
        taken = f"127.0.0.1:{urlsplit(url).port}"
        assert cli.main(["matrix", *(word.format(taken=taken) for word in words)]) == code
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("journal.jsonl"))
