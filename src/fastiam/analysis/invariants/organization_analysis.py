"""What an invariant asks of a directory: the statements, principals and owners in scope, once for all of its proofs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Literal

from fastiam.analysis.invariants.classes import (
    Member,
    NamingIndex,
    OwnerReads,
    Signatures,
    SubjectClass,
    owner_reads,
    owner_signature,
)
from fastiam.analysis.invariants.directory_facts import facts_of
from fastiam.analysis.invariants.key_domains import SOURCE
from fastiam.analysis.invariants.model import Invariant
from fastiam.analysis.invariants.places import Records
from fastiam.analysis.invariants.routes import Route, routes
from fastiam.analysis.invariants.scope import InvariantScope, resource_policy
from fastiam.analysis.invariants.subjects import Subject, of_session_token
from fastiam.analysis.invariants.universe import Home, Universe, texts_of
from fastiam.analysis.invariants.worlds import Relevance, ScopeCells, World, keys_of, resource_set
from fastiam.analysis.proof.key_values import KeyTest, unresolved_variables
from fastiam.aws_data.catalog import AwsData
from fastiam.errors import MissingPackageError, RequestValueError
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy, Statement
from fastiam.model.profile import PrincipalKind
from fastiam.model.protocols import AnalysisEngine
from fastiam.runtime.forking import cached_property
from fastiam.spec.principal_entries import Form, read_entry
from fastiam.spec.wildcards import glob_matches, read_glob

Statements = list[tuple[Policy, Statement]]
Recorded = Literal["yes", "no", "both"]  # whether principals have a record
Limited = set[tuple[Hashable, Hashable]]  # pairs of limits and owners


class OrganizationAnalysis:
    """An invariant over an engine.

    Attributes
    ----------
    everywhere
        the policies of each resource, where they do not come from records.
    """

    everywhere: tuple[Policy, ...] | None = None

    def __init__(self, engine: AnalysisEngine, invariant: Invariant, scope: InvariantScope) -> None:
        self.engine, self.invariant, self.scope = engine, invariant, scope
        self.records, self.relevant = Records(engine.snapshot), Relevance(scope.actions, scope.resources)
        self.kept_limits: dict[Hashable, Limited] = {}  # of runs
        self._kept_groups: dict[tuple[Recorded, bool], dict[Hashable, list[Member]]] = {}
        self._kept_classes: dict[tuple[Recorded, bool, Hashable], list[SubjectClass]] = {}
        self._kept_signatures: dict[bool, Signatures] = {}
        self._owner_signatures: dict[tuple[Home, bool], Hashable] = {}

    # -- what is in scope ------------------------------------------------------------------------------------------

    @cached_property
    def resource_policies(self) -> list[tuple[str, tuple[Policy, ...]]]:
        """The records with a statement that can apply to the actions of the scope."""
        return [
            (arn, policies)
            for arn, policies in self.records.with_policies()
            if any(self.relevant(one) for policy in policies for one in policy.statements) and self._reaches(arn)
        ]

    def _reaches(self, arn: str) -> bool:
        """Whether a resource that a record governs can be in the scope."""
        return any(self.relevant.has_resources(resource_set(one)) for one in self.records.place(arn).globs)

    @cached_property
    def _limit_policies(self) -> list[Policy]:
        """The RCPs and the policies of endpoints."""
        tables = self.engine.snapshot.tables
        found: dict[int, Policy] = {}
        levels = list(tables.organization.rcps.values()) if tables.organization is not None else []
        levels += [level for account in tables.accounts.values() for level in account.rcps or ()]
        levels += [endpoint.policies or () for endpoint in tables.endpoints.values()]
        for level in levels:
            for stored in level:
                found[id(stored.policy)] = stored.policy
        return list(found.values())

    @cached_property
    def _asked(self) -> Statements:
        scope = self.scope
        policies = [*scope.given, *scope.only_if]
        patterns = [text for one in (*scope.resources, *scope.except_resources) for text in one.patterns]
        policies += map(resource_policy, patterns)
        return [(policy, policy.statements[0]) for policy in policies]

    def _of(self, policies: list[Policy]) -> Statements:
        return [(policy, one) for policy in policies for one in policy.statements if self.relevant(one)]

    def policies(self) -> list[Policy]:
        """Return all policies in force."""
        return list(self.engine.snapshot.policies())

    def _policies_of_resources(self) -> list[Policy]:
        return [one for _, policies in self.resource_policies for one in policies]

    @cached_property
    def _shared(self) -> Statements:
        return self._of(self._policies_of_resources())

    @cached_property
    def _limits(self) -> Statements:
        return [*self._of(self._limit_policies), *self._asked]

    @cached_property
    def _all(self) -> Statements:
        return [*self._of(self.policies()), *self._asked]

    @cached_property
    def keys(self) -> frozenset[str]:
        found = {key for policy, one in self._all for key in keys_of(policy, one)}
        return frozenset(found)

    @cached_property
    def universe(self) -> Universe:
        """The universe, with all that statements in scope name."""
        policies = [
            Policy(one.kind, one.variables, tuple(s for s in one.statements if self.relevant(s))) for one in self.policies()
        ]
        texts = texts_of([*policies, *self.scope.given, *self.scope.only_if], self.scope.texts())
        return Universe(self.engine.snapshot, texts)

    def world(self, opened: bool) -> World:
        """Return what all cases have in common; with `opened`, undetermined tests count towards an Allow."""
        services = [one.text for one in self.universe.texts.entries if one.form is Form.SERVICE]
        return World(
            self.scope,
            self.engine.settings,
            self.records,
            self.universe.partitions,
            self.keys,
            tuple(services),
            self._cells,
            opened=opened,
            aws_keys=self.invariant.keys == "aws",
            denied=self.invariant.quantifier == "always",
        )

    @cached_property
    def _cells(self) -> ScopeCells:
        return ScopeCells(self.scope.actions, self.relevant)

    @cached_property
    def knows_actions(self) -> bool:
        """Whether AWS's list of actions is installed."""
        try:
            AwsData.installed()
        except MissingPackageError:
            return False
        return True

    # -- classes ------------------------------------------------------------------------------------------------------

    @cached_property
    def _owner_reads(self) -> tuple[OwnerReads, OwnerReads]:
        patterns = [text for one in (*self.scope.resources, *self.scope.except_resources) for text in one.patterns]
        return owner_reads(self._all, patterns), owner_reads([*self._limits, *self._scps], patterns)

    @cached_property
    def _scps(self) -> Statements:
        tables = self.engine.snapshot.tables
        levels = [] if tables.organization is None else list(tables.organization.scps.values())
        levels += [level for account in tables.accounts.values() for level in account.scps or ()]
        return self._of([stored.policy for level in levels for stored in level])

    def owner_signature(self, home: Home, *, of_limits: bool = False) -> Hashable:
        """Return what distinguishes owners; with `of_limits`, what level 1 reads of them."""
        kept = self._owner_signatures.get((home, of_limits))
        if kept is None:
            sets = (self.scope.resources, self.scope.except_resources)
            choices = tuple(tuple(map(tuple, self.scope.owner_choices(home, given))) for given in sets)
            found, has_record = owner_signature(home, self._owner_reads[of_limits], choices)
            kept = self._owner_signatures[home, of_limits] = found if of_limits else (found, has_record)
        return kept

    @cached_property
    def owners(self) -> dict[Hashable, Home]:
        """One owner of each class, those with resources in scope."""
        found: dict[Hashable, Home] = {}
        for home in self.universe.homes:
            if self.scope.owner_choices(home, self.scope.resources):
                found.setdefault(self.owner_signature(home), home)
        return found

    def routes(self) -> list[Route]:
        """Return how requests come."""
        return routes(self.universe.endpoints, self.keys, denied=self.invariant.quantifier == "always")

    @cached_property
    def source_homes(self) -> list[Home]:
        """One account of each class that conditions on the source of a call distinguish (T61)."""
        entries = list(dict.fromkeys((entry, policy.variables) for policy, one in self._all for entry in one.conditions))
        entries = [(entry, variables) for entry, variables in entries if fold(entry.key) in SOURCE]
        found: dict[Hashable, Home] = {}
        for home in self.universe.homes:
            keys = home.keys("source")
            if any(unresolved_variables(entry, variables) for entry, variables in entries):
                return list(self.universe.homes)
            truths = [str(KeyTest(entry, False).check(keys.get(fold(entry.key)))) for entry, _ in entries]
            arns = [_account_of(text, home.account) for entry, _ in entries for text in entry.values]
            found.setdefault((tuple(truths), tuple(arns), home.paths_vary, home.org_id is None), home)
        return list(found.values())

    def groups(self, recorded: Recorded, opened: bool) -> Mapping[Hashable, list[Member]]:
        """Return the subjects in scope by their limits; for `always` each of them alone.

        Parameters
        ----------
        recorded
            the principals of the universe, the users and roles without a record in accounts that have some (T66), or both.
        opened
            as in `world`.

        Raises
        ------
        RequestValueError
            the scope names a principal that does not exist.
        """
        found = self._kept_groups.get((recorded, opened))
        if found is None:
            found = self._kept_groups[recorded, opened] = {}
            members = [*(self._members if recorded != "no" else ()), *(self._unrecorded if recorded != "yes" else ())]
            if self.invariant.quantifier == "always":
                found |= {number: [one] for number, one in enumerate(members)}
            else:
                signatures = self._signatures(opened)
                for subject, home in members:
                    found.setdefault(signatures.limits_of(subject, home), []).append((subject, home))
        return found

    def classes(self, recorded: Recorded, opened: bool, limits: Hashable) -> list[SubjectClass]:
        """Return the classes of the subjects of a group."""
        name = recorded, opened, limits
        kept = self._kept_classes.get(name)
        if kept is None:
            members = self.groups(recorded, opened)[limits]
            found: dict[Hashable, SubjectClass] = {}
            for subject, home in members if len(members) > 1 else ():
                of_home = None if home is None else self.owner_signature(home)
                signature = self._signatures(opened).own_of(subject, of_home)
                found.setdefault(signature, SubjectClass(limits)).members.append((subject, home))
            kept = self._kept_classes[name] = list(found.values()) or [SubjectClass(limits, list(members))]
        return kept

    @cached_property
    def _members(self) -> list[Member]:
        subjects = list(self._subjects_of_quantifier())
        missing = self.scope.missing_principal([one for one, _ in subjects])
        if missing is not None:
            raise RequestValueError(f"no principal has the ARN `{missing}`", column="principals")
        return [one for one in subjects if self.scope.has_principal(*one)]

    def _subjects_of_quantifier(self) -> Iterator[Member]:
        """Yield the subjects of the universe of the quantifier (4.2)."""
        quantifier = self.invariant.quantifier
        for subject, home in self.universe.subjects():
            if quantifier != "never" and subject.kind is PrincipalKind.FED:
                continue
            yield subject, home
            if quantifier == "always" and subject.sign_in:  # for the others, the console allows more
                yield of_session_token(subject), home

    @cached_property
    def _unrecorded(self) -> list[Member]:
        return [one for one in self.universe.unrecorded() if self.scope.has_principal(*one)]

    def _signatures(self, opened: bool) -> Signatures:
        def names(statements: Statements) -> NamingIndex:
            return NamingIndex(read_entry(one.type, one.value) for _, each in statements for one in each.principals or ())

        kept = self._kept_signatures.get(opened)
        if kept is None:
            limits = self._limits
            kept = self._kept_signatures[opened] = Signatures(
                self.relevant, [*self._shared, *limits], limits, names([*self._shared, *limits]),
                self._letters_of_limits(names(limits), opened), facts_of(self.engine.snapshot), opened=opened,
            )  # fmt: skip
        return kept

    def _letters_of_limits(self, names: NamingIndex, opened: bool) -> Callable[[Subject, Home | None], Hashable]:
        """Return a function of the classes in which RCPs and endpoint policies name a subject."""
        named = [(policy, one) for policy, one in self._limits if one.principals is not None]
        gateways = {
            id(stored.policy)
            for endpoint in self.engine.snapshot.tables.endpoints.values()
            if endpoint.gateway
            for stored in endpoint.policies or ()
        }
        known: dict[Hashable, Hashable] = {}
        world = self.world(opened)

        def letters(subject: Subject, home: Home | None) -> Hashable:
            key = names.key(subject), None if home is None else home.partition
            found = known.get(key)
            if found is None:
                found = known[key] = tuple(
                    world.letters(subject, home, policy, one, id(policy) in gateways) for policy, one in named
                )
            return found

        return letters


def _account_of(pattern: str, account: str) -> tuple[bool, bool]:
    """Return what a pattern of ARNs says of an account."""
    fields = pattern.split(":", 5)
    return account in pattern, len(fields) < 5 or glob_matches(read_glob(fields[4]), account)
