"""The memo of conditions in batches: one evaluation for all rows with equal inputs; decisions do not change.

Each condition has an action of its own. Rows alternate between principals, resources and contexts that differ in one value.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from arrow_builders import HandMade
from seeds import few_or_all, seeds
from specification import decision

import fastiam
from fastiam import Outcome
from fastiam.model.request import Request, read_context

ACCOUNT, OTHER = "111111111111", "222222222222"
NOW = 1_780_000_000
AT = datetime.fromtimestamp(NOW, UTC)
TAGS = {"dept": ("red", "blue", None), "level": ("3", "5", "5")}
PRINCIPALS = [f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:user/bob", f"arn:aws:iam::{OTHER}:role/ann"]
QUEUE = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:"
TAGGED = {  # two with the same tags, and one with a tag more
    "arn:aws:s3:::tagged": {"dept": "blue"},
    f"{QUEUE}blue": {"dept": "blue"},
    f"{QUEUE}red": {"dept": "red"},
    f"{QUEUE}more": {"dept": "red", "other": "x"},
}
RESOURCES = ["arn:aws:s3:::bare/ann", *TAGGED, "arn:aws:s3:::tagged/ann", f"{QUEUE}q", "*"]  # an object has no tags of its bucket
CONTEXT: dict[str, list[str | None]] = {  # a column each, and what it may hold
    "app:dept": ["red", "blue", "ann", "", "red" * 30, "blu", None],
    "app:level": ["3", "5", "04.0", "many", None],
    "aws:SourceIp": ["10.0.0.1", "192.0.2.7", "2001:db8::1", None],
    "aws:SecureTransport": ["true", "false", None],
    "aws:UserAgent": ["ann", "x" * 56, "x" * 57, None],
    "aws:ResourceTag/dept": ["red", "blue", None],
    "aws:CalledVia": ["athena.amazonaws.com", None],
    "aws:EpochTime": [str(NOW), str(NOW - 1), None],
    "aws:MultiFactorAuthPresent": ["true", None],
    "aws:RequestTag/dept": ["red", None],
}
CONDITIONS: list[dict[str, dict[str, Any]]] = [
    {"StringEquals": {"app:dept": "red"}},
    {"StringEquals": {"app:dept": "${aws:PrincipalTag/dept}"}},
    {"StringLike": {"app:dept": ["${aws:username}*", "b*"]}},
    {"StringNotEquals": {"app:dept": ["${aws:PrincipalTag/dept, 'none'}", "ann"]}},
    {"StringEquals": {"app:dept": "${app:level}"}},
    {"StringEqualsIgnoreCase": {"app:dept": "RED"}, "NumericLessThan": {"app:level": "5"}},
    {"NumericGreaterThan": {"app:level": "4"}},  # `many` is no number: U
    {"StringEqualsIfExists": {"app:level": "${aws:PrincipalTag/level}"}},
    {"NumericEquals": {"aws:PrincipalTag/level": "5"}},
    {"StringEquals": {"aws:PrincipalTag/dept": ["red", "ann"]}},
    {"StringEquals": {"aws:PrincipalTag/dept": "${app:dept}"}},
    {"StringEquals": {"aws:ResourceTag/dept": "${aws:PrincipalTag/dept}"}},
    {"StringNotEqualsIfExists": {"aws:ResourceTag/dept": "red"}},
    {"Null": {"aws:ResourceTag/dept": "true"}},
    {"Null": {"aws:ResourceTag/other": "false"}},
    {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:*/ann"}},
    {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}},
    {"StringEquals": {"aws:PrincipalOrgID": "o-corp"}},
    {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
    {"StringEquals": {"aws:PrincipalType": "User"}},
    {"StringLike": {"aws:userid": "*"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"Bool": {"aws:ViaAWSService": "true"}},
    {"StringEquals": {"aws:CalledViaFirst": "athena.amazonaws.com"}},
    {"ForAnyValue:StringEquals": {"aws:TagKeys": ["dept", "x"]}},
    {"ForAllValues:StringLike": {"aws:TagKeys": "d*"}},
    {"DateLessThan": {"aws:CurrentTime": "2026-05-28T20:26:41Z"}},
    {"NumericLessThan": {"aws:EpochTime": str(NOW)}},
    {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
    {"StringEquals": {"aws:UserAgent": ["${aws:username}", "", "x" * 56, "x" * 57]}},
    {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}},
    {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "StringEquals": {"aws:PrincipalTag/dept": "blue"}},
    {"StringEquals": {"nobody:says": "x"}},
    {"StringNotEquals": {"nobody:says": "x"}},
    {"StringNotEquals": {"nobody:says": "${aws:username}"}, "StringEquals": {"app:dept": "red"}},
]
Row = tuple[str, str, str, dict[str, str]]


FULL = "Full", {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def statements(effect: str) -> list[dict[str, Any]]:
    made = [{"Effect": effect, "Action": f"sqs:{effect}{i}", "Resource": "*"} for i in range(len(CONDITIONS))]
    return [statement | {"Condition": condition} for statement, condition in zip(made, CONDITIONS, strict=True)]


def document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


@pytest.fixture(scope="module", params=["identity", "scp", "rcp"])
def directory(request: pytest.FixtureRequest) -> fastiam.Directory:
    """The denies are in policies of one kind; several of them apply to some actions."""
    directory = fastiam.Directory(quotas=None)
    denies = statements("Deny")
    denies += [deny | {"Action": "sqs:Both*"} for deny in denies[:12]]
    listed = [("Denies", document([{"Principal": "*"} | deny for deny in denies] if request.param == "rcp" else denies))]
    levels = {"r-1": [FULL], "ou-a": [FULL], ACCOUNT: [FULL], OTHER: [FULL]}
    directory.set_organization(
        "o-corp",
        management_account="999999999999",
        organizational_units={"ou-a": "r-1"},
        accounts=dict.fromkeys((ACCOUNT, OTHER), "ou-a"),
        scps=levels | ({"ou-a": [FULL, *listed]} if request.param == "scp" else {}),
        rcps={"ou-a": listed} if request.param == "rcp" else {},
    )
    for arn, tags in TAGGED.items():
        directory.add_resource(arn, account=ACCOUNT, tags=tags)
    policies = [document(statements("Allow")[at : at + 9]) for at in range(0, len(CONDITIONS), 9)]
    if request.param == "identity":
        policies += [document(denies[at : at + 9]) for at in range(0, len(denies), 9)]
    allow = document([{"Effect": "Allow", "Action": ["sqs:Deny*", "sqs:Both*"], "Resource": "*"}])
    for at, principal in enumerate(PRINCIPALS):
        tags = {key: value for key, values in TAGS.items() if (value := values[at]) is not None}
        directory.add_principal(principal, identity_policies=[*policies, allow], tags=tags)
    return directory


def rows(seed: int, n: int, keys: list[str]) -> list[Row]:
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        context = {key: value for key in keys if (value := rng.choice(CONTEXT[key])) is not None}
        action = f"sqs:{rng.choice(('Allow', 'Deny', 'Deny', 'Both'))}{rng.randrange(len(CONDITIONS))}"
        resource = rng.choice(RESOURCES)
        if resource in TAGGED and "aws:ResourceTag/dept" in context:
            context["aws:ResourceTag/dept"] = TAGGED[resource]["dept"]  # K1
        made.append((rng.choice(PRINCIPALS), action, resource, context))
    return made


def asked(engine: fastiam.Engine, made: list[Row], keys: list[str], form: str) -> fastiam.Decisions:
    principals, actions, resources, *values = asked_of(made, keys)
    columns = {key: pa.array(column, pa.string()) for key, column in zip(keys, values, strict=True)}
    context: dict[str, Any] = columns
    if form == "coded":
        context = {key: column.dictionary_encode() for key, column in columns.items()}
    elif form == "views":
        context = {key: column.cast(pa.string_view()) for key, column in columns.items()}
    elif form == "chunks":
        context = {key: pa.chunked_array([column[: len(made) // 2], column[len(made) // 2 :]]) for key, column in columns.items()}
    elif form == "lists":
        context = {key: column.to_pylist() for key, column in columns.items()}
    return engine.decide_many(principals, actions, resources, context, now=AT)


def asked_of(made: list[Row], keys: list[str]) -> list[list[str | None]]:
    """Principals, actions, resources and the context, column by column."""
    return [*([row[i] for row in made] for i in range(3)), *([row[3].get(key) for row in made] for key in keys)]


@pytest.mark.parametrize("data", [None, b""], ids=["no data", "no bytes of data"])
@pytest.mark.parametrize("operator", ["StringEquals", "StringNotEquals", "StringEqualsIfExists"])
def test_empty_text_is_not_null(operator: str, data: bytes | None) -> None:
    """Arrow lets a column of such texts come without a data buffer."""
    n = 1024  # enough rows that truths are memoized
    directory = fastiam.Directory(quotas=None)
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {operator: {"app:dept": ""}}}
    directory.add_principal(PRINCIPALS[0], identity_policies=[{"Version": "2012-10-17", "Statement": [statement]}])
    engine = directory.compile()
    empty = np.arange(n) % 2 == 0
    column = HandMade("u", [np.packbits(empty, bitorder="little").tobytes(), bytes(4 * n + 4), data], n, null_count=n // 2)
    found = engine.decide_many(PRINCIPALS[0], "s3:GetObject", "arn:aws:s3:::b/x", {"app:dept": column}).outcome
    for outcomes, context in ((found[empty], {"app:dept": ""}), (found[~empty], {})):
        assert set(outcomes.tolist()) == {int(engine.decide(PRINCIPALS[0], "s3:GetObject", "arn:aws:s3:::b/x", context).outcome)}


@pytest.mark.parametrize(
    "keys", [list(CONTEXT), ["app:dept", "aws:UserAgent"], ["aws:ResourceTag/dept", "aws:CalledVia"], []], ids=len
)
@pytest.mark.parametrize("seed", seeds(1, 3))
def test_memoized_conditions_equal_row_by_row_evaluation(directory: fastiam.Directory, keys: list[str], seed: int) -> None:
    engine, snapshot = directory.compile(), directory.snapshot()
    made = rows(seed, 4000, keys)
    forms = [asked(engine, made, keys, form) for form in ("coded", "plain", "views", "chunks", "lists", "coded")]
    outcomes = [found.outcome.tolist() for found in forms]
    step = few_or_all(13, 7)  # rows of every block, odd and even; what the forms make different shows in all rows
    for row in range(0, len(made), step):
        principal, action, resource, context = made[row]
        read = read_context(context)
        profiles = snapshot.profiles(principal, action, resource, read)
        who, what, endpoint = profiles
        expected = decision(who, what, Request(action, read, NOW), endpoint=endpoint, sources=snapshot.account_facts).outcome
        assert {int(expected)} == {found[row] for found in outcomes}, (principal, action, resource, context)
    assert all(found == outcomes[0] for found in outcomes)
    assert {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY} == set(outcomes[0])
    assert all(found.missing_keys == forms[0].missing_keys for found in forms)


def test_missing_key_rows_are_counted_one_by_one(directory: fastiam.Directory) -> None:
    engine = directory.compile()
    keys = ["app:dept", "aws:ResourceTag/dept"]
    made = rows(9, 700, keys)
    counts: Counter[str] = Counter()
    for row in made:
        counts.update(asked(engine, [row], keys, "plain").missing_keys)
    assert asked(engine, made, keys, "plain").missing_keys == asked(engine, made, keys, "coded").missing_keys == dict(counts)
    assert counts["nobody:says"] > 10


@pytest.mark.parametrize("account", [ACCOUNT, OTHER], ids=["own", "another's"])
@pytest.mark.parametrize("n", [1, 10, 1300])
def test_missing_key_of_several_statements_counts_a_row_once(account: str, n: int) -> None:
    pairs = (("Deny", "1"), ("Deny", "3"), ("Allow", "2"))
    made = [
        {"Effect": effect, "Action": "sqs:*", "Resource": "*", "Condition": {"StringEquals": {"nobody:says": value}}}
        for effect, value in pairs
    ]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(PRINCIPALS[0], identity_policies=[document(made)])
    engine, resource = directory.compile(), f"arn:aws:sqs:eu-west-1:{account}:q"
    for _ in range(3):
        assert engine.decide_many([PRINCIPALS[0]] * n, ["sqs:SendMessage"] * n, [resource] * n).missing_keys == {"nobody:says": n}


def test_memo_keeps_principal_truths_and_drops_the_time(directory: fastiam.Directory) -> None:
    """Truths that depend only on the principal stay memoized; truths of one batch do not."""
    made = rows(13, 2000, [])
    later = AT + timedelta(hours=1)
    columns = asked_of(made, [])
    engine = directory.compile()
    found = [engine.decide_many(*columns, now=at).outcome for at in (AT, AT, later, AT)]
    expected = [directory.compile().decide_many(*columns, now=at).outcome for at in (AT, AT, later, AT)]
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))
    assert (found[0] != found[2]).any()


ONE = f"arn:aws:iam::{ACCOUNT}:user/one"


def engine_for_one(statement: dict[str, Any]) -> fastiam.Engine:
    """Of a user with this statement alone."""
    directory = fastiam.Directory()
    directory.add_principal(ONE, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    return directory.compile()


def test_memo_of_first_condition_is_empty_before_evaluation() -> None:
    untagged = {"StringNotLike": {"aws:RequestTag/team": "a*"}}
    engine = engine_for_one({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": untagged})
    for _ in range(3):
        found = engine.decide_many([ONE] * 600, "sqs:SendMessage", "*")
        assert set(found.outcome.tolist()) == {fastiam.Outcome.EXPLICIT_DENY}


def test_memo_mfa_age_of_next_batch_is_reevaluated() -> None:
    """7.6: `aws:MultiFactorAuthAge` grows."""
    fresh = {"NumericLessThan": {"aws:MultiFactorAuthAge": "600"}}
    engine = engine_for_one({"Effect": "Allow", "Action": "sqs:*", "Resource": "*", "Condition": fresh})
    sessions = {ONE: fastiam.Session(ONE, kind="USER", mfa_at=AT)}
    for at, expected in ((AT, fastiam.Outcome.ALLOW), (AT + timedelta(hours=1), fastiam.Outcome.IMPLICIT_DENY)) * 2:
        found = engine.decide_many([ONE] * 600, "sqs:SendMessage", "*", sessions=sessions, now=at)
        assert set(found.outcome.tolist()) == {expected}


def test_later_principal_may_fix_a_new_key(directory: fastiam.Directory) -> None:
    """New sessions add their own keys in the middle of a batch."""
    engine, n = directory.compile(), 70_000  # more than a chunk
    session = f"arn:aws:sts::{OTHER}:assumed-role/ann/late"
    principals = [PRINCIPALS[2]] * n
    principals[-5:] = [session] * 5
    condition = CONDITIONS.index({"StringLike": {"aws:userid": "*"}})
    for form in (pa.array(principals), pa.array(principals).dictionary_encode()):
        found = engine.decide_many(form, f"sqs:Allow{condition}", "*", now=AT).outcome
        assert [int(engine.decide(who, f"sqs:Allow{condition}", "*", now=AT).outcome) for who in (PRINCIPALS[2], session)] == [
            found[0],
            found[-1],
        ]


def test_memoized_condition_applies_to_a_later_limit(directory: fastiam.Directory) -> None:
    """An allow reads conditions first; plans that deny by them are built in the middle of the batch."""
    engine, keys = directory.compile(), ["app:dept", "aws:SecureTransport", "aws:SourceIp"]
    made = rows(11, 256, keys)
    first = [(who, action.replace("Deny", "Allow").replace("Both", "Allow"), *rest) for who, action, *rest in made]
    expected = [asked(engine, part, keys, "coded").outcome for part in (first, made)]
    engine = directory.compile()
    turns = [np.arange(256)] * 256 + [np.arange(256, 512)] * 2048  # two chunks, and the next one
    texts = asked_of(first + made, keys)
    columns = [pa.array(column, pa.string()).dictionary_encode().take(pa.array(np.concatenate(turns))) for column in texts]
    context = dict(zip(keys, columns[3:], strict=True))
    found = engine.decide_many(*columns[:3], context, now=AT).outcome.reshape(-1, 256)
    assert (found[:256] == expected[0]).all()
    assert (found[256:] == expected[1]).all()


def test_known_false_limits_are_evicted_with_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are dropped between two chunks, conditions get other bits; the next batch uses the truths of the principal."""

    red = {"StringEquals": {"aws:PrincipalTag/dept": "red"}}
    prod, dev = ({"StringEquals": {"app:env": env}} for env in ("prod", "dev"))
    directory = fastiam.Directory(quotas=None)
    denies = [("s3", prod), ("sqs", dev), ("sns", red), ("kms", {"StringEquals": {"aws:PrincipalTag/dept": "blue"}})]
    limits = [{"Effect": "Deny", "Action": f"{name}:*", "Resource": "*", "Condition": condition} for name, condition in denies]
    directory.set_organization(
        "o-corp", management_account="999999999999", accounts={ACCOUNT: "r-1"}, scps={"r-1": [FULL, ("L", document(limits))]}
    )
    allows = [
        {"Effect": "Allow", "Action": [f"{name}:*" for name, _ in denies], "Resource": "*"},
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*", "Condition": prod},
        {"Effect": "Allow", "Action": "ec2:*", "Resource": "*", "Condition": red},
    ]
    directory.add_principal(PRINCIPALS[1], identity_policies=[document(allows)], tags={"dept": "blue"})
    engine = directory.compile()
    drops = iter([engine.resolver.compiler.drop])
    monkeypatch.setattr(engine.resolver, "enforce_cache_bound", lambda needed=0: next(drops, lambda: None)())
    before, after = (
        ["s3:GetObject", "sqs:Send", "sns:Publish", "kms:Decrypt"],
        ["dynamodb:Get", "ec2:Run", "sqs:Send", "kms:Decrypt"],
    )
    parts = [(action, env) for actions in (before, after) for action in actions for env in ("prod", "dev")]
    places = np.concatenate([np.tile(np.arange(8), 8192), np.tile(np.arange(8, 16), 16384)])  # a chunk, and two others
    actions, envs = (pa.array(column).dictionary_encode().take(pa.array(places)) for column in zip(*parts, strict=True))
    expected = [int(directory.compile().decide(PRINCIPALS[1], action, "*", {"app:env": env}).outcome) for action, env in parts]
    assert expected[:8].count(Outcome.EXPLICIT_DENY) == expected[8:].count(Outcome.EXPLICIT_DENY) + 1 == 4
    for _ in range(2):
        found = engine.decide_many(PRINCIPALS[1], actions, "*", {"app:env": envs}).outcome
        assert (found == np.array(expected)[places]).all()
    assert engine.stats()["generation"] > 0


