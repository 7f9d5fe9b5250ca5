"""`IdentityPools`: all calls of Cognito identity pools, named as in the API. Each group of calls is a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastiam.cognito.identity_pools import parameters
from fastiam.cognito.identity_pools.access import AccessCalls
from fastiam.cognito.identity_pools.guests import as_session_policy
from fastiam.cognito.identity_pools.identities import GuestLimits, Identities
from fastiam.cognito.identity_pools.identity_calls import IdentityCalls
from fastiam.cognito.identity_pools.logins import LoginVerifier
from fastiam.cognito.identity_pools.pools import PoolCalls
from fastiam.cognito.identity_pools.token_keys import TokenKeys
from fastiam.cognito.identity_pools.tokens import Tokens
from fastiam.cognito.identity_pools.user_pool_tokens import DirectoryUserPools
from fastiam.cognito.identity_records import IdentityPoolStore, token_key_purpose
from fastiam.cognito.rates import Admit, admit_all
from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.federation.federation_service import Federation
from fastiam.sts.session_issuer import PolicyText

if TYPE_CHECKING:  # the classes that join several branches
    from fastiam.api.directory import Directory


class IdentityPools(AccessCalls, IdentityCalls, PoolCalls):
    """Gives the users of identity providers, and guests, identities and sessions of roles.

    GetId, GetOpenIdToken, GetCredentialsForIdentity and UnlinkIdentity are public calls, decided by the logins they give. All
    others are IAM-authorised: a server decides them on the ARN of the pool, a program that calls them is trusted.

    Parameters
    ----------
    federation
        verifies the logins. Its STS decides trust policies and issues the sessions, and accepts the tokens of the pools as those
        of `cognito-identity.amazonaws.com`.
    guest_policy
        what guests can do at most in the enhanced flow; by default what AWS allows them (ID63, ID64).
    admit
        takes the name of each public call, and its `source` and the id of its pool or identity; False refuses the call with
        `TooManyRequestsException` (UP101).
    guests
        how many guests a pool keeps, and for how long.
    foreign_user_pools
        accept ID tokens of user pools of AWS itself. Their keys are read by the `fetch` of `federation`.
    """

    def __init__(
        self,
        federation: Federation,
        *,
        guest_policy: PolicyText | None = None,
        foreign_user_pools: bool = False,
        admit: Admit = admit_all,
        guests: GuestLimits = GuestLimits(),  # noqa: B008  # it is frozen
    ) -> None:
        verifiers = federation.verifiers
        self._state = state = verifiers.state
        self._store = state.directory.join(IdentityPoolStore())
        state.issuer.state.seals(self._store, "token_keys", token_key_purpose)
        self._keys = TokenKeys(state, self._store)
        self._user_pools = DirectoryUserPools(state)
        self._tokens, self._identities = Tokens(self._keys), Identities(self._store, guests)
        self._logins = LoginVerifier(verifiers, self._tokens, self._user_pools, foreign_user_pools=foreign_user_pools)
        self._guest_policy, self._admit = as_session_policy(guest_policy), admit
        verifiers.web.add_keys(parameters.OWN, self.jwks)

    def __repr__(self) -> str:
        state = getattr(self, "_state", None)  # tracebacks show objects that are not complete
        return "<IdentityPools>" if state is None else f"<IdentityPools: {len(state.tables.identity_pools)} pools>"

    @property
    def directory(self) -> Directory:
        """The directory that it sits on."""
        return self._state.directory

    def identity_pools(self) -> list[IdentityPool]:
        """The pools of all accounts and regions, by name."""
        self._state.directory.refresh()
        pools = self._state.tables.identity_pools.values()
        return sorted(pools, key=lambda pool: (pool.identity_pool_name, pool.identity_pool_id))

    def jwks(self) -> str:
        """The public keys that verify tokens of the pools, as `/.well-known/jwks_uri` serves them."""
        return self._keys.jwks(self._state.now())

    def rotate_token_key(self, region: str) -> str:
        """Sign the tokens of a region with a new key from now on; its id. Earlier public keys stay in the JWKS for a day."""
        return self._keys.rotate(region, self._state.now())
