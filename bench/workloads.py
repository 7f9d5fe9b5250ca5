"""What the benchmarks decide: directories and requests, seeded, each with a word on what it is like and why it is fair.

A million rows are a million different requests: small repeated batches look three times too fast. Columns come in two
forms: `coded` (dictionary arrays, as a categorical column or a Parquet file has them) and `strings` (plain text).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Workload:
    """Policies and requests.

    `policies_of` gives the identity policies of a principal as documents, for engines that know nothing else.
    """

    name: str
    directory: fastiam.Directory
    requests: acme.Requests
    policies_of: Mapping[str, list[acme.Document]] = field(default_factory=dict)

    def columns(self, form: str) -> Columns:
        """The requests as Arrow columns: `coded` or `strings`."""
        return _columns(self.requests, form)


@dataclass(frozen=True)
class Columns:
    """Arrow columns as `Engine.decide_many` takes them."""

    principals: Any
    actions: Any
    resources: Any
    context: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.principals)

    def rows(self, picked: np.ndarray) -> list[tuple[str, str, str, dict[str, str]]]:
        """Some rows as single requests."""
        take = pa.array(picked)
        columns = [column.take(take).to_pylist() for column in (self.principals, self.actions, self.resources)]
        context = {key: column.take(take).to_pylist() for key, column in self.context.items()}
        keys = [{key: values[i] for key, values in context.items() if values[i] is not None} for i in range(len(picked))]
        return list(zip(*columns, keys, strict=True))


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


def layered(n_roles: int, *, rows: int = ROWS) -> Workload:
    """All layers: what `identity` has, and boundaries, SCPs on three levels, RCPs, bucket and queue policies on top.

    One role in five has a boundary; every account lies two levels below the root; each team's buckets carry a policy
    that opens them to a partner team in another account, so that some requests cross accounts.
    """
    organization = _acme(n_roles)
    return Workload(f"layered {n_roles:,}", _layered_directory(organization), organization.requests(rows, crossing=True))


def one_principal(n_statements: int, *, rows: int = 200_000) -> Workload:
    """One role whose policies hold `n_statements` statements, all about the action that is asked for.

    The worst case for an engine that walks statements: each allows one prefix of a bucket, and requests are spread evenly.
    """
    arn = "arn:aws:iam::111111111111:role/big"
    per_policy = 50
    statements = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::data/tenant-{i:05d}/*"}
        for i in range(n_statements)
    ]
    documents = [acme.policy(statements[i : i + per_policy]) for i in range(0, n_statements, per_policy)]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(arn, identity_policies=documents)
    directory.add_resource("arn:aws:s3:::data", account="111111111111")
    rng = np.random.default_rng(7)
    tenants = rng.integers(0, n_statements * 2, rows)  # every second one is denied
    values: list[str | None] = [f"arn:aws:s3:::data/tenant-{t:05d}/object-{i}" for i, t in enumerate(tenants.tolist())]
    zeros = np.zeros(rows, np.int32)
    requests = acme.Requests(
        acme.Column(zeros, [arn]), acme.Column(zeros, ["s3:GetObject"]), acme.Column(np.arange(rows, dtype=np.int32), values), {}
    )
    return Workload(f"one principal, {n_statements:,} statements", directory, requests, {arn: documents})


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


def _layered_directory(organization: acme.Acme) -> fastiam.Directory:
    boundary = acme.policy([{"Effect": "Allow", "NotAction": ["iam:*", "ec2:Terminate*"], "Resource": "*"}])
    directory = _directory(organization, boundary)
    accounts = sorted({organization.account_of(team) for team in range(organization.n_teams)})
    everything = acme.policy([{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    root = acme.policy([{"Sid": "NoLogLoss", "Effect": "Deny", "Action": "logs:Delete*", "Resource": "*"}])
    unit = acme.policy(
        [
            {
                "Sid": "Regions",
                "Effect": "Deny",
                "NotAction": ["iam:*", "s3:*"],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestedRegion": "ap-southeast-2"}},
            }
        ]
    )
    directory.set_organization(
        "o-acme",
        management_account="999999999999",
        organizational_units={"ou-work": "r-1"},
        accounts=dict.fromkeys(accounts, "ou-work"),
        scps={"r-1": [("Everything", everything), ("Logs", root)], "ou-work": [("Everything", everything), ("Regions", unit)]},
        rcps={"ou-work": [("Transport", _transport())]},
    )
    for team in range(organization.n_teams):
        for stage in acme.STAGES:
            bucket = f"arn:aws:s3:::acme-team{team}-{stage}"
            directory.add_resource(
                bucket, account=organization.account_of(team), policy=_bucket_policy(organization, team, bucket)
            )
    return directory


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


def _with_unique_resources(requests: acme.Requests) -> acme.Requests:
    """Every ARN once: the row number goes into its last part."""
    values: list[str | None] = [
        f"{requests.resource.values[code]}/{i:x}" for i, code in enumerate(requests.resource.codes.tolist())
    ]
    unique = acme.Column(np.arange(len(requests), dtype=np.int32), values)
    return acme.Requests(requests.principal, requests.action, unique, requests.context)


def _columns(requests: acme.Requests, form: str) -> Columns:
    make = {"coded": _coded, "strings": _strings}[form]
    context = {key: make(column) for key, column in requests.context.items()}
    return Columns(make(requests.principal), make(requests.action), make(requests.resource), context)


def _coded(column: acme.Column) -> Any:
    present = [value for value in column.values if value is not None]
    places = {value: place for place, value in enumerate(present)}
    moved = np.array([places.get(value, -1) if value is not None else -1 for value in column.values], np.int32)[column.codes]
    return pa.DictionaryArray.from_arrays(pa.array(moved, mask=moved < 0), pa.array(present, pa.string()))


def _strings(column: acme.Column) -> Any:
    return pc.take(pa.array(column.values, pa.string()), pa.array(column.codes))
