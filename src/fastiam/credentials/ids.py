"""Access key ids and secrets (spec 7.3): 20 characters by prefix, and 40 characters.

An id holds its account, so that `GetAccessKeyInfo` needs no table: 16 characters of base32 are ten bytes, five of the
account's number and five at random.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from fastiam.credentials.secret import Secret

LONG_TERM, TEMPORARY = "AKIA", "ASIA"
SECRET_BYTES = 30  # 40 characters of base64
_HALF = 5


def new_key_id(prefix: str, account: str) -> str:
    """An access key id of an account. Two may be equal once in a million million: a table of them looks before it stores."""
    return prefix + base64.b32encode(int(account).to_bytes(_HALF) + secrets.token_bytes(_HALF)).decode()


def account_of(key_id: str) -> str | None:
    """The account of an access key id; None for a text that is none."""
    if len(key_id) != 20 or not key_id.startswith((LONG_TERM, TEMPORARY)):
        return None
    try:
        number = int.from_bytes(base64.b32decode(key_id[4:])[:_HALF])
    except (binascii.Error, ValueError):
        return None
    return f"{number:012d}" if number < 10**12 else None


def new_secret() -> Secret:
    """A secret access key."""
    return secret_text(secrets.token_bytes(SECRET_BYTES))


def secret_text(raw: bytes) -> Secret:
    """Bytes as the 40 characters of a secret access key."""
    return Secret(base64.b64encode(raw[:SECRET_BYTES]).decode())
