"""Decisions for the calls of a log, with their reasons.

INVARIANT (spec 6.11): values that are not in the log are unknown. A call is allowed or denied only if that holds for all values
of the unknown keys, session policies and resources. Otherwise its outcome is DEPENDS, with what it depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastiam.analysis.access.log_usage import are_former, unique_ids
from fastiam.analysis.pattern_sets import action_pattern_set
from fastiam.engine.decisions import LAYERS, Decisions, DictionaryColumn
from fastiam.kernel.columns.read import for_all_rows
from fastiam.model.decision import Layer, Outcome, Reason, StatementRef
from fastiam.model.key_registry import fold
from fastiam.model.logged_calls import PASS_ROLE, Calls, LoggedContext, Open
from fastiam.model.policy import Effect, Statement
from fastiam.model.profile import WITH_IDENTITY_POLICIES, ResourceFacts
from fastiam.model.protocols import AnalysisEngine, DecisionEngine
from fastiam.model.request import check_context, shorten
from fastiam.model.session import Session
from fastiam.runtime.forking import cached_property

if TYPE_CHECKING:
    from fastiam.directory.account_records import InstanceProfile
    from fastiam.resolve.snapshot import Snapshot

SESSION_POLICIES, SESSION_KIND, SESSION_TAGS = "session policies", "kind of session", "session tags"
RESOURCE, OWNER = "resource", "resource owner"
NO_CALLER = "the log does not contain the principal"
NOT_IN_DIRECTORY = "the principal is not in the directory"
DELETED = "the principal was deleted: the directory has another unique id for its ARN"
NO_RESOURCE = "the resource, whose policy must allow the call, is not in the directory"

_MAX_CACHED = 50_000  # resources, and principals
IntArray = npt.NDArray[Any]
_ORDER = (
    Outcome.ALLOW,
    Outcome.DEPENDS,
    Outcome.ERROR,
    Outcome.IMPLICIT_DENY,
    Outcome.EXPLICIT_DENY,
)  # the last one among the rows of a call determines the call
_WEIGHT = np.zeros(256, np.int64)
for _weight, _outcome in enumerate(_ORDER):
    _WEIGHT[_outcome] = _weight


@dataclass(frozen=True, slots=True)
class CallDecision:
    """A decision with its reason. `note` is the reason if there is no decision, else ""."""

    outcome: Outcome
    layer: Layer | None = None
    statement: StatementRef | None = None
    depends_on: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class CallDecisions:
    """The decisions for a batch of calls.

    Attributes
    ----------
    resources
        the resources of `calls`, users and roles with their paths.
    row
        the determining row of each call.
    decision
        the index of the decision of each call in `decisions`.
    """

    calls: Calls
    resources: Sequence[str | None]
    row: npt.NDArray[np.int64]
    decision: npt.NDArray[np.int64]
    decisions: Sequence[CallDecision]


class CallDecider:
    """Decides calls, batch by batch. A repeated decision is one object.

    Parameters
    ----------
    constants
        values of keys for all calls, as far as the log contains neither a value nor that the key is absent; None is absent.

    Raises
    ------
    RequestValueError
        a value of `constants` is not one of its key.
    """

    def __init__(self, engine: AnalysisEngine, *, constants: Mapping[str, Any] = {}, threads: int = 1) -> None:
        check_context(constants)
        self._engine, self._threads = engine, threads
        self._constants = {fold(name): (name, value) for name, value in constants.items()}
        self._decisions, self._directory = _DecisionTable(), DirectoryLookup(engine.snapshot)
        self._ids = unique_ids(engine.snapshot.tables)

    def replay(self, calls: Calls) -> CallDecisions:
        """Decide a batch of one call or more."""
        resources = self._directory.full(calls.resources)
        decider = _BatchDecider(self._engine, calls, resources, self._decisions, self._directory, self._constants, self._threads)
        rows = decider.decision(are_former(calls, self._ids))
        decided = _deciding_rows(calls, rows, self._decisions)
        return CallDecisions(calls, resources, decided, rows[decided], self._decisions.list)


class _DecisionTable:
    """Distinct decisions by number."""

    def __init__(self) -> None:
        self.list: list[CallDecision] = []
        self._codes: dict[CallDecision, int] = {}

    def code(self, decision: CallDecision) -> int:
        found = self._codes.get(decision)
        if found is None:
            found = self._codes[decision] = len(self.list)
            self.list.append(decision)
        return found


class DirectoryLookup:
    """Lookups in the directory, with caches: resources, paths of users and roles, policies of principals."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = self.snapshot = snapshot
        entities = self._snapshot.tables.entities
        self._paths = {_without_path(arn): arn for arn in entities if arn.count("/") > 1}
        self._kept: dict[str, ResourceFacts] = {}
        self._passing: dict[str | int, tuple[bool, str | Session]] = {}

    def full(self, resources: Sequence[str | None]) -> list[str | None]:
        """Return the resources, users and roles with their paths, which a log omits."""
        paths = self._paths
        return [paths.get(arn, arn) if arn else arn for arn in resources] if paths else list(resources)

    def role_of_profile(self, arn: str) -> str | None:
        """Return the role of an instance profile, which may be named without its path; None if the directory has none."""
        profile = self._profiles.get(_without_path(arn))
        return profile.role if profile is not None else None

    @cached_property
    def _profiles(self) -> dict[str, InstanceProfile]:
        return {_without_path(arn): profile for arn, profile in self._snapshot.tables.instance_profiles.items()}

    def is_absent(self, arn: str) -> bool:
        """Whether the directory has neither a policy nor an owner of a resource."""
        facts = self._facts(arn) if arn != "*" else None
        return facts is not None and facts.policies is None and facts.account is None

    def has_owner(self, arn: str) -> bool:
        """Whether the directory has the owner of a resource."""
        return self._facts(arn).account is not None

    @cached_property
    def are_tags_read(self) -> bool:
        """Whether a statement of the directory reads a tag of the principal."""
        statements = (statement for policy in self._snapshot.policies() for statement in policy.statements)
        return any(map(_reads_tags, statements))

    def may_pass_roles(self, principal: str | Session) -> bool:
        """Whether an identity policy may allow `iam:PassRole` on some role. Users and roles have no other source of it."""
        key = principal if isinstance(principal, str) else id(principal)
        found = self._passing.get(key)
        if found is None:
            if len(self._passing) > _MAX_CACHED:
                self._passing.clear()
            found = self._passing[key] = (self._grants_passing(principal), principal)  # the reference keeps the id valid
        return found[0]

    def _grants_passing(self, principal: str | Session) -> bool:
        profile = self._snapshot.principal(principal)
        if profile.kind not in WITH_IDENTITY_POLICIES or profile.issuer_root:
            return True
        statements = (statement for policy in profile.identity_policies for statement in policy.statements)
        return any(statement.effect is Effect.ALLOW and _may_cover_passing(statement) for statement in statements)

    def _facts(self, arn: str) -> ResourceFacts:
        found = self._kept.get(arn)
        if found is None:
            if len(self._kept) > _MAX_CACHED:
                self._kept.clear()
            found = self._kept[arn] = self._snapshot.facts(arn)
        return found


