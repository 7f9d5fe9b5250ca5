"""Classes: subjects that no statement in scope distinguishes, by the content of their policies (T82).

INVARIANT: for each request of a member the representative has one with the same truth of all statements, up to names that the
statements do not distinguish.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from fastiam.analysis.invariants.directory_facts import DirectoryFacts, EntryResults
from fastiam.analysis.invariants.key_domains import NETWORK, RESOURCE_TAGS, TAG
from fastiam.analysis.invariants.subjects import Subject
from fastiam.analysis.invariants.universe import Home
from fastiam.analysis.invariants.worlds import keys_of
from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.domains import KeyDomain
from fastiam.analysis.proof.key_values import CLOCK, KeyTest, key_values, unresolved_variables
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect, Policy, Statement
from fastiam.model.profile import PrincipalKind
from fastiam.spec.principal_entries import Form, ParsedPrincipal
from fastiam.spec.three_valued import F, T, Truth
from fastiam.spec.wildcards import glob_matches, read_glob

Member = tuple[Subject, Home | None]


@dataclass(slots=True)
class SubjectClass:
    """Subjects with equal signatures; `limits` is the part of the signature that has only SCPs, RCPs and endpoints."""

    limits: Hashable
    members: list[Member] = field(default_factory=list)

    @property
    def first(self) -> Member:
        return self.members[0]

    def in_account(self, account: str) -> Member | None:
        """Return a member of an account."""
        return next((one for one in self.members if one[1] is not None and one[1].account == account), None)

    def outside_of(self, account: str) -> Member | None:
        """Return a member that is not of an account."""
        return next((one for one in self.members if one[1] is None or one[1].account != account), None)


class NamingIndex:
    """Which principals the entries of principal elements distinguish."""

    def __init__(self, entries: Iterable[ParsedPrincipal]) -> None:
        self._accounts: set[str] = set()
        self._texts: set[str] = set()
        self._roles: set[tuple[str | None, str | None, str | None]] = set()
        for one in entries:
            self._texts.add(one.text)
            if one.form in (Form.ACCOUNT, Form.USER, Form.ROLE, Form.SESSION, Form.FEDERATED_USER) and one.account:
                self._accounts.add(one.account)
            if one.role is not None:
                self._roles.add((one.partition, one.account, one.role))

    def key(self, subject: Subject) -> Hashable:
        """Return what entries can read of a subject."""
        profile = subject.profile
        role = (profile.partition, profile.account, profile.role_name)
        texts = (profile.name, profile.user_arn, profile.session_arn, profile.unique_id, profile.canonical_id)
        return (
            profile.kind,
            profile.account if profile.account in self._accounts else None,
            role if role in self._roles else None,
            tuple(one for one in texts if one is not None and one in self._texts),
            profile.bounded,
            profile.issuer_known,
            profile.issuer_root,
            profile.service_names if profile.kind is PrincipalKind.SVC and profile.name in self._texts else (),
        )


class Signatures:
    """Signatures of subjects and owners for the statements in scope.

    Parameters
    ----------
    shared
        statements that are not of a principal: of resources, RCPs, endpoints, and of the invariant.
    limits
        those of them that are of RCPs, endpoints and the invariant.
    letters
        the classes in which RCPs and endpoint policies name a subject.
    """

    def __init__(
        self,
        relevant: Callable[[Statement], bool],
        shared: Sequence[tuple[Policy, Statement]],
        limits: Sequence[tuple[Policy, Statement]],
        names: NamingIndex,
        letters: Callable[[Subject, Home | None], Hashable],
        facts: DirectoryFacts,
        *,
        opened: bool,
    ) -> None:
        self._relevant, self._names, self._letters, self._opened = relevant, names, letters, opened
        self._facts = facts
        self._shared, self._limits = _Reads(shared, facts), _Reads(limits, facts)
        self._own: dict[int, tuple[Policy, tuple[tuple[Policy, Statement], ...]]] = {}
        self._contents: dict[Hashable, int] = {}
        self._reads: dict[int, tuple[Statement, _Reads]] = {}

    def limits_of(self, subject: Subject, home: Home | None) -> Hashable:
        """Return the part of the signature of a subject that level 1 reads."""
        profile = subject.profile
        scps = None if profile.scps is None else tuple(self._policies(subject, level) for level in profile.scps)
        return (
            profile.kind is PrincipalKind.SLR,
            profile.kind is PrincipalKind.SVC,
            scps,
            self._letters(subject, home),
            self._values(subject, self._limits),
            None if home is None else home.partition,
        )

    def own_of(self, subject: Subject, home_signature: Hashable) -> Hashable:
        """Return the rest of the signature."""
        profile = subject.profile
        return (
            profile.kind,
            profile.partition,
            subject.calls,
            profile.temporary,
            profile.mfa,
            profile.may_assume_root,
            self._policies(subject, profile.identity_policies),
            None if profile.boundary is None else self._policies(subject, profile.boundary),
            self._policies(subject, profile.session_policies or ()) if profile.kind is PrincipalKind.AROOT else None,
            self._names.key(subject),
            self._values(subject, self._shared),
            subject.is_recorded,
            home_signature,
        )

    def _policies(self, subject: Subject, policies: Iterable[Policy]) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for policy in policies:
            for each, statement in self._statements(policy):
                number = self._content(subject, each, statement)
                if number is not None:
                    found[number] = None
        return tuple(sorted(found))

    def _statements(self, policy: Policy) -> tuple[tuple[Policy, Statement], ...]:
        kept = self._own.get(id(policy))
        if kept is None:
            statements = tuple((policy, one) for one in policy.statements if self._relevant(one))
            kept = self._own[id(policy)] = policy, statements
        return kept[1]

    def _content(self, subject: Subject, policy: Policy, statement: Statement) -> int | None:
        """Return the number of what a statement says of a subject; None if one of its keys excludes that it applies."""
        kept = self._reads.get(id(statement))
        if kept is None:
            kept = self._reads[id(statement)] = statement, _Reads([(policy, statement)], self._facts)
        reads = kept[1]
        needs_truth = (statement.effect is Effect.ALLOW) is not self._opened
        remaining = []
        for each in reads.entries:
            result = _truth(subject, each)
            if result is None:
                remaining.append(each.entry)
            elif not (result is T if needs_truth else result is not F):
                return None
        elements = (statement.effect, statement.actions, statement.not_action, statement.resources, statement.not_resource)
        # values of fixed keys that variables read, and domains of all others
        values = tuple((key, _value(subject, key)) for key in reads.others(remaining))
        content = (elements, statement.undetermined, policy.variables, tuple(remaining), values)
        return self._contents.setdefault(content, len(self._contents))

    def _values(self, subject: Subject, reads: _Reads) -> Hashable:
        truths = []
        remaining = []
        for each in reads.entries:
            result = _truth(subject, each)
            if result is None:
                remaining.append(each.entry)
            else:
                truths.append(result)
        # the entries of those that are decided follow from those that are not
        return tuple(truths), tuple(map(id, remaining)), tuple((key, _value(subject, key)) for key in reads.others(remaining))


class _Reads:
    """The condition entries of statements and the keys that their variables read."""

    def __init__(self, statements: Iterable[tuple[Policy, Statement]], facts: DirectoryFacts) -> None:
        entries: dict[tuple[ConditionEntry, bool], None] = {}
        self._variables: dict[str, None] = {}
        for policy, statement in statements:
            of_entries = set()
            for entry in statement.conditions:
                entries.setdefault((entry, policy.variables))
                names = unresolved_variables(entry, policy.variables)
                self._variables |= dict.fromkeys(names)
                of_entries.add(fold(entry.key))
            self._variables |= dict.fromkeys(key for key in keys_of(policy, statement) if key not in of_entries)
        self.entries = tuple(facts.entry(entry, variables) for entry, variables in entries)

    def others(self, remaining: Iterable[ConditionEntry]) -> list[str]:
        """Return the keys whose values matter: of variables, and of entries that are not decided."""
        return sorted({*self._variables, *(fold(one.key) for one in remaining)})


def _truth(subject: Subject, one: EntryResults) -> Truth | None:
    """Return the result of an entry in all requests of a subject; None if they differ or it reads a variable."""
    if one.names:
        return None
    key = one.key
    known = subject.known(key)
    if known is not None:
        return one.of(known[0])
    if key in CLOCK or key in NETWORK or key.startswith(RESOURCE_TAGS):
        return None  # not of the subject alone
    return _only_result(key, KeyTest(one.entry, one.variables, start=subject.starts.get(key, "")), subject.domain(key))


@lru_cache(maxsize=50_000)
def _only_result(key: str, test: KeyTest, domain: KeyDomain) -> Truth | None:
    """Return the one result that a test has for all values of a domain, or None."""
    try:
        found = key_values(key, (test, *domain.forms), always_present=not domain.absent)
    except ProofLimitError:
        return None
    results = {one.results[0] for one in found if domain.has(one, 1)}
    return next(iter(results)) if len(results) == 1 else None


def _value(subject: Subject, key: str) -> Hashable:
    """Return what a subject says of a key: one value, or a domain."""
    known = subject.known(key)
    if known is not None:
        value = known[0]
        return None if value is None else (value.values, value.multi, value.conflict)
    domain = subject.domain(key)
    is_own_tag = key.startswith(TAG) and key in subject.profile.keys
    return ("domain", subject.starts.get(key), domain.absent, domain.present, domain.forms, is_own_tag)


def owner_signature(home: Home, reads: OwnerReads, choices: Hashable) -> tuple[Hashable, Hashable]:
    """Return what statements in scope say of an owner, and whether it has a record."""
    keys = home.keys("resource")
    values = tuple((key, keys[key].values if key in keys else None) for key in reads.variables)
    truths = tuple(str(KeyTest(entry, False).check(keys.get(fold(entry.key)))) for entry in reads.entries)
    rcps = None if home.rcps is None else tuple(tuple(map(id, level)) for level in home.rcps)
    fields = tuple(glob_matches(read_glob(field), home.account) for field in reads.fields)
    return (home.paths_vary, rcps, values, truths, fields, choices, home.partition), home.has_record


@dataclass(frozen=True, slots=True)
class OwnerReads:
    """What statements read of owners: entries without variables, keys of variables, and account fields of patterns."""

    entries: tuple[ConditionEntry, ...]
    variables: tuple[str, ...]
    fields: tuple[str, ...]


def owner_reads(statements: Iterable[tuple[Policy, Statement]], patterns: Iterable[str]) -> OwnerReads:
    """Return what statements and patterns of resources read of owners."""
    entries: dict[ConditionEntry, None] = {}
    variables: dict[str, None] = {}
    fields: dict[str, None] = {}

    def add_field(text: str) -> None:
        parts = text.split(":", 5)
        if len(parts) > 4 and parts[4] not in ("", "*"):
            fields[parts[4]] = None

    for text in patterns:
        add_field(text)
    for policy, statement in statements:
        for text in statement.resources or ():
            add_field(text)
        in_entries = set()
        for entry in statement.conditions:
            in_entries.add(fold(entry.key))
            names = unresolved_variables(entry, policy.variables)
            variables |= dict.fromkeys(one for one in names if one.startswith("aws:resource"))
            if fold(entry.key) in _OWNER_KEYS:
                if names:
                    variables[fold(entry.key)] = None
                else:
                    entries[entry] = None
        rest = (key for key in keys_of(policy, statement) if key in _OWNER_KEYS and key not in in_entries)
        variables |= dict.fromkeys(rest)
    return OwnerReads(tuple(entries), tuple(one for one in variables if one in _OWNER_KEYS), tuple(fields))


_OWNER_KEYS = ("aws:resourceaccount", "aws:resourceorgid", "aws:resourceorgpaths")
