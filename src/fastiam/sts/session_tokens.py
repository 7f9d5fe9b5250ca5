"""Session tokens: opaque, authenticated, self-contained. No table of sessions exists, so any process with the keyring reads them.

A token is header and body. The keyring derives 64 bytes from the header and the access key id: half of them encrypt the body,
the others are the secret access key. So a token opens with its own access key id alone, its secret follows from it, and a
byte that is altered, cut off or from another keyring makes it invalid.
"""

from __future__ import annotations

import hmac
import re
from binascii import a2b_base64, b2a_base64
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from fastiam.credentials.ids import TEMPORARY, new_key_id, secret_text
from fastiam.credentials.keyring import HEADER_BYTES, KEY_BYTES, Keyring, KeyringError, decrypt, encrypt
from fastiam.credentials.results import Credentials
from fastiam.credentials.secret import Secret, hidden
from fastiam.credentials.sts_errors import AuthenticationError
from fastiam.model.profile import PrincipalKind
from fastiam.model.session import Session
from fastiam.runtime import forking

CACHED = 16_384  # sessions; about 2 KB each
_MAX_LENGTH = 65_536  # characters: 50 tags and the session policies are well below
_FORM = 1  # of the body
_KEY_ID = re.compile(TEMPORARY + "[A-Z2-7]{16}")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Attributes
    ----------
    session
        one object per token while it is cached, so that an engine knows it again.
    expires_at
        in whole seconds; at this instant it is over.
    issuer_id
        unique id of the role or user that issued it, where there is one: another one of the same name did not.
    issuer_key
        the long-term access key that asked for it, where that is the issuer's own (GetSessionToken, GetFederationToken).
    chained
        a role assumed the role (S2); None in tokens of earlier releases, which do not contain it.
    """

    session: Session
    expires_at: datetime
    issuer_id: str | None = None
    issuer_key: str | None = None
    chained: bool | None = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A token that was opened, with the secret that belongs to it."""

    claims: Claims
    secret: Secret
    expires: float


class Tokens:
    """Make and open session tokens. The last opened ones are cached; their expiration is checked each time."""

    def __init__(self, keyring: Keyring, *, cached: int = CACHED) -> None:
        self._keyring, self._cached = keyring, cached
        self._kept: OrderedDict[tuple[str, str], Opened] = OrderedDict()
        self._lock = forking.new_lock(forking.LEAF)

    def issue(self, claims: Claims, account: str) -> Credentials:
        """Credentials that stand for the claims."""
        key_id, header = new_key_id(TEMPORARY, account), self._keyring.header()
        derived = self._keyring.derive(header, _purpose(key_id))
        body = encrypt(derived[:KEY_BYTES], header, _write(claims))
        token = Secret(b2a_base64(header + body, newline=False).decode())
        return Credentials(key_id, secret_text(derived[KEY_BYTES:]), token, claims.expires_at)

    def verify(self, key_id: str, secret: str, token: str, now: datetime) -> Claims:
        """What credentials claim at an instant.

        Raises
        ------
        AuthenticationError
            altered, of another key, expired, or with another secret.
        """
        secret = hidden(secret)
        opened = self.open(key_id, token, now)
        if not hmac.compare_digest(str.encode(opened.secret), str.encode(secret, "utf-8", "surrogatepass")):
            raise AuthenticationError(
                f"that is not the secret of `{key_id}`", reason="wrong_secret", code="SignatureDoesNotMatch"
            )
        return opened.claims

    def open(self, key_id: str, token: str, now: datetime) -> Opened:
        """Claims and secret of a token, for a server that checks signatures made with the secret.

        Raises
        ------
        AuthenticationError
            altered, of another key, or expired.
        """
        token = hidden(token)
        opened = self._kept.get((key_id, token))
        if opened is None:
            opened = self._open(key_id, token)
            if opened is None:
                raise AuthenticationError("the session token is not of this access key, or not complete", reason="token_invalid")
        else:
            self._touch(key_id, token)
        if now.timestamp() >= opened.expires:
            raise AuthenticationError("the session token has expired", reason="expired", code="ExpiredToken")
        return opened

    def _open(self, key_id: str, token: Secret) -> Opened | None:
        """The token opened and cached, None if it is not valid. Errors end here, so that no traceback contains the token."""
        try:
            raw = _decode(token)
            header = raw[:HEADER_BYTES]
            derived = self._keyring.derive(header, _purpose(key_id))
            claims = _read(decrypt(derived[:KEY_BYTES], header, raw[HEADER_BYTES:]))
        except (KeyringError, ValueError):
            return None
        opened = Opened(claims, secret_text(derived[KEY_BYTES:]), claims.expires_at.timestamp())
        with self._lock:
            self._kept[key_id, token] = opened
            while len(self._kept) > self._cached:
                self._kept.popitem(last=False)
        return opened

    def _touch(self, key_id: str, token: Secret) -> None:
        try:
            self._kept.move_to_end((key_id, token))
        except KeyError:  # another thread has just dropped it
            pass


def _purpose(key_id: str) -> bytes:
    if _KEY_ID.fullmatch(key_id) is None:
        raise ValueError("no temporary access key id")
    return b"session\0" + key_id.encode()


def _decode(token: str) -> bytes:
    """The bytes of a token. One spelling each: what decodes to them otherwise is refused."""
    if len(token) > _MAX_LENGTH:
        raise ValueError("too long")
    text = token.encode("ascii")
    raw = a2b_base64(text)
    if b2a_base64(raw, newline=False) != text:
        raise ValueError("another spelling")
    return raw


# -- the body -----------------------------------------------------------------------------------------------------------


def _write(claims: Claims) -> bytes:
    session = claims.session
    return orjson.dumps(
        [
            _FORM,
            str(session.kind),
            session.arn,
            session.issuer,
            session.policies,
            session.tags,
            session.transitive_tags,
            _seconds(session.issued_at),
            _seconds(session.mfa_at),
            session.source_identity,
            session.context,
            _seconds(claims.expires_at),
            claims.issuer_id,
            claims.issuer_key,
            claims.chained,
        ]
    )


def _read(body: bytes) -> Claims:
    form, kind, arn, issuer, policies, tags, transitive, issued, mfa, source, context, expires, id_, key, *more = orjson.loads(
        bytes(body)
    )
    if form != _FORM:
        raise ValueError("another form")
    session = Session(
        arn,
        kind=PrincipalKind(kind),
        issuer=issuer,
        policies=policies,
        tags=tags,
        transitive_tags=tuple(transitive),
        issued_at=_instant(issued),
        mfa_at=_instant(mfa),
        source_identity=source,
        context=context,
    )
    return Claims(session, datetime.fromtimestamp(expires, UTC), id_, key, more[0] if more else None)


def _seconds(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp())


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
