"""Deny filters: skip denies with a condition that is known to be false, and endpoints that are known to allow.

Decisions and counts of missing keys do not change."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from seeds import seeds
from specification import explained_decision

import fastiam
from fastiam import Session
from fastiam.errors import RequestValueError

A, B, X, M = "111111111111", "222222222222", "333333333333", "999999999999"  # X is a stranger
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
NOTHING: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}
USERS = [f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:user/bo", f"arn:aws:iam::{B}:user/ben", f"arn:aws:iam::{X}:user/xia"]
RUN = f"arn:aws:sts::{A}:assumed-role/Dep/run"
COPIES = [f"arn:aws:sts::{A}:assumed-role/Dep/{name}" for name in ("one", "two", "three")]
ROLES = [
    f"arn:aws:iam::{A}:role/Dep",
    f"arn:aws:iam::{B}:role/path/Far",
    f"arn:aws:iam::{A}:role/Gone",  # not stored
    f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/Linked",
]
CALLERS = [*USERS, RUN, *COPIES, ROLES[0], "s3.amazonaws.com"]  # a role itself has no session name
ON_ROLES = ["sts:AssumeRole", "sts:TagSession", "iam:PassRole", "iam:GetRole"]
RESOURCES = [f"arn:aws:sqs:eu-west-1:{account}:{name}" for account in (A, B, X) for name in ("q", "prod")] + [
    "arn:aws:s3:::bucket/k",
    "arn:aws:s3:::other/k",  # not stored
    f"arn:aws:sqs:us-east-1:{B}:q",
    f"arn:aws:iam::{A}:group/g",
    "*",
    *ROLES,
]
CONTEXT: dict[str, list[Any]] = {
    "aws:SourceIp": ["10.0.0.1", "192.0.2.7", None],
    "aws:SecureTransport": ["true", "false"],
    "aws:SourceVpce": ["vpce-1", "vpce-2", "vpce-3", None],
    "aws:RequestedRegion": ["eu-west-1", "eu-central-1", None],
    "aws:MultiFactorAuthPresent": ["true", None],
    "aws:CalledVia": [["athena.amazonaws.com"], None],
    "app:stage": ["prod", "test", None],
}
ENTRIES: list[dict[str, dict[str, Any]]] = [
    {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}},
    {"Bool": {"aws:PrincipalIsAWSService": "true"}},
    {"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}},
    {"StringEquals": {"aws:PrincipalTag/team": "red"}},
    {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/ana"}},
    {"StringNotEquals": {"aws:ResourceAccount": A}},
    {"StringNotEqualsIfExists": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
    {"NotIpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
    {"Null": {"aws:SourceAccount": "false"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "false"}},
    {"BoolIfExists": {"aws:ViaAWSService": "false"}},
    {"StringEquals": {"app:stage": "prod"}},
    {"StringEquals": {"app:stage": "${aws:PrincipalTag/team}"}},
    {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}},
    {"StringNotEquals": {"aws:ResourceTag/x": "1"}},
    {"NumericLessThan": {"app:stage": "5"}},  # no stage is a number: U
    {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}},
    {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
    {"StringEquals": {"aws:ResourceOrgID": "o-1"}},
    {"Null": {"aws:ResourceOrgID": "true"}},
    {"StringEquals": {"aws:VpceAccount": B}},
    {"StringLike": {"aws:userid": "*:t*"}},
    {"StringNotLikeIfExists": {"aws:userid": "*:${aws:username}"}},
]


ALL_BUT: list[dict[str, Any]] = [
    {"NotResource": "arn:aws:sqs:*:*:prod"},
    {"NotResource": ["arn:aws:sqs:*:*:q", "arn:aws:sqs:*:*:${app:stage}"]},
]


def a_deny(rng: random.Random, **principal: str) -> dict[str, Any]:
    """A statement of one to four conditions, on all resources, some, or all but some."""
    condition: dict[str, dict[str, Any]] = {}
    for entry in rng.sample(ENTRIES, rng.randrange(1, 5)):
        for operator, keys in entry.items():
            condition.setdefault(operator, {}).update(keys)
    about = rng.choice([{"Resource": "*"}, {"Resource": "*"}, {"Resource": "arn:aws:sqs:*:*:prod"}, *ALL_BUT])
    return {"Effect": "Deny", **principal, "Action": "*", **about, "Condition": condition}


def some_denies(rng: random.Random, least: int = 1, **principal: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [a_deny(rng, **principal) for _ in range(rng.randrange(least, 4))]}


def all_but(denies: dict[str, Any], **principal: str) -> dict[str, Any]:
    """A policy that allows everything else."""
    allow = EVERYTHING["Statement"][0] | principal
    return denies | {"Statement": [allow, *denies["Statement"]]}


def an_organization(rng: random.Random, everywhere: bool) -> fastiam.Directory:
    """Denies of SCPs and RCPs, and of all other layers, too."""
    directory = fastiam.Directory(quotas=None)
    directory.set_organization(
        "o-1",
        management_account=M,
        accounts={A: "ou-a", B: "ou-b"},
        scps={"r-1": [EVERYTHING, some_denies(rng)], "ou-a": [EVERYTHING, some_denies(rng)]},
        rcps={"r-1": [some_denies(rng, Principal="*")], "ou-b": [some_denies(rng, Principal="*")]},
    )
    for i, user in enumerate(USERS):
        own = all_but(some_denies(rng)) if everywhere else EVERYTHING
        boundary = all_but(some_denies(rng)) if everywhere and rng.random() < 0.3 else None
        tags = {"team": "red"} if i % 2 else {"team": "prod"}
        directory.add_principal(user, identity_policies=[own], tags=tags, permissions_boundary=boundary)
    own = all_but(some_denies(rng)) if everywhere else EVERYTHING
    directory.add_principal(ROLES[0], identity_policies=[own], tags={"team": "red"})
    for arn in ROLES[:2]:
        directory.add_resource(arn, policy=a_trust_policy(rng), tags={"x": "1"} if "Far" in arn else {})
    for arn in (one for one in RESOURCES if one.split(":")[2:3] in (["sqs"], ["s3"]) and "other" not in one):
        policy = all_but(some_denies(rng, 0, Principal="*") if everywhere else NOTHING, Principal="*")
        account = None if arn.startswith("arn:aws:sqs") else A
        directory.add_resource(arn.split("/")[0], account=account, policy=policy, tags={"x": "1"} if "prod" in arn else {})
    if everywhere:
        endpoint_policies = [None, all_but(some_denies(rng, 0, Principal="*"), Principal="*"), an_endpoint_policy(rng)]
        for i, policy in enumerate(rng.sample(endpoint_policies, rng.randrange(1, 4))):
            directory.add_endpoint(f"vpce-{i + 1}", policy=policy, account=rng.choice((A, B, None)), gateway=rng.random() < 0.3)
    return directory


def coded(values: list[Any]) -> Any:
    """A column of texts as codes of a dictionary, by which denies are filtered; lists stay what they are."""
    return values if any(isinstance(value, list) for value in values) else pa.array(values, pa.string()).dictionary_encode()


def a_trust_policy(rng: random.Random) -> dict[str, Any]:
    """A trust policy that allows some accounts, or all principals, to assume a role, and denies others."""
    who = rng.choice(({"AWS": "*"}, {"AWS": f"arn:aws:iam::{A}:root"}, {"AWS": [USERS[0], USERS[2]]}))
    allow: dict[str, Any] = {"Effect": "Allow", "Principal": who, "Action": "sts:*"}
    if rng.random() < 0.5:
        allow["Condition"] = rng.choice(ENTRIES[:6])
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": rng.choice(ENTRIES)}
    return {"Version": "2012-10-17", "Statement": [allow, deny] if rng.random() < 0.7 else [allow]}


def an_endpoint_policy(rng: random.Random) -> dict[str, Any]:
    """It allows what fits a condition, or some resources."""
    allow: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "*"}
    allow["Resource"] = rng.choice(("*", f"arn:aws:sqs:*:{A}:*"))
    if rng.random() < 0.7:
        allow["Condition"] = rng.choice(ENTRIES)
    return {"Version": "2012-10-17", "Statement": [allow]}


@pytest.mark.parametrize("where", ["organization", "everywhere", "everywhere, with owners"])
@pytest.mark.parametrize("seed", seeds(1, 12))
def test_pruned_denies_do_not_match(seed: int, where: str) -> None:
    """Owners that a column gives may contradict what is stored (D23): an error, in a row alone as in a batch."""
    rng = random.Random(seed)
    engine = an_organization(rng, where != "organization").compile()
    owners = [None, A, B, X, "1"] if where.endswith("owners") else [None]
    keys = rng.sample(sorted(CONTEXT), rng.randrange(2, len(CONTEXT) + 1))
    sessions = {RUN: Session(RUN, kind="ROLE", issuer=ROLES[0])}
    rows = []
    for _ in range(1500):
        who = rng.choice(CALLERS)
        given = {key: rng.choice(CONTEXT[key]) for key in keys}
        if who == RUN and "aws:MultiFactorAuthPresent" in given:
            given["aws:MultiFactorAuthPresent"] = None  # it is known to have none (K1)
        arn = rng.choice(RESOURCES)
        action = rng.choice(ON_ROLES) if arn in ROLES else f"{'sqs' if arn == '*' else arn.split(':')[2]}:Do"
        rows.append((who, action, arn, given, rng.choice(owners)))

    def decide(some: list[Any], **more: Any) -> fastiam.Decisions:
        columns = [[row[i] for row in some] for i in range(3)]
        if len(owners) > 1:
            more |= {"resource_accounts": [row[4] for row in some], "on_error": "deny"}
        context = {key: coded([row[3][key] for row in some]) for key in keys}
        return engine.decide_many(*columns, context, sessions=sessions, **more)

    def explained(who: str, action: str, arn: str, given: Any, owner: str | None) -> tuple[int, str | None]:
        try:
            decision = explained_decision(engine, sessions.get(who, who), action, arn, given, resource_account=owner)
        except RequestValueError:
            return fastiam.Outcome.ERROR, None
        return decision.outcome, str(decision.layer)

    expected: list[tuple[int, str | None]] = []
    counted: Counter[str] = Counter()
    for at in range(0, len(rows), 100):  # batches of this size memoize no truths, so that no deny is pruned
        few, explained_batch = decide(rows[at : at + 100]), decide(rows[at : at + 100], reasons=True)
        assert few.outcome.tolist() == explained_batch.outcome.tolist()
        counted.update(few.missing_keys)
        expected += zip(explained_batch.outcome.tolist(), (layer and str(layer) for layer in explained_batch.layer), strict=True)
    assert [explained(*row) for row in rows[::3]] == expected[::3]
    errors = sum(outcome == fastiam.Outcome.ERROR for outcome, _ in expected)
    assert len(rows) // 10 < errors < len(rows) * 2 // 3 if len(owners) > 1 else errors == 0
    for _ in range(3):
        found = decide(rows)
        assert found.outcome.tolist() == [outcome for outcome, _ in expected]
        assert found.missing_keys == counted
    explained_batch = decide(rows, reasons=True)
    assert [layer and str(layer) for layer in explained_batch.layer] == [layer for _, layer in expected]
    for at in range(0, len(rows), 100):  # small batches use the truths that large ones memoized
        assert decide(rows[at : at + 100]).outcome.tolist() == [outcome for outcome, _ in expected[at : at + 100]]


def test_account_moved_to_another_organization_is_reevaluated() -> None:
    directory = fastiam.Directory(quotas=None)
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:ResourceOrgID": "o-1"}}}
    directory.set_organization("o-1", management_account=M, accounts={A: "ou-a", B: "ou-b"}, scps={"r-1": [EVERYTHING]})
    directory.add_principal(USERS[0], identity_policies=[EVERYTHING | {"Statement": [EVERYTHING["Statement"][0], deny]}])
    queue = f"arn:aws:sqs:eu-west-1:{B}:q"
    allow_all = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    directory.add_resource(queue, policy={"Version": "2012-10-17", "Statement": allow_all})
    engine = directory.compile()
    rows = [USERS[0]] * 600, "sqs:Do", queue
    assert set(engine.decide_many(*rows).outcome.tolist()) == {fastiam.Outcome.ALLOW}
    directory.set_organization("o-1", management_account=M, accounts={A: "ou-a"}, scps={"r-1": [EVERYTHING]})
    later = engine.updated(directory)
    for _ in range(2):
        assert set(later.decide_many(*rows).outcome.tolist()) == {fastiam.Outcome.EXPLICIT_DENY}
        assert set(engine.decide_many(*rows).outcome.tolist()) == {fastiam.Outcome.ALLOW}


STAGE = {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:sqs:eu-west-1:*:${app:stage}-*"}
TLS = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}


@pytest.mark.parametrize("element", ["Resource", "NotResource"])
@pytest.mark.parametrize("where", ["own", "scp", "resource", "endpoint"])
def test_missing_keys_are_counted_if_another_condition_decides(where: str, element: str) -> None:
    """A variable of its pattern, of the four places that denies come from; a condition of an allow before the one that holds."""
    directory = fastiam.Directory(quotas=None)
    stage = {key if key != "Resource" else element: value for key, value in STAGE.items()}
    denies = {"Version": "2012-10-17", "Statement": [stage | TLS, {**EVERYTHING["Statement"][0], "Effect": "Deny"} | TLS]}
    any_principal = {"Principal": "*"}
    scps = {"r-1": [EVERYTHING, denies] if where == "scp" else [EVERYTHING]}
    directory.set_organization("o-1", management_account=M, accounts={A: "r-1"}, scps=scps)
    directory.add_principal(USERS[0], identity_policies=[all_but(denies) if where == "own" else EVERYTHING])
    queue = f"arn:aws:sqs:eu-west-1:{A}:q"
    if where == "resource":
        on_it = {"Version": "2012-10-17", "Statement": [one | any_principal for one in denies["Statement"]]}
        directory.add_resource(queue, policy=all_but(on_it, **any_principal))
    if where == "endpoint":
        allow = EVERYTHING["Statement"][0] | any_principal
        allows = [
            allow | {"Condition": {"StringEquals": {"app:stage": "x"}}},
            allow | {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        ]
        directory.add_endpoint("vpce-1", policy={"Version": "2012-10-17", "Statement": allows})
    engine = directory.compile()

    def missing_keys_of(n: int) -> dict[str, int]:
        context = {"aws:SecureTransport": ["true"] * n} | ({"aws:SourceVpce": ["vpce-1"] * n} if where == "endpoint" else {})
        found = engine.decide_many([USERS[0]] * n, "sqs:Do", queue, context)
        assert set(found.outcome.tolist()) == {fastiam.Outcome.ALLOW}
        return dict(found.missing_keys)

    missing_keys_of(100)  # warms the engine: a plan that is not built yet takes the general path
    assert missing_keys_of(100)["app:stage"] == 100
    assert [missing_keys_of(1000)["app:stage"] for _ in range(2)] == [1000, 1000]


def long_policy(rng: random.Random, n: int) -> dict[str, Any]:
    """Denies of which some have conditions, some patterns that begin alike, and some neither, before allows."""
    statements = []
    for i in range(n):
        deny = a_deny(rng) if rng.random() < 0.7 else {"Effect": "Deny", "Action": "*"}
        names = [f"arn:aws:sqs:*:*:{rng.choice(('prod', 'q', 'old', 'tmp'))}{i}*", f"arn:aws:sqs:eu-west-1:{A}:prod"]
        named = rng.choice([*names, names, names[:1]]) if rng.random() < 0.7 else deny.get("Resource", names[0])
        statements.append(deny if "NotResource" in deny else deny | {"Resource": named})
    allows = [
        {"Effect": "Allow", "Action": "*", "Resource": rng.choice(["*", "arn:aws:sqs:*:*:q*"])} for _ in range(rng.randrange(3))
    ]
    return {"Version": "2012-10-17", "Statement": [*statements, *allows]}


@pytest.mark.parametrize("n", [1, 2, 4, 7, 20])
@pytest.mark.parametrize("where", ["own", "resource"])
@pytest.mark.parametrize("seed", seeds(1, 4))
def test_known_false_denies_are_skipped_among_possible_ones(seed: int, where: str, n: int) -> None:
    """Without an organization, too, once rows have many of them; rows that read a missing key are counted, too."""
    rng = random.Random(f"{seed} {n}")
    directory = fastiam.Directory(quotas=None)
    for i, user in enumerate(USERS):
        own = long_policy(rng, n) if where == "own" else EVERYTHING
        directory.add_principal(user, identity_policies=[own], tags={"team": "red" if i % 2 else "prod"})
    resources = [
        f"arn:aws:sqs:{region}:{A}:{name}"
        for region in ("eu-west-1", "us-east-1")
        for name in ("prod", "q", "q3", "old1x", "tmp")
    ]
    for arn in resources if where == "resource" else ():
        policy = long_policy(rng, n)
        directory.add_resource(arn, policy=policy | {"Statement": [one | {"Principal": "*"} for one in policy["Statement"]]})
    engine = directory.compile()
    keys = rng.sample(sorted(CONTEXT), rng.randrange(3, len(CONTEXT) + 1))
    rows = [(rng.choice(USERS), rng.choice(resources), {key: rng.choice(CONTEXT[key]) for key in keys}) for _ in range(1300)]

    def decide(some: list[Any], **more: Any) -> fastiam.Decisions:
        context = {key: coded([given[key] for *_, given in some]) for key in keys}
        return engine.decide_many([who for who, *_ in some], "sqs:Do", [arn for _, arn, _ in some], context, **more)

    def reasoned(some: list[Any]) -> list[tuple[int, str, str | None]]:
        explained_batch = decide(some, reasons=True)
        return list(
            zip(explained_batch.outcome.tolist(), map(str, explained_batch.layer), explained_batch.statement, strict=True)
        )

    expected: list[tuple[int, str, str | None]] = []
    counted: Counter[str] = Counter()
    for at in range(0, len(rows), 100):  # batches of this size memoize no truths, so that no deny is pruned
        explained_batch = reasoned(rows[at : at + 100])
        few = decide(rows[at : at + 100])  # plans that are built already count in the order of statements
        assert few.outcome.tolist() == [outcome for outcome, *_ in explained_batch]
        counted.update(few.missing_keys)
        expected += explained_batch
    for (who, arn, given), found in zip(rows[::3], expected[::3], strict=True):
        one = explained_decision(engine, who, "sqs:Do", arn, given)
        assert (one.outcome, str(one.layer), one.statement and f"#{one.statement.index}") == found
    for _ in range(3):
        many = decide(rows)
        assert many.outcome.tolist() == [outcome for outcome, *_ in expected]
        assert many.missing_keys == counted
    assert reasoned(rows) == expected
    for at in range(0, len(rows), 100):
        assert reasoned(rows[at : at + 100]) == expected[at : at + 100]


def test_first_remaining_principal_deny_determines() -> None:
    """D1, D51: every second one is false for the principal, so that the others form three parts."""
    statements = []
    for i, name in enumerate(("one", "*o*", "*")):  # what one denies, so does the next
        may = {"StringLike": {"app:stage": ["prod", f"x{i}"]}}
        never = {"StringEquals": {"aws:PrincipalTag/team": f"t{i}"}}
        statements.append({"Effect": "Deny", "Action": "*", "Resource": f"arn:aws:sqs:*:*:{name}", "Condition": may})
        statements.append({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": never})
    directory = fastiam.Directory(quotas=None)
    own = {"Version": "2012-10-17", "Statement": [*statements, *EVERYTHING["Statement"]]}
    directory.add_principal(USERS[0], identity_policies=[own], tags={"team": "red"})
    engine = directory.compile()
    rows = [(name, stage) for name in ("one", "two", "six") for stage in ("prod", "x1", "x2", "test")] * 150
    arns = [f"arn:aws:sqs:eu-west-1:{A}:{name}" for name, _ in rows]
    stages = pa.array([stage for _, stage in rows])
    reasons = [
        explained_decision(engine, USERS[0], "sqs:Do", arn, {"app:stage": stage}).statement
        for arn, (_, stage) in zip(arns[:12], rows[:12], strict=True)
    ]
    assert [reason and reason.index for reason in reasons] == [0, 2, 4, 6, 2, 2, 4, 6, 4, 6, 4, 6]
    expected = [reason and f"#{reason.index}" for reason in reasons] * 150
    for column in (stages, stages.dictionary_encode()):  # the denies are filtered by the codes of a dictionary
        found = engine.decide_many([USERS[0]] * len(rows), "sqs:Do", arns, {"app:stage": column}, reasons=True)
        assert list(found.statement) == expected


def test_endpoint_whose_condition_is_known_to_be_false_denies() -> None:
    """D40: only what is known to be allowed by the endpoint passes it without a further look."""
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(USERS[0], identity_policies=[EVERYTHING])
    allow = EVERYTHING["Statement"][0] | {"Principal": "*", "Condition": {"StringEquals": {"app:stage": "prod"}}}
    directory.add_endpoint("vpce-1", policy={"Version": "2012-10-17", "Statement": allow}, account=A)
    engine, queue = directory.compile(), f"arn:aws:sqs:eu-west-1:{A}:q"
    context = {"app:stage": coded(["prod", "test", "x"] * 300), "aws:SourceVpce": coded(["vpce-1"] * 900)}
    for _ in range(3):
        assert engine.decide_many([USERS[0]] * 900, "sqs:Do", queue, context).allowed.tolist() == [True, False, False] * 300


def test_endpoint_that_denies_one_resource_allows_others() -> None:
    """D40, D1: a Deny that names a resource is read before the endpoint is passed."""
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(USERS[0], identity_policies=[EVERYTHING])
    allow = EVERYTHING["Statement"][0] | {"Principal": "*"}
    deny = allow | {"Effect": "Deny", "Resource": "arn:aws:sqs:*:*:prod"}
    directory.add_endpoint("vpce-1", policy={"Version": "2012-10-17", "Statement": [deny, allow]}, account=A)
    engine, queues = directory.compile(), [f"arn:aws:sqs:eu-west-1:{A}:{name}" for name in ("prod", "q")] * 400
    for _ in range(3):
        found = engine.decide_many([USERS[0]] * 800, "sqs:Do", queues, {"aws:SourceVpce": coded(["vpce-1"] * 800)})
        assert found.allowed.tolist() == [False, True] * 400
