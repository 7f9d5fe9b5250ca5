"""Vectorised evaluation of all layers in batches equals the specification evaluator for each row.

Small worlds of usual requests: users, roles and sessions of three accounts ask for buckets and queues of their own account and of
others, with boundaries, session policies, SCPs, RCPs and resource policies that fit some of them. Most go through `block_driver`.
"""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
from seeds import seeds
from specification import decision

import fastiam
from fastiam import Outcome
from fastiam.model.request import Request, read_context

ACCOUNTS = ("111111111111", "222222222222", "333333333333")
ORGANIZATION = "o-acme123456"
ACTIONS = ("s3:GetObject", "s3:PutObject", "sqs:SendMessage", "sqs:ReceiveMessage")
STARS = {"s3:GetObject": "s3:Get*", "sqs:ReceiveMessage": "sqs:*Message"}
CONDITIONS = (
    {"StringEquals": {"aws:RequestTag/team": ["red", "blue"]}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
    {"StringNotEqualsIfExists": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
    {"StringEquals": {"aws:ResourceOrgID": ORGANIZATION}},
    {"StringNotEquals": {"aws:ResourceAccount": ACCOUNTS[:2]}},
    {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}, "Bool": {"aws:SecureTransport": "true"}},
)
COLUMNS = {"aws:RequestTag/team": ("red", "blue", "green", None), "aws:SecureTransport": ("true", "false", None)}


class Made:
    """A directory from a seed, with the principals and resources in it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.resources = [f"arn:aws:s3:::{account}-{name}/{key}" for account in ACCOUNTS for name in "ab" for key in ("x/1", "y")]
        self.resources += [f"arn:aws:sqs:eu-west-1:{account}:{name}" for account in ACCOUNTS for name in ("orders", "bills")]
        self.directory = fastiam.Directory(quotas=None)
        self.callers = [self.principal(i) for i in range(12)]
        if self.rng.random() < 0.7:
            self.organize()
        for account, name in product(ACCOUNTS, "ab"):
            bucket = f"arn:aws:s3:::{account}-{name}"
            self.directory.add_resource(bucket, account=account, policy=self.resource_policy((f"{bucket}/*", f"{bucket}/x/*")))
        for account in ACCOUNTS:
            queue = f"arn:aws:sqs:eu-west-1:{account}:orders"
            self.directory.add_resource(queue, account=account, policy=self.resource_policy((queue, f"{queue}*")))

    def principal(self, i: int) -> str:
        """A user or a role."""
        account = ACCOUNTS[i % 3]
        arn = f"arn:aws:iam::{account}:{('user', 'role', 'role')[i // 3 % 3]}/p{i}"
        boundary = self.policy("Allow", ("Deny",)) if self.rng.random() < 0.5 else None
        policies = [self.policy("Allow", ("Allow", "Deny")) for _ in range(2)]
        self.directory.add_principal(arn, identity_policies=policies, permissions_boundary=boundary)
        return arn

    def organize(self) -> None:
        members = ACCOUNTS[: self.rng.choice((2, 3))]
        scps = {"r-1": [self.everything()], "ou-work": [self.everything(), self.policy("Deny", ("Deny",))]}
        if self.rng.random() < 0.6:
            scps = {target: self.level() for target in ("r-1", "ou-work", "ou-inner", *members)}
        self.directory.set_organization(
            ORGANIZATION,
            management_account="999999999999",
            organizational_units={"ou-work": "r-1", "ou-inner": "ou-work"},
            accounts=dict.fromkeys(members, "ou-inner"),
            scps=scps,
            rcps={"ou-work": [("R", self.policy("Deny", (), Principal="*"))]} if self.rng.random() < 0.6 else {},
        )

    def level(self) -> list[dict[str, Any]]:
        """The SCPs of one level: everything, or what some resources or a condition allow; perhaps a deny."""
        denies = [self.policy("Deny", ())] if self.rng.random() < 0.3 else []
        if self.rng.random() < 0.5:
            return [self.everything(), *denies]
        most = self.rng.choice(("*", ["arn:aws:s3:::*", "arn:aws:sqs:*:*:*"], ["arn:aws:s3:::1*", "arn:aws:sqs:eu-west-1:*:o*"]))
        wide: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": most}
        if self.rng.random() < 0.3:
            wide["Condition"] = self.rng.choice(CONDITIONS)
        return [{"Version": "2012-10-17", "Statement": [wide, self.statement("Allow")]}, *denies]

    def everything(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}

    def policy(self, first: str, others: tuple[str, ...], **more: Any) -> dict[str, Any]:
        effects = [first, *self.rng.choices(others, k=self.rng.randrange(3) if others else 0)]
        return {"Version": "2012-10-17", "Statement": [self.statement(effect) | more for effect in effects]}

    def statement(self, effect: str, on: tuple[str, ...] = ()) -> dict[str, Any]:
        rng = self.rng
        actions = rng.sample(ACTIONS, rng.randint(1, 4))
        everywhere = (*map(self.pattern, rng.sample(self.resources, 5)), "*", "arn:aws:s3:::*")
        resources = rng.sample(on or everywhere, rng.randint(1, 2))
        made: dict[str, Any] = {"Effect": effect, "Action": [STARS.get(one, one) for one in actions], "Resource": resources}
        if rng.random() < (0.7 if effect == "Deny" else 0.3):
            made["Condition"] = rng.choice(CONDITIONS)
        return made

    def pattern(self, resource: str) -> str:
        head, _, last = resource.rpartition("/" if "/" in resource else ":")
        inner = f"arn:aws:s3:::*{last}" if "/" in resource else f"arn:aws:sqs:*:*:{last[:3]}*"
        return self.rng.choice((resource, f"{head}*", inner, resource[:-1] + "?"))

    def resource_policy(self, on: tuple[str, ...]) -> dict[str, Any] | None:
        if self.rng.random() < 0.2:
            return None
        effects = self.rng.choices(("Allow", "Deny"), (3, 1), k=self.rng.randint(1, 3))
        return {
            "Version": "2012-10-17",
            "Statement": [self.statement(one, on) | {"Principal": self.principal_element()} for one in effects],
        }

    def principal_element(self) -> Any:
        """A principal element: all principals, some accounts, some principals, services."""
        rng = self.rng
        accounts = [rng.choice((one, f"arn:aws:iam::{one}:root")) for one in rng.sample(ACCOUNTS, rng.randint(1, 2))]
        names = rng.sample(self.callers, rng.randint(1, 3))
        service = {"Service": "s3.amazonaws.com"}
        aws = ({"AWS": one} for one in ("*", accounts, names, names[:1]))
        return rng.choice(("*", *aws, service, service | {"AWS": names[0]}))

    def sessions(self) -> dict[str, fastiam.Session]:
        """Of some roles, by ARN; half of them with policies of their own."""
        found = {}
        for role in self.callers:
            if ":role/" in role:
                account, name = role.split(":")[4], role.rpartition("/")[2]
                arn = f"arn:aws:sts::{account}:assumed-role/{name}/run"
                narrow = [self.policy("Allow", ("Allow", "Deny"))] if self.rng.random() < 0.6 else None
                found[arn] = fastiam.Session(arn, kind="ROLE", issuer=role, policies=narrow)
        return found


@pytest.mark.parametrize(("seed", "index_from"), [*((i, 8) for i in seeds(4, 30)), *((100 + i, 1) for i in seeds(2, 15))])
def test_vectorized_decision_equals_single_decision(seed: int, index_from: int) -> None:
    made = Made(seed)
    sessions = made.sessions()
    snapshot = made.directory.snapshot()
    engine = fastiam.Engine.from_snapshot(snapshot, index_from=index_from)
    rows = [
        row
        for row in product([*made.callers, *sessions], ACTIONS, [*made.resources, "*"])
        if (row[1][:2] == "s3") is ("s3" in row[2]) or row[2] == "*"
    ]
    columns = {key: [made.rng.choice(values) for _ in rows] for key, values in COLUMNS.items()}
    names, actions, resources = zip(*rows, strict=True)
    seen = set()
    expected = []
    for i, (name, action, resource) in enumerate(rows):
        context = read_context({key: values[i] for key, values in columns.items() if values[i] is not None})
        subject, target, endpoint = snapshot.profiles(sessions.get(name, name), action, resource, context)
        answer = decision(subject, target, Request(action, context, 0), endpoint=endpoint, sources=snapshot.account_facts)
        expected.append((int(answer.outcome), answer.layer, answer.statement))
        seen.add((answer.outcome, answer.layer))
    for encoded, reasons in product((False, True), (False, True, True)):
        make = (lambda values: pa.array(values).dictionary_encode()) if encoded else pa.array
        found = engine.decide_many(
            make(names), make(actions), make(resources), {key: make(values) for key, values in columns.items()},
            reasons=reasons, sessions=sessions,
        )  # fmt: skip
        if reasons:
            got = [(int(one.outcome), one.layer, one.statement) for one in found]
        else:
            got = [(outcome, *answer[1:]) for outcome, answer in zip(found.outcome.tolist(), expected, strict=True)]
        assert [(row, *pair) for row, *pair in zip(rows, got, expected, strict=True) if pair[0] != pair[1]] == []
    assert {outcome for outcome, _ in seen} == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}


ALL_ONES = "004294967295"  # the lower half of its number has no bit that is not set


@pytest.mark.parametrize("accounts", [(ALL_ONES, ACCOUNTS[0]), (ACCOUNTS[0], ALL_ONES), (ALL_ONES,)])
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_resource_policy_with_several_accounts_matches_each(accounts: tuple[str, ...], effect: str) -> None:
    """3.3: the element is first compared with the principal by half of the account id."""
    directory, bucket = fastiam.Directory(quotas=None), "arn:aws:s3:::shared"
    named = {"Effect": effect, "Principal": {"AWS": list(accounts)}, "Action": "s3:*", "Resource": f"{bucket}/*"}
    directory.add_resource(bucket, account=ALL_ONES if effect == "Deny" else "222222222222", policy={"Statement": named})
    callers = [f"arn:aws:iam::{account}:role/r" for account in (ALL_ONES, ACCOUNTS[0], ACCOUNTS[2])]
    for arn in callers:
        everything = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        directory.add_principal(arn, identity_policies=[everything])
    engine = directory.compile()
    alone = [int(engine.decide(arn, "s3:GetObject", f"{bucket}/x").outcome) for arn in callers]
    asked = callers * 30, ["s3:GetObject"] * 90, [f"{bucket}/x"] * 90
    for _ in range(3):
        assert engine.decide_many(*asked).outcome.tolist() == alone * 30
    expected = Outcome.ALLOW if effect == "Allow" else Outcome.EXPLICIT_DENY
    assert [outcome == expected for outcome in alone] == [arn.split(":")[4] in accounts for arn in callers]
