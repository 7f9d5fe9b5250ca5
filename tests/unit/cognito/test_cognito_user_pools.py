"""The cases of the specification for user pools, on the public calls; expected outcomes: cases/cognito_user_pools.json."""

from __future__ import annotations

import pytest
from user_pool_cases import CASES, TABLE

from fastiam.cognito.user_pools import UserPools


@pytest.mark.parametrize(
    ("name", "row"), [pytest.param(c["id"], row, id=f"{c['id']}-{n}") for c in TABLE for n, row in enumerate(c["rows"])]
)
def test_case_has_the_outcome_of_the_specification(name, row):
    outcomes = list(CASES[name](row))
    for given, expected in zip(outcomes, row["expect"], strict=True):
        assert given == expected or str(given).startswith(f"{expected}:"), (outcomes, row["expect"])


def test_every_case_of_the_specification_is_in_the_table():
    """10.4 is F100 to F139, and F220 to F233 of 10.8 are those of user pools."""
    wanted = {f"F{n}" for n in (*range(100, 140), *range(220, 234))}
    assert {c["id"] for c in TABLE} == wanted == CASES.keys()
    assert all(c["rule"] and c["rows"] for c in TABLE)


def test_user_pools_are_exported():
    import fastiam.cognito

    assert fastiam.cognito.UserPools is UserPools
