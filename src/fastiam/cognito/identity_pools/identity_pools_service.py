"""`IdentityPools`: the calls of Cognito identity pools, named as in the API. The rules are in the modules beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastiam.cognito.identity_pools import parameters
from fastiam.cognito.identity_pools.access import Access
from fastiam.cognito.identity_pools.guests import as_session_policy
from fastiam.cognito.identity_pools.identities import GuestLimits, Identities
from fastiam.cognito.identity_pools.identity_calls import IdentityCalls
from fastiam.cognito.identity_pools.logins import LoginVerifier
from fastiam.cognito.identity_pools.pools import Pools
from fastiam.cognito.identity_pools.results import (
    DeveloperUsers,
    IdentityCredentials,
    IdentityDescription,
    IdentityPage,
    IdentityPoolPage,
    IdentityPoolRoles,
    OpenIdToken,
    PrincipalTagAttributeMap,
)
from fastiam.cognito.identity_pools.token_keys import TokenKeys
from fastiam.cognito.identity_pools.tokens import Tokens
from fastiam.cognito.identity_pools.user_pools import DirectoryUserPools
from fastiam.cognito.identity_records import IdentityPoolStore, token_key_purpose
from fastiam.cognito.rates import Admit, admit_all
from fastiam.credentials.secret import takes_secrets
from fastiam.directory.identity_pool_records import CognitoIdentityProvider, IdentityPool, RoleMapping
from fastiam.federation.federation_service import Federation
from fastiam.sts.session_issuer import PolicyText

if TYPE_CHECKING:  # the classes that join several branches
    from fastiam.api.directory import Directory

Struct = Mapping[str, Any]


class IdentityPools:
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
        user_pools = DirectoryUserPools(state)
        tokens, identities = Tokens(self._keys), Identities(self._store, guests)
        logins = LoginVerifier(verifiers, tokens, user_pools, foreign_user_pools=foreign_user_pools)
        self._pools = Pools(state, user_pools)
        self._access = Access(state, self._pools, identities, logins, tokens, as_session_policy(guest_policy), admit)
        self._identities = IdentityCalls(state, self._store, self._pools, identities, logins, tokens)
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

    def logged_id(self, identity_id: str) -> str:
        """What represents an identity in a log: its id, or a hash of it if it is that of a guest, which is a bearer secret."""
        return self._access.logged_id(identity_id)

    # -- public calls ---------------------------------------------------------------------------------------------------------

    @takes_secrets(mappings=("logins",))
    def get_id(
        self, identity_pool_id: str, logins: Mapping[str, str] | None = None, *, account_id: str | None = None, source: str = ""
    ) -> str:
        """GetId: the id of the identity that has these logins, or of a new one. Without logins, of a new guest.

        Parameters
        ----------
        logins
            provider to token, see `get_credentials_for_identity`.
        source
            source address, for the audit event.

        Raises
        ------
        NotAuthorizedError
            a login is not valid, or the pool has no guests.
        CognitoError
            `InvalidParameterException`, `ResourceNotFoundException`, `ResourceConflictException` or `ExternalServiceException`.
        """
        return self._access.get_id(identity_pool_id, parameters.read_logins(logins), account_id, source)

    @takes_secrets(mappings=("logins",))
    def get_credentials_for_identity(
        self,
        identity_id: str,
        logins: Mapping[str, str] | None = None,
        *,
        custom_role_arn: str | None = None,
        source: str = "",
    ) -> IdentityCredentials:
        """GetCredentialsForIdentity: a session of the role of an identity (enhanced flow).

        Parameters
        ----------
        logins
            provider to token: an ID token of a user pool, OIDC provider, Google or Apple; an access token of Facebook or Amazon;
            a SAML response for the ARN of its provider; or a developer token for `cognito-identity.amazonaws.com`.
        custom_role_arn
            the role, if the logins lead to several.
        source
            source address, for the audit event.

        Raises
        ------
        NotAuthorizedError
            a login is not valid, none is one of the identity, or they do not lead to the role.
        CognitoError
            `InvalidParameterException`, `ResourceNotFoundException`, `ResourceConflictException`, `ExternalServiceException`;
            `InvalidIdentityPoolConfigurationException`: no role, or its trust policy refuses.
        """
        return self._access.get_credentials(identity_id, parameters.read_logins(logins), custom_role_arn, source)

    @takes_secrets(mappings=("logins",))
    def get_open_id_token(self, identity_id: str, logins: Mapping[str, str] | None = None, *, source: str = "") -> OpenIdToken:
        """GetOpenIdToken: a token of 10 minutes for AssumeRoleWithWebIdentity (classic flow).

        Raises
        ------
        NotAuthorizedError, CognitoError
            as `get_credentials_for_identity`; `InvalidParameterException`: the pool does not allow the classic flow, or has role
            mappings.
        """
        return self._access.get_open_id_token(identity_id, parameters.read_logins(logins), source)

    @takes_secrets(mappings=("logins",))
    def unlink_identity(
        self, identity_id: str, logins: Mapping[str, str], logins_to_remove: Sequence[str], *, source: str = ""
    ) -> None:
        """UnlinkIdentity: remove logins from an identity, to which all given logins are linked.

        Raises
        ------
        NotAuthorizedError
            the logins do not prove the identity.
        CognitoError
            `ResourceNotFoundException`: a login to remove is not linked.
        """
        self._access.unlink(identity_id, parameters.read_logins(logins), logins_to_remove, source)

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
        return self._identities.developer_token(
            identity_pool_id, parameters.read_logins(logins), identity_id, principal_tags, token_duration
        )

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
        return self._identities.lookup(identity_pool_id, identity_id, developer_user_identifier, max_results, next_token)

    def merge_developer_identities(
        self, source_user_identifier: str, destination_user_identifier: str, developer_provider_name: str, identity_pool_id: str
    ) -> str:
        """MergeDeveloperIdentities: the id of the destination, which takes over all logins of the source.

        Raises
        ------
        CognitoError
            `ResourceNotFoundException`; `ResourceConflictException`: they have two logins of one public provider.
        """
        return self._identities.merge(
            identity_pool_id, developer_provider_name, source_user_identifier, destination_user_identifier
        )

    def unlink_developer_identity(
        self, identity_id: str, identity_pool_id: str, developer_provider_name: str, developer_user_identifier: str
    ) -> None:
        """UnlinkDeveloperIdentity: remove a developer user from an identity.

        Raises
        ------
        CognitoError
            `ResourceNotFoundException`.
        """
        self._identities.unlink(identity_pool_id, identity_id, developer_provider_name, developer_user_identifier)

    # -- identities -----------------------------------------------------------------------------------------------------------

    def describe_identity(self, identity_id: str) -> IdentityDescription:
        """DescribeIdentity."""
        return self._identities.describe(identity_id)

    def list_identities(
        self, identity_pool_id: str, max_results: int = 60, *, next_token: str | None = None, hide_disabled: bool = False
    ) -> IdentityPage:
        """ListIdentities, in order of creation."""
        return self._identities.list(identity_pool_id, max_results, next_token, hide_disabled)

    def delete_identities(self, identity_ids_to_delete: Sequence[str]) -> None:
        """DeleteIdentities: 1 to 60 ids. Ids that do not exist are left out."""
        self._identities.delete(identity_ids_to_delete)

    # -- pools ----------------------------------------------------------------------------------------------------------------

    def create_identity_pool(
        self,
        identity_pool_name: str,
        allow_unauthenticated_identities: bool,
        *,
        account: str,
        region: str,
        allow_classic_flow: bool = False,
        supported_login_providers: Mapping[str, str] = {},
        developer_provider_name: str | None = None,
        open_id_connect_provider_arns: Sequence[str] = (),
        cognito_identity_providers: Sequence[CognitoIdentityProvider | Struct] = (),
        saml_provider_arns: Sequence[str] = (),
        identity_pool_tags: Mapping[str, str] = {},
    ) -> IdentityPool:
        """CreateIdentityPool in an account and region.

        Parameters
        ----------
        supported_login_providers
            `accounts.google.com`, `appleid.apple.com`, `graph.facebook.com` or `www.amazon.com` to the ids of the application,
            separated by `;`.
        developer_provider_name
            the backend's own name; fixed once it is set.
        cognito_identity_providers
            user pools with an app client. Structures are mappings with the names of the API.

        Raises
        ------
        CognitoError
            `InvalidParameterException` or `LimitExceededException`.
        """
        given = dict(locals())
        return self._pools.create(account, region, {name: given[name] for name in _OF_POOL})

    def update_identity_pool(
        self,
        identity_pool_id: str,
        identity_pool_name: str,
        allow_unauthenticated_identities: bool,
        *,
        allow_classic_flow: bool = False,
        supported_login_providers: Mapping[str, str] = {},
        developer_provider_name: str | None = None,
        open_id_connect_provider_arns: Sequence[str] = (),
        cognito_identity_providers: Sequence[CognitoIdentityProvider | Struct] = (),
        saml_provider_arns: Sequence[str] = (),
        identity_pool_tags: Mapping[str, str] = {},
    ) -> IdentityPool:
        """UpdateIdentityPool. A parameter that is not given is reset to its default, except the developer provider.

        Raises
        ------
        CognitoError
            `InvalidParameterException` or `ResourceNotFoundException`.
        """
        given = dict(locals())
        return self._pools.update(identity_pool_id, {name: given[name] for name in _OF_POOL})

    def describe_identity_pool(self, identity_pool_id: str) -> IdentityPool:
        """DescribeIdentityPool."""
        return self._pools.get(identity_pool_id)

    def list_identity_pools(
        self, max_results: int = 60, *, account: str, region: str, next_token: str | None = None
    ) -> IdentityPoolPage:
        """ListIdentityPools of an account in a region, in order of creation."""
        return self._pools.list(account, region, max_results, next_token)

    def delete_identity_pool(self, identity_pool_id: str) -> None:
        """DeleteIdentityPool, with all of its identities. Sessions that exist go on."""
        self._pools.delete(identity_pool_id)

    def set_identity_pool_roles(
        self,
        identity_pool_id: str,
        roles: Mapping[str, str],
        role_mappings: Mapping[str, RoleMapping | Struct] | None = None,
    ) -> IdentityPoolRoles:
        """SetIdentityPoolRoles: replaces roles and role mappings. Warns about claims that users can set themselves.

        Parameters
        ----------
        roles
            `authenticated` and `unauthenticated` to the ARN of a role.
        role_mappings
            provider to mapping: `<user pool>:<client id>`, the ARN of an OIDC or SAML provider, or another name.
        """
        return self._pools.set_roles(identity_pool_id, roles, {} if role_mappings is None else role_mappings)

    def get_identity_pool_roles(self, identity_pool_id: str) -> IdentityPoolRoles:
        """GetIdentityPoolRoles."""
        return self._pools.roles(identity_pool_id)

    def set_principal_tag_attribute_map(
        self,
        identity_pool_id: str,
        identity_provider_name: str,
        *,
        use_defaults: bool = False,
        principal_tags: Mapping[str, str] | None = None,
    ) -> PrincipalTagAttributeMap:
        """SetPrincipalTagAttributeMap: the claims of a provider's logins that become session tags. Without any there are none.

        Parameters
        ----------
        identity_provider_name
            `cognito-idp.<region>.amazonaws.com/<pool id>`, the ARN of an OIDC or SAML provider, or a name.
        use_defaults
            `username` from `sub` and `client` from `aud`.
        principal_tags
            tag key to claim.
        """
        tags = {} if principal_tags is None else principal_tags
        return self._pools.set_tag_map(identity_pool_id, identity_provider_name, use_defaults, tags)

    def get_principal_tag_attribute_map(self, identity_pool_id: str, identity_provider_name: str) -> PrincipalTagAttributeMap:
        """GetPrincipalTagAttributeMap."""
        return self._pools.tag_map(identity_pool_id, identity_provider_name)

    def tag_resource(self, resource_arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        self._pools.tag(resource_arn, tags)

    def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> None:
        """UntagResource."""
        self._pools.untag(resource_arn, tag_keys)

    def list_tags_for_resource(self, resource_arn: str) -> dict[str, str]:
        """ListTagsForResource."""
        return dict(self._pools.by_arn(resource_arn).identity_pool_tags)


_OF_POOL = (
    "identity_pool_name",
    "allow_unauthenticated_identities",
    "allow_classic_flow",
    "supported_login_providers",
    "developer_provider_name",
    "open_id_connect_provider_arns",
    "cognito_identity_providers",
    "saml_provider_arns",
    "identity_pool_tags",
)
