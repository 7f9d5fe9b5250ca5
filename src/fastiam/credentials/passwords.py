"""Passwords of users and roots: hashed by argon2id, and checked by the policy of their account."""

from __future__ import annotations

import string
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fastiam.credentials.credential_records import Password, PasswordPolicy
from fastiam.credentials.secret import Secret, SecretBytes, shown, takes_secrets
from fastiam.credentials.sts_errors import AuthenticationError, ValidationError
from fastiam.credentials.sts_state import State
from fastiam.directory.naming_rules import check_account
from fastiam.model.profile import PrincipalKind

_MAX_LENGTH = 128
_MAX_REMEMBERED, _OLDEST = 24, 1095
_FREE_FAILURES = 5  # wrong old passwords, as in the sign-in of user pools
_MIN_LOCK, _MAX_LOCK = timedelta(seconds=1), timedelta(minutes=15)
_MAX_COUNTED = 10_000  # principals whose failures are counted


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that was checked and hashed for a principal, and is not set yet.

    `compared` : the hashes of earlier passwords that it was compared with.
    `replaces` : the hash of the old password that a change has verified; None without one.
    """

    principal: str
    password: Secret
    hash: str = field(repr=False)
    compared: tuple[str, ...] = field(repr=False)
    replaces: str | None = field(default=None, repr=False)


class Passwords:
    """Set, change and verify passwords."""

    def __init__(self, state: State, hasher: PasswordHasher | None = None) -> None:
        self._state, self._hasher = state, hasher or PasswordHasher()
        self._decoy = ""  # made by the first verification: the hash of a random password
        self._lock = threading.Lock()
        self._failures: dict[str, tuple[int, datetime]] = {}  # by principal: wrong old passwords, and when the next try is taken

    # -- the policy of an account -------------------------------------------------------------------------------------

    def policy(self, account: str) -> PasswordPolicy:
        """What an account asks of passwords."""
        return self.stored_policy(account) or PasswordPolicy(account)

    def stored_policy(self, account: str) -> PasswordPolicy | None:
        """The policy that was set for an account, None if the defaults of IAM are in force."""
        return self._state.credential_store.tables.password_policies.get(account)

    def delete_policy(self, account: str) -> None:
        """Return to the defaults of IAM.

        Raises
        ------
        ValidationError
            the account has no policy.
        """
        with self._state.directory.transaction():
            if self.stored_policy(account) is None:
                raise ValidationError(f"the account `{account}` has no password policy", code="NoSuchEntity")
            self._state.credential_store.put("password_policies", account, None)

    def set_policy(self, policy: PasswordPolicy) -> None:
        """Ask this of the passwords of an account from now on; those that are set stay.

        Raises
        ------
        ValidationError
            a number out of its range.
        """
        for name, value, low, high in (
            ("minimum_length", policy.minimum_length, 6, _MAX_LENGTH),
            ("kinds", policy.kinds, 0, 4),
            ("max_age_days", policy.max_age_days, 0, _OLDEST),
            ("remembered", policy.remembered, 0, _MAX_REMEMBERED),
        ):
            if not low <= value <= high:
                raise ValidationError(f"`{name}` is {value}, it must be {low} to {high}")
        with self._state.directory.transaction():
            self._state.credential_store.put("password_policies", check_account(policy.account), policy)

    # -- passwords ----------------------------------------------------------------------------------------------------

    @takes_secrets("password", identifiers=("principal",))
    def set(self, principal: str, password: str, *, must_change: bool = False) -> None:
        """Give a user or root a password, in place of any other.

        Raises
        ------
        ValidationError
            the principal cannot have a password; the password breaks the policy of the account.
        """
        self.store(self.prepare(principal, password), must_change=must_change)

    @takes_secrets("password", identifiers=("principal",))
    def prepare(self, principal: str, password: str) -> NewPassword:
        """Check and hash a password, for `store`. It takes as long as a hash; `store` takes no time.

        Raises
        ------
        ValidationError
            as `set`.
        """
        state, secret = self._state, Secret(password)
        ref, _ = state.find_owner(principal)
        policy = self.policy(ref.account or "")
        _check_policy(policy, secret, (ref.name, ref.account or ""))
        former = self._former(principal)[: policy.remembered]
        self._refuse_former(former, secret, policy)
        return NewPassword(principal, secret, self._hasher.hash(_encoded(secret)), former)

    def store(self, new: NewPassword, *, must_change: bool = False) -> None:
        """Set a prepared password.

        Raises
        ------
        ValidationError
            what `prepare` has checked has changed meanwhile, and the password is not acceptable any more.
        AuthenticationError
            the old password of a change is not in force any more.
        """
        state, principal = self._state, new.principal
        with state.directory.transaction():
            ref, unique_id = state.find_owner(principal)
            policy, former, now = self.policy(ref.account or ""), self._former(principal), state.now()
            _check_policy(policy, new.password, (ref.name, ref.account or ""))
            later = tuple(each for each in former[: policy.remembered] if each not in new.compared)
            self._refuse_former(later, new.password, policy)
            stored = self.get(principal)
            if new.replaces is not None and (stored is None or stored.hash != new.replaces):
                raise AuthenticationError("the old password is not in force any more", reason="wrong_password")
            created = now if stored is None else stored.created
            made = Password(principal, new.hash, now, must_change, unique_id, former[:_MAX_REMEMBERED], created)
            state.credential_store.put("passwords", principal, made)
            state.record(principal, "password set")

    @takes_secrets(identifiers=("principal",))
    def set_must_change(self, principal: str, must_change: bool) -> None:
        """Require a new password at the next sign-in, or not.

        Raises
        ------
        ValidationError
            the principal has no password.
        """
        with self._state.directory.transaction():
            stored = self.get(principal)
            if stored is None:
                raise ValidationError(f"{shown(principal)} has no password", code="NoSuchEntity")
            self._state.credential_store.put("passwords", principal, replace(stored, must_change=must_change))

    @takes_secrets("old", "new", identifiers=("principal",))
    def change(self, principal: str, old: str, new: str) -> None:
        """Change the password of the calling user.

        Raises
        ------
        AuthenticationError
            the old password is wrong, or has expired under a policy with `hard_expiry`; or too many were wrong before
            (`throttled`). This object counts them, for its own process.
        ValidationError
            the account does not let its users, or the new password breaks its policy.
        """
        self.store(self.prepare_change(principal, old, new))

    @takes_secrets("old", "new", identifiers=("principal",))
    def prepare_change(self, principal: str, old: str, new: str) -> NewPassword:
        """Check both passwords of a change, and hash the new one, for `store`.

        Raises
        ------
        AuthenticationError, ValidationError
            as `change`.
        """
        stored = self._check_old(principal, Secret(old))
        ref, _ = self._state.find_owner(principal)
        policy = self.policy(ref.account or "")
        if ref.kind is PrincipalKind.USER and not policy.users_may_change:
            raise ValidationError("the password policy does not allow users to change their passwords", code="AccessDenied")
        if policy.hard_expiry:
            self._require_current(stored, policy)
        return replace(self.prepare(principal, new), replaces=stored.hash)

    @takes_secrets(identifiers=("principal",))
    def delete(self, principal: str) -> None:
        """Take the password away."""
        with self._state.directory.transaction():
            if principal not in self._state.credential_store.tables.passwords:
                raise ValidationError(f"{shown(principal)} has no password", code="NoSuchEntity")
            self._state.credential_store.put("passwords", principal, None)
            self._state.record(principal, "password deleted")

    def get(self, principal: str) -> Password | None:
        """What is known of a password: when it was set, and whether it must be changed."""
        return self._state.credential_store.tables.passwords.get(principal)

    @takes_secrets("password", identifiers=("principal",))
    def verify(self, principal: str, password: str) -> Password:
        """Verify the password of a user or root. An unknown principal takes as long as a wrong password.

        Raises
        ------
        AuthenticationError
            unknown or wrong, which are not distinguished; expired (`reason` says `password_expired`).
        """
        stored = self._check(principal, Secret(password))
        self._require_current(stored, self.policy(principal.split(":")[4]))
        return stored

    def _require_current(self, stored: Password, policy: PasswordPolicy) -> None:
        if policy.max_age_days and self._state.now() >= stored.changed + timedelta(days=policy.max_age_days):
            raise AuthenticationError("the password has expired", reason="password_expired")

    def _check_old(self, principal: str, password: Secret) -> Password:
        """Check the old password of a change. Its caller has signed as the principal, and may hold a stolen key: after 5 wrong
        ones each further try waits, twice as long each time, up to 15 minutes."""
        now = self._state.now()
        with self._lock:  # counted before the hash is compared: tries at the same time are tries too
            count, until = self._failures.get(principal, (0, now))
            if now < until:
                raise AuthenticationError("too many wrong passwords, try again later", reason="throttled")
            if count >= _FREE_FAILURES and now - until >= _MAX_LOCK:
                count = 0
            count += 1
            more = count - _FREE_FAILURES
            lock = timedelta(0) if more < 0 else min(_MIN_LOCK * 2 ** min(more, 20), _MAX_LOCK)
            self._failures.pop(principal, None)  # the latest is the last one
            while len(self._failures) >= _MAX_COUNTED:
                del self._failures[next(iter(self._failures))]
            self._failures[principal] = count, now + lock
        stored = self._check(principal, password)
        with self._lock:
            self._failures.pop(principal, None)
        return stored

    def _check(self, principal: str, password: Secret) -> Password:
        self._state.directory.refresh()
        decoy, stored = self._decoy_hash(), self._state.credential_store.tables.passwords.get(principal)
        if not self._matches(stored.hash if stored else decoy, password) or stored is None:
            raise AuthenticationError("the name or the password is wrong", reason="wrong_password")
        self._state.require(stored.principal, stored.unique_id)
        if self._hasher.check_needs_rehash(stored.hash):
            return self._replace(stored, self._hasher.hash(_encoded(password)))
        return stored

    def _replace(self, stored: Password, hash_: str) -> Password:
        with self._state.directory.transaction():
            if self._state.credential_store.tables.passwords.get(stored.principal) is not stored:
                return stored
            new = replace(stored, hash=hash_)
            self._state.credential_store.put("passwords", stored.principal, new)
        return new

    def _decoy_hash(self) -> str:
        self._decoy = self._decoy or self._hasher.hash("nobody")
        return self._decoy

    def _matches(self, hash_: str, password: Secret) -> bool:
        try:
            return self._hasher.verify(hash_, _encoded(password))
        except (VerificationError, InvalidHashError):
            return False

    def _former(self, principal: str) -> tuple[str, ...]:
        """The hashes of the password and of earlier ones, the latest first."""
        stored = self.get(principal)
        return () if stored is None else (stored.hash, *stored.earlier)

    def _refuse_former(self, former: tuple[str, ...], password: Secret, policy: PasswordPolicy) -> None:
        if any(self._matches(each, password) for each in former):
            raise ValidationError(f"it is one of the last {policy.remembered} passwords", code="PasswordPolicyViolation")


def _encoded(password: Secret) -> SecretBytes:
    return password.encode("utf-8", "surrogatepass")  # any text is a password, though not every one is well-formed


def _check_policy(policy: PasswordPolicy, password: Secret, names: tuple[str, ...]) -> None:
    """Raise with everything that the password lacks."""
    has = {
        "an upper-case letter": any(c in string.ascii_uppercase for c in password),
        "a lower-case letter": any(c in string.ascii_lowercase for c in password),
        "a digit": any(c in string.digits for c in password),
        "a symbol": any(c not in string.ascii_letters + string.digits for c in password),
    }
    asked = dict(zip(has, (policy.upper, policy.lower, policy.digit, policy.symbol), strict=True))
    lacks = [kind for kind, wanted in asked.items() if wanted and not has[kind]]
    if not policy.minimum_length <= len(password) <= _MAX_LENGTH:
        lacks.insert(0, f"{policy.minimum_length} to {_MAX_LENGTH} characters")
    if sum(has.values()) < policy.kinds:
        lacks.append(f"{policy.kinds} kinds among upper case, lower case, digits and symbols")
    if any(name and password.lower() == name.lower() for name in names):
        lacks.append("a text other than the user name")
    if lacks:
        raise ValidationError(f"the password needs {', '.join(lacks)}", code="PasswordPolicyViolation")
