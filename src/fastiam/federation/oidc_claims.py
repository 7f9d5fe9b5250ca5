"""Which claims of a web identity token become condition keys, session tags and source identity (3.5, 3.6)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fastiam.credentials.sts_errors import ValidationError
from fastiam.credentials.text_rules import check_form
from fastiam.federation.federation_errors import IdentityTokenError
from fastiam.federation.oidc_token import Audience, has_control
from fastiam.model.request import shorten
from fastiam.sts import parameter_limits as limits

TAGS, SOURCE_IDENTITY = "https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity"
_PRINCIPAL, _TRANSITIVE = "principal_tags", "transitive_tag_keys"
_OWN_KEYS: Mapping[str, Collection[str]] = {
    "token.actions.githubusercontent.com": (
        "actor actor_id job_workflow_ref repository repository_id repository_owner_id workflow ref environment enterprise_id"
    ).split()
}


@dataclass(frozen=True, slots=True)
class SessionClaims:
    """What a token sets in the session."""

    tags: dict[str, str]
    transitive_tag_keys: tuple[str, ...]
    source_identity: str | None


def read_keys(
    prefix: str, claims: Mapping[str, Any], audience: Audience, further: Collection[str] = ()
) -> dict[str, str | list[str]]:
    """The condition keys of a token; no other claim is one (WI50).

    Parameters
    ----------
    prefix
        URL of the provider without `https://`.
    further
        claims that the operator has made keys of this issuer.

    Raises
    ------
    IdentityTokenError
        `amr` is not a list of texts, or a value cannot be compared.
    """
    keys: dict[str, str | list[str]] = {"aud": audience.effective, "oaud": audience.claimed, "sub": claims["sub"]}
    if "amr" in claims:
        methods = claims["amr"]
        if not isinstance(methods, list) or not all(isinstance(text, str) for text in methods):
            raise _refusal("the claim `amr` is not a list of texts", "WI50")
        if methods:
            keys["amr"] = methods
    if isinstance(claims.get("email"), str):
        keys["email"] = claims["email"]
    for name in (*_OWN_KEYS.get(prefix, ()), *further):
        value = claims.get(name)
        if name not in keys and isinstance(value, (str, int, float)):
            keys[name] = value if isinstance(value, str) else json.dumps(value)
    for name, value in keys.items():
        if any(has_control(text) for text in ([value] if isinstance(value, str) else value)):
            raise _refusal(f"the claim `{shorten(name)}` contains a control character", "FD3")
    return {f"{prefix}:{name}": value for name, value in keys.items()}


def read_session_claims(claims: Mapping[str, Any]) -> SessionClaims:
    """Step 9: the tags and the source identity of a token (WI60 to WI62).

    Raises
    ------
    IdentityTokenError
        a claim has another form, or breaks a rule of session tags.
    """
    tags, transitive = _nested(claims) if TAGS in claims else _single_claims(claims)
    source_identity = claims.get(SOURCE_IDENTITY)
    try:
        limits.read_session_tags(tags, transitive, {})
        if SOURCE_IDENTITY in claims:
            check_form(source_identity, limits.SOURCE_IDENTITY)
    except ValidationError as error:
        raise _refusal(error.message, "WI62" if error.rule == "1.7" and "source identity" in error.message else "WI61") from None
    return SessionClaims(tags, tuple(transitive), source_identity)


def _nested(claims: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    value = claims[TAGS]
    if any(name.startswith(f"{TAGS}/") for name in claims):
        raise _refusal("the token has tag claims in both forms", "WI60")
    if not isinstance(value, dict) or not value.keys() <= {_PRINCIPAL, _TRANSITIVE} or _PRINCIPAL not in value:
        raise _refusal(f"the claim `{TAGS}` is not an object with `{_PRINCIPAL}` and `{_TRANSITIVE}`", "WI60")
    tags = value[_PRINCIPAL]
    if not isinstance(tags, dict):
        raise _refusal(f"`{_PRINCIPAL}` is not an object", "WI60")
    return {key: _tag_value(text) for key, text in tags.items()}, _transitive_keys(value.get(_TRANSITIVE, []))


def _single_claims(claims: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    tags: dict[str, str] = {}
    transitive: list[str] = []
    for name, value in claims.items():
        if not name.startswith(f"{TAGS}/"):
            continue
        word, slash, key = name.removeprefix(f"{TAGS}/").partition("/")
        if word == _PRINCIPAL and slash:
            tags[key] = _tag_value(value)
        elif word == _TRANSITIVE and not slash:
            transitive = _transitive_keys(value)
        else:
            raise _refusal(f"`{shorten(name)}` is not a tag claim", "WI60")
    return tags, transitive


def _tag_value(value: object) -> str:
    """One text, or a list of exactly one."""
    text = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(text, str):
        raise _refusal("the value of a tag is not a list of one text", "WI60")
    return text


def _transitive_keys(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise _refusal(f"`{_TRANSITIVE}` is not a list of texts", "WI60")
    return value


def _refusal(message: str, rule: str) -> IdentityTokenError:
    return IdentityTokenError(message, reason="token_invalid", rule=rule)
