"""JWKS: the public keys of an issuer, and which of them can verify a token (WI12, WI14, WI43, WI44)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from fastiam.strict_json import IDENTITY_LIMITS, read_object

MAX_KEYS = 100  # of one type in a JWKS
MAX_TRIED = 10  # for one token
MIN_RSA_BITS, MAX_RSA_BITS = 2_048, 8_192
MAX_EXPONENT = 1 << 32

ALGORITHMS = {  # type of key, and its curve
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
}
_CURVES = frozenset(curve for _, curve in ALGORITHMS.values() if curve)
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_BASE64URL = re.compile("[A-Za-z0-9_-]{1,1400}")  # 8,192 bits take 1,366 characters


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that can verify signatures. `algorithm` is what the JWK limits it to, "" if it does not."""

    key_id: str | None
    type: str
    curve: str
    algorithm: str
    key: RSAPublicKey | EllipticCurvePublicKey

    def fits(self, algorithm: str) -> bool:
        """Whether signatures of an algorithm can be of this key."""
        return ALGORITHMS[algorithm] == (self.type, self.curve) and self.algorithm in ("", algorithm)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of a JWKS. `warnings` say which keys were skipped because they contain private parameters."""

    keys: tuple[VerificationKey, ...]
    warnings: tuple[str, ...] = ()

    def has(self, key_id: str | None) -> bool:
        """Whether a usable key has this id; a token without an id leaves the key open."""
        return key_id is None or any(key.key_id == key_id for key in self.keys)

    def candidates(self, key_id: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys to try for a token, in the order of the JWKS."""
        found = (key for key in self.keys if key.fits(algorithm) and key_id in (None, key.key_id))
        return tuple(key for key, _ in zip(found, range(MAX_TRIED), strict=False))


def read_jwks(raw: bytes) -> KeySet:
    """The usable keys of a JWKS. Keys of other types, for other purposes, or out of bounds are skipped.

    Raises
    ------
    ValueError
        not a JWKS, or too many keys.
    """
    listed = read_object(raw, IDENTITY_LIMITS).get("keys")
    if not isinstance(listed, list) or not all(isinstance(jwk, dict) for jwk in listed):
        raise ValueError("no list of keys")
    counts = Counter(str(jwk.get("kty")) for jwk in listed)
    if max(counts.values(), default=0) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} keys of one type")
    public = [jwk for jwk in listed if _PRIVATE.isdisjoint(jwk)]
    warnings = () if len(public) == len(listed) else ("a key of the JWKS contains private parameters and is skipped [WI43]",)
    found = (_read_key(jwk) for jwk in public)
    return KeySet(tuple(key for key in found if key is not None), warnings)


def _read_key(jwk: dict[str, Any]) -> VerificationKey | None:
    type_, curve, key_id, algorithm = jwk.get("kty"), jwk.get("crv"), jwk.get("kid"), jwk.get("alg", "")
    operations = jwk.get("key_ops", ["verify"])
    is_usable = (
        jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and (key_id is None or isinstance(key_id, str))
        and isinstance(algorithm, str)
    )
    if not is_usable:
        return None
    if type_ == "RSA":
        rsa = _read_rsa(jwk)
        return None if rsa is None else VerificationKey(key_id, "RSA", "", algorithm, rsa)
    if type_ == "EC" and isinstance(curve, str) and curve in _CURVES:
        ec = _read_ec(jwk)
        return None if ec is None else VerificationKey(key_id, "EC", curve, algorithm, ec)
    return None


def _read_rsa(jwk: dict[str, Any]) -> RSAPublicKey | None:
    members = {name: jwk.get(name) for name in ("n", "e")}
    if not all(isinstance(text, str) and _BASE64URL.fullmatch(text) for text in members.values()):
        return None
    try:
        key = RSAAlgorithm.from_jwk({"kty": "RSA", **members})
    except (InvalidKeyError, ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, RSAPublicKey):
        return None
    return key if is_usable_rsa(key) else None


def is_usable_rsa(key: RSAPublicKey) -> bool:
    """Whether an RSA key is within the bounds of keys that may verify, of whatever document (WI14): others only cost time."""
    exponent = key.public_numbers().e
    return MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS and 2 < exponent < MAX_EXPONENT and exponent % 2 == 1


def _read_ec(jwk: dict[str, Any]) -> EllipticCurvePublicKey | None:
    members = {name: jwk.get(name) for name in ("x", "y")}
    if not all(isinstance(text, str) and _BASE64URL.fullmatch(text) for text in members.values()):
        return None
    try:
        key = ECAlgorithm.from_jwk({"kty": "EC", "crv": jwk["crv"], **members})
    except (InvalidKeyError, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, EllipticCurvePublicKey) else None
