"""The public calls: GetId, GetCredentialsForIdentity, GetOpenIdToken and UnlinkIdentity (5.3, 5.4, 5.6, 5.7).

Logins are verified first, outside of any transaction. Then one transaction finds, links or merges the identity (ID31).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NoReturn

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.identity_pools import parameters
from fastiam.cognito.identity_pools.call_parts import Calls
from fastiam.cognito.identity_pools.identities import check_guests
from fastiam.cognito.identity_pools.results import IdentityCredentials, OpenIdToken
from fastiam.cognito.identity_pools.roles import choose_role
from fastiam.cognito.identity_pools.tags import tags_of
from fastiam.cognito.identity_pools.tokens import amr_of
from fastiam.cognito.identity_pools.verified import VerifiedLogin
from fastiam.cognito.identity_records import Identity
from fastiam.cognito.rates import check_rate
from fastiam.credentials.results import Assertion, AssumedRole
from fastiam.credentials.secret import takes_secrets
from fastiam.credentials.sts_errors import AccessDeniedError, AuthenticationError, ValidationError
from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.federation.audit import Entry, secret_hash
from fastiam.model.request import shorten
from fastiam.sts import federated_roles as asserted
from fastiam.sts.parameter_limits import HOUR
from fastiam.sts.roles import RoleRequest

SESSION_NAME = "CognitoIdentityCredentials"


class AccessCalls(Calls):
    """What the clients of identity pools call, decided by the logins that they give."""

    @takes_secrets(mappings=("logins",))
    def get_id(
        self, identity_pool_id: str, logins: Mapping[str, str] | None = None, *, account_id: str | None = None, source: str = ""
    ) -> str:
        """GetId: the id of the identity that has these logins, or of a new one. Without logins, of a new guest.

        Parameters
        ----------
        logins
            provider to token, see `get_credentials_for_identity`.
        source
            source address, for the audit event.

        Raises
        ------
        NotAuthorizedError
            a login is not valid, or the pool has no guests.
        CognitoError
            `InvalidParameterException`, `ResourceNotFoundException`, `ResourceConflictException` or `ExternalServiceException`.
        """
        given, now = parameters.read_logins(logins), self._state.now()
        with self._state.auditor.call("GetId", now, source=source, pool=shorten(str(identity_pool_id))) as entry:
            self._check_rate("GetId", identity_pool_id, source)
            self._state.directory.refresh()
            pool = self._pool(identity_pool_id)
            if account_id not in (None, pool.account):
                parameters.wrong("the identity pool is not in this account")
            entry.account = pool.account
            verified = self._logins.verify(pool, given, now, entry)
            linked = [each.login for each in verified]
            identity = self._identities.find(pool, linked) if linked else None
            if identity is None:
                with self._state.directory.transaction():
                    pool = self._pool(identity_pool_id)
                    identity = self._identities.of_logins(pool, linked, now) if linked else self._identities.guest(pool, now)
            self._note(entry, identity)
            return identity.id

    @takes_secrets(mappings=("logins",))
    def get_credentials_for_identity(
        self,
        identity_id: str,
        logins: Mapping[str, str] | None = None,
        *,
        custom_role_arn: str | None = None,
        source: str = "",
    ) -> IdentityCredentials:
        """GetCredentialsForIdentity: a session of the role of an identity (enhanced flow).

        Parameters
        ----------
        logins
            provider to token: an ID token of a user pool, OIDC provider, Google or Apple; an access token of Facebook or Amazon;
            a SAML response for the ARN of its provider; or a developer token for `cognito-identity.amazonaws.com`.
        custom_role_arn
            the role, if the logins lead to several.
        source
            source address, for the audit event.

        Raises
        ------
        NotAuthorizedError
            a login is not valid, none is one of the identity, or they do not lead to the role.
        CognitoError
            `InvalidParameterException`, `ResourceNotFoundException`, `ResourceConflictException`, `ExternalServiceException`;
            `InvalidIdentityPoolConfigurationException`: no role, or its trust policy refuses.
        """
        given, now = parameters.read_logins(logins), self._state.now()
        with self._state.auditor.call("GetCredentialsForIdentity", now, source=source) as entry:
            self._check_rate("GetCredentialsForIdentity", identity_id, source)
            role = None if custom_role_arn is None else parameters.read_role(custom_role_arn)
            pool, identity, verified = self._identify(identity_id, given, now, entry, is_enhanced=True)
            choice = choose_role(pool, verified, role)
            entry.add(role=choice.role, role_by=choice.by)
            tags = tags_of(pool, verified, entry)
            made = self._session(pool, identity, choice.role, verified, tags, now, entry)
            self._record_use(identity, now)
            return IdentityCredentials(
                credentials=made.credentials,
                session=made.session,
                arn=made.arn,
                role_id=made.role_id,
                packed_policy_size=made.packed_policy_size,
                identity_id=identity.id,
            )

    @takes_secrets(mappings=("logins",))
    def get_open_id_token(self, identity_id: str, logins: Mapping[str, str] | None = None, *, source: str = "") -> OpenIdToken:
        """GetOpenIdToken: a token of 10 minutes for AssumeRoleWithWebIdentity (classic flow).

        Raises
        ------
        NotAuthorizedError, CognitoError
            as `get_credentials_for_identity`; `InvalidParameterException`: the pool does not allow the classic flow, or has role
            mappings.
        """
        given, now = parameters.read_logins(logins), self._state.now()
        with self._state.auditor.call("GetOpenIdToken", now, source=source) as entry:
            self._check_rate("GetOpenIdToken", identity_id, source)
            pool, identity, verified = self._identify(identity_id, given, now, entry, is_enhanced=False)
            tags = tags_of(pool, verified, entry)
            token = self._tokens.issue(pool, identity.id, verified, tags, parameters.TOKEN_SECONDS, now)
            self._record_use(identity, now)
            return OpenIdToken(identity.id, token)

    @takes_secrets(mappings=("logins",))
    def unlink_identity(
        self, identity_id: str, logins: Mapping[str, str], logins_to_remove: Sequence[str], *, source: str = ""
    ) -> None:
        """UnlinkIdentity: remove logins from an identity, to which all given logins are linked.

        Raises
        ------
        NotAuthorizedError
            the logins do not prove the identity.
        CognitoError
            `ResourceNotFoundException`: a login to remove is not linked.
        """
        given, now = parameters.read_logins(logins), self._state.now()
        with self._state.auditor.call("UnlinkIdentity", now, source=source) as entry:
            self._check_rate("UnlinkIdentity", identity_id, source)
            names = parameters.read_list(logins_to_remove, "logins_to_remove")
            pool, identity = self._find(identity_id, entry)
            verified = [each.login for each in self._logins.verify(pool, given, now, entry)]
            with self._state.directory.transaction():
                identity = self._identities.usable(identity_id)
                if not verified or any(login not in identity.logins for login in verified):
                    raise NotAuthorizedError("logins don't match those of the identity", reason="login", rule="ID30")
                removed = [login for login in identity.logins if login.name in names and not login.is_developer]
                if not names or {login.name for login in removed} != set(names):
                    raise CognitoError(
                        "a login to remove is not linked to the identity", rule="ID30", code="ResourceNotFoundException"
                    )
                self._identities.unlink(identity, removed, now)

    def _check_rate(self, call: str, id_: object, source: str) -> None:
        check_rate(self._admit, call, {"id": id_ if isinstance(id_, str) else "", "source": source})

    # -- who it is (ID20 to ID22) ---------------------------------------------------------------------------------------------

    def _find(self, identity_id: str, entry: Entry) -> tuple[IdentityPool, Identity]:
        self._state.directory.refresh()
        identity = self._identities.usable(parameters.read_id(identity_id))
        pool = self._pool(identity.pool)
        entry.account = pool.account
        entry.add(pool=pool.identity_pool_id)
        self._note(entry, identity)
        return pool, identity

    def _identify(
        self, identity_id: str, logins: Mapping[str, str], now: datetime, entry: Entry, *, is_enhanced: bool
    ) -> tuple[IdentityPool, Identity, list[VerifiedLogin]]:
        """The identity that the call is for, and the logins that prove it; none for a guest."""
        pool, identity = self._find(identity_id, entry)
        if not is_enhanced:
            _check_classic(pool)
        if not logins:
            if identity.is_authenticated:
                raise NotAuthorizedError(f"access to identity `{identity.id}` is forbidden", reason="login", rule="ID20")
            check_guests(pool)
            return pool, identity, []
        verified = self._logins.verify(pool, logins, now, entry, identity=identity if is_enhanced else None)
        linked = [each.login for each in verified]
        if not all(login in identity.logins for login in linked):
            with self._state.directory.transaction():
                current = self._identities.usable(identity_id)
                identity = self._identities.of_call(pool, current, linked, now)
            self._note(entry, identity)
        return pool, identity, verified

    def _record_use(self, identity: Identity, now: datetime) -> None:
        """A guest is kept for as long as it gets sessions or tokens (ID23)."""
        if not identity.is_authenticated and self._identities.is_use_new(identity, now):
            with self._state.directory.transaction():
                self._identities.use(self._identities.usable(identity.id), now)

    def _note(self, entry: Entry, identity: Identity) -> None:
        """The id of a guest is a bearer secret, so that events contain a hash of it (ID21)."""
        entry.add(identity=self.logged_id(identity.id))

    def logged_id(self, identity_id: str) -> str:
        """What represents an identity in a log: its id, or a hash of it if it is that of a guest, which is a bearer secret."""
        is_secret = self._identities.is_secret(identity_id)
        return secret_hash(self._state.issuer.state.keyring, identity_id) if is_secret else identity_id

    # -- the session (ID61 to ID63) -------------------------------------------------------------------------------------------

    def _session(
        self,
        pool: IdentityPool,
        identity: Identity,
        role: str,
        verified: Sequence[VerifiedLogin],
        tags: Mapping[str, str],
        now: datetime,
        entry: Entry,
    ) -> AssumedRole:
        """A session of an hour. Whatever the trust policy answers, a refusal is one of the pool's configuration."""
        assertion = Assertion(
            provider=parameters.OWN,
            keys={
                f"{parameters.OWN}:aud": pool.identity_pool_id,
                f"{parameters.OWN}:sub": identity.id,
                f"{parameters.OWN}:amr": amr_of(verified),
            },
            session_name=SESSION_NAME,
            tags=dict(tags),
        )
        policy = None if verified else self._guest_policy
        wanted = RoleRequest(role=role, name=SESSION_NAME, duration=HOUR, policy=policy, tags=tags)
        try:
            return asserted.with_provider(
                self._state.issuer, asserted.OIDC, assertion, wanted, now=now, keys=asserted.BY_A_SERVICE
            )
        except (AccessDeniedError, AuthenticationError, ValidationError) as error:
            entry.add(denied=error.message)
            rule = error.rule
        _misconfigured(rule)


def _misconfigured(rule: str) -> NoReturn:
    code = "InvalidIdentityPoolConfigurationException"
    raise CognitoError("the role cannot be assumed: check its trust policy", rule=rule or "ID61", code=code)


def _check_classic(pool: IdentityPool) -> None:
    if not pool.allow_classic_flow:
        parameters.wrong("basic (classic) flow is not enabled for this identity pool", "5.3", "use the enhanced flow")
    if pool.role_mappings:
        parameters.wrong("basic (classic) flow is not supported with role mappings", "5.3", "use the enhanced flow")
