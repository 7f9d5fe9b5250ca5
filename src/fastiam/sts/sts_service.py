"""`STS`: the class that authenticates callers and delegates the calls (spec section 7).

It sits on a directory: its engine decides every call, its transactions keep the credentials. What is not yet the caller's
right is refused with the layer, the statement and the rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher

from fastiam.credentials.access_keys import AccessKeys
from fastiam.credentials.ids import LONG_TERM, TEMPORARY, account_of
from fastiam.credentials.keyring import Keyring
from fastiam.credentials.mfa import MfaDevices
from fastiam.credentials.passwords import Passwords
from fastiam.credentials.results import (
    Assertion,
    AssumedRole,
    Caller,
    CallerIdentity,
    Credentials,
    FederatedUser,
    IssuedSession,
)
from fastiam.credentials.root_recovery import Recovery
from fastiam.credentials.secret import Secret, shown, takes_secrets
from fastiam.credentials.sts_errors import AuthenticationError, ValidationError
from fastiam.credentials.sts_state import Clock, State, utc_clock
from fastiam.directory.principal_refs import parse_principal
from fastiam.model.profile import WITH_LONG_TERM_KEYS, PrincipalKind
from fastiam.model.request import shorten
from fastiam.model.session import Session
from fastiam.sts import federated_roles as asserted
from fastiam.sts import revocation, roles, users
from fastiam.sts.authorization import AuthorizationRequest, require
from fastiam.sts.session_issuer import Issuer, PolicyText
from fastiam.sts.session_tokens import CACHED, Claims, Tokens

if TYPE_CHECKING:  # the classes that join several branches
    from fastiam.api.directory import Directory
    from fastiam.api.engine import Engine
    from fastiam.live import LiveEngine

CallerCredentials = Caller | Credentials | Session | str


class STS:
    """Issues sessions, and says who is behind credentials.

    A caller is `Credentials`, which are verified, a `Caller` that was verified before, or a principal that another program has
    verified: the ARN of a user or root with a long-term key, or a `Session`.

    Parameters
    ----------
    directory
        accounts, users, roles and policies; credentials are kept with it, in the same transactions.
    keyring
        seals secrets and session tokens. Processes that share it read each other's tokens.
    live
        a `LiveEngine` over this directory, whose engine is shared. A call of STS refreshes it if the directory has changed, so
        that calls are decided over the current policies. From one over another source, only its options are used.
    clock
        gives aware datetimes; the machine's by default.
    hasher
        of passwords, to choose what a hash costs.
    root_sessions
        the organisation has enabled AssumeRoot (centralised root access).
    cached
        how many opened session tokens are kept.

    Attributes
    ----------
    keys, passwords, mfa, recovery
        access keys, passwords, MFA devices, and recovery of a root user's second factor.
    """

    def __init__(
        self,
        directory: Directory,
        keyring: Keyring,
        *,
        live: LiveEngine | None = None,
        clock: Clock = utc_clock,
        hasher: PasswordHasher | None = None,
        root_sessions: bool = False,
        cached: int = CACHED,
    ) -> None:
        self._state = State(directory, keyring, live, clock)
        self._tokens = Tokens(keyring, cached=cached)
        self.keys = AccessKeys(self._state)
        self.passwords = Passwords(self._state, hasher)
        self.mfa = MfaDevices(self._state)
        self.recovery = Recovery(self._state, self.passwords, self.mfa)
        self._issuer = Issuer(self._state, self._tokens, self.keys)
        self._root_sessions = root_sessions

    def __repr__(self) -> str:
        state = getattr(self, "_state", None)  # tracebacks show objects that are not complete
        return "<STS>" if state is None else f"<STS: {state.directory!r}, {state.keyring!r}>"

    @property
    def directory(self) -> Directory:
        """The directory that it sits on."""
        return self._state.directory

    @property
    def issuer(self) -> Issuer:
        """The parts that packages on top of STS share: state and tokens. Not for programs that use fastiam."""
        return self._issuer

    @property
    def engine(self) -> Engine:
        """The engine over what the directory says now."""
        return self._state.engine()

    @property
    def compiled_engine(self) -> Engine | None:
        """As `engine`, without looking for changes of other processes; None if one has to be compiled."""
        return self._state.compiled_engine()

    def reseal(self) -> int:
        """After a rotation: seal every stored secret under the first key of the keyring; how many were not."""
        return self._state.reseal()

    # -- callers ------------------------------------------------------------------------------------------------------

    def authenticate(self, credentials: Credentials) -> Caller:
        """The caller that credentials are of.

        Raises
        ------
        AuthenticationError
            wrong, inactive, expired or altered; or who issued them is gone, or the key with which.
        ValidationError
            the id or the secret is not text.
        """
        self._state.catch_up()
        id_, secret, token = credentials.access_key_id, credentials.secret_access_key, credentials.session_token
        for name, value in (("access_key_id", id_), ("secret_access_key", secret)):
            if value is None:
                raise ValidationError(f"`{name}` must be text, not None")
        if id_.startswith(TEMPORARY):
            if token is None:
                raise AuthenticationError(f"{shown(id_)} needs its session token", reason="token_required", rule="7.3")
            return self._caller_of(id_, self._tokens.verify(id_, secret, token, self._state.clock()))
        if token is not None:
            raise AuthenticationError(f"{shown(id_)} comes without a session token", reason="token_invalid", rule="7.3")
        return Caller(self.keys.verify(id_, secret).principal, id_)

    @takes_secrets("session_token", identifiers=("access_key_id",))
    def secret_of(self, access_key_id: str, session_token: str | None = None) -> tuple[Caller, Secret]:
        """Caller and secret of an access key, for a server that checks signatures instead of secrets.

        Neither proves who sent the request. Call `record_use` when the signature is right.

        Raises
        ------
        AuthenticationError
            as `authenticate`.
        """
        self._state.catch_up()
        if session_token is not None and not access_key_id.startswith(LONG_TERM):
            opened = self._tokens.open(access_key_id, session_token, self._state.clock())
            return self._caller_of(access_key_id, opened.claims), opened.secret
        if session_token is not None:
            raise AuthenticationError("a long-term key comes without a session token", reason="token_invalid", rule="7.3")
        key, secret = self.keys.secret_of(access_key_id)
        return Caller(key.principal, key.id), secret

    def record_use(self, caller: Caller, *, may_write: bool = True) -> bool:
        """Record the use of a long-term key by a caller of `secret_of` whose signature was right, for `last_used`.

        Returns
        -------
        bool
            False if the use has to be written, and `may_write` is false. It is written once a minute.

        Raises
        ------
        AuthenticationError
            the key was made inactive or deleted meanwhile.
        """
        if caller.access_key_id is None or not caller.access_key_id.startswith(LONG_TERM):
            return True
        return self.keys.record_use(caller.access_key_id, may_write=may_write)

    def _caller_of(self, id_: str, claims: Claims) -> Caller:
        """The caller behind an opened token."""
        caller = Caller(claims.session, id_, claims.expires_at, claims.issuer_id, claims.issuer_key)
        self._require_issuer(caller, claims.session)
        return caller

    def _require_issuer(self, caller: Caller, session: Session) -> None:
        """Check that the issuer of temporary credentials still exists (spec 6.7)."""
        if session.kind is PrincipalKind.AROOT and not self._root_sessions:
            raise AuthenticationError("root sessions are not enabled any more", reason="unknown_principal")
        issuer = session.arn if session.issuer is None else session.issuer
        self._state.require(issuer, caller.issuer_id)
        if caller.issuer_key is not None:
            self.keys.require_active(self._state.credential_store.tables.access_keys.get(caller.issuer_key))

    def _caller(self, caller: CallerCredentials) -> Caller:
        self._state.directory.refresh()
        if isinstance(caller, Credentials):
            return self.authenticate(caller)
        if isinstance(caller, Session):
            return Caller(caller)
        if isinstance(caller, str):
            if parse_principal(caller).kind not in WITH_LONG_TERM_KEYS:
                raise ValidationError(f"`{shorten(caller)}` has no long-term key", hint="pass a `fastiam.Session` for a session")
            return Caller(caller)
        self._recheck(caller)
        return caller

    def _recheck(self, caller: Caller) -> None:
        """Check that credentials verified earlier are still valid, and their issuer still exists (spec 6.7)."""
        if caller.expires_at is not None and self._state.clock() >= caller.expires_at:
            raise AuthenticationError("the session token has expired", reason="expired", code="ExpiredToken")
        if caller.access_key_id is None:  # verified elsewhere
            return
        if isinstance(caller.principal, Session):
            self._require_issuer(caller, caller.principal)
        else:
            self.keys.require_active(self._state.credential_store.tables.access_keys.get(caller.access_key_id), caller.principal)

    def get_caller_identity(self, caller: CallerCredentials) -> CallerIdentity:
        """GetCallerIdentity. No policy is evaluated (6.3)."""
        known = self._caller(caller)
        profile = self._state.directory.snapshot().principal(known.principal)
        if not profile.known:
            raise AuthenticationError(f"`{shorten(known.arn)}` is unknown", reason="unknown_principal", rule="6.7")
        user_id = profile.keys.get("aws:userid")
        return CallerIdentity(None if user_id is None else user_id.values[0], profile.account or "", known.arn)

    @takes_secrets(identifiers=("access_key_id",))
    def get_access_key_info(self, caller: CallerCredentials, access_key_id: str, *, context: Mapping[str, Any] = {}) -> str:
        """GetAccessKeyInfo: the account of an access key id, whether the key is there or not."""
        request = AuthorizationRequest(
            principal=self._caller(caller).principal,
            actions=("sts:GetAccessKeyInfo",),
            resource="*",
            context=context,
            now=self._state.now(),
        )
        require(self._state.engine(), request)
        account = account_of(access_key_id)
        if account is None:
            raise ValidationError(f"{shown(access_key_id)} is not an access key id", rule="7.3")
        return account

    # -- sessions -----------------------------------------------------------------------------------------------------

    @takes_secrets(codes=("mfa_code",), identifiers=("mfa_serial",))
    def assume_role(
        self,
        caller: CallerCredentials,
        role: str,
        session_name: str,
        *,
        duration: int | None = None,
        external_id: str | None = None,
        policy: PolicyText | None = None,
        policy_arns: Sequence[str] = (),
        tags: Mapping[str, str] = {},
        transitive_tag_keys: Collection[str] = (),
        source_identity: str | None = None,
        mfa_serial: str | None = None,
        mfa_code: str | None = None,
        context: Mapping[str, Any] = {},
    ) -> AssumedRole:
        """AssumeRole: a session of a role whose trust policy lets the caller.

        Parameters
        ----------
        role
            ARN of the role.
        session_name
            2 to 64 characters; the session is `assumed-role/<role>/<name>`.
        duration
            seconds, 900 to the maximum of the role; an hour by default, and at most where a role session calls (S2).
        external_id
            what the trust policy compares as `sts:ExternalId` (S27).
        policy, policy_arns
            session policies, which narrow the session: a document, ARNs of managed policies.
        tags, transitive_tag_keys
            session tags, and which of them sessions chained to this one inherit (S22 to S25).
        source_identity
            once set, it stays (S26).
        mfa_serial, mfa_code
            with a long-term key; the trust policy sees `aws:MultiFactorAuthPresent` (7.6).
        context
            further condition keys of the call, such as `aws:SourceIp`.

        Raises
        ------
        ValidationError
            the call is wrong.
        AuthenticationError
            the credentials are.
        AccessDeniedError
            `sts:AssumeRole`, or one of `sts:TagSession` and `sts:SetSourceIdentity`, is not allowed (6.6, D30).
        """
        wanted = roles.RoleRequest(role, session_name, duration, policy, policy_arns, tags, transitive_tag_keys, source_identity)
        known = self._caller(caller)
        return roles.assume_role(self._issuer, self.mfa, known, wanted, external_id, mfa_serial, mfa_code, context)

    def assume_role_with_saml(
        self,
        assertion: Assertion,
        role: str,
        *,
        duration: int | None = None,
        policy: PolicyText | None = None,
        policy_arns: Sequence[str] = (),
    ) -> AssumedRole:
        """AssumeRoleWithSAML, once the response is verified: trust is evaluated over what it says (7.7)."""
        wanted = asserted.request_of(assertion, role, duration, policy, policy_arns)
        return asserted.with_provider(self._issuer, asserted.SAML, assertion, wanted)

    def assume_role_with_web_identity(
        self,
        assertion: Assertion,
        role: str,
        *,
        duration: int | None = None,
        policy: PolicyText | None = None,
        policy_arns: Sequence[str] = (),
    ) -> AssumedRole:
        """AssumeRoleWithWebIdentity, once the token is verified: trust is evaluated over what it says (7.7)."""
        wanted = asserted.request_of(assertion, role, duration, policy, policy_arns)
        return asserted.with_provider(self._issuer, asserted.OIDC, assertion, wanted)

    def create_session(
        self,
        assertion: Assertion,
        role: str,
        *,
        duration: int | None = None,
        policy: PolicyText | None = None,
        policy_arns: Sequence[str] = (),
    ) -> AssumedRole:
        """CreateSession of Roles Anywhere, once the certificate is verified; policies are those of the profile (7.8)."""
        wanted = asserted.request_of(assertion, role, duration, policy, policy_arns)
        return asserted.with_certificate(self._issuer, assertion, wanted)

    def instance_credentials(
        self,
        instance_profile: str,
        instance: str,
        *,
        delivery: str = "2.0",
        source_vpc: str | None = None,
        private_ip: str | None = None,
        duration: int | None = None,
    ) -> AssumedRole:
        """The role of an instance profile, as a machine gets it: the session is called after the instance (S21).

        Parameters
        ----------
        instance_profile, instance
            their ARNs.
        delivery
            version of the metadata service that hands the credentials over (`ec2:RoleDelivery`).
        source_vpc, private_ip
            where the instance is; carried by the session (5.3).
        duration
            seconds, six hours by default. No maximum of the role limits it (S3).
        """
        keys = {
            "ec2:RoleDelivery": delivery,
            "aws:Ec2InstanceSourceVpc": source_vpc,
            "aws:Ec2InstanceSourcePrivateIPv4": private_ip,
        }
        given = {key: value for key, value in keys.items() if value is not None}
        return asserted.with_instance(self._issuer, instance_profile, instance, given, duration)

    @takes_secrets(codes=("mfa_code",), identifiers=("mfa_serial",))
    def get_session_token(
        self,
        caller: CallerCredentials,
        *,
        duration: int | None = None,
        mfa_serial: str | None = None,
        mfa_code: str | None = None,
        context: Mapping[str, Any] = {},
    ) -> IssuedSession:
        """GetSessionToken: the same user or root with temporary credentials, and with MFA where a code is given."""
        known = self._caller(caller)
        return users.get_session_token(self._issuer, self.mfa, known, duration, mfa_serial, mfa_code, context)

    def get_federation_token(
        self,
        caller: CallerCredentials,
        name: str,
        *,
        duration: int | None = None,
        policy: PolicyText | None = None,
        policy_arns: Sequence[str] = (),
        tags: Mapping[str, str] = {},
        context: Mapping[str, Any] = {},
    ) -> FederatedUser:
        """GetFederationToken: a session for a federated user. The user's policies and these limit it."""
        known = self._caller(caller)
        return users.get_federation_token(self._issuer, known, name, duration, policy, policy_arns, tags, context)

    def get_scoped_credentials(
        self,
        credentials: Credentials,
        *,
        duration: int | None = None,
        policy: PolicyText | None = None,
        policy_arns: Sequence[str] = (),
        context: Mapping[str, Any] = {},
    ) -> IssuedSession:
        """GetScopedCredentials: temporary credentials for less long, or narrowed by session policies.

        Raises
        ------
        ValidationError
            neither is given; a duration beyond what is left; session policies for a session that has some, or that is not of a
            role.
        AccessDeniedError
            long-term credentials, or no policy allows `sts:GetScopedCredentials`.
        """
        caller = self._caller(credentials)
        token = credentials.session_token
        if token is None:
            request = AuthorizationRequest(
                principal=caller.principal,
                actions=("sts:GetScopedCredentials",),
                resource="*",
                context=context,
                now=self._state.now(),
            )
            require(self._state.engine(), request)
            raise ValidationError("only temporary credentials can be scoped", rule="7.1")
        claims = self._tokens.open(credentials.access_key_id, token, self._state.clock()).claims
        return users.get_scoped_credentials(self._issuer, claims, duration, policy, policy_arns, context)

    def assume_root(
        self,
        caller: CallerCredentials,
        target: str,
        task_policy_arn: str,
        *,
        duration: int | None = None,
        context: Mapping[str, Any] = {},
    ) -> IssuedSession:
        """AssumeRoot: a session as the root user of a member account, for one of the five tasks (7.1).

        Raises
        ------
        ValidationError
            `root_sessions` is not enabled, another task policy, or too long.
        AccessDeniedError
            the caller's account does not administer the organisation, or the target is no member of it.
        """
        if not self._root_sessions:
            raise ValidationError("centralised root access is not enabled", rule="7.1", hint="STS(..., root_sessions=True)")
        return users.assume_root(self._issuer, self._caller(caller), target, task_policy_arn, duration, context)

    # -- revocation ---------------------------------------------------------------------------------------------------

    def revoke_sessions(self, role: str, issued_before: datetime | None = None) -> datetime:
        """End the sessions of a role that were issued before an instant, by an inline policy of the role (S80).

        Without an instant all that were issued so far end, those of this second too: sessions know their second only. A
        revocation is never taken back: an earlier instant than the stored one changes nothing. Returns the stored instant.

        Raises
        ------
        ValidationError
            no role, or a service-linked one (spec 6.7).
        """
        with self._state.directory.transaction():
            entity = self._state.entity(role)
            if entity is None or entity.kind is not PrincipalKind.ROLE:
                raise ValidationError(f"`{shorten(role)}` is not a role with sessions to revoke", rule="6.7")
            until = issued_before or self._state.now() + timedelta(seconds=1)
            until, document = revocation.extended(until, entity.inline)
            self._state.directory.put_inline_policy(role, revocation.NAME, document)
        self._state.follow()
        return until
