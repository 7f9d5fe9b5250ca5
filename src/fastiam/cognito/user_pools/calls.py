"""What every group of calls has: the shared state, the parts that the rules are in, and checks that many calls begin with."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.attempts import AttemptLimits
from fastiam.cognito.user_pools.codes import Codes
from fastiam.cognito.user_pools.operations import plain
from fastiam.cognito.user_pools.passwords import Passwords
from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.cognito.user_pools.tokens import Access, Tokens
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool

WRONG_PASSWORD = "Incorrect username or password."
PAGE = 60


class Calls:
    """A group of calls. It inherits from no other one: what several need is a function that takes `calls` or the state."""

    def __init__(self, state: PoolState) -> None:
        self._state = state
        self._passwords, self._limits = Passwords(state), AttemptLimits(state)
        self._codes, self._tokens = Codes(state), Tokens(state)

    # -- clients ----------------------------------------------------------------------------------------------------------

    def _client(self, client_id: str, pool_id: str | None = None) -> tuple[Pool, Client]:
        """A client with its pool; of a given pool for admin calls (UP40)."""
        pool = None if pool_id is None else self._state.pool(pool_id)
        client = self._state.client(client_id, pool)
        return self._state.pool(client.pool), client

    def _secrets(self, client: Client) -> list[Secret]:
        """The secrets of a client."""
        return [
            self._state.opened("client_secrets", key, stored.sealed).decode()
            for key, stored in self._state.tables.client_secrets.items()
            if stored.client == client.id
        ]

    def _has_secret(self, client: Client) -> bool:
        """Whether a client must show a secret; a client whose secret is unknown cannot."""
        return client.secret_missing or bool(self._secrets(client))

    def _check_hash(self, client: Client, given: str | None, *names: str) -> None:
        """Check the secret hash of a call; it must be right for one of the names (UP10, UP11).

        Raises
        ------
        NotAuthorizedError
            missing, wrong, or given for a client without secret.
        """
        if not self._has_secret(client):
            if given is not None:
                raise NotAuthorizedError(f"Client {client.id} has no secret", reason="wrong_secret", rule="UP10")
            return
        if given is None:
            message = f"Client {client.id} is configured with secret but SECRET_HASH was not received"
            raise NotAuthorizedError(message, reason="wrong_secret", rule="UP10")
        is_right = False
        for secret in self._secrets(client):
            for name in names:
                right = base64.b64encode(
                    hmac.digest(secret.encode(), (name + client.id).encode("utf-8", "surrogatepass"), "sha256")
                )
                is_right |= hmac.compare_digest(right, given.encode("utf-8", "surrogatepass"))
        if not is_right:
            message = f"Unable to verify secret hash for client {client.id}"
            raise NotAuthorizedError(message, reason="wrong_secret", rule="UP10")

    def _is_secret(self, client: Client, given: str | None) -> bool:
        """Whether a client has shown its secret, or has none and showed none."""
        if given is None:
            return not self._has_secret(client)
        raw, is_right = given.encode("utf-8", "surrogatepass"), False
        for secret in self._secrets(client):
            is_right |= hmac.compare_digest(secret.encode(), raw)
        return is_right

    # -- users ------------------------------------------------------------------------------------------------------------

    def _access(self, token: str) -> Access:
        """The caller with an access token."""
        return self._tokens.access(token)

    def _not_found(self) -> CognitoError:
        return CognitoError("User does not exist.", code="UserNotFoundException", rule="4.17")

    # -- lists ------------------------------------------------------------------------------------------------------------

    def _page(
        self, kind: str, items: Sequence[tuple[str, Any]], limit: int | None, token: str | None
    ) -> tuple[list[Any], str | None]:
        """One page of a list of (key, item) in a fixed order, and the token of the next one.

        Raises
        ------
        CognitoError
            InvalidParameterException: the token is not one of this list.
        """
        start = 0
        if token is not None:
            content = self._state.open(f"page {kind}", token)
            if content is None or self._state.is_over(content):
                raise CognitoError("the token of the page is not valid", rule="FD3")
            seen = content["after"]
            keys = [key for key, _ in items]
            start = keys.index(seen) + 1 if seen in keys else min(content["n"], len(keys))
        size = limit or PAGE
        page = items[start : start + size]
        if start + size >= len(items) or not page:
            return [item for _, item in page], None
        next_token = self._state.seal(f"page {kind}", {"after": page[-1][0], "n": start + size}, 3600)
        return [item for _, item in page], plain(next_token)


def with_token(answer: Json, name: str, token: str | None) -> Json:
    """An answer with the token of the next page, if there is one."""
    return answer if token is None else answer | {name: token}


def parameter(given: Mapping[str, str], name: str) -> str:
    """A member of `AuthParameters` or `ChallengeResponses` that must be there.

    Raises
    ------
    CognitoError
        InvalidParameterException.
    """
    value = given.get(name)
    if value is None or value == "":
        raise CognitoError(f"Missing required parameter {name}", rule="4.7")
    return value
