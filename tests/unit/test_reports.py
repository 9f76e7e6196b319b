# SPDX-License-Identifier: GPL-2.0-only
"""Reports, each read by the program that it is for."""

import email
import email.policy
import hashlib
import io
import json
import os
import re
import shutil
import stat
import sys
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import junitparser
import pytest
import xmlschema
from kcidb_io.schema import LATEST

from harness.cli import main
from harness.errors import ExitCode, UsageError
from harness.model import Metric, Outcome, Result, Settled, Tally, Verdict
from harness.recorded import Recorded, load
from harness.report import FORMATS, Options, b4, make, outline, posted
from harness.report.outline import State
from tests import runs

JUNIT = xmlschema.XMLSchema(str(Path(__file__).parents[1] / "data/junit.xsd"))
PASS, FAIL, SKIP, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.ERROR


def width(line: str) -> int:
    """Columns of a terminal."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in line)


@pytest.fixture
def full(tmp_path: Path) -> Recorded:
    return runs.write(tmp_path, runs.every_kind(), stray=[runs.OOPS])


def made(name: str, *recorded: Recorded, **options: Any) -> str:
    return make(name, recorded, Options(**options)).decode()


def each_patch(tmp_path: Path) -> Recorded:
    """The second patch breaks a test."""
    results = [
        runs.result("s/a", FAIL if label in ("0002", "tip") else PASS, label, detail="broken")
        for label in ("base", "0001", "0002", "tip")
    ]
    return runs.write(
        tmp_path, results, stack=runs.series(3), steps=("base", "0001", "0002", "tip")
    )


def only(outcome: Outcome, kernel: str = "tip", **more: Any) -> list[Result]:
    return [runs.result("s/a", outcome, kernel, detail="what it says", **more)]


BASE_ONLY = replace(runs.series(), name="base", title="", thread="", patches=())
LONG = replace(runs.series(), name="a-series-with-a-name " * 6, title="\u4e2d\u6587 title " * 12)
FLAKY = Settled(
    test="s/a",
    step="tip",
    verdict=Verdict.FLAKY,
    probability=0.02,
    base=Tally(failed=3, runs=10),
    patched=Tally(failed=2, runs=9),
)

KINDS: dict[str, Callable[[Path], Recorded]] = {
    "full": lambda path: runs.write(path, runs.every_kind(), stray=[runs.OOPS]),
    "each patch": each_patch,
    "mended later": lambda path: runs.write(
        path,
        [
            runs.result("s/a", FAIL if label == "0001" else PASS, label, detail="broken")
            for label in ("base", "0001", "tip")
        ],
        steps=("base", "0001", "tip"),
    ),
    "good": lambda path: runs.write(path, runs.pair("s/a", PASS, PASS), exit_code=0),
    "only tip": lambda path: runs.write(path, only(FAIL), steps=("tip",)),
    "only base": lambda path: runs.write(
        path, only(FAIL, "base"), stack=BASE_ONLY, steps=("base",)
    ),
    "old": lambda path: runs.write(path, runs.pair("s/a", FAIL, FAIL)),
    "flaky": lambda path: runs.write(path, runs.pair("s/a", PASS, FAIL), settled=[FLAKY]),
    "base passes": lambda path: runs.write(
        path, [*only(Outcome.XPASS, "base"), *only(PASS)], exit_code=1
    ),
    "no disk": lambda path: runs.write(path, runs.pair("s/a", SKIP, SKIP), exit_code=3),
    "not asked": lambda path: runs.write(path, runs.pair("s/a", SKIP, FAIL)),
    "QEMU died": lambda path: runs.write(path, runs.pair("s/a", PASS, ERROR), exit_code=20),
    "killed": lambda path: runs.write(path, only(PASS), exit_code=None),
    "Ctrl-C": lambda path: runs.write(path, only(PASS), exit_code=130, error="interrupted"),
    "nothing ran": lambda path: runs.write(path, exit_code=3),
    "no apply": lambda path: runs.write(path, exit_code=10, error="0001-first.patch: no \x01"),
    "no build": lambda path: runs.write(
        path, only(PASS, "base"), exit_code=12, error="fs/aio.c:1: error"
    ),
    "no build of the base": lambda path: runs.write(path, exit_code=12, error="ld: not found"),
    "no boot": lambda path: runs.write(path, only(PASS, "base"), exit_code=13, error="no init"),
    "fragments clash": lambda path: runs.write(path, exit_code=11, error="A is y, A is n"),
    "no room": lambda path: runs.write(path, exit_code=20, error="the disk is full"),
    "import": lambda path: runs.write(path, only(PASS), imported=True),
    "long names": lambda path: runs.write(
        path,
        [runs.result("s/" + "very-" * 30, FAIL, detail="\t\x1b[31m\u202e\u4e2d" * 50, output="x")],
        stack=LONG,
    ),
    "pytest": lambda path: runs.write(
        path, [runs.result("t/test_a.py::test_b[x y]", FAIL)], argv=("pytest", "-q", "t")
    ),
}

ENDS = {
    "full": State.NEW,
    "each patch": State.NEW,
    "mended later": State.NEW,
    "good": State.GOOD,
    "only tip": State.FAILED,
    "only base": State.FAILED,
    "old": State.GOOD,
    "flaky": State.GOOD,
    "base passes": State.UNCLEAR,
    "no disk": State.UNCLEAR,
    "not asked": State.UNCLEAR,
    "QEMU died": State.UNCLEAR,
    "killed": State.CUT,
    "Ctrl-C": State.CUT,
    "nothing ran": State.UNCLEAR,
    "no apply": State.BROKEN,
    "no build": State.BROKEN,
    "no build of the base": State.HOST,
    "no boot": State.BROKEN,
    "fragments clash": State.HOST,
    "no room": State.HOST,
}


@pytest.mark.parametrize("kind", ENDS)
def test_every_format_says_the_same_of_a_run(kind: str, tmp_path: Path) -> None:
    one = KINDS[kind](tmp_path)
    state = outline.of(one).state
    assert state is ENDS[kind]
    blamed = state in (State.NEW, State.FAILED, State.BROKEN)
    told = outline.of(one)
    (check,) = json.loads(made("b4", one))
    known = bool(told.before or told.flaky)
    assert check["status"] == ("fail" if blamed else "pass" if kind == "good" else "warn"), check
    assert (check["status"] == "pass") == (state is State.GOOD and not known)
    sign = made("markdown", one).split()[1]
    assert sign == ("❌" if blamed else "✅" if state is State.GOOD else "⚠️")
    junit = ET.fromstring(made("junit", one))
    green = junit.get("failures") == junit.get("errors") == "0"
    assert green == (kind == "good")
    if kind != "only base":
        text = " ".join(made("mail", one).partition("\n\n")[2].split())
        assert ("no failure that it is to blame for" in text) == (state is State.GOOD)
        assert ("of its own" in text) == (state is State.NEW)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_tells_every_kind_of_run(name: str, kind: str, tmp_path: Path) -> None:
    one = KINDS[kind](tmp_path)
    if (name, kind) == ("mail", "only base"):
        with pytest.raises(UsageError, match="a run with a series"):
            made(name, one)
        return
    text = made(name, one)
    assert text.endswith("\n")
    if name == "junit":
        JUNIT.validate(ET.ElementTree(ET.fromstring(text)))
    elif name == "kcidb":
        LATEST.validate(json.loads(text))
    elif name == "b4":
        assert {one["status"] for one in json.loads(text)} <= {"pass", "warn", "fail"}
    elif name == "mail":
        head, _, body = text.partition("\n\n")
        talk = body.partition("  harness ")[0].partition("  pytest ")[0]
        assert max(map(width, talk.splitlines())) <= 72
        assert not set(body) & set("\x00\x1b\t\u202e")
        assert email.message_from_string(text, policy=email.policy.default)["Subject"]


def test_junit_is_what_junitparser_reads(full: Recorded, tmp_path: Path) -> None:
    again = replace(full, run=replace(full.run, base="6.1"))
    path = tmp_path / "junit.xml"
    path.write_text(made("junit", full, again))
    found = junitparser.JUnitXml.fromfile(str(path))
    assert (found.tests, found.failures, found.errors, found.skipped) == (20, 10, 2, 2)
    JUNIT.validate(str(path))
    cases = {case.name: case for suite in found for case in suite}
    crash = cases["crash"].result[0]
    assert (crash.type, crash.message) == ("crash", "[new] null-deref: BUG")
    assert "aio_complete_rw+0x10  fs/aio.c:1480  <- 0002-second.patch" in crash.text
    assert "\x00" not in crash.text and "<b>]]>" in crash.text
    assert isinstance(cases["error"].result[0], junitparser.Error)
    assert cases["old"].result[0].message == "[pre-existing] as ever"
    assert cases["good"].time == 0.25 and not cases["good"].result


def test_the_schema_refuses_what_readers_would_not_count(full: Recorded) -> None:
    text = made("junit", full)
    for wrong in (
        text.replace('name="crash"', 'name="new"'),  # two of one name are one test for GitLab
        text.replace('failures="5"', 'failures="some"', 1),
        text.replace("<failure ", "<failed ").replace("</failure>", "</failed>"),
    ):
        assert wrong != text
        assert not JUNIT.is_valid(ET.ElementTree(ET.fromstring(wrong)))


def test_a_patch_that_does_not_apply_is_a_failure_and_a_full_disk_is_none(tmp_path: Path) -> None:
    for kind, element in (("no apply", "failure"), ("no build", "failure"), ("no room", "error")):
        top = ET.fromstring(made("junit", KINDS[kind](tmp_path / kind)))
        assert [one.tag for one in top.iterfind(".//testcase[@name='run']/*")] == [element]


def test_the_patchset_hash_is_that_of_the_shell_command(full: Recorded) -> None:
    document = json.loads(made("kcidb", full, origin="my_ci"))
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in full.patches]
    whole = hashlib.sha256("".join(f"{one}\n" for one in hashes).encode()).hexdigest()
    assert len(hashes) == 2
    assert [one["patchset_hash"] for one in document["checkouts"]] == ["", whole]
    assert {one["git_commit_hash"] for one in document["checkouts"]} == {runs.BASE_COMMIT}
    assert document["checkouts"][1]["message_id"] == "20260101.cover@example.org"
    assert {one["id"].partition(":")[0] for one in document["tests"]} == {"my_ci"}


def test_kcidb_links_tests_to_builds_to_checkouts(tmp_path: Path) -> None:
    document = json.loads(made("kcidb", each_patch(tmp_path)))
    checkouts = {one["id"] for one in document["checkouts"]}
    builds = {one["id"]: one for one in document["builds"]}
    assert len(checkouts) == 4 and len(builds) == 4
    assert {one["checkout_id"] for one in builds.values()} == checkouts
    assert {one["build_id"] for one in document["tests"]} == set(builds)
    assert {one["compiler"] for one in builds.values()} == {"gcc (Debian) 12.2.0"}


def test_kcidb_has_the_status_and_the_figures(full: Recorded) -> None:
    document = json.loads(made("kcidb", full))
    tip = document["builds"][1]["id"]
    status = {one["path"]: one["status"] for one in document["tests"] if one["build_id"] == tip}
    assert status["s.good"] == "PASS" and status["s.crash"] == "FAIL"
    assert status["s.error"] == "MISS" and status["s.skip"] == "SKIP"
    figures = [one["number"] for one in document["tests"] if one["path"] == "perf.read.MBps"]
    assert len(figures) == 10 and figures[0] == {"value": 41.0, "unit": "MB/s"}


def test_what_only_we_have_is_no_commit_for_kcidb(tmp_path: Path) -> None:
    document = json.loads(made("kcidb", KINDS["import"](tmp_path)))
    assert "git_commit_hash" not in document["checkouts"][0]


def test_a_failed_build_and_a_patch_that_does_not_apply_are_told(tmp_path: Path) -> None:
    document = json.loads(made("kcidb", KINDS["no build"](tmp_path / "build")))
    assert [one["status"] for one in document["builds"]] == ["PASS", "FAIL"]
    document = json.loads(made("kcidb", KINDS["no apply"](tmp_path / "apply")))
    assert [one["valid"] for one in document["checkouts"]] == [True, False]


def test_an_origin_that_kcidb_refuses_is_an_error(full: Recorded) -> None:
    with pytest.raises(UsageError, match="--origin My-CI"):
        made("kcidb", full, origin="My-CI")


def b4_check(tmp_path: Path, mail: bytes, *more: str) -> list[dict[str, str]]:
    """What b4 takes from our command for a mail, by b4's own runner."""
    import b4 as program
    from b4.review import checks

    command = tmp_path / "check"
    words = " ".join(("report", "--format", "b4", "--patch", "-", *more))
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -m harness {words}\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    message = email.message_from_bytes(mail, policy=program.emlpolicy)
    done = checks.run_perpatch_checks([("id", message)], [str(command)], str(tmp_path))
    return list(done["id"])


