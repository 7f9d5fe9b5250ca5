"""An organisation: its tree, its delegated administrators, and the policies attached to each element (spec 6.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from types import NoneType

from fastiam.directory.stored_policies import FULL_ACCESS, StoredLevels, StoredPolicy
from fastiam.errors import DirectoryError, did_you_mean
from fastiam.model.arn import is_account
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten

IAM_SERVICE = "iam.amazonaws.com"
SCP_TYPE, RCP_TYPE = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
FULL_ACCESS_ID = "p-FullAWSAccess"
_FULL_ACCESS_DESCRIPTION = "Allows access to every operation"
_OPEN_FOR = timedelta(days=15)  # of an invitation
POLICY_TYPES = frozenset((SCP_TYPE, RCP_TYPE))


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """An SCP or RCP under the id that Organizations gives it, attached to elements or not. It is attached as `document`."""

    id: str
    document: StoredPolicy
    description: str = ""

    @property
    def type(self) -> str:
        """`SERVICE_CONTROL_POLICY` or `RESOURCE_CONTROL_POLICY`."""
        return SCP_TYPE if self.document.kind is PolicyKind.SCP else RCP_TYPE


@dataclass(frozen=True, slots=True)
class FailedAccount:
    """A CreateAccount that has failed: the name that the account was to have, why, and when."""

    name: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Handshake:
    """An invitation of an account to the organization.

    Attributes
    ----------
    account
        the invited account; "" if an address was invited that no account has, `email`.
    tags
        that the account gets when it joins.
    state
        `OPEN`, `ACCEPTED`, `DECLINED` or `CANCELED`; `state_at` knows as well whether it has expired.
    """

    id: str
    account: str
    requested: datetime
    email: str = ""
    notes: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    state: str = "OPEN"

    @property
    def expires(self) -> datetime:
        """When it can no longer be accepted."""
        return self.requested + _OPEN_FOR

    def state_at(self, now: datetime) -> str:
        """The state at an instant, also `EXPIRED`."""
        return "EXPIRED" if self.state == "OPEN" and now >= self.expires else self.state


@dataclass(frozen=True, slots=True)
class Organization:
    """One organisation.

    Attributes
    ----------
    parents
        parent of each organisational unit and account, up to the root.
    delegated
        services that an account administers for the organisation.
    scps, rcps
        policies by element: root, unit or account. An element without an entry has `FullAWSAccess` as its one SCP (G5), and
        `RCPFullAWSAccess` as its one RCP (G3), which is omitted: RCPs only deny (D13).
    names
        of organisational units, by id.
    tags
        of the root, units, accounts and policies, by id.
    services
        AWS services that may act in the accounts, and since when.
    policies
        the policies that have an id of their own, by it. `control_policies` has all.
    failed_accounts
        accounts that were not created, by the id of the request; the last 100 of 90 days.
    handshakes
        invitations of accounts, by id; of those that have ended the last 100.
    """

    id: str
    root: str
    management_account: str | None = None
    parents: Mapping[str, str] = field(default_factory=dict)
    delegated: Mapping[str, frozenset[str]] = field(default_factory=dict)
    scps: Mapping[str, tuple[StoredPolicy, ...]] = field(default_factory=dict)
    rcps: Mapping[str, tuple[StoredPolicy, ...]] = field(default_factory=dict)
    policy_types: frozenset[str] = POLICY_TYPES
    names: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    services: Mapping[str, datetime] = field(default_factory=dict)
    policies: Mapping[str, ControlPolicy] = field(default_factory=dict)
    failed_accounts: Mapping[str, FailedAccount] = field(default_factory=dict)
    handshakes: Mapping[str, Handshake] = field(default_factory=dict)

    def accounts(self) -> Iterable[str]:
        """The ids of the member accounts and of the management account."""
        return filter(is_account, self.parents)

    def elements(self, account: str) -> tuple[str, ...] | None:
        """Root, units and account itself, from the top (D10); None for an account outside."""
        if account not in self.parents:
            return None
        found = [account]
        while found[-1] != self.root:
            found.append(self.parents[found[-1]])
        return tuple(reversed(found))

    def path(self, account: str) -> str | None:
        """The value of `aws:PrincipalOrgPaths`: `o-x/r-x/ou-y/`, without the account (spec 5.2)."""
        elements = self.elements(account)
        return None if elements is None else "/".join((self.id, *elements[:-1])) + "/"

    def attached(self, type_: str, element: str) -> tuple[StoredPolicy, ...]:
        """The policies of a type at an element, without `RCPFullAWSAccess`."""
        return self.scps.get(element, (FULL_ACCESS,)) if type_ == SCP_TYPE else self.rcps.get(element, ())

    def targets(self, policy: ControlPolicy) -> Iterable[str]:
        """The ids of the root, units and accounts that a policy is attached to."""
        elements = (self.root, *self.parents)
        return (element for element in elements if policy.document in self.attached(policy.type, element))

    def control_policies(self) -> dict[str, ControlPolicy]:
        """All policies by id. One that is attached and has no id of its own gets one that follows from type, name and text."""
        found = {FULL_ACCESS_ID: ControlPolicy(FULL_ACCESS_ID, FULL_ACCESS, _FULL_ACCESS_DESCRIPTION), **self.policies}
        known = {policy.document for policy in found.values()}
        for level in (*self.scps.values(), *self.rcps.values()):
            for stored in level:
                if stored not in known:
                    known.add(stored)
                    id_ = _derived_id(stored)
                    found[id_] = ControlPolicy(id_, stored)
        return found

    def scp_levels(self, account: str) -> StoredLevels:
        """The SCPs of each element on the account's path."""
        return tuple(self.scps.get(element, (FULL_ACCESS,)) for element in self.elements(account) or ())

    def rcp_levels(self, account: str) -> StoredLevels:
        """The RCPs of each element on the account's path."""
        return tuple(self.rcps.get(element, ()) for element in self.elements(account) or ())

    def administers_iam(self, account: str) -> bool:
        """Whether the account is the management account or the delegated administrator for IAM (spec 7.4)."""
        return account == self.management_account or IAM_SERVICE in self.delegated.get(account, ())


