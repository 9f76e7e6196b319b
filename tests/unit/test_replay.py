# SPDX-License-Identifier: GPL-2.0-only
"""A guest that was recorded answers again; one that an older version recorded, too."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StageError
from harness.guest.replay import Recorder, Replay
from harness.model import Command, CommandResult, Residue
from tests.unit.test_execution import Answers

LEFT = Residue(files=2, taint=512, jiffies_from=5, jiffies_to=9)
COMMAND = Command(argv=("a",))


class Searched(Answers):
    def find_leaks(self) -> bytes:
        return b"unreferenced object"


def test_what_is_left_and_what_leaks_come_back(tmp_path: Path) -> None:
    file = tmp_path / "guest.jsonl"
    guest = Recorder(Searched(lambda _: CommandResult(status=0, residue=LEFT)), file)
    asked = [guest.run(COMMAND), guest.find_leaks(), guest.read_file("/x")]
    again = Replay(file)
    assert [again.run(COMMAND), again.find_leaks(), again.read_file("/x")] == asked
    assert asked[:2] == [CommandResult(status=0, residue=LEFT), b"unreferenced object"]


def test_a_refusal_comes_back(tmp_path: Path) -> None:
    class Refuses(Answers):
        def find_leaks(self) -> bytes:
            raise StageError("kmemleak: No such file or directory")

    file = tmp_path / "guest.jsonl"
    with pytest.raises(StageError, match="kmemleak: No such file"):
        Recorder(Refuses(lambda _: CommandResult()), file).find_leaks()
    with pytest.raises(StageError, match="kmemleak: No such file"):
        Replay(file).find_leaks()


def test_a_record_without_what_is_left_is_read(tmp_path: Path) -> None:
    file = tmp_path / "guest.jsonl"
    Recorder(Answers(lambda _: CommandResult(status=0, residue=LEFT)), file).run(COMMAND)
    about, line = file.read_text().splitlines()
    told: dict[str, Any] = json.loads(line)
    del told["result"]["residue"]
    file.write_text(f"{about}\n{json.dumps(told)}\n")
    assert Replay(file).run(COMMAND) == CommandResult(status=0)
