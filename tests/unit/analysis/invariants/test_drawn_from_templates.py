"""Templates over a real account and over Acme, against requests that are drawn from the policies and from AWS's actions."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from invariant_scopes import ScopeTest
from seeds import few_or_all
from surroundings import SHARED

import fastiam
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome
from fastiam.analysis.invariants.prove_invariant import prove_invariant
from fastiam.aws_data.catalog import AwsData
from fastiam.testing.templates import expanded, find_template, template_names, without_empty_blocks

M, X = "999999999999", "333333333333"
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"]
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
PERIMETER = ["s3:*", "kms:*", "sqs:*", "sns:*", "secretsmanager:*"]
TRAIL = ["cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail", "cloudtrail:PutEventSelectors"]
OTHER_NETWORKS = {
    "NotIpAddressIfExists": {"aws:SourceIp": "198.51.100.0/24"},
    "StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-1"},
    "BoolIfExists": {"aws:ViaAWSService": "false"},
}
WITH: Mapping[str, Mapping[str, Any]] = {
    "baseline/regions": {"regions": REGIONS},
    "baseline/trail-works": {"break_glass": ["arn:aws:iam::*:role/*Admin*"]},
    "baseline/pass-admin-role": {"admin_roles": ["arn:aws:iam::*:role/*dmin*"]},
    "data-perimeter/trusted-identities-network": {"endpoints": ["vpce-1"]},
    "data-perimeter/trusted-resources-network": {"endpoints": ["vpce-1"]},
    "data-perimeter/expected-networks-identities": {"ranges": ["198.51.100.0/24"], "vpcs": ["vpc-1"]},
    "data-perimeter/expected-networks-resources": {"ranges": ["198.51.100.0/24"], "vpcs": ["vpc-1"]},
}
UNDECIDABLE = ("sts:GetCallerIdentity", "sts:GetSessionToken")  # no policy decides them: in scope only by their names
N_REQUESTS = few_or_all(2_000, 70_000)  # for each proof
SERVICES = ("s3", "kms", "sqs", "sns", "secretsmanager", "iam", "ec2", "cloudtrail", "organizations", "lambda", "dynamodb", "sts")


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def deny(actions: Any, condition: Any = None, **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": actions, "Resource": "*", **more, **({"Condition": condition} if condition else {})}


def with_organization(made: fastiam.Directory, *, strangers: bool) -> tuple[fastiam.Engine, list[str]]:
    """Return a directory as an organization whose SCPs and RCPs make most templates hold, and its accounts."""
    accounts = sorted({arn.split(":")[4] for arn, _ in made.compile().snapshot.names()})
    scps = [
        deny(TRAIL),
        deny("organizations:LeaveOrganization"),
        {"Effect": "Deny", "NotAction": find_template("baseline/regions").defaults["global_actions"], "Resource": "*",  # type: ignore[union-attr]
         "Condition": {"StringNotEquals": {"aws:RequestedRegion": REGIONS}}},
        deny(PERIMETER, {"StringNotEqualsIfExists": {"aws:ResourceOrgID": "o-1"}}),
        deny(PERIMETER, OTHER_NETWORKS),
        deny("*", {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:root"}}),
        deny("iam:PassRole", Resource="arn:aws:iam::*:role/*dmin*"),
    ]  # fmt: skip
    of_rcp = ["s3:*", "kms:*", "sqs:*", "secretsmanager:*"]
    not_of_services = {**OTHER_NETWORKS, "BoolIfExists": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}}
    foreign = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}
    rcps = [deny(of_rcp, foreign, Principal="*"), deny(of_rcp, not_of_services, Principal="*")]
    made.set_organization(
        "o-1", management_account=M, accounts=dict.fromkeys(accounts),
        scps={"r-1": [document(EVERYTHING, *scps)]}, rcps={"r-1": [document(*rcps)]},
    )  # fmt: skip
    made.add_principal(f"arn:aws:iam::{M}:user/max", identity_policies=[])
    of_organization = {"StringEquals": {"aws:PrincipalOrgID": "o-1", "aws:ResourceOrgID": "o-1"}}
    made.add_endpoint("vpce-1", policy=document({**EVERYTHING, "Principal": "*", "Condition": of_organization}))
    for name in ("one", "two"):
        opened = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
        made.add_resource(f"arn:aws:s3:::{name}", account=accounts[0], policy=document(opened))
    if strangers:
        made.add_principal(f"arn:aws:iam::{X}:user/sue", identity_policies=[document(EVERYTHING)])
        made.add_principal(f"arn:aws:iam::{X}:role/Sea", identity_policies=[document(EVERYTHING)])
    return made.compile(), accounts


def directory(name: str) -> fastiam.Directory:
    if name == "acme":
        sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "examples"))
        from acme import Acme

        acme, made = Acme(few_or_all(400, 20_000)), fastiam.Directory("lenient")
        for role in acme.roles:
            made.add_principal(role.arn, identity_policies=[role.inline, *(acme.managed[one] for one in role.managed)])
        return made
    path = SHARED / "gaad-lab-account.json.gz"
    if not path.exists():
        pytest.skip("the data of real accounts is not here")
    return fastiam.load(path)


@cache
def actions() -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """Return the actions of AWS by service, each with the ARNs of its resources."""
    data = AwsData.installed()
    return {
        service: [(one.name, tuple(kind.arn for kind in one.types)) for one in data.service(service).actions.values()]
        for service in SERVICES
    }


class Requests:
    """Requests that are drawn for a scope: its actions, names of the policies, and values near those of conditions."""

    def __init__(self, draw: random.Random, engine: fastiam.Engine, accounts: list[str], scope: Mapping[str, Any]) -> None:
        self._draw, self._accounts = draw, accounts
        wanted, excepted = (self._listed(scope.get(name)) for name in ("actions", "except_actions"))
        self._actions = [
            (name, types)
            for of_service in actions().values()
            for name, types in of_service
            if self._matches(wanted, name) and not self._matches(excepted, name) and name not in UNDECIDABLE
        ]
        self._principals = [arn for arn, _ in engine.snapshot.names()]
        of_principals = (arn.rpartition("/")[2] for arn in self._principals[:200])
        self._names = ["one/x", "two/y", "Admin", "admin", "x", "prod", *of_principals]

    @staticmethod
    def _listed(given: Any) -> list[str]:
        return [given] if isinstance(given, str) else list(given or ())

    @staticmethod
    def _matches(patterns: list[str], name: str) -> bool:
        return any(fnmatchcase(name.lower(), one.lower()) for one in patterns)

    def rows(self, number: int) -> Iterator[tuple[Any, str, str, dict[str, Any]]]:
        for _ in range(number if self._actions else 0):
            principal = self._principal()
            action, types = self._draw.choice(self._actions)
            yield principal, action, self._resource(types), self._context(principal)

    def _principal(self) -> Any:
        draw = self._draw
        form = draw.random()
        if form < 0.04:
            return "*"
        if form < 0.08:
            return draw.choice(["s3.amazonaws.com", "cloudtrail.amazonaws.com", "zq0.amazonaws.com"])
        arn = f"arn:aws:iam::{X}:{draw.choice(['user/sue', 'role/Sea'])}" if form < 0.18 else draw.choice(self._principals)
        account, _, name = arn.split(":", 4)[4].partition(":")
        if name.startswith("role/"):
            session = f"arn:aws:sts::{account}:assumed-role/{name.rpartition('/')[2]}/{draw.choice(['run', 'i-1'])}"
            kind = "SLR" if name.startswith("role/aws-service-role/") else "ROLE"
            return fastiam.Session(session, kind=kind, issuer=arn, tags=draw.choice([{}, {}, {"team": "red"}]))
        if draw.random() < 0.3:
            federated = f"arn:aws:sts::{account}:federated-user/fay"
            return fastiam.Session(federated, kind="FED", issuer=arn, policies=[document(EVERYTHING)])
        return arn

    def _resource(self, types: tuple[str, ...]) -> str:
        draw = self._draw
        if not types or draw.random() < 0.1:
            return "*"
        text = draw.choice(types).replace("${Partition}", "aws").replace("${Region}", draw.choice([*REGIONS, "ap-south-1"]))
        text = text.replace("${Account}", draw.choice([*self._accounts, M, X, draw.choice(self._accounts)]))
        while "${" in text:
            start = text.index("${")
            text = text[:start] + draw.choice(self._names) + text[text.index("}", start) + 1 :]
        return text

    def _context(self, principal: Any) -> dict[str, Any]:
        draw = self._draw
        context: dict[str, Any] = {
            "aws:RequestedRegion": draw.choice([*REGIONS, "ap-south-1"]),
            "aws:SecureTransport": draw.choice(["true", "false"]),
        }
        form = draw.random()
        if form < 0.6:
            context["aws:SourceIp"] = draw.choice(["198.51.100.7", "198.51.101.0", "198.51.99.255", "10.0.0.1", "2001:db8::1"])
        elif form < 0.9:
            vpc = draw.choice(["vpc-1", "vpc-2"])
            context |= {"aws:SourceVpce": "vpce-1", "aws:SourceVpc": vpc, "aws:VpcSourceIp": "10.0.0.1"}
        is_service = isinstance(principal, str) and principal.endswith(".amazonaws.com")
        if not is_service and principal != "*" and (form >= 0.9 or draw.random() < 0.2):
            context["aws:ViaAWSService"] = "true"
        elif form >= 0.9 and not is_service:
            context["aws:SourceIp"] = "203.0.113.1"
        if is_service and draw.random() < 0.5:
            context["aws:SourceAccount"] = draw.choice([self._accounts[0], X])
        return context


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lab", "acme"])
def test_drawn_requests_contradict_no_template_that_holds(name: str) -> None:
    engine, accounts = with_organization(directory(name), strangers=False)
    with_strangers, _ = with_organization(directory(name), strangers=True)
    owners = dict.fromkeys(("arn:aws:s3:::one", "arn:aws:s3:::two"), accounts[0])
    draw, n_proved, n_drawn = random.Random(1), 0, 0
    for template_name in template_names():
        template = find_template(template_name)
        assert template is not None
        of_organization = {"org": "o-1", "management": M, "source_arns": [f"arn:*:*:*:{one}:*" for one in accounts]}
        parameters = {**of_organization, **template.defaults, **WITH.get(template_name, {})}
        for content in template.invariants:
            scope = expanded(content, parameters).get("never")
            if scope is None:
                continue
            scope = without_empty_blocks(scope)
            result = prove_invariant(engine, Invariant(never=scope), timeout=None)
            assert result.result is not InvariantOutcome.UNDECIDED, (template_name, result.reason)
            if result.result is not InvariantOutcome.HOLDS:
                continue
            n_proved += 1
            rows = list(Requests(draw, engine, accounts, scope).rows(N_REQUESTS))
            n_drawn += len(rows)
            decisions = with_strangers.decide_each(rows)
            allowed = [row for row, decision in zip(rows, decisions, strict=True) if decision.allowed]
            in_scope = ScopeTest(scope, {*accounts, M}, owners)
            wrong = [row for row in allowed if in_scope.has(row)]
            assert not wrong, (template_name, scope, wrong[0])
    assert n_proved > 8
    assert n_drawn >= n_proved * N_REQUESTS