def _may_cover_passing(statement: Statement) -> bool:
    if statement.actions is None or statement.not_action:
        return True
    pattern_sets = map(action_pattern_set, statement.actions)
    wanted = action_pattern_set(PASS_ROLE)
    return any(wanted is None or pattern_set is None or pattern_set.intersects(wanted) for pattern_set in pattern_sets)


def _reads_tags(statement: Statement) -> bool:
    texts = [*(statement.resources or ()), *(text for entry in statement.conditions for text in (entry.key, *entry.values))]
    return any("aws:principaltag/" in text.lower() for text in texts)


def _without_path(arn: str) -> str:
    kind, _, rest = arn.partition("/")
    return f"{kind}/{rest.rpartition('/')[2]}"


class _BatchDecider:
    """Decides the rows of one batch."""

    def __init__(
        self,
        engine: DecisionEngine,
        calls: Calls,
        resources: Sequence[str | None],
        decisions: _DecisionTable,
        known: DirectoryLookup,
        constants: Mapping[str, tuple[str, Any]],
        threads: int,
    ) -> None:
        self._engine, self._calls, self._resources = engine, calls, resources
        self._decisions, self._directory, self._constants, self._threads = decisions, known, constants, threads
        self._caller = calls.caller[calls.row_call]
        self._times = _Column(calls.times)
        self._columns: dict[tuple[int, str], _Column] = {}
        self._has_owners = any(owner is not None for owner in calls.owners)

    def decision(self, former: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the code of the decision of each row. Rows with the same known keys are decided together.

        Parameters
        ----------
        former
            a mask of the calls of deleted users and roles, which are not decided.
        """
        calls = self._calls
        has_no_principal = np.array([caller.principal is None for caller in calls.callers])[self._caller]
        codes = np.full(len(calls.row_call), self._decisions.code(CallDecision(Outcome.ERROR, note=NO_CALLER)), np.int64)
        if former.any():
            codes[former[calls.row_call]] = self._decisions.code(CallDecision(Outcome.ERROR, note=DELETED))
            has_no_principal |= former[calls.row_call]
        same, known = _known_together(calls.facts)
        of_row = same[calls.row_call]
        for number, keys in enumerate(known):
            rows = np.flatnonzero(~has_no_principal & (of_row == number))
            if len(rows):
                codes[rows] = self._codes(rows, self._decide(rows, keys))
        self._set_unknown_resources(codes)
        return codes

    def _set_unknown_resources(self, codes: npt.NDArray[np.int64]) -> None:
        """Replace the decisions of rows with an unknown resource, which were decided on `*`.

        A principal without any grant of `iam:PassRole` is denied: its own policies determine that action.
        """
        code = self._decisions.code(CallDecision(Outcome.DEPENDS, depends_on=(RESOURCE,)))
        denied = self._decisions.code(CallDecision(Outcome.IMPLICIT_DENY, Layer.IDENTITY))
        calls = self._calls
        for row in [row for row, resource in enumerate(self._resources) if resource is None]:
            if self._decisions.list[codes[row]].note in (NO_CALLER, NOT_IN_DIRECTORY, DELETED):
                continue
            is_failed = self._decisions.list[codes[row]].outcome is Outcome.ERROR
            is_passing = not is_failed and calls.actions[calls.row_action[row]] == PASS_ROLE
            principal = calls.callers[self._caller[row]].principal if is_passing else None
            codes[row] = code if principal is None or self._directory.may_pass_roles(principal) else denied

    def _decide(self, rows: npt.NDArray[np.int64], keys: Sequence[frozenset[str]]) -> Decisions:
        calls = self._calls
        of_row = calls.row_call[rows]
        context: dict[str, object] = {"aws:CurrentTime": self._times.at(of_row)}
        for number, known in enumerate(keys):
            context |= {key: self._column(number, key).at(of_row) for key in known}
        logged = set(map(fold, context))
        for folded, (name, value) in self._constants.items():
            if folded not in logged:
                context[name] = for_all_rows(value, name) if isinstance(value, list) else value
        principals = {code: calls.callers[code].principal for code in np.unique(self._caller[rows]).tolist()}
        names = {code: principal if isinstance(principal, str) else f"session {code}" for code, principal in principals.items()}
        numbers = rows.tolist()
        return self._engine.decide_many(
            _column_of("principals", self._caller[rows], [names.get(code, "") for code in range(len(calls.callers))]),
            _column_of("actions", calls.row_action[rows], calls.actions),
            [self._resources[row] or "*" for row in numbers],
            context,
            unknown=("*",),
            resource_accounts=[calls.owners[row] for row in numbers] if self._has_owners else None,
            sessions={names[code]: principal for code, principal in principals.items() if isinstance(principal, Session)},
            reasons=True,
            on_error="deny",
            threads=self._threads,
        )

    def _column(self, number: int, key: str) -> _Column:
        """Return the values of a key in one of `facts` for all calls. The result is cached."""
        found = self._columns.get((number, key))
        if found is None:
            facts = self._calls.facts[number]
            entries = (entry.get(key) for entry in facts.table)
            values = [None if isinstance(value, Open) else value for value in entries]
            found = self._columns[number, key] = _Column(values, facts.codes)
        return found

    def _codes(self, rows: npt.NDArray[np.int64], decisions: Decisions) -> npt.NDArray[np.int64]:
        """Return the codes of the decisions of rows; each distinct combination is converted once."""
        has_tags = any(c.may_have_tags for c in self._calls.callers) and self._directory.are_tags_read
        opened = [c.may_have_policies + 2 * c.has_unknown_kind + 4 * (c.may_have_tags and has_tags) for c in self._calls.callers]
        flags = np.array(opened, np.int64)[self._caller[rows]]
        statement, refs = decisions.statement_refs
        depends = decisions.depends_on
        parts = (
            (decisions.outcome, 256),
            (decisions.layer.codes, 256),
            (decisions.reason.codes, 256),
            (flags, 8),
            (statement + 1, len(refs) + 1),
            (depends.codes + 1, len(depends.values) + 1),
        )
        mixed = np.zeros(len(rows), np.int64)
        for codes, size in parts:
            mixed = mixed * size + codes
        _, at, inverse = np.unique(mixed, return_index=True, return_inverse=True)
        made = [self._decisions.code(_call_decision(decisions, row, int(flags[row]))) for row in at.tolist()]
        found: npt.NDArray[np.int64] = np.array(made, np.int64)[inverse]
        of_resource = (decisions.layer.codes == LAYERS.index(Layer.RESOURCE)) & (decisions.outcome == Outcome.IMPLICIT_DENY)
        for row in np.flatnonzero(of_resource).tolist():
            if self._directory.is_absent(self._resources[rows[row]] or "*"):
                found[row] = self._decisions.code(CallDecision(Outcome.ERROR, note=NO_RESOURCE))
        for row, error in decisions.errors.items():
            message = getattr(error, "message", "") or str(error).partition("\n")[0]
            resource = shorten(self._resources[rows[row]] or "*")  # omitted, or each resource would be a group
            found[row] = self._decisions.code(CallDecision(Outcome.ERROR, note=message.replace(f"`{resource}`", "the resource")))
        self._open_owners(rows, found)
        return found

    def _open_owners(self, rows: npt.NDArray[np.int64], found: npt.NDArray[np.int64]) -> None:
        """Make decisions on buckets of an unknown owner depend on it: a bucket of another account needs its policy (6.4)."""
        owners, resources = self._calls.owners, self._resources
        for at, row in enumerate(rows.tolist()):
            resource = resources[row]
            if owners[row] is None and resource is not None and ":s3:::" in resource and not self._directory.has_owner(resource):
                decision = self._decisions.list[found[at]]
                if decision.outcome in (Outcome.ALLOW, Outcome.DEPENDS):
                    depends_on = (*decision.depends_on, OWNER)
                    found[at] = self._decisions.code(replace(decision, outcome=Outcome.DEPENDS, depends_on=depends_on))


def _call_decision(decisions: Decisions, row: int, flags: int) -> CallDecision:
    """Return the decision of a row, with the attributes of its session that are not in the log."""
    decision, may_have_policies, has_unknown_kind = decisions[row], flags & 1, flags & 2
    if decision.reason is Reason.UNKNOWN_PRINCIPAL:
        return CallDecision(Outcome.ERROR, note=NOT_IN_DIRECTORY)
    outcome, depends_on = decision.outcome, decision.depends_on
    if may_have_policies and decision.outcome in (Outcome.ALLOW, Outcome.DEPENDS):
        outcome, depends_on = Outcome.DEPENDS, (*depends_on, SESSION_POLICIES)
    if has_unknown_kind and decision.layer is Layer.CREDENTIAL:
        outcome, depends_on = Outcome.DEPENDS, (*depends_on, SESSION_KIND)
    if flags & 4 and decision.outcome is not Outcome.ERROR:
        outcome, depends_on = Outcome.DEPENDS, (*depends_on, SESSION_TAGS)
    return CallDecision(outcome, decision.layer, decision.statement, depends_on)


def _known_together(facts: Sequence[LoggedContext]) -> tuple[IntArray, list[tuple[frozenset[str], ...]]]:
    """Group calls by known keys: a number for each call, and by number one set of keys for each of `facts`."""
    sets: list[list[tuple[frozenset[str], frozenset[str]]]] = []
    mixed = np.zeros(len(facts[0].codes), np.int64)
    for part in facts:
        kinds: dict[tuple[frozenset[str], frozenset[str]], int] = {}
        of_entry = np.array([kinds.setdefault(_keys_of(entry), len(kinds)) for entry in part.table], np.int64)
        sets.append(list(kinds))
        mixed = mixed * len(kinds) + of_entry[part.codes]
    distinct, same = np.unique(mixed, return_inverse=True)
    known = []
    for number in distinct.tolist():
        keys: list[frozenset[str]] = []
        withdrawn: frozenset[str] = frozenset()
        for kinds_of_part in reversed(sets):
            number, kind = divmod(number, len(kinds_of_part))
            given, is_open = kinds_of_part[kind]
            keys.append(given - withdrawn)
            withdrawn |= is_open
        known.append(tuple(reversed(keys)))
    return same, known


def _keys_of(entry: Mapping[str, str | Open | None]) -> tuple[frozenset[str], frozenset[str]]:
    """The keys with a value (or None) in an entry, and the keys that are `Open.OPEN` in it."""
    is_open = frozenset(key for key, value in entry.items() if value is Open.OPEN)
    return frozenset(entry) - is_open, is_open


class _Column:
    """A dictionary-encoded text column of calls; None is a missing value."""

    def __init__(self, values: Sequence[str | None], codes: IntArray | None = None) -> None:
        numbers: dict[str, int] = {}
        of_value = np.array([-1 if v is None else numbers.setdefault(v, len(numbers)) for v in values], np.int32)
        self._codes = of_value if codes is None else of_value[codes]
        self._values = list(numbers)

    def at(self, calls: IntArray) -> DictionaryColumn | str | None:
        """Return the values for some calls, or one value for all. PERF: most keys have one value or none for these calls."""
        codes = self._codes[calls]
        first = int(codes[0])
        if (codes == first).all():
            return None if first < 0 else self._values[first]
        return _column_of("", codes, self._values)


def _column_of(name: str, codes: IntArray, values: Sequence[str]) -> DictionaryColumn:
    """Return a column without unused values, if there are more values than rows.

    PERF: each call of the engine reads all values, and a batch has a call for each set of known keys.
    """
    if len(values) <= len(codes):
        return DictionaryColumn(name, codes, values)
    used = np.zeros(len(values) + 1, bool)
    used[codes] = True  # the last one is for -1, a missing value
    numbers = np.flatnonzero(used[:-1])
    compact = np.full(len(values) + 1, -1, np.int32)
    compact[numbers] = np.arange(len(numbers))
    return DictionaryColumn(name, compact[codes], [values[number] for number in numbers.tolist()])


def _deciding_rows(calls: Calls, rows: npt.NDArray[np.int64], decisions: _DecisionTable) -> npt.NDArray[np.int64]:
    """Return the determining row of each call: the first one with the highest weight (R12)."""
    weight = _WEIGHT[np.array([decision.outcome for decision in decisions.list], np.int64)][rows]
    n = len(rows)
    starts = np.flatnonzero(np.diff(calls.row_call, prepend=-1))
    best: npt.NDArray[np.int64] = np.maximum.reduceat(weight * n + np.arange(n - 1, -1, -1), starts)
    return n - 1 - best % n