def test_b4_takes_what_is_said_of_each_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    each_patch(tmp_path / "state/harness/runs")
    mails = [patch.data for patch in runs.series(3).patches]
    found = [b4_check(tmp_path, mail) for mail in mails]
    assert [(one["tool"], one["status"]) for (one,) in found] == [
        ("harness 6.12 base + debug", "pass"),
        ("harness 6.12 base + debug", "fail"),
        ("harness 6.12 base + debug", "pass"),
    ]
    assert found[1][0]["summary"] == "breaks s/a"
    assert "harness run --series twice.mbox --base --test s/a" in found[1][0]["details"]


def test_b4_takes_what_is_said_of_the_cover_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    runs.write(tmp_path / "state/harness/runs", runs.every_kind())
    cover = b"Subject: [PATCH v3 0/2] f: change it twice\nFrom: A <a@example.org>\n\nHello.\n"
    (one,) = b4_check(tmp_path, cover)
    assert (one["status"], one["summary"][:15]) == ("fail", "3 new failures;")
    (one,) = b4_check(tmp_path, cover.replace(b"twice", b"thrice"))
    assert (one["status"], one["summary"]) == ("warn", "no run has this patch: f: change it thrice")


def test_a_patch_is_found_by_its_diff_however_it_was_mailed(tmp_path: Path) -> None:
    one = runs.write(tmp_path, [runs.result("s/a", PASS)])
    mail = email.message_from_bytes(runs.patch(1, 2).data, policy=email.policy.SMTP)
    body = bytes(mail.get_payload(decode=True) or b"")
    other = email.message.EmailMessage(policy=email.policy.SMTP)
    other["Subject"] = "[PATCH v7 1/2] f: another title"
    other.set_content(body.decode(), cte="quoted-printable")
    (told,) = json.loads(made("b4", one, patch=other.as_bytes()))
    assert told["status"] == "pass" and "with the whole series" in told["summary"]
    changed = other.as_bytes().replace(b"+first", b"+fist")
    assert json.loads(made("b4", one, patch=changed))[0]["status"] == "warn"


