"""Acme, an invented organization: accounts, teams, roles, policies, resources, and requests as columns.

Seeded, so that the same numbers always give the same Acme. It is similar to accounts in practice: a role has two
inline statements and two shared managed policies on average; most resource patterns leave region or account open; a part
of the statements has conditions, a few deny; nine requests in ten are about resources of the caller's own team.
Used by `demo.py` and by the benchmarks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Document = dict[str, Any]

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2")
STAGES = ("dev", "stage", "prod")
ROLES_PER_TEAM = 10

# service: share of the resources, ARN (r = region, a = account, t = team, s = stage, n = number), actions
SERVICES: dict[str, tuple[float, str, str]] = {
    "s3": (
        0.46,
        "arn:aws:s3:::acme-{t}-{s}/data/{n}.parquet",
        "GetObject PutObject DeleteObject GetObjectTagging PutObjectTagging GetObjectVersion AbortMultipartUpload"
        " ListMultipartUploadParts GetObjectAcl RestoreObject",
    ),
    "dynamodb": (
        0.14,
        "arn:aws:dynamodb:{r}:{a}:table/{t}-{s}-{n}",
        "GetItem PutItem UpdateItem DeleteItem Query Scan BatchGetItem BatchWriteItem DescribeTable UpdateTable DeleteTable",
    ),
    "sqs": (
        0.08,
        "arn:aws:sqs:{r}:{a}:{t}-{s}-{n}",
        "SendMessage ReceiveMessage DeleteMessage GetQueueAttributes ChangeMessageVisibility PurgeQueue GetQueueUrl",
    ),
    "lambda": (
        0.08,
        "arn:aws:lambda:{r}:{a}:function:{t}-{s}-{n}",
        "InvokeFunction GetFunction UpdateFunctionCode UpdateFunctionConfiguration ListVersionsByFunction DeleteFunction",
    ),
    "ec2": (
        0.08,
        "arn:aws:ec2:{r}:{a}:instance/i-{n:017x}",
        "StartInstances StopInstances RebootInstances TerminateInstances ModifyInstanceAttribute CreateTags GetConsoleOutput",
    ),
    "logs": (
        0.08,
        "arn:aws:logs:{r}:{a}:log-group:/acme/{t}/{s}/{n}",
        "CreateLogStream PutLogEvents FilterLogEvents StartQuery DescribeLogStreams PutRetentionPolicy DeleteLogGroup",
    ),
    "secretsmanager": (
        0.04,
        "arn:aws:secretsmanager:{r}:{a}:secret:{t}/{s}/{n}-AbCdEf",
        "GetSecretValue DescribeSecret PutSecretValue RotateSecret DeleteSecret TagResource",
    ),
    "iam": (
        0.04,
        "arn:aws:iam::{a}:role/{t}-{s}-{n}",
        "GetRole PassRole UpdateRole AttachRolePolicy DeleteRole TagRole ListRolePolicies PutRolePolicy",
    ),
}
NAMES = tuple(SERVICES)
ACTIONS = tuple(f"{service}:{name}" for service in NAMES for name in SERVICES[service][2].split())
_COUNTS = np.array([len(SERVICES[service][2].split()) for service in NAMES])
_FIRSTS = np.cumsum(_COUNTS) - _COUNTS

CONDITIONS: tuple[Document, ...] = (
    {"StringEquals": {"aws:RequestedRegion": ["us-east-1", "eu-west-1", "eu-central-1"]}},
    {"IpAddress": {"aws:SourceIp": ["10.0.0.0/9", "198.51.100.0/24"]}},
    {"Bool": {"aws:SecureTransport": "true"}},
    {"StringLike": {"aws:UserAgent": ["aws-cli/*", "Boto3/*"]}},
    {"StringEquals": {"aws:ResourceTag/stage": ["dev", "stage"]}},
    {"StringNotEquals": {"aws:ResourceTag/stage": "prod"}, "Bool": {"aws:SecureTransport": "true"}},
)


@dataclass(frozen=True)
class Column:
    """A dictionary-encoded column: row i is `values[codes[i]]`, or null where the value is None."""

    codes: np.ndarray  # int32, (n,)
    values: list[str | None]

    def texts(self) -> list[str | None]:
        """The column written out."""
        return [self.values[code] for code in self.codes.tolist()]


@dataclass(frozen=True)
class Requests:
    """Requests as columns of equal length; `context` by condition key."""

    principal: Column
    action: Column
    resource: Column
    context: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.principal.codes)


@dataclass(frozen=True)
class Role:
    """A role with its inline policy and the names of its managed policies."""

    arn: str
    team: int
    services: frozenset[str]  # that the inline policy speaks of
    inline: Document
    managed: tuple[str, ...]


class Acme:
    """An organization of `n_roles` roles, ten to a team, ten teams to an account, with `n_resources` resources."""

    def __init__(self, n_roles: int, *, n_resources: int = 345_000, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.n_teams = max(1, n_roles // ROLES_PER_TEAM)
        self.managed = {f"arn:aws:iam::aws:policy/Acme{name}": document for name, document in _managed_policies().items()}
        self.roles = [self._role(i) for i in range(n_roles)]
        self.n_resources = n_resources
        numbers = np.random.default_rng(seed)
        shares = np.array([SERVICES[name][0] for name in NAMES])
        self._service = numbers.choice(len(NAMES), n_resources, p=shares / shares.sum())

    def account_of(self, team: int) -> str:
        """The account in which a team works."""
        return f"{100_000_000_000 + team // 10 * 1_001:012d}"

    def team_of_resource(self, n: int) -> int:
        """Resources are shared out evenly: the first ones belong to the first team."""
        return n * self.n_teams // self.n_resources

    def resource_arn(self, n: int) -> str:
        """The ARN of the n-th resource."""
        team = self.team_of_resource(n)
        template = SERVICES[NAMES[self._service[n]]][1]
        return template.format(r=REGIONS[n % 5], a=self.account_of(team), t=f"team{team}", s=STAGES[n % 3], n=n)

    def requests(self, n: int, *, crossing: bool = False, seed: int = 2) -> Requests:
        """`n` requests, most of them about what the caller works with; `crossing` lets some leave the caller's account."""
        rng = np.random.default_rng(seed)
        busy = np.minimum(rng.zipf(1.3, n) - 1, 10**9) % len(self.roles)  # some callers ask more than others
        role = np.where(rng.random(n) < 0.5, busy, rng.integers(0, len(self.roles), n)).astype(np.int32)
        resource = self._resources_for(role, crossing, rng)
        service = self._service[resource]
        action = (_FIRSTS[service] + (rng.random(n) ** 1.7 * _COUNTS[service]).astype(np.int64)).astype(np.int32)
        used, codes = np.unique(resource, return_inverse=True)
        return Requests(
            Column(role, [one.arn for one in self.roles]),
            Column(action, list(ACTIONS)),
            Column(codes.astype(np.int32), [self.resource_arn(i) for i in used.tolist()]),
            _context(n, rng),
        )

    def _resources_for(self, role: np.ndarray, crossing: bool, rng: np.random.Generator) -> np.ndarray:
        """Nine in ten of the team of the role, the others of the account or, `crossing`, of anyone.

        Of four draws the first is taken whose service the role's inline policy speaks of.
        """
        n = len(role)
        teams = np.array([one.team for one in self.roles])[role]
        speaks = np.array([[name in one.services for name in NAMES] for one in self.roles])
        account = np.minimum(teams // 10 * 10 + rng.integers(0, 10, n), self.n_teams - 1)
        other = rng.integers(0, self.n_teams, n) if crossing else account
        owner = np.where(rng.random(n) < 0.9, teams, other)
        found = self._draw(owner, rng)
        for _ in range(3):
            found = np.where(speaks[role, self._service[found]], found, self._draw(owner, rng))
        return found

    def _draw(self, teams: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A resource of each of the teams."""
        found = ((teams + rng.random(len(teams))) * self.n_resources / self.n_teams).astype(np.int64)
        return np.minimum(found, self.n_resources - 1)

    def _role(self, i: int) -> Role:
        team = i // ROLES_PER_TEAM % self.n_teams
        count = self.random.choices((1, 2, 3, 4, 8), (35, 35, 18, 9, 3))[0]
        services = self.random.choices(NAMES, [share for share, _, _ in SERVICES.values()], k=count)
        statements = [self._statement(team, service, index) for index, service in enumerate(services)]
        names = [name for name in self.managed if self.random.random() < 0.25]
        arn = f"arn:aws:iam::{self.account_of(team)}:role/team{team}/job-{i}"
        return Role(arn, team, frozenset(services), policy(statements), tuple(names))

    def _statement(self, team: int, service: str, index: int) -> Document:
        statement: Document = {"Effect": "Allow", "Action": self._actions(service), "Resource": self._patterns(service, team)}
        chance = self.random.random()
        if chance < 0.08:
            statement["Effect"] = "Deny"
        if chance < 0.06 or chance > 0.75:
            statement["Condition"] = self.random.choice(CONDITIONS)
        if self.random.random() < 0.5:
            statement["Sid"] = f"{service.capitalize()}{index}"
        return statement

    def _actions(self, service: str) -> list[str] | str:
        names = SERVICES[service][2].split()
        form = self.random.random()
        if form < 0.35:
            return f"{service}:*"
        if form < 0.5:
            return [f"{service}:{self.random.choice(names)[:3]}*", f"{service}:{self.random.choice(names)}"]
        return [f"{service}:{name}" for name in self.random.sample(names, self.random.randint(1, 5))]

    def _patterns(self, service: str, team: int) -> list[str] | str:
        template = SERVICES[service][1].replace("{n:017x}", "{n}")
        form = self.random.random()
        region = "*" if form < 0.6 else self.random.choice(REGIONS)
        account = "*" if form < 0.25 else self.account_of(team)
        stages = ("*",) if form < 0.75 else self.random.sample(STAGES, self.random.randint(1, 2))
        found = [template.format(r=region, a=account, t=f"team{team}", s=stage, n="*") for stage in stages]
        if self.random.random() < 0.2:
            found.append(self._literal(service, team))
        return found if len(found) > 1 else found[0]

    def _literal(self, service: str, team: int) -> str:
        """A literal ARN of the team that a policy names."""
        n = self.random.randrange(100_000)
        template = SERVICES[service][1]
        return template.format(r=self.random.choice(REGIONS), a=self.account_of(team), t=f"team{team}", s="prod", n=n)


def policy(statements: list[Document]) -> Document:
    """A policy document of the current version."""
    return {"Version": "2012-10-17", "Statement": statements}


def _managed_policies() -> dict[str, Document]:
    """Eight policies that roles share."""
    reads = ["s3:Get*", "s3:List*", "dynamodb:Describe*", "sqs:Get*", "lambda:List*", "ec2:Describe*", "logs:Describe*"]
    deletes = ["s3:Delete*", "dynamodb:Delete*", "sqs:DeleteQueue", "lambda:Delete*"]
    prod = ["arn:aws:s3:::acme-*-prod/*", "arn:aws:dynamodb:*:*:table/*-prod-*", "arn:aws:lambda:*:*:function:*-prod-*"]
    guard = {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/team*"}}
    return {
        "ReadOnly": policy([{"Sid": "Reads", "Effect": "Allow", "Action": reads, "Resource": "*"}]),
        "Logs": policy([{"Effect": "Allow", "Action": "logs:*", "Resource": "arn:aws:logs:*:*:log-group:/acme/*"}]),
        "Operator": policy(
            [{"Effect": "Allow", "Action": ["ec2:St*", "ec2:RebootInstances"], "Resource": "*", "Condition": guard}]
        ),
        "NoDeletes": policy([{"Sid": "NoDeletes", "Effect": "Deny", "Action": deletes, "Resource": prod}]),
        "Regions": policy(
            [
                {
                    "Sid": "OnlyOurRegions",
                    "Effect": "Deny",
                    "NotAction": ["iam:*", "s3:*"],
                    "Resource": "*",
                    "Condition": {"StringNotEquals": {"aws:RequestedRegion": list(REGIONS[:4])}},
                }
            ]
        ),
        "Invoke": policy([{"Effect": "Allow", "Action": "lambda:Invoke*", "Resource": "arn:aws:lambda:*:*:function:*-prod-*"}]),
        "Secrets": policy(
            [
                {
                    "Effect": "Allow",
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": "*",
                    "Condition": {"Bool": {"aws:SecureTransport": "true"}},
                }
            ]
        ),
        "NoSecrets": policy([{"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::acme-*-secret*/*"}]),
    }


def _context(n: int, rng: np.random.Generator) -> dict[str, Column]:
    """What a request log holds beside who, what and where."""
    addresses = [f"10.{i % 256}.{i // 256 % 256}.{i % 251}" for i in range(4_000)] + [f"203.0.113.{i}" for i in range(200)]
    agents = ["aws-cli/2.31 Python/3.13", "Boto3/1.44.8", "console.amazonaws.com", "terraform-provider-aws/6.2", None]
    tags = ["dev", "stage", "prod", None]
    return {
        "aws:SourceIp": _column(addresses, n, rng),
        "aws:RequestedRegion": _column(list(REGIONS), n, rng),
        "aws:SecureTransport": _column(["true", "true", "true", "false"], n, rng),
        "aws:UserAgent": _column(agents, n, rng),
        "aws:ResourceTag/stage": _column(tags, n, rng),
    }


def _column(values: list[Any], n: int, rng: np.random.Generator) -> Column:
    return Column(rng.integers(0, len(values), n).astype(np.int32), values)


def inline_statements(roles: list[Role]) -> Iterator[Document]:
    """All inline statements, for counting."""
    for role in roles:
        yield from role.inline["Statement"]
