# SPDX-License-Identifier: GPL-2.0-only
"""`harness judge`: what it prints and with which status it ends."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import cli
from harness.errors import ExitCode

DATA = Path(__file__).parents[1] / "data"
Capture = pytest.CaptureFixture[str]


def consoles(*names: str) -> bytes:
    return b"".join((DATA / f"consoles/{name}.txt").read_bytes() for name in names)


def test_a_console_for_people(capsys: Capture) -> None:
    code = cli.main(["judge", "--color", "never", str(DATA / "consoles/warning.txt")])
    assert code == ExitCode.FAILED
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.split(maxsplit=2)[2] == "warning: WARNING in inc_nlink"
    assert second.startswith("lines 49-93 ")
    assert last == "2 splats"


def test_a_console_without_splats(capsys: Capture) -> None:
    assert cli.main(["judge", str(DATA / "consoles/clean.txt")]) == ExitCode.OK
    assert capsys.readouterr().out == "no splat\n"
    assert cli.main(["judge", "--json", str(DATA / "consoles/clean.txt")]) == ExitCode.OK
    assert capsys.readouterr().out == ""


def test_json_has_one_object_for_each_splat(capsys: Capture) -> None:
    assert cli.main(["judge", "--json", str(DATA / "consoles/warning.txt")]) == ExitCode.FAILED
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["kind"] for one in told] == ["warning", "null-deref"]
    assert told[0] == {
        "schema": 1,
        "kind": "warning",
        "title": "WARNING in inc_nlink",
        "function": "inc_nlink",
        "fingerprint": told[0]["fingerprint"],
        "line_from": 23,
        "line_to": 48,
        "complete": True,
        "first": True,
    }


def test_standard_input_and_the_test_that_ran(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = b"[    1.000000] harness 0123456789abcdef: start 7 aio/t\n"
    end = b"[    9.000000] harness 0123456789abcdef: end 7\n"
    data = consoles("oom") + start + consoles("kasan") + end + consoles("bug")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert cli.main(["judge", "--json"]) == ExitCode.FAILED
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["kind"], one.get("test")) for one in told] == [
        ("oom", None),
        ("kasan", "aio/t"),
        ("bug", None),
    ]


@pytest.mark.parametrize("name", ["nowhere.log", "."])
def test_a_file_that_is_not_there(tmp_path: Path, capsys: Capture, name: str) -> None:
    assert cli.main(["judge", str(tmp_path / name)]) == ExitCode.USAGE
    assert str(tmp_path) in capsys.readouterr().err


def test_a_ktap_log(tmp_path: Path, capsys: Capture) -> None:
    path = str(DATA / "ktap/kunit-failure.txt")
    assert cli.main(["judge", "--ktap", "--json", path]) == ExitCode.FAILED
    told = json.loads(capsys.readouterr().out)
    counts = {name: told[name] for name in ("schema", "pass", "fail", "skip", "crash", "error")}
    assert counts == {"schema": 1, "pass": 9, "fail": 1, "skip": 0, "crash": 0, "error": 0}
    assert len(told["results"]) == 10
    assert cli.main(["judge", "--ktap", path]) == ExitCode.FAILED
    assert "EXPECTATION FAILED at" in capsys.readouterr().out
    good = tmp_path / "good.log"
    good.write_text("TAP version 13\n1..1\nok 1 a\n")
    assert cli.main(["judge", "--ktap", str(good)]) == ExitCode.OK
    good.write_text("nothing here\n")
    assert cli.main(["judge", "--ktap", str(good)]) == ExitCode.NOTHING_RAN
