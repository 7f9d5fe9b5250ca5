"""Combining of layers (6.4, 6.5): each combination of their results is decided as by the specification, in batches and alone.

One world has a principal for each kind, identity policy, boundary and session policy, and a resource for each form of grant,
owner and profile of its service. The action chooses the result of the SCPs, and which layer denies.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from specification import explained_decision

import fastiam
from fastiam import Outcome, Session

A, B, ROOT_OF = "111111111111", "222222222222", "arn:aws:iam::{}:root"
DENYING = {
    "identity": "Denied1",
    "boundary": "Denied2",
    "session": "Denied3",
    "scp": "Denied4",
    "rcp": "Denied5",
    "resource": "Denied6",
}
VERBS = ("Get", "NoScp", *DENYING.values())  # `NoScp` is allowed by no SCP of the organizational unit
SERVICE, OIDC = "ec2.amazonaws.com", f"arn:aws:iam::{A}:oidc-provider/oidc.example.org"
LAYERS = {"none": None, "allows": True, "no allow": False}  # a boundary, or the session policies
ENDPOINTS = {"no endpoint": None, "allows": "vpce-1", "no allow": "vpce-2", "not known": "vpce-3"}


def policy(layer: str, allows: bool, **more: Any) -> dict[str, Any]:
    """A policy of a layer that denies one action, and allows all of them or another one."""
    allow = {"Effect": "Allow", "Action": "*" if allows else "sns:Publish", "Resource": "*", **more}
    denied = [f"{service}:{DENYING[layer]}" for service in ("s3", "kms")]
    return {"Version": "2012-10-17", "Statement": [allow, {"Effect": "Deny", "Action": denied, "Resource": "*", **more}]}


def limit(layer: str, states: str) -> Any:
    return None if LAYERS[states] is None else policy(layer, LAYERS[states])


class World:
    """The directory, and by kind the principals that ask."""

    def __init__(self) -> None:
        self.directory = fastiam.Directory(quotas=None)
        self.asking: dict[str, dict[str, str | Session]] = {}
        self.organize()
        for identity, boundary in product((True, False), LAYERS):
            name = f"{'I' if identity else 'n'}-{boundary.replace(' ', '-')}"
            self.add("user", name, identity, boundary)
            role = self.add("role", name, identity, boundary)
            for session in LAYERS:
                self.session("ROLE", f"{name}/{session}", f"arn:aws:sts::{A}:assumed-role/{name}/s", role, session)
                user = f"arn:aws:iam::{A}:user/{name}"
                self.session("FED", f"{name}/{session}", f"arn:aws:sts::{A}:federated-user/{name}", user, session)
        for identity in (True, False):
            linked = f"aws-service-role/x.amazonaws.com/{'I' if identity else 'n'}"
            self.add("role", linked, identity, "none", "SLR")
        root = ROOT_OF.format(A)
        self.asking["ROOT"] = {"root": root}
        for session in LAYERS:
            self.session("FED", f"root/{session}", f"arn:aws:sts::{A}:federated-user/root", root, session)
            self.session("AROOT", session, root, None, session)
        self.asking["other"] = {"service": SERVICE, "anonymous": "*", "oidc": OIDC}
        self.resources = list(self.add_resources())
        self.engine = self.directory.compile()

    def organize(self) -> None:
        limits = policy("scp", True)
        limits["Statement"][0] = {"Effect": "Allow", "NotAction": ["s3:NoScp", "kms:NoScp"], "Resource": "*"}
        rcp = policy("rcp", True, Principal="*")
        rcp["Statement"] = rcp["Statement"][1:]
        everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        self.directory.set_organization(
            "o-acme123456",
            management_account="999999999999",
            organizational_units={"ou-work": "r-1"},
            accounts={A: "ou-work", B: "ou-work"},
            scps={"r-1": [everything], "ou-work": [limits]},
            rcps={"ou-work": [("R", rcp)]},
        )
        self.directory.add_endpoint("vpce-1", account=A, policy=policy("identity", True, Principal="*"))
        self.directory.add_endpoint("vpce-2", account=A, policy=policy("identity", False, Principal="*"))

    def add(self, type_: str, name: str, identity: bool, boundary: str, kind: str = "") -> str:
        arn = f"arn:aws:iam::{A}:{type_}/{name}"
        policies = [policy("identity", identity)]
        self.directory.add_principal(arn, identity_policies=policies, permissions_boundary=limit("boundary", boundary))
        self.asking.setdefault(kind or type_.upper(), {})[name] = arn
        return arn

    def session(self, kind: str, name: str, arn: str, issuer: str | None, states: str) -> None:
        policies = limit("session", states)
        session = Session(arn, kind=kind, issuer=issuer, policies=None if policies is None else [policies])
        self.asking.setdefault(kind, {})[name] = session

    def add_resources(self) -> Iterator[str]:
        """A resource for each form of grant, in both accounts, of both profiles of 6.3."""
        names = [arn.rpartition("/")[2] for arn in self.asking["USER"].values() if isinstance(arn, str)]
        users, roles = list(self.asking["USER"].values()), [f"arn:aws:iam::{A}:role/{name}" for name in names]
        sessions = [f"arn:aws:sts::{A}:assumed-role/{name}/s" for name in names]
        federated = [f"arn:aws:sts::{A}:federated-user/{name}" for name in (*names, "root")]
        elements: dict[str, Any] = {
            "nobody": {"AWS": f"arn:aws:iam::{B}:user/other"},
            "account": {"AWS": A},
            "roles": {"AWS": roles},
            "users": {"AWS": users},
            "sessions": {"AWS": [*sessions, *federated]},
            "everybody": "*",
            "service": {"Service": SERVICE},
            "account-roles": {"AWS": [A, *roles]},
            "account-sessions": {"AWS": [*federated, A, *sessions]},
        }
        for account, (name, element) in product((A, B), elements.items()):
            bucket, key = f"arn:aws:s3:::{account}-{name}", f"arn:aws:kms:eu-west-1:{account}:key/{name}"
            for arn in (bucket, key):
                self.directory.add_resource(arn, account=account, policy=policy("resource", True, Principal=element))
            yield from (f"{bucket}/k", key)
        for account in (A, B):
            self.directory.add_resource(f"arn:aws:s3:::{account}-bare", account=account)
            yield f"arn:aws:s3:::{account}-bare/k"


@pytest.fixture(scope="module")
def world() -> World:
    return World()


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("ROLE", "FED")]


@pytest.mark.parametrize("kind", ["USER", *SLOW, "SLR", "ROOT", "AROOT", "other"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_combination_of_layers_is_decided_as_specified(world: World, kind: str, endpoint: str) -> None:
    context = {} if ENDPOINTS[endpoint] is None else {"aws:SourceVpce": ENDPOINTS[endpoint]}
    asking = world.asking[kind]
    rows = [
        (name, f"{arn.split(':')[2]}:{verb}", arn)
        for name, arn, verb in product(asking, world.resources, VERBS)
        if endpoint == "no endpoint" or verb in ("Get", "NoScp")
    ]
    expected = [explained_decision(world.engine, asking[name], action, arn, context) for name, action, arn in rows]
    wanted = [(decision.outcome, decision.layer) for decision in expected]
    found = [world.engine.decide(asking[name], action, arn, context) for name, action, arn in rows]
    assert [(row, one) for row, one, want in zip(rows, found, wanted, strict=True) if (one.outcome, one.layer) != want] == []
    names, actions, arns = zip(*rows, strict=True)
    sessions = {name: who for name, who in asking.items() if isinstance(who, Session)}
    principals = [name if name in sessions else asking[name] for name in names]
    batch = world.engine.decide_many(principals, actions, arns, context, sessions=sessions)
    assert [(row, one) for row, one, want in zip(rows, map(Outcome, batch.outcome), wanted, strict=True) if one != want[0]] == []
    batch = world.engine.decide_many(principals, actions, arns, context, sessions=sessions, reasons=True)
    differing = [(row, one) for row, one, want in zip(rows, batch, wanted, strict=True) if (one.outcome, one.layer) != want]
    assert differing == []
