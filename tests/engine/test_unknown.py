"""Unknown keys compared with brute force (spec 6.11): definite decisions are right, and most definite cases are decided.

Brute force takes every value for a deciding key: those that the policies of the case compare it with, and near them,
pieces of the resource, values of its family that cannot be read, one that no policy contains, and the key absent.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import generator_names as v
import policy_generators as strategies
import pytest
from case_files import Json, simulate_arguments
from differential import as_check
from request_generators import is_condition_case, keys_in
from runners import run
from specification import decision

from fastiam.model.key_registry import fold
from fastiam.model.request import Request, read_context
from fastiam.simulation.profiles import profiles_from_documents

pytestmark = pytest.mark.slow
N = 1_000  # cases of the generator; 500 are too few for a share of 99 in 100
MOST, ALL = 25, 4_000  # values tried for definite outcomes, for others
NEAR = ("true", "false", "-99", "5", "99999", "1900-01-01", "2199-01-01", "192.0.2.77", "2001:db9::1", "::fffe:1.2.3.4")
FRESH = {"string": "fresh", "numeric": "123.5", "date": "2027-07-07T07:07:07Z", "bool": "true", "binary": "RlJFU0g=",
         "ip": "198.18.7.7", "arn": "arn:aws:fresh:eu-west-3:444444444444:fresh/er"}  # fmt: skip
SESSION_KEYS = v.AD_HOC_ONLY - {"aws:PrincipalTag/team"}  # known with the session (D71)
FOLLOWED = {"aws:CurrentTime", "aws:EpochTime", "aws:CalledVia", "aws:SourceAccount"}  # others are derived from them


def case_with_keys(seed: int, n_keys: int) -> tuple[dict[str, Json], list[str]] | None:
    """A case, and keys of the request that its policies read; it does not give them."""
    case, rng = strategies.ad_hoc(seed), random.Random(seed)
    case["request"].pop("unknown", None)
    read = [key for key in keys_in(case["policies"]) if key in v.KEYS and key not in SESSION_KEYS | FOLLOWED]
    if len(read) < n_keys:
        return None
    keys = rng.sample(read, n_keys)
    folded = {fold(key) for key in keys}
    if "aws:tagkeys" in folded or "aws:requesttag/team" in folded:
        folded |= {"aws:tagkeys", "aws:requesttag/team"}
    case["request"]["context"] = {k: value for k, value in case["request"]["context"].items() if fold(k) not in folded}
    return case, keys


def compared_with(policies: Json, key: str) -> Iterator[str]:
    """The values that a condition on the key names, made literal."""
    if isinstance(policies, list):
        for item in policies:
            yield from compared_with(item, key)
    elif isinstance(policies, Mapping):
        for name, item in policies.items():
            if fold(name) == fold(key) and not isinstance(item, Mapping):
                for value in map(text_of, item if isinstance(item, list) else [item]):
                    literal = re.sub(r"\$\{([*?$])\}", r"\1", value)
                    yield from (value, literal)
                    yield re.sub(r"\$\{[^}]*\}|[*?]", "x", literal).partition("/")[0] if "/" in literal else literal
                    for filling in ("", "x", "red", "ana"):
                        yield re.sub(r"\*|\$\{[^}]*\}", filling, literal).replace("?", "x")
                        yield re.sub(r"\$\{[^}]*\}", filling, literal)  # operators that know no wildcards
            else:
                yield from compared_with(item, key)


def text_of(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def values_of(case: Mapping[str, Json], key: str) -> list[Json]:
    family, multi = v.KEYS[key]
    tail = case["request"]["resource"].rpartition(":")[2]
    texts = [
        FRESH[family],
        *compared_with(case["policies"], key),
        *v.VALUES[family],
        *v.BAD.get(family, ())[:3],
        *NEAR,
        *FRESH.values(),
    ]
    if family == "string":
        texts += [piece for piece in re.split(r"[/:]", tail) if piece] + [tail, tail[:1], tail[1:2], tail[:2]]
        texts += [text_of(value) for value in case["request"]["context"].values() if isinstance(value, str | bool | int)]
        texts += v.KEY_VALUES.get(key, ())
    texts = list(dict.fromkeys(texts))
    if not multi:
        return [None, *texts]
    return [None, *([text] for text in texts), *(list(pair) for pair in itertools.pairwise(texts))]


def by_force(case: Mapping[str, Json], keys: list[str], profiles: Any, request: Request, most: int) -> set[bool]:
    """Whether the request is allowed, over the values of the keys, absence included: one answer, or both."""
    combinations = list(itertools.product(*[values_of(case, key) for key in keys]))
    random.Random(str(keys)).shuffle(combinations)
    principal, resource, endpoint = profiles
    found: set[bool] = set()
    for values in combinations[:most]:
        assigned = read_context({key: value for key, value in zip(keys, values, strict=True) if value is not None}, strict=False)
        plain = replace(request, context={**request.context, **assigned}, unknown=frozenset())
        found.add(decision(principal, resource, plain, endpoint=endpoint).allowed)
        if len(found) == 2:
            break
    return found


class Row(NamedTuple):
    """A case: outcomes of reference and engine with its keys unknown, and the outcomes of brute force."""

    seed: int
    answers: tuple[str, str]
    truth: set[bool]
    has_layers: bool  # not only one condition block, in which nearly all that is definite are tests that contradict each other


@cache
def compared_cases(n_keys: int) -> list[Row]:
    out = []
    for seed in range(N):
        if (chosen := case_with_keys(seed, n_keys)) is None:
            continue
        case, keys = chosen
        check = as_check({**case, "request": {**case["request"], "unknown": keys}})
        answers = run(check, "reference").outcome, run(check, "compiled").outcome
        if answers[0] != "ERR":
            *profiles, request = profiles_from_documents(**simulate_arguments(check))
            truth = by_force(case, keys, profiles, request, ALL if "DEPENDS" in answers else MOST)
            out.append(Row(seed, answers, truth, not is_condition_case(case)))
    return out


@pytest.mark.parametrize("n_keys", [1, 2])
def test_definite_decision_holds_for_each_value(n_keys):
    """D70: sound for all values of the keys."""
    for row in compared_cases(n_keys):
        for answer in row.answers:
            assert answer == "DEPENDS" or row.truth <= {answer == "OK"}, f"seed {row.seed}: {answer}"


@pytest.mark.parametrize("n_keys", [1, 2])
def test_most_definite_cases_are_decided(n_keys):
    """Precise: 99 of 100. The others are D73: tests that contradict or complete each other."""
    definite = [row for row in compared_cases(n_keys) if row.has_layers and len(row.truth) == 1]
    vague = [row.seed for row in definite if "DEPENDS" in row.answers]
    assert len(definite) > 150
    assert len(vague) <= len(definite) / 100, f"{len(vague)} of {len(definite)} are vague, seeds {vague}"


@pytest.mark.parametrize("n_keys", [1, 2])
def test_generated_cases_often_depend_on_unknown_keys(n_keys):
    """Otherwise the tests above would prove little."""
    rows = compared_cases(n_keys)
    assert sum("DEPENDS" in row.answers for row in rows) > len(rows) / 12
