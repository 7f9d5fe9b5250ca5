"""`UserPools`: all calls of Cognito user pools. Each group of calls is a module, and inherits from `Calls` alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fastiam.cognito.rates import Admit, admit_all
from fastiam.cognito.user_pools.clients import ClientCalls
from fastiam.cognito.user_pools.codes import CodeMessage
from fastiam.cognito.user_pools.dispatch import Dispatch
from fastiam.cognito.user_pools.federated import FederatedCalls
from fastiam.cognito.user_pools.groups import GroupCalls
from fastiam.cognito.user_pools.hosts import HostCalls
from fastiam.cognito.user_pools.oauth import OAuthCalls
from fastiam.cognito.user_pools.oauth_tokens import OAuthTokenCalls
from fastiam.cognito.user_pools.pools import PoolCalls
from fastiam.cognito.user_pools.providers import ProviderCalls
from fastiam.cognito.user_pools.refresh import RefreshCalls
from fastiam.cognito.user_pools.sign_in import SignInCalls
from fastiam.cognito.user_pools.sign_up import SignUpCalls
from fastiam.cognito.user_pools.state import Json, PoolState, Random, Settings, Trigger
from fastiam.cognito.user_pools.user_mfa import MfaCalls
from fastiam.cognito.user_pools.user_profile import ProfileCalls
from fastiam.cognito.user_pools.users import UserCalls
from fastiam.credentials.keyring import Keyring
from fastiam.credentials.secret import takes_secrets
from fastiam.credentials.sts_state import Clock, State, utc_clock
from fastiam.federation.audit import Audit, AuditEvent, Auditor
from fastiam.federation.fetch import Fetch, no_fetch

if TYPE_CHECKING:  # the classes that join several branches
    from fastiam.api.directory import Directory

_logger = logging.getLogger("fastiam.cognito")


def log_event(event: AuditEvent) -> None:
    """Write an event to the logger `fastiam.cognito`: level INFO for a success, WARNING for a refusal."""
    level = logging.INFO if event.outcome == "success" else logging.WARNING
    values = " ".join(f"{name}={value!r}" for name, value in event.details.items() if value)
    _logger.log(level, "%s %s %s %s %s", event.kind, event.outcome, event.code, event.rule, values, extra={"event": event})


class UserPools(
    PoolCalls,
    ClientCalls,
    HostCalls,
    ProviderCalls,
    UserCalls,
    GroupCalls,
    SignUpCalls,
    ProfileCalls,
    SignInCalls,
    MfaCalls,
    RefreshCalls,
    OAuthCalls,
    OAuthTokenCalls,
    FederatedCalls,
    Dispatch,
):
    """Cognito user pools, kept with a directory.

    Each call of AWS is a method: `InitiateAuth` is `initiate_auth(client_id=..., auth_flow=..., auth_parameters={...})`. Names of
    parameters are AWS's in snake case; nested objects and answers are AWS's JSON objects, with `datetime` for times. `call` takes
    the name of a call, as a server gets it, and decides about its caller.

    Parameters
    ----------
    directory
        keeps the pools in its transactions.
    keyring
        seals secrets and opaque strings.
    fetch
        network access, for outside identity providers; None reads nothing from the network.
    sender
        delivers codes; None refuses calls that send one. `FileSender` writes to a file.
    triggers
        callables by the name that a pool's `LambdaConfig` has for them. Each takes an event and returns it.
    account, region
        of new pools; the account defaults to the only one of the directory.
    issuer
        an address below which the issuers of new pools are; by default they are those of AWS.
    admit
        takes the name of each call and the `user_pool_id`, `client_id` and `username` that it has; False refuses the call with
        `TooManyRequestsException` (UP101).
    settings, audit, clock, random
        limits; receiver of one event per call; the current time; source of random bytes.
    """

    def __init__(
        self,
        directory: Directory,
        keyring: Keyring,
        *,
        fetch: Fetch | None = None,
        sender: Callable[[CodeMessage], None] | None = None,
        triggers: Mapping[str, Trigger] = {},
        account: str | None = None,
        region: str = "us-east-1",
        issuer: str = "",
        settings: Settings = Settings(),  # noqa: B008  (frozen)
        audit: Audit = log_event,
        clock: Clock = utc_clock,
        random: Random = os.urandom,
        admit: Admit = admit_all,
    ) -> None:
        state = PoolState(
            State(directory, keyring, None, clock),
            sender=sender,
            triggers=triggers,
            fetch=fetch or no_fetch,
            auditor=Auditor(audit, hash_personal_data=settings.hash_personal_data),
            settings=settings,
            random=random,
            admit=admit,
        )
        super().__init__(state, account, region, issuer.rstrip("/"))

    def __repr__(self) -> str:
        state = getattr(self, "_state", None)  # tracebacks show objects that are not complete
        return (
            "<UserPools>" if state is None else f"<UserPools: {len(state.tables.pools)} pools, {len(state.tables.users)} users>"
        )

    @takes_secrets(tokens=("token",))
    def verify_id_token(self, token: str, *, user_pool_id: str, client_id: str, is_revocable: bool = False) -> Json:
        """The claims of an ID token of a pool and client.

        Parameters
        ----------
        is_revocable
            check as well that user and sign-in are still good (`ServerSideTokenCheck` of an identity pool).

        Raises
        ------
        NotAuthorizedError
            another token, expired, of another pool or client; revoked, if that is checked.
        """
        with self._state.event("VerifyIdToken"):
            return self._tokens.id_token(token, user_pool_id=user_pool_id, client_id=client_id, is_revocable=is_revocable)

    def reseal(self) -> int:
        """Seal all secrets of the directory with the current key of the keyring; how many there were."""
        return self._state.base.reseal()
