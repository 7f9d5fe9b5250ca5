"""The keys of an installation that sign tokens of identity pools: one RSA key per region, and its predecessors (ID40)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from jwt.algorithms import RSAAlgorithm

from fastiam.cognito.identity_pools.parameters import MAX_TOKEN
from fastiam.cognito.identity_records import IdentityPoolStore, TokenKey, token_key_purpose
from fastiam.federation.state import FederationState

ALGORITHM = "RS512"
_BITS = 2_048
_KEPT = timedelta(seconds=MAX_TOKEN)  # the longest life of a token


class TokenKeys:
    """Signs tokens, and lists the public keys. A region gets its key when it signs its first token."""

    def __init__(self, state: FederationState, store: IdentityPoolStore) -> None:
        self._state, self._store = state, store
        self._loaded: tuple[str, rsa.RSAPrivateKey] | None = None

    def sign(self, region: str, claims: Mapping[str, Any], now: datetime) -> str:
        """A token with these claims."""
        record = self._current(region)
        if record is None:
            with self._state.directory.transaction():
                record = self._current(region) or self._create(region, now)
        return jwt.encode(dict(claims), self._private(record), algorithm=ALGORITHM, headers={"kid": record.id})

    def rotate(self, region: str, now: datetime) -> str:
        """Sign with a new key from now on; its id. The public keys of earlier ones stay for a day (9.1)."""
        with self._state.directory.transaction():
            for record in list(self._store.tables.token_keys.values()):
                if record.retired is not None and record.retired + _KEPT <= now:
                    self._store.put("token_keys", record.id, None)
                elif record.region == region and record.retired is None:
                    self._store.put("token_keys", record.id, replace(record, retired=now))
            return self._create(region, now).id

    def jwks(self, now: datetime) -> str:
        """The public keys that verify tokens now, as a JWKS."""
        records = self._store.tables.token_keys.values()
        valid = [record for record in records if record.retired is None or now < record.retired + _KEPT]
        return json.dumps({"keys": [json.loads(record.public) for record in valid]})

    def _current(self, region: str) -> TokenKey | None:
        records = self._store.tables.token_keys.values()
        return next((record for record in records if record.region == region and record.retired is None), None)

    def _create(self, region: str, now: datetime) -> TokenKey:
        key, id_ = rsa.generate_private_key(65_537, _BITS), f"{region}-{secrets.token_hex(8)}"
        plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        public = json.dumps({name: jwk[name] for name in ("kty", "n", "e")} | {"kid": id_, "alg": ALGORITHM, "use": "sig"})
        sealed = self._state.issuer.state.keyring.seal(token_key_purpose(id_), plain)
        record = TokenKey(id_, region, public, sealed, now)
        self._store.put("token_keys", id_, record)
        return record

    def _private(self, record: TokenKey) -> rsa.RSAPrivateKey:
        """PERF: the last key is kept open."""
        loaded = self._loaded
        if loaded is None or loaded[0] != record.id:
            plain = self._state.issuer.state.keyring.open(token_key_purpose(record.id), record.sealed)
            key = load_der_private_key(plain, None)
            assert isinstance(key, rsa.RSAPrivateKey)
            loaded = self._loaded = (record.id, key)
        return loaded[1]
