"""Whether the caller's context contradicts what a directory or a session knows (spec K1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fastiam.account.accounts import Accounts
from fastiam.account.derive import organization_keys
from fastiam.errors import RequestValueError
from fastiam.keys import KeyType, key_info
from fastiam.profile import EndpointProfile, PrincipalProfile, ResourceProfile
from fastiam.request import ContextValue

Keys = Mapping[str, ContextValue]
_IAM_TAG, _TAG = "iam:resourcetag/", "aws:resourcetag/"
_RESOURCE_ORGANIZATION = ("aws:resourceorgid", "aws:resourceorgpaths")
_CLOCK = ("aws:currenttime", "aws:epochtime")  # the caller may pass the instant of a replayed request (K5)


def check_context(
    accounts: Accounts, principal: PrincipalProfile, resource: ResourceProfile, endpoint: EndpointProfile | None, context: Keys
) -> None:
    """Raise at the first value that contradicts a derived key of a known subject.

    Raises
    ------
    RequestValueError: the value differs from the derived one, or the subject is known not to have the key.
    """
    if not context:
        return
    if principal.known:
        _check_principal(principal, context)
    if resource.account is not None and not resource.assumed_owner:
        _check_owner(accounts, resource, context)
    _check_equal(_tags(resource.keys), _aliases_replaced(context))
    if endpoint is not None:
        _check_equal(endpoint.keys, context)
    _check_source(accounts, context)


def _check_principal(principal: PrincipalProfile, context: Keys) -> None:
    prefixes = tuple(key for key in principal.absent_keys if key.endswith("/"))
    for key, value in context.items():
        derived = principal.keys.get(key)
        if derived is not None:
            if key not in principal.open_keys and key not in _CLOCK:
                _check_one(key, value, derived)
        elif key in principal.absent_keys or (prefixes and key.startswith(prefixes)):
            raise RequestValueError(
                f"`{principal.name}` is known not to have `{value.name or key}`", column=value.name or key, hint=_HINT
            )


def _check_owner(accounts: Accounts, resource: ResourceProfile, context: Keys) -> None:
    _check_equal({key: value for key, value in resource.keys.items() if not key.startswith(_TAG)}, context)
    if accounts.is_known(resource.account):
        for key in _RESOURCE_ORGANIZATION:
            if key in context and key not in resource.keys:
                raise RequestValueError(
                    f"account `{resource.account}` is known to be in no organization", column=context[key].name or key, hint=_HINT
                )


def _check_source(accounts: Accounts, context: Keys) -> None:
    """`aws:SourceOrgID` and `aws:SourceOrgPaths` follow from `aws:SourceAccount` (5.4)."""
    source = context.get("aws:sourceaccount")
    if source is not None and len(source.values) == 1 and accounts.is_known(source.values[0]):
        facts = accounts.facts(source.values[0])
        _check_equal(organization_keys("source", facts.org_id, facts.org_path), context)


def _check_equal(derived: Keys, context: Keys) -> None:
    for key, value in derived.items():
        if key in context:
            _check_one(key, context[key], value)


def _check_one(key: str, given: ContextValue, derived: ContextValue) -> None:
    if not _is_same(key, given, derived):
        name = given.name or key
        raise RequestValueError(
            f"`{name}` is `{', '.join(given.values)}`, which contradicts the known value `{', '.join(derived.values)}`",
            column=name,
            hint=_HINT,
        )


_HINT = "leave the key out: the engine derives it from its directory or from the session (spec K1)"


def _tags(keys: Keys) -> Keys:
    return {key: value for key, value in keys.items() if key.startswith(_TAG)}


def _aliases_replaced(context: Keys) -> Keys:
    """`iam:ResourceTag/k` says the same as `aws:ResourceTag/k` (5.5)."""
    aliases = {_TAG + key[len(_IAM_TAG) :]: value for key, value in context.items() if key.startswith(_IAM_TAG)}
    return {**aliases, **context} if aliases else context


def _is_same(key: str, given: ContextValue, derived: ContextValue) -> bool:
    """Equal texts, and other spellings of one set, truth value or instant."""
    if given.values == derived.values:
        return not given.conflict
    info = key_info(key)
    if info is not None and info.multi:
        return set(given.values) == set(derived.values)
    if len(given.values) != 1 or len(derived.values) != 1 or info is None:
        return False
    one, other = given.values[0], derived.values[0]
    if info.type is KeyType.BOOL:
        return one.lower() == other.lower()
    return info.type is KeyType.DATE and _instant(one) is not None and _instant(one) == _instant(other)


def _instant(text: str) -> float | None:
    """The instant of a date text as callers write it, or None."""
    try:
        return int(text) if text.isdecimal() and len(text) != 4 else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
