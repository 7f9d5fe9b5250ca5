"""The calls of one block: their principals, their requests, and the decisions.

`fastiam.boto3` hands in each call of a client before it is sent, with the final parameters.
"""

from __future__ import annotations

import inspect
import os
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

import botocore
from botocore.awsrequest import AWSResponse
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from fastiam.api.directory import Directory
from fastiam.api.suggestion import Suggestion, suggest_policy
from fastiam.boto3.call_errors import UncheckedCall, UndecidedCall, UnknownCredentials, UnmappedCall
from fastiam.boto3.call_facts import CallFacts
from fastiam.boto3.call_messages import not_announced, refused_message, undecided_message
from fastiam.boto3.draft import Draft, draft_of
from fastiam.boto3.endpoint_state import AccountState, OpenState
from fastiam.boto3.issued_sessions import issued_session
from fastiam.boto3.recorded import (
    CheckedRequest,
    SeenCall,
    calls_of,
    identity_of,
    name_of,
    report_of,
    rows_of,
)
from fastiam.boto3.refusals import answer_of_deletion, error_of_deletion, refusal
from fastiam.boto3.request_decisions import RequestDecider
from fastiam.errors import FastiamError, RequestValueError, did_you_mean
from fastiam.model.arn import split_arn
from fastiam.model.decision import Outcome
from fastiam.model.logged_calls import LoggedOutcome
from fastiam.model.request import Context
from fastiam.model.session import Session
from fastiam.sources.sdk_calls.arn_templates import RequestOrigin
from fastiam.sources.sdk_calls.call_keys import CALLED_VIA
from fastiam.sources.sdk_calls.call_requests import SdkRequest, delete_requests, operation_of

if TYPE_CHECKING:
    from fastiam.model.protocols import AnalysisEngine

OnUndecided = Literal["error", "deny", "allow", "warn"]
OnUnmapped = Literal["error", "allow", "warn"]
OnPresigned = Literal["record", "check"]
Policies = Any  # an engine, a directory, or paths

_POST = ("s3", "CreateBucket")  # the event of `generate_presigned_post`
_DENIALS = (Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY)
_SUSPENDED: ContextVar[tuple[SdkCalls, ...]] = ContextVar("fastiam_suspended", default=())


