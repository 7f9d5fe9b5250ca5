"""Random writes that affect other records, and requests for them, for tests of updated engines."""

from __future__ import annotations

import random
from contextlib import suppress

from directory_changes import ACCOUNTS, ASKED, A, Writer, statement

import fastiam
from fastiam import Engine
from fastiam.errors import DirectoryError

ACTIONS = [f"s3:{verb}{n}" for verb in ("Get", "Put", "Del") for n in range(6)] + ["sts:AssumeRole", "s3:ListBucket"]
USERS = [f"arn:aws:iam::{account}:user/u{n}" for account in ACCOUNTS for n in range(6)]
ROLES = [f"arn:aws:iam::{account}:role/p/r{n}" for account in ACCOUNTS for n in range(6)]
SESSIONS = [f"arn:aws:sts::{account}:assumed-role/r{n}/run" for account in ACCOUNTS for n in range(6)]
OTHERS = [*(f"arn:aws:iam::{account}:root" for account in ACCOUNTS), "*", "s3.amazonaws.com", f"arn:aws:iam::{A}:user/ghost"]
PATHS = ("", "p/", "q/r/")  # paths of a role that moves
MOVED = [f"arn:aws:iam::{A}:role/{path}m{n}" for path in PATHS for n in range(2)]
MOVED += [f"arn:aws:sts::{A}:assumed-role/m{n}/run" for n in range(2)] + [f"arn:aws-cn:iam::{A}:root"]
CALLERS = [*USERS, *ROLES, *SESSIONS, *OTHERS, *MOVED * 2]
# a resource, and what else can govern it (6.10)
GOVERNED = [
    (f"arn:aws:lambda:us-east-1:{A}:function:f:1", f"arn:aws:lambda:us-east-1:{A}:function:f"),
    (f"arn:aws:dynamodb:us-east-1:{A}:table/t/index/i", f"arn:aws:dynamodb:us-east-1:{A}:table/t"),
    (f"arn:aws:sns:us-east-1:{A}:topic:sub", f"arn:aws:sns:us-east-1:{A}:topic"),
    (f"arn:aws:glue:us-east-1:{A}:database/d", f"arn:aws:glue:us-east-1:{A}:catalog"),
    (f"arn:aws:execute-api:us-east-1:{A}:api/stage/GET/x", f"arn:aws:execute-api:us-east-1:{A}:api"),
    (f"arn:aws:s3:us-east-1:{A}:accesspoint/ap/object/x", f"arn:aws:s3:us-east-1:{A}:accesspoint/ap"),
    ("arn:aws:s3:::bucket/key", "arn:aws:s3:::bucket"),
]
CONDITIONS = [
    {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
    {"StringNotEquals": {"aws:ResourceOrgID": "o-0"}},
    {"StringEquals": {"aws:PrincipalTag/t": "2"}},
    {"StringEquals": {"aws:ResourceTag/t": "${aws:PrincipalTag/t}"}},
    {"StringEquals": {"aws:VpceAccount": A}},
]


class Changer(Writer):
    """Writes that also set conditions on what a change of something else changes, and take away what hides something."""

    def write(self) -> None:
        own = self.rng.choice((self.put_condition, self.move_role, self.move_account, self.hold, self.drop))
        if self.rng.random() < 0.4:
            with suppress(DirectoryError):
                own()
        else:
            super().write()

    def move_role(self) -> None:
        """A role deleted, and added under another path."""
        name = f"m{self.n() % 2}"
        for path in PATHS:
            arn = f"arn:aws:iam::{A}:role/{path}{name}"
            with suppress(DirectoryError):
                self.directory.delete_inline_policy(arn, "moved")
                self.directory.delete_principal(arn)
        policies = [("moved", statement(self.n()))] if self.n() else []
        self.directory.add_principal(f"arn:aws:iam::{A}:role/{self.rng.choice(PATHS)}{name}", identity_policies=policies)

    def move_account(self) -> None:
        self.directory.add_account(A, partition=self.rng.choice(("aws", "aws", "aws-cn")))

    def hold(self) -> None:
        arn = self.rng.choice(self.rng.choice(GOVERNED))
        policy = statement(self.n(), Principal="*") if self.n() else None
        self.directory.add_resource(arn, account=A, policy=policy)

    def drop(self) -> None:
        self.directory.delete_resource(self.rng.choice(self.rng.choice(GOVERNED)))

    def put_condition(self) -> None:
        stored = sorted(self.directory.snapshot().tables.entities)
        if stored:
            document = statement(self.n(), Condition=self.rng.choice(CONDITIONS))
            self.directory.put_inline_policy(self.rng.choice(stored), "conditional", document)


def requests(rng: random.Random, n: int) -> list[tuple[str, str, str, dict[str, str]]]:
    endpoints = [{}, {}, {"aws:SourceVpce": "vpce-1"}, {"aws:SourceVpce": "vpce-9"}]
    resources = [
        *ASKED,
        *ROLES,
        "*",
        "arn:aws:s3:::bkt/other",
        f"arn:aws:lambda:us-east-1:{A}:function:g",
        *(arn for arn, _ in GOVERNED),
        *(f"{arn}{rest}" for arn, _ in GOVERNED for rest in ("", "0", "/1")),  # names beside it that are never stored
    ]
    return [(rng.choice(CALLERS), rng.choice(ACTIONS), rng.choice(resources), rng.choice(endpoints)) for _ in range(n)]


def answers(engine: Engine, asked: list[tuple[str, str, str, dict[str, str]]]) -> list[object]:
    """Outcome, layer and statement of each request, or what is wrong with it."""
    found: list[object] = []
    for principal, action, resource, context in asked:
        try:
            decision = engine.decide(principal, action, resource, context)
        except fastiam.RequestValueError as error:
            found.append(str(error))
        else:
            found.append((decision, engine.is_allowed(principal, action, resource, context)))
    return found
