"""Invariants over random records of services with resources below others, against the decisions about all of these resources."""

from __future__ import annotations

import random
from collections import Counter
from fnmatch import fnmatchcase
from typing import Any

import pytest
from seeds import seeds
from trap_world import A, B, M

import fastiam
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome
from fastiam.analysis.invariants.prove_invariant import prove_invariant

USERS = (f"arn:aws:iam::{A}:user/u", f"arn:aws:iam::{B}:user/w")
QUANTIFIERS = ("always", "sometimes")
SERVICE = "delivery.amazonaws.com"
AT = f"eu-west-1:{A}"
POINT = f"arn:aws:s3:{AT}:accesspoint/p"
# the action, records that can be there, and all resources, by service
SERVICES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "logs": (
        "logs:PutLogEvents",
        (f"arn:aws:logs:{AT}:*", f"arn:aws:logs:{AT}:log-group:g", f"arn:aws:logs:{AT}:log-group:x"),
        tuple(f"arn:aws:logs:{AT}:log-group:{name}:log-stream:{stream}" for name in ("g", "x", "/h") for stream in "st"),
    ),
    "lambda": (
        "lambda:InvokeFunction",
        (f"arn:aws:lambda:{AT}:function:f", f"arn:aws:lambda:{AT}:function:f:x", f"arn:aws:lambda:{AT}:function:f:1"),
        tuple(f"arn:aws:lambda:{AT}:function:f{end}" for end in ("", ":x", ":1", ":2")) + (f"arn:aws:lambda:{AT}:function:g",),
    ),
    "s3": (
        "s3:GetObject",
        ("arn:aws:s3:::b", "arn:aws:s3:::b/x", "arn:aws:s3:::b/y/z", POINT),
        ("arn:aws:s3:::b/x", "arn:aws:s3:::b/y/z", "arn:aws:s3:::b/w", "arn:aws:s3:::c/x", f"{POINT}/object/o"),
    ),
    "dynamodb": (
        "dynamodb:Query",
        (f"arn:aws:dynamodb:{AT}:table/t", f"arn:aws:dynamodb:{AT}:table/t/index/i"),
        tuple(f"arn:aws:dynamodb:{AT}:table/t{end}" for end in ("", "/index/i", "/index/x")),
    ),
    "codeartifact": (
        "codeartifact:DescribePackageVersion",
        (f"arn:aws:codeartifact:{AT}:domain/d", f"arn:aws:codeartifact:{AT}:repository/d/x"),
        tuple(f"arn:aws:codeartifact:{AT}:package/d/{name}/npm/ns/p" for name in ("x", "r")),
    ),
    "execute-api": (
        "execute-api:Invoke",
        ("arn:aws:apigateway:eu-west-1::/restapis/abc", "arn:aws:apigateway:eu-west-1::/restapis/x"),
        tuple(f"arn:aws:execute-api:eu-west-1:{account}:{id_}/p/GET/y" for account in (A, B) for id_ in ("abc", "x", "z")),
    ),
    "secretsmanager": (
        "secretsmanager:GetSecretValue",
        (f"arn:aws:secretsmanager:{AT}:secret:n-AbCdEf", f"arn:aws:secretsmanager:{AT}:secret:x-AbCdEf"),
        tuple(f"arn:aws:secretsmanager:{AT}:secret:{name}" for name in ("n-AbCdEf", "n-aaaaaa", "x-AbCdEf")),
    ),
}  # fmt: skip


class Places:
    """Random records of one service, with the principals and all requests about its resources."""

    def __init__(self, seed: int) -> None:
        self.random = draw = random.Random(seed)
        self.action, records, self.resources = SERVICES[draw.choice(sorted(SERVICES))]
        made = fastiam.Directory("lenient")
        made.set_organization("o-1", management_account=M, accounts={A: None, B: None})
        for user in USERS:
            made.add_principal(user, identity_policies=[self._document(False)] if draw.random() < 0.5 else [])
        self.records = draw.sample(records, draw.randint(1, len(records)))
        for arn in self.records:
            owner = A if arn.split(":")[4] == A or draw.random() < 0.7 else B
            policy = self._document(True) if draw.random() < 0.8 else None
            made.add_resource(arn, account=owner, policy=policy, tags={"k": "v"} if draw.random() < 0.2 else {})
        self.engine = made.compile()

    def _document(self, with_principal: bool) -> dict[str, Any]:
        statements = [self._statement(with_principal) for _ in range(self.random.randint(1, 2))]
        return {"Version": "2012-10-17", "Statement": statements}

    def _statement(self, with_principal: bool) -> dict[str, Any]:
        draw = self.random
        service = self.action.partition(":")[0]
        found: dict[str, Any] = {
            "Effect": "Allow" if draw.random() < 0.65 else "Deny",
            "Action": draw.choice([self.action, f"{service}:*", f"{service}:List*", "*"]),
            "Resource": self.pattern(),
        }
        if with_principal:
            found["Principal"] = draw.choice(["*", {"AWS": A}, {"AWS": list(USERS)}, {"AWS": USERS[1]}, {"Service": SERVICE}])
        return found

    def pattern(self) -> str:
        """Return a pattern of resources: everything, a resource, or one cut off somewhere."""
        draw = self.random
        text = draw.choice([*self.resources, "*"])
        if text == "*" or draw.random() < 0.3:
            return text
        start = len(":".join(text.split(":", 5)[:5])) + 1
        return text[: draw.randint(start, len(text))] + "*"

    def check(self, counts: Counter[str]) -> None:
        """Prove invariants about some principals and resources, and compare with the decisions."""
        callers = [*((user, user) for user in USERS), (SERVICE, "services"), ("*", "anonymous")]
        rows = [(caller, self.action, arn, {}) for caller, _ in callers for arn in self.resources]
        decided = [(row, one.allowed) for row, one in zip(rows, self.engine.decide_each(rows), strict=True)]
        for caller, word in callers:
            pattern = self.pattern()
            scope = {"principals": word, "actions": self.action, "resources": "known" if pattern == "*" else pattern}
            result = prove_invariant(self.engine, Invariant(never=scope), timeout=None)
            counts[result.result.value] += 1
            found = [allowed for row, allowed in decided if row[0] == caller and fnmatchcase(row[2], pattern)]
            assert not (result.holds and any(found)), (scope, self.records)
            always, sometimes = (prove_invariant(self.engine, Invariant(**{name: scope}), timeout=None) for name in QUANTIFIERS)
            assert always.vacuous or not (always.holds and not all(found)), ("always", scope, self.records)
            assert not (sometimes.result is InvariantOutcome.FAILS and any(found)), ("sometimes", scope, self.records)


@pytest.mark.parametrize("first", [8 * number for number in seeds(7, 500)])
def test_no_resource_below_a_record_contradicts_a_proof(first: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + 8):
        try:
            Places(seed).check(counts)
        except AssertionError as failed:
            raise AssertionError(f"seed {seed}") from failed
    assert counts["holds"] > 0
    assert not counts["undecided"]
