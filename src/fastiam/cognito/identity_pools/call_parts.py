"""What every group of calls has: the shared state, the parts that the rules are in, and the pool of a call."""

from __future__ import annotations

import base64
import binascii

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.identity_pools import parameters
from fastiam.cognito.identity_pools.identities import Identities
from fastiam.cognito.identity_pools.logins import LoginVerifier
from fastiam.cognito.identity_pools.tokens import Tokens
from fastiam.cognito.identity_pools.user_pool_tokens import DirectoryUserPools
from fastiam.cognito.identity_records import IdentityPoolStore
from fastiam.cognito.rates import Admit
from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.federation.state import FederationState


class Calls:
    """A group of calls. `IdentityPools` sets what they share."""

    _state: FederationState
    _store: IdentityPoolStore
    _identities: Identities
    _logins: LoginVerifier
    _tokens: Tokens
    _user_pools: DirectoryUserPools
    _guest_policy: str
    _admit: Admit

    def _pool(self, identity_pool_id: str) -> IdentityPool:
        """The pool with an id.

        Raises
        ------
        CognitoError
            `InvalidParameterException` or `ResourceNotFoundException`.
        """
        pool = self._state.tables.identity_pools.get(parameters.read_id(identity_pool_id))
        if pool is None:
            message = f"identity pool not found: `{identity_pool_id}`"
            raise CognitoError(message, rule="ID66", code="ResourceNotFoundException")
        return pool


def page_token(*place: str) -> str:
    """The `NextToken` after an entry. It is a place in a list, not a secret."""
    return base64.urlsafe_b64encode("\n".join(place).encode()).decode()


def read_page_token(token: object) -> list[str] | None:
    """The place of a `NextToken`; None for the first page.

    Raises
    ------
    CognitoError
        it is not one.
    """
    if token is None:
        return None
    try:
        place = base64.b64decode(str(token).encode(), altchars=b"-_", validate=True).decode().split("\n")
    except (ValueError, binascii.Error):
        place = []
    if len(place) != 2 or not isinstance(token, str):
        parameters.wrong("`next_token` is not one of this list")
    return place
