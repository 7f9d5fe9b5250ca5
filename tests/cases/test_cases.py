"""Every case gives its expected decision on each engine that can run it."""

from __future__ import annotations

import pytest
from case_files import case_files, differences, load_checks
from runners import ENGINES, HAS_ENGINE, REFERENCES, can_run, case_for_engine, run

CHECKS = [check for path in case_files() for check in load_checks(path)]


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_decision_is_the_expected_one(check):
    """Rule: the one that the case names. One item for all engines: items cost more than the decisions of most cases."""
    engines = [engine for engine in (ENGINES if HAS_ENGINE else REFERENCES) if can_run(check, engine)]
    found = {engine: differences(case_for_engine(check, engine), run(check, engine)) for engine in engines}
    assert not any(found.values()), f"{check.id} [{check.rule}]: {found}"


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
