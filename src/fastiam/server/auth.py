"""Identities of clients: bearer tokens, users of unix sockets, names in client certificates (G26 to G30).

Authentication precedes the reading of the body. It never says why it failed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastiam.errors import did_you_mean
from fastiam.server.config import ConfigError
from fastiam.server.config_sections import Auth, CertificatePeer, Trust, UnixPeer
from fastiam.server.http import Peer
from fastiam.server.identity import (
    ASSERT_CONTEXT,
    ASSERT_TAGS,
    AWS,
    BULK,
    DECIDE,
    EXPLAIN,
    METRICS,
    PLAYGROUND,
    SEARCH,
    TRUST_SCOPES,
    USE_SCOPES,
    Identity,
)

_SCOPES: Final = USE_SCOPES | TRUST_SCOPES
_LOCAL: Final = frozenset({DECIDE, SEARCH, EXPLAIN, BULK, AWS, PLAYGROUND, METRICS})
_REMOTE: Final = frozenset({DECIDE, BULK, AWS})
_LOCAL_TRUST: Final = frozenset({ASSERT_TAGS, ASSERT_CONTEXT})
_PREFIX: Final = 8  # bytes of a digest by which a token is found
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_NAME = re.compile(r"[\w.@:/+-]{1,128}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Bearer tokens by their SHA-256. A name may have several tokens, so that they can be rotated."""

    _found: Mapping[bytes, Sequence[tuple[bytes, Identity]]] = field(default_factory=dict)

    def identify(self, token: bytes) -> Identity | None:
        """The identity of a token; None if there is none."""
        digest = hashlib.sha256(token).digest()
        found = None
        for known, identity in self._found.get(digest[:_PREFIX], ()):
            if hmac.compare_digest(known, digest):
                found = identity
        return found

    def __len__(self) -> int:
        return sum(map(len, self._found.values()))


def read_tokens(path: Path) -> Tokens:
    """Read a file with lines `name scopes sha256`, scopes separated by commas; `#` begins a comment.

    Raises
    ------
    ConfigError
        the file cannot be read, every user may write it, or a line is not of this form.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o002:
                raise ConfigError(f"{path}: every user may write this file, and it defines who may ask\nhelp: chmod o-w {path}")
            lines = file.read().decode("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    found: dict[bytes, list[tuple[bytes, Identity]]] = {}
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        at = f"{path}:{number}"
        if len(words) != 3 or not _DIGEST.fullmatch(words[2]):
            # the line is not shown: a token may be where its digest belongs
            raise ConfigError(f"{at}: not `name scopes sha256`\nhelp: printf %s TOKEN | sha256sum")
        if not _NAME.fullmatch(words[0]):
            raise ConfigError(f"{at}: not a name of at most 128 characters")
        digest = bytes.fromhex(words[2])
        scopes = scopes_of(words[1].split(","), at)
        if AWS in scopes:
            raise ConfigError(
                f"{at}: `{AWS}` opens nothing for a token: AWS calls have a signature in its place\nhelp: remove `{AWS}`"
            )
        identity = Identity(words[0], scopes)
        found.setdefault(digest[:_PREFIX], []).append((digest, identity))
    return Tokens(found)


def scopes_of(names: Sequence[str], at: str) -> frozenset[str]:
    """The scopes with these names.

    Raises
    ------
    ConfigError
        one of them is not a scope.
    """
    for name in names:
        if name not in _SCOPES:
            hint = did_you_mean(name, _SCOPES)
            raise ConfigError(f"{at}: `{name}` is not a scope" + (f"\nhelp: {hint}" if hint else ""))
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class Authenticator:
    """The authentication of one listener, made anew with each reload."""

    kind: str
    """`none`, `bearer`, `unix` or `mtls`."""
    tokens: Tokens
    anonymous: frozenset[str]
    """Scopes of a peer without proof of identity."""
    unix: tuple[UnixPeer, ...] = ()
    certificates: tuple[CertificatePeer, ...] = ()

    @property
    def accepts_none(self) -> bool:
        """Whether no client can prove that it may ask."""
        accepted = {"bearer": self.tokens, "unix": self.unix, "mtls": self.certificates}
        return self.kind in accepted and not accepted[self.kind]

    def of_connection(self, peer: Peer) -> Identity | None:
        """The identity that the connection itself proves; None if it proves none, as with bearer tokens."""
        if self.kind == "none":
            return Identity(peer.address or "unix", self.anonymous, is_anonymous=True)
        if self.kind == "unix":
            return self._of_user(peer)
        if self.kind == "mtls":
            return self._of_certificate(peer.certificate_names)
        return None

    def of_header(self, value: bytes) -> Identity | None:
        """The identity of a field `Authorization`; None if it is wrong."""
        scheme, _, token = value.partition(b" ")
        token = token.strip(b" ")
        if scheme.lower() != b"bearer" or not token or b" " in token:
            return None
        return self.tokens.identify(token)

    def _of_user(self, peer: Peer) -> Identity | None:
        if peer.uid is None:
            return None
        for each in self.unix:
            if each.uid in (None, peer.uid) and each.gid in (None, peer.gid):
                return Identity(each.name or f"uid:{peer.uid}", self._scopes(each.scopes))
        return None

    def _of_certificate(self, names: tuple[str, ...]) -> Identity | None:
        if len(names) != 1:
            return None
        for each in self.certificates:
            if names[0] == each.name or (each.prefix is not None and names[0].startswith(each.prefix)):
                return Identity(names[0], self._scopes(each.scopes))
        return None

    def _scopes(self, given: tuple[str, ...] | None) -> frozenset[str]:
        return (_LOCAL - {METRICS}) | self.anonymous & TRUST_SCOPES if given is None else frozenset(given)


def authenticator(kind: str, auth: Auth, trust: Trust, tokens: Tokens, *, is_local: bool) -> Authenticator:
    """The authentication of a listener.

    Parameters
    ----------
    is_local
        whether it is on loopback or a unix socket.

    Raises
    ------
    ConfigError
        a scope is unknown, or an entry names no client.
    """
    for i, peer in enumerate(auth.unix):
        scopes_of(peer.scopes or (), f"auth.unix[{i}]")
        if peer.uid is None and peer.gid is None:
            raise ConfigError(f"auth.unix[{i}]: neither `uid` nor `gid`")
    for i, certificate in enumerate(auth.mtls):
        scopes_of(certificate.scopes or (), f"auth.mtls[{i}]")
        if bool(certificate.name) == bool(certificate.prefix):
            raise ConfigError(f"auth.mtls[{i}]: one of `name` and `prefix` is needed")
    trusted = _LOCAL_TRUST if is_local else frozenset()
    if trust.anonymous is not None:
        trusted = scopes_of(trust.anonymous, "trust.anonymous")
        if not trusted <= TRUST_SCOPES:
            raise ConfigError("trust.anonymous: only scopes that begin with `assert:`")
    anonymous = (_LOCAL if is_local else _REMOTE) | trusted
    return Authenticator(kind, tokens, anonymous, auth.unix, auth.mtls)
