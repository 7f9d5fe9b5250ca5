"""What identity pools need of the user pools of the same directory: verification of ID tokens, and writable attributes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fastiam.cognito.cognito_errors import NotAuthorizedError
from fastiam.cognito.user_pools.attributes import STANDARD, schema_of
from fastiam.cognito.user_pools.state import PoolState, Settings
from fastiam.cognito.user_pools.tokens import Tokens
from fastiam.federation.fetch import no_fetch
from fastiam.federation.state import FederationState


class DirectoryUserPools:
    """The user pools of a directory. Their records are read, never written."""

    def __init__(self, state: FederationState) -> None:
        self._state = PoolState(
            state.issuer.state, sender=None, triggers={}, fetch=no_fetch, auditor=state.auditor, settings=Settings()
        )
        self._tokens = Tokens(self._state)

    def __contains__(self, user_pool_id: str) -> bool:
        return user_pool_id in self._state.tables.pools

    def claims_of(self, token: str, user_pool_id: str, clients: Mapping[str, bool]) -> dict[str, Any]:
        """The claims of an ID token of a pool and one of some app clients.

        Parameters
        ----------
        clients
            client id to whether the user and the sign-in must be valid still (ID14).

        Raises
        ------
        NotAuthorizedError
            any other token.
        """
        error = NotAuthorizedError("the token is of another app client", reason="token_invalid", rule="5.2")
        for client_id, is_revocable in clients.items():
            try:
                return self._tokens.id_token(token, user_pool_id=user_pool_id, client_id=client_id, is_revocable=is_revocable)
            except NotAuthorizedError as refused:
                error = refused
        raise error

    def writable_attributes(self, user_pool_id: str, client_ids: Collection[str]) -> frozenset[str]:
        """The attributes that users can change by one of the app clients: mutable ones that the client may write (ID55)."""
        tables = self._state.tables
        pool = tables.pools.get(user_pool_id)
        if pool is None:
            return frozenset()
        clients = [client for id_ in client_ids if (client := tables.clients.get(id_)) is not None and client.pool == pool.id]
        written = {name for client in clients for name in (STANDARD if client.writable is None else client.writable)}
        return frozenset(name for name, attribute in schema_of(pool).items() if attribute.mutable and name in written)