def test_a_reply_answers_the_mail_and_says_what_is_new(full: Recorded) -> None:
    message = email.message_from_string(made("mail", full), policy=email.policy.default)
    assert message["Subject"] == "Re: [PATCH 0/2] f: change it twice"
    assert message["In-Reply-To"] == "<20260101.cover@example.org>"
    body = message.get_content()
    assert "4 failures of its own" in " ".join(body.split())
    new, old = body.index("New with the series"), body.index("Failing without the series, too")
    assert new < body.index("s/crash: pass -> crash") < old < body.index("s/old: fail -> fail")
    assert "commit cccccccccccc" in body
    assert "read MBps" in body and "better" in body


def test_a_reply_has_a_line_for_each_patch(tmp_path: Path) -> None:
    lines = made("mail", each_patch(tmp_path)).splitlines()
    assert [line.split() for line in lines if line.startswith("000")] == [
        ["0001-first", "1", "0"],
        ["0002-second", "0", "1", "1"],
        ["0003-third", "0", "1"],
    ]


def test_the_command_of_a_reply_can_be_pasted(tmp_path: Path) -> None:
    results = [runs.result(f"suite/a-rather-long-name-{n}", FAIL) for n in range(5)]
    text = made("mail", runs.write(tmp_path, results))
    command = text[text.index("  harness run") : text.index("\n\n-- ")]
    words = command.replace("\\\n", " ").split()
    assert words[:5] == ["harness", "run", "--series", "twice.mbox", "--base"]
    assert words.count("--test") == 5 and "--json" not in words


