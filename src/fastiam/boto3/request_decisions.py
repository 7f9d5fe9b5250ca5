"""The decision of one request of a call: its keys, what stays unknown, and the resource as the policies know it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastiam.analysis.access.call_decisions import RESOURCE, SESSION_POLICIES, SESSION_TAGS, CallDecision, DirectoryLookup
from fastiam.analysis.access.resource_forms import representatives
from fastiam.boto3.call_facts import CallFacts
from fastiam.boto3.endpoint_state import OpenState
from fastiam.boto3.recorded import CheckedRequest
from fastiam.errors import RequestValueError
from fastiam.model.decision import Decision, Layer, Outcome
from fastiam.model.key_registry import fold
from fastiam.model.logged_calls import PASS_ROLE
from fastiam.model.request import Context
from fastiam.model.session import Session
from fastiam.sources.sdk_calls.call_keys import CALLED_VIA, OF_CALL_ALONE, unknown_keys
from fastiam.sources.sdk_calls.call_requests import SdkRequest, action_data

if TYPE_CHECKING:
    from fastiam.model.protocols import AnalysisEngine

_TOKEN = "identity token"


class RequestDecider:
    """Decides the requests of a block.

    Parameters
    ----------
    context
        condition keys of all requests, in place of what a call determines.
    unknown
        further condition keys that are unknown.
    is_enforced
        a key that contradicts the engine is an error; else it is noted.
    """

    def __init__(self, context: Context, unknown: Collection[str], *, is_enforced: bool) -> None:
        self._context, self._opened, self._is_enforced = dict(context), frozenset(map(fold, unknown)), is_enforced
        self._lookup: DirectoryLookup | None = None
        self._representatives: dict[tuple[str, str], list[str] | None] = {}  # by action and form

    def decided(
        self,
        request: SdkRequest,
        facts: CallFacts,
        engine: AnalysisEngine | None,
        state: OpenState | None,
        *,
        is_presigned: bool = False,
    ) -> CheckedRequest:
        """Decide a request with the policies of now; without any, note it.

        Parameters
        ----------
        state
            the endpoint that the policies are read from, if there is one.
        is_presigned
            the request is one of a signed URL, which another program uses.

        Raises
        ------
        RequestValueError
            a block that enforces has a key that contradicts what the engine knows.
        """
        found = self._decided(request, facts, engine, state, is_presigned)
        return replace(found, forms=request.forms) if request.forms else found

    def _decided(
        self,
        request: SdkRequest,
        facts: CallFacts,
        engine: AnalysisEngine | None,
        state: OpenState | None,
        is_presigned: bool,
    ) -> CheckedRequest:
        principal = facts.principal
        keys = self._keys(request, facts)
        if engine is None or principal is None:
            note = "" if engine is None else "no principal is known for the credentials"
            resource = None if request.passes_profile else request.resource
            return facts.request(request.action, resource, keys, None, note)
        if request.needs_token:
            undecided = CallDecision(Outcome.DEPENDS, depends_on=(_TOKEN,))
            return facts.request(request.action, request.resource, keys, undecided)
        lookup = self._directory_lookup(engine)
        found = request.resource
        if found is not None and request.passes_profile:
            found = lookup.role_of_profile(found)
        alias = request.keys.get("kms:RequestAlias")
        if found is None and state is not None and isinstance(alias, str):
            found = state.key_of_alias(facts.origin.region, alias)
        if found is None and request.action == PASS_ROLE and not lookup.may_pass_roles(principal):
            return facts.request(request.action, None, keys, CallDecision(Outcome.IMPLICIT_DENY, Layer.IDENTITY))
        resource = lookup.full((found,))[0] if found is not None else None
        candidates = self._candidates(engine, principal, request) if resource is None or request.forms else [resource]
        unknown = unknown_keys(action_data(request.action), frozenset(map(fold, keys)), request.closed)
        if is_presigned and "aws:useragent" not in map(fold, keys):  # another program uses the URL
            unknown = (*unknown, "aws:useragent")
        if request.is_forwarded:
            unknown = tuple(dict.fromkeys((*unknown, "aws:useragent", *self._opened - {fold(CALLED_VIA)})))
        elif self._opened:
            unknown = tuple(dict.fromkeys((*unknown, *self._opened)))
        try:
            decided = [engine.decide(principal, request.action, one, keys, unknown=unknown, now=facts.now) for one in candidates]
        except RequestValueError as failed:
            if self._is_enforced:
                raise
            return facts.request(request.action, resource, keys, None, str(failed).partition("\n")[0])
        decision = _in_common(decided)
        if state is not None and state.is_unseen(principal):
            decision = _of_unseen_session(decision, lookup)
        return facts.request(request.action, resource, keys, decision)

    def _candidates(self, engine: AnalysisEngine, principal: str | Session, request: SdkRequest) -> list[str]:
        """Return resources that stand for all that the request may be about, none if policies distinguish them."""
        own = engine.snapshot.principal(principal).session_policies if isinstance(principal, Session) else None
        found: list[str] = []
        for form in request.forms:
            key = request.action, form
            if own or key not in self._representatives:
                resources = representatives(engine.snapshot, *key, session_policies=own or ())
            else:
                resources = self._representatives[key]
            if not own:
                self._representatives[key] = resources
            if resources is None:
                return []
            found += resources
        return found

    def _keys(self, request: SdkRequest, facts: CallFacts) -> dict[str, Any]:
        """Return the keys of a request: those of the call and of the request, replaced by `context` and `unknown` of the block.

        A request that a service makes for the caller comes from the network of the service.
        """
        keys: dict[str, Any] = {**facts.keys, **request.keys}
        if self._opened:
            known = (key for key in keys if fold(key) not in self._opened or (key == CALLED_VIA and request.is_forwarded))
            keys = {key: keys[key] for key in known}
        given: Mapping[str, Any] = self._context
        if request.is_forwarded:
            keys.pop("aws:UserAgent", None)
            given = {key: value for key, value in given.items() if fold(key) not in OF_CALL_ALONE}
        if given:
            replaced = frozenset(map(fold, given))
            keys = {key: value for key, value in keys.items() if fold(key) not in replaced} | dict(given)
        return keys

    def _directory_lookup(self, engine: AnalysisEngine) -> DirectoryLookup:
        if self._lookup is None or self._lookup.snapshot is not engine.snapshot:
            self._lookup = DirectoryLookup(engine.snapshot)
            self._representatives.clear()
        return self._lookup


def _in_common(decided: Sequence[Decision]) -> CallDecision:
    """Return the decision of all resources that a request may be about; it depends on the resource if they differ."""
    outcomes = {one.outcome for one in decided}
    if not decided or (len(outcomes) > 1 and not outcomes <= {Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}):
        return CallDecision(Outcome.DEPENDS, depends_on=(RESOURCE,))
    first = decided[0]
    depends_on = tuple(dict.fromkeys(key for one in decided for key in one.depends_on))
    return CallDecision(first.outcome, first.layer, first.statement, depends_on)


def _of_unseen_session(decision: CallDecision, lookup: DirectoryLookup) -> CallDecision:
    """Return the decision of a session whose policies and tags are unknown, as replay does."""
    outcome, depends_on = decision.outcome, decision.depends_on
    if outcome in (Outcome.ALLOW, Outcome.DEPENDS):
        outcome, depends_on = Outcome.DEPENDS, (*depends_on, SESSION_POLICIES)
    if lookup.are_tags_read and outcome is not Outcome.ERROR:
        outcome, depends_on = Outcome.DEPENDS, (*depends_on, SESSION_TAGS)
    return replace(decision, outcome=outcome, depends_on=depends_on)