def _derived_id(stored: StoredPolicy) -> str:
    text = f"{stored.kind.value}\0{stored.name}\0{stored.text}"
    return "p-" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_tree(id: str, root: str, units: Mapping[str, str], accounts: Mapping[str, str | Sequence[str] | None]) -> dict[str, str]:
    """The parent of every unit and account of an organisation.

    Parameters
    ----------
    units
        parent of each organisational unit.
    accounts
        for each account its parent (`ou-a`), or its path from the root down (`ou-a/ou-b`, `o-1/r-1/ou-a/`, or a list); None or ""
        is the root. Units that only occur in paths are added. A single unit id is added below the root only if `units` is empty:
        otherwise it may be misspelt, and the policies of the intended unit would not apply.

    Raises
    ------
    DirectoryError
        a malformed id, a single unit that is not in `units`, two parents of one unit, or a cycle.
    """
    parents: dict[str, str] = {}
    for unit, parent in units.items():
        _add_unit(parents, root, unit, parent)
    places = {account: _steps(id, root, place) for account, place in accounts.items()}
    for steps, is_path in places.values():
        for parent, unit in zip((root, *steps), steps if is_path else (), strict=False):
            _add_unit(parents, root, unit, parent)
    known = frozenset(parents)
    for account, (steps, is_path) in places.items():
        if not is_account(account):
            raise DirectoryError(f"`{account}` is not an account id", hint="write 12 digits")
        if not is_path and steps[0] not in known:  # a known unit keeps its parent
            _add_lone(parents, root, steps[0], account, bool(units))
        parents[account] = steps[-1] if steps else root
    check_tree(parents, root)
    return parents


def _add_lone(parents: dict[str, str], root: str, unit: str, account: str, are_named: bool) -> None:
    """Add a unit that only occurs as the parent of an account; refused if `units` has others."""
    if are_named and unit.startswith("ou-"):
        hint = did_you_mean(unit, parents) or "name it in `organizational_units`, or write its path"
        message = f"account `{account}` is in `{shorten(unit)}`, which is not a unit of the organisation"
        raise DirectoryError(message, hint=hint)
    _add_unit(parents, root, unit, root)


def _steps(id: str, root: str, place: str | Sequence[str] | None) -> tuple[list[str], bool]:
    """The units of a path without organisation and root, and whether they are a full path or the id of a parent."""
    if not isinstance(place, (str, Sequence, NoneType)) or not all(isinstance(step, str) for step in place or ()):
        raise DirectoryError("the position of an account must be the id of a unit, a path, or None", hint="write `ou-1234-5678`")
    steps = [step for step in (place.split("/") if isinstance(place, str) else place or ()) if step]
    if steps and steps[0].startswith("o-") and steps.pop(0) != id:
        raise DirectoryError(f"`{place}` is not in the organisation `{id}`")
    from_root = bool(steps) and steps[0].startswith("r-")
    if from_root and steps.pop(0) != root:
        raise DirectoryError(f"`{place}` does not start at `{root}`, the root of the organisation")
    return steps, from_root or len(steps) != 1


def _add_unit(parents: dict[str, str], root: str, unit: str, parent: str) -> None:
    if not (isinstance(unit, str) and isinstance(parent, str) and unit.startswith("ou-")):
        raise DirectoryError(f"`{unit}` is not an organisational unit", hint="its id starts with `ou-`")
    if is_account(parent):
        raise DirectoryError(f"`{unit}` cannot be below `{parent}`, which is an account")
    if parents.setdefault(unit, parent) != parent:
        raise DirectoryError(f"`{unit}` has two parents: `{parents[unit]}` and `{parent}`")


def check_tree(parents: Mapping[str, str], root: str) -> None:
    """Check that all elements are below the root.

    Raises
    ------
    DirectoryError
        a cycle, or an absent parent.
    """
    safe = {root}
    for start in parents:
        seen: list[str] = []
        at = start
        while at not in safe:
            if at in seen:
                raise DirectoryError(f"`{at}` is below itself")
            if at not in parents:
                message = f"`{seen[-1]}` has the parent `{at}`, which is not in the organisation"
                raise DirectoryError(message, hint=did_you_mean(str(at), {root, *parents}))
            seen.append(at)
            at = parents[at]
        safe.update(seen)
