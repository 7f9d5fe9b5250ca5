"""Facts about access that a plan or template states, before and after it is applied.

Both sides of a change are a `Facts`. Equal keys on both sides denote the same record, so that the difference of two `Facts` is
what the change does. A document that is known only after the change is applied is a *placeholder*: it may allow and may deny
everything, by a condition on a key that is unknown in each comparison. A decision that depends on it is DEPENDS (spec 6.11).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from fastiam.directory.stored_policies import StoredPolicy, not_read_message, why_substituted
from fastiam.errors import Finding, Hint, PolicyError
from fastiam.model.policy import Policy, PolicyKind
from fastiam.model.source_map import Origin, Source
from fastiam.policy.document import read_policy

UNKNOWN_PREFIX = "plan:unknown/"  # of the condition keys of placeattachments
UNKNOWN_KEYS = UNKNOWN_PREFIX + "*"
K = TypeVar("K")
V = TypeVar("V")
_WITH_PRINCIPAL = (PolicyKind.TRUST, PolicyKind.RESOURCE, PolicyKind.RCP, PolicyKind.VPCE)


@dataclass(slots=True)
class PrincipalFacts:
    """A user or role. `boundary` is an ARN or a placeholder; `tags` is None if they are unknown."""

    boundary: str | StoredPolicy | None = None
    tags: Mapping[str, str] | None = field(default_factory=dict)


@dataclass(slots=True)
class ResourceFacts:
    """A resource. `policy` is None without one; `is_stated` is False if the plan states only that the resource exists."""

    account: str | None = None
    policy: StoredPolicy | None = None
    is_stated: bool = True


class FactTable(dict[K, V]):
    """Facts by key. `conflicts` are the keys that two resources set to different values: the last one to be applied stays."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.conflicts: list[K] = []

    def __setitem__(self, key: K, value: V) -> None:
        old = self.get(key)
        is_stated = not isinstance(old, ResourceFacts) or old.is_stated
        if key in self and old != value and is_stated:
            self.conflicts.append(key)
        super().__setitem__(key, value)


@dataclass(slots=True)
class Facts:
    """The facts of one side, by ARN or id.

    `trust` is by role, `inline` by identity and policy name, `attached` by identity and policy ARN, `members` by user and group.
    `attachments` are all identities that have a managed policy, `group_members` all users of a group: other ones lose it.
    `organization` has SCPs and RCPs by their id, `targets` pairs of the id of such a policy and of an element.
    """

    managed: FactTable[str, StoredPolicy] = field(default_factory=FactTable)
    principals: FactTable[str, PrincipalFacts] = field(default_factory=FactTable)
    trust: FactTable[str, StoredPolicy] = field(default_factory=FactTable)
    groups: FactTable[str, None] = field(default_factory=FactTable)
    inline: FactTable[tuple[str, str], StoredPolicy] = field(default_factory=FactTable)
    attached: FactTable[tuple[str, str], None] = field(default_factory=FactTable)
    members: FactTable[tuple[str, str], None] = field(default_factory=FactTable)
    attachments: FactTable[str, frozenset[str]] = field(default_factory=FactTable)
    group_members: FactTable[str, frozenset[str]] = field(default_factory=FactTable)
    resources: FactTable[str, ResourceFacts] = field(default_factory=FactTable)
    endpoints: FactTable[str, StoredPolicy | None] = field(default_factory=FactTable)
    organization: FactTable[str, StoredPolicy] = field(default_factory=FactTable)
    targets: FactTable[tuple[str, str], None] = field(default_factory=FactTable)

    def take_conflicts(self) -> list[str]:
        """Return the records that resources added so far set to different values, once."""
        found: list[str] = []
        for each in fields(self):
            table = getattr(self, each.name)
            found += [key if isinstance(key, str) else key[0] for key in table.conflicts]
            table.conflicts = []
        return found

    def without(self, other: Facts) -> Facts:
        """Return the facts whose keys the other side does not have."""
        return Facts(
            **{
                each.name: FactTable({k: v for k, v in getattr(self, each.name).items() if k not in getattr(other, each.name)})
                for each in fields(self)
            }
        )


