# SPDX-License-Identifier: GPL-2.0-only
"""Guests of tests that run on the host: who gets which, and what counts against whom."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import hosted
from harness.errors import ApplyError, BootError, CommandError, CrashError, StageError, UsageError
from harness.hosted import Hosted
from harness.lent import lent
from harness.model import Cell, Command, CommandResult, Outcome, Series
from harness.model import Test as PlannedTest
from harness.record import Record
from tests.unit.stories import KERNEL, LATE, RELEASE, Story

Opened = Callable[..., contextlib.AbstractContextManager[tuple[Hosted, Story]]]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """The guests of a story; `boots` and `fails` are the story's, `kind` that of the guests."""

    @contextlib.contextmanager
    def made(kind: str = "vng", **about: Any) -> Iterator[tuple[Hosted, Story]]:
        stories: list[Story] = []

        def story(cell: Cell, root: Path, record: Record, watch: Any) -> Story:
            stories.append(Story(cell=cell, record=record, **about))
            return stories[0]

        monkeypatch.setattr(hosted, "Visit", story)
        cell = Cell(stack=Series(name="s"), tree="6.12", guest_kind=kind)
        watch: Any = None
        with (
            Record(tmp_path / "runs", series="s", base="b", kconfig="k") as record,
            hosted.opened(cell, record, watch, argv=["pytest"], tests=["a", "b"]) as one,
        ):
            yield one, stories[0]
        assert not stories[0].up

    return made


def finished(tmp_path: Path) -> Any:
    return json.loads(next((tmp_path / "runs").glob("*/run.json")).read_text())


def test_tests_share_a_booted_guest(opened: Opened) -> None:
    with opened() as (one, story):
        assert one.kernel is KERNEL
        for name in "ab":
            with lent(one, name) as guest:
                assert guest.run(["uname", "-r"]).text == f"{RELEASE}\n"
                assert guest.release == RELEASE
        assert [number for number, _ in story.ran] == [1, 1]


def test_each_test_has_a_restored_guest(opened: Opened) -> None:
    with opened("snapshot") as (one, story):
        for name in "ab":
            with lent(one, name) as guest:
                guest.run(["true"])
                guest.run(["true"])
            assert not story.up
        assert [number for number, _ in story.ran] == [1, 1, 2, 2]


def test_a_command_is_passed_on(opened: Opened) -> None:
    with opened() as (one, story), lent(one, "a") as guest:
        guest.run(["true", Path("/x")], timeout_s=5, env={"A": "1"}, cwd=Path("/tmp"))
        command = story.ran[0][1]
        assert (command.argv, command.env) == (("true", "/x"), (("A", "1"),))
        assert (command.timeout_s, command.cwd, command.label) == (5, "/tmp", "a")
        assert guest.read_file("/etc/hosts") == b"/etc/hosts"
        with pytest.raises(UsageError, match="a list of words"):
            guest.run("true")


@pytest.mark.parametrize("how", ["crash", "reboot", "hang", "qemu-dies"])
def test_a_lost_guest_is_an_error_and_the_next_test_has_another(opened: Opened, how: str) -> None:
    with opened() as (one, story):
        with lent(one, "a") as guest:
            with pytest.raises(CrashError) as caught:
                guest.run([how])
            assert how in caught.value.message
            assert caught.value.log == one.record.path / "boots/001/console.log"
            assert not story.up, "it is gone at once"
            with pytest.raises(CrashError, match="the guest of this test is gone"):
                guest.run(["true"])
            assert guest.complaints()
        with lent(one, "b") as guest:
            assert guest.run(["true"], check=True).status == 0
            assert guest.boot == 2 and not guest.complaints()


def test_who_is_to_blame_for_a_lost_guest(opened: Opened) -> None:
    blamed = {}
    with opened() as (one, _):
        for how in ("crash", "reboot", "hang", "qemu-dies"):
            with lent(one, how) as guest, pytest.raises(CrashError):
                guest.run([how])
            assert guest.died is not None
            blamed[how] = guest.died.outcome
    crash, late = Outcome.CRASH, Outcome.TIMEOUT
    assert blamed == {"crash": crash, "reboot": crash, "hang": late, "qemu-dies": Outcome.ERROR}


