"""`Federation`: the calls that take the bytes of outside identities. It delegates; the rules are in the verifiers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastiam.credentials.federation_records import FederationStore
from fastiam.credentials.results import Credentials
from fastiam.credentials.secret import Secret, takes_secrets
from fastiam.errors import Findings
from fastiam.federation.audit import Audit, Auditor, Entry, log_event
from fastiam.federation.console import ConsoleCalls, ConsoleSession
from fastiam.federation.fetch import Fetch, no_fetch
from fastiam.federation.oauth_tokens import TokenChecker
from fastiam.federation.oidc import WebIdentity, WebIdentityCalls, WebIdentityRole
from fastiam.federation.oidc_providers import OidcProviders
from fastiam.federation.provider_findings import provider_findings
from fastiam.federation.replay_protection import Replays
from fastiam.federation.saml import SamlAssertion, SamlCalls, SamlRole
from fastiam.federation.saml_providers import SamlProviders, saml_key_purpose
from fastiam.federation.settings import FederationSettings
from fastiam.federation.state import FederationState
from fastiam.sts.authorization import CallKeys
from fastiam.sts.session_issuer import PolicyText
from fastiam.sts.sts_service import STS


@dataclass(frozen=True, slots=True)
class Verifiers:
    """The parts that packages on top of federation share."""

    state: FederationState
    saml: SamlCalls
    web: WebIdentityCalls


class Federation:
    """Verifies outside identities, and issues sessions for them.

    Parameters
    ----------
    sts
        decides trust policies and issues the sessions. Its directory contains the providers.
    fetch
        the only network access, such as `HttpsFetch()`; None reads nothing from the network.
    settings
        how strictly identities are verified.
    audit
        receives one `AuditEvent` per call that issues a session or refuses it; the default writes to `logging`.
    web_providers
        the built-in providers that are switched on, `accounts.google.com` or `cognito-identity.amazonaws.com`, with a JWKS as
        JSON text, a callable that returns one, or "" for the keys that Google publishes (IP40).
    token_checkers
        by `www.amazon.com` and `graph.facebook.com`, what checks their access tokens (WI70).

    Attributes
    ----------
    saml_providers, oidc_providers
        the identity providers: create, update, get, list, delete.
    """

    def __init__(
        self,
        sts: STS,
        *,
        fetch: Fetch | None = None,
        settings: FederationSettings = FederationSettings(),  # noqa: B008  (frozen)
        audit: Audit = log_event,
        web_providers: Mapping[str, str | Callable[[], str]] = {},
        token_checkers: Mapping[str, TokenChecker] = {},
    ) -> None:
        self._sts = sts
        auditor = Auditor(audit, hash_personal_data=settings.hash_personal_data)
        store = sts.directory.join(FederationStore())
        sts.issuer.state.seals(store, "saml_keys", saml_key_purpose)
        self._state = FederationState(sts.issuer, settings, fetch or no_fetch, auditor, store)
        self.saml_providers = SamlProviders(self._state)
        replays = Replays(store)
        self._saml = SamlCalls(self._state, self.saml_providers, replays)
        self._console = ConsoleCalls(self._state, sts, self._saml, replays)
        self.oidc_providers = OidcProviders(self._state)
        self._web = WebIdentityCalls(self._state, replays, web_providers, token_checkers)

    def __repr__(self) -> str:
        sts = getattr(self, "_sts", None)  # tracebacks show objects that are not complete
        return "<Federation>" if sts is None else f"<Federation: {sts!r}>"

    @property
    def sts(self) -> STS:
        """The STS that issues the sessions."""
        return self._sts

    def findings(self) -> Findings:
        """Warnings about providers: missing ones that trust policies name, and incomplete ones, as imports leave them."""
        self._state.directory.refresh()
        return Findings(provider_findings(self._state, self.saml_providers))

    @property
    def verifiers(self) -> Verifiers:
        """The parts that packages on top of federation share. Not for programs that use fastiam."""
        return Verifiers(self._state, self._saml, self._web)

    # -- SAML -------------------------------------------------------------------------------------------------------------

    @takes_secrets(tokens=("response",))
    def verify_saml(self, role: str, provider: str, response: str | bytes) -> SamlAssertion:
        """Verify a SAML response, for one of the pairs of role and provider in it. Nothing is decided, and nothing is spent.

        Parameters
        ----------
        role, provider
            ARNs, as `RoleArn` and `PrincipalArn` of AssumeRoleWithSAML.
        response
            base64 of the response, as the identity provider's form posts it (`SAMLResponse`).

        Raises
        ------
        ValidationError
            a parameter has another form.
        IdentityTokenError, ExpiredTokenError, RejectedClaimError
            the response is not acceptable.
        AccessDeniedError
            it has no subject, or does not list the role with the provider.
        """
        return self._saml.verify(role, provider, response, self._state.now(), Entry())

    @takes_secrets(tokens=("response",))
    def assume_role_with_saml(
        self,
        role: str,
        provider: str,
        response: str | bytes,
        *,
        duration: int | None = None,
        policy: PolicyText | None = None,
        policy_arns: Sequence[str] = (),
        source: str = "",
        context: Mapping[str, Any] = {},
        unknown: Collection[str] = (),
    ) -> SamlRole:
        """AssumeRoleWithSAML: verify a response, then let the trust policy of the role decide, and issue the session.

        Parameters
        ----------
        role, provider, response
            as for `verify_saml`.
        duration
            seconds, 900 to the maximum of the role; an hour by default. The assertion can shorten the session.
        policy, policy_arns
            session policies, which narrow the session.
        source
            source address, for the audit event.
        context
            condition keys of the call, such as `aws:SourceIp`, which the trust policy may test.
        unknown
            keys that the call has and you do not know: a decision that depends on one is a denial.

        Raises
        ------
        ValidationError, IdentityTokenError, ExpiredTokenError, RejectedClaimError, AccessDeniedError
            as `verify_saml`; an assertion was redeemed already; or the trust policy does not allow the call. A missing role is
            refused in the same way.
        PolicyError
            the inline session policy is rejected.
        """
        keys = CallKeys(context, unknown)
        return self._saml.assume(
            role, provider, response, duration=duration, policy=policy, policy_arns=policy_arns, source=source, keys=keys
        )

    # -- console federation ---------------------------------------------------------------------------------------------------

    def signin_token(self, credentials: Credentials, session_duration: int | None = None, *, source: str = "") -> Secret:
        """GetSigninToken: a token for one sign-in to the deployment's console within 15 minutes (chapter 8).

        Parameters
        ----------
        credentials
            of a role session or a federated user.
        session_duration
            seconds of the console session, 900 to 43,200; the remaining life of the credentials by default. Credentials of a
            federated user and of a chained role cannot choose it.

        Raises
        ------
        ValidationError
            console federation is off, or the credentials are of another kind.
        AuthenticationError
            the credentials are not valid.
        """
        return self._console.signin_token(credentials, session_duration, source)

    @takes_secrets("signin_token")
    def console_login(self, signin_token: str, destination: str, *, source: str = "") -> ConsoleSession:
        """The console session of a sign-in token. The token is spent.

        Raises
        ------
        ValidationError
            console federation is off, or the destination is not an address of the console.
        IdentityTokenError, ExpiredTokenError
            the token is not valid, was used, or has expired.
        """
        return self._console.login(signin_token, destination, source)

    @takes_secrets(tokens=("response",))
    def console_sign_in(
        self,
        role: str,
        provider: str,
        response: str | bytes,
        *,
        relay_state: str = "",
        source: str = "",
        context: Mapping[str, Any] = {},
        unknown: Collection[str] = (),
    ) -> ConsoleSession:
        """The SAML sign-in endpoint: a console session for one pair of a response, which is spent.

        It lasts as long as `SessionDuration` says, an hour by default. `relay_state` is the destination if it is an address of
        the console. `context` and `unknown` are as for `assume_role_with_saml`.

        Raises
        ------
        ValidationError, IdentityTokenError, ExpiredTokenError, RejectedClaimError, AccessDeniedError
            as `assume_role_with_saml`.
        """
        return self._console.sign_in(role, provider, response, relay_state, source, CallKeys(context, unknown))

    # -- OpenID Connect and OAuth 2.0 -------------------------------------------------------------------------------------

    @takes_secrets(tokens=("token",))
    def verify_web_identity(
        self, role: str, session_name: str, token: str | bytes, *, provider_id: str | None = None
    ) -> WebIdentity:
        """Verify a web identity token for a role. Nothing is decided, and nothing is spent.

        Parameters
        ----------
        role
            its ARN. The provider of the token has to be one of the role's account.
        session_name
            the caller's free choice; it proves nothing (WI64).
        token
            an ID token (JWT), or with `provider_id` an OAuth 2.0 access token.
        provider_id
            `www.amazon.com` or `graph.facebook.com`, for access tokens only.

        Raises
        ------
        ValidationError
            a parameter has another form.
        IdentityTokenError, ExpiredTokenError, RejectedClaimError
            the token is not acceptable.
        CommunicationError
            the keys of the issuer cannot be read.
        """
        return self._web.verify(role, session_name, token, provider_id, self._state.now(), Entry())

    @takes_secrets(tokens=("token",))
    def assume_role_with_web_identity(
        self,
        role: str,
        session_name: str,
        token: str | bytes,
        *,
        provider_id: str | None = None,
        duration: int | None = None,
        policy: PolicyText | None = None,
        policy_arns: Sequence[str] = (),
        source: str = "",
        context: Mapping[str, Any] = {},
        unknown: Collection[str] = (),
    ) -> WebIdentityRole:
        """AssumeRoleWithWebIdentity: verify a token, then let the trust policy of the role decide, and issue the session.

        Parameters
        ----------
        role, session_name, token, provider_id
            as for `verify_web_identity`.
        duration
            seconds, 900 to the maximum of the role; an hour by default. The end of the token does not shorten it.
        policy, policy_arns
            session policies, which narrow the session.
        source
            source address, for the audit event.
        context
            condition keys of the call, such as `aws:SourceIp`, which the trust policy may test.
        unknown
            keys that the call has and you do not know: a decision that depends on one is a denial.

        Raises
        ------
        ValidationError, IdentityTokenError, ExpiredTokenError, RejectedClaimError, CommunicationError
            as `verify_web_identity`.
        AccessDeniedError
            the trust policy does not allow the call. A missing role is refused in the same way.
        PolicyError
            the inline session policy is rejected.
        """
        return self._web.assume(
            role,
            session_name,
            token,
            provider_id=provider_id,
            duration=duration,
            policy=policy,
            policy_arns=policy_arns,
            source=source,
            keys=CallKeys(context, unknown),
        )