@dataclass(slots=True)
class UndecidedFact:
    """What is known only after the change is applied, or is not compared.

    `address` names the resource in the plan or template. `about` are the ARNs of the records that it changes, if they are known.
    `key` is the condition key of its placeholder, or "".
    """

    address: str
    reason: str
    position: str = ""
    about: tuple[str, ...] = ()
    key: str = ""


@dataclass(slots=True)
class Change:
    """Both sides of a plan or template. `assumed` are the references that were assumed to be plain.

    `of_keys` are undecided only if a policy reads one of their keys, of `key_changes`.
    """

    before: Facts = field(default_factory=Facts)
    after: Facts = field(default_factory=Facts)
    undecided: list[UndecidedFact] = field(default_factory=list)
    of_keys: list[tuple[UndecidedFact, frozenset[str]]] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)


def placeholder(kind: PolicyKind, key: str, name: str, *, arn: str | None = None) -> StoredPolicy:
    """Return the document that may allow and may deny everything, depending on an unknown condition key."""
    statements = [unknown_statement(kind, effect, key) for effect in ("Allow", "Deny")]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
    return StoredPolicy(read_policy(text, kind, mode="lenient", name=name, arn=arn), text)


def unknown_statement(kind: PolicyKind, effect: str, key: str, known: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Return a statement that applies depending on an unknown key. `known` are its elements that are known."""
    statement: dict[str, Any] = {"Effect": effect, **known}
    if not {"Action", "NotAction"} & known.keys():
        statement["Action"] = "*"
    if kind is not PolicyKind.TRUST and not {"Resource", "NotResource"} & known.keys():
        statement["Resource"] = "*"
    if kind in _WITH_PRINCIPAL and not {"Principal", "NotPrincipal"} & known.keys():
        statement["Principal"] = "*"
    condition = dict(known.get("Condition", {}))
    statement["Condition"] = {**condition, "StringEquals": {**condition.get("StringEquals", {}), key: effect}}
    return statement


def unknown_key(address: str, attribute: str) -> str:
    """Return the condition key of the placeholder for an attribute of a resource."""
    text = "".join(char if char.isprintable() else "?" for char in f"{address}.{attribute}")
    return UNKNOWN_PREFIX + text


def unknown_name(address: str) -> str:
    """Return the name of an inline policy that stands for an unknown value: the directory refuses one that ends in `]`."""
    return f"{address}, known after apply"


def planned_policy(text: str, kind: PolicyKind, name: str, source: str, *, arn: str | None = None) -> StoredPolicy:
    """Parse a document that a change proposes. It may have errors that AWS accepts in existing documents.

    Raises
    ------
    PolicyError
        the document cannot be read, so that AWS would refuse it.
    """
    found: list[Finding] = []
    origin = Origin(Source(source, text))
    policy = read_policy(text, kind, mode="lenient", name=name, arn=arn, origin=origin, findings=found)
    why = why_substituted(policy, found)
    if why is not None:
        raise PolicyError([Finding(why.code, why.severity, not_read_message(name, why.message), source, "$")])
    return StoredPolicy(policy, text)


def with_option(reason: str, argument: str) -> Hint:
    """Return a reason with the argument of Python, and on the command line the option, that says what is unknown."""
    return Hint(f"{reason}: pass `{argument}`", f"{reason}: pass `--{argument.replace('_', '-')}`")


def conflict_reason(arn: str) -> str:
    """Return why two resources that set one record are undecided."""
    return f"another resource sets the same of `{arn}` to another value, and their order is not known"


def keys_of(policy: Policy) -> Iterator[str]:
    """Yield the keys of placeattachments in a policy."""
    for statement in policy.statements:
        for entry in statement.conditions:
            if entry.key.startswith(UNKNOWN_PREFIX):
                yield entry.key
