# SPDX-License-Identifier: GPL-2.0-only
"""Fragments are read strictly, merged without surprises, and what got lost is explained."""

import gzip
import lzma
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.errors import ExitCode, HarnessError, KconfigError, UsageError
from harness.kconfig import (
    compose,
    dropped,
    help_line,
    load_config,
    load_fragment,
    merge,
    parse,
    parse_fragment,
    setting,
)
from harness.model import Fragment, Kconfig

DATA = Path(__file__).parents[1] / "data" / "kconfig"
TREE = DATA / "tree"
BARE = (DATA / "bare.config").read_text()
NET = (DATA / "net.config").read_text()


def fragment(*lines: str, name: str = "guest-tests/aio-poll/config") -> Fragment:
    return Fragment(name=name, text="\n".join(lines) + "\n")


def kconfig(
    *fragments: Fragment, base: Fragment | None = None, settings: Sequence[str] = ()
) -> Kconfig:
    return Kconfig(
        defaults=(base,) if base else (),
        fragments=fragments,
        settings=tuple(setting(text) for text in settings),
    )


def lost(final: str, *lines: str, tree: Path | None = TREE) -> HarnessError:
    with pytest.raises(KconfigError) as caught:
        dropped(kconfig(fragment(*lines)), final, tree)
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


def test_merging_sorts_and_drops_comments_and_repeats() -> None:
    base = fragment("# Help: base", "CONFIG_NET=y", "# CONFIG_AIO is not set", name="base")
    more = fragment('CONFIG_NAME="x"', "# why", "CONFIG_EXPERT=y", "# CONFIG_AB is not set")
    text = merge(kconfig(more, more, base=base))
    assert text == (
        "# CONFIG_AIO is not set\nCONFIG_NET=y\n"
        '# CONFIG_AB is not set\nCONFIG_EXPERT=y\nCONFIG_NAME="x"\n'
    )
    assert merge(Kconfig()) == ""


def test_equal_requests_give_equal_text_in_any_order() -> None:
    one, other = fragment("CONFIG_A=y", "CONFIG_B=y"), fragment("CONFIG_C=y", name="other")
    backwards = fragment("CONFIG_B=y", "# a comment", "CONFIG_A=y", name="renamed")
    assert merge(kconfig(one, other)) == merge(kconfig(other, backwards))


def test_what_the_base_says_is_a_default() -> None:
    base = fragment("# CONFIG_AIO is not set", "CONFIG_NR_CPUS=1", "CONFIG_NET=y", name="base")
    more = fragment("CONFIG_NR_CPUS=4", "CONFIG_AIO=y")
    wanted = "CONFIG_NET=y\nCONFIG_AIO=y\nCONFIG_NR_CPUS=4\n"
    assert merge(kconfig(more, base=base)) == wanted


def test_a_setting_wins_over_everything_and_the_last_one_over_the_others() -> None:
    base, more = fragment("CONFIG_A=y", "CONFIG_B=y", name="base"), fragment("CONFIG_C=4")
    wanted = kconfig(more, base=base, settings=("B=n", "CONFIG_C=8", "C=9"))
    assert merge(wanted) == "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=9\n"


def test_of_a_choice_the_stronger_layer_comes_last() -> None:
    base = fragment("CONFIG_KERNEL_GZIP=y", name="base")
    assert merge(kconfig(base=base, settings=("KERNEL_BZIP2=y",))) == (
        "CONFIG_KERNEL_GZIP=y\nCONFIG_KERNEL_BZIP2=y\n"
    )


def test_later_fragments_that_disagree_are_an_error() -> None:
    base, debug = fragment(name="base"), fragment("CONFIG_A=y", "CONFIG_B=1", name="debug")
    with pytest.raises(KconfigError) as caught:
        merge(kconfig(debug, fragment("CONFIG_B=2", "CONFIG_A=m", name="lean"), base=base))
    assert caught.value.message == "CONFIG_B: debug says 1, lean says 2 (and 1 more)"
    assert caught.value.lines == (
        "CONFIG_B: debug says 1, lean says 2",
        "CONFIG_A: debug says y, lean says m",
    )
    assert caught.value.exit_code is ExitCode.KCONFIG


def test_a_fragment_that_agrees_with_the_base_has_asked_for_it() -> None:
    base, lean = (fragment("# CONFIG_A is not set", name=name) for name in ("base", "lean"))
    with pytest.raises(KconfigError, match="CONFIG_A: lean says n, debug says y"):
        merge(kconfig(lean, fragment("CONFIG_A=y", name="debug"), base=base))


def test_nothing_is_said_when_all_survived() -> None:
    base = fragment("# CONFIG_NET is not set", "CONFIG_NR_CPUS=0x8", name="base")
    more = fragment("CONFIG_NET=y", "CONFIG_TUN=m", "# CONFIG_NOT_THERE is not set")
    dropped(kconfig(more, base=base), NET, TREE)


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
        dropped(kconfig(fragment("CONFIG_UNIX=y"), base=base), BARE, TREE)
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


