"""Columns with more distinct values than the memo has places, as dictionaries and as plain text."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

import fastiam
from fastiam import Outcome

ANN = "arn:aws:iam::111111111111:user/ann"
MANY = 70_000  # values: more than truths are kept of, in a dictionary or as plain text
ADDRESSES = [f"{9 + i % 3}.{i % 256}.{i // 256 % 256}.{i % 100}" for i in range(MANY)]
NUMBERS, PATHS = [str(i) for i in range(MANY)], [f"{i % 7}/{i}" for i in range(MANY)]
INSIDE: dict[str, Any] = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
OUTSIDE: dict[str, Any] = {"NotIpAddress": INSIDE["IpAddress"]}
THREE: dict[str, Any] = {"StringLike": {"app:path": "3/*"}}
RED = {"StringEquals": {"aws:PrincipalTag/dept": "red"}}
VALUES: dict[str, tuple[list[str], dict[str, Any], list[bool | None], bool | None]] = {
    # what a column holds, a condition, whether it holds for each of these, None: U (F3); the same of a null
    "addresses": (ADDRESSES, INSIDE, [i % 3 == 1 for i in range(MANY)], False),
    "no addresses": (  # C51
        [f"0{text}" if i % 3 == 0 else text for i, text in enumerate(ADDRESSES)],
        OUTSIDE,
        [None if i % 3 == 0 else i % 3 == 2 for i in range(MANY)],
        True,
    ),
    "numbers": (NUMBERS, {"NumericLessThan": {"app:level": "1000"}}, [i < 1000 for i in range(MANY)], False),
    "texts": (PATHS, THREE, [i % 7 == 3 for i in range(MANY)], False),
    "a tag, too": (PATHS, THREE | RED, [i % 7 == 3 for i in range(MANY)], False),
}


@pytest.mark.parametrize("form", ["plain", "coded", "views"])
@pytest.mark.parametrize("name", VALUES)
def test_column_with_more_values_than_memo_capacity_decides(name: str, form: str) -> None:
    """Every value occurs twice, with other neighbours the second time."""
    values, condition, holds, null_holds = VALUES[name]
    key = next(iter(next(iter(condition.values()))))
    directory = fastiam.Directory(quotas=None, mode="lenient")
    made = [
        {"Effect": "Allow", "Action": "sqs:Get*", "Resource": "*", "Condition": condition},
        {"Effect": "Allow", "Action": "sqs:Set*", "Resource": "*"},
        {"Effect": "Deny", "Action": "sqs:SetAll", "Resource": "*", "Condition": condition},
    ]
    directory.add_principal(ANN, identity_policies=[{"Version": "2012-10-17", "Statement": made}], tags={"dept": "red"})
    engine = directory.compile()
    order = random.Random(3).sample(range(MANY), MANY)
    column = pa.array([*values, None, *(values[i] for i in order)], pa.string_view() if form == "views" else pa.string())
    column = column.dictionary_encode() if form == "coded" else column
    expected = [*holds, null_holds, *(holds[i] for i in order)]
    for action, that_allows in (("sqs:GetOne", True), ("sqs:SetAll", False)):
        found = engine.decide_many(ANN, action, "*", {key: column}).outcome == Outcome.ALLOW
        assert found.tolist() == [hold is that_allows for hold in expected], action
