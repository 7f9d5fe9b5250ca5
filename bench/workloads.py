"""What the benchmarks decide: directories and requests, seeded, each with a word on what it is like and why it is fair.

A million rows are a million different requests: small repeated batches look three times too fast. Columns come in two
forms: `coded` (dictionary arrays, as a categorical column or a Parquet file has them) and `strings` (plain text).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import fastiam

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import acme

ROWS = 1_000_000
NOW = "2026-11-25T09:00:00+00:00"
Row = tuple[str | fastiam.Session, str, str, dict[str, str]]


@dataclass(frozen=True)
class Workload:
    """Policies and requests.

    `policies_of` gives the identity policies of a principal as documents, for engines that know nothing else; `sessions`
    the sessions that the principals column names by their ARNs; `allowed` which rows are allowed, where that is known
    by construction.
    """

    name: str
    directory: fastiam.Directory
    requests: acme.Requests | None  # None: policies alone
    policies_of: Mapping[str, list[acme.Document]] = field(default_factory=dict)
    sessions: Mapping[str, fastiam.Session] = field(default_factory=dict)
    allowed: np.ndarray | None = None

    def columns(self, form: str) -> Columns:
        """The requests as Arrow columns: `coded` or `strings`."""
        make = {"coded": _coded, "strings": _strings}[form]
        asked = self.requests
        context = {key: make(column) for key, column in asked.context.items()}
        return Columns(make(asked.principal), make(asked.action), make(asked.resource), context, self.sessions)

    def table(self) -> pa.Table:
        """The requests as one table of plain text; each context key is a column."""
        columns = self.columns("strings")
        names = ["principal", "action", "resource", *columns.context]
        return pa.table([columns.principals, columns.actions, columns.resources, *columns.context.values()], names=names)


@dataclass(frozen=True)
class Columns:
    """Arrow columns as `Engine.decide_many` takes them."""

    principals: Any
    actions: Any
    resources: Any
    context: Mapping[str, Any]
    sessions: Mapping[str, fastiam.Session] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.principals)

    def rows(self, picked: np.ndarray) -> list[Row]:
        """Some rows as single requests."""
        take = pa.array(picked)
        names, *columns = (column.take(take).to_pylist() for column in (self.principals, self.actions, self.resources))
        principals = [self.sessions.get(name, name) for name in names]
        context = {key: column.take(take).to_pylist() for key, column in self.context.items()}
        keys = [{key: values[i] for key, values in context.items() if values[i] is not None} for i in range(len(picked))]
        return list(zip(principals, *columns, keys, strict=True))


def identity(n_roles: int, *, rows: int = ROWS, unique: bool = False) -> Workload:
    """Identity policies alone: `n_roles` roles of Acme ask for resources of their own accounts.

    Two inline statements a role and two of eight shared policies; repeated ARNs (about 270,000 in a million rows), or with
    `unique` every ARN occurs once. Fair to engines that know nothing but identity policies.
    """
    organization = _acme(n_roles)
    requests = organization.requests(rows)
    if unique:
        requests = _with_unique_resources(requests)
    return Workload(f"identity {n_roles:,}", _identity_directory(n_roles), requests, _documents(organization))


def layered(n_roles: int, *, rows: int = ROWS, unique: bool = False) -> Workload:
    """All layers: what `identity` has, and boundaries, session policies, SCPs, RCPs and resource policies on top.

    One role in five has a boundary, and one in ten asks through a session whose policy narrows it; every account is two
    levels below the root, with SCPs on all three; RCPs apply to every account. The buckets of two stages in three, which
    is a third of all resources, carry a policy that opens them to a partner team in another account, and some requests cross
    accounts.
    """
    organization = _acme(n_roles)
    requests = organization.requests(rows, crossing=True)
    if unique:
        requests = _with_unique_resources(requests)
    sessions = _sessions(organization)
    names = {session.issuer: arn for arn, session in sessions.items()}
    principal = acme.Column(requests.principal.codes, [names.get(arn, arn) for arn in requests.principal.values])
    requests = replace(requests, principal=principal)
    return Workload(f"layered {n_roles:,}", _layered_directory(n_roles), requests, sessions=sessions)


@dataclass(frozen=True)
class Growing:
    """What the statements of `one_principal` are about, and the requests: of tenant `i`, for resource `n`; `w` is a name of the
    tenant, some longer than others. Statement `i` takes the patterns in turn.
    """

    patterns: tuple[str, ...]
    resources: tuple[str, ...]
    key: str | None = None  # that a statement compares with the value of the tenant
    denies: int = 0  # every so manieth statement
    operator: str = "StringEquals"
    asked: str = "{i}"  # of the key
    given: str = "{i}"

    def statement(self, i: int) -> dict[str, Any]:
        """The statement of a tenant."""
        effect = "Deny" if self.denies and i % self.denies == 0 else "Allow"
        pattern = self.patterns[i % len(self.patterns)].format(i=i, w=_name(i))
        out = {"Effect": effect, "Action": "s3:GetObject", "Resource": pattern}
        return out | ({"Condition": {self.operator: {self.key: self.asked.format(i=i, w=_name(i))}}} if self.key else {})

    def resource(self, tenant: int, n: int) -> str:
        """One that the statement of a tenant matches."""
        return self.resources[tenant % len(self.resources)].format(i=tenant, n=n, w=_name(tenant))

    def context(self, tenants: np.ndarray[Any, Any]) -> dict[str, acme.Column]:
        """What the requests of some tenants give."""
        values: list[str | None] = [self.given.format(i=i, w=_name(i)) for i in range(int(tenants.max()) + 1)]
        return {self.key: acme.Column(tenants.astype(np.int32), values)} if self.key else {}


def _name(i: int) -> str:
    return f"{'the-quick-brown-fox-jumps'[: i * 7 % 25]}{i}"


_S3, _TABLE = "arn:aws:s3:::", "arn:aws:dynamodb:{region}:111111111111:table/"
_TABLES = _TABLE.format(region="eu-west-1") + "orders-{i:05d}"
GROWING = {
    "prefixes": Growing((_S3 + "data/tenant-{i:05d}/*",), (_S3 + "data/tenant-{i:05d}/object-{n}",)),
    "*-team-*": Growing((_S3 + "*-team-{i:05d}-*/reports/*",), (_S3 + "data-team-{i:05d}-eu/reports/{n}",)),
    "exact": Growing((_S3 + "data/tenant-{i:05d}",), (_S3 + "data/tenant-{i:05d}",)),
    "suffixes": Growing((_S3 + "*/tenant-{i:05d}.csv",), (_S3 + "data/{n}/tenant-{i:05d}.csv",)),
    "names": Growing((_S3 + "{w}/*",), (_S3 + "{w}/{n}",)),
    "names inside": Growing((_S3 + "*/{w}/*/x",), (_S3 + "data/{w}/{n}/x",)),
    "regions *": Growing((_TABLE.format(region="*") + "orders-{i:05d}",), (_TABLES,)),
    "regions eu-*": Growing((_TABLE.format(region="eu-*") + "orders-{i:05d}",), (_TABLES,)),
    "variables": Growing((_S3 + "${{aws:PrincipalAccount}}/t-{i:05d}/*",), (_S3 + "111111111111/t-{i:05d}/{n}",)),
    "conditions": Growing((_S3 + "data/*",), (_S3 + "data/{n}",), key="aws:RequestTag/tenant"),
}
GROWING["conditions, paths"] = replace(
    GROWING["conditions"], key="s3:prefix", operator="StringLike", asked="home/{w}/*", given="home/{w}/x"
)
GROWING["conditions, networks"] = replace(
    GROWING["conditions"], key="aws:SourceIp", operator="IpAddress", asked="2001:db8:{i:x}::/48", given="2001:db8:{i:x}::1"
)
_MIXED = [GROWING[name] for name in ("prefixes", "*-team-*", "exact", "suffixes", "names", "variables")]
GROWING["mixed"] = Growing(tuple(one.patterns[0] for one in _MIXED), tuple(one.resources[0] for one in _MIXED))
GROWING["mixed, denies"] = replace(GROWING["mixed"], denies=7)


def one_principal(n_statements: int, form: Growing = GROWING["prefixes"], *, rows: int = ROWS) -> Workload:
    """One role whose policies hold `n_statements` statements, all about the action that is asked for.

    The worst case for an engine that walks statements: each is about one of as many tenants, and requests are spread evenly over
    twice as many, so that half are denied.
    """
    arn, per_policy = "arn:aws:iam::111111111111:role/big", 50
    statements = [form.statement(i) for i in range(n_statements)]
    documents = [acme.policy(statements[i : i + per_policy]) for i in range(0, n_statements, per_policy)]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(arn, identity_policies=documents)
    tenants = np.random.default_rng(7).integers(0, n_statements * 2, rows)
    values: list[str | None] = [form.resource(t, n) for n, t in enumerate(tenants.tolist())]
    zeros = np.zeros(rows, np.int32)
    requests = acme.Requests(
        acme.Column(zeros, [arn]),
        acme.Column(zeros, ["s3:GetObject"]),
        acme.Column(np.arange(rows, dtype=np.int32), values),
        form.context(tenants),
    )
    name = f"one principal, {n_statements:,} statements"
    allowed = (tenants < n_statements) & ((tenants % form.denies != 0) if form.denies else True)
    return Workload(name, directory, requests, {arn: documents}, allowed=allowed)


@lru_cache(maxsize=4)
def _acme(n_roles: int) -> acme.Acme:
    return acme.Acme(n_roles)


@lru_cache(maxsize=2)
def _identity_directory(n_roles: int) -> fastiam.Directory:
    """Shared by workloads that differ in their requests only."""
    return _directory(_acme(n_roles))


def _documents(organization: acme.Acme) -> dict[str, list[acme.Document]]:
    return {role.arn: [role.inline, *(organization.managed[name] for name in role.managed)] for role in organization.roles}


def _directory(organization: acme.Acme, boundary: acme.Document | None = None) -> fastiam.Directory:
    directory = fastiam.Directory(quotas=None)
    for arn, document in organization.managed.items():
        directory.add_managed_policy(arn, document)
    for i, role in enumerate(organization.roles):
        bounded = boundary if boundary is not None and i % 5 == 0 else None
        directory.add_principal(role.arn, identity_policies=[("Jobs", role.inline), *role.managed], permissions_boundary=bounded)
    return directory


def _sessions(organization: acme.Acme) -> dict[str, fastiam.Session]:
    """Sessions by their ARN, of one role in ten."""
    narrow = acme.policy([{"Effect": "Allow", "NotAction": ["iam:*", "s3:Delete*"], "Resource": "*"}])
    found = {}
    for role in organization.roles[3::10]:
        account, name = role.arn.split(":")[4], role.arn.rpartition("/")[2]
        arn = f"arn:aws:sts::{account}:assumed-role/{name}/run"
        found[arn] = fastiam.Session(arn, kind="ROLE", issuer=role.arn, policies=[narrow])
    return found


@lru_cache(maxsize=2)
def _layered_directory(n_roles: int) -> fastiam.Directory:
    organization = _acme(n_roles)
    boundary = acme.policy([{"Effect": "Allow", "NotAction": ["iam:*", "ec2:Terminate*"], "Resource": "*"}])
    directory = _directory(organization, boundary)
    accounts = sorted({organization.account_of(team) for team in range(organization.n_teams)})
    directory.set_organization(
        "o-acme",
        management_account="999999999999",
        organizational_units={"ou-work": "r-1"},
        accounts=dict.fromkeys(accounts, "ou-work"),
        scps=_scps(accounts),
        rcps={"ou-work": [("Transport", _transport())]},
    )
    for team in range(organization.n_teams):
        for stage in acme.STAGES:
            bucket, account = f"arn:aws:s3:::acme-team{team}-{stage}", organization.account_of(team)
            policy = None if stage == "stage" else _bucket_policy(organization, team, bucket)
            directory.add_resource(bucket, account=account, policy=policy)
    return directory


def _scps(accounts: list[str]) -> dict[str, list[tuple[str, acme.Document]]]:
    """Policies at the root, at the unit below it and at every account; one account in four may not do everything."""
    everything = "Everything", acme.policy([{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    listed = [f"{service}:*" for service in acme.NAMES if service != "secretsmanager"]
    some = "Services", acme.policy([{"Effect": "Allow", "Action": listed, "Resource": "*"}])
    logs = {"Sid": "NoLogLoss", "Effect": "Deny", "Action": "logs:Delete*", "Resource": "*"}
    elsewhere = {"StringEquals": {"aws:RequestedRegion": "ap-southeast-2"}}
    regions = {"Sid": "Regions", "Effect": "Deny", "NotAction": ["iam:*", "s3:*"], "Resource": "*", "Condition": elsewhere}
    return {
        "r-1": [everything, ("Logs", acme.policy([logs]))],
        "ou-work": [everything, ("Regions", acme.policy([regions]))],
        **{account: [everything if i % 4 else some] for i, account in enumerate(accounts)},
    }


def _transport() -> acme.Document:
    """Requests to our resources must be encrypted on their way."""
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    return acme.policy(
        [{"Sid": "Tls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": insecure}]
    )


def _bucket_policy(organization: acme.Acme, team: int, bucket: str) -> acme.Document:
    partner = organization.account_of((team + 10) % organization.n_teams)
    return acme.policy(
        [
            {
                "Sid": "Partner",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{partner}:root"},
                "Action": ["s3:GetObject", "s3:GetObjectTagging"],
                "Resource": f"{bucket}/*",
            },
            {
                "Sid": "NoAclReads",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:GetObjectAcl",
                "Resource": f"{bucket}/*",
                "Condition": {"StringNotLike": {"aws:UserAgent": "terraform-*"}},
            },
        ]
    )


_NUMBER = re.compile(r"(?<=[/-])[0-9a-f]+(?:\.parquet|-AbCdEf)?$")  # of a resource, and the text after it


def _with_unique_resources(requests: acme.Requests) -> acme.Requests:
    """Every ARN once: the number of the row goes before that of the resource, so that the same patterns match."""
    places = [_NUMBER.search(value).start() for value in requests.resource.values]
    parts = [(value[:place], value[place:]) for value, place in zip(requests.resource.values, places, strict=True)]
    values: list[str | None] = [
        f"{parts[code][0]}{i:x}{parts[code][1]}" for i, code in enumerate(requests.resource.codes.tolist())
    ]
    unique = acme.Column(np.arange(len(requests), dtype=np.int32), values)
    return acme.Requests(requests.principal, requests.action, unique, requests.context)


def _coded(column: acme.Column) -> Any:
    present = [value for value in column.values if value is not None]
    places = {value: place for place, value in enumerate(present)}
    moved = np.array([places.get(value, -1) if value is not None else -1 for value in column.values], np.int32)[column.codes]
    return pa.DictionaryArray.from_arrays(pa.array(moved, mask=moved < 0), pa.array(present, pa.string()))


def _strings(column: acme.Column) -> Any:
    return pc.take(pa.array(column.values, pa.string()), pa.array(column.codes))
