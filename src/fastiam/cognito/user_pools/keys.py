"""Signing keys of a pool: RSA with 2,048 bits, one for ID tokens and one for access tokens (UP80), and their rotation."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, RSAPublicNumbers, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.directory.user_pool_records import Pool, SigningKey

EXPONENT, BITS = 65_537, 2048
USES = ("id", "access")
KEPT = timedelta(days=1)  # the longest life of a token


def make_keys(state: PoolState, pool: Pool) -> list[tuple[SigningKey, RSAPrivateKey]]:
    """New keys for both kinds of token. It takes a moment, so it is done outside transactions."""
    made = []
    for use in USES:
        private = generate_private_key(EXPONENT, BITS)
        kid = base64.b64encode(state.random(32)).decode()
        raw = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        sealed = state.sealed("signing_keys", f"{pool.id}/{kid}", raw)
        modulus = f"{private.public_key().public_numbers().n:x}"
        made.append((SigningKey(pool.id, kid, use, modulus, state.now(), sealed), private))
    return made


def put_keys(state: PoolState, pool: Pool, made: list[tuple[SigningKey, RSAPrivateKey]]) -> None:
    """Sign with new keys from now on, inside a transaction. The public parts of old ones stay until their tokens have ended."""
    now = state.now()
    for key, record in list(state.tables.signing_keys.items()):
        if record.pool != pool.id:
            continue
        if record.retired is None:
            state.put("signing_keys", key, replace(record, retired=now))
        elif record.retired + KEPT <= now:
            state.put("signing_keys", key, None)
            state.signers.pop(record.kid, None)
    for record, private in made:
        state.put("signing_keys", f"{pool.id}/{record.kid}", record)
        state.signers[record.kid] = private


def signer(state: PoolState, pool: Pool, use: str) -> tuple[str, RSAPrivateKey]:
    """The key that signs a kind of token, with its id."""
    record = next(key for key in _keys(state, pool) if key.use == use and key.retired is None)
    private = state.signers.get(record.kid)
    if private is None:
        raw = state.opened("signing_keys", f"{pool.id}/{record.kid}", record.sealed)
        loaded = load_der_private_key(raw, None)
        assert isinstance(loaded, RSAPrivateKey)
        private = state.signers[record.kid] = loaded
    return record.kid, private


def public_key(record: SigningKey) -> RSAPublicKey:
    """The public part of a key."""
    return RSAPublicNumbers(EXPONENT, int(record.modulus, 16)).public_key()


def is_usable(state: PoolState, record: SigningKey) -> bool:
    """Whether tokens of a key verify still."""
    return record.retired is None or state.now() < record.retired + KEPT


def jwks(state: PoolState, pool: Pool) -> Json:
    """The key set that others verify tokens with."""
    return {
        "keys": [
            {
                "alg": "RS256",
                "e": _number(EXPONENT),
                "kid": key.kid,
                "kty": "RSA",
                "n": _number(int(key.modulus, 16)),
                "use": "sig",
            }
            for key in _keys(state, pool)
            if is_usable(state, key)
        ]
    }


def _keys(state: PoolState, pool: Pool) -> list[SigningKey]:
    """The keys of a pool. A pool that was imported gets its first ones here: the directory format has no keys."""
    found = _stored_keys(state, pool)
    if not found:
        made = make_keys(state, pool)
        with state.transaction():
            if not _stored_keys(state, state.pool(pool.id)):  # another process may have made them
                put_keys(state, pool, made)
        found = _stored_keys(state, pool)
    return found


def _stored_keys(state: PoolState, pool: Pool) -> list[SigningKey]:
    return [key for key in state.tables.signing_keys.values() if key.pool == pool.id]


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8)).decode().rstrip("=")
