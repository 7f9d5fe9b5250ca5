"""Every case gives its expected decision on each engine that can run it."""

from __future__ import annotations

import pytest
from case_files import case_files, differences, load_checks
from runners import ENGINES, HAS_ENGINE, REFERENCES, can_run, case_for_engine, run

CHECKS = [check for path in case_files() for check in load_checks(path)]


def _runs() -> list[object]:
    engines = ENGINES if HAS_ENGINE else REFERENCES
    return [pytest.param(c, e, id=f"{c.id}-{e}") for c in CHECKS for e in engines if can_run(c, e)]


@pytest.mark.parametrize(("check", "engine"), _runs())
def test_decision_is_the_expected_one(check, engine):
    """Rule: the one that the case names."""
    assert not differences(case_for_engine(check, engine), run(check, engine)), f"{check.id} [{check.rule}] on {engine}"


def test_ids_are_unique():
    ids = [check.id for check in CHECKS]
    assert len(ids) == len(set(ids))


def test_every_entry_of_the_catalogue_has_a_case():
    """Spec section 8: every entry that is a plain decision has a case, except those in `cases/PENDING.md`."""
    here = {int(check.id[1:4]) for check in CHECKS if check.id[:1] == "E"}
    wanted = {
        *range(40, 51), *range(60, 82), *range(90, 107), *range(110, 117), *range(120, 143), *range(150, 263),
        *range(270, 285), *range(290, 298), *range(300, 304), *range(310, 317), *range(318, 330), *range(330, 357),
    }  # fmt: skip
    gaps = {*range(237, 240)}  # the catalogue has no such entries
    assert sorted(wanted - here - gaps) == []


def test_most_ad_hoc_cases_have_a_directory_form():
    """The batch engines run most of the ad-hoc cases."""
    runnable = [c for c in CHECKS if c.directory is None and can_run(c, "directory")]
    assert len(runnable) > 250
