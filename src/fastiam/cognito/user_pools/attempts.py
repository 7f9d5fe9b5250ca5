"""Limits on attempts: lock-out after failed sign-ins (UP100), and calls per hour (UP32), for unknown names as for known ones."""

from __future__ import annotations

from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.state import PoolState
from fastiam.directory.user_pool_records import Attempts, Pool, User

FREE_FAILURES = 5
MAX_LOCK = RESET = 900_000  # milliseconds
HOUR = 3_600_000
CONFIRM_LIMIT, SEND_LIMIT, RECOVERY_LIMIT, CHANGE_LIMIT = 15, 5, 5, 5
_NONE = Attempts()


class AttemptLimits:
    """Counts attempts. `subject` is the key of the record of a user, or of an unknown name."""

    def __init__(self, state: PoolState) -> None:
        self._state = state

    def subject(self, pool: Pool, user: User | None, name: str) -> str:
        """The key under which attempts for a name are counted."""
        hashed = self._state.keyed_hash(pool, "name", self._state.store.fold(pool.id, name)).hex()[:32]
        if user is not None:
            return user.key
        self._state.note(user_hash=hashed)
        return f"{pool.id}/~{hashed}"

    def _get(self, subject: str) -> Attempts:
        return self._state.tables.attempts.get(subject, _NONE)

    def _put(self, subject: str, attempts: Attempts) -> None:
        state = self._state
        if "/~" in subject and subject not in state.tables.attempts:
            unknown = list(state.store.unknown(subject.partition("/")[0]))
            for oldest in unknown[: len(unknown) + 1 - state.settings.unknown_names]:
                state.put("attempts", oldest, None)
        state.put("attempts", subject, attempts)

    # -- lock-out ---------------------------------------------------------------------------------------------------------

    def check_lock(self, subject: str) -> None:
        """Refuse every attempt during a lock; it does not count.

        Raises
        ------
        NotAuthorizedError
            Password attempts exceeded.
        """
        if self._state.millis() < self._get(subject).until:
            raise NotAuthorizedError("Password attempts exceeded", reason="throttled", rule="UP100")

    def failed(self, subject: str) -> None:
        """Count a failed attempt, in a transaction of its own.

        Raises
        ------
        NotAuthorizedError
            a lock has begun meanwhile.
        """
        now = self._state.millis()
        with self._state.transaction():
            self._state.sweep()
            stored = self._get(subject)
            self.check_lock(subject)  # a lock since the first check gives the same answer as to a right attempt
            n = 1 if stored.failures >= FREE_FAILURES and now - max(stored.last, stored.until) >= RESET else stored.failures + 1
            lock = 0 if n < FREE_FAILURES else min(1000 << min(n - FREE_FAILURES, 20), MAX_LOCK)
            if lock:
                self._state.note(lock_seconds=str(lock // 1000))
            self._put(subject, replace(stored, failures=n, until=now + lock if lock else 0, last=now))

    def succeeded(self, subject: str) -> None:
        """A right attempt ends the count, inside the transaction of the sign-in step."""
        stored = self._state.tables.attempts.get(subject)
        if stored is not None and (stored.failures or stored.until):
            self._put(subject, replace(stored, failures=0, until=0, last=self._state.millis()))

    # -- calls per hour ---------------------------------------------------------------------------------------------------

    def count(self, subject: str, purpose: str, limit: int, code: str = "LimitExceededException") -> None:
        """Count a call, right or wrong, in a transaction of its own.

        Raises
        ------
        CognitoError
            `code`: there were `limit` calls in the last hour.
        """
        now = self._state.millis()
        with self._state.transaction():
            self._state.sweep()
            stored = self._get(subject)
            recent = tuple(at for at in stored.calls.get(purpose, ()) if at > now - HOUR)
            if len(recent) >= limit:
                raise CognitoError("Attempt limit exceeded, please try after some time.", code=code, rule="UP32")
            self._put(subject, replace(stored, calls={**stored.calls, purpose: (*recent, now)}, last=now))

    def request(self, subject: str) -> None:
        """Note that an unknown name requested a code, which was not sent."""
        with self._state.transaction():
            self._put(subject, replace(self._get(subject), requested=self._state.millis() + HOUR))

    def clear_request(self, subject: str) -> None:
        """A code is really sent now, inside a transaction."""
        stored = self._get(subject)
        if stored.requested:
            self._put(subject, replace(stored, requested=0))

    def was_requested(self, subject: str) -> bool:
        """Whether a code would be valid now, had it been sent."""
        return self._state.millis() < self._get(subject).requested
