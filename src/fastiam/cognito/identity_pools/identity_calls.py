"""The IAM-authorised calls about identities and about users of a developer provider (5.3 to 5.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.identity_pools import parameters
from fastiam.cognito.identity_pools.call_parts import Calls, page_token, read_page_token
from fastiam.cognito.identity_pools.logins import developer_login
from fastiam.cognito.identity_pools.results import DeveloperUsers, IdentityDescription, IdentityPage, OpenIdToken, describe
from fastiam.cognito.identity_pools.tags import tags_of
from fastiam.cognito.identity_records import Identity, Login
from fastiam.credentials.secret import takes_secrets
from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.model.request import shorten

MAX_USER = 1_024  # characters of a developer user's id


class IdentityCalls(Calls):
    """What backends and administrators call about identities."""

    # -- developer identities -------------------------------------------------------------------------------------------------

    @takes_secrets(mappings=("logins",))
    def get_open_id_token_for_developer_identity(
        self,
        identity_pool_id: str,
        logins: Mapping[str, str],
        *,
        identity_id: str | None = None,
        principal_tags: Mapping[str, str] | None = None,
        token_duration: int | None = None,
    ) -> OpenIdToken:
        """GetOpenIdTokenForDeveloperIdentity: a token for a user for whom the caller, a backend, vouches.

        Parameters
        ----------
        logins
            the name of the developer provider to the user's id, and other logins, which are verified.
        identity_id
            an identity to which the user is linked.
        principal_tags
            session tags.
        token_duration
            seconds, 1 to 86,400; 900 by default.

        Raises
        ------
        CognitoError
            `DeveloperUserAlreadyRegisteredException`: the user is linked to another identity; or as `get_id`.
        NotAuthorizedError
            as `get_id`.
        """
        given, now = parameters.read_logins(logins), self._state.now()
        kind = "GetOpenIdTokenForDeveloperIdentity"
        with self._state.auditor.call(kind, now, pool=shorten(str(identity_pool_id))) as entry:
            self._state.directory.refresh()
            pool = self._pool(identity_pool_id)
            entry.account = pool.account
            seconds = parameters.DEVELOPER_SECONDS
            if token_duration is not None:
                seconds = parameters.read_number(token_duration, "token_duration", 1, parameters.MAX_TOKEN)
            tags = parameters.read_tags({} if principal_tags is None else principal_tags, "principal_tags")
            name = pool.developer_provider_name
            if not name or name not in given:
                parameters.wrong("the logins need the name of the developer provider", "ID42")
            user = _read_user(str.__str__(given[name]))
            others = {key: token for key, token in given.items() if key != name}
            own = developer_login(pool, user, tags=tags)
            verified = [own, *self._logins.verify(pool, others, now, entry)]
            entry.add(providers=" ".join(sorted(given)))
            with self._state.directory.transaction():
                identity = self._developer_identity(pool, [each.login for each in verified], identity_id, now)
            entry.add(identity=identity.id)
            token = self._tokens.issue(pool, identity.id, verified, tags_of(pool, verified, entry), seconds, now)
            return OpenIdToken(identity.id, token)

    def _developer_identity(
        self, pool: IdentityPool, logins: Sequence[Login], identity_id: str | None, now: datetime
    ) -> Identity:
        if identity_id is None:
            return self._identities.of_logins(pool, logins, now)
        identity = self._of_pool(pool, identity_id)
        owner = self._store.owner(pool.identity_pool_id, logins[0])
        if owner is not None and owner.id != identity.id:
            raise CognitoError(
                "the developer user is linked to another identity", rule="ID42", code="DeveloperUserAlreadyRegisteredException"
            )
        return self._identities.of_call(pool, identity, logins, now, proven=logins[:1])

    def lookup_developer_identity(
        self,
        identity_pool_id: str,
        *,
        identity_id: str | None = None,
        developer_user_identifier: str | None = None,
        max_results: int = 60,
        next_token: str | None = None,
    ) -> DeveloperUsers:
        """LookupDeveloperIdentity: the identity of a developer user, and all users that are linked to it.

        Raises
        ------
        CognitoError
            `ResourceNotFoundException`; `ResourceConflictException`: identity and user do not belong together.
        """
        user = developer_user_identifier
        self._state.directory.refresh()
        pool = self._pool(identity_pool_id)
        parameters.read_number(max_results, "max_results", 1, parameters.MAX_PAGE)
        if identity_id is None and user is None:
            parameters.wrong("give an identity, a developer user, or both", "5.5")
        identity = self._owner(pool, user) if user is not None else None
        if identity_id is not None:
            named = self._of_pool(pool, identity_id)
            if user is not None and (identity is None or identity.id != named.id):
                message = "the developer user is not linked to the identity"
                raise CognitoError(message, rule="5.5", code="ResourceConflictException")
            identity = named
        if identity is None:
            raise _not_found("developer user")
        users = [user] if user is not None else sorted(each.subject for each in identity.logins if each.is_developer)
        seen = read_page_token(next_token)
        left = [each for each in users if seen is None or each > seen[1]]
        page = tuple(left[:max_results])
        return DeveloperUsers(identity.id, page, page_token("", page[-1]) if len(left) > max_results else None)

    def merge_developer_identities(
        self, source_user_identifier: str, destination_user_identifier: str, developer_provider_name: str, identity_pool_id: str
    ) -> str:
        """MergeDeveloperIdentities: the id of the destination, which takes over all logins of the source.

        Raises
        ------
        CognitoError
            `ResourceNotFoundException`; `ResourceConflictException`: they have two logins of one public provider.
        """
        now = self._state.now()
        with self._state.auditor.call("MergeDeveloperIdentities", now, pool=shorten(str(identity_pool_id))) as entry:
            with self._state.directory.transaction():
                pool = self._developer_pool(identity_pool_id, developer_provider_name)
                merged = self._owner(pool, source_user_identifier)
                parent = self._owner(pool, destination_user_identifier)
                if merged is None or parent is None:
                    raise _not_found("developer user")
                if merged.id != parent.id:
                    parent = self._identities.merge([merged], parent, now)
            entry.add(identity=parent.id, merged=merged.id)
            return parent.id

    def unlink_developer_identity(
        self, identity_id: str, identity_pool_id: str, developer_provider_name: str, developer_user_identifier: str
    ) -> None:
        """UnlinkDeveloperIdentity: remove a developer user from an identity.

        Raises
        ------
        CognitoError
            `ResourceNotFoundException`.
        """
        now = self._state.now()
        with self._state.auditor.call("UnlinkDeveloperIdentity", now, pool=shorten(str(identity_pool_id))) as entry:
            with self._state.directory.transaction():
                pool = self._developer_pool(identity_pool_id, developer_provider_name)
                identity = self._of_pool(pool, identity_id)
                login = developer_login(pool, _read_user(developer_user_identifier)).login
                if login not in identity.logins:
                    raise _not_found("developer user")
                self._identities.unlink(identity, [login], now)
            entry.add(identity=identity.id)

    # -- identities -----------------------------------------------------------------------------------------------------------

    def describe_identity(self, identity_id: str) -> IdentityDescription:
        """DescribeIdentity."""
        self._state.directory.refresh()
        return describe(self._identities.get(parameters.read_id(identity_id)))

    def list_identities(
        self, identity_pool_id: str, max_results: int = 60, *, next_token: str | None = None, hide_disabled: bool = False
    ) -> IdentityPage:
        """ListIdentities, in order of creation."""
        self._state.directory.refresh()
        pool = self._pool(identity_pool_id)
        parameters.read_number(max_results, "max_results", 1, parameters.MAX_PAGE)
        is_hiding = parameters.read_flag(hide_disabled, "hide_disabled")
        seen = read_page_token(next_token)
        after = None if seen is None else (_read_instant(seen[0]), seen[1])
        listed = self._store.identities_of(pool.identity_pool_id, after)
        found = list(islice((each for each in listed if not (is_hiding and each.merged_into)), max_results + 1))
        page = found[:max_results]
        token = page_token(page[-1].created.isoformat(), page[-1].id) if len(found) > max_results else None
        return IdentityPage(pool.identity_pool_id, tuple(map(describe, page)), token)

    def delete_identities(self, identity_ids_to_delete: Sequence[str]) -> None:
        """DeleteIdentities: 1 to 60 ids. Ids that do not exist are left out."""
        with self._state.auditor.call("DeleteIdentities", self._state.now()) as entry:
            ids = [parameters.read_id(id_) for id_ in parameters.read_list(identity_ids_to_delete, "identity_ids_to_delete")]
            if not 1 <= len(ids) <= parameters.MAX_DELETED:
                parameters.wrong(f"`identity_ids_to_delete` has 1 to {parameters.MAX_DELETED} ids", "5.3")
            entry.add(number=str(len(ids)))
            with self._state.directory.transaction():
                self._identities.delete(ids)

    # -- parts ----------------------------------------------------------------------------------------------------------------

    def _of_pool(self, pool: IdentityPool, identity_id: str) -> Identity:
        identity = self._identities.usable(parameters.read_id(identity_id))
        if identity.pool != pool.identity_pool_id:
            raise _not_found("identity")
        return identity

    def _owner(self, pool: IdentityPool, user: str) -> Identity | None:
        return self._store.owner(pool.identity_pool_id, developer_login(pool, _read_user(user)).login)

    def _developer_pool(self, identity_pool_id: str, provider: str) -> IdentityPool:
        pool = self._pool(identity_pool_id)
        if not pool.developer_provider_name or pool.developer_provider_name != provider:
            parameters.wrong("the identity pool does not have this developer provider", "5.5")
        return pool


def _read_user(text: object) -> str:
    return parameters.read_text(text, "id of a developer user", MAX_USER)


def _read_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        parameters.wrong("`next_token` is not one of this list")
    return instant


def _not_found(what: str) -> CognitoError:
    return CognitoError(f"{what} not found in the identity pool", rule="ID66", code="ResourceNotFoundException")
