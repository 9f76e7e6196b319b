# SPDX-License-Identifier: GPL-2.0-only
"""Fragments are read strictly, merged without surprises, and what got lost is explained."""

from pathlib import Path

import pytest

from harness.errors import ExitCode, HarnessError, KconfigError, UsageError
from harness.kconfig import dropped, help_line, load_fragment, merge, parse, parse_fragment
from harness.model import Fragment

DATA = Path(__file__).parents[1] / "data" / "kconfig"
TREE = DATA / "tree"
BARE = (DATA / "bare.config").read_text()
NET = (DATA / "net.config").read_text()


def fragment(*lines: str, name: str = "guest-tests/aio-poll/config") -> Fragment:
    return Fragment(name=name, text="\n".join(lines) + "\n")


def lost(final: str, *lines: str, tree: Path | None = TREE) -> HarnessError:
    with pytest.raises(KconfigError) as caught:
        dropped([fragment(*lines)], final, tree)
    return caught.value


def test_every_kind_of_value_is_read() -> None:
    text = (
        "# Help: a comment\n#CONFIG_OLD=y\n\nCONFIG_A=y\nCONFIG_B=m  \nCONFIG_C=n\r\n"
        '# CONFIG_D is not set\nCONFIG_E="a \\" = b"\nCONFIG_F=0x10\nCONFIG_G=-3\nCONFIG_H=""\n'
    )
    assert parse(text) == {
        "A": "y",
        "B": "m",
        "C": "n",
        "D": "n",
        "E": '"a \\" = b"',
        "F": "0x10",
        "G": "-3",
        "H": '""',
    }


def test_a_config_that_kconfig_wrote_is_read_whole() -> None:
    values = parse(NET)
    assert (values["TUN"], values["NR_CPUS"], values["EXPERT"]) == ("m", "8", "n")


@pytest.mark.parametrize(
    "line",
    [
        "CONFIG_A",
        "CONFIG_A=",
        "CONFIG_A = y",
        "CONFIG_A=yes",
        "CONFIG_A=y # because",
        " CONFIG_A=y",
        "A=y",
        'CONFIG_A="open',
        "#CONFIG_A is not set",
        "# CONFIG_A is not set, yet",
    ],
)
def test_a_line_that_kconfig_would_pass_over_is_an_error(line: str) -> None:
    with pytest.raises(KconfigError, match=r"^kconfigs/x.config, line 2: not a kconfig line: "):
        parse_fragment(fragment("# first", line, name="kconfigs/x.config"))


def test_a_fragment_that_contradicts_itself_is_an_error_with_both_lines() -> None:
    both = fragment("CONFIG_AIO=y", "CONFIG_AIO=y", "", "# CONFIG_AIO is not set", name="x")
    with pytest.raises(KconfigError, match=r"CONFIG_AIO: x says y in line 1 and n in line 4"):
        parse_fragment(both)


def test_merging_keeps_the_order_and_drops_comments_and_repeats() -> None:
    base = fragment("# Help: base", "CONFIG_NET=y", "# CONFIG_AIO is not set", name="base")
    more = fragment('CONFIG_NAME="x"', "# why", "CONFIG_NET=y", "# CONFIG_EXPERT is not set")
    assert merge([base, more]) == (
        'CONFIG_NET=y\n# CONFIG_AIO is not set\nCONFIG_NAME="x"\n# CONFIG_EXPERT is not set\n'
    )
    assert merge([]) == ""


def test_what_the_base_says_is_a_default_in_its_own_place() -> None:
    base = fragment("# CONFIG_AIO is not set", "CONFIG_NR_CPUS=1", "CONFIG_NET=y", name="base")
    more = fragment("CONFIG_NR_CPUS=4", "CONFIG_AIO=y")
    assert merge([base, more]) == "CONFIG_AIO=y\nCONFIG_NR_CPUS=4\nCONFIG_NET=y\n"


def test_a_base_that_must_not_be_overridden() -> None:
    base = fragment("# CONFIG_AIO is not set", name="kconfigs/base.config")
    with pytest.raises(KconfigError) as caught:
        merge([base, fragment("CONFIG_AIO=y")], base_overridable=False)
    assert caught.value.message == (
        "CONFIG_AIO: kconfigs/base.config says n, guest-tests/aio-poll/config says y"
    )
    assert caught.value.exit_code is ExitCode.KCONFIG


def test_later_fragments_that_disagree_are_an_error() -> None:
    base, debug = fragment(name="base"), fragment("CONFIG_A=y", "CONFIG_B=1", name="debug")
    with pytest.raises(KconfigError) as caught:
        merge([base, debug, fragment("CONFIG_B=2", "CONFIG_A=m", name="lean")])
    assert caught.value.message == "CONFIG_B: debug says 1, lean says 2 (and 1 more)"
    assert caught.value.lines == (
        "CONFIG_B: debug says 1, lean says 2",
        "CONFIG_A: debug says y, lean says m",
    )


