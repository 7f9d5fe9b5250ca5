"""The statements of resource policies and trust policies, by the principals that they can name.

A principal is found by each statement that names it, its account, its ids or everyone. `unrecorded` has the principals that a
statement names and no directory contains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fastiam.model.arn import split_arn
from fastiam.model.policy import Effect, Statement
from fastiam.model.profile import ROLES, PrincipalProfile
from fastiam.resolve.keys_read import differing_keys, keys_read
from fastiam.resolve.snapshot import Snapshot
from fastiam.spec.principal_entries import Form, ParsedPrincipal, read_entry

EVERYONE = "*"
_NONE: Mapping[str | None, list[int]] = {}
Token = str | tuple[str, ...]
_BY_TEXT = (Form.USER, Form.UNIQUE_ID, Form.CANONICAL_USER)
_NOT_OF_DIRECTORIES = (Form.SERVICE, Form.PROVIDER, Form.FEDERATED_USER, Form.GROUP)


@dataclass(frozen=True, slots=True)
class Grant:
    """A statement of the policy that is stored under an ARN.

    Attributes
    ----------
    account
        the owner of the resource, where it is known.
    reads
        the folded keys that the policy reads.
    """

    arn: str
    statement: Statement
    account: str | None
    reads: frozenset[str]

    @property
    def is_allow(self) -> bool:
        """Whether the statement allows."""
        return self.statement.effect is Effect.ALLOW


class ResourceGrants:
    """The statements of the policies of all resources and roles of some snapshots, once for equal ones."""

    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        self.grants: list[Grant] = []
        self._by_token: defaultdict[Token, list[int]] = defaultdict(list)
        self._by_key: defaultdict[str, list[int]] = defaultdict(list)
        self._allows: defaultdict[Token, defaultdict[str | None, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._not_principal: list[int] = []
        seen: set[object] = set()
        for snapshot in snapshots:
            for arn in (*(arn for arn, record in snapshot.resources() if record.policies), *snapshot.entity_resources()):
                facts = snapshot.facts(arn)
                account = facts.account or arn.split(":", 5)[4]
                for policy in facts.policies or ():
                    content = arn, policy.variables, policy.statements
                    if (arn, id(policy)) not in seen and content not in seen:
                        seen |= {(arn, id(policy)), content}
                        reads = frozenset(keys_read((policy,)))
                        for statement in policy.statements:
                            self._add(Grant(arn, statement, account, reads))

    def _add(self, grant: Grant) -> None:
        number = len(self.grants)
        self.grants.append(grant)
        if grant.statement.not_principal:
            self._not_principal.append(number)
        for key in grant.reads:
            self._by_key[key].append(number)
        for token in {EVERYONE} if grant.statement.not_principal else set(_tokens_of(grant.statement)):
            self._by_token[token].append(number)
            if grant.is_allow:
                self._allows[token][grant.account].append(number)

    def changed(self, before: PrincipalProfile, after: PrincipalProfile, *, is_limited: bool) -> dict[int, None]:
        """Return the numbers of the statements that can change decisions about a principal which differs.

        A statement whose result for the principal is the same matters only as an Allow: in another account, or with `is_limited`,
        which says that another Deny or limit of the principal applies.
        """
        tokens = dict.fromkeys(token for profile in (before, after) for token in _tokens_for(profile))
        ids = {*_ids_of(before)} ^ {*_ids_of(after)}
        keys = differing_keys(before, after) | ({"aws:userid"} if before.unique_id != after.unique_id else frozenset())
        found: dict[int, None] = {}
        for token in tokens if before.known != after.known else ids:
            found |= dict.fromkeys(self._by_token.get(token, ()))
        for key in keys:
            found |= dict.fromkeys(self._by_key.get(key, ()))
        if before.bounded != after.bounded:
            found |= dict.fromkeys(self._not_principal)
        for token in tokens:
            for account, numbers in self._allows.get(token, _NONE).items():
                if is_limited or account != after.account:
                    found |= dict.fromkeys(numbers)
        return found


def _tokens_of(statement: Statement) -> Iterator[Token]:
    for entry in statement.principals or ():
        parsed = read_entry(entry.type, entry.value)
        if parsed.form is Form.ACCOUNT:
            yield parsed.account or ""
        elif parsed.form in (Form.ROLE, Form.SESSION):
            yield parsed.account or "", parsed.role or ""
        elif parsed.form in _BY_TEXT:
            yield parsed.text
        elif parsed.form not in _NOT_OF_DIRECTORIES:
            yield EVERYONE


def _tokens_for(profile: PrincipalProfile) -> Iterator[Token]:
    yield EVERYONE
    yield profile.name
    yield profile.account or ""
    if profile.kind in ROLES:
        yield profile.account or "", profile.role_name or ""
    yield from _ids_of(profile)


def _ids_of(profile: PrincipalProfile) -> Iterator[str]:
    return filter(None, (profile.unique_id, profile.canonical_id))


def unrecorded(statement: Statement, snapshots: Iterable[Snapshot]) -> Iterator[str]:
    """Yield the principals and accounts of a statement that no snapshot contains; `*` for all of them."""
    if statement.not_principal:
        yield EVERYONE
        return
    several = tuple(snapshots)
    for entry in statement.principals or ():
        parsed = read_entry(entry.type, entry.value)
        if parsed.form in (Form.EVERYONE, Form.IDENTITIES, Form.VAGUE):
            yield EVERYONE
        elif parsed.form not in (Form.SERVICE, Form.PROVIDER) and not any(_is_recorded(parsed, one) for one in several):
            yield parsed.text


def _is_recorded(entry: ParsedPrincipal, snapshot: Snapshot) -> bool:
    tables = snapshot.tables
    if entry.form is Form.ACCOUNT:
        return entry.account in tables.accounts
    if entry.form is Form.USER:
        return snapshot.has_principal(entry.text)
    if entry.form in (Form.ROLE, Form.SESSION):
        return (entry.partition or "", entry.account or "", entry.role or "") in tables.roles
    if entry.form is Form.UNIQUE_ID:
        return any(entity.unique_id == entry.text for entity in tables.entities.values())
    if entry.form is Form.CANONICAL_USER:
        return any(account.canonical_id == entry.text for account in tables.accounts.values())
    return False


def root_of(entry_text: str, partition: str) -> str | None:
    """Return the root user of an account that an entry names, or None."""
    parsed = read_entry("AWS", entry_text)
    if parsed.form is not Form.ACCOUNT:
        return None
    arn = split_arn(entry_text)
    return f"arn:{partition if arn is None else arn.partition}:iam::{parsed.account}:root"
