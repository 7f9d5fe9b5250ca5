"""An organisation: its tree, who administers it, and the policies at each element (spec 6.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastiam.account.documents import FULL_ACCESS, StoredLevels, StoredPolicy
from fastiam.arn import is_account
from fastiam.errors import DirectoryError

IAM_SERVICE = "iam.amazonaws.com"
SCP_TYPE, RCP_TYPE = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
POLICY_TYPES = frozenset((SCP_TYPE, RCP_TYPE))


@dataclass(frozen=True, slots=True)
class Organization:
    """One organisation.

    Attributes
    ----------
    parents : parent of every organisational unit and of every account, up to the root.
    delegated : services that an account administers for the organisation.
    scps, rcps : policies by element: root, unit or account. An element without an entry has `FullAWSAccess` as its one
        SCP (G5), and `RCPFullAWSAccess` alone as its RCP (G3), which is left out: RCPs only deny (D13).
    """

    id: str
    root: str
    management_account: str | None = None
    parents: Mapping[str, str] = field(default_factory=dict)
    delegated: Mapping[str, frozenset[str]] = field(default_factory=dict)
    scps: Mapping[str, tuple[StoredPolicy, ...]] = field(default_factory=dict)
    rcps: Mapping[str, tuple[StoredPolicy, ...]] = field(default_factory=dict)
    policy_types: frozenset[str] = POLICY_TYPES

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

    def scp_levels(self, account: str) -> StoredLevels:
        """The SCPs of each element on the account's path."""
        return tuple(self.scps.get(element, (FULL_ACCESS,)) for element in self.elements(account) or ())

    def rcp_levels(self, account: str) -> StoredLevels:
        """The RCPs of each element on the account's path."""
        return tuple(self.rcps.get(element, ()) for element in self.elements(account) or ())

    def administers_iam(self, account: str) -> bool:
        """Whether the account is the management account or the delegated administrator for IAM (spec 7.4)."""
        return account == self.management_account or IAM_SERVICE in self.delegated.get(account, ())


def read_tree(root: str, units: Mapping[str, str], accounts: Mapping[str, str | Sequence[str] | None]) -> dict[str, str]:
    """The parent of every unit and account.

    Parameters
    ----------
    units : parent of each organisational unit.
    accounts : for each account its parent (`ou-a`), or its path from the root down (`ou-a/ou-b`, `o-1/r-1/ou-a/`, or a list);
        None or "" is the root. Units that only occur here are added, a lone one under the root.

    Raises
    ------
    DirectoryError: an id of another form, two parents of one unit, or a circle.
    """
    parents: dict[str, str] = {}
    for unit, parent in units.items():
        _add_unit(parents, root, unit, parent)
    places = {account: _steps(root, place) for account, place in accounts.items()}
    for account, (steps, is_path) in sorted(places.items(), key=lambda item: -len(item[1][0])):
        if not is_account(account):
            raise DirectoryError(f"`{account}` is not an account id", hint="write 12 digits")
        if is_path or steps[0] not in parents:  # a lone unit that is known stays where it is
            for parent, unit in zip((root, *steps), steps, strict=False):
                _add_unit(parents, root, unit, parent)
        parents[account] = steps[-1] if steps else root
    check_tree(parents, root)
    return parents


def _steps(root: str, place: str | Sequence[str] | None) -> tuple[list[str], bool]:
    """The units of a place without organisation and root, and whether they are a whole path, not one parent's id."""
    steps = [step for step in (place.split("/") if isinstance(place, str) else place or ()) if step]
    if steps and steps[0].startswith("o-"):
        del steps[0]
    from_root = bool(steps) and steps[0].startswith("r-")
    if from_root and steps.pop(0) != root:
        raise DirectoryError(f"`{place}` does not start at the root of the organisation, which is `{root}`")
    return steps, from_root or len(steps) != 1


def _add_unit(parents: dict[str, str], root: str, unit: str, parent: str) -> None:
    if not unit.startswith("ou-"):
        raise DirectoryError(f"`{unit}` is not an organisational unit", hint="its id starts with `ou-`")
    if parents.setdefault(unit, parent) != parent:
        raise DirectoryError(f"`{unit}` cannot lie under both `{parents[unit]}` and `{parent}`")


def check_tree(parents: Mapping[str, str], root: str) -> None:
    """Whether everything lies below the root.

    Raises
    ------
    DirectoryError: a circle, or a parent that is not there.
    """
    safe = {root}
    for start in parents:
        seen: list[str] = []
        at = start
        while at not in safe:
            if at in seen:
                raise DirectoryError(f"`{at}` lies below itself")
            if at not in parents:
                raise DirectoryError(f"`{seen[-1]}` has the parent `{at}`, which is not in the organisation")
            seen.append(at)
            at = parents[at]
        safe.update(seen)
