"""What an attempt to decide misses, and how an answer is told.

`_core` decides without running Python code. What an attempt misses (a session's name, the facts of a resource, the number of a
key) is asked of the snapshot here, once, and kept in a bounded cache; what it finds, numbers, becomes a `Decision` here.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
import numpy.typing as npt

from fastiam._core import Core
from fastiam.compile.compiler import Compiler
from fastiam.compile.pattern_text import utf8
from fastiam.directory.principal_refs import FEDERATION
from fastiam.engine.decisions import LAYERS, NO_CODE, REASONS
from fastiam.errors import RequestValueError
from fastiam.kernel.plan.names import Names, provider_key
from fastiam.model.decision import Decision, Layer, Outcome, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.key_registry import fold, key_info
from fastiam.model.profile import EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile
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
    exact_text,
    is_declared,
    read_context,
    read_unknown,
)
from fastiam.model.session import Session, session_content_key
from fastiam.resolve.context_checks import check_principal
from fastiam.resolve.snapshot import Snapshot

if TYPE_CHECKING:
    from fastiam.engine.engine_file.records import Records

_ENDPOINT = "aws:sourcevpce"
# what the numbers of statements mean, and of each code the number, the level and the layer, as `kernel.batch.resolve` joins them
ReportedPart = tuple[tuple[list[int], list[Any]], npt.NDArray[np.uint64]]


class ResolvingCore(Core):
    """A core that knows the directory it was compiled from; `Engine` adds the public face."""

    _snapshot: Snapshot | None
    _records: Records | None = None  # of an engine from a file, whose snapshot is made when it is asked for
    _compiler: Compiler
    _options: dict[str, Any]
    _defaults: dict[str, ContextValue]
    _lock: threading.RLock

    @classmethod
    def _over(
        cls,
        snapshot: Snapshot | None,
        compiler: Compiler,
        names: Names,
        options: dict[str, Any],
        defaults: dict[str, ContextValue],
    ) -> Self:
        """A core over names and tables that are frozen; without a snapshot it knows what the names hold, and nothing else."""
        engine = cls(names)
        engine._snapshot, engine._compiler, engine._lock = snapshot, compiler, compiler.lock
        engine._options, engine._defaults = options, defaults
        engine._set_defaults(defaults)
        return engine

    # -- what an attempt missed ---------------------------------------------------------------------------------------

    def _resolve_principal(self, name: str, action: str) -> None:
        if not (name.startswith("arn:") and self._resolve_from_template(name)):
            self._resolve_named(name, action)

    def _resolve_from_template(self, name: str) -> bool:
        """Enter a name by whom it is like, where that can be known; `_enter_by_template` has found that it is not yet."""
        template_for = self._snapshot_or_fail().template_for(name)
        if template_for is None:
            return False
        if self._find(template_for.base) is None:
            self._resolve_named(template_for.base, "")
        with self._lock, self._compiler.building():
            base = self._find(template_for.base)
            if base is not None:  # else it was dropped meanwhile
                self._compiler.add_template(self.names, template_for, base)
            return self.names.enter_from_template(utf8(name))

    def _find(self, name: str) -> int | None:
        with self._lock:
            return self.names.find_principal(utf8(name))

    def _resolve_named(self, name: str, action: str) -> None:
        profile = self._snapshot_or_fail().principal(name, action)
        with self._lock, self._compiler.building():
            by_action = not name.startswith("arn:") and action.lower() in FEDERATION
            key = provider_key(name, action) if by_action else utf8(name)
            if self.names.find_principal(key) is None:
                self.names.principal(key, self._compiler.principal(self.names, profile))

    def _resolve_session_id(self, session: object) -> int:
        if not isinstance(session, Session):
            raise _not_a_principal(session)
        profile = self._snapshot_or_fail().principal(session)
        with self._lock, self._compiler.building():
            self._compiler.retain_session_policies(session.policies or ())
            return self._compiler.principal(self.names, profile)

    _session_content_key = staticmethod(session_content_key)

    def _resolve_resource(self, arn: str) -> None:
        facts = self._snapshot_or_fail().facts(arn)
        with self._lock, self._compiler.building():
            self.names.fact(utf8(arn), self._compiler.record(facts, asked=arn), facts.start)

    def _resolve_key(self, name: str) -> int:
        check_key(name)
        with self._lock:
            return self._compiler.keys.find(name)

    def _check_request(
        self,
        principal: str | Session,
        action: str,
        resource: str,
        context: Context | None,
        resource_account: str | None,
        unknown: Collection[str] | None = None,
    ) -> None:
        """Raise where the request contradicts the directory (K1, D23), with the message of the account model.

        The defaults of the engine are part of it, but where `unknown` is None: a row of a batch has columns for them.
        """
        request = (
            Request(action, read_context(context or {}))
            if unknown is None
            else self.read_request(action, context, unknown=unknown)
        )
        self._profiles(principal, action, resource, request, resource_account)

    def _contradicts(self, principal: str | Session, key: str, value: str) -> bool:
        """Whether a value contradicts what is known of who asks, an ARN, whatever the request is for (K1)."""
        profile = self._snapshot_or_fail().principal(principal)
        try:
            check_principal(profile, read_context({key: value}))
        except RequestValueError:
            return True
        return False

    def _enforce_cache_bound(self, needed: int = 0) -> None:
        """Drop what requests brought, where it takes more than its bound, not counting what is needed again at once."""
        if self._cache_bytes_used() - needed > self._options["cache_bytes"]:
            with self._lock:
                self._compiler.drop()

    def _snapshot_or_fail(self) -> Snapshot:
        if self._snapshot is None and self._records is not None:
            with self._lock:
                self._snapshot = self._snapshot or self._records.snapshot()
        if self._snapshot is None:
            raise RequestValueError("the engine decides over one principal alone", column="principal")
        return self._snapshot

    # -- answers ------------------------------------------------------------------------------------------------------

    def _occurrences(self) -> tuple[Any, Any]:
        return self._compiler.statements.occurrences

    def _decision(
        self,
        outcome: int,
        layer: int,
        reason: int,
        occurrence: int | None,
        level: int,
        indeterminate: bool,
        assumed_owner: bool,
        owner_override: bool,
        matters: tuple[int, ...],
    ) -> Decision:
        statement = None
        if occurrence is not None:
            statement = statement_ref(self._occurrences(), occurrence, LAYERS[layer], level)
        return Decision(
            Outcome(outcome),
            LAYERS[layer],
            statement,
            None if reason == NO_CODE else REASONS[reason],
            indeterminate,
            assumed_owner,
            owner_override,
            tuple(sorted(self._folded_names()[key] for key in matters)),
        )

    def _folded_names(self) -> list[str]:
        return self._compiler.keys.names

    def _keys_read(self) -> set[str]:
        """The folded names of the condition keys that the policies read."""
        with self._lock:
            return self._compiler.keys.read()

    def _is_single(self, name: str) -> bool:
        info = key_info(fold(name))
        return info is not None and not info.multi

    def _statement_refs(self, parts: list[ReportedPart]) -> StatementRefs:
        return StatementRefs(parts)

    def read_request(
        self, action: str, context: Context | None, *, unknown: Collection[str] = (), now: datetime | None = None
    ) -> Request:
        """A request as the reference takes it, with the `context_defaults` of this engine (D71)."""
        told = check_context(context)
        declared = read_unknown(unknown, told)
        given, absent = self._given(told, declared)
        return Request(check_action(action), given, epoch_seconds(now), declared, absent)

    def _given(self, told: Context, declared: frozenset[str] = frozenset()) -> tuple[dict[str, ContextValue], frozenset[str]]:
        """A context with the defaults of the engine, and the keys that it says are absent."""
        absent = absent_keys(told)
        defaults = {k: v for k, v in self._defaults.items() if k not in absent and not is_declared(declared, k)}
        return {**defaults, **read_context(told)}, absent

    def _explained(
        self, principal: str | Session | PrincipalProfile, resource: str, request: Request, resource_account: str | None
    ) -> Explanation:
        """The record of a decision by the reference, over the profiles that the engine was compiled from."""
        from fastiam.spec import decide as decide_literally  # PERF: what only decides does not load it

        who, what, endpoint = self._profiles(principal, request.action, resource, request, resource_account)
        sources = self._snapshot_or_fail().account_facts
        return decide_literally(who, what, request, endpoint=endpoint, settings=self._options["settings"], sources=sources)

    def _profiles(
        self,
        principal: str | Session | PrincipalProfile,
        action: str,
        resource: str,
        request: Request,
        resource_account: str | None,
    ) -> tuple[PrincipalProfile, ResourceProfile, EndpointProfile | None]:
        told = request.context.keys() | request.absent
        if not isinstance(principal, PrincipalProfile):
            principal = check_principal_type(principal)
        profiles = self._snapshot_or_fail().profiles(
            principal,
            action,
            check_resource(resource),
            request.context,
            resource_account=resource_account,
            unknown_owner=self._options["unknown_owner"],
            endpoint_unknown=_ENDPOINT not in told and is_declared(request.unknown, _ENDPOINT),
        )
        if profiles[0].kind in (PrincipalKind.ROOT, PrincipalKind.AROOT):
            check_root(request.unknown)
        return profiles

    def _cache_bytes_used(self) -> int:
        return self._compiler.cache_bytes_used + int(self.names.cache_bytes_used())


def check_principal_type(principal: object) -> str | Session:
    """A principal, if it is text or a `Session`.

    Raises
    ------
    RequestValueError: anything else.
    """
    if isinstance(principal, str):
        return exact_text(principal)
    if isinstance(principal, Session):
        return principal
    raise _not_a_principal(principal)


def _not_a_principal(principal: object) -> RequestValueError:
    return RequestValueError(
        f"a principal is text or a Session, not `{type(principal).__name__}`",
        column="principal",
        hint="pass an ARN, a service name, `*`, or a `fastiam.Session`",
    )


class StatementRefs(Sequence[StatementRef]):
    """The statements that a batch reports, by their codes. One is named when asked for: that takes longer than to decide.

    Until then the policies of the engine that decided are kept; `pickle` keeps the names alone.
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
        key = int(keys[at - self._ends[part]])  # a negative place counts from the end of its part
        return statement_ref(occurrences, key >> 16, LAYERS[key & 255], key >> 8 & 255)


def statement_ref(occurrences: tuple[list[int], list[Any]], occurrence: int, layer: Layer, level: int) -> StatementRef:
    """The name of a statement in an answer, by its number."""
    starts, policies = occurrences
    at = bisect_right(starts, occurrence) - 1
    while at and not policies[at].statements:  # policies without statements share their start with the next one
        at -= 1
    policy = policies[at]
    statement = policy.statements[occurrence - starts[at]]
    return StatementRef.of(policy, statement, layer, level)
