"""Whether the caller's context contradicts what a directory or a session knows (spec K1)."""

from __future__ import annotations

from collections.abc import Mapping

from fastiam.errors import RequestValueError
from fastiam.model.key_registry import key_info
from fastiam.model.profile import EndpointProfile, PrincipalProfile, ResourceProfile
from fastiam.model.request import ContextValue
from fastiam.resolve.accounts import Accounts
from fastiam.resolve.derived_keys import organization_keys

Keys = Mapping[str, ContextValue]
_IAM_TAG, _TAG = "iam:resourcetag/", "aws:resourcetag/"
_CLOCK = ("aws:currenttime", "aws:epochtime")  # the caller may pass the instant of a replayed request (K5)


def check_context(
    accounts: Accounts, principal: PrincipalProfile, resource: ResourceProfile, endpoint: EndpointProfile | None, context: Keys
) -> None:
    """Raise at the first value that contradicts a derived key of a known subject.

    Raises
    ------
    RequestValueError
        the value differs from the derived one, or the subject is known not to have the key.
    """
    if not context:
        return
    check_principal(principal, context)
    if resource.account is not None and not resource.assumed_owner:
        _check_owner(accounts, resource, context)
    _check_equal(_tags(resource.keys), _aliases_replaced(context))
    if endpoint is not None:
        _check_equal(endpoint.keys, context)
        if "aws:vpceaccount" in endpoint.keys:
            _check_organization(accounts, "vpce", endpoint.keys["aws:vpceaccount"].values[0], context)
    source = context.get("aws:sourceaccount")
    if source is not None and len(source.values) == 1:
        _check_organization(accounts, "source", source.values[0], context)


def check_principal(principal: PrincipalProfile, context: Keys) -> None:
    """`check_context` for the keys of the principal only."""
    if not principal.known:
        return
    prefixes = tuple(key for key in principal.absent_keys if key.endswith("/"))
    for key, value in context.items():
        derived = principal.keys.get(key)
        if derived is not None:
            if key not in principal.open_keys and key not in _CLOCK:
                _check_one(key, value, derived)
        elif key in principal.absent_keys or key.startswith(prefixes):
            raise RequestValueError(
                f"`{principal.name}` is known not to have `{value.name or key}`", column=value.name or key, hint=_HINT
            )


def _check_owner(accounts: Accounts, resource: ResourceProfile, context: Keys) -> None:
    _check_equal({key: value for key, value in resource.keys.items() if not key.startswith(_TAG)}, context)
    _check_organization(accounts, "resource", resource.account, context)


def _check_organization(accounts: Accounts, whose: str, account: str | None, context: Keys) -> None:
    """The organization of an account that is known, or that it is in none (5.4)."""
    if account is None or not accounts.is_known(account):
        return
    facts = accounts.facts(account)
    derived = organization_keys(whose, facts.org_id, facts.org_path)
    _check_equal(derived, context)
    for key in (f"aws:{whose}orgid", f"aws:{whose}orgpaths"):
        if key in context and key not in derived:
            raise RequestValueError(
                f"account `{account}` is known to be in no organization", column=context[key].name or key, hint=_HINT
            )


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


_HINT = "leave the key out, or null in that row of a column: the engine derives it from its directory or the session (spec K1)"


def _tags(keys: Keys) -> Keys:
    return {key: value for key, value in keys.items() if key.startswith(_TAG)}


def _aliases_replaced(context: Keys) -> Keys:
    """`iam:ResourceTag/k` is equivalent to `aws:ResourceTag/k` (5.5)."""
    aliases = {_TAG + key[len(_IAM_TAG) :]: value for key, value in context.items() if key.startswith(_IAM_TAG)}
    return {**aliases, **context} if aliases else context


def _is_same(key: str, given: ContextValue, derived: ContextValue) -> bool:
    """Letter by letter; of several values in any order.

    Another spelling of a truth value or an instant is not the same: conditions on text would read it, in place of what is known.
    """
    if given.values == derived.values:
        return not given.conflict
    info = key_info(key)
    return info is not None and info.multi and set(given.values) == set(derived.values)