def test_what_an_earlier_test_did_to_the_guest_costs_another_guest_only(opened: Opened) -> None:
    with opened() as (one, story), lent(one, "a") as guest:
        assert guest.run(["lost-before"]).status == 0
        assert [number for number, _ in story.ran] == [1, 2]


def test_an_expected_end_is_a_result(opened: Opened) -> None:
    with opened() as (one, _), lent(one, "a") as guest:
        ended = guest.run(["crash"], expect_splat=["panic: sysrq"])
        assert ended.loss is not None and ended.status is None
        assert guest.run(["true"]).status == 0 and guest.boot == 2
        assert not guest.complaints()


def test_an_end_that_the_test_expects(opened: Opened) -> None:
    with opened() as (one, _):
        with lent(one, "a", ["/sysrq .* crash$/", "never"]) as guest:
            guest.run(["crash"])
            guest.run(["true"])
            assert not guest.complaints()
            assert guest.missing() == "the kernel did not report never"
        with lent(one, "b", ["another thing"]) as guest, pytest.raises(CrashError):
            guest.run(["crash"])


def test_a_splat_is_a_complaint_once(opened: Opened) -> None:
    with opened() as (one, story):
        with lent(one, "a") as guest:
            guest.run(["warn"])
            assert guest.complaints() == "warning: WARNING in aio_poll, in `warn`"
            assert not guest.complaints()
            assert [splat.test for splat in guest.splats] == ["a"]
        with lent(one, "b", ["warning: "]) as guest:
            guest.run(["warn"])
            assert not guest.complaints() and not guest.missing()
            guest.run(["warn"], expect_splat=["in aio_poll"])
            with pytest.raises(CommandError, match="did not report oops, in `true`"):
                guest.run(["true"], expect_splat=["oops"])
        assert story.up == 1


def test_what_is_printed_between_two_commands_is_of_their_test(opened: Opened) -> None:
    with opened() as (one, _):
        with lent(one, "a") as guest:
            guest.run(["true"])
            guest.run(["late"])
            assert guest.complaints() == "hung-task: task cat blocked, between two commands"
        one.seat.leave()
        assert not one.stray


def test_what_is_printed_by_the_first_command_may_be_of_an_earlier_test(
    opened: Opened, tmp_path: Path
) -> None:
    with opened() as (one, _), lent(one, "a") as guest:
        guest.run(["late"])
        assert not guest.complaints()
    assert [splat.title for splat in one.stray] == [LATE.title]
    assert finished(tmp_path)["exit"] == 1


def test_a_result_shows_what_is_out_of_the_ordinary(opened: Opened) -> None:
    with opened() as (one, _), lent(one, "a") as guest:
        assert repr(guest) == "<guest of boot 1>"
        told = repr(guest.run(["false"]))
        assert told == "CommandResult(output=b'what is wrong\\n', status=1)"


def test_check_is_of_the_status(opened: Opened) -> None:
    with opened() as (one, _), lent(one, "a") as guest:
        with pytest.raises(CommandError, match="`false`: exit status 1") as caught:
            guest.run(["false"], check=True)
        assert caught.value.lines == ("what is wrong",)
        with pytest.raises(CommandError, match="killed after 60 s"):
            guest.run(["sleep"], check=True)
        assert guest.run(["sleep"]).timed_out


def test_a_kernel_that_does_not_boot_is_tried_once(opened: Opened, tmp_path: Path) -> None:
    with opened(boots=[BootError("no root")]) as (one, story):
        for name in "ab":
            with pytest.raises(BootError, match="no root"), lent(one, name):
                pass
        assert not story.boots and not story.ran
    assert len(list(one.record.path.glob("boots/*"))) == 1
    assert finished(tmp_path)["unfinished"] == ["a", "b"]


def test_a_stage_that_fails_is_in_the_record(opened: Opened, tmp_path: Path) -> None:
    with (
        pytest.raises(StageError, match="does not apply"),
        opened(fails=ApplyError("does not apply")),
    ):
        pass
    assert (finished(tmp_path)["exit"], finished(tmp_path)["error"]) == (10, "does not apply")


