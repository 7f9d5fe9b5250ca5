"""The context of a decision (spec section 5): keys of the request, keys of the profiles, derived keys and defaults."""

from __future__ import annotations

from collections.abc import Callable

from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.profile import AccountFacts, EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import ContextValue, Request
from fastiam.spec.actions import split_action
from fastiam.spec.unknown_keys import (
    EPOCH,
    IAM_RESOURCE_TAG,
    MFA,
    NOW,
    REQUEST_TAG,
    RESOURCE_TAG,
    UnknownKeys,
    has_iam_tags,
    is_pass_role,
)
from fastiam.spec.values import date_text, read_date

Keys = dict[str, ContextValue]
Sources = Callable[[str], AccountFacts | None]


def derive_context(
    principal: PrincipalProfile,
    resource: ResourceProfile,
    endpoint: EndpointProfile | None,
    request: Request,
    settings: Settings,
    sources: Sources | None,
) -> tuple[Keys, UnknownKeys]:
    """The present keys by folded name, and the keys that are unknown.

    Keys of the request come first, then those of the profiles, then derived keys and defaults (K1 to K4). No key is both
    present and unknown (D71).
    """
    profiles: Keys = {**(endpoint.keys if endpoint else {}), **resource.keys, **principal.keys}
    unknown = UnknownKeys(principal, resource, profiles, request)
    context: Keys = {**profiles, **request.context}
    if is_pass_role(request):
        context = {key: value for key, value in context.items() if not key.startswith((RESOURCE_TAG, IAM_RESOURCE_TAG))}
    context = {key: value for key, value in context.items() if key not in unknown}
    derived: Keys = {}
    for derive in (_tags, _chain, _times):
        derived |= derive(context, request.now)
    derived |= _source_organization(context, sources)
    derived |= _defaults(principal, resource, request, settings)
    derived |= _mfa_age(principal, request.now)
    derived |= _mfa_in_chain(principal, context)
    derived |= _iam_tags(context, resource, request)
    for key, value in derived.items():
        if key not in context and key not in unknown:
            context[key] = value
    return context, unknown


def _single(text: str) -> ContextValue:
    return ContextValue((text,))


def _flag(value: bool) -> ContextValue:
    return _single("true" if value else "false")


def _tags(context: Keys, now: int) -> Keys:
    """`aws:TagKeys` lists the tags of the request as they are spelled; absent if there are none."""
    tags = [(key, value) for key, value in context.items() if key.startswith(REQUEST_TAG)]
    spelled = (value.name if fold(value.name) == key else key for key, value in tags)
    names = tuple(name[len(REQUEST_TAG) :] for name in spelled)
    return {"aws:tagkeys": ContextValue(names, multi=True)} if names else {}


def _chain(context: Keys, now: int) -> Keys:
    """The first and last service of a forward-access chain, and whether there is one (N1)."""
    chain = context.get("aws:calledvia")
    if chain is None:
        return {"aws:viaawsservice": _flag(False)}
    derived = {"aws:viaawsservice": _flag(True)}
    if not chain.conflict:
        derived |= {"aws:calledviafirst": _single(chain.values[0]), "aws:calledvialast": _single(chain.values[-1])}
    return derived


def _times(context: Keys, now: int) -> Keys:
    """Both clock keys have one instant: `now`, or that of the one clock key in the request (K5, C44)."""
    if NOW in context:
        return {EPOCH: _other_clock(context[NOW], str)}
    if EPOCH in context:
        return {NOW: _other_clock(context[EPOCH], date_text)}
    text = date_text(now)
    return {EPOCH: _single(str(now)), NOW: _single(str(now) if text is None else text)}


def _other_clock(given: ContextValue, write: Callable[[int], str | None]) -> ContextValue:
    """The same instant in the other notation, or the same text if the other notation cannot express it (K5)."""
    instant = read_date(given.values[0]) if len(given.values) == 1 else None
    text = write(instant[0]) if instant is not None and instant[1] == 0 else None
    return given if text is None else ContextValue((text,), given.multi)


def _source_organization(context: Keys, sources: Sources | None) -> Keys:
    """`aws:SourceOrgID` and `aws:SourceOrgPaths`, if the account of `aws:SourceAccount` is in an organisation (5.4)."""
    source = context.get("aws:sourceaccount")
    if source is None or sources is None or len(source.values) != 1:
        return {}
    facts = sources(source.values[0])
    derived: Keys = {}
    if facts is not None and facts.org_id is not None:
        derived["aws:sourceorgid"] = _single(facts.org_id)
    if facts is not None and facts.org_path is not None:
        derived["aws:sourceorgpaths"] = ContextValue((facts.org_path,), multi=True)
    return derived


def _defaults(principal: PrincipalProfile, resource: ResourceProfile, request: Request, settings: Settings) -> Keys:
    """Keys that AWS always sends (K2); the Region of global services (K6)."""
    derived = {"aws:securetransport": _flag(False), "aws:useragent": _single("")}
    arn = split_arn(resource.arn)
    partition = principal.partition if arn is None else arn.partition
    if arn is not None and arn.region:
        derived["aws:requestedregion"] = _single(arn.region)
    elif partition == "aws" and split_action(request.action)[0] in settings.global_services:
        derived["aws:requestedregion"] = _single("us-east-1")
    return derived


def _mfa_age(principal: PrincipalProfile, now: int) -> Keys:
    """Seconds since MFA (7.6)."""
    return {} if principal.mfa_at is None else {"aws:multifactorauthage": _single(str(now - principal.mfa_at))}


def _mfa_in_chain(principal: PrincipalProfile, context: Keys) -> Keys:
    """Calls that a service makes with the long-term key of a user have no MFA (7.6)."""
    return {MFA: _flag(False)} if principal.kind is PrincipalKind.USER and "aws:calledvia" in context else {}


def _iam_tags(context: Keys, resource: ResourceProfile, request: Request) -> Keys:
    """`iam:ResourceTag/k`, an alias of `aws:ResourceTag/k` for IAM users and roles (5.5)."""
    if not has_iam_tags(resource) or is_pass_role(request):
        return {}
    tags = ((key, value) for key, value in context.items() if key.startswith(RESOURCE_TAG))
    return {IAM_RESOURCE_TAG + key[len(RESOURCE_TAG) :]: value for key, value in tags}
