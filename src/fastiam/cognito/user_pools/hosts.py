"""Domains of sign-in pages, and resource servers with their scopes (4.16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.calls import Calls, with_token
from fastiam.cognito.user_pools.operations import operation
from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.directory.user_pool_records import Domain, Pool, ResourceServer

MAX_SERVERS, MAX_SCOPES = 25, 100


class HostCalls(Calls):
    """CreateUserPoolDomain, CreateResourceServer and others."""

    @operation
    def create_user_pool_domain(self, *, domain: str, user_pool_id: str, managed_login_version: int | None = None) -> Json:
        """Give a pool the host of its OAuth endpoints: a prefix of AWS's host, or, with dots, a whole name."""
        if managed_login_version not in (None, 1):
            raise CognitoError("managed login is not supported", rule="4.1")
        if any(word in domain for word in ("aws", "amazon", "cognito")):
            raise CognitoError("the domain contains a reserved word", rule="4.16")
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            if domain in self._state.tables.domains:
                raise CognitoError("Domain already associated with another user pool.", rule="4.16")
            if any(stored.pool == pool.id for stored in self._state.tables.domains.values()):
                raise CognitoError("the user pool has a domain", rule="4.16")
            self._state.put("domains", domain, Domain(domain, pool.id, "." in domain))
        return {"ManagedLoginVersion": 1}

    @operation
    def describe_user_pool_domain(self, *, domain: str) -> Json:
        """The pool of a domain; an empty description if there is none."""
        stored = self._state.tables.domains.get(domain)
        if stored is None:
            return {"DomainDescription": {}}
        pool = self._state.pool(stored.pool)
        description = {"UserPoolId": pool.id, "AWSAccountId": pool.account, "Domain": stored.name, "Status": "ACTIVE"}
        return {"DomainDescription": description}

    @operation
    def delete_user_pool_domain(self, *, domain: str, user_pool_id: str) -> Json:
        """Remove the domain of a pool."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            stored = self._state.tables.domains.get(domain)
            if stored is None or stored.pool != pool.id:
                raise CognitoError("No such domain or user pool exists.", code="ResourceNotFoundException")
            self._state.put("domains", domain, None)
        return {}

    # -- resource servers -------------------------------------------------------------------------------------------------

    def _server(self, pool: Pool, identifier: str) -> ResourceServer:
        found = self._state.tables.resource_servers.get(f"{pool.id}/{identifier}")
        if found is None:
            raise CognitoError("Resource server does not exist.", code="ResourceNotFoundException", rule="UP93")
        return found

    @operation
    def create_resource_server(
        self, *, user_pool_id: str, identifier: str, name: str, scopes: Sequence[Mapping[str, str]] = ()
    ) -> Json:
        """Create a resource server."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            stored = [server for server in self._state.tables.resource_servers.values() if server.pool == pool.id]
            if any(server.identifier == identifier for server in stored):
                raise CognitoError(f"{identifier} already exists in user pool {pool.id}.", rule="UP93")
            if len(stored) >= MAX_SERVERS:
                message = f"a pool has at most {MAX_SERVERS} resource servers"
                raise CognitoError(message, code="LimitExceededException", rule="UP93")
            server = ResourceServer(pool.id, identifier, name, _scopes(scopes))
            self._state.put("resource_servers", f"{pool.id}/{identifier}", server)
        return {"ResourceServer": describe_server(server)}

    @operation
    def describe_resource_server(self, *, user_pool_id: str, identifier: str) -> Json:
        """A resource server."""
        return {"ResourceServer": describe_server(self._server(self._state.pool(user_pool_id), identifier))}

    @operation
    def update_resource_server(
        self, *, user_pool_id: str, identifier: str, name: str, scopes: Sequence[Mapping[str, str]] = ()
    ) -> Json:
        """Change a resource server. A scope that is not given any more leaves the clients that had it."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            server = replace(self._server(pool, identifier), name=name, scopes=_scopes(scopes))
            self._state.put("resource_servers", f"{pool.id}/{identifier}", server)
            self._drop_scopes(pool, identifier, set(server.scopes))
        return {"ResourceServer": describe_server(server)}

    @operation
    def delete_resource_server(self, *, user_pool_id: str, identifier: str) -> Json:
        """Delete a resource server; its scopes leave the clients."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            self._server(pool, identifier)
            self._state.put("resource_servers", f"{pool.id}/{identifier}", None)
            self._drop_scopes(pool, identifier, set())
        return {}

    def _drop_scopes(self, pool: Pool, identifier: str, kept: set[str]) -> None:
        for client in self._state.store.clients(pool.id):
            prefix = f"{identifier}/"
            scopes = tuple(s for s in client.oauth_scopes if not s.startswith(prefix) or s.removeprefix(prefix) in kept)
            if scopes != client.oauth_scopes:
                self._state.put("clients", client.id, replace(client, oauth_scopes=scopes))

    @operation
    def list_resource_servers(self, *, user_pool_id: str, max_results: int | None = None, next_token: str | None = None) -> Json:
        """The resource servers of a pool."""
        pool = self._state.pool(user_pool_id)
        servers = [(s.identifier, s) for s in self._state.tables.resource_servers.values() if s.pool == pool.id]
        page, token = self._page(f"servers {pool.id}", servers, max_results, next_token)
        return with_token({"ResourceServers": [describe_server(server) for server in page]}, "NextToken", token)


def _scopes(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    scopes = {entry["ScopeName"]: entry["ScopeDescription"] for entry in given}
    if len(scopes) < len(given) or len(given) > MAX_SCOPES:
        raise CognitoError(f"a resource server has at most {MAX_SCOPES} different scopes", rule="UP93")
    return scopes


def describe_server(server: ResourceServer) -> Json:
    """`ResourceServer` of an answer."""
    scopes = [{"ScopeName": name, "ScopeDescription": text} for name, text in server.scopes.items()]
    return {"UserPoolId": server.pool, "Identifier": server.identifier, "Name": server.name, "Scopes": scopes}


def host_of(state: PoolState, pool: Pool) -> str:
    """The host of the OAuth endpoints of a pool.

    Raises
    ------
    CognitoError
        InvalidParameterException: the pool has no domain.
    """
    for stored in state.tables.domains.values():
        if stored.pool == pool.id:
            return stored.name if stored.custom else f"{stored.name}.auth.{pool.region}.amazoncognito.com"
    raise CognitoError("the user pool has no domain", hint="call CreateUserPoolDomain", rule="4.16")
