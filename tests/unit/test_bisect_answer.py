# SPDX-License-Identifier: GPL-2.0-only
import email
import email.policy
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness import proc, recorded, retention
from harness.bisect import answer, bars, bundle, commits, facts, mail, page, record, text
from harness.bisect.answer import Answer
from harness.cli import main
from harness.errors import EndsError, ExitCode, HostError, UsageError
from harness.model import Candidate, Frame, Question, Space, Splat
from harness.retention import Wish
from harness.terminal import Terminal
from tests.unit.bisections import Kernels, World, begin, go_on, linear

EVIL = '"><script>alert(1)</script>'
SPLAT = Splat(
    kind="kasan",
    title="slab-use-after-free in aio_complete",
    function="aio_complete",
    fingerprint=("kasan", "slab-use-after-free in aio_complete", "aio_complete"),
    frames=(Frame(function="aio_complete", offset=8, size=64, file="fs/aio.c", line=1077),),
    text=(f"BUG: KASAN: slab-use-after-free {EVIL}",),
    boot=1,
)


def git(repo: Path, *words: str, date: str = "2024-02-03T04:05:06+01:00") -> str:
    env = {
        "GIT_AUTHOR_NAME": "Ann Author",
        "GIT_AUTHOR_EMAIL": "ann@example.com",
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": "Carl",
        "GIT_COMMITTER_EMAIL": "carl@example.com",
        "GIT_COMMITTER_DATE": "2024-03-01T00:00:00+00:00",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    argv = ["git", "-C", str(repo), *words]
    return proc.check(proc.run(argv, env=env), " ".join(words)).text


def commit(repo: Path, name: str, lines: int, subject: str) -> str:
    (repo / name).write_text("".join(f"{n}\n" for n in range(lines)))
    git(repo, "add", name)
    git(repo, "commit", "-q", "-m", f"{subject}\n\nSigned-off-by: nobody")
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    made = tmp_path / "linux"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    commit(made, "a.c", 3, "root: begin")
    return made


def test_what_is_said_of_a_commit(repo: Path) -> None:
    made = commit(repo, "b.c", 2, 'aio: say "no" to <b>')
    about = commits.about(repo / ".git", made)
    assert (about.commit, about.author) == (made, "Ann Author <ann@example.com>")
    assert about.date == "2024-02-03T04:05:06+01:00"  # the author's, not when it was applied
    assert about.fixes == f'Fixes: {made[:12]} ("aio: say "no" to <b>")'
    assert about.diffstat == ("b.c | 2 ++", "1 file changed, 2 insertions(+)")


def test_of_a_commit_without_parent_it_is_all_of_it(repo: Path) -> None:
    about = commits.about(repo / ".git", git(repo, "rev-parse", "HEAD"))
    assert about.diffstat[0] == "a.c | 3 +++"


def test_of_a_merge_it_is_what_it_brought(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "side")
    commit(repo, "side.c", 1, "side: one")
    commit(repo, "side.c", 4, "side: two")
    git(repo, "checkout", "-q", "main")
    commit(repo, "main.c", 5, "main: go on")
    git(repo, "merge", "-q", "--no-ff", "-m", "Merge side", "side")
    about = commits.about(repo / ".git", git(repo, "rev-parse", "HEAD"))
    assert about.subject == "Merge side"
    assert about.diffstat == ("side.c | 4 ++++", "1 file changed, 4 insertions(+)")


def test_a_commit_of_many_files_is_told_in_a_few_lines(repo: Path) -> None:
    for number in range(60):
        (repo / f"f{number}.c").write_text("x\n")
    git(repo, "add", ".")
    about = commits.about(repo / ".git", commit(repo, "z.c", 1, "tree: all of it"))
    assert len(about.diffstat) < 25
    assert about.diffstat[-1].startswith("61 files changed")


def test_an_empty_commit_has_no_diffstat(repo: Path) -> None:
    git(repo, "commit", "-q", "--allow-empty", "-m", "empty: nothing")
    assert commits.about(repo / ".git", git(repo, "rev-parse", "HEAD")).diffstat == ()


def test_a_commit_that_is_gone_is_an_error(repo: Path) -> None:
    with pytest.raises(HostError):
        commits.about(repo / ".git", "1" * 40)


def history(repo: Path, count: int = 16) -> Question:
    """A question of so many commits on top of the one that is there."""
    good = git(repo, "rev-parse", "HEAD")
    hashes = [commit(repo, "aio.c", n + 1, f"aio: change {n} {EVIL}") for n in range(count)]
    asked = linear(count)
    found = [
        replace(one, name=name, title=f"aio: change {n} {EVIL}")
        for n, (one, name) in enumerate(zip(asked.candidates, hashes, strict=True))
    ]
    end = Candidate(name=good, title="root: begin", value="good")
    return replace(asked, candidates=tuple(found), good=end)


def ended(asked: Question, world: World) -> Answer:
    path = begin(asked)
    go_on(path, Kernels(world))
    return answer.of(record.load(path))


@pytest.fixture
def found(repo: Path) -> Answer:
    """A commit that was found, by its report of the kernel."""
    return ended(history(repo), World(culprit=5, report=SPLAT, mirror=repo / ".git"))


def test_the_answer_has_all_that_a_report_of_a_commit_wants(found: Answer) -> None:
    said = "\n".join(text.lines(found))
    name = found.told.question.candidates[5].name
    assert f'  Fixes: {name[:12]} ("aio: change 5 {EVIL}")\n' in said
    assert "Ann Author <ann@example.com>, 2024-02-03T04:05:06+01:00" in said
    assert "aio.c | 1 +" in said
    assert "aio_complete+0x8  fs/aio.c:1077" in said
    assert found.failing is not None
    assert found.failing.own
    assert f"see:  harness show {found.failing.name}" in said
    told = answer.document(found, 0)
    assert json.loads(json.dumps(told))["fixes"] == f'Fixes: {name[:12]} ("aio: change 5 {EVIL}")'
    assert (told["culprit"], told["subject"]) == (name, f"aio: change 5 {EVIL}")
    assert (told["date"], told["repro"]) == ("2024-02-03T04:05:06+01:00", None)
    assert told["diffstat"] == ["aio.c | 1 +", "1 file changed, 1 insertion(+)"]
    assert told["splat"]["title"] == SPLAT.title


def test_without_its_tree_the_answer_says_so_and_keeps_the_trailer(
    repo: Path, found: Answer
) -> None:
    (repo / ".git").rename(repo / "moved")
    again = answer.of(found.told)
    said = "\n".join(text.lines(again))
    assert "note: its author and date are not known any more: the tree is gone" in said
    assert again.culprit is not None
    assert found.culprit is not None
    assert again.culprit.fixes == found.culprit.fixes
    assert "the tree is gone" in page.page(again)


def test_without_its_runs_the_answer_says_so(found: Answer) -> None:
    for path in recorded.recent():
        (path / "journal.jsonl").unlink()
    again = answer.of(found.told)
    said = "\n".join(text.lines(again))
    assert "the runs are gone, which name the tree" in said
    assert "note: the runs that failed are gone" in said
    assert again.culprit is not None
    assert bundle.make(again, Path(), silent()) == "the runs that failed are gone"


def silent() -> Terminal:
    return Terminal(io.StringIO(), live=False, colour=False, quiet=True)


def test_a_bundle_that_cannot_be_made_is_a_note(found: Answer) -> None:
    # Its run does not tell how the test was run.
    assert "does not tell how its tests were run" in bundle.make(found, Path(), silent())
    assert not (found.told.directory / "repro").exists()


def test_the_page_escapes_what_comes_from_outside(found: Answer) -> None:
    made = page.page(found)
    assert EVIL not in made
    assert "<script" not in made
    assert "default-src &#39;none&#39;" in made
    assert "script-src" not in made
    assert made.count("<svg") == 1
    assert "the culprit" in made


def test_the_page_of_one_that_goes_on_is_loaded_again(repo: Path) -> None:
    path = begin(history(repo))
    with pytest.raises(KeyboardInterrupt):
        go_on(path, Kernels(World(culprit=5, mirror=repo / ".git"), lives=3))
    made = page.Page(path)
    made.write("This bisection goes on.", refresh_s=10)
    said = made.path.read_text()
    assert '<meta http-equiv="refresh" content="10">' in said
    assert "not found yet in" in said
    made.write("")
    assert 'http-equiv="refresh"' not in made.path.read_text()


def test_the_mail_is_one_and_names_nobody_who_was_not_named(found: Answer) -> None:
    raw = mail.report(found)
    made = email.message_from_string(raw, policy=email.policy.default)
    assert made.defects == []
    subject = f"[REGRESSION][BISECTED] aio: change 5 {EVIL}: aio-core/cancel fails"
    assert made["Subject"] == subject
    assert made["To"].addresses == ()
    assert str(made["Cc"]) == "regressions@lists.linux.dev"
    body = made.get_content()
    name = found.told.question.candidates[5].name
    assert f"\n\n#regzbot introduced: {name[:12]}\n\n" in body
    assert all(len(line) <= 72 for line in raw.splitlines())
    assert "kasan: slab-use-after-free in aio_complete" in body


def test_a_subject_that_is_not_ascii_comes_through(repo: Path) -> None:
    asked = history(repo)
    title = "aio: größer \N{SNOWMAN} " + "word " * 30
    changed = [replace(one, title=title) for one in asked.candidates]
    one = ended(replace(asked, candidates=tuple(changed)), World(culprit=5))
    raw = mail.report(one)
    assert raw.partition("\n\n")[0].isascii()
    made = email.message_from_string(raw, policy=email.policy.default)
    assert " ".join(title.split()) in made["Subject"]


def test_a_mail_wants_a_culprit(repo: Path) -> None:
    one = ended(linear(8), World(culprit=3, broken=set(range(7))))
    with pytest.raises(UsageError, match="no culprit that a mail could be about"):
        mail.report(one)


def test_of_commits_that_cannot_be_told_apart_regzbot_gets_the_range(repo: Path) -> None:
    asked = history(repo)
    one = ended(asked, World(culprit=5, broken={4, 5}, mirror=repo / ".git"))
    assert [culprit.number for culprit in one.culprits] == [4, 5, 6]
    ends = asked.candidates[3].name[:12], asked.candidates[6].name[:12]
    assert f"#regzbot introduced: {ends[0]}..{ends[1]}\n" in mail.report(one)
    assert answer.document(one, 0)["fixes"] is None
    said = "\n".join(text.lines(one))
    assert all(f"  Fixes: {culprit.commit[:12]}" in said for culprit in one.culprits)


def test_of_a_kernel_that_is_the_same_program_it_says_whose() -> None:
    one = ended(linear(16), World(culprit=9, programs=dict.fromkeys(range(10, 16), "p")))
    titles = {row.name: row.title for row in one.rows if row.verdict == "same"}
    assert titles
    assert set(titles.values()) == {"the same program as c15"}


def test_an_option_is_told_with_what_changed_with_it() -> None:
    asked = replace(
        linear(4),
        space=Space.OPTIONS,
        candidates=tuple(
            replace(one, name=f"CONFIG_{name}", title="n -> y")
            for one, name in zip(linear(4).candidates, "ABCD", strict=True)
        ),
    )
    one = ended(asked, World(culprit=2))
    for step in one.told.steps:
        directory = Path(step.run_dir) / "kernels/base"
        directory.mkdir(parents=True)
        lines = [f"CONFIG_{name}=y" for name in "ABCD"[: step.number + 1]]
        selected = ["CONFIG_OF_C=y", "CONFIG_NUMBER=3"] if step.number >= 2 else []
        (directory / "config").write_text("\n".join([*lines, *selected, ""]))
    culprit = facts.of(one.told, 2)
    assert (culprit.option, culprit.title) == ("CONFIG_C", "n -> y")
    assert culprit.others == ("CONFIG_OF_C: n -> y", "CONFIG_NUMBER: n -> 3")
    assert (culprit.fixes, culprit.note) == ("", "")
    assert "with it:" in "\n".join(text.lines(answer.of(one.told)))
    assert "#regzbot" not in mail.report(answer.of(one.told))


def test_a_patch_is_told_as_the_runs_keep_it() -> None:
    one = ended(replace(linear(4), space=Space.PATCHES), World(culprit=2))
    place = Path(one.told.steps[0].run_dir) / "patches"
    place.mkdir()
    (place / "series").write_text("c2 -p1\n")
    (place / "c2").write_text(
        "From: Ann Author <ann@example.com>\nDate: Sat, 3 Feb 2024 04:05:06 +0100\n"
        "Subject: [PATCH] change 2\n\nWhy.\n---\n"
        "--- a/fs/aio.c\n+++ b/fs/aio.c\n@@ -1,1 +1,2 @@\n one\n+two\n"
    )
    culprit = facts.of(one.told, 2)
    assert (culprit.patch, culprit.author) == ("c2", "Ann Author <ann@example.com>")
    assert culprit.date == "Sat, 3 Feb 2024 04:05:06 +0100"
    assert culprit.diffstat[0].split() == ["fs/aio.c", "|", "1", "+"]


def test_replay_tells_after_each_step_what_was_known() -> None:
    one = ended(linear(16), World(culprit=5))
    left = [move.progress.left for move in one.moves]
    assert left[0] == 16
    assert left == sorted(left, reverse=True)
    assert [move.settled for move in one.moves] == [False] * (len(left) - 1) + [True]
    wished = [move.next for move in one.moves[:-1]]
    numbers = [step.number for step in one.told.steps[1:]]
    assert [wish.number for wish in wished if wish] == numbers  # what came next was wanted next


def test_replay_exits_as_the_search_did(capsys: pytest.CaptureFixture[str]) -> None:
    name = ended(linear(16), World(culprit=5)).told.name
    assert main(["bisect", "replay", name]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "c5 100.0%; settled" in said
    assert main(["bisect", "report", "--json", name]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["culprit"] == "c5"
    for words in (["replay", "--json"], ["--json", "replay"]):
        assert main(["bisect", *words, name]) == ExitCode.OK
        told = json.loads(capsys.readouterr().out)
    assert told["steps"][-1]["likeliest"] == ["c5"]
    assert told["steps"][0]["next"]["number"] == -1
    name = ended(linear(8), World(culprit=3, broken=set(range(7)))).told.name
    assert main(["bisect", "replay", name]) == ExitCode.FAILED
    path = begin(linear(8))
    assert main(["bisect", "replay", str(path)]) == ExitCode.INTERRUPTED
    with pytest.raises(EndsError):
        go_on(path, Kernels(World(culprit=3, good_fails=True)))
    capsys.readouterr()
    assert main(["bisect", "replay", str(path)]) == ExitCode.USAGE
    assert "the good end, good, fails too" in capsys.readouterr().out


def test_what_was_undone_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    ended(linear(16), World(culprit=5))
    assert main(["bisect", "undo", "3"]) == ExitCode.OK
    assert main(["bisect", "log"]) == ExitCode.OK
    assert "  3 undone" in capsys.readouterr().out
    assert "Step 3 was taken back" in (record.find() / "report.html").read_text()


@pytest.mark.parametrize("height", [10, 24, 200])
def test_the_bars_fit_into_the_terminal(height: int) -> None:
    one = ended(linear(300), World(culprit=123, broken={150, 75}))
    made = list(bars.lines(one.told, bars.Size(width=80, height=height)))
    assert len(made) < height
    assert all(len(line) <= 80 for line in made)
    assert [line for line in made if line.startswith("> c123 ")]
    folded = sum(int(line.split()[1]) for line in made if line.startswith("  ... "))
    own = sum(line[2:3] == "c" for line in made)
    assert folded + own == 300


def test_the_bars_of_one_that_has_only_begun() -> None:
    asked = linear(64)
    made = list(bars.lines(record.load(begin(asked)), bars.Size(height=24)))
    assert made[-1] == "nothing has been run yet"
    assert len(made) < 24


def test_formats_go_where_they_are_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(linear(16), World(culprit=5))
    for kind, words in (("html", "<!doctype html>"), ("mail", "Subject: "), ("text", "c5 change")):
        output = tmp_path / kind
        assert main(["bisect", "report", "--format", kind, "-o", str(output)]) == ExitCode.OK
        assert output.read_text().startswith(words)
    assert main(["bisect", "report"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("c5 change 5\n")
    assert main(["bisect", "visualize"]) == ExitCode.OK
    assert "> c5" in capsys.readouterr().out


def test_old_bisections_go_but_none_that_goes_on() -> None:
    old = [begin(linear(4)), begin(linear(5))]
    with record.BisectRecord(old[0]):
        gone = retention.collect(Wish(older_s=-1.0, keep=0))
        assert [entry.path for entry in gone] == [old[1]]
    assert old[0].exists()
    assert not old[1].exists()