def test_an_interruption_is_in_the_record(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened() as (one, story), lent(one, "a") as guest:
        guest.run(["true"])
        raise KeyboardInterrupt
    assert not story.up and finished(tmp_path)["exit"] == 130


def test_no_guest_comes_after_the_end(opened: Opened) -> None:
    with opened() as (one, _), lent(one, "a") as guest:
        pass
    with pytest.raises(UsageError, match="gone with the last test"):
        guest.run(["true"])


def test_results_are_the_run(opened: Opened, tmp_path: Path) -> None:
    with opened() as (one, _), lent(one, "a") as guest:
        guest.run(["uname", "-r"])
        one.add(guest.result(Outcome.PASS, "", 0.5))
    run = finished(tmp_path)
    assert run["exit"] == 0 and run["unfinished"] == ["b"]
    (result,) = run["results"]
    assert (result["test"], result["outcome"], result["boot"]) == ("a", "pass", 1)
    assert result["output"] == f"$ uname -r\n{RELEASE}\n"


def test_a_command_that_was_not_started_is_no_success(opened: Opened) -> None:
    said = "`busy` was not started: Device or resource busy"
    with opened() as (one, _), lent(one, "a") as guest, pytest.raises(CommandError, match=said):
        guest.run(["busy"])


def test_an_exception_in_the_middle_of_a_command_costs_the_guest(opened: Opened) -> None:
    with opened() as (one, story):
        with lent(one, "a") as guest, pytest.raises(TimeoutError):
            guest.run(["interrupted"])
        with lent(one, "b") as guest:
            assert guest.run(["true"]).status == 0
        assert [number for number, _ in story.ran] == [1, 2]


def test_after_a_loss_nothing_of_the_test_has_another_guest(opened: Opened) -> None:
    with opened() as (one, _), lent(one, "a") as guest:
        with pytest.raises(CrashError):
            guest.run(["crash"])
        for attempt in (lambda: guest.release, lambda: guest.read_file("/x")):
            with pytest.raises(CrashError, match="is gone"):
                attempt()
        assert guest.boot == 1


@pytest.mark.parametrize(
    ("argv", "options", "said"),
    [
        ([], {}, "a list of words"),
        (["true", "a\0b"], {}, "cannot be passed on"),
        (["true", b"\xff"], {}, "cannot be passed on"),
        (["true"], {"cwd": "/tmp\0/x"}, "cannot be passed on"),
        (["true"], {"env": {"A": "\0"}}, "cannot be passed on"),
        (["true"], {"timeout_s": -1}, "timeout_s=-1"),
        (["true"], {"timeout_s": None}, "timeout_s=None"),
        (["true"], {"timeout_s": float("nan")}, "timeout_s=nan"),
    ],
)
def test_what_is_no_command_is_named(
    opened: Opened, argv: list[Any], options: dict[str, Any], said: str
) -> None:
    with opened() as (one, story), lent(one, "a") as guest:
        with pytest.raises(UsageError, match=said):
            guest.run(argv, **options)
        assert not story.ran
        guest.run([b"true"])
        assert story.ran[0][1].argv == ("true",)


def test_an_expectation_that_is_no_expression_is_named(opened: Opened) -> None:
    wrong = pytest.raises(UsageError, match=r"expect_splat /\(/")
    with opened() as (one, _), wrong, lent(one, "a", ["/(/"]):
        raise AssertionError


def test_two_threads_wait_for_each_other(opened: Opened) -> None:
    inside: list[str] = []
    with opened() as (one, _), lent(one, "a") as guest:
        taken = one.seat.take(PlannedTest(name="a", argv=()))[0]
        run = taken.run

        def slow(command: Command, *more: Any) -> CommandResult:
            inside.append("in")
            time.sleep(0.05)  # for the others to come in
            inside.append("out")
            return run(command, *more)

        taken.run = slow  # type: ignore[method-assign, assignment]
        threads = [threading.Thread(target=guest.run, args=(["true"],)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert inside == ["in", "out"] * 3
