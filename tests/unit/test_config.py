# SPDX-License-Identifier: GPL-2.0-only
"""Configuration files, environment and flags, and who wins."""

import json
from pathlib import Path

import pytest

from harness import cli, config, tree
from harness.errors import ExitCode, UsageError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "checkout/deep"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "etc"))
    (tmp_path / "etc/harness").mkdir(parents=True)
    return here.parent


def user(text: str) -> None:
    config.user_file().write_text(text)


def test_nothing_is_set_by_default(checkout: Path) -> None:
    assert config.load()["memory"] == config.Value(value=512, source="default")
    assert "accel" not in config.load()


def test_the_environment_wins_over_the_checkout_over_the_user(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user("memory: 600\ncpus: 2\nccc: 1\n".replace("ccc: 1\n", "cc: gcc-12\n"))
    (checkout / "harness.yaml").write_text("# ours\nmemory: 700\ncpus: 4\n")
    monkeypatch.setenv("HARNESS_CPUS", "8")
    values = config.load()
    assert values["cc"] == config.Value(value="gcc-12", source=f"{config.user_file()}:3")
    assert values["memory"] == config.Value(value=700, source=f"{checkout}/harness.yaml:2")
    assert values["cpus"] == config.Value(value=8, source="HARNESS_CPUS")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("memroy: 1\n", "harness.yaml:1: unknown key memroy"),
        ("\ncpus: none\n", "harness.yaml:2: cpus: expected a number"),
        ("tree: 6.12\n", "harness.yaml:1: tree: expected a text (a version number wants quotes)"),
        ("accel: xen\n", "expected one of kvm, tcg"),
        ("cache-size: big\n", "expected a size such as 10G"),
        ("- a\n", "expected `key: value` lines"),
        ("a: [\n", "not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(checkout: Path, text: str, said: str) -> None:
    (checkout / "harness.yaml").write_text(text)
    with pytest.raises(UsageError, match=r".") as caught:
        config.load()
    assert said in caught.value.message


def test_a_bad_variable_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_JOBS", "many")
    with pytest.raises(UsageError, match="HARNESS_JOBS=many: expected a number"):
        config.load()


def test_trees_count_from_their_file_and_add_up(checkout: Path) -> None:
    user("trees: {mine: /linux, both: /a}\n")
    (checkout / "harness.yaml").write_text("trees:\n  both: ../b\n  far: https://x/y\n")
    assert config.trees() == {
        "mine": "/linux",
        "both": f"{checkout}/../b",
        "far": "https://x/y",
    }


def test_named_trees_of_the_files_are_known(checkout: Path) -> None:
    user("trees: {mine: /linux}\n")
    assert tree.added()["mine"] == "/linux"


def test_config_show_says_where_each_value_is_from(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "harness.yaml").write_text("cpus: 2\n")
    assert cli.main(["config", "show", "--json"]) == ExitCode.OK
    values = json.loads(capsys.readouterr().out)["values"]
    assert values["cpus"] == {"value": 2, "source": f"{checkout}/harness.yaml:1"}
    assert cli.main(["config", "show"]) == ExitCode.OK
    assert f"2                        {checkout}/harness.yaml:1" in capsys.readouterr().out


def test_a_flag_wins_over_all(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_MEMORY", "700")
    made = cli.build().parse_args(["run", "--cpus", "3"])
    cli.parser.settle(made)
    assert (made.cpus, made.memory) == (3, 700)
