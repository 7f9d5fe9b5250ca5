"""The server's half of Cognito's variant of SRP-6a (4.9).

No library has this variant: the group of RFC 3526 with generator 2, hashes over signed big-endian integers, the pool's name in
the private key, and a key by HKDF with a label. `x`, `verifier` and the session key are the formulas of 4.9.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fastiam.credentials.secret import SecretBytes

N = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6D"
    "F25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3D"
    "C2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08"
    "CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E0"
    "4A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E208E24FA074E5AB31"
    "43DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    16,
)
G = 2
MAX_DIGITS = 770
TIMESTAMP_SKEW = timedelta(minutes=5)
_TIMESTAMP = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) (\d{1,2}) (\d\d):(\d\d):(\d\d) UTC (\d{4})", re.ASCII)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]+", re.ASCII)


def pad(number: int) -> bytes:
    """A number as signed big-endian integer of the shortest length, the form in which all numbers are hashed (UP51)."""
    return number.to_bytes(number.bit_length() // 8 + 1)


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


_K = int.from_bytes(_hash(pad(N), pad(G)))


def private_key(pool_name: str, user: str, password: str, salt: int) -> int:
    """The number x of a password. `pool_name` is the part of the pool's id behind `_`."""
    inner = _hash(f"{pool_name}{user}:".encode("utf-8", "surrogatepass"), password.encode("utf-8", "surrogatepass"))
    return int.from_bytes(_hash(pad(salt), inner))


def verifier(pool_name: str, user: str, password: str, salt: int) -> int:
    """The number v that is stored of a password."""
    return pow(G, private_key(pool_name, user, password, salt), N)


def read_public(text: str) -> int | None:
    """The number A of a client; None unless it is hexadecimal with 0 < A < N (UP54)."""
    if len(text) > MAX_DIGITS or not _HEXADECIMAL.fullmatch(text):
        return None
    number = int(text, 16)
    return number if 0 < number < N else None


@dataclass(frozen=True, slots=True)
class Handshake:
    """The server's answer to a client's A: the secret b and the public B."""

    b: int
    public: int
    u: int

    def __repr__(self) -> str:
        return "<Handshake>"


def answer(client_public: int, v: int, b: int) -> Handshake | None:
    """The answer with a random b; None if b must be chosen anew."""
    return resumed(client_public, b, (_K * v + pow(G, b, N)) % N)


def resumed(client_public: int, b: int, public: int) -> Handshake | None:
    """The answer with a number B that was made before."""
    u = int.from_bytes(_hash(pad(client_public), pad(public)))
    return None if public == 0 or u == 0 else Handshake(b, public, u)


def session_key(client_public: int, v: int, handshake: Handshake) -> SecretBytes:
    """The 16 bytes that both sides derive."""
    secret = pow(client_public * pow(v, handshake.u, N), handshake.b, N)
    kdf = HKDF(algorithm=SHA256(), length=16, salt=pad(handshake.u), info=b"Caldera Derived Key")
    return SecretBytes(kdf.derive(pad(secret)))


def signature(key: bytes, pool_name: str, user: str, block: bytes, timestamp: str) -> bytes:
    """The proof of the password, `PASSWORD_CLAIM_SIGNATURE`, as base64."""
    message = f"{pool_name}{user}".encode("utf-8", "surrogatepass") + block + timestamp.encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(key, message, "sha256"))


def is_recent(timestamp: str, now: datetime) -> bool:
    """Whether a `TIMESTAMP` has its form and lies within five minutes of now (UP54)."""
    read = _TIMESTAMP.fullmatch(timestamp)
    if read is None or read[2] not in _MONTHS:
        return False
    day, hour, minute, second, year = map(int, read.group(3, 4, 5, 6, 7))
    try:
        at = datetime(year, _MONTHS.index(read[2]) + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return False
    return at.strftime("%a") == read[1] and abs(now - at) <= TIMESTAMP_SKEW