def test_markdown_stays_a_table_whatever_tests_say(full: Recorded) -> None:
    text = made("markdown", full)
    assert text.startswith("## ❌ twice on 6.12\n")
    rows = [line for line in text.splitlines() if line.startswith("| s/")]
    assert all(line.count(" | ") == 3 for line in rows if "first bad" not in text)
    talk = "".join(text.split("```")[::2])
    assert "\\<img" in talk and "<img" not in talk.replace("\\<img", "")
    assert text.count("<details>") == text.count("</details>") == 4


def test_markdown_is_cut_off_where_github_would_refuse_it(tmp_path: Path) -> None:
    results = [runs.result(f"s/{n}", FAIL, output="```\n" + "x" * 3000) for n in range(300)]
    text = made("markdown", runs.write(tmp_path, results))
    assert len(text.encode()) < 1 << 20
    assert text.count("<details>") == text.count("</details>")
    assert text.endswith("it is too long.\n")


def test_a_report_is_written_whole_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    one = runs.write(tmp_path / "state/harness/runs", runs.every_kind())
    out = tmp_path / "deep/report.xml"
    argv = ["report", one.directory.name, "--format", "junit", "-o", str(out)]
    assert main(argv) == ExitCode.OK
    assert JUNIT.is_valid(str(out))
    assert capsys.readouterr().out == ""
    assert main(["report", "nonsense"]) == ExitCode.USAGE
    assert main(["report", "--patch", str(tmp_path / "none")]) == ExitCode.USAGE


