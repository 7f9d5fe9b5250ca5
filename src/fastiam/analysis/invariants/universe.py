"""The universe: the principals, owners of resources, endpoints and sources that an invariant quantifies over (4.2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from fastiam.analysis.invariants.directory_facts import facts_of
from fastiam.analysis.invariants.subjects import (
    Name,
    Subject,
    after,
    of_assumed_root,
    of_long_term,
    sessions_of,
    without_account,
)
from fastiam.analysis.proof.candidate_requests import ALLOW_ALL, NAME
from fastiam.analysis.proof.cells import Symbols, cells, remainders
from fastiam.analysis.proof.domains import KeyDomain
from fastiam.analysis.proof.key_values import arn_pattern_symbols
from fastiam.errors import RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import Policy
from fastiam.model.profile import ROOTS, EndpointProfile, Levels, PrincipalKind, PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.resolve.derived_keys import FALSE, organization_keys, principal_keys, single
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.forking import cached_property
from fastiam.spec.principal_entries import Form, ParsedPrincipal, read_entry
from fastiam.spec.wildcards import Wildcard

_DIGITS = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")
_ORGANIZATION = re.compile(r"\bo-[a-z0-9]+")
LISTED, MEMBER, OUTSIDE = "listed", "member", "outside"


@dataclass(frozen=True, slots=True)
class Home:
    """An account, or one of a class of accounts that no statement distinguishes.

    Attributes
    ----------
    membership
        `listed`, `member` or `outside`, as of a subject.
    units
        the organizational units above it, and the root.
    has_principals, has_record
        the directory has users or roles of it; it has any record of it.
    org_id, org_path
        of its organization; None for none.
    paths_vary
        the path is any one of another organization.
    """

    account: str
    partition: str = "aws"
    membership: str = OUTSIDE
    units: tuple[str, ...] = ()
    has_principals: bool = False
    has_record: bool = False
    org_id: str | None = None
    org_path: str | None = None
    paths_vary: bool = False
    scps: Levels | None = None
    scp_note: str = "outside_organization"
    rcps: Levels | None = None
    rcp_note: str = "outside_organization"

    def keys(self, prefix: str) -> dict[str, ContextValue]:
        """Return the keys of its organization, for `Resource` or `Source`."""
        return {f"aws:{prefix}account": single(self.account), **organization_keys(prefix, self.org_id, self.org_path)}


@dataclass(frozen=True, slots=True)
class Texts:
    """What statements and the scope name.

    Attributes
    ----------
    entries
        of principal elements.
    accounts, organizations
        in any text.
    names, patterns
        of principals: the ARNs in principal elements, and the patterns of the scope.
    blob
        all texts.
    """

    entries: tuple[ParsedPrincipal, ...]
    accounts: tuple[str, ...]
    organizations: tuple[str, ...]
    names: tuple[str, ...]
    patterns: tuple[Symbols, ...]
    blob: str = field(default="", repr=False)


def texts_of(policies: Iterable[Policy], more: Iterable[str]) -> Texts:
    """Return what policies name, and the texts of the scope."""
    entries: dict[ParsedPrincipal, None] = {}
    scope = tuple(more)
    found: dict[str, None] = dict.fromkeys(scope)
    for policy in policies:
        for statement in policy.statements:
            for one in statement.principals or ():
                entries.setdefault(read_entry(one.type, one.value))
                found.setdefault(one.value)
            found |= dict.fromkeys(statement.resources or ())
            for entry in statement.conditions:
                found |= dict.fromkeys(entry.values)
    blob = "\n".join(found)
    names = tuple(one.text for one in entries if one.text.startswith("arn:") and one.form is not Form.VAGUE)
    patterns = tuple(dict.fromkeys(one for text in scope if text.startswith("arn:") for one in arn_pattern_symbols(text)))
    accounts = tuple(dict.fromkeys(_DIGITS.findall(blob)))
    return Texts(tuple(entries), accounts, tuple(dict.fromkeys(_ORGANIZATION.findall(blob))), names, patterns, blob)


def _may_begin(pattern: Symbols, start: str) -> bool:
    """Whether a pattern may match texts that begin so: PERF, for most of those that do not, without an automaton."""
    for symbol, char in zip(pattern, start, strict=False):
        if not isinstance(symbol, str):
            return True
        if symbol != char:
            return False
    return True


def _is_of_name(char: str) -> bool:
    """Whether a name can have a character; those beyond ASCII stand for any that no pattern expects."""
    return char.isalnum() and char.isascii() or char in "_+=,.@-" or ord(char) >= 0x100


class Universe:
    """The universe of a directory."""

    def __init__(self, snapshot: Snapshot, texts: Texts) -> None:
        self.snapshot, self.texts = snapshot, texts
        self._tables, self._facts = snapshot.tables, facts_of(snapshot)
        self._organization = snapshot.tables.organization

    # -- accounts -----------------------------------------------------------------------------------------------------

    @cached_property
    def partitions(self) -> tuple[str, ...]:
        found = dict.fromkeys(account.partition for account in self._tables.accounts.values())
        return tuple(found) or ("aws",)

    @cached_property
    def _with_principals(self) -> frozenset[str]:
        return frozenset(one.account for one in self._tables.entities.values() if one.kind is not PrincipalKind.ROOT)

    @cached_property
    def _with_records(self) -> frozenset[str]:
        found = set(self._with_principals)
        for arn, resource in self._tables.resources.items():
            parts = split_arn(arn)
            found |= {one for one in (resource.account, parts.account if parts else "") if one and is_account(one)}
        return frozenset(found)

    @cached_property
    def listed(self) -> frozenset[str]:
        """The accounts that the organization lists."""
        return frozenset() if self._organization is None else frozenset(self._organization.accounts())

    @cached_property
    def homes(self) -> tuple[Home, ...]:
        """Accounts with a record, listed ones, named ones, and one of each class of all others (T61)."""
        known = dict.fromkeys([*self._tables.accounts, *sorted(self._with_records), *sorted(self.listed)])
        named = [one for one in self.texts.accounts if one not in known]
        found = [self._home(one) for one in known]
        for account in named:  # each of them may be in any organization, or in none
            found += self._classes(account)
        return (*found, *self._classes(self._unused_account(0)))

    def _unused_account(self, number: int) -> str:
        texts, known = self.texts.blob, self._tables.accounts
        candidates = (
            one for one in map("{:012d}".format, range(555_000_000_000, 10**12)) if one not in texts and one not in known
        )
        return next(one for place, one in enumerate(candidates) if place == number)

    def _home(self, account: str) -> Home:
        found = self._facts.homes.get(account)
        if found is None:
            found = self._facts.homes[account] = self._made_home(account)
        return found

    def _made_home(self, account: str) -> Home:
        facts, record = self.snapshot.account_facts(account), self._tables.accounts.get(account)
        partition = "aws" if record is None else record.partition
        root = self.snapshot.principal(f"arn:{partition}:iam::{account}:root")
        elements = None if self._organization is None else self._organization.elements(account)
        return Home(
            account,
            partition,
            LISTED if elements is not None else OUTSIDE,
            tuple(elements or ()),
            account in self._with_principals,
            account in self._with_records,
            facts.org_id,
            facts.org_path,
            False,
            root.scps,
            root.scp_note,
            facts.rcps,
            facts.rcp_note,
        )

    def _classes(self, account: str) -> Iterator[Home]:
        """Yield an account without a record in no organization, in another one, and in each place of this one (T60)."""
        yield Home(account)
        own = None if self._organization is None else self._organization.id
        fresh = next(
            one for one in chain(("o-zq0other",), (f"o-zq0other{n}" for n in range(10**6))) if one not in self.texts.blob
        )
        yield Home(account, org_id=fresh, org_path=f"{fresh}/r-zq0/ou-zq0-other/")
        for named in self.texts.organizations:
            if named != own:
                yield Home(account, org_id=named, paths_vary=True)
        yield from self._members(account)

    def _members(self, account: str) -> Iterator[Home]:
        """Yield an account that belongs to the organization and is not listed, in each place."""
        organization = self._organization
        if organization is None:
            return
        places = [organization.root, *(one for one in organization.parents if not is_account(one))]
        for place in places:
            elements = [place]
            while elements[-1] != organization.root:
                elements.append(organization.parents[elements[-1]])
            units = tuple(reversed(elements))
            scps, rcps = (
                tuple(tuple(one.policy for one in organization.attached(type_, unit)) for unit in units)
                for type_ in ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")
            )
            has_scps, has_rcps = (f"{name}_CONTROL_POLICY" in organization.policy_types for name in ("SERVICE", "RESOURCE"))
            path = "/".join((organization.id, *units)) + "/"
            scp_note, rcp_note = ("" if has else "policy_type_disabled" for has in (has_scps, has_rcps))
            yield Home(
                account, "aws", MEMBER, units, False, False, organization.id, path, False,
                scps if has_scps else None, scp_note, rcps if has_rcps else None, rcp_note,
            )  # fmt: skip

    def names_after(self, start: str, shortest: int = 2, separators: str = "") -> list[Name]:
        """Return one text of each kind that principal elements and the scope distinguish, after the start of an ARN."""
        literals = [one.removeprefix(start) for one in self.texts.names if one.startswith(start) and len(one) > len(start)]
        groups: list[list[Symbols]] = [[(*(Wildcard.ONE,) * shortest, Wildcard.ANY)]]
        groups += [[tuple(text)] for text in dict.fromkeys(literals)]
        groups += [found for one in self.texts.patterns if _may_begin(one, start) and (found := list(remainders(one, start)))]
        if len(groups) == 1:
            return [Name(NAME, False)]
        # a name in the scope is a name too: the sessions of its class have no other
        literals += ["".join(map(str, one)) for group in groups for one in group if all(isinstance(each, str) for each in one)]
        known = cells(groups, required=1, is_allowed=lambda char: _is_of_name(char) or char in separators)
        return [Name(text, text in literals) for text in known.values()]

    # -- principals ---------------------------------------------------------------------------------------------------

    def subjects(self) -> Iterator[tuple[Subject, Home | None]]:
        """Yield all subjects with their account; those without an account last."""
        by_account = {home.account: home for home in self.homes if home.membership == LISTED or home.has_record}
        entities = self._tables.entities
        for profile in self._facts.profiles:
            home = by_account.get(profile.account or "")
            if home is None:
                home = self._home(profile.account or "")
            if profile.kind is PrincipalKind.ROOT and not home.has_record:
                continue  # a class of its own below
            entity = entities.get(profile.name)
            for subject in self._facts.subjects(profile, entity, self.names_after, home.membership):
                yield subject, home
            if profile.kind is PrincipalKind.ROOT and self._is_member(home):
                for subject in of_assumed_root(profile, home.membership):
                    yield subject, home
        for home in self.homes:
            if not home.has_principals:
                for subject in self._without_records(home):
                    yield subject, home
        for subject in self._without_account():
            yield subject, None

    def unrecorded(self) -> Iterator[tuple[Subject, Home]]:
        """Yield users and roles without a record in accounts that have some: exports may lack them (T66)."""
        for home in self.homes:
            if home.has_principals:
                for subject in self._without_records(home):
                    yield subject, home

    def _is_member(self, home: Home) -> bool:
        organization = self._organization
        return home.membership != OUTSIDE and organization is not None and home.account != organization.management_account

    def _external(self, home: Home, kind: PrincipalKind, arn: str) -> PrincipalProfile:
        master = self._organization.management_account if self._organization and home.membership != OUTSIDE else None
        keys = {
            "aws:principalaccount": single(home.account),
            "aws:principalisawsservice": FALSE,
            **organization_keys("principal", home.org_id, home.org_path, master),
        }
        is_root = kind in ROOTS
        name = arn.rpartition("/")[2]
        found = principal_keys(
            kind,
            arn,
            keys,
            user_id=home.account if is_root else None,
            user_name=name if kind is PrincipalKind.USER else None,
        )
        return PrincipalProfile(
            kind,
            arn,
            home.partition,
            home.account,
            user_arn=arn if kind is PrincipalKind.USER else None,
            role_name=name if kind is PrincipalKind.ROLE else None,
            keys=found,
            identity_policies=() if is_root else ALLOW_ALL,
            scps=home.scps,
            scp_note=home.scp_note,
        )

    def _without_records(self, home: Home) -> Iterator[Subject]:
        """Yield users, roles, roots and federated users of an account without records, named ones and all others."""
        paths = {"aws:principalorgpaths": KeyDomain(absent=False)} if home.paths_vary else {}
        master = (
            {}
            if home.membership != OUTSIDE or home.org_id is None
            else {"aws:principalorgmasteraccountid": KeyDomain(absent=False)}
        )
        more = {**paths, **master}
        for one in self._of_account(home):
            yield replace(one, domains={**one.domains, **more}) if more else one

    def _of_account(self, home: Home) -> Iterator[Subject]:
        start = f"arn:{home.partition}:iam::{home.account}:"
        canonical = self._canonical_ids
        if not home.has_record or home.account not in self._tables.accounts:
            root = self._external(home, PrincipalKind.ROOT, f"{start}root")
            for profile in (root, *(replace(root, canonical_id=one) for one in canonical)):
                yield from self._of_long_term(profile, home)
                yield from of_assumed_root(profile, home.membership, is_recorded=False)
        for kind, type_ in ((PrincipalKind.USER, "user/"), (PrincipalKind.ROLE, "role/")):
            ids = [one for one in self._ids if one.startswith("AIDA" if kind is PrincipalKind.USER else "AROA")]
            for name in self._names_in(home, start + type_):
                base = self._external(home, kind, start + type_ + name.text)
                variants = [base, *(replace(base, canonical_id=one) for one in canonical)]
                variants += [replace(base, unique_id=one) for one in ids]
                for profile in variants:
                    if kind is PrincipalKind.USER:
                        found = self._of_long_term(profile, home)
                    else:
                        found = sessions_of(profile, self.names_after, None, home.membership, {}, is_recorded=False)
                    yield from found if name.is_named else (self._unnamed(one, start + type_) for one in found)

    def _names_in(self, home: Home, start: str) -> list[Name]:
        """Return the names of users or roles without a record; of a role whose sessions are named too."""
        found = [one for one in self.names_after(start, 1, "/") if start + one.text not in self._tables.entities]
        if start.endswith(":role/"):
            sessions = f"arn:{home.partition}:sts::{home.account}:assumed-role/"
            of_sessions = {one.removeprefix(sessions).partition("/")[0] for one in self.texts.names if one.startswith(sessions)}
            known = {one.text.rpartition("/")[2] for one in found}
            unknown = [
                one for one in sorted(of_sessions - known) if (home.partition, home.account, one) not in self._tables.roles
            ]
            found += [Name(one, False) for one in unknown]
        return found

    def _of_long_term(self, profile: PrincipalProfile, home: Home) -> Iterator[Subject]:
        yield from of_long_term(profile, home.membership, {}, self.names_after, is_recorded=False)

    @staticmethod
    def _unnamed(subject: Subject, start: str) -> Subject:
        """Return a subject that stands for all names that begin so."""
        if subject.kind is PrincipalKind.FED:
            return subject
        starts = {**subject.starts, "aws:principalarn": start}
        free = {"aws:username": KeyDomain(absent=False)} if subject.kind is PrincipalKind.USER else {}
        named = {"aws:principalarn": after("aws:principalarn", start, "?")}
        return replace(subject, starts=starts, domains={**subject.domains, **free, **named})

    @cached_property
    def _ids(self) -> list[str]:
        known = {one.unique_id for one in self._tables.entities.values()}
        return [one.text for one in self.texts.entries if one.form is Form.UNIQUE_ID and one.text not in known]

    @cached_property
    def _canonical_ids(self) -> list[str]:
        known = {one.canonical_id for one in self._tables.accounts.values()}
        return [one.text for one in self.texts.entries if one.form is Form.CANONICAL_USER and one.text not in known]

    def _without_account(self) -> Iterator[Subject]:
        yield without_account(self.snapshot.principal("*"))
        services = [one.text for one in self.texts.entries if one.form is Form.SERVICE]
        services += re.findall(r"(?m)^(?:service:)?([a-z0-9.-]+\.amazonaws\.com)$", self.texts.blob)
        for name in dict.fromkeys(services):
            try:
                profile = self.snapshot.principal(name)
            except RequestValueError:
                continue
            if profile.kind is PrincipalKind.SVC:
                yield without_account(profile)
        yield without_account(self.snapshot.principal("zq0-unnamed.amazonaws.com"), is_named=False)
        providers = [one for one in self.texts.entries if one.form is Form.PROVIDER]
        for one in providers:
            call = "sts:AssumeRoleWithSAML" if one.kind is PrincipalKind.SAML else "sts:AssumeRoleWithWebIdentity"
            yield without_account(self.snapshot.principal(one.text, call))
        account = self._unused_account(1)
        for kind, call in (("saml-provider", "sts:AssumeRoleWithSAML"), ("oidc-provider", "sts:AssumeRoleWithWebIdentity")):
            name = f"arn:aws:iam::{account}:{kind}/zq0unnamed"
            yield without_account(self.snapshot.principal(name, call), is_named=False)

    # -- owners, endpoints, sources -----------------------------------------------------------------------------------

    @cached_property
    def endpoints(self) -> Sequence[EndpointProfile]:
        """The endpoints with a record."""
        return list(self.snapshot.endpoints())

    def home_of(self, account: str) -> Home:
        """Return an account of the directory."""
        return next((home for home in self.homes if home.account == account), None) or self._home(account)


def accounts_with(homes: Collection[Home]) -> Mapping[str, Home]:
    """Return accounts by their id."""
    return {home.account: home for home in homes}