@pytest.mark.parametrize("form", ["coded", "plain"])
def test_resource_tag_equals_principal_tag_decides_per_row(form: str) -> None:
    """VR6: principal and resource determine the result together. One session has a tag of its own."""
    teams = ["red", "blue", "grey", None]
    roles = [f"arn:aws:iam::{ACCOUNT}:role/{team}" for team in teams]
    queues = [f"{QUEUE}{team}{number}" for team in teams for number in range(3)]
    directory = fastiam.Directory(quotas=None)
    condition = {"StringEquals": {"aws:ResourceTag/dept": "${aws:PrincipalTag/dept}"}}
    deny = {"Null": {"aws:ResourceTag/dept": "true"}, "StringEquals": {"aws:PrincipalTag/dept": "blue"}}
    statements = [
        {"Effect": "Allow", "Action": "sqs:*", "Resource": "*", "Condition": condition},
        {"Effect": "Deny", "Action": "sqs:*", "Resource": "*", "Condition": deny},
    ]
    for role, team in zip(roles, teams, strict=True):
        directory.add_principal(role, identity_policies=[document(statements)], tags={"dept": team} if team else {})
    for queue, team in zip(queues, [team for team in teams for _ in range(3)], strict=True):
        directory.add_resource(queue, account=ACCOUNT, tags={"dept": team} if team else {"other": "red"})
    names = [f"arn:aws:sts::{ACCOUNT}:assumed-role/red/{name}" for name in ("bare", "tagged")]
    sessions = {
        names[1]: fastiam.Session(names[1], kind="ROLE", issuer=roles[0], tags={"dept": "blue"}),
    }
    engine = directory.compile()
    rng = np.random.default_rng(3)
    made = [(name, queue) for name in (*roles, *names) for queue in queues]
    expected = np.array([int(engine.decide(sessions.get(name, name), "sqs:Send", queue).outcome) for name, queue in made])
    assert set(expected.tolist()) == {Outcome.IMPLICIT_DENY, Outcome.ALLOW, Outcome.EXPLICIT_DENY}
    for _ in range(3):
        picked = rng.integers(0, len(made), 5000)
        columns = [pa.array([made[i][at] for i in picked]) for at in range(2)]
        principals, resources = [column.dictionary_encode() for column in columns] if form == "coded" else columns
        found = engine.decide_many(principals, "sqs:Send", resources, sessions=sessions)
        assert (found.outcome == expected[picked]).all()
