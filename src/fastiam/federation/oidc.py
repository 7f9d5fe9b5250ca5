"""AssumeRoleWithWebIdentity: from the token that a client sends to a session (chapter 3, in the order of 3.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastiam.credentials.results import Assertion, AssumedRole
from fastiam.credentials.sts_errors import AccessDeniedError, ValidationError
from fastiam.credentials.text_rules import check_form
from fastiam.federation.audit import Entry, digest_of, secret_hash
from fastiam.federation.federation_errors import IdentityTokenError
from fastiam.federation.issuer_keys import IssuerKeys, KeySource
from fastiam.federation.oauth_tokens import USER_KEYS, AccessToken, TokenChecker, check_access_token
from fastiam.federation.oidc_claims import SessionClaims, read_keys, read_session_claims
from fastiam.federation.oidc_token import (
    MAX_TOKEN,
    MIN_TOKEN,
    Audience,
    Token,
    check_audience,
    check_kind,
    check_times,
    read_audience,
    read_subject_claim,
    read_token,
)
from fastiam.federation.replay_protection import Replays, Use
from fastiam.federation.state import FederationState
from fastiam.model.arn import split_arn
from fastiam.model.request import shorten
from fastiam.policy.principal_entries import GOOGLE
from fastiam.sts import federated_roles as asserted
from fastiam.sts import parameter_limits as limits
from fastiam.sts.authorization import CallKeys
from fastiam.sts.roles import NO_ROLE, check_role
from fastiam.sts.session_issuer import PolicyText

CALL = "AssumeRoleWithWebIdentity"
COGNITO = "cognito-identity.amazonaws.com"
WebProviders = Mapping[str, str | Callable[[], str]]
_HTTPS = "https://"
_MIN_ARN, _MAX_ARN, _MIN_ID, _MAX_ID = 20, 2_048, 4, 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class WebIdentity(Assertion):
    """A verified web identity.

    Attributes
    ----------
    subject
        `sub` of an ID token, the user id of an access token.
    issuer
        `iss`, or the `ProviderId` of an access token.
    audience
        the effective audience (WI23), values of a list joined by `,`; the application of an access token.
    expires
        when the token ends. It does not limit the session (WI65).
    key_id, token_id
        `kid` and `jti`, "" if the token has none.
    """

    subject: str
    issuer: str
    audience: str
    expires: datetime
    key_id: str = ""
    token_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebIdentityRole(AssumedRole):
    """The answer of AssumeRoleWithWebIdentity (WI66). `provider` is the issuer of the token."""

    subject: str
    provider: str
    audience: str


@dataclass(frozen=True, slots=True)
class _Provider:
    """A provider of a call. `client_ids` is None for the built-in ones, which have no list (WI23)."""

    name: str
    prefix: str
    keys: KeySource
    client_ids: tuple[str, ...] | None


class WebIdentityCalls:
    """Verification of web identity tokens, and the sessions that follow from them."""

    def __init__(
        self, state: FederationState, replays: Replays, web_providers: WebProviders, token_checkers: Mapping[str, TokenChecker]
    ) -> None:
        for name, keys in web_providers.items():
            if name not in (GOOGLE, COGNITO) or (name == COGNITO and not keys):
                hint = f"configure `{GOOGLE}`, or `{COGNITO}` with a JWKS; access tokens are checked by `token_checkers`"
                raise ValidationError(f"`{shorten(str(name))}` cannot be verified like that", rule="IP40", hint=hint)
        for name in token_checkers:
            if name not in USER_KEYS:
                hint = f"use {' or '.join(f'`{known}`' for known in USER_KEYS)}"
                raise ValidationError(f"`{shorten(str(name))}` has no access tokens", rule="WI70", hint=hint)
        self._state, self._replays = state, replays
        self._built_in, self._checkers = dict(web_providers), dict(token_checkers)
        self._keys = IssuerKeys(state.fetch, state.settings.private_hosts, state.settings.fetched_issuers)

    # -- verification (steps 1 to 9) ------------------------------------------------------------------------------------------

    def verify(
        self, role: str, session_name: str, token: str | bytes, provider_id: str | None, now: datetime, entry: Entry
    ) -> WebIdentity:
        """The identity in a token.

        Raises
        ------
        ValidationError, IdentityTokenError, ExpiredTokenError, RejectedClaimError, CommunicationError
            see 3.1.
        """
        text = _check_parameters(role, session_name, token, provider_id)
        self._state.directory.refresh()
        if provider_id is not None:
            found = self._verify_access_token(role, session_name, text, provider_id, now)
        else:
            found = self._verify_id_token(role, session_name, text, now, entry)
        subject = found.subject
        if "unauthenticated" in found.keys.get(f"{COGNITO}:amr", ()):  # its id is a bearer secret
            subject = secret_hash(self._state.issuer.state.keyring, subject)
        entry.add(
            provider=found.provider,
            subject=subject,
            user_name=subject,
            audience=found.audience,
            key_id=found.key_id,
            source_identity=found.source_identity,
            type="WebIdentityUser",
            principal_id=f"{found.issuer}:{found.audience}:{subject}",
        )
        return found

    def _verify_access_token(self, role: str, session_name: str, token: str, provider: str, now: datetime) -> WebIdentity:
        asserted.require_provider(self._state.issuer, asserted.OIDC, provider, role)
        found = self.check_access_token(provider, token, now)
        return WebIdentity(
            provider=provider,
            keys={f"{provider}:app_id": found.app_id, f"{provider}:{USER_KEYS[provider]}": found.user_id},
            session_name=session_name,
            subject=found.user_id,
            issuer=provider,
            audience=found.app_id,
            expires=found.expires_at,
        )

    def _verify_id_token(self, role: str, session_name: str, text: str, now: datetime, entry: Entry) -> WebIdentity:
        token = read_token(text)
        provider = self._provider(role, token.issuer)
        entry.add(provider=provider.name)
        claims = self.verified_claims(token, provider.keys, now, entry)
        subject, audience = read_subject_claim(claims), read_audience(claims)
        check_kind(claims)
        _check_audience(provider, audience)
        further = self._state.settings.web_identity_claims.get(provider.prefix, ())
        condition_keys = read_keys(provider.prefix, claims, audience, further)
        session = read_session_claims(claims)
        return _identity(provider, session_name, claims, condition_keys, session, subject, audience, token.key_id or "")

    def _provider(self, role: str, issuer: str) -> _Provider:
        """Step 3: the provider with exactly this issuer in the account of the role (WI20, WI21, IP41)."""
        _, partition, _, _, account, _ = role.split(":", 5)
        url = issuer.removeprefix(_HTTPS)
        is_right = issuer != url or url == GOOGLE
        record = self._state.tables.oidc_providers.get(f"arn:{partition}:iam::{account}:oidc-provider/{url}")
        if record is None and is_right and url in self._built_in and partition == "aws":
            return _Provider(url, url, self.built_in(url), None)
        if record is None or not is_right or record.url != url:
            raise IdentityTokenError(
                f"no OpenIDConnect provider found in your account for `{shorten(issuer)}`",
                reason="unknown_provider",
                rule="WI20",
            )
        source = KeySource(record.arn, record.unique_id, f"{_HTTPS}{url}", record.thumbprints, record.keys)
        return _Provider(record.arn, url, source, record.client_ids)

    # -- for packages on top of federation ------------------------------------------------------------------------------------

    def verified_claims(self, token: Token, keys: KeySource, now: datetime, entry: Entry) -> dict[str, Any]:
        """The claims of a token that a key of the source has signed and that is valid now.

        Raises
        ------
        IdentityTokenError, ExpiredTokenError, CommunicationError
            see steps 4 to 7 of 3.1.
        """
        found = self._keys.find(keys, token.key_id, now)
        for warning in found.warnings:
            entry.warn(warning)
        claims = token.verify(found.candidates(token.key_id, token.algorithm))
        check_times(claims, now, self._state.settings.skew)
        return claims

    def check_access_token(self, provider: str, token: str, now: datetime) -> AccessToken:
        """What the checker of a provider says of an access token.

        Raises
        ------
        IdentityTokenError, ExpiredTokenError, RejectedClaimError, CommunicationError
            see 3.7.
        """
        return check_access_token(self._checkers.get(provider), token, now)

    def built_in(self, name: str) -> KeySource:
        """The keys of a built-in provider of ID tokens.

        Raises
        ------
        IdentityTokenError
            it is switched off.
        """
        given = self._built_in.get(name)
        if given is None:
            raise IdentityTokenError(f"the provider `{name}` is switched off", reason="unknown_provider", rule="IP40")
        return KeySource(name, "", f"{_HTTPS}{name}", pinned=given if isinstance(given, str) else given())

    def add_keys(self, name: str, keys: Callable[[], str]) -> None:
        """Accept tokens of a built-in provider that are signed by keys of our own, next to those that were configured."""
        given = self._built_in.get(name)
        if given is None:
            self._built_in[name] = keys
            return

        def both() -> str:
            configured = given if isinstance(given, str) else given()
            try:
                listed = list(json.loads(configured)["keys"])
            except (ValueError, KeyError, TypeError):
                return configured  # refused as it is alone
            return json.dumps({"keys": listed + json.loads(keys())["keys"]})

        self._built_in[name] = both

    # -- the call ---------------------------------------------------------------------------------------------------------------

    def assume(
        self,
        role: str,
        session_name: str,
        token: str | bytes,
        *,
        provider_id: str | None,
        duration: int | None,
        policy: PolicyText | None,
        policy_arns: Sequence[str],
        source: str,
        keys: CallKeys,
    ) -> WebIdentityRole:
        """AssumeRoleWithWebIdentity. One event is written, whatever the outcome."""
        now, state = self._state.now(), self._state
        arn = split_arn(role) if isinstance(role, str) else None
        details = {"role": shorten(str(role), _MAX_ARN), "session_name": shorten(str(session_name)), "token": digest_of(token)}
        with state.auditor.call(CALL, now, account="" if arn is None else arn.account, source=source, **details) as entry:
            limits.read_duration(duration, limits.ROLE)
            identity = self.verify(role, session_name, token, provider_id, now, entry)
            wanted = asserted.request_of(identity, role, duration, policy, policy_arns)
            use = self._use(identity, role) if state.settings.web_identity_single_use and provider_id is None else None
            transaction: AbstractContextManager[None] = nullcontext() if use is None else state.directory.transaction()
            with transaction:
                if use is not None:
                    self._replays.check(use)
                try:
                    made = asserted.with_provider(state.issuer, asserted.OIDC, identity, wanted, now=now, keys=keys)
                except AccessDeniedError as error:
                    entry.add(denied=error.message)
                    raise _denied(identity.provider, role, error) from None
                except ValidationError as error:
                    if error.rule != NO_ROLE:
                        raise
                    entry.add(denied=error.message)
                    raise _denied(identity.provider, role) from None
                if use is not None:
                    self._replays.write(use, now)
            return WebIdentityRole(
                credentials=made.credentials,
                session=made.session,
                arn=made.arn,
                role_id=made.role_id,
                source_identity=made.source_identity,
                packed_policy_size=made.packed_policy_size,
                subject=identity.subject,
                provider=identity.issuer,
                audience=identity.audience,
            )

    def _use(self, identity: WebIdentity, role: str) -> Use:
        """The one use of a token, under `web_identity_single_use` (WI26)."""
        if not identity.token_id:
            raise IdentityTokenError("a token without `jti` is not accepted", reason="token_invalid", rule="WI26")
        return Use(
            provider=f"web identity {identity.issuer}",
            entity_id=f"web identity {identity.issuer}",
            account=role.split(":")[4],
            assertion=identity.token_id,
            role=role,
            until=identity.expires,
            once=True,
        )


def _check_parameters(role: str, session_name: str, token: str | bytes, provider_id: str | None) -> str:
    """Step 1. Returns the text of the token; `takes_secrets` has decoded bytes."""
    if not isinstance(role, str) or not _MIN_ARN <= len(role) <= _MAX_ARN:
        raise ValidationError("the ARN of the role is text of 20 to 2,048 characters", rule="3.1")
    check_role(role)
    check_form(session_name, limits.SESSION_NAME)
    if not isinstance(token, str) or not MIN_TOKEN <= len(token) <= MAX_TOKEN:
        raise ValidationError(f"a web identity token is text of {MIN_TOKEN} to {MAX_TOKEN:,} characters", rule="3.1")
    if provider_id is None:
        return token
    is_bounded = isinstance(provider_id, str) and _MIN_ID <= len(provider_id) <= _MAX_ID
    if not is_bounded or provider_id not in USER_KEYS:
        hint = "leave it out for ID tokens"
        raise ValidationError(f"`{shorten(str(provider_id))}` is not a provider of access tokens", rule="3.1", hint=hint)
    return token


def _check_audience(provider: _Provider, audience: Audience) -> None:
    """Step 8. The keys of built-in providers take one value (semantics 5.3), so that their tokens have one audience."""
    if provider.client_ids is not None:
        check_audience(audience, provider.client_ids)
    elif not isinstance(audience.effective, str) or not isinstance(audience.claimed, str):
        message = f"a token of `{provider.name}` has one audience"
        raise IdentityTokenError(message, reason="token_invalid", rule="WI24")


def _identity(
    provider: _Provider,
    session_name: str,
    claims: dict[str, Any],
    keys: dict[str, str | list[str]],
    session: SessionClaims,
    subject: str,
    audience: Audience,
    key_id: str,
) -> WebIdentity:
    token_id = claims.get("jti")
    return WebIdentity(
        provider=provider.name,
        keys=keys,
        session_name=session_name,
        tags=session.tags,
        transitive_tag_keys=session.transitive_tag_keys,
        source_identity=session.source_identity,
        subject=subject,
        issuer=claims["iss"],
        audience=",".join(audience.texts()),
        expires=datetime.fromtimestamp(min(claims["exp"], _LAST_SECOND), UTC),
        key_id=key_id,
        token_id=token_id if isinstance(token_id, str) else "",
    )


_LAST_SECOND = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


def _denied(provider: str, role: str, error: AccessDeniedError | None = None) -> AccessDeniedError:
    """A missing role is refused like one that does not trust the provider (SA1)."""
    return AccessDeniedError(
        f"`{provider}` may not `{asserted.OIDC}` on `{role}`: not authorized",
        principal=provider,
        action=asserted.OIDC if error is None else error.action,
        resource=role,
        layer="credential" if error is None else error.layer,
        decision=None if error is None else error.decision,
        rule="SA1",
    )
