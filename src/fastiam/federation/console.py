"""Console federation: sign-in tokens for a deployment with a console of its own, and the SAML sign-in endpoint (chapter 8).

Off unless the settings name the addresses of the console: a sign-in leads nowhere else.
"""

from __future__ import annotations

import secrets
from binascii import Error, a2b_base64, b2a_base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from fastiam.credentials.keyring import KeyringError
from fastiam.credentials.results import Caller, Credentials
from fastiam.credentials.secret import Secret
from fastiam.credentials.sts_errors import ValidationError
from fastiam.federation.federation_errors import ExpiredTokenError, IdentityTokenError
from fastiam.federation.replay_protection import Replays
from fastiam.federation.saml import CONSOLE, SamlCalls
from fastiam.federation.state import FederationState
from fastiam.model.profile import ROLES, PrincipalKind
from fastiam.model.request import shorten
from fastiam.model.session import Session
from fastiam.sts import parameter_limits as limits
from fastiam.sts.authorization import CallKeys
from fastiam.sts.sts_service import STS

TOKEN_CALL = "GetSigninToken"
_LIFE = timedelta(minutes=15)
_PURPOSE = b"console-signin\0"
_MAX_TOKEN = 200_000
_KINDS = (*ROLES, PrincipalKind.FED)


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """A session of the console: the caller of its requests until `caller.expires_at`, and the address that it leads to."""

    caller: Caller
    destination: str


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of a sign-in token. `seconds` is the duration that was chosen, None for that of the credentials."""

    id: str
    until: datetime
    key: str
    token: Secret
    seconds: int | None


class ConsoleCalls:
    """Sign-in tokens and the SAML sign-in."""

    def __init__(self, state: FederationState, sts: STS, saml: SamlCalls, replays: Replays) -> None:
        self._state, self._sts, self._saml, self._replays = state, sts, saml, replays

    def signin_token(self, credentials: Credentials, duration: int | None, source: str) -> Secret:
        """A token for one sign-in within 15 minutes (CF10, CF11)."""
        now = self._state.now()
        with self._state.auditor.call(TOKEN_CALL, now, source=source) as entry:
            self._require_enabled()
            caller = self._sts.authenticate(credentials)
            entry.add(principal=caller.arn)
            token = credentials.session_token
            if token is None or not isinstance(caller.principal, Session) or caller.principal.kind not in _KINDS:
                raise ValidationError("only sessions of roles and federated users sign in to the console", rule="CF11")
            if duration is not None:
                self._check_duration(caller.principal, credentials, duration)
            until = int((now + _LIFE).timestamp())
            content = (secrets.token_hex(16), until, credentials.access_key_id, str.__str__(token), duration)
            sealed = self._state.issuer.state.keyring.seal(_PURPOSE, orjson.dumps(content))
            return Secret(b2a_base64(sealed, newline=False).decode())

    def _check_duration(self, session: Session, credentials: Credentials, duration: int) -> None:
        limits.read_duration(duration, limits.ROLE)
        assert credentials.session_token is not None
        opened = self._state.issuer.tokens.open(credentials.access_key_id, credentials.session_token, self._state.now())
        if session.kind is PrincipalKind.FED or opened.claims.chained is not False:
            raise ValidationError("these credentials do not choose how long the console session lasts", rule="CF11")

    def login(self, signin_token: str, destination: str, source: str) -> ConsoleSession:
        """The console session of a token, which is spent (CF12)."""
        now = self._state.now()
        with self._state.auditor.call(CONSOLE, now, source=source) as entry:
            self._require_enabled()
            self._require_destination(destination)
            given = self._open(signin_token, now)
            claims = self._state.issuer.tokens.open(given.key, given.token, now).claims
            expires = claims.expires_at if given.seconds is None else now + timedelta(seconds=given.seconds)
            caller = Caller(claims.session, given.key, expires, claims.issuer_id, claims.issuer_key)
            entry.add(principal=caller.arn)
            self._sts.get_caller_identity(caller)  # its issuer must still exist
            with self._state.directory.transaction():
                self._replays.spend("signin-token", given.id, given.until, now)
            return ConsoleSession(caller, destination)

    def _open(self, signin_token: str, now: datetime) -> _Content:
        try:
            if len(signin_token) > _MAX_TOKEN:
                raise ValueError("too long")
            plain = self._state.issuer.state.keyring.open(_PURPOSE, a2b_base64(signin_token.encode("ascii")))
        except (KeyringError, Error, ValueError):
            raise IdentityTokenError("the sign-in token is not valid", reason="token_invalid", rule="CF12") from None
        id_, until, key, token, seconds = orjson.loads(bytes(plain))
        given = _Content(id_, datetime.fromtimestamp(until, UTC), key, Secret(token), seconds)
        del token  # not into a traceback
        if now >= given.until:
            raise ExpiredTokenError("the sign-in token has expired", reason="expired", rule="CF12")
        return given

    def sign_in(
        self, role: str, provider: str, response: str | bytes, relay_state: str, source: str, keys: CallKeys
    ) -> ConsoleSession:
        """The SAML sign-in endpoint, for the pair that the user chose (CF20)."""
        self._require_enabled()
        made = self._saml.assume(
            role, provider, response, duration=None, policy=None, policy_arns=(), source=source, keys=keys, console=True
        )
        caller = self._sts.authenticate(made.credentials)
        known = self._state.settings.console_destinations
        return ConsoleSession(caller, relay_state if relay_state in known else "")

    def _require_enabled(self) -> None:
        if not self._state.settings.console_destinations:
            hint = "name its addresses: `FederationSettings(console_destinations=...)`"
            raise ValidationError("console federation is off", rule="CF10", hint=hint)

    def _require_destination(self, destination: str) -> None:
        if destination not in self._state.settings.console_destinations:
            raise ValidationError(f"`{shorten(str(destination))}` is not an address of the console", rule="CF12")
