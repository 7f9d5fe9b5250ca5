"""`Keyring`: the keys under which secrets are stored and session tokens are made.

The first key seals, all of them open; a rotation puts a fresh one in front, and a key leaves the ring when nothing sealed
under it is needed any more. Every sealed thing has a key of its own, derived from the ring's key, a random salt and what
the thing is for, so no nonce is ever used twice.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fastiam.credentials.secret import Secret, SecretBytes
from fastiam.errors import FastiamError
from fastiam.runtime.output_files import open_output

KEY_BYTES, ID_BYTES, SALT_BYTES = 32, 4, 16
HEADER_BYTES = 1 + ID_BYTES + SALT_BYTES  # version, key id, salt
ENVIRONMENT = "FASTIAM_KEYRING"  # a path, or the text of a keyring
_VERSION = 1
_NONCE = bytes(12)  # each sealed thing has its own key


class KeyringError(FastiamError, ValueError):
    """A keyring cannot be read, or something was not sealed under it. Never holds a key."""


class Keyring:
    """Named symmetric keys of 32 bytes, the first of which seals.

    Parameters
    ----------
    keys
        pairs of an id of 8 hexadecimal digits and 32 bytes.

    Raises
    ------
    KeyringError
        no key, two of one id, or a key of another length.
    """

    _keys: Mapping[bytes, SecretBytes] = {}  # of an object that is not complete; its representation is in tracebacks

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        read = _read_keys(keys)
        del keys  # not into a traceback
        if isinstance(read, str):
            raise KeyringError(read)
        self._keys = read
        self._primary = next(iter(read))

    def __repr__(self) -> str:
        return f"<Keyring: {', '.join(self.ids)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is not pickled; save it to a file of its own")

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys, the sealing one first."""
        return tuple(id_.hex() for id_ in self._keys)

    # -- making and keeping -------------------------------------------------------------------------------------------

    @classmethod
    def generate(cls) -> Keyring:
        """A keyring of one random key."""
        return cls([_fresh()])

    def rotated(self, *, keep: int | None = None) -> Keyring:
        """A keyring with a fresh key in front, followed by the first `keep` of these, or by all of them."""
        return Keyring([_fresh(), *[(id_.hex(), key) for id_, key in self._keys.items()][:keep]])

    @classmethod
    def from_text(cls, text: str | bytes) -> Keyring:
        """A keyring as `save` writes it: a JSON list of `{"id", "key"}`, the key as base64.

        Raises
        ------
        KeyringError
            another text.
        """
        keys = _read_text(text)
        del text  # not into a traceback
        if keys is None:
            raise KeyringError(
                "the text is not a keyring\nhelp: write one with `fastiam sts keyring FILE` or `Keyring.generate().save(path)`"
            )
        return cls(keys)

    @classmethod
    def load(cls, path: str | Path) -> Keyring:
        """The keyring in a file.

        Raises
        ------
        KeyringError
            the file holds none, or others than its owner can read it.
        OSError
            it cannot be read.
        """
        file = Path(path)
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise KeyringError(f"others can read the keyring `{file}`\nhelp: chmod 600 {file}")
        return cls.from_text(SecretBytes(file.read_bytes()))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Keyring:
        """The keyring that `FASTIAM_KEYRING` names by its path, or holds as text.

        Raises
        ------
        KeyringError
            the variable is not set, or holds no keyring. The message does not contain the value, which may be a key.
        """
        value = Secret(environ.get(ENVIRONMENT, ""))
        del environ  # not into a traceback
        if not value:
            raise KeyringError(f"no keyring is given\nhelp: set {ENVIRONMENT} to the path of one")
        if value.lstrip().startswith("["):
            return cls.from_text(value)
        try:
            return cls.load(value)
        except KeyringError:  # of a file that exists
            raise
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
        raise KeyringError(
            f"the file that {ENVIRONMENT} names cannot be read: {reason}"
            f"\nhelp: set {ENVIRONMENT} to the path of a keyring, or to the whole text of one"
        )

    def save(self, path: str | Path) -> None:
        """Write the keyring to a file that only its owner can read; it appears when it is complete.

        Raises
        ------
        SourceError
            it cannot be written; a file that was there is as it was.
        """
        with open_output(path, private=True) as file:
            file.write(self._text())

    def _text(self) -> SecretBytes:
        entries = [{"id": id_.hex(), "key": base64.b64encode(key).decode()} for id_, key in self._keys.items()]
        return SecretBytes(orjson.dumps(entries, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    # -- sealing ------------------------------------------------------------------------------------------------------

    def header(self) -> bytes:
        """The first bytes of something new: version, id of the sealing key, a random salt."""
        return bytes((_VERSION,)) + self._primary + secrets.token_bytes(SALT_BYTES)

    def derive(self, header: bytes, purpose: bytes) -> SecretBytes:
        """64 bytes that only this keyring can make from a header and a purpose.

        Raises
        ------
        KeyringError
            the header names no key of this ring.
        """
        key = self._keys.get(header[1 : 1 + ID_BYTES])
        if key is None or len(header) != HEADER_BYTES or header[0] != _VERSION:
            raise KeyringError("it was sealed under no key of this keyring")
        return SecretBytes(hmac.digest(key, header + purpose, "sha512"))

    def seal(self, purpose: bytes, plain: bytes) -> bytes:
        """The text encrypted and authenticated; it opens for the same purpose alone."""
        header = self.header()
        return header + encrypt(self.derive(header, purpose)[:KEY_BYTES], header, plain)

    def open(self, purpose: bytes, sealed: bytes) -> SecretBytes:
        """What was sealed for a purpose.

        Raises
        ------
        KeyringError
            it was altered, sealed under no key of this ring, or for another purpose.
        """
        header = sealed[:HEADER_BYTES]
        return decrypt(self.derive(header, purpose)[:KEY_BYTES], header, sealed[HEADER_BYTES:])

    def is_current(self, sealed: bytes) -> bool:
        """Whether the sealing key sealed it, so that it outlives a rotation that drops the others."""
        return sealed[1 : 1 + ID_BYTES] == self._primary


def encrypt(key: bytes, header: bytes, plain: bytes) -> bytes:
    """AES-256-GCM under a key that is used once."""
    return AESGCM(key).encrypt(_NONCE, plain, header)


def decrypt(key: bytes, header: bytes, body: bytes) -> SecretBytes:
    """What `encrypt` was given.

    Raises
    ------
    KeyringError
        another key, or altered.
    """
    try:
        return SecretBytes(AESGCM(key).decrypt(_NONCE, body, header))
    except (InvalidTag, ValueError):
        raise KeyringError("it was altered, or sealed for something else") from None


def _fresh() -> tuple[str, SecretBytes]:
    return secrets.token_hex(ID_BYTES), SecretBytes(secrets.token_bytes(KEY_BYTES))


def _read_keys(keys: Sequence[tuple[str, bytes]]) -> dict[bytes, SecretBytes] | str:
    """The keys by id, or why they are not a keyring. Raises nothing, so that no traceback contains the keys."""
    try:
        read = {bytes.fromhex(id_): SecretBytes(key) for id_, key in keys if isinstance(key, bytes)}
    except (ValueError, TypeError):
        return f"the id of a key has {2 * ID_BYTES} hexadecimal digits"
    if any(len(id_) != ID_BYTES for id_ in read):
        return f"the id of a key has {2 * ID_BYTES} hexadecimal digits"
    if not read or len(read) != len(keys) or any(len(key) != KEY_BYTES for key in read.values()):
        return f"a keyring needs keys of {KEY_BYTES} bytes with different ids"
    return read


def _read_text(text: str | bytes) -> list[tuple[Secret, SecretBytes]] | None:
    """The keys in the text of a keyring; None for any other text. Raises nothing, like `_read_keys`."""
    try:
        entries = orjson.loads(bytes(text) if isinstance(text, bytes) else str.__str__(text))
        return [(Secret(entry["id"]), SecretBytes(base64.b64decode(entry["key"], validate=True))) for entry in entries]
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
