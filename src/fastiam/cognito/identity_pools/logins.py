"""Verification of logins: each value of `Logins` by the provider that its key names, and by no other one (5.2, ID13)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.identity_pools.parameters import AMAZON, APPLE, FACEBOOK, GOOGLE, OWN
from fastiam.cognito.identity_pools.tags import NAME_ID_CLAIM
from fastiam.cognito.identity_pools.tokens import Tokens
from fastiam.cognito.identity_pools.user_pool_tokens import DirectoryUserPools
from fastiam.cognito.identity_pools.verified import VerifiedLogin
from fastiam.cognito.identity_records import Identity, Login
from fastiam.credentials.sts_errors import AccessDeniedError, AuthenticationError, ValidationError
from fastiam.directory.account_records import OidcProvider
from fastiam.directory.identity_pool_records import CognitoIdentityProvider, IdentityPool
from fastiam.federation.audit import Entry
from fastiam.federation.federation_errors import CommunicationError
from fastiam.federation.federation_service import Verifiers
from fastiam.federation.issuer_keys import KeySource
from fastiam.federation.oidc_token import (
    MAX_TOKEN,
    MIN_TOKEN,
    check_audience,
    check_kind,
    read_audience,
    read_subject_claim,
    read_token,
)
from fastiam.model.request import shorten

_HTTPS = "https://"


class LoginVerifier:
    """Turns the values of `Logins` into verified logins."""

    def __init__(
        self, verifiers: Verifiers, tokens: Tokens, user_pools: DirectoryUserPools, *, foreign_user_pools: bool = False
    ) -> None:
        self._verifiers, self._tokens, self._user_pools = verifiers, tokens, user_pools
        self._foreign = foreign_user_pools

    def verify(
        self, pool: IdentityPool, logins: Mapping[str, str], now: datetime, entry: Entry, *, identity: Identity | None = None
    ) -> list[VerifiedLogin]:
        """All logins of a call; one that does not verify refuses the call.

        Parameters
        ----------
        identity
            the identity of GetCredentialsForIdentity, where a developer token is a login as well.

        Raises
        ------
        NotAuthorizedError
            a login is not valid, or its provider is not one of the pool.
        CognitoError
            `ExternalServiceException`: an identity provider does not answer.
        """
        entry.add(providers=" ".join(sorted(logins)))
        return [self._verify(pool, name, token, now, entry, identity) for name, token in logins.items()]

    def _verify(
        self, pool: IdentityPool, name: str, token: str, now: datetime, entry: Entry, identity: Identity | None
    ) -> VerifiedLogin:
        with _as_refusals(name):
            if name == OWN and identity is not None:
                return self._developer_token(pool, token, now, identity)
            user_pool = [each for each in pool.cognito_identity_providers if each.provider_name == name]
            if user_pool:
                return self._user_pool(user_pool, name, token, now, entry)
            if name in pool.saml_provider_arns:
                return self._saml(pool, name, token, now)
            if name in pool.supported_login_providers:
                return self._social(pool, name, token, now, entry)
            for arn in pool.open_id_connect_provider_arns:
                if arn.partition(":oidc-provider/")[2] == name:
                    return self._oidc(pool, arn, name, token, now, entry)
        raise NotAuthorizedError(
            f"the provider `{shorten(name)}` is not configured for this identity pool", reason="unknown_provider", rule="ID13"
        )

    # -- ID tokens ----------------------------------------------------------------------------------------------------------

    def _user_pool(
        self, configured: list[CognitoIdentityProvider], name: str, token: str, now: datetime, entry: Entry
    ) -> VerifiedLogin:
        user_pool_id, clients = name.partition("/")[2], {each.client_id: each.server_side_token_check for each in configured}
        if user_pool_id in self._user_pools:
            claims = self._user_pools.claims_of(token, user_pool_id, clients)
        elif not self._foreign:
            _refuse("the user pool does not exist", "UP86")
        else:
            claims = self._claims(token, KeySource(name, "", _HTTPS + name), now, entry)
            check_kind(claims)
            if clients.get(str(claims.get("aud")), True):
                _refuse("the token is of another app client, or the check of its sign-in needs the user pool here", "ID14")
        if claims["iss"] != _HTTPS + name:
            _refuse("the issuer of the token is not the provider of the login", "5.2")
        client = claims["aud"]
        subject = read_subject_claim(claims)
        return VerifiedLogin(
            login=Login(name, name, subject),
            mapping=f"{name}:{client}",
            tag_map=name,
            amr=(name, f"{name}:CognitoSignIn:{subject}"),
            claims=claims,
        )

    def _oidc(self, pool: IdentityPool, arn: str, name: str, token: str, now: datetime, entry: Entry) -> VerifiedLogin:
        record: OidcProvider | None = self._verifiers.state.tables.oidc_providers.get(arn)
        if record is None or record.account != pool.account:
            _refuse("the identity provider does not exist", "IP41")
        source = KeySource(arn, record.unique_id, f"{_HTTPS}{record.url}", record.thumbprints, record.keys)
        claims = self._claims(token, source, now, entry)
        check_kind(claims)
        check_audience(read_audience(claims), record.client_ids)
        subject = read_subject_claim(claims)
        return VerifiedLogin(
            login=Login(arn, name, subject),
            mapping=arn,
            tag_map=arn,
            amr=(name, f"{arn}:OIDC:{subject}"),
            claims=claims,
        )

    def _social(self, pool: IdentityPool, name: str, token: str, now: datetime, entry: Entry) -> VerifiedLogin:
        applications = tuple(pool.supported_login_providers[name].split(";"))
        if name in (FACEBOOK, AMAZON):
            found = self._verifiers.web.check_access_token(name, token, now)
            if found.app_id not in applications:
                _refuse("the token is of another application", "5.2")
            subject, application = found.user_id, found.app_id
            claims: Mapping[str, Any] = {"sub": subject, "aud": application}
        else:
            issuers = (_HTTPS + name, name) if name == GOOGLE else (_HTTPS + name,)
            source = self._verifiers.web.built_in(name) if name == GOOGLE else KeySource(name, "", _HTTPS + APPLE)
            claims = self._claims(token, source, now, entry, issuers)
            audience = read_audience(claims)
            check_audience(audience, applications)
            subject, application = read_subject_claim(claims), audience.texts()[0]
        return VerifiedLogin(
            login=Login(name, name, subject),
            mapping=name,
            tag_map=name,
            amr=(name, f"{name}:{application}:{subject}"),
            claims=claims,
        )

    def _claims(
        self,
        text: str,
        source: KeySource,
        now: datetime,
        entry: Entry,
        issuers: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The verified claims of a token of one issuer."""
        if not MIN_TOKEN <= len(text) <= MAX_TOKEN:
            _refuse(f"the token is not of {MIN_TOKEN} to {MAX_TOKEN:,} characters", "3.1")
        token = read_token(text)
        if token.issuer not in (issuers or (source.url,)):
            _refuse("the issuer of the token is not the provider of the login", "ID13")
        return self._verifiers.web.verified_claims(token, source, now, entry)

    # -- others ---------------------------------------------------------------------------------------------------------------

    def _saml(self, pool: IdentityPool, arn: str, response: str, now: datetime) -> VerifiedLogin:
        # INVARIANT: events of identity pools contain no NameID, so that the entry of the SAML verifier is a separate one (ST30)
        found = self._verifiers.saml.verify_login(arn, pool.account, response, now, Entry())
        subject = json.dumps([found.provider_id, found.subject_format, found.subject], ensure_ascii=False)
        return VerifiedLogin(
            login=Login(arn, arn, subject),
            mapping=arn,
            tag_map=arn,
            amr=(arn, f"{arn}:SAML:{found.subject}"),
            claims={NAME_ID_CLAIM: found.subject, **found.attributes},
        )

    def _developer_token(self, pool: IdentityPool, token: str, now: datetime, identity: Identity) -> VerifiedLogin:
        """A token that the backend of the application got for this identity, by a login that is still linked to it."""
        found = self._tokens.verify(pool, token, now)
        if found.identity_id != identity.id:
            _refuse("the token is of another identity", "5.2")
        login = Login(pool.developer_provider_name, pool.developer_provider_name, found.developer_user, is_developer=True)
        if login not in identity.logins:
            _refuse("the user of the token is not linked to the identity", "ID20")
        return developer_login(pool, found.developer_user, found.claims, found.tags)


def developer_login(pool: IdentityPool, user: str, claims: Mapping[str, Any] = {}, tags: Mapping[str, str] = {}) -> VerifiedLogin:
    """A user of the developer provider, for whom the backend vouches."""
    name = pool.developer_provider_name
    return VerifiedLogin(
        login=Login(name, name, user, is_developer=True),
        mapping=name,
        tag_map=name,
        amr=(name, f"{name}:{pool.identity_pool_id}:{user}"),
        claims=claims,
        tags=tags,
    )


@contextmanager
def _as_refusals(name: str) -> Iterator[None]:
    """Every refusal of a verifier is one of the login (ID13). The message keeps the reason, which contains no token."""
    try:
        yield
    except NotAuthorizedError:
        raise
    except CommunicationError as error:
        message = f"the provider `{shorten(name)}` does not answer"
        raise CognitoError(message, rule=error.rule, code="ExternalServiceException") from None
    except AuthenticationError as error:
        _refuse(error.message, error.rule, error.reason)
    except (AccessDeniedError, ValidationError) as error:
        _refuse(error.message, error.rule)


def _refuse(why: str, rule: str, reason: str = "login") -> NoReturn:
    raise NotAuthorizedError(f"invalid login token: {why}", reason=reason, rule=rule)
