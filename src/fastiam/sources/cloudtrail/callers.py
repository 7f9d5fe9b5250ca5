"""The principal of a call, from `userIdentity`, with the attributes of its session.

A log contains the session policies and tags of a session only if the call that issued its credentials is in the log before it.
`IssuedSessions` stores those calls by access key. Other attributes are unknown (spec 6.11):

* A role session without such a call is represented by its ARN, and may have session policies (`may_have_policies`).
* Temporary credentials of a user come from GetSessionToken or from a sign-in, with different rules in 7.4 (`has_unknown_kind`).
* `mfaAuthenticated` is false for federated role sessions too, although the key is absent there (7.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from fastiam.directory.principal_refs import is_principal
from fastiam.model.logged_calls import LoggedPrincipal, Open
from fastiam.model.session import Session
from fastiam.sources.cloudtrail.log_records import Record
from fastiam.sources.sdk_calls.parameter_names import HIDDEN

MFA, MFA_AGE, ISSUED_AT = "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "aws:TokenIssueTime"
SOURCE_IDENTITY, PROVIDER = "aws:SourceIdentity", "aws:FederatedProvider"
Keys = Mapping[str, str | Open | None]

_MAX_ISSUED = 200_000  # issued sessions; older ones are evicted
_SERVICE_LINKED = ":role/aws-service-role/"
_EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_ISSUING = ("AssumeRole", "GetFederationToken", "GetSessionToken")
_SESSION_KEYS: Keys = {ISSUED_AT: None, SOURCE_IDENTITY: None, PROVIDER: None}


class _Issuer(msgspec.Struct):
    arn: str = ""


class _Attributes(msgspec.Struct):
    creationDate: str = ""
    mfaAuthenticated: str | bool = ""


class _Web(msgspec.Struct):
    federatedProvider: str = ""


class _Context(msgspec.Struct):
    sessionIssuer: _Issuer | None = None
    attributes: _Attributes | None = None
    webIdFederationData: _Web | None = None
    sourceIdentity: str | None = None
    ec2RoleDelivery: str | None = None


class Identity(msgspec.Struct):
    """The fields of `userIdentity` that determine the principal."""

    type: str = ""
    arn: str = ""
    accountId: str = ""
    principalId: str = ""
    accessKeyId: str = ""
    invokedBy: str = ""
    identityProvider: str = ""
    sessionContext: _Context | None = None


class _Credentials(msgspec.Struct):
    accessKeyId: str = ""


class _Response(msgspec.Struct):
    credentials: _Credentials | None = None


_decode_identity = msgspec.json.Decoder(Identity | None)
_decode_response = msgspec.json.Decoder(_Response | None)


@dataclass(frozen=True, slots=True)
class _SessionIssue:
    """How credentials were issued. `by_service`: the session may have keys that are not in a log. `tags` None: unknown."""

    call: str
    by_service: bool
    policies: tuple[Any, ...] | None
    tags: Mapping[str, str] | None
    transitive: Mapping[str, str]
    source_identity: str | None


class IssuedSessions:
    """The latest sessions whose issuing calls are in the log, by access key."""

    def __init__(self) -> None:
        self._of_key: dict[str, _SessionIssue] = {}

    def add_issued(self, record: Record, parameters: Any, identity: Identity) -> str:
        """Store the session that a call of STS issued. Return its access key, or "" if it issued none."""
        if record.eventName not in _ISSUING or record.errorCode or not is_visible(parameters):
            return ""
        response = _decoded(_decode_response, record.responseElements)
        key = response.credentials.accessKeyId if response and response.credentials else ""
        if key:
            self._of_key[key] = self._read(record.eventName, parameters, identity)
            if len(self._of_key) > _MAX_ISSUED:
                del self._of_key[next(iter(self._of_key))]
        return key

    def find(self, key: str) -> _SessionIssue | None:
        """Return how credentials were issued, or None if that is not in the log."""
        return self._of_key.get(key)

    def _read(self, call: str, parameters: dict[str, Any], identity: Identity) -> _SessionIssue:
        inline, managed = parameters.get("policy"), parameters.get("policyArns") or ()
        policies = ((inline,) if inline else ()) + tuple(
            item["arn"] for item in managed if isinstance(item, dict) and "arn" in item
        )
        passed = _tags_in(parameters.get("tags"))
        is_chained = identity.type == "AssumedRole"
        before = self.find(identity.accessKeyId) if is_chained else None
        # the inherited tags of a chained session are known only if the session of its caller is known
        inherited = (before.transitive if before and before.tags is not None else None) if is_chained else {}
        is_known = passed is not None and inherited is not None
        tags = {**(inherited or {}), **(passed or {})}
        names = {str(name).lower() for name in parameters.get("transitiveTagKeys") or ()} | {
            key.lower() for key in inherited or {}
        }
        source = parameters.get("sourceIdentity") or (before.source_identity if before else None)
        return _SessionIssue(
            call=call,
            by_service=identity.type not in ("IAMUser", "AssumedRole", "Root"),
            policies=policies or None,
            tags=tags if is_known else None,
            transitive={key: value for key, value in tags.items() if key.lower() in names},
            source_identity=str(source) if source else None,
        )


def _tags_in(given: Any) -> dict[str, str] | None:
    """Return tags in the form of CloudTrail, or None if they are hidden or malformed."""
    if given is None:
        return {}
    pairs = given if isinstance(given, list) else [given]
    if not all(
        isinstance(pair, dict) and isinstance(pair.get("key"), str) and isinstance(pair.get("value"), str) for pair in pairs
    ):
        return None
    tags = {pair["key"]: pair["value"] for pair in pairs}
    return None if HIDDEN in (*tags, *tags.values()) else tags


def is_visible(parameters: Any) -> bool:
    """Whether `requestParameters` are complete. CloudTrail omits large parameters and marks that."""
    return isinstance(parameters, dict) and parameters.get("omitted") is not True


class PrincipalReader:
    """Converts `userIdentity` to principals and their context keys."""

    def __init__(self, issued: IssuedSessions, *, no_session_policies: bool) -> None:
        self._issued, self._no_session_policies = issued, no_session_policies

    def read(self, raw: msgspec.Raw, from_console: bool) -> tuple[Identity, LoggedPrincipal, Keys]:
        """Return the identity, the principal, and their context keys."""
        identity = _decoded(_decode_identity, raw) or Identity()
        caller, keys = self._caller(identity, from_console)
        return identity, replace(caller, unique_id=_unique_id(identity)), keys

    def _caller(self, identity: Identity, from_console: bool) -> tuple[LoggedPrincipal, Keys]:
        match identity.type:
            case "AssumedRole":
                return self._role_session(identity)
            case "IAMUser" | "Root":
                return self._user(identity, from_console)
            case "FederatedUser":
                return self._federated_user(identity)
            case "AWSService":
                return _identified(identity.invokedBy) if is_principal(identity.invokedBy) else _unidentified(identity)
            case "WebIdentityUser" | "SAMLUser":
                provider = identity.identityProvider
                is_known = is_principal(provider, "sts:AssumeRoleWithWebIdentity")
                return _identified(provider) if is_known else _unidentified(identity)
            case "AWSAccount" if identity.accountId == "ANONYMOUS_PRINCIPAL":
                return _identified("*")
            case _:
                return _unidentified(identity)

    def _user(self, identity: Identity, from_console: bool) -> tuple[LoggedPrincipal, Keys]:
        issued_at, has_mfa = _session_of(identity)
        if not identity.arn.startswith("arn:"):
            return _unidentified(identity)
        if issued_at is None:  # a long-term key
            return LoggedPrincipal(identity.arn, identity.arn), {**_SESSION_KEYS, MFA: None, MFA_AGE: None}
        issue = self._issued.find(identity.accessKeyId)
        session = Session(
            identity.arn,
            kind="ROOT" if identity.type == "Root" else "USER",
            issuer=identity.arn,
            issued_at=issued_at,
            mfa_at=issued_at if has_mfa else None,
        )
        is_open = issue is None or issue.call != "GetSessionToken" or from_console
        return LoggedPrincipal(identity.arn, session, has_unknown_kind=is_open), {} if has_mfa else {MFA_AGE: None}

    def _role_session(self, identity: Identity) -> tuple[LoggedPrincipal, Keys]:
        context = identity.sessionContext or _Context()
        role = context.sessionIssuer.arn if context.sessionIssuer else ""
        if not identity.arn.startswith("arn:") or not role.startswith("arn:"):
            return _unidentified(identity)
        issued_at, has_mfa = _session_of(identity)
        issue = self._issued.find(identity.accessKeyId)
        if issue is not None and issue.call == "AssumeRole" and not issue.by_service and issue.tags is not None and issued_at:
            session = Session(
                identity.arn,
                kind="SLR" if _SERVICE_LINKED in role else "ROLE",
                issuer=role,
                policies=issue.policies,
                tags=issue.tags,
                issued_at=issued_at,
                source_identity=issue.source_identity,
                context={MFA: has_mfa},
            )
            return LoggedPrincipal(role, session), {}
        is_open = not self._no_session_policies if issue is None else issue.policies is not None
        caller = LoggedPrincipal(role, identity.arn, may_have_policies=is_open)
        return caller, _keys_of_role_session(
            identity, context, has_mfa, is_assumed=issue is not None and issue.call == "AssumeRole"
        )

    def _federated_user(self, identity: Identity) -> tuple[LoggedPrincipal, Keys]:
        context = identity.sessionContext or _Context()
        issue = self._issued.find(identity.accessKeyId)
        issued_at, _ = _session_of(identity)
        if not identity.arn.startswith("arn:"):
            return _unidentified(identity)
        known = issue if issue is not None and issue.call == "GetFederationToken" else None
        session = Session(
            identity.arn,
            kind="FED",
            issuer=context.sessionIssuer.arn if context.sessionIssuer and context.sessionIssuer.arn else None,
            policies=known.policies if known else [_EVERYTHING],
            tags=(known.tags if known else None) or {},
            issued_at=issued_at,
        )
        return LoggedPrincipal(
            identity.arn, session, may_have_policies=not known, may_have_tags=known is None or known.tags is None
        ), {}


def _unique_id(identity: Identity) -> str:
    """Return the unique id of a user or role, or "": `principalId` also has the name of a session."""
    return identity.principalId.partition(":")[0] if identity.type in ("IAMUser", "AssumedRole") else ""


def _keys_of_role_session(identity: Identity, context: _Context, has_mfa: bool, *, is_assumed: bool) -> Keys:
    """Return the keys in a record for a session with known role and name only."""
    keys: dict[str, str | Open | None] = {SOURCE_IDENTITY: context.sourceIdentity or None}
    if context.attributes and context.attributes.creationDate:
        keys[ISSUED_AT] = context.attributes.creationDate
    provider = context.webIdFederationData.federatedProvider if context.webIdFederationData else ""
    if provider:
        keys |= {PROVIDER: provider, MFA: None, MFA_AGE: None}
    elif has_mfa:
        keys[MFA] = "true"
    else:
        keys[MFA_AGE] = None
        if is_assumed or context.ec2RoleDelivery:
            keys |= {MFA: "false", PROVIDER: None}
    if context.ec2RoleDelivery:
        keys["ec2:RoleDelivery"] = context.ec2RoleDelivery
    return keys


def _session_of(identity: Identity) -> tuple[datetime | None, bool]:
    """Return the start of the session, None without a session, and whether MFA was used."""
    attributes = identity.sessionContext.attributes if identity.sessionContext else None
    if attributes is None or not attributes.creationDate:
        return None, False
    try:
        began = datetime.fromisoformat(attributes.creationDate)
    except ValueError:
        return None, False
    return (began if began.tzinfo else None), str(attributes.mfaAuthenticated).lower() == "true"


def _identified(name: str) -> tuple[LoggedPrincipal, Keys]:
    return LoggedPrincipal(name, name), {}


def _unidentified(identity: Identity) -> tuple[LoggedPrincipal, Keys]:
    """Return a principal that cannot be decided; `shown` is its description in the log."""
    name = identity.arn or identity.principalId or identity.accountId or identity.invokedBy
    kind = identity.type or "no type"
    return LoggedPrincipal(f"{kind} {name}".rstrip(), None), {}


def _decoded(decoder: Any, raw: msgspec.Raw) -> Any:
    """Decode a value, or return None if it has another structure."""
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
