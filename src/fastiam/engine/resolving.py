"""Resolution of misses, and conversion of results into `Decision`.

`_core` decides without running Python code. Misses are principals, resources and keys that are not in the tables yet. They are
read from the snapshot here, once, and added to the bounded run-time cache. The result of `_core`, numbers, becomes a `Decision`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from fastiam.compile.compiler import Compiler
from fastiam.compile.pattern_text import utf8
from fastiam.engine.decisions import LAYERS, NO_CODE, REASONS, LazyStatements
from fastiam.errors import RequestValueError
from fastiam.kernel.plan.names import Names, provider_key
from fastiam.model.decision import Decision, Layer, Outcome, StatementRef
from fastiam.model.profile import FEDERATION, ROOTS, EndpointProfile, PrincipalProfile, ResourceProfile
from fastiam.model.request import (
    Context,
    ContextValue,
    Request,
    absent_keys,
    check_action,
    check_context,
    check_key,
    check_resource,
    check_root,
    epoch_seconds,
    is_declared,
    read_context,
    read_unknown,
)
from fastiam.model.session import Session, check_principal_type, not_a_principal
from fastiam.resolve.context_checks import check_principal
from fastiam.resolve.snapshot import Snapshot

if TYPE_CHECKING:
    from fastiam.engine.engine_file.saved_directory import Records

_ENDPOINT = "aws:sourcevpce"
# the policies of statement ids, and for each code the id, the level and the layer, packed as `kernel/batch/resolve.pyx` does
Occurrences = tuple[Sequence[int], Sequence[Any], dict[int, StatementRef]]
ReportedPart = tuple[Occurrences, npt.NDArray[np.uint64]]
_MAX_REFERENCES = 65_536  # that are cached; all are dropped when there are more


class Resolver:
    """What an engine was compiled from, and the tables that it decides by. `_core.Core` calls it for what the tables lack.

    Parameters
    ----------
    snapshot
        the directory; None for a resolver of `records`, or of principals that are all in the tables.
    names
        are frozen, with the tables of the compiler.
    records
        of an engine file, whose snapshot is built on first use.
    families
        what `families_read` returns, where it is known.
    """

    def __init__(
        self,
        snapshot: Snapshot | None,
        compiler: Compiler,
        names: Names,
        options: dict[str, Any],
        defaults: dict[str, ContextValue],
        records: Records | None = None,
        families: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.compiler, self.names, self.options, self.defaults = compiler, names, options, defaults
        self.lock = compiler.lock
        self._snapshot, self._records, self._families = snapshot, records, families

    @property
    def snapshot(self) -> Snapshot:
        """The directory as it was compiled."""
        if self._snapshot is None and self._records is not None:
            with self.lock:
                self._snapshot = self._snapshot or self._records.snapshot()
        if self._snapshot is None:
            raise RequestValueError("the engine decides for one principal only", column="principal")
        return self._snapshot

    # -- resolution of misses -----------------------------------------------------------------------------------------

    def add_principal(self, name: str, action: str) -> None:
        """Add a name. A service or provider is one for some actions only."""
        if not (name.startswith("arn:") and self._add_from_template(name)):
            self._add_named(name, action)

    def _add_from_template(self, name: str) -> bool:
        """Add a name by its principal template, if it has one. `_enter_by_template` has not found the template in the tables."""
        template_for = self.snapshot.template_for(name)
        if template_for is None:
            return False
        if self._find(template_for.base) is None:
            self._add_named(template_for.base, "")
        with self.lock, self.compiler.building():
            base = self._find(template_for.base)
            if base is not None:  # else it was dropped meanwhile
                self.compiler.add_template(self.names, template_for, base)
            return self.names.enter_from_template(utf8(name))

    def _find(self, name: str) -> int | None:
        with self.lock:
            return self.names.find_principal(utf8(name))

    def _add_named(self, name: str, action: str) -> None:
        profile = self.snapshot.principal(name, action)
        with self.lock, self.compiler.building():
            by_action = not name.startswith("arn:") and action.lower() in FEDERATION
            key = provider_key(name, action) if by_action else utf8(name)
            if self.names.find_principal(key) is None:
                self.names.principal(key, self.compiler.principal(self.names, profile))

    def add_session(self, session: object) -> int:
        """Add a session, and return its id as a principal."""
        if not isinstance(session, Session):
            raise not_a_principal(session)
        profile = self.snapshot.principal(session)
        with self.lock, self.compiler.building():
            self.compiler.retain_session_policies(session.policies or ())
            return self.compiler.principal(self.names, profile)

    def add_resource(self, arn: str) -> None:
        """Add what the directory knows of a resource, unless another thread has added it: batches may read what is there."""
        facts = self.snapshot.facts(arn)
        with self.lock, self.compiler.building():
            if not self.names.has_fact(utf8(arn), facts.start):
                self.names.fact(utf8(arn), self.compiler.record(facts, asked=arn), facts.start)

    def key_id(self, name: str) -> int:
        """Return the id of a context key by any spelling; NOT_READ or NOT_READ_ONE if no statement reads it."""
        check_key(name)
        with self.lock:
            return self.compiler.keys.find(name)

    def check_request(
        self,
        principal: str | Session,
        action: str,
        resource: str,
        context: Context | None,
        resource_account: str | None,
        unknown: Collection[str] | None = None,
    ) -> None:
        """Raise if the request contradicts the directory (K1, D23), with the message of the account model.

        The defaults of the engine are part of the request, unless `unknown` is None: a row of a batch has columns for them.
        """
        request = (
            Request(action, read_context(context or {}))
            if unknown is None
            else self.read_request(action, context, unknown=unknown)
        )
        self.profiles(principal, resource, request, resource_account)

    def contradicts(self, principal: str | Session, key: str, value: str) -> bool:
        """Whether a value contradicts the keys of the principal, an ARN, for any action and resource (K1)."""
        profile = self.snapshot.principal(principal)
        try:
            check_principal(profile, read_context({key: value}))
        except RequestValueError:
            return True
        return False

    def enforce_cache_bound(self, needed: int = 0) -> None:
        """Evict the run-time cache if it exceeds its bound. The `needed` bytes, which are used next, are not counted."""
        if self.cache_bytes_used() - needed > self.options["cache_bytes"]:
            with self.lock:
                self.compiler.drop()

    # -- results ------------------------------------------------------------------------------------------------------

    def occurrences(self) -> Occurrences:
        """The policies by the ids of their statements."""
        occurrences: Occurrences = self.compiler.statements.occurrences
        return occurrences

    def decision(
        self,
        outcome: int,
        layer: int,
        reason: int,
        occurrence: int | None,
        level: int,
        indeterminate: bool,
        assumed_owner: bool,
        owner_override: bool,
        deciding_keys: tuple[int, ...],
    ) -> Decision:
        """Return the decision that the numbers of an answer mean."""
        statement = None
        if occurrence is not None:
            statement = statement_ref(self.occurrences(), occurrence, LAYERS[layer], level)
        return Decision(
            Outcome(outcome),
            LAYERS[layer],
            statement,
            None if reason == NO_CODE else REASONS[reason],
            indeterminate,
            assumed_owner,
            owner_override,
            tuple(sorted(self.folded_names()[key] for key in deciding_keys)),
        )

    def folded_names(self) -> list[str]:
        """The condition keys by id."""
        return self.compiler.keys.names

    def keys_read(self) -> set[str]:
        """The folded names of the condition keys that the policies read."""
        with self.lock:
            return self.compiler.keys.read()

    def families_read(self) -> Mapping[str, Collection[str]]:
        """The families of operators that statements test each folded key with. PERF: an engine file has them."""
        if self._families is None:
            from fastiam.resolve.keys_read import families_read  # PERF: it loads the specification evaluator

            self._families = families_read(self.snapshot.policies())
        return self._families

    def statement_refs(self, parts: list[ReportedPart]) -> StatementRefs:
        """Return the statements that a batch reports."""
        return StatementRefs(parts)

    def read_request(
        self, action: str, context: Context | None, *, unknown: Collection[str] = (), now: datetime | None = None
    ) -> Request:
        """Return a request for the specification evaluator, with the `context_defaults` of the engine (D71)."""
        values = check_context(context)
        declared = read_unknown(unknown, values)
        given, absent = self._given(values, declared)
        return Request(check_action(action), given, epoch_seconds(now), declared, absent)

    def _given(self, values: Context, declared: frozenset[str] = frozenset()) -> tuple[dict[str, ContextValue], frozenset[str]]:
        """Return a context with the defaults of the engine, and the keys that it declares absent."""
        absent = absent_keys(values)
        defaults = {k: v for k, v in self.defaults.items() if k not in absent and not is_declared(declared, k)}
        return {**defaults, **read_context(values)}, absent

    def profiles(
        self, principal: str | Session | PrincipalProfile, resource: str, request: Request, resource_account: str | None = None
    ) -> tuple[PrincipalProfile, ResourceProfile, EndpointProfile | None]:
        """Return the profiles that decide a request, as the specification evaluator takes them.

        Raises
        ------
        RequestValueError
            the request contradicts the directory (K1, D23).
        """
        values = request.context.keys() | request.absent
        if not isinstance(principal, PrincipalProfile):
            principal = check_principal_type(principal)
        profiles = self.snapshot.profiles(
            principal,
            request.action,
            check_resource(resource),
            request.context,
            resource_account=resource_account,
            unknown_owner=self.options["unknown_owner"],
            endpoint_unknown=_ENDPOINT not in values and is_declared(request.unknown, _ENDPOINT),
        )
        if profiles[0].kind in ROOTS:
            check_root(request.unknown)
        return profiles

    def cache_bytes_used(self) -> int:
        """The size of the run-time cache in bytes."""
        return self.compiler.cache_bytes_used + int(self.names.cache_bytes_used())


class StatementRefs(LazyStatements):
    """The statements that a batch reports, by their codes. Each is built on first use: that takes longer than the decision.

    The engine caches them, so the batches of one engine have the same objects.

    The policies of the engine are kept alive until then. A pickle contains only the names.
    """

    def __init__(self, parts: list[ReportedPart]) -> None:
        self._parts = parts
        self._ends = list(accumulate(len(keys) for _, keys in parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, code: int) -> StatementRef: ...
    @overload
    def __getitem__(self, code: slice) -> Sequence[StatementRef]: ...
    def __getitem__(self, code: int | slice) -> StatementRef | Sequence[StatementRef]:
        if isinstance(code, slice):
            return [self[i] for i in range(*code.indices(len(self)))]
        at = range(len(self))[code]
        part = bisect_right(self._ends, at)
        occurrences, keys = self._parts[part]
        key = int(keys[at - self._ends[part]])  # a negative index counts from the end of its part
        references = occurrences[2]
        found = references.get(key)
        if found is None:
            found = statement_ref(occurrences, key >> 16, LAYERS[key & 255], key >> 8 & 255)
            if len(references) >= _MAX_REFERENCES:
                references.clear()
            references[key] = found
        return found

    def chosen(self, codes: list[int]) -> tuple[StatementRef, ...]:
        """Some of them. PERF: mostly, all are cached."""
        if len(self._parts) == 1:
            ((occurrences, keys),) = self._parts
            found = tuple(map(occurrences[2].get, keys[codes].tolist()))
            if all(found):
                return found  # type: ignore[return-value]  # none is None
        return tuple(map(self.__getitem__, codes))


def statement_ref(occurrences: Occurrences, occurrence: int, layer: Layer, level: int) -> StatementRef:
    """Return the reference to a statement by its occurrence id."""
    starts, policies, _ = occurrences
    at = bisect_right(starts, occurrence) - 1
    while at and not policies[at].statements:  # policies without statements share their start with the next one
        at -= 1
    policy = policies[at]
    statement = policy.statements[occurrence - starts[at]]
    return StatementRef.of(policy, statement, layer, level)


def checked_bytes(cache_bytes: object) -> int:
    """A bound on the run-time cache.

    Raises
    ------
    RequestValueError
        it is not a number of bytes.
    """
    if type(cache_bytes) is not int or cache_bytes < 0:
        raise RequestValueError(f"`{cache_bytes}` is not a number of bytes", column="cache_bytes", hint="use an int, 0 or more")
    return cache_bytes
