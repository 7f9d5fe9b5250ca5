"""App clients and their secrets (4.3)."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.attributes import schema_of
from fastiam.cognito.user_pools.calls import Calls, with_token
from fastiam.cognito.user_pools.oauth_settings import OPENID_SCOPES, check_logout, check_redirect
from fastiam.cognito.user_pools.operations import operation, plain
from fastiam.cognito.user_pools.state import Json
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import SECONDS, Client, ClientSecret, Pool

_ID_CHARS, _SECRET_CHARS = string.ascii_lowercase + string.digits, string.ascii_lowercase + string.digits
_LIMITS = {"access": (300, 86_400), "id": (300, 86_400), "refresh": (3600, 315_360_000)}
_UNITS = {"access": ("AccessToken", "hours"), "id": ("IdToken", "hours"), "refresh": ("RefreshToken", "days")}
_DEFAULTS = {"access": 3600, "id": 3600, "refresh": 30 * 86_400}
MAX_SECRETS = 2
_DEFAULT_FLOWS = ("ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH")


class ClientCalls(Calls):
    """CreateUserPoolClient and others."""

    def _random(self, alphabet: str, length: int) -> str:
        return "".join(alphabet[int.from_bytes(self._state.random(8)) % len(alphabet)] for _ in range(length))

    @operation
    def create_user_pool_client(
        self,
        *,
        user_pool_id: str,
        client_name: str,
        generate_secret: bool = False,
        client_secret: str | None = None,
        refresh_token_validity: int | None = None,
        access_token_validity: int | None = None,
        id_token_validity: int | None = None,
        token_validity_units: Mapping[str, str] | None = None,
        read_attributes: Sequence[str] | None = None,
        write_attributes: Sequence[str] | None = None,
        explicit_auth_flows: Sequence[str] = (),
        supported_identity_providers: Sequence[str] = (),
        callback_urls: Sequence[str] = (),
        logout_urls: Sequence[str] = (),
        default_redirect_uri: str = "",
        allowed_o_auth_flows: Sequence[str] = (),
        allowed_o_auth_scopes: Sequence[str] = (),
        allowed_o_auth_flows_user_pool_client: bool = False,
        prevent_user_existence_errors: str = "LEGACY",
        enable_token_revocation: bool = True,
        auth_session_validity: int = 3,
        refresh_token_rotation: Mapping[str, Any] | None = None,
        client_id: str | None = None,
    ) -> Json:
        """Create an app client.

        Parameters
        ----------
        client_id
            its id, a random one by default.
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        if generate_secret and client_secret is not None:
            raise CognitoError("`GenerateSecret` and `ClientSecret` exclude each other", rule="4.3")
        secret = Secret(self._random(_SECRET_CHARS, 51)) if generate_secret else client_secret
        now = self._state.now()
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            client = Client(client_id or self._random(_ID_CHARS, 26), pool.id, client_name, now, now)
            if client.id in self._state.tables.clients:
                raise CognitoError("there is a client with this id", rule="9.1")
            client = replace(client, **self._read(pool, given, has_secret=secret is not None))
            self._state.put("clients", client.id, client)
            if secret is not None:
                self._add_secret(client, secret)
        self._state.note(client=client.id)
        return {"UserPoolClient": self._describe_client(client)}

    def _read(self, pool: Pool, given: Mapping[str, Any], *, has_secret: bool) -> Json:
        """The fields of a client that parameters set. Absent ones set the default."""
        units = dict(given["token_validity_units"] or {})
        fields: Json = {"units": units, "session_validity": given["auth_session_validity"] * 60}
        for kind, (unit_name, default_unit) in _UNITS.items():
            number, unit = given[f"{kind}_token_validity"], units.get(unit_name, default_unit)
            low, high = _LIMITS[kind]
            seconds = number * SECONDS[unit] if number else _DEFAULTS[kind]
            if not low <= seconds <= high:
                raise CognitoError(f"Invalid range for token validity of {unit_name}", rule="4.3")
            fields[f"{kind}_validity"] = seconds
        if fields["refresh_validity"] <= max(fields["access_validity"], fields["id_validity"]):
            raise CognitoError("the refresh token must be valid longer than the other tokens", rule="4.3")
        fields["flows"] = _flows(given["explicit_auth_flows"])
        fields["readable"] = self._permitted(pool, given["read_attributes"])
        fields["writable"] = self._permitted(pool, given["write_attributes"])
        fields["hides_existence"] = given["prevent_user_existence_errors"] == "ENABLED"
        fields["revocation"] = given["enable_token_revocation"]
        rotation = given["refresh_token_rotation"] or {}
        is_rotating = rotation.get("Feature") == "ENABLED"
        fields["grace"] = rotation.get("RetryGracePeriodSeconds", 0) if is_rotating else None
        if is_rotating and "ALLOW_REFRESH_TOKEN_AUTH" in given["explicit_auth_flows"]:
            raise CognitoError("with rotation, the client cannot allow ALLOW_REFRESH_TOKEN_AUTH", rule="UP83")
        return fields | self._read_oauth(pool, given, has_secret=has_secret)

    def _permitted(self, pool: Pool, names: Sequence[str] | None) -> tuple[str, ...] | None:
        unknown = set(names or ()) - schema_of(pool).keys()
        if unknown:
            raise CognitoError(f"the attribute `{min(unknown)}` does not exist", rule="4.3")
        return None if names is None else tuple(dict.fromkeys(names))

    def _read_oauth(self, pool: Pool, given: Mapping[str, Any], *, has_secret: bool) -> Json:
        """The settings of 4.16."""
        flows, scopes = tuple(dict.fromkeys(given["allowed_o_auth_flows"])), tuple(dict.fromkeys(given["allowed_o_auth_scopes"]))
        is_on = given["allowed_o_auth_flows_user_pool_client"]
        callbacks, logouts = tuple(dict.fromkeys(given["callback_urls"])), tuple(dict.fromkeys(given["logout_urls"]))
        for url in callbacks:
            check_redirect(url)
        for url in logouts:
            check_logout(url)
        known = {
            f"{server.identifier}/{scope}"
            for server in self._state.tables.resource_servers.values()
            if server.pool == pool.id
            for scope in server.scopes
        }
        unknown = set(scopes) - known - OPENID_SCOPES
        if unknown:
            raise CognitoError(f"the scope `{min(unknown)}` does not exist", code="ScopeDoesNotExistException", rule="UP93")
        if {"email", "phone", "profile"} & set(scopes) and "openid" not in scopes:
            raise CognitoError("openid must be among the scopes", code="InvalidOAuthFlowException", rule="UP93")
        if "client_credentials" in flows and (len(flows) > 1 or not has_secret or set(scopes) & OPENID_SCOPES):
            message = "client_credentials is the only flow of a client, needs a secret, and takes custom scopes only"
            raise CognitoError(message, code="InvalidOAuthFlowException", rule="UP94")
        if is_on and (not flows or not scopes):
            raise CognitoError("AllowedOAuthFlows and AllowedOAuthScopes are required", code="InvalidOAuthFlowException")
        if not is_on and (flows or scopes):
            raise CognitoError("AllowedOAuthFlowsUserPoolClient must be true", code="InvalidOAuthFlowException")
        if set(flows) & {"code", "implicit"} and not callbacks:
            raise CognitoError("a callback URL is required", code="InvalidOAuthFlowException", rule="UP90")
        default = given["default_redirect_uri"]
        if default and default not in callbacks:
            raise CognitoError("the default redirect is not among the callback URLs", rule="UP90")
        providers = tuple(dict.fromkeys(given["supported_identity_providers"]))
        for name in providers:
            if name != "COGNITO":
                self._state.provider(pool, name)
        return {
            "oauth_flows": flows,
            "oauth_scopes": scopes,
            "oauth": is_on,
            "callbacks": callbacks,
            "logouts": logouts,
            "default_redirect": default,
            "providers": providers,
        }

    @operation
    def describe_user_pool_client(self, *, user_pool_id: str, client_id: str) -> Json:
        """The settings of a client, with its first secret."""
        _, client = self._client(client_id, user_pool_id)
        return {"UserPoolClient": self._describe_client(client)}

    def _describe_client(self, client: Client) -> Json:
        described: Json = {
            "UserPoolId": client.pool,
            "ClientId": client.id,
            "ClientName": client.name,
            "CreationDate": client.created,
            "LastModifiedDate": client.modified,
            "ExplicitAuthFlows": list(client.flows),
            "TokenValidityUnits": dict(client.units),
            "AuthSessionValidity": client.session_validity // 60,
            "PreventUserExistenceErrors": "ENABLED" if client.hides_existence else "LEGACY",
            "EnableTokenRevocation": client.revocation,
            "AllowedOAuthFlowsUserPoolClient": client.oauth,
            "AllowedOAuthFlows": list(client.oauth_flows),
            "AllowedOAuthScopes": list(client.oauth_scopes),
            "CallbackURLs": list(client.callbacks),
            "LogoutURLs": list(client.logouts),
            "SupportedIdentityProviders": list(client.providers),
        }
        for kind, (unit_name, default_unit) in _UNITS.items():
            unit = client.units.get(unit_name, default_unit)
            described[f"{unit_name}Validity"] = getattr(client, f"{kind}_validity") // SECONDS[unit]
        if client.readable is not None:
            described["ReadAttributes"] = list(client.readable)
        if client.writable is not None:
            described["WriteAttributes"] = list(client.writable)
        if client.default_redirect:
            described["DefaultRedirectURI"] = client.default_redirect
        if client.grace is not None:
            described["RefreshTokenRotation"] = {"Feature": "ENABLED", "RetryGracePeriodSeconds": client.grace}
        if secrets := self._secrets(client):
            described["ClientSecret"] = secrets[0]
        return described

    @operation
    def update_user_pool_client(
        self,
        *,
        user_pool_id: str,
        client_id: str,
        client_name: str | None = None,
        refresh_token_validity: int | None = None,
        access_token_validity: int | None = None,
        id_token_validity: int | None = None,
        token_validity_units: Mapping[str, str] | None = None,
        read_attributes: Sequence[str] | None = None,
        write_attributes: Sequence[str] | None = None,
        explicit_auth_flows: Sequence[str] = (),
        supported_identity_providers: Sequence[str] = (),
        callback_urls: Sequence[str] = (),
        logout_urls: Sequence[str] = (),
        default_redirect_uri: str = "",
        allowed_o_auth_flows: Sequence[str] = (),
        allowed_o_auth_scopes: Sequence[str] = (),
        allowed_o_auth_flows_user_pool_client: bool = False,
        prevent_user_existence_errors: str | None = None,
        enable_token_revocation: bool | None = None,
        auth_session_validity: int = 3,
        refresh_token_rotation: Mapping[str, Any] | None = None,
    ) -> Json:
        """Change a client. As at AWS, a setting that is not given gets its default; the two about errors and revocation stay."""
        given = {name: value for name, value in locals().items() if name != "self"}
        with self._state.transaction():
            pool, client = self._client(client_id, user_pool_id)
            if prevent_user_existence_errors is None:
                given["prevent_user_existence_errors"] = "ENABLED" if client.hides_existence else "LEGACY"
            if enable_token_revocation is None:
                given["enable_token_revocation"] = client.revocation
            fields = self._read(pool, given, has_secret=self._has_secret(client))
            client = replace(client, name=client_name or client.name, modified=self._state.now(), **fields)
            self._state.put("clients", client.id, client)
        return {"UserPoolClient": self._describe_client(client)}

    @operation
    def delete_user_pool_client(self, *, user_pool_id: str, client_id: str) -> Json:
        """Delete a client. The pool refuses its tokens from now on."""
        with self._state.transaction():
            _, client = self._client(client_id, user_pool_id)
            self._state.store.delete_client(client)
        return {}

    @operation
    def list_user_pool_clients(self, *, user_pool_id: str, max_results: int | None = None, next_token: str | None = None) -> Json:
        """The clients of a pool."""
        pool = self._state.pool(user_pool_id)
        clients = [(client.id, client) for client in self._state.store.clients(pool.id)]
        page, token = self._page(f"clients {pool.id}", clients, max_results, next_token)
        found = [{"ClientId": c.id, "UserPoolId": c.pool, "ClientName": c.name} for c in page]
        return with_token({"UserPoolClients": found}, "NextToken", token)

    # -- secrets ----------------------------------------------------------------------------------------------------------

    def _add_secret(self, client: Client, secret: str) -> ClientSecret:
        id_ = f"{client.id}--{self._state.millis()}{int.from_bytes(self._state.random(4)):010d}"
        key = f"{client.id}/{id_}"
        record = ClientSecret(
            client.id, id_, self._state.now(), self._state.sealed("client_secrets", key, Secret(secret).encode())
        )
        self._state.put("client_secrets", key, record)
        return record

    @operation
    def add_user_pool_client_secret(self, *, user_pool_id: str, client_id: str, client_secret: str | None = None) -> Json:
        """Add a secret to a client that has one, to rotate it; either of them counts."""
        secret = client_secret or self._random(_SECRET_CHARS, 51)
        with self._state.transaction():
            _, client = self._client(client_id, user_pool_id)
            n_secrets = len(self._secrets(client))
            if not self._has_secret(client):
                raise CognitoError("the client has no secret", hint="create a client with one", rule="4.3")
            if n_secrets >= MAX_SECRETS:
                raise CognitoError(f"a client has at most {MAX_SECRETS} secrets", code="LimitExceededException", rule="4.3")
            record = self._add_secret(client, secret)
            if client.secret_missing:
                self._state.put("clients", client.id, replace(client, secret_missing=False))
        described = {"ClientSecretId": record.id, "ClientSecretCreateDate": record.created}
        return {"ClientSecretDescriptor": described | ({} if client_secret else {"ClientSecretValue": Secret(plain(secret))})}

    @operation
    def delete_user_pool_client_secret(self, *, user_pool_id: str, client_id: str, client_secret_id: str) -> Json:
        """Remove a secret of a client; the last one stays."""
        with self._state.transaction():
            _, client = self._client(client_id, user_pool_id)
            key = f"{client.id}/{client_secret_id}"
            if key not in self._state.tables.client_secrets:
                raise CognitoError("there is no such secret", code="ResourceNotFoundException")
            if len(self._secrets(client)) == 1:
                raise CognitoError("the last secret of a client cannot be removed", rule="4.3")
            self._state.put("client_secrets", key, None)
        return {}

    @operation
    def list_user_pool_client_secrets(self, *, user_pool_id: str, client_id: str, next_token: str | None = None) -> Json:
        """The ids of the secrets of a client."""
        _, client = self._client(client_id, user_pool_id)
        stored = [secret for secret in self._state.tables.client_secrets.values() if secret.client == client.id]
        return {"ClientSecrets": [{"ClientSecretId": s.id, "ClientSecretCreateDate": s.created} for s in stored]}


def _flows(given: Sequence[str]) -> tuple[str, ...]:
    """`ExplicitAuthFlows`; old names and `ALLOW_*` are not mixed."""
    if "ALLOW_USER_AUTH" in given:
        raise CognitoError("ALLOW_USER_AUTH (choice-based sign-in) is not supported", rule="4.1")
    is_new = [flow.startswith("ALLOW_") for flow in given]
    if any(is_new) and not all(is_new):
        raise CognitoError("names of ExplicitAuthFlows with and without ALLOW_ cannot be mixed", rule="4.3")
    return tuple(sorted(set(given))) or _DEFAULT_FLOWS