def test_a_default_gives_way_to_the_member_of_its_choice_that_was_asked_for() -> None:
    base = fragment("CONFIG_PREEMPT=y", name="kconfigs/base.config")
    with pytest.raises(KconfigError, match="PREEMPT_NONE=y is chosen in its place"):
        dropped(kconfig(base=base), BARE, TREE)
    dropped(kconfig(base=base, settings=("PREEMPT_NONE=y",)), BARE, TREE)
    with pytest.raises(KconfigError, match="--set PREEMPT=y asks for y"):
        dropped(kconfig(settings=("PREEMPT=y",)), BARE, TREE)


def test_what_a_whole_config_says_may_be_dropped() -> None:
    start = Fragment(name="debian", text="CONFIG_GONE=y\nCONFIG_UNIX=y\n")
    dropped(Kconfig(config_file=start), BARE, TREE)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("KASAN=y", "CONFIG_KASAN=y"),
        ("CONFIG_KASAN=m", "CONFIG_KASAN=m"),
        ("9P_FS=n", "# CONFIG_9P_FS is not set"),
        ("NR_CPUS=16", "CONFIG_NR_CPUS=16"),
        ("START=0xffffFF", "CONFIG_START=0xffffFF"),
        ("LOW=-3", "CONFIG_LOW=-3"),
        ("NAME=-mine", 'CONFIG_NAME="-mine"'),
        ('NAME="12"', 'CONFIG_NAME="12"'),
        ("NAME=", 'CONFIG_NAME=""'),
        ('NAME=a "b" \\c', 'CONFIG_NAME="a \\"b\\" \\\\c"'),
        ("NAME=a=b", 'CONFIG_NAME="a=b"'),
    ],
)
def test_a_setting_is_a_fragment(text: str, line: str) -> None:
    made = setting(text)
    assert (made.name, made.text) == (f"--set {text}", f"{line}\n")
    assert len(parse_fragment(made)) == 1


@pytest.mark.parametrize(
    "text", ["", "KASAN", "=y", "KASAN =y", "KA-SAN=y", "CONFIG_=y", "KASAN=yes", "X=a\nCONFIG_Y=y"]
)
def test_a_setting_with_bad_syntax_is_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        setting(text)
    assert caught.value.message.startswith(f"--set {text.partition(chr(10))[0][:1]}")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_a_whole_config_is_read_plain_or_packed(tmp_path: Path, pack: Callable[..., bytes]) -> None:
    path = tmp_path / "config.gz"
    lines = "CONFIG_A=y\n\n# CONFIG_B is not set\nCONFIG_A=m\n"
    keys = 'CONFIG_SYSTEM_TRUSTED_KEYS="debian/certs.pem"\n'
    path.write_bytes(pack(("# Linux/x86 6.1.0 Kernel Configuration\n" + lines + keys).encode()))
    loaded = load_config(path)
    assert (loaded.name, loaded.text) == (str(path), "CONFIG_A=m\n# CONFIG_B is not set\n")


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"# Linux/arm64 6.1.0 Kernel Configuration\nCONFIG_A=y\n", UsageError, "kernel for arm64"),
        (b"# nothing\n", UsageError, "sets no CONFIG_ symbol"),
        (gzip.compress(b"CONFIG_A=y\n" * 99, mtime=0)[:-9], UsageError, "is damaged"),
        (lzma.compress(b"CONFIG_A=y\n" * 99)[:-9], UsageError, "is damaged"),
        (b"\x7fELF\xff", KconfigError, "not UTF-8"),
        (b"CONFIG_A=y\nCONFIG_B\n", KconfigError, "line 2: not a kconfig line"),
    ],
)
def test_what_is_no_whole_config_is_named(
    tmp_path: Path, data: bytes, error: type[HarnessError], message: str
) -> None:
    path = tmp_path / "config"
    path.write_bytes(data)
    with pytest.raises(error, match=message) as caught:
        load_config(path)
    assert str(path) in caught.value.message
    with pytest.raises(UsageError, match="cannot read configuration .*: No such file"):
        load_config(tmp_path / "missing")


def test_a_project_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "kconfigs").mkdir()
    for name in ("guest", "base"):
        (tmp_path / f"kconfigs/{name}.config").write_text(f"CONFIG_{name.upper()}=y\n")
    again = load_fragment(tmp_path / "kconfigs/base.config", "kconfigs/base.config")
    tiny = compose(tmp_path, [again, fragment("CONFIG_A=y")])
    assert merge(tiny) == "CONFIG_BASE=y\nCONFIG_GUEST=y\nCONFIG_A=y\n"
    whole = compose(tmp_path, [again], config_file=fragment("CONFIG_B=y"))
    assert merge(whole) == "CONFIG_GUEST=y\nCONFIG_BASE=y\n"
    (tmp_path / "kconfigs/guest.config").unlink()
    assert merge(compose(tmp_path, ())) == "CONFIG_BASE=y\n"
    with pytest.raises(UsageError, match="kconfigs/guest.config: No such file"):
        compose(tmp_path, (), config_file=fragment("CONFIG_B=y"))


def test_the_shipped_defaults_share_no_symbol() -> None:
    shipped = compose(Path(__file__).parents[2], ())
    guest, base = (set(parse_fragment(one)) for one in shipped.defaults)
    assert guest and base and not guest & base


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "kconfigs").glob("*.config")), ids=lambda p: p.stem
)
def test_every_shipped_fragment_has_a_help_line(path: Path) -> None:
    assert help_line(load_fragment(path, path.name))
