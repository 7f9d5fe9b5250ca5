"""The keys that the plans of a request read and that it lacks (spec D75)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastiam.model.decision import Layer
from fastiam.model.key_registry import SetBy, fold, key_info
from fastiam.model.policy import Effect, Policy, Statement
from fastiam.model.profile import EndpointProfile, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import Request
from fastiam.spec.actions import check_actions, split_action
from fastiam.spec.combining import decided_without_policies
from fastiam.spec.context import Sources, derive_context
from fastiam.spec.evaluate import decision_inputs
from fastiam.spec.layers import LayerInput, applicable_layers
from fastiam.spec.operators import OPERATORS
from fastiam.spec.resource_patterns import read_pattern
from fastiam.spec.three_valued import F, T
from fastiam.spec.unknown_keys import IAM_RESOURCE_TAG, RESOURCE_TAG
from fastiam.spec.variables import Variable, read_tokens, variables_of

_OWN = frozenset({Layer.IDENTITY, Layer.BOUNDARY, Layer.SESSION})
_DEFAULTED = frozenset({"aws:securetransport", "aws:useragent"})  # K2
# the clock and other keys determine these (5.4, K5, 7.6)
_DERIVED = frozenset(
    {
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:currenttime",
        "aws:epochtime",
        "aws:multifactorauthage",
        "aws:multifactorauthpresent",
        "aws:resourceaccount",
        "aws:resourceorgid",
        "aws:resourceorgpaths",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:tagkeys",
        "aws:viaawsservice",
        "aws:vpceaccount",
        "aws:vpceorgid",
        "aws:vpceorgpaths",
    }
)
_TAGS = (RESOURCE_TAG, IAM_RESOURCE_TAG)


def missing_keys(
    principal: PrincipalProfile,
    resource: ResourceProfile,
    request: Request,
    *,
    endpoint: EndpointProfile | None = None,
    settings: Settings | None = None,
    sources: Sources | None = None,
) -> frozenset[str]:
    """Return the folded keys that the plans of a request read and that neither the request nor the model supplies (D75).

    Arguments as in `decide`. A batch counts them for the keys that have no column.
    """
    settings = settings or Settings()
    action = split_action(request.action)
    if decided_without_policies(decision_inputs(principal, resource, action, settings)) is not None:
        return frozenset()
    context, unknown = derive_context(principal, resource, endpoint, request, settings, sources)
    read = keys_read(applicable_layers(principal, resource, endpoint, action, settings), action)
    return frozenset(
        key
        for key in read
        if _may_be_supplied(key, action)
        and key not in request.context
        and key not in unknown
        and (key in _DEFAULTED or key not in context)
    )


def keys_read(layers: tuple[LayerInput, ...], action: tuple[str, str]) -> frozenset[str]:
    """Return the folded keys that the plans of a request read: those of their statements, and of variables in these."""
    return frozenset(key for policy, statement in _statements(layers, action) for key in _keys_of(policy, statement))


def _may_be_supplied(key: str, action: tuple[str, str]) -> bool:
    """Whether the caller may know more of a key than the model does."""
    if key.startswith(_TAGS):
        return action != ("iam", "passrole")
    info = key_info(key)
    return key == "aws:requestedregion" or (key not in _DERIVED and (info is None or info.set_by is SetBy.REQUEST))


def _statements(layers: tuple[LayerInput, ...], action: tuple[str, str]) -> Iterator[tuple[Policy, Statement]]:
    """The statements of all plans: those whose actions match, none behind one that always applies."""
    ended: set[object] = set()
    for layer in layers:
        owner = "own" if layer.layer in _OWN else layer.layer
        for level, policies in enumerate(layer.levels or ()):
            for policy in policies:
                for statement in policy.statements:
                    is_deny = statement.effect is Effect.DENY
                    run = (owner, "Deny") if is_deny else (layer.layer, level)
                    found = T if statement.actions is None else check_actions(statement.actions, statement.not_action, action)
                    if run in ended or found is F or (layer.layer is Layer.RCP and not is_deny):
                        continue
                    yield policy, statement
                    is_tested = (
                        found is not T or (layer.names_principals and _names_some(statement)) or _is_tested(policy, statement)
                    )
                    if not is_tested and (is_deny or layer.layer is not Layer.RESOURCE):
                        ended.add(run)


def _is_tested(policy: Policy, statement: Statement) -> bool:
    """Whether a statement whose actions and principals match may not apply, or reads variables in its resources."""
    if statement.conditions or statement.undetermined or (statement.not_resource and statement.resources is not None):
        return True
    texts = statement.resources
    if texts is None:
        return False
    return all(not text or text.strip("*") for text in texts) or any(True for _ in _resource_names(policy, statement))


def _names_some(statement: Statement) -> bool:
    """Whether a principal element is another one than `"*"`."""
    entries = statement.principals
    return entries is not None and (statement.not_principal or [entry.type for entry in entries] != ["*"])


def _keys_of(policy: Policy, statement: Statement) -> Iterator[str]:
    for entry in statement.conditions:
        yield fold(entry.key)
        op = OPERATORS.get(entry.operator)  # None: `Null`
        if op is not None and op.variables:
            for text in entry.values:
                yield from _names(variables_of(read_tokens(text, policy.variables, op.wildcards)))
    yield from _resource_names(policy, statement)


def _resource_names(policy: Policy, statement: Statement) -> Iterator[str]:
    for text in statement.resources or ():
        if text.startswith("arn:"):
            yield from _names(read_pattern(text, policy.variables).variables)


def _names(variables: Iterable[Variable]) -> Iterator[str]:
    for variable in variables:
        if variable.name is not None:
            yield variable.name
