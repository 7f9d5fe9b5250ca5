"""Principal tags: session tags from claims of the logins (ID60)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastiam.cognito.cognito_errors import NotAuthorizedError
from fastiam.cognito.identity_pools.roles import claim_text
from fastiam.cognito.identity_pools.verified import VerifiedLogin
from fastiam.credentials.sts_errors import ValidationError
from fastiam.directory.identity_pool_records import IdentityPool, PrincipalTagMap
from fastiam.federation.audit import Entry
from fastiam.model.key_registry import fold
from fastiam.sts.parameter_limits import read_session_tags

MAX_BYTES = 460  # of all keys and values
NAME_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
NAME_ID_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
_DEFAULTS: Mapping[str, str] = {"username": "sub", "client": "aud"}
_SAML_DEFAULTS: Mapping[str, str] = {"username": NAME_ID_CLAIM, "client": NAME_CLAIM}


def tags_of(pool: IdentityPool, logins: Sequence[VerifiedLogin], entry: Entry) -> dict[str, str]:
    """The session tags of a call. Keys come from the maps of the pool, never from a token; developer tags are the backend's.

    Raises
    ------
    NotAuthorizedError
        a value is not a tag value, two logins differ in a tag, or the tags are too large.
    """
    tags: dict[str, str] = {}
    for login in logins:
        for key, value in _of_login(pool, login, entry).items():
            known = next((other for other in tags if fold(other) == fold(key)), key)
            if tags.setdefault(known, value) != value:
                raise _refused(f"two logins differ in the tag `{key}`")
    try:
        read_session_tags(tags, (), {})
    except ValidationError as error:
        raise _refused(f"a principal tag is not a session tag [{error.rule}]") from None
    size = sum(len(text.encode()) for pair in tags.items() for text in pair)
    if size > MAX_BYTES:
        raise _refused(f"the principal tags take {size} bytes, the limit is {MAX_BYTES}")
    return tags


def _of_login(pool: IdentityPool, login: VerifiedLogin, entry: Entry) -> dict[str, str]:
    tags = dict(login.tags)
    for key, claim in claims_of(pool.tag_maps.get(login.tag_map), login.tag_map).items():
        value = login.claims.get(claim)
        text = claim_text(value)
        if text is not None:
            tags[key] = text
        elif value is not None:
            entry.warn(f"the claim of the tag `{key}` is a list or an object; there is no tag")
    return tags


def claims_of(map_: PrincipalTagMap | None, provider: str) -> Mapping[str, str]:
    """Tag key to claim name, for the logins of a provider."""
    if map_ is None:
        return {}
    if map_.use_defaults:
        return _SAML_DEFAULTS if ":saml-provider/" in provider else _DEFAULTS
    return map_.principal_tags


def _refused(message: str) -> NotAuthorizedError:
    return NotAuthorizedError(message, reason="tags", rule="ID60")
