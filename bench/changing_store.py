"""A store whose policies change every second, requests about what changes, and the answers of the specification evaluator.

Two accounts of an organization with users in groups, permissions boundaries, tags, resource policies and control policies. Each
change is one transaction: it changes what some of the requests are about and the statement that names the change, which the
first request is about.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastiam
from fastiam.model.request import Request, read_context
from fastiam.spec import decide

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import acme

A, B, MANAGEMENT = "111111111111", "222222222222", "999999999999"
UNITS = ("ou-work", "ou-lab")
USERS = tuple(f"arn:aws:iam::{account}:user/u{n}" for account in (A, B) for n in range(4))
BUCKETS = tuple(f"arn:aws:s3:::bucket-{n}" for n in range(4))
MARKER = f"arn:aws:iam::{A}:user/marker"
ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
_BOUNDARY = f"arn:aws:iam::{A}:policy/Boundary"
_EVERYTHING = acme.policy([{"Effect": "Allow", "Action": "*", "Resource": "*"}])

Asked = tuple[str, str, str, dict[str, str]]
Expected = tuple[bool, str, str]  # decision, outcome, layer


@dataclass(frozen=True)
class Change:
    """One change: its number, the instants before and after its commit (ns), and what the requests are answered from then on."""

    number: int
    began: int
    ended: int
    expected: tuple[Expected, ...]


def requests() -> list[Asked]:
    """All requests. The first one is answered by the statement that names the change."""
    found: list[Asked] = [(MARKER, "marker:Ask", "*", {})]
    for n, user in enumerate(USERS):
        for m, bucket in enumerate(BUCKETS):
            action = ACTIONS[(n + m) % len(ACTIONS)]
            address = "10.0.0.1" if (n + m) % 2 else "192.0.2.1"
            found.append((user, action, f"{bucket}/k{n}", {"aws:SourceIp": address}))
    return found


def statement(effect: str, action: str, resource: str = "*", **more: Any) -> acme.Document:
    """A policy of one statement."""
    return acme.policy([{"Effect": effect, "Action": action, "Resource": resource, **more}])


class ChangingStore:
    """Writes the store, one change after the other."""

    def __init__(self, path: Path, roles: int, seed: int = 1) -> None:
        self.requests = requests()
        self._random = random.Random(seed)
        self._directory = fastiam.Directory.open(path, quotas=None)
        with self._directory.transaction():
            self._fill(roles)
            self._mark(0)
        self._change = 0

    def close(self) -> None:
        """Close the store."""
        self._directory.close()

    def _fill(self, roles: int) -> None:
        directory = self._directory
        directory.set_organization(
            "o-changes",
            management_account=MANAGEMENT,
            organizational_units=dict.fromkeys(UNITS, "r-1"),
            accounts={A: UNITS[0], B: UNITS[1]},
        )
        directory.add_managed_policy(_BOUNDARY, statement("Allow", "s3:*", f"{BUCKETS[0]}*"))
        for account in (A, B):
            directory.add_group("all", [("own", statement("Allow", "s3:Get*"))], account=account)
        for user in USERS:
            directory.add_principal(user, groups=["all"], tags={"team": "0"})
        directory.add_principal(MARKER)
        for n, bucket in enumerate(BUCKETS):
            directory.add_resource(bucket, account=(A, B)[n % 2])
        others = acme.Acme(roles)
        for arn, document in others.managed.items():
            directory.add_managed_policy(arn, document)
        for role in others.roles:
            directory.add_principal(role.arn, identity_policies=[("Jobs", role.inline), *role.managed])

    # -- changes ----------------------------------------------------------------------------------------------------------

    def change(self) -> Change:
        """Make the next change."""
        self._change += 1
        began = time.monotonic_ns()
        with self._directory.transaction():
            self._random.choice(self._changes())()
            self._mark(self._change)
        return Change(self._change, began, time.monotonic_ns(), self.answers())

    def first(self) -> Change:
        """The state before any change."""
        return Change(0, 0, 0, self.answers())

    def answers(self) -> tuple[Expected, ...]:
        """What the specification evaluator answers now."""
        snapshot = self._directory.snapshot()
        return tuple(_expected(snapshot, request) for request in self.requests)

    def _changes(self) -> list[Callable[[], None]]:
        return [
            self._inline,
            self._group,
            self._boundary,
            self._tags,
            self._resource,
            self._control,
            self._unit,
            self._membership,
            self._again,
        ]

    def _mark(self, number: int) -> None:
        document = acme.policy([{"Sid": f"Change{number}", "Effect": "Deny", "Action": "marker:Ask", "Resource": "*"}])
        self._directory.put_inline_policy(MARKER, "marker", document)

    def _user(self) -> str:
        return self._random.choice(USERS)

    def _document(self) -> acme.Document:
        effect, action = self._random.choice(["Allow", "Allow", "Deny"]), self._random.choice([*ACTIONS, "s3:*"])
        conditions: list[Any] = [{}, {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]
        conditions.append({"Condition": {"StringEquals": {"aws:PrincipalTag/team": "1"}}})
        return statement(
            effect, action, f"{self._random.choice([*BUCKETS, 'arn:aws:s3:::*'])}*", **self._random.choice(conditions)
        )

    def _inline(self) -> None:
        self._directory.put_inline_policy(self._user(), "own", self._document())

    def _group(self) -> None:
        group = f"arn:aws:iam::{self._random.choice([A, B])}:group/all"
        self._directory.put_inline_policy(group, "own", self._document())

    def _boundary(self) -> None:
        user = self._random.choice([user for user in USERS if f":{A}:" in user])
        if self._directory.tables.entities[user].boundary is None:
            self._directory.set_permissions_boundary(user, _BOUNDARY)
        else:
            self._directory.delete_permissions_boundary(user)

    def _tags(self) -> None:
        self._directory.tag(self._user(), {"team": self._random.choice("01")})

    def _resource(self) -> None:
        policy = {**self._document()}
        policy["Statement"] = [{**policy["Statement"][0], "Principal": {"AWS": self._random.choice([*USERS, "*"])}}]
        self._directory.set_resource_policy(self._random.choice(BUCKETS), self._random.choice([policy, policy, None]))

    def _control(self) -> None:
        unit, deny = self._random.choice(UNITS), statement("Deny", self._random.choice(ACTIONS))
        organization = self._directory.tables.organization
        assert organization is not None
        if any(policy.name == "change" for policy in organization.scps.get(unit, ())):
            self._directory.detach_scp(unit, "change")
        else:
            self._directory.attach_scp(unit, ("change", deny))

    def _unit(self) -> None:
        self._directory.move(self._random.choice([A, B]), self._random.choice(UNITS))

    def _membership(self) -> None:
        user = self._user()
        group = f"arn:aws:iam::{user.split(':')[4]}:group/all"
        if self._directory.tables.entities[user].groups:
            self._directory.remove_user_from_group(user, group)
        else:
            self._directory.add_user_to_group(user, group)

    def _again(self) -> None:
        """Another user of the same name."""
        user = self._random.choice([user for user in USERS if f":{B}:" in user])
        for name in [policy.name for policy in self._directory.tables.entities[user].inline]:
            self._directory.delete_inline_policy(user, name)
        for group in self._directory.tables.entities[user].groups:
            self._directory.remove_user_from_group(user, group)
        self._directory.delete_principal(user)
        self._directory.add_principal(user, identity_policies=[("own", self._document())], tags={"team": "1"})


def _expected(snapshot: Any, request: Asked) -> Expected:
    principal, action, resource, context = request
    read = read_context(context)
    subject, target, endpoint = snapshot.profiles(principal, action, resource, read)
    request = Request(action, read, time.time())
    decision = decide(subject, target, request, endpoint=endpoint, sources=snapshot.account_facts).decision
    return decision.allowed, decision.outcome.name, decision.layer.value


def batches(size: int) -> Iterator[list[int]]:
    """Indices of the requests in groups, each of which begins with the first request."""
    count = len(requests())
    for start in range(1, count, size - 1):
        yield [0, *range(start, min(start + size - 1, count))]
