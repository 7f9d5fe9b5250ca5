"""Passwords: the policy of a pool, SRP verifiers as the one thing that is stored (UP31), and what unknown users have in place."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools import srp
from fastiam.cognito.user_pools.state import PoolState
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Password, PasswordRules, Pool, User

SYMBOLS = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- "
MAX_LENGTH = 256


def read_rules(policies: Mapping[str, Any] | None) -> PasswordRules:
    """`Policies` of a pool. Without a password policy the default holds; in a given one what is absent is not required.

    Raises
    ------
    CognitoError
        choice-based sign-in, which is not supported.
    """
    given = (policies or {}).get("PasswordPolicy")
    if (policies or {}).get("SignInPolicy") not in (None, {"AllowedFirstAuthFactors": ["PASSWORD"]}):
        raise CognitoError("`Policies.SignInPolicy` is not supported", rule="4.1")
    if given is None:
        return PasswordRules()
    return PasswordRules(
        minimum_length=given.get("MinimumLength", 8),
        upper=given.get("RequireUppercase", False),
        lower=given.get("RequireLowercase", False),
        digit=given.get("RequireNumbers", False),
        symbol=given.get("RequireSymbols", False),
        history=given.get("PasswordHistorySize", 0),
        temporary_days=given.get("TemporaryPasswordValidityDays", 7) or 7,
    )


def describe_rules(rules: PasswordRules) -> dict[str, Any]:
    """The `Policies` of a pool."""
    policy = {
        "MinimumLength": rules.minimum_length,
        "RequireUppercase": rules.upper,
        "RequireLowercase": rules.lower,
        "RequireNumbers": rules.digit,
        "RequireSymbols": rules.symbol,
        "TemporaryPasswordValidityDays": rules.temporary_days,
    }
    return {"PasswordPolicy": policy | ({"PasswordHistorySize": rules.history} if rules.history else {})}


def check_policy(rules: PasswordRules, password: str) -> None:
    """Check a password against the policy of its pool (UP30).

    Raises
    ------
    CognitoError
        InvalidPasswordException, or InvalidParameterException for a password that no policy allows.
    """
    wrong_space = any(char.isspace() and char != " " for char in password)
    if not 1 <= len(password) <= MAX_LENGTH or wrong_space or password.strip(" ") != password:
        raise CognitoError("a password has 1 to 256 characters, and no white space but single blanks inside", rule="UP30")
    kinds = (
        (rules.upper, string.ascii_uppercase, "uppercase"),
        (rules.lower, string.ascii_lowercase, "lowercase"),
        (rules.digit, string.digits, "numeric"),
        (rules.symbol, SYMBOLS, "symbol"),
    )
    lacks = [f"{kind} characters" for is_required, chars, kind in kinds if is_required and not set(password) & set(chars)]
    if len(password) < rules.minimum_length:
        lacks.insert(0, f"at least {rules.minimum_length} characters")
    if lacks:
        message = f"Password did not conform with policy: Password must have {', '.join(lacks)}"
        raise CognitoError(message, code="InvalidPasswordException", rule="UP30")


class Passwords:
    """Set and compare passwords."""

    def __init__(self, state: PoolState) -> None:
        self._state = state

    def generate(self, rules: PasswordRules) -> Secret:
        """A random password that every policy of these rules allows."""
        alphabets = (string.ascii_uppercase, string.ascii_lowercase, string.digits, "!@#%&*_+-=")
        length = max(rules.minimum_length, 12)
        chars = [self._choice(alphabets[place % 4]) for place in range(length)]
        for place in range(length - 1, 0, -1):
            other = int.from_bytes(self._state.random(8)) % (place + 1)
            chars[place], chars[other] = chars[other], chars[place]
        return Secret("".join(chars))

    def _choice(self, alphabet: str) -> str:
        return alphabet[int.from_bytes(self._state.random(8)) % len(alphabet)]

    def set(self, pool: Pool, user: User, password: Secret, *, temporary: bool) -> None:
        """Give a user a password that satisfies the policy, inside a transaction.

        Raises
        ------
        CognitoError
            PasswordHistoryPolicyViolationException: it is one of the last ones.
        """
        record, earlier = self._state.tables.passwords.get(user.key), []
        if record is not None:
            stored = self._open(user, record)
            earlier = [[stored["s"], stored["v"]], *stored["h"]]
        for salt, verifier in earlier[: pool.password.history]:
            if self._verifier(pool, user.username, password, int(salt, 16)) == int(verifier, 16):
                message = f"Password has already been used, choose another than the last {pool.password.history}"
                raise CognitoError(message, code="PasswordHistoryPolicyViolationException", rule="UP30")
        salt_number = int.from_bytes(self._state.random(16)) or 1
        content = {
            "s": f"{salt_number:x}",
            "v": f"{self._verifier(pool, user.username, password, salt_number):x}",
            "h": earlier[: max(pool.password.history - 1, 0)],
        }
        sealed = self._state.sealed("passwords", user.key, orjson.dumps(content))
        self._state.put("passwords", user.key, Password(sealed, self._state.now(), temporary))

    def mark(self, user: User | None) -> str:
        """A text that differs for each password that the user has had; empty without one."""
        record = None if user is None else self._state.tables.passwords.get(user.key)
        return "" if user is None or record is None else hashlib.sha256(self._open(user, record)["s"].encode()).hexdigest()[:16]

    def verifier_of(self, pool: Pool, user: User | None, name: str) -> tuple[int, int, bool]:
        """The salt and verifier of a user, and whether they are real.

        Unknown users and users without a password have derived ones, the same at every call (UP56).
        """
        record = None if user is None else self._state.tables.passwords.get(user.key)
        folded = self._state.store.fold(pool.id, name)
        seed = self._state.keyed_hash(pool, "srp", folded)
        if user is not None and record is not None:
            stored = self._open(user, record)
            return int(stored["s"], 16), int(stored["v"], 16), True
        derived = HKDFExpand(algorithm=SHA256(), length=16 + 400, info=b"unknown user").derive(seed)
        return int.from_bytes(derived[:16]) or 1, int.from_bytes(derived[16:]) % srp.N, False

    def matches(self, pool: Pool, user: User | None, name: str, password: Secret) -> bool:
        """Whether it is the password of the user. The work is the same for an unknown user."""
        salt, verifier, is_real = self.verifier_of(pool, user, name)
        username = name if user is None else user.username
        return (self._verifier(pool, username, password, salt) == verifier) & is_real

    def _verifier(self, pool: Pool, username: str, password: str, salt: int) -> int:
        return srp.verifier(pool.id.partition("_")[2], username, password, salt)

    def _open(self, user: User, record: Password) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(bytes(self._state.opened("passwords", user.key, record.sealed)))
        return content