class SdkCalls:
    """The calls of a block. `enforce` and `record` make one; `fastiam.boto3` uses its private members."""

    def __init__(
        self,
        policies: Policies | None,
        *,
        is_enforced: bool,
        principal: str | Session | None,
        principals: Mapping[str, str | Session],
        depends: OnUndecided,
        unmapped: OnUnmapped,
        presigned: OnPresigned,
        context: Context,
        unknown: Collection[str],
        now: datetime | None,
        account: str | None,
    ) -> None:
        _check_choice("depends", depends, ("error", "deny", "allow", "warn"))
        _check_choice("unmapped", unmapped, ("error", "allow", "warn"))
        _check_choice("presigned", presigned, ("record", "check"))
        self._presigned = presigned
        self._directory, self._policies = _opened(policies)
        self._state = self._policies if isinstance(self._policies, OpenState) else None
        self._is_enforced, self._principal, self._principals = is_enforced, principal, dict(principals)
        self._depends, self._unmapped, self._now, self._account = depends, unmapped, now, account
        self._decider = RequestDecider(context, unknown, is_enforced=is_enforced)
        self._lock = threading.Lock()
        self._seen: list[SeenCall] = []
        self._kept: list[FastiamError] = []
        self._issued: dict[tuple[str, str], Session] = {}
        self._n_internal = self._n_suspended = self._n_pausing = 0
        self._outer: SdkCalls | None = None
        for each in (principal, *self._principals.values()):
            self._check_known(each)

    @property
    def _engine(self) -> AnalysisEngine | None:
        """The engine of now: a `LiveEngine` has another one after each change."""
        found = self._policies
        return cast("AnalysisEngine | None", getattr(found, "engine", found))

    @property
    def requests(self) -> tuple[CheckedRequest, ...]:
        """The requests of all calls so far, in order."""
        with self._lock:
            return tuple(request for call in self._seen for request in call.requests)

    def report(self) -> str:
        """Return calls, denials, what undecided requests need, operations without a mapping, and passed roles, as text."""
        with self._lock:
            seen = list(self._seen)
        counts = {
            "calls of emulators, not checked": self._n_internal,
            "calls while suspended": self._n_suspended,
            "presigned URLs, as of now": sum(any(each.presigned for each in call.requests) for call in seen),
        }
        return report_of(seen, counts, self._state.findings if self._state is not None else ())

    def policy(self, *, conditions: bool = False) -> Suggestion | Draft:
        """Return a smaller policy for the principal of the calls, of what they used, with the guarantees of `suggest_policy`.

        Without policies, it is a `Draft` of the calls alone: the recorded actions on the recorded resources.
        Calls that the endpoint denied, or that failed before authorization, do not count.

        Parameters
        ----------
        conditions
            of a draft: limit each statement to the Region and the tags that its requests have in common.

        Raises
        ------
        RequestValueError
            the block has an engine as `policies`, or its calls have no principal or several.
        """
        with self._lock:
            seen = list(self._seen)
        if self._policies is None:
            return draft_of(seen, conditions=conditions)
        directory = self._directory if self._state is None else self._state.directory
        if directory is None:
            hint = "pass a `Directory` or paths: `record(policies, principal)`"
            raise RequestValueError("a smaller policy needs the policies of the principal", column="policies", hint=hint)
        found = {identity_of(each.principal) for call in seen for each in call.requests if each.principal is not None}
        if self._principal is not None:
            found = {identity_of(self._principal)}
        if len(found) != 1:
            shown = ", ".join(sorted(found)) or "none"
            raise RequestValueError(f"the calls have not one principal but: {shown}", column="principal", hint="pass `principal`")
        return suggest_policy(directory, found.pop(), [calls_of(seen)])

    def refresh(self) -> None:
        """Read the state of the endpoint again before the next call.

        Raises
        ------
        RequestValueError
            the policies are not an `account_state`.
        """
        if self._state is None:
            raise RequestValueError("only an `account_state` is read again", column="policies")
        self._state.invalidate()

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the requests as JSON lines, which `fastiam authorize --requests` reads. Return how many were written.

        Requests without a principal or a resource are left out. A session is written as its ARN, without its tags and policies.
        """
        import orjson

        rows = rows_of(self.requests)
        with open(path, "wb") as file:
            file.writelines(orjson.dumps(row) + b"\n" for row in rows)
        return len(rows)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Do not check the calls inside: those of this thread, and of threads without a block, such as those of a transfer."""
        token = _SUSPENDED.set((*_SUSPENDED.get(), self))
        with self._lock:
            self._n_pausing += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_pausing -= 1
            _SUSPENDED.reset(token)

    def _check_known(self, principal: str | Session | None) -> None:
        engine = self._engine
        if engine is None or not isinstance(principal, str) or not principal.startswith("arn:"):
            return
        if not engine.snapshot.principal(principal).known:
            hint = did_you_mean(principal, engine.snapshot.tables.entities)
            raise RequestValueError(f"the policies contain no principal `{principal}`", column="principal", hint=hint)

    # -- one call

    def _filter_deletion(self, mark: Mark, model: Any, parameters: dict[str, Any], context: Mapping[str, Any]) -> None:
        """Decide `DeleteObjects` key by key, and take denied keys out of the parameters that are sent (T118)."""
        facts = self._facts(mark, model, None, None, context)
        found = delete_requests(parameters, facts.origin)
        if not found:
            return  # `before-call` reports that the call is not mapped
        self._read_state([request for _, request in found], facts)
        checked = [self._decided(request, facts) for _, request in found]
        mark.seen, mark.is_filtered = self._add(checked, facts), True
        if not self._is_enforced:
            return
        self._handle_undecided(checked)
        allowed = []
        for (entry, _), request in zip(found, checked, strict=True):
            if self._is_refused(request):
                mark.errors.append(error_of_deletion(entry, refused_message(request)))
            else:
                allowed.append(entry)
        if mark.errors:
            parameters["Delete"] = {**parameters["Delete"], "Objects": allowed}
            mark.is_answered = not allowed

    def _check(self, mark: Mark, model: Any, request: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        """Decide a call. Return the answer of a denied one, None for one that passes."""
        if mark.is_filtered:  # `DeleteObjects`, decided before
            return _response(request, 200, answer_of_deletion(mark.errors)) if mark.is_answered else None
        if mark.parameters is None:
            raise self._keep(not_announced(model.service_model.service_name, model.name))
        facts = self._facts(mark, model, request["url"], request["headers"], context)
        found = facts.operation.requests(mark.parameters, facts.origin, model.input_shape)
        if not found:
            mark.seen = self._add([facts.request("", None, {}, None, "the operation has no mapping")], facts)
            self._handle_unmapped(facts)
            return None
        self._read_state(found, facts)
        checked = [self._decided(each, facts) for each in found]
        mark.seen = self._add(checked, facts)
        if not self._is_enforced:
            return None
        denied = next((each for each in checked if each.decision and each.decision.outcome in _DENIALS), None)
        if denied is None:
            self._handle_undecided(checked)
            denied = next((each for each in checked if self._is_refused(each)), None)
        if denied is None:
            return None
        return _response(request, *self._refusal(facts, model, denied))

    def _presign(self, client: Any, model: Any, parameters: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        """Decide a URL that is signed. Signing needs no permission, and its use needs those of the signer (T115)."""
        mark = Mark(self, client, model.name, None)
        mark.parameters = dict(parameters)
        facts = self._facts(mark, model, None, None, context)
        found = facts.operation.requests(mark.parameters, facts.origin, model.input_shape)
        if (facts.service, model.name) == _POST:
            found = [each._replace(action="s3:PutObject", resource=None) for each in found[:1]]
        self._read_state(found, facts)
        checked = [replace(self._decided(each, facts, is_presigned=True), presigned=True) for each in found]
        if not found:
            checked = [replace(facts.request("", None, {}, None, "the operation has no mapping"), presigned=True)]
        self._add(checked, facts).outcome = LoggedOutcome.ALLOWED
        if self._presigned == "record" or not self._is_enforced:
            return
        if not found:
            self._handle_unmapped(facts)
            return
        denied = next((each for each in checked if each.decision and each.decision.outcome in _DENIALS), None)
        if denied is None:
            self._handle_undecided(checked)
            denied = next((each for each in checked if self._is_refused(each)), None)
        if denied is not None:
            raise ClientError(self._refusal(facts, model, denied)[1], model.name)

    def _refusal(self, facts: CallFacts, model: Any, denied: CheckedRequest) -> tuple[int, dict[str, Any]]:
        service = model.service_model
        protocols = service.metadata.get("protocols") or [service.metadata.get("protocol", "")]
        return refusal(protocols, facts.operation.prefix, model.http.get("method", ""), refused_message(denied))

    def _facts(
        self, mark: Mark, model: Any, url: str | None, headers: Mapping[str, Any] | None, context: Mapping[str, Any]
    ) -> CallFacts:
        """Return what all requests of a call have in common."""
        client, service = mark.client, model.service_model
        signing = context.get("signing") or {}
        region = signing.get("region") or client.meta.region_name or ""
        region = "us-east-1" if region in ("", "aws-global", "*") else region
        principal = self._principal_of(client, context)
        arn = split_arn(name_of(principal)) if principal is not None else None
        account = self._account or (arn.account if arn else "") or ("*" if self._policies is None else "")
        caller = name_of(principal) if principal is not None and ":user/" in name_of(principal) else ""
        url = url or client.meta.endpoint_url
        keys: dict[str, Any] = {"aws:RequestedRegion": region, "aws:SecureTransport": _is_secure(url), CALLED_VIA: None}
        agent = (headers or {}).get("User-Agent") or client.meta.config.user_agent
        if isinstance(agent, bytes):
            agent = agent.decode("latin-1")
        if agent and headers is not None:
            keys["aws:UserAgent"] = agent
        mark.principal = principal
        return CallFacts(
            operation_of(service.endpoint_prefix, service.signing_name, model.name),
            model.name,
            service.service_name,
            RequestOrigin(client.meta.partition or "aws", region, account, caller),
            principal,
            keys,
            self._now or datetime.now(UTC),
        )

    def _principal_of(self, client: Any, context: Mapping[str, Any]) -> str | Session | None:
        """Return the principal of the credentials that sign a call (T114)."""
        if context.get("auth_type") == "none" or client.meta.config.signature_version is botocore.UNSIGNED:
            return "*"
        credentials = getattr(client._request_signer, "_credentials", None)
        frozen = _frozen(credentials) if credentials is not None else None
        key = frozen.access_key if frozen is not None else ""
        block: SdkCalls | None = self
        while block is not None:
            session = block._issued.get((key, (frozen.token if frozen is not None else "") or ""))
            if session is not None:
                return session
            block = block._outer
        found = self._principals.get(key)
        if found is None and self._state is not None and frozen is not None:
            region = client.meta.region_name or "us-east-1"
            try:
                found = self._state.caller(key, frozen.secret_key, frozen.token, region)
            except UncheckedCall as failed:
                raise self._keep(failed) from None
            if self._principal is not None and isinstance(found, str) and found.endswith(":root"):
                found = None  # default credentials of an emulator: `principal` says whose they are
        found = found if found is not None else self._principal
        if found is None and self._is_enforced:
            hint = "pass `principal=` or `principals={KEY: ARN}` for code under test, `with calls.suspended():` for set-up"
            raise self._keep(UnknownCredentials(f"no principal is known for the access key `{key or 'none'}`\nhelp: {hint}"))
        return found

    def _decided(self, request: SdkRequest, facts: CallFacts, *, is_presigned: bool = False) -> CheckedRequest:
        try:
            return self._decider.decided(request, facts, self._engine, self._state, is_presigned=is_presigned)
        except RequestValueError as failed:
            raise self._keep(failed) from None

    def _read_state(self, requests: Sequence[SdkRequest], facts: CallFacts) -> None:
        """Read the resources of the services of a call from the endpoint, where they are not known."""
        if self._state is None:
            return
        try:
            self._state.prepare({each.action.partition(":")[0] for each in requests}, facts.origin.region)
            self._engine  # noqa: B018  (read and compiled now, so that an error is one of this call)
        except UncheckedCall as failed:
            raise self._keep(failed) from None

    def _note(self, service: str, operation: str) -> None:
        """Note a successful call of this process, also one that is not checked: it may change the state of the endpoint."""
        if self._state is not None:
            self._state.note(service, operation)

    def _add(self, requests: Sequence[CheckedRequest], facts: CallFacts) -> SeenCall:
        with self._lock:
            number = len(self._seen) + 1
            seen = SeenCall(facts.now, [facts.numbered(each, number) for each in requests])
            self._seen.append(seen)
        return seen

    def _is_refused(self, request: CheckedRequest) -> bool:
        outcome = request.decision.outcome if request.decision is not None else Outcome.ERROR
        return outcome in _DENIALS or outcome is Outcome.ERROR or (outcome is Outcome.DEPENDS and self._depends == "deny")

    def _handle_undecided(self, requests: Sequence[CheckedRequest]) -> None:
        """Raise or warn for requests that are neither allowed nor denied."""
        for each in requests:
            decision = each.decision
            if decision is None or decision.outcome is not Outcome.DEPENDS:
                continue
            if self._depends == "error":
                raise self._keep(UndecidedCall(undecided_message(each, decision), decision.depends_on))
            if self._depends == "warn":
                warnings.warn(undecided_message(each, decision), stacklevel=2)

    def _handle_unmapped(self, facts: CallFacts) -> None:
        text = f"`{facts.service}` `{facts.name}` is not mapped to IAM actions, or not with these parameters"
        if self._unmapped == "error" and self._is_enforced:
            hint = "pass `unmapped='warn'`, and report it: https://github.com/fastiam/fastiam/issues"
            raise self._keep(UnmappedCall(f"{text}\nhelp: {hint}"))
        if self._unmapped == "warn":
            warnings.warn(text, stacklevel=2)

    def _keep(self, failed: FastiamError) -> FastiamError:
        with self._lock:
            self._kept.append(failed)
        return failed

    def _finish(self, mark: Mark, answer: Any) -> None:
        """Note what came of a call that returned."""
        if mark.errors:
            answer.setdefault("Errors", []).extend([] if mark.is_answered else mark.errors)
        if mark.seen is None or mark.parameters is None:
            return
        mark.seen.outcome = LoggedOutcome.ALLOWED
        self._note(mark.client.meta.service_model.service_name, mark.operation)
        if mark.client.meta.service_model.service_name == "sts":
            found = issued_session(mark.operation, mark.parameters, answer, mark.principal, mark.seen.at)
            if found is not None:
                key, session = found
                with self._lock:
                    self._issued[key] = session

    def _raise_kept(self) -> None:
        if self._kept:
            first, n = self._kept[0], len(self._kept)
            if n > 1 and isinstance(first, UncheckedCall):
                first.add_note(f"{n:,} calls of the block could not be decided; this is the first")
            raise first


class Mark:
    """A call on its way through botocore. `wrapper` is the wrapper of `_make_api_call` that it came from."""

    __slots__ = (
        "calls",
        "client",
        "operation",
        "wrapper",
        "parameters",
        "is_checked",
        "is_filtered",
        "is_answered",
        "seen",
        "errors",
        "principal",
    )

    def __init__(self, calls: SdkCalls, client: Any, operation: str, wrapper: Any) -> None:
        self.calls, self.client, self.operation, self.wrapper = calls, client, operation, wrapper
        self.parameters: dict[str, Any] | None = None
        self.is_checked = self.is_filtered = self.is_answered = False
        self.seen: SeenCall | None = None
        self.errors: list[dict[str, Any]] = []
        self.principal: str | Session | None = None


def _opened(policies: Policies | None) -> tuple[Directory | None, Any]:
    if policies is None:
        return None, None
    if isinstance(policies, AccountState):
        return None, policies.open()
    if isinstance(policies, Directory):
        return policies, policies.compile()
    if hasattr(policies, "decide"):
        return None, policies
    from fastiam.api.loading import load  # PERF: an engine or a directory needs no readers

    paths = [policies] if isinstance(policies, (str, os.PathLike)) else list(policies)
    directory = load(*paths)
    return directory, directory.compile()


def _frozen(credentials: Any) -> Any:
    """Return the keys of credentials. Those of aiobotocore are refreshed before, because handlers cannot wait."""
    if not inspect.iscoroutinefunction(credentials.get_frozen_credentials):
        return credentials.get_frozen_credentials()
    kept = getattr(credentials, "_frozen_credentials", None)  # of credentials that are refreshed
    return kept or ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.token)


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise RequestValueError(f"`{value}` is none of {', '.join(known)}", column=name)


def _is_secure(url: str) -> bool:
    """Whether a call uses TLS. An emulator's `http://localhost` stands for AWS, where it is `https`."""
    parts = urlsplit(url)
    return parts.scheme == "https" or not (parts.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _response(request: Mapping[str, Any], status: int, answer: dict[str, Any]) -> Any:
    return AWSResponse(request["url"], status, {}, None), answer
