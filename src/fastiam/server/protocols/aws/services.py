"""The services beside STS that operations act through, made when they are first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.section import Section
from fastiam.sts import STS

if TYPE_CHECKING:
    from fastiam.cognito.identity_pools import IdentityPools
    from fastiam.cognito.user_pools import CodeMessage, UserPools
    from fastiam.federation import Federation
    from fastiam.rolesanywhere import RolesAnywhere


class Services:
    """The services over one STS. PERF: their packages take long to import, and many servers never use them."""

    def __init__(self, sts: STS, settings: Section, sender: Callable[[CodeMessage], None] | None = None) -> None:
        self.sts, self._settings, self._sender = sts, settings, sender
        self._lock = threading.RLock()  # requests run in a pool of threads
        quotas = settings.quotas
        own = replace(sts.directory.quotas, scp_size=quotas.scp_size, scps_per_element=quotas.scps_per_element)
        sts.directory.quotas = own  # of all writes of this process

    # -- each imported on first use: its packages may be missing ----------------------------------------------------------

    @cached_property
    def _federation(self) -> Federation:
        from fastiam.federation import Federation, FederationSettings, HttpsFetch

        issuers = frozenset(self._settings.oidc.fetch)
        settings = FederationSettings(fetched_issuers=issuers, private_hosts=frozenset(self._settings.oidc.private_hosts))
        return Federation(self.sts, fetch=HttpsFetch() if issuers else None, settings=settings)

    @cached_property
    def _roles_anywhere(self) -> RolesAnywhere:
        from fastiam.rolesanywhere import RolesAnywhere

        return RolesAnywhere(self.sts)

    @cached_property
    def _identity_pools(self) -> IdentityPools:
        from fastiam.cognito.identity_pools import GuestLimits, IdentityPools

        settings = self._settings
        limits = GuestLimits(
            per_pool=settings.guests_per_pool,
            unused=timedelta(hours=settings.unused_guest_hours),
            used=timedelta(days=settings.used_guest_days),
        )
        return IdentityPools(self._federation, guests=limits)

    @cached_property
    def _user_pools(self) -> UserPools:
        from fastiam.cognito.user_pools import Settings, UserPools

        state, given = self.sts.issuer.state, self._settings
        settings = Settings(unconfirmed_users=given.unconfirmed_per_pool, unconfirmed_age=timedelta(days=given.unconfirmed_days))
        return UserPools(
            state.directory,
            state.keyring,
            settings=settings,
            clock=state.clock,
            sender=self._sender,
            issuer=given.public_url,
        )

    @property
    def federation(self) -> Federation:
        """The verification of identities from outside, and their providers.

        Raises
        ------
        ApiError
            `NotImplemented`: the packages for it are not installed. So do the others.
        """
        with self._lock:
            try:
                return self._federation
            except ModuleNotFoundError:
                raise _missing("Identities from outside are") from None

    @property
    def roles_anywhere(self) -> RolesAnywhere:
        """Roles Anywhere, of all Regions."""
        with self._lock:
            try:
                return self._roles_anywhere
            except ModuleNotFoundError:
                raise _missing("Certificates are") from None

    @property
    def identity_pools(self) -> IdentityPools:
        """Cognito identity pools."""
        with self._lock:
            try:
                return self._identity_pools
            except ModuleNotFoundError:
                raise _missing("Identities from outside are") from None

    @property
    def user_pools(self) -> UserPools:
        """Cognito user pools. Without `[aws.codes]` nothing is sent to users, and calls that send codes are refused."""
        with self._lock:
            try:
                return self._user_pools
            except ModuleNotFoundError:
                raise _missing("Users of pools are") from None


def _missing(what: str) -> ApiError:
    return ApiError("NotImplemented", f"{what} not verified here: the packages for it are not installed.")