def test_the_runs_with_a_patch_are_the_newest_of_each_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    parent = tmp_path / "state/harness/runs"
    older = runs.write(parent, [runs.result("s/a", PASS)])
    older.directory.rename(parent / "20200101T000000Z-older-0000")
    newer = runs.write(parent, [runs.result("s/a", PASS)])
    other = runs.write(parent, [runs.result("s/a", PASS)], base="6.1")
    runs.write(parent, [runs.result("s/a", PASS)], stack=replace(runs.series(), patches=()))
    KINDS["killed"](parent)
    KINDS["no room"](parent)
    found = b4.directories_with(runs.patch(1, 2).data)
    assert set(found) == {newer.directory, other.directory}


def test_reports_read_their_patch_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    runs.write(tmp_path / "state/harness/runs", [runs.result("s/a", PASS)])
    stream = io.TextIOWrapper(io.BytesIO(runs.patch(2, 2).data))
    monkeypatch.setattr("sys.stdin", stream)
    assert main(["report", "--format", "b4", "--patch", "-"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)[0]["status"] == "pass"


def test_the_plan_of_a_killed_run_may_be_unknown(tmp_path: Path) -> None:
    one = runs.write(tmp_path, only(PASS), exit_code=None)
    journal = one.directory / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    first = json.loads(lines[0])
    first["cell"]["tree"] = None
    journal.write_text(json.dumps(first) + "\n")
    early = load(one.directory)
    for name in FORMATS:
        assert made(name, early).endswith("\n")
    LATEST.validate(json.loads(made("kcidb", early)))


def test_without_its_patches_a_series_is_not_taken_for_the_base(tmp_path: Path) -> None:
    one = runs.write(tmp_path, [*only(PASS, "base"), *only(PASS)])
    shutil.rmtree(one.directory / "patches")
    whole = json.loads(made("kcidb", load(one.directory)))
    assert [one["patchset_hash"][:1] for one in whole["checkouts"]] != ["", ""]
    journal = one.directory / "journal.jsonl"
    journal.write_text(re.sub(r'"sha256": "[0-9a-f]{24}', '"sha256": "', journal.read_text()))
    document = json.loads(made("kcidb", load(one.directory)))
    LATEST.validate(document)
    assert [one.get("patchset_hash") for one in document["checkouts"]] == ["", None]
    assert len({one["id"] for one in document["checkouts"]}) == 2


def test_a_patch_that_does_not_build_in_the_middle_is_told(tmp_path: Path) -> None:
    results = [
        *only(PASS, "base"),
        runs.result("build", FAIL, "0001", detail="fs/aio.c: error"),
        *only(PASS),
    ]
    one = runs.write(tmp_path, results, steps=("base", "0001", "tip"), unbuilt=("0001",))
    document = json.loads(made("kcidb", one))
    LATEST.validate(document)
    assert [b["status"] for b in document["builds"]] == ["PASS", "FAIL", "PASS"]
    assert document["builds"][1]["comment"] == "fs/aio.c: error"


def test_two_runs_of_one_series_have_tests_of_their_own(tmp_path: Path) -> None:
    first, second = (runs.write(tmp_path, only(PASS)) for _ in range(2))
    other = runs.write(tmp_path, only(PASS), kconfigs=())
    text = made("junit", first, second, other)
    JUNIT.validate(ET.ElementTree(ET.fromstring(text)))
    names = {case.get("classname") for case in ET.fromstring(text).iter("testcase")}
    assert len(names) == 3


def test_what_broke_in_the_middle_is_told_though_it_was_mended(tmp_path: Path) -> None:
    one = KINDS["mended later"](tmp_path)
    (case,) = ET.fromstring(made("junit", one)).iterfind(".//testcase[@name='a']/failure")
    assert case.get("type") == "fail" and "broken (first bad: 0001-first)" in case.get(
        "message", ""
    )
    assert "s/a: pass -> fail" in made("mail", one)
    assert "| s/a | pass | fail | 0001-first | broken |" in made("markdown", one)


def test_patches_are_told_apart_by_their_place(tmp_path: Path) -> None:
    """Names of a quilt series have no numbers, and no .patch."""
    stack = runs.series(2)
    quilt = [replace(p, name=f"fix-{n}") for n, p in enumerate(stack.patches)]
    results = [
        runs.result("s/a", PASS if label == "base" else FAIL, label)
        for label in ("base", "0001", "tip")
    ]
    one = runs.write(
        tmp_path, results, stack=replace(stack, patches=tuple(quilt)), steps=("base", "0001", "tip")
    )
    told = [json.loads(made("b4", one, patch=p.data))[0] for p in stack.patches]
    assert [(check["status"], check["summary"]) for check in told] == [
        ("fail", "breaks s/a"),
        ("pass", "1 tests, none of which it breaks"),
    ]
    assert len(one.patches) == 2


def test_b4_takes_the_mail_that_it_is_before_one_that_is_alike(tmp_path: Path) -> None:
    first, second = runs.series(2).patches
    same = replace(second, data=second.data.replace(b"+second", b"+first"))
    results = [
        runs.result("s/a", FAIL if label == "tip" else PASS, label)
        for label in ("base", "0001", "tip")
    ]
    stack = replace(runs.series(2), patches=(first, same))
    one = runs.write(tmp_path, results, stack=stack, steps=("base", "0001", "tip"))
    assert json.loads(made("b4", one, patch=same.data))[0]["summary"] == "breaks s/a"


def test_a_run_of_some_tests_does_not_hide_one_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    parent = tmp_path / "state/harness/runs"
    whole = runs.write(parent, runs.every_kind())
    whole.directory.rename(parent / "20200101T000000Z-whole-0000")
    part = runs.write(parent, only(PASS), tests=["s/a"])
    mail = runs.patch(1, 2).data
    assert b4.directories_with(mail) == [parent / "20200101T000000Z-whole-0000"]
    shutil.rmtree(parent / "20200101T000000Z-whole-0000")
    assert b4.directories_with(mail) == [part.directory]
    (check,) = json.loads(made("b4", part, patch=mail))
    assert "(only s/a)" in check["summary"]


@pytest.mark.parametrize("stray", [True, False])
def test_what_the_kernel_reports_outside_of_tests_is_no_pass(tmp_path: Path, stray: bool) -> None:
    results = [r for label in ("base", "0001", "tip") for r in only(PASS, label)]
    steps = ("base", "0001", "tip")
    splats = [runs.OOPS] if stray else []
    one = runs.write(tmp_path, results, steps=steps, stray=splats, exit_code=int(stray))
    for mail in runs.series(2).patches:
        (check,) = json.loads(made("b4", one, patch=mail.data))
        assert check["status"] == ("warn" if stray else "pass")


def test_a_run_of_pytest_is_run_again_by_pytest(tmp_path: Path) -> None:
    one = KINDS["pytest"](tmp_path)
    assert "\n  pytest 't/test_a.py::test_b[x y]'\n" in made("mail", one)
    assert "harness pytest" not in made("html", one)


def test_markdown_counts_bytes_and_escapes_what_is_html(tmp_path: Path) -> None:
    results = [runs.result(f"s/<b>{n}_x", FAIL, output="\ufffd" * 3000) for n in range(300)]
    text = make("markdown", [runs.write(tmp_path, results)], Options())
    assert 256 << 10 < len(text) < 1 << 20
    assert "<summary>s/&lt;b&gt;0_x</summary>" in text.decode()


def test_medians_are_medians(tmp_path: Path) -> None:
    figures = [
        runs.result("p/a", PASS, kernel, round=n, metrics=(Metric(name="m", value=value),))
        for kernel in ("base", "tip")
        for n, value in enumerate((1.0, 3.0, 4.0, 100.0), 1)
    ]
    one = runs.write(tmp_path, figures)
    assert "| p/a | m | 3.5 | 3.5 |" in made("markdown", one)
    assert "3.5 -> 3.5" in made("text", one)


def test_figures_of_nothing_have_a_p_in_every_report(tmp_path: Path) -> None:
    figures = [
        runs.result("p/a", PASS, kernel, round=n, metrics=(Metric(name="m", value=value),))
        for kernel, value in (("base", 0.0), ("tip", 5.0))
        for n in range(1, 7)
    ]
    one = runs.write(tmp_path, figures)
    for name in ("text", "markdown", "mail"):
        assert "p = 0.0013 changed" in made(name, one), name


def test_a_report_is_readable_for_others_and_leaves_devices_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    runs.write(tmp_path / "state/harness/runs", only(PASS))
    out, link = tmp_path / "report.md", tmp_path / "link"
    link.symlink_to(out)
    argv = ["report", "--format", "markdown", "-o"]
    assert main([*argv, str(link)]) == ExitCode.OK
    assert link.is_symlink() and out.read_text().startswith("## ")
    assert main([*argv, str(out)]) == ExitCode.OK
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~mask
    assert main([*argv, str(tmp_path)]) == ExitCode.USAGE
    assert "Is a directory" in capsys.readouterr().err
    strange = tmp_path / "strange.mail"
    strange.write_bytes(b"Subject: nobody knows it\n\nHello\n")
    assert main(["report", "--format", "mail", "--patch", str(strange)]) == ExitCode.USAGE
    assert "no run has this patch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("thread", "found"),
    [
        ("https://lore.kernel.org/r/a.b%2Bc@x.org/", "a.b+c@x.org"),
        ("https://lore.kernel.org/linux-aio/a@x.org/T/#u", "a@x.org"),
        ("Someone, 5 March 2003, in a thread", ""),
    ],
)
def test_the_thread_of_an_archive_has_the_message_id(thread: str, found: str) -> None:
    assert posted.cover_id({"stack": {"thread": thread}}) == found