def test_a_fragment_that_agrees_with_the_base_has_asked_for_it() -> None:
    parts = [fragment("# CONFIG_A is not set", name=name) for name in ("base", "lean")]
    with pytest.raises(KconfigError, match="CONFIG_A: lean says n, debug says y"):
        merge([*parts, fragment("CONFIG_A=y", name="debug")])


def test_nothing_is_said_when_all_survived() -> None:
    base = fragment("# CONFIG_NET is not set", "CONFIG_NR_CPUS=0x8", name="base")
    more = fragment("CONFIG_NET=y", "CONFIG_TUN=m", "# CONFIG_NOT_THERE is not set")
    dropped([base, more], NET, TREE)


@pytest.mark.parametrize(
    ("final", "line", "got", "reason"),
    [
        (BARE, "CONFIG_UNIX=y", "n", "needs NET=y which is not set"),
        (
            BARE,
            "CONFIG_EXT4_FS=y",
            "n",
            "needs CRC32=y which is not set and BLOCK=y which is not set",
        ),
        (BARE, "# CONFIG_AIO is not set", "y", "its prompt needs EXPERT=y which is not set"),
        (BARE, "CONFIG_NR_CPUS=64", "1", "its prompt needs SMP=y which is not set"),
        (BARE, "CONFIG_TUN=m", "n", "needs MODULES=y which is not set and CRC32=y which is not "),
        (BARE, "CONFIG_LOG_BUF_SHIFT=99", "25", "its range is 12 25"),
        (BARE, "CONFIG_LIBCRC=y", "n", "it has no prompt, so only a default or a select sets it: "),
        (BARE, "CONFIG_PREEMPT=y", "n", "PREEMPT_NONE=y is chosen in its place"),
        (BARE, "# CONFIG_GENERIC_TIMER is not set", "y", "selected by X86"),
        (BARE, "CONFIG_UNIXX=y", "n", "no such symbol in 6.12.117, did you mean CONFIG_UNIX?"),
        (BARE, "CONFIG_ARM=y", "n", "no such symbol in 6.12.117"),
        (BARE, "CONFIG_FAKE=y", "n", "no such symbol in 6.12.117"),
        (
            BARE,
            "CONFIG_BRIDGE=y",
            "n",
            "needs (SMP && NR_CPUS >= 4) || ARM (SMP is not set, NR_CPUS is 1, ARM is not set)",
        ),
        (NET, "CONFIG_UNIX=m", "y", "it is a bool, which cannot be m"),
        (NET, "# CONFIG_CRC32 is not set", "y", "selected by UNIX"),
        (NET, "CONFIG_CRC32=m", "y", "selected by UNIX"),
        (NET, "# CONFIG_PROC_FS is not set", "y", "its prompt needs EXPERT=y which is not set"),
    ],
)
def test_the_reason_is_named(final: str, line: str, got: str, reason: str) -> None:
    error = lost(final, line)
    symbol, value = next(iter(parse(line).items()))
    assert error.message.startswith(
        f"CONFIG_{symbol}: guest-tests/aio-poll/config asks for {value}, "
        f"the final .config says {got}: {reason}"
    )
    assert error.exit_code is ExitCode.KCONFIG


def test_all_that_got_lost_is_listed_and_the_sentence_has_the_first() -> None:
    base = fragment("CONFIG_NET=y", "CONFIG_AIO=y", name="kconfigs/base.config")
    with pytest.raises(KconfigError) as caught:
        dropped([base, fragment("CONFIG_UNIX=y")], BARE, TREE)
    assert caught.value.message.endswith(" (and 1 more)")
    assert [line.partition(" asks")[0] for line in caught.value.lines] == [
        "CONFIG_NET: kconfigs/base.config",
        "CONFIG_UNIX: guest-tests/aio-poll/config",
    ]


@pytest.mark.parametrize("tree", [None, DATA / "nowhere"])
def test_without_a_tree_only_the_loss_is_told(tree: Path | None) -> None:
    error = lost(BARE, "CONFIG_UNIX=y", tree=tree)
    assert error.message.endswith("asks for y, the final .config says n")


def test_a_fragment_is_loaded_with_its_help(tmp_path: Path) -> None:
    path = tmp_path / "debug.config"
    path.write_text("# Help: slow, thorough\nCONFIG_KASAN=y\n")
    loaded = load_fragment(path, "debug")
    assert (loaded.name, help_line(loaded)) == ("debug", "slow, thorough")
    assert help_line(fragment("CONFIG_A=y", "# Help: too late")) == ""


def test_a_fragment_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read kconfig fragment lean: No such file"):
        load_fragment(tmp_path / "lean.config", "lean")
    (tmp_path / "latin").write_bytes(b"# \xe9\n")
    with pytest.raises(KconfigError, match=r"latin is not UTF-8 text \(byte 2\)"):
        load_fragment(tmp_path / "latin", "latin")
