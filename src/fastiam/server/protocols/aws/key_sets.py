"""The public keys of Cognito, at the paths where clients of AWS read them. These requests are not signed."""

from __future__ import annotations

import re
from typing import Final

import orjson

from fastiam.server.http import Request
from fastiam.server.protocols.aws.services import Services

_IDENTITY_POOLS: Final = "/.well-known/jwks_uri"
_USER_POOL = re.compile(r"/([A-Za-z0-9-]{1,30}_[A-Za-z0-9]{1,40})/\.well-known/jwks\.json")


def is_key_set_request(request: Request, path: str) -> bool:
    """Whether a request is for public keys, by method and path below the mount."""
    return request.method == "GET" and (path == _IDENTITY_POOLS or _USER_POOL.fullmatch(path) is not None)


def key_set(path: str, services: Services) -> bytes:
    """The keys of a user pool, or of all identity pools, as JSON.

    Raises
    ------
    CognitoError
        `ResourceNotFoundException`: there is no such user pool.
    """
    found = _USER_POOL.fullmatch(path)
    if found is None:
        return services.identity_pools.jwks().encode()
    services.sts.directory.refresh()
    return orjson.dumps(services.user_pools.get_jwks(found[1]))
