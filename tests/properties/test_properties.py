"""Properties of decisions: they hold for every case that the generator can write, on every engine.

The order of outcomes that "more" and "narrows" speak of: an `ALLOW` is more than any denial.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import generator_names as v
import policy_generators as strategies
import pytest
from case_files import Json, resolve
from differential import World, as_check, difference_between
from hypothesis import given, settings
from policy_generators import Maker, Target
from request_generators import account_of
from runners import HAS_ENGINE, run
from seeds import few_or_all

AD_HOC_ENGINES = ("reference", "compiled") if HAS_ENGINE else ("reference",)
engines = pytest.mark.parametrize("engine", AD_HOC_ENGINES)
needs_engine = pytest.mark.skipif(not HAS_ENGINE, reason="the compiled engine is not built yet")
EXAMPLES = few_or_all(30, 150)
NEVER = 10**9  # more statements than a row can have


def outcome(case: dict[str, Json], engine: str) -> str:
    return run(as_check(case), engine).outcome


def places(case: dict[str, Json]) -> Iterator[tuple[str, list[Json]]]:
    """Every list of statements of a case, with the kind of its document."""
    kinds = {"identity_policies": "identity", "permissions_boundary": "boundary", "session_policies": "session", "scps": "scp",
             "rcps": "rcp", "vpc_endpoint_policies": "vpce", "resource_policy": "resource"}  # fmt: skip
    for argument, value in case["policies"].items():
        for document in _documents(value):
            if not isinstance(document["Statement"], list):
                document["Statement"] = [document["Statement"]]
            yield kinds[argument], document["Statement"]


def _documents(value: Json) -> Iterator[dict[str, Json]]:
    if isinstance(value, list):
        for item in value:
            yield from _documents(item)
    else:
        yield value


def changed(seed: int, change: Callable[[dict[str, Json], Maker], None]) -> tuple[dict[str, Json], dict[str, Json]]:
    """A case, and the same case after a change."""
    before = strategies.ad_hoc(seed)
    after = copy.deepcopy(before)
    change(after, Maker(random.Random(seed + 1), lenient=False))
    return before, after


def target_of(case: dict[str, Json]) -> Target:
    request = case["request"]
    principal = request["principal"]
    named = {"*": "ANON", **dict.fromkeys(v.SERVICES, "SVC"), **dict.fromkeys(v.PROVIDERS, "OIDC")}
    if not isinstance(principal, str):
        kind = principal["session"]["kind"]
    else:
        kind = named.get(principal.lower(), "USER" if principal.count(":") > 4 else "ANON")  # only ARNs name principals
    return Target(kind, request["principal"], request["action"], request["resource"], request["context"])


def never_more(before: dict[str, Json], after: dict[str, Json], engine: str) -> None:
    if outcome(after, engine) == "OK":
        assert outcome(before, engine) == "OK"


def for_every_case(test: Any) -> Any:
    return engines(settings(max_examples=EXAMPLES)(given(seed=strategies.SEEDS)(test)))


# -- narrowing --------------------------------------------------------------------------------------------------------------


@for_every_case
def test_added_deny_never_allows_more(seed, engine):
    """6.4: a Deny in any layer."""

    def add(case, make):
        found = list(places(case))
        if found:
            kind, statements = make.rng.choice(found)
            if kind == "resource" and target_of(case).action.lower().startswith("sts:"):
                kind = "trust"
            statements.append(make.statement(target_of(case), "Deny", 0.8, kind=kind))

    never_more(*changed(seed, add), engine)


def _adding(argument: str, kind: str) -> Callable[[dict[str, Json], Maker], None]:
    def add(case: dict[str, Json], make: Maker) -> None:
        document = make.policy(target_of(case), allow=0.9, deny=0.5 if make.chance(0.2) else None, kind=kind)
        levels = kind in ("scp", "rcp")
        levels_of_layer = case["policies"].get(argument)
        if levels_of_layer == []:
            return  # a layer without levels allows nothing (D10): its first level gives, it does not take
        if levels:
            case["policies"][argument] = [*(levels_of_layer or []), [document]]
        elif levels_of_layer is None:
            case["policies"][argument] = [document]

    return add


@pytest.mark.parametrize(
    ("argument", "kind"),
    [
        ("scps", "scp"),
        ("rcps", "rcp"),
        ("vpc_endpoint_policies", "vpce"),
        ("permissions_boundary", "boundary"),
        ("session_policies", "session"),
    ],
)
@for_every_case
def test_added_restricting_layer_only_narrows(seed, engine, argument, kind):
    """D3. A federated or root session is nothing without a session policy, so there one does not restrict (6.1)."""
    before, after = changed(seed, _adding(argument, kind))
    needs_one = any(f'"kind": "{k}"' in json.dumps(before["request"]["principal"]) for k in ("FED", "AROOT"))
    if kind == "session" and (needs_one or ":federated-user/" in str(before["request"]["principal"])):
        return
    never_more(before, after, engine)


@for_every_case
def test_added_allow_never_removes_an_allow(seed, engine):
    """6.4: Allows are only ever asked whether there is one."""

    def add(case, make):
        for kind, statements in places(case):
            if kind == "resource" and target_of(case).action.lower().startswith("sts:"):
                kind = "trust"
            if kind != "rcp":
                statements.append(make.statement(target_of(case), "Allow", 0.9, kind=kind))

    before, after = changed(seed, add)
    if outcome(before, engine) == "OK":
        assert outcome(after, engine) in ("OK", "ERR")


# -- what changes nothing -----------------------------------------------------------------------------------------------------


def same(before: dict[str, Json], after: dict[str, Json], engine: str) -> None:
    one, two = run(as_check(before), engine), run(as_check(after), engine)
    assert one.outcome == two.outcome
    if one.error is None:
        assert one.decision.layer == two.decision.layer


@for_every_case
def test_order_of_statements_keeps_decision(seed, engine):
    """G13: statements of a policy, policies of a layer."""

    def shuffle(case, make):
        for _, statements in places(case):
            make.rng.shuffle(statements)
        for argument, value in case["policies"].items():
            for group in value if argument in ("scps", "rcps") else [value]:
                if isinstance(group, list):
                    make.rng.shuffle(group)

    same(*changed(seed, shuffle), engine)


@for_every_case
def test_action_case_keeps_decision(seed, engine):
    """A7: neither in the request nor in a policy."""

    def swap(case, make):
        case["request"]["action"] = case["request"]["action"].swapcase()
        for _, statements in places(case):
            for statement in statements:
                for element in ("Action", "NotAction"):
                    value = statement.get(element)
                    if value is not None and "${" not in json.dumps(value):
                        statement[element] = value.upper() if isinstance(value, str) else [a.upper() for a in value]

    same(*changed(seed, swap), engine)


@for_every_case
def test_single_value_equals_list_of_one(seed, engine):
    """G10."""

    def wrap(case, make):
        for _, statements in places(case):
            for statement in statements:
                for element in ("Action", "NotAction", "Resource", "NotResource"):
                    if isinstance(statement.get(element), str):
                        statement[element] = [statement[element]]

    same(*changed(seed, wrap), engine)


@for_every_case
def test_policy_given_twice_keeps_decision(seed, engine):
    """G13."""

    def double(case, make):
        for argument in ("identity_policies", "session_policies", "vpc_endpoint_policies"):
            if argument in case["policies"]:
                case["policies"][argument] = case["policies"][argument] * 2

    same(*changed(seed, double), engine)


@needs_engine
@pytest.mark.parametrize("index_from", [1, 2])
@settings(max_examples=EXAMPLES)
@given(seed=strategies.SEEDS)
def test_index_on_or_off_gives_the_same_decision(seed, index_from):
    """D51: an index only leaves out statements that cannot apply; the first that does is the one reported."""
    case = strategies.ad_hoc(seed)
    off, on = (run(as_check(case | {"index_from": n}), "compiled") for n in (NEVER, index_from))
    assert difference_between(off, on) is None


@needs_engine
@settings(max_examples=few_or_all(8, 15))
@given(seed=strategies.SEEDS)
def test_index_on_or_off_gives_the_same_batch(seed):
    case = strategies.directory(seed, 30)
    off, on = (World(case | {"index_from": n}) for n in (NEVER, 1))
    for one, two in zip(off.batch(off.compile(), "numpy"), on.batch(on.compile(), "numpy"), strict=True):
        assert difference_between(one, two) is None


@for_every_case
def test_key_without_reader_keeps_decision(seed, engine):
    """C1."""

    def add(case, make):
        case["request"]["context"]["none:Reads"] = make.pick("a", ["a", "b"], 5)

    same(*changed(seed, add), engine)


# -- unknown keys ---------------------------------------------------------------------------------------------------------------


SESSION_KEYS = v.AD_HOC_ONLY - {"aws:PrincipalTag/team"}  # no unknown keys where the session determines them (D71)


@settings(max_examples=EXAMPLES)
@given(seed=strategies.SEEDS)
def test_decision_with_unknown_keys_holds_for_every_value(seed):
    """D70: a decision other than `DEPENDS` holds for the key absent and of the key with any value."""
    case = strategies.ad_hoc(seed)
    case["request"].pop("unknown", None)
    rng = random.Random(seed)
    key = rng.choice([k for k in v.KEYS if k not in SESSION_KEYS])
    case["request"]["context"] = {k: value for k, value in case["request"]["context"].items() if k.lower() != key.lower()}
    with_unknown = copy.deepcopy(case)
    with_unknown["request"]["unknown"] = [key]
    answer = run(as_check(with_unknown), "reference")
    if answer.outcome in ("DEPENDS", "ERR"):
        return
    family, multi = v.KEYS[key]
    pool = [*v.VALUES[family], *v.BAD.get(family, ())]
    for value in [None, *rng.sample(pool, 5)]:
        given_ = copy.deepcopy(case)
        if value is not None:
            given_["request"]["context"][key] = [value] if multi else value
        plain = run(as_check(given_), "reference").outcome
        assert (plain == "OK") == (answer.outcome == "OK"), f"{key} = {value!r}"


# -- batches --------------------------------------------------------------------------------------------------------------------


@needs_engine
@pytest.mark.parametrize("form", ["numpy", "arrow"])
@settings(max_examples=few_or_all(8, 15))
@given(seed=strategies.SEEDS)
def test_single_row_equals_the_same_row_in_a_batch(seed, form):
    world = World(strategies.directory(seed, 30))
    engine = world.compile()
    for row, together in zip(world.rows, world.batch(engine, form), strict=True):
        assert difference_between(world.single(engine, row), together) is None


@needs_engine
@settings(max_examples=few_or_all(8, 15))
@given(seed=strategies.SEEDS)
def test_reordered_rows_get_the_same_decisions(seed):
    case = strategies.directory(seed, 30)
    world = World(case)
    turned = World({**case, "requests": case["requests"][::-1]})
    forward, backward = world.batch(world.compile(), "numpy"), turned.batch(turned.compile(), "numpy")
    assert [a.outcome for a in forward] == [a.outcome for a in backward][::-1]


@needs_engine
@settings(max_examples=few_or_all(6, 10))
@given(seed=strategies.SEEDS)
def test_other_principals_in_directory_keep_decision(seed):
    """The other half of the scaling invariant: policies of other principals are not evaluated."""
    case = strategies.directory(seed, 20)
    more = copy.deepcopy(case)
    more["directory"]["principals"] += [
        {"arn": f"arn:aws:iam::{v.A}:user/other{i}", "identity_policies": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
        for i in range(40)
    ]
    one, two = World(case), World(resolve(more))
    for row, a, b in zip(one.rows, one.batch(one.compile(), "numpy"), two.batch(two.compile(), "numpy"), strict=True):
        assert a.outcome == b.outcome, account_of(row["principal"])
