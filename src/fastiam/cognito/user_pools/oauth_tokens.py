"""The token endpoint of OAuth 2.0, userInfo, revocation, sign-out and discovery (UP91 to UP95)."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.calls import Calls
from fastiam.cognito.user_pools.hosts import host_of
from fastiam.cognito.user_pools.oauth_requests import (
    OAuthError,
    Parameters,
    read_basic,
    read_client_scopes,
    read_parameters,
    still_allowed,
)
from fastiam.cognito.user_pools.refresh import opened_sign_in, renewed_tokens, revoke_sign_in, rotated_tokens
from fastiam.cognito.user_pools.sign_in_grants import as_oauth, issue_oauth
from fastiam.cognito.user_pools.state import Json
from fastiam.cognito.user_pools.tokens import readable_attributes
from fastiam.credentials.secret import hidden, takes_secrets
from fastiam.directory.user_pool_records import Client, Pool

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_GRANT = "invalid_grant"


class OAuthTokenCalls(Calls):
    """`/oauth2/token`, `/oauth2/userInfo`, `/oauth2/revoke` and discovery."""

    def _authenticate(self, given: Json, authorization: str | None, status: int = 400) -> tuple[Pool, Client]:
        """The client of a request to the token endpoint (UP92).

        Raises
        ------
        OAuthError
            invalid_client, invalid_request.
        """
        basic = read_basic(authorization)
        secret = given.get("client_secret")
        if basic is not None and (secret is not None or given.get("client_id", basic[0]) != basic[0]):
            raise OAuthError("the client authenticates in two ways", code="invalid_request")
        client_id, secret = basic if basic is not None else (given.get("client_id", ""), secret)
        client = self._state.tables.clients.get(client_id)
        if client is None or not self._is_secret(client, secret):
            raise OAuthError("the client is not known, or its secret is wrong", code="invalid_client", status=status)
        self._state.note(client=client.id, pool=client.pool)
        return self._state.pool(client.pool), client

    @takes_secrets("authorization", forms=("parameters",))
    def oauth_token(self, parameters: Parameters, *, authorization: str | None = None) -> Json:
        """`/oauth2/token`, with the parameters of the form and the header `Authorization`. The answer must not be cached.

        Raises
        ------
        OAuthError
            the grant is refused.
        """
        with self._state.event("OAuthToken"):
            given = read_parameters(parameters)
            pool, client = self._authenticate(given, authorization)
            grant = given.get("grant_type")
            if grant == "authorization_code":
                return self._redeem(pool, client, given)
            if grant == "refresh_token":
                return self._refresh_oauth(pool, client, given)
            if grant == "client_credentials":
                return self._client_credentials(pool, client, given)
            raise OAuthError("the grant is not supported", code="unsupported_grant_type")

    def _redeem(self, pool: Pool, client: Client, given: Json) -> Json:
        """A code for tokens; a second use revokes those of the first (UP91)."""
        if "code" not in client.oauth_flows:
            raise OAuthError("the client does not allow this grant", code="unauthorized_client")
        content = self._state.open("code", given.get("code", ""))
        if content is None or content["c"] != client.id or content["redirect"] != given.get("redirect_uri"):
            raise OAuthError("the code is not valid", code=_GRANT)
        if not still_allowed(client, content):
            raise OAuthError("the client has changed since", code=_GRANT)
        verifier = given.get("code_verifier")
        if content["challenge"]:
            is_right = verifier is not None and _VERIFIER.fullmatch(verifier) and _s256(verifier) == content["challenge"]
        else:
            is_right = verifier is None
        if not is_right:
            raise OAuthError("the code verifier is not right", code=_GRANT)
        user = self._state.tables.users.get(f"{pool.id}/{content['s']}")
        if self._state.is_spent(content):
            self._revoke_spent(content)
            raise OAuthError("the code was used", code=_GRANT)
        if user is None or self._state.is_over(content):
            raise OAuthError("the code is over", code=_GRANT)
        try:
            return issue_oauth(self, pool, client, user, content, content["m"], with_refresh=True, spend=content)
        except NotAuthorizedError:  # another call has used the code meanwhile
            self._revoke_spent(content)
        raise OAuthError("the code was used", code=_GRANT)

    def _revoke_spent(self, content: Json) -> None:
        with self._state.transaction():
            spent = self._state.tables.spent.get(content["id"])
            sign_in = None if spent is None else self._state.tables.sign_ins.get(spent.sign_in)
            if spent is not None and sign_in is not None:
                self._state.put("sign_ins", spent.sign_in, replace(sign_in, revoked=True))
                self._state.note(sub=sign_in.sub, origin_jti=sign_in.origin)

    def _refresh_oauth(self, pool: Pool, client: Client, given: Json) -> Json:
        if "code" not in client.oauth_flows:
            raise OAuthError("the client does not allow this grant", code="unauthorized_client")
        content = self._state.open("refresh", given.get("refresh_token", ""))
        try:
            if client.grace is not None:
                answer = rotated_tokens(self, pool, client, content, client.grace, {})
            else:
                user, key, record = opened_sign_in(self, client, content)
                answer = renewed_tokens(self, pool, client, user, key, record, {})
        except (NotAuthorizedError, CognitoError) as error:
            if error.code not in ("NotAuthorizedException", "RefreshTokenReuseException"):
                raise
            raise OAuthError("the refresh token is not valid", code=_GRANT) from None
        result = answer["AuthenticationResult"]
        refresh = {"refresh_token": result["RefreshToken"]} if "RefreshToken" in result else {}
        return as_oauth(result) | refresh

    def _client_credentials(self, pool: Pool, client: Client, given: Json) -> Json:
        """An access token for the client itself (UP94)."""
        if client.oauth_flows != ("client_credentials",) or not self._has_secret(client):
            raise OAuthError("the client does not allow this grant", code="unauthorized_client", rule="UP94")
        scopes = read_client_scopes(client, given.get("scope"))
        now = int(self._state.now().timestamp())
        claims = {
            "sub": client.id,
            "iss": pool.issuer,
            "client_id": client.id,
            "token_use": "access",
            "scope": " ".join(scopes),
            "auth_time": now,
            "iat": now,
            "exp": now + client.access_validity,
            "jti": self._state.new_id(),
            "version": 2,
        }
        claims = self._tokens.overridden_client_claims(pool, client, claims)
        access = self._tokens.sign(pool, "access", claims)
        return {"access_token": access, "expires_in": client.access_validity, "token_type": "Bearer"}

    # -- other endpoints --------------------------------------------------------------------------------------------------

    @takes_secrets("access_token")
    def oauth_user_info(self, access_token: str) -> Json:
        """`/oauth2/userInfo` with the bearer token.

        Raises
        ------
        OAuthError
            invalid_token, with status 401.
        """
        with self._state.event("OAuthUserInfo"):
            try:
                access = self._tokens.access(access_token, "openid")
            except NotAuthorizedError:
                raise OAuthError("the access token is not valid here", code="invalid_token", status=401, rule="UP95") from None
            values = readable_attributes(access.client, access.user, access.scopes)
            return {"sub": access.user.sub, **values, "username": access.user.username}

    @takes_secrets("authorization", forms=("parameters",))
    def oauth_revoke(self, parameters: Parameters, *, authorization: str | None = None) -> None:
        """`/oauth2/revoke`. A token that cannot be read is not an error (RFC 7009).

        Raises
        ------
        OAuthError
            invalid_client with status 401; unsupported_token_type, unauthorized_client, invalid_request.
        """
        with self._state.event("OAuthRevoke"):
            given = read_parameters(parameters)
            _, client = self._authenticate(given, authorization, status=401)
            if "token" not in given:
                raise OAuthError("`token` is missing", code="invalid_request", rule="UP95")
            codes = {
                "UnsupportedTokenTypeException": "unsupported_token_type",
                "UnauthorizedException": "unauthorized_client",
                "UnsupportedOperationException": "invalid_request",
            }
            try:
                revoke_sign_in(self, client, hidden(given["token"]))
            except CognitoError as error:
                if error.code in codes:
                    raise OAuthError(error.message, code=codes[error.code], rule="UP95") from None

    def get_openid_configuration(self, user_pool_id: str) -> Json:
        """The discovery document of a pool, `/.well-known/openid-configuration`."""
        with self._state.event("GetOpenIdConfiguration"):
            pool = self._state.pool(user_pool_id)
            document: Json = {
                "issuer": pool.issuer,
                "jwks_uri": f"{pool.issuer}/.well-known/jwks.json",
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "token"],
                "scopes_supported": ["openid", "email", "phone", "profile"],
                "subject_types_supported": ["public"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
            }
            if any(domain.pool == pool.id for domain in self._state.tables.domains.values()):
                host = host_of(self._state, pool)
                for name, path in (
                    ("authorization_endpoint", "oauth2/authorize"),
                    ("token_endpoint", "oauth2/token"),
                    ("userinfo_endpoint", "oauth2/userInfo"),
                    ("revocation_endpoint", "oauth2/revoke"),
                    ("end_session_endpoint", "logout"),
                ):
                    document[name] = f"https://{host}/{path}"
            return document


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
