# SPDX-License-Identifier: GPL-2.0-only
"""The histories that bench/bisect.py measures with are what it says they are."""

import random
import re

import pytest

from bench import kernel_edits
from bench.bisect_histories import COMMITS, Kind, plan

SEEDS = range(25)
FILE = """\
// SPDX-License-Identifier: GPL-2.0-only
#include <linux/fs.h>

static int first_one(struct file *file, int flags)
{
	int ret;

	/* without a file there is nothing to do */
	if (file == NULL)
		return -EBADF;
	ret = file_look(file, flags);
	if (ret < 0)
		goto out;
	pr_warn("no such flags\\n");
	ret = 0;
out:
	return ret;
}
"""


@pytest.mark.parametrize("flaky", [False, True])
def test_of_64_commits_one_is_guilty(flaky: bool) -> None:
    for seed in SEEDS:
        made = plan(seed=seed, flaky=flaky)
        kinds = [one.kind for one in made]
        assert made == plan(seed=seed, flaky=flaky)
        assert len(made) == COMMITS == 64
        assert kinds.count(Kind.CULPRIT) == 1
        assert (kinds.count(Kind.COMMENT), kinds.count(Kind.HEADER)) == (8, 4)
        assert [one.date for one in made] == sorted(one.date for one in made)


def test_commits_that_do_not_build_leave_the_guilty_one_alone() -> None:
    for seed in SEEDS:
        made = plan(seed=seed)
        said = "".join("." if one.builds else "x" for one in made)
        culprit = [one.kind for one in made].index(Kind.CULPRIT)
        assert sorted(re.findall("x+", said)) == ["x", "x", "xx"]
        assert said[culprit - 1 : culprit + 2] == "..."
        assert said[-1] == "."


def test_ten_commits_crash_before_a_flaky_one() -> None:
    for seed in SEEDS:
        made = plan(seed=seed, flaky=True)
        said = "".join("x" if one.crashes else "." for one in made)
        assert re.fullmatch(r"\.+x{10}\.+", said)
        after = [one.kind for one in made[said.rindex("x") + 1 :]]
        assert after[0] is Kind.CURES
        assert after.index(Kind.CULPRIT) == 3
        assert not any(one.crashes for one in plan(seed=seed))


def test_both_histories_of_a_seed_are_the_same_but_for_the_bugs() -> None:
    special = {Kind.CULPRIT, Kind.CRASHES, Kind.PANICS, Kind.CURES}
    for seed in SEEDS:
        pairs = list(zip(plan(seed=seed), plan(seed=seed, flaky=True), strict=True))
        differ = [flaky.kind for steady, flaky in pairs if steady != flaky and not flaky.crashes]
        assert set(differ) <= special


@pytest.mark.parametrize("make", kernel_edits.CODE)
def test_an_edit_changes_a_file_once_and_the_same_way(make: kernel_edits.Maker) -> None:
    first, second = (make(FILE, random.Random(1)) for _ in range(2))
    assert first is not None
    assert first == second
    assert first.text != FILE


@pytest.mark.parametrize("make", kernel_edits.COMMENTS)
def test_an_edit_of_a_comment_changes_nothing_else(make: kernel_edits.Maker) -> None:
    made = make(FILE, random.Random(1))
    assert made is not None
    assert made.text != FILE
    without = [re.sub(r"/\*.*?\*/\n?", "", text, flags=re.S) for text in (made.text, FILE)]
    assert without[0] == without[1]


def test_a_variable_gets_no_name_that_is_taken() -> None:
    taken = FILE.replace("int flags)", "int err)").replace("flags);", "err);")
    assert kernel_edits.rename(FILE, random.Random(1)) is not None
    assert kernel_edits.rename(taken, random.Random(1)) is None
