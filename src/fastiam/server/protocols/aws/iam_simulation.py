"""IAM's policy simulator, and the context keys of policies (G152, G153). A simulated request grants nothing."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from fastiam.directory.principal_refs import parse_principal
from fastiam.directory.records import Entity, Group
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.errors import PolicyError, RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.decision import Layer, Outcome
from fastiam.model.explanation import Explanation, MatchedStatement
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy, PolicyKind
from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.model.request import shorten
from fastiam.model.source_map import position_of
from fastiam.policy.document import read_policy
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.errors import ApiError
from fastiam.server.protocols.aws.operations import Operation
from fastiam.server.protocols.aws.pages import page
from fastiam.server.protocols.aws.permissions import Permission
from fastiam.server.protocols.aws.query import read_timestamp
from fastiam.simulation.profiles import profiles_from_documents

_MAX_RESOURCES = 200  # of one call: each action is decided on each of them
_MAX_DOCUMENTS = 32
_VARIABLE = re.compile(r"\$\{([^{}]+)\}")
_LITERALS = frozenset("*?$")
_OF_A_USER = frozenset({"aws:username", "aws:userid"})
_WORDS = {Outcome.ALLOW: "allowed", Outcome.EXPLICIT_DENY: "explicitDeny"}
_IMPLICIT: Final = "implicitDeny"
_STRICTEST = ("explicitDeny", _IMPLICIT, "allowed")


@dataclass(slots=True)
class _Policies:
    """Policies of a simulation by layer, and the source of each: id and type for `MatchedStatements`."""

    identity: list[Policy] = field(default_factory=list)
    boundary: list[Policy] | None = None
    sources: dict[str, tuple[str, str, Policy]] = field(default_factory=dict)

    def add(self, policy: Policy, id_: str, type_: str, *, is_boundary: bool = False) -> None:
        """Add a policy, under a name of its own. A policy that is attached twice is added once."""
        name = f"boundary {id_}" if is_boundary else id_
        if name in self.sources:
            return
        named = replace(policy, name=name, arn=None)
        self.sources[name] = (id_, type_, named)
        if is_boundary:
            self.boundary = [*(self.boundary or ()), named]
        else:
            self.identity.append(named)


# -- operations -----------------------------------------------------------------------------------------------------------


def simulate_principal_policy(call: Call) -> Result:
    """SimulatePrincipalPolicy: the stored policies of a user, group or role, and those that are sent."""
    given = call.parameters
    if "PolicyExclusionList" in given:
        raise ApiError("InvalidInput", "PolicyExclusionList is not supported.")
    source = _source(call)
    caller = given.get("CallerArn") or (None if isinstance(source, Group) else source.arn)
    if "ResourcePolicy" in given and "CallerArn" not in given and not _is_user(source):
        raise ApiError("InvalidInput", "CallerArn is required with ResourcePolicy, unless the source is a user.")
    policies = _Policies()
    for stored, id_, type_ in _stored(source, call):
        policies.add(_stored_policy(stored), id_, type_)
    if not isinstance(source, Group) and source.boundary is not None and "PermissionsBoundaryPolicyInputList" not in given:
        policies.boundary = []
        for stored, id_, type_ in _boundary(source, call):
            policies.add(_stored_policy(stored), id_, type_, is_boundary=True)
    _add_sent(call, policies)
    return _simulate(call, _profile(call, caller), policies)


def simulate_custom_policy(call: Call) -> Result:
    """SimulateCustomPolicy: the policies that are sent, with no others."""
    policies = _Policies()
    _add_sent(call, policies)
    given = call.parameters.get("OrderedOrganizationPolicyInputList", ())
    levels = tuple(
        tuple(_read(text, PolicyKind.SCP) for text in level.get("ServiceControlPolicyInputList", ())) for level in given
    )
    profile = _profile(call, call.parameters.get("CallerArn"))
    note = "" if levels else "not_given"
    return _simulate(call, replace(profile, scps=levels or None, scp_note=note), policies)


def get_context_keys_for_custom_policy(call: Call) -> Result:
    """GetContextKeysForCustomPolicy."""
    return {"ContextKeyNames": _keys_of(_documents(call, "PolicyInputList"))}


def get_context_keys_for_principal_policy(call: Call) -> Result:
    """GetContextKeysForPrincipalPolicy."""
    stored = [policy.text for policy, _, _ in _stored(_source(call), call)]
    return {"ContextKeyNames": _keys_of(_documents(call, "PolicyInputList"), stored)}


# -- policies -------------------------------------------------------------------------------------------------------------

_Sourced = tuple[StoredPolicy, str, str]  # a policy, its id in `MatchedStatements`, and its type there


def _source(call: Call) -> Entity | Group:
    """The user, group or role of `PolicySourceArn`."""
    arn = call.parameters["PolicySourceArn"]
    entity, group = call.tables.entities.get(arn), call.tables.groups.get(arn)
    source = group if entity is None or entity.kind is PrincipalKind.ROOT else entity
    if source is None or source.account != call.account:
        raise ApiError("NoSuchEntity", f"The entity {arn} cannot be found.")
    return source


def _is_user(source: Entity | Group) -> bool:
    return isinstance(source, Entity) and source.kind is PrincipalKind.USER


def _stored(source: Entity | Group, call: Call) -> Iterator[_Sourced]:
    """The identity policies of a source: its own, and for a user those of its groups."""
    type_ = "group" if isinstance(source, Group) else "user" if _is_user(source) else "role"
    for stored in source.inline:
        yield stored, f"{type_}_{source.name}_{stored.name}", type_
    for arn in source.attached:
        yield from _managed(arn, call)
    for arn in source.groups if isinstance(source, Entity) else ():
        group = call.tables.groups.get(arn)
        if group is not None:
            yield from _stored(group, call)


def _boundary(source: Entity, call: Call) -> Iterator[_Sourced]:
    for number, item in enumerate(source.boundary or ()):
        if isinstance(item, StoredPolicy):
            yield item, f"boundary_{source.name}_{number}", "user" if _is_user(source) else "role"
        else:
            yield from _managed(item, call)


def _managed(arn: str, call: Call) -> Iterator[_Sourced]:
    """A managed policy by its ARN; one without a record grants nothing."""
    policy = call.tables.managed.get(arn)
    if policy is not None:
        yield policy.document, arn, "aws-managed" if arn.split(":")[4] == "aws" else "user-managed"


def _stored_policy(stored: StoredPolicy) -> Policy:
    """The policy with the positions of its own text; the text of a loaded one may be a part of a file."""
    return read_policy(stored.text, stored.kind, mode="lenient", name=stored.name)


def _add_sent(call: Call, policies: _Policies) -> None:
    """Add the policies of the request. A boundary that is sent replaces the stored one."""
    for number, text in enumerate(_documents(call, "PolicyInputList"), 1):
        policies.add(_read(text, PolicyKind.IDENTITY), f"PolicyInputList.{number}", "none")
    for number, text in enumerate(_documents(call, "PermissionsBoundaryPolicyInputList"), 1):
        policies.boundary = policies.boundary or []
        id_ = f"PermissionsBoundaryPolicyInputList.{number}"
        policies.add(_read(text, PolicyKind.BOUNDARY), id_, "none", is_boundary=True)


def _documents(call: Call, parameter: str) -> list[str]:
    texts = list(call.parameters.get(parameter, ()))
    if len(texts) > _MAX_DOCUMENTS:
        raise ApiError("InvalidInput", f"{parameter} has more than {_MAX_DOCUMENTS} policies.")
    return texts


def _read(text: str, kind: PolicyKind) -> Policy:
    try:
        if not text.lstrip(" \t\r\n").startswith("{"):
            raise ApiError("InvalidInput", "A policy is a JSON object.")
        return read_policy(text, kind, mode="strict", name="policy")
    except PolicyError as error:
        raise ApiError("InvalidInput", f"Invalid policy document: {error.findings[0].message}") from None


# -- the request ----------------------------------------------------------------------------------------------------------


def _profile(call: Call, caller: str | None) -> PrincipalProfile:
    """The caller of the simulation without its policies, with the SCPs of the account. Without an ARN, any user."""
    if "CallerArn" in call.parameters and _kind(caller or "") is not PrincipalKind.USER:
        raise ApiError("InvalidInput", "CallerArn must be the ARN of a user.")
    name = caller or call.new_arn("user", "simulated")
    profile = replace(call.engine.snapshot.principal(name), known=True)
    if caller is None:
        profile = replace(profile, keys={key: value for key, value in profile.keys.items() if key not in _OF_A_USER})
    return profile


def _kind(arn: str) -> PrincipalKind | None:
    try:
        return parse_principal(arn).kind
    except RequestValueError:
        return None


def _context(call: Call) -> dict[str, str | list[str]]:
    """The context of the request, checked by the types that it states."""
    context: dict[str, str | list[str]] = {}
    for entry in call.parameters.get("ContextEntries", ()):
        name, type_ = entry.get("ContextKeyName"), entry.get("ContextKeyType", "string")
        values = entry.get("ContextKeyValues", [])
        if not name or any(fold(name) == fold(other) for other in context):
            raise ApiError("InvalidInput", "A context entry has no name, or the name of another one.")
        is_list, check = type_.endswith("List"), _CHECKS[type_.removesuffix("List")]
        if not all(map(check, values)) or (not is_list and len(values) != 1):
            raise ApiError("InvalidInput", f"The values of {shorten(name)} are not of the type {type_}.")
        context[name] = list(values) if is_list else values[0]
    return context


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def _is_base64(text: str) -> bool:
    try:
        return base64.b64decode(text, validate=True) is not None
    except (binascii.Error, ValueError):
        return False


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "string": lambda text: True,
    "numeric": _is_number,
    "boolean": lambda text: text.lower() in ("true", "false"),
    "ip": _is_address,
    "binary": _is_base64,
    "date": lambda text: _is_number(text) or read_timestamp(text) is not None,
}


def _owner(call: Call) -> str | None:
    """The account of `ResourceOwner`, an account id or an ARN."""
    owner = call.parameters.get("ResourceOwner")
    if owner is None or is_account(owner):
        return owner
    arn = split_arn(owner)
    if arn is None or not is_account(arn.account):
        raise ApiError("InvalidInput", "ResourceOwner is not an account id or an ARN.")
    return arn.account


# -- results --------------------------------------------------------------------------------------------------------------


def _simulate(call: Call, profile: PrincipalProfile, policies: _Policies) -> Result:
    """One page of results, in the order of the actions."""
    given = call.parameters
    if "ResourceHandlingOption" in given:
        raise ApiError("InvalidInput", "ResourceHandlingOption is not supported.")
    resources = given.get("ResourceArns") or ["*"]
    if len(resources) > _MAX_RESOURCES:
        raise ApiError("InvalidInput", f"ResourceArns has more than {_MAX_RESOURCES} resources.")
    boundary = None if policies.boundary is None else tuple(policies.boundary)
    simulated = replace(
        profile,
        identity_policies=tuple(policies.identity),
        boundary=boundary,
        bounded=boundary is not None,
    )
    simulation = _Simulation(call, simulated, policies, _context(call), _owner(call))
    numbered = list(enumerate(given["ActionNames"]))
    if "ResourcePolicy" in given:
        policies.sources["resource_policy"] = ("ResourcePolicy", "resource", _read(given["ResourcePolicy"], PolicyKind.RESOURCE))
    return page(
        call, "EvaluationResults", numbered, lambda each: f"{each[0]:06d}", lambda each: simulation.result(each[1], resources)
    )


@dataclass(frozen=True, slots=True)
class _Simulation:
    """One simulation: caller, policies and context."""

    call: Call
    profile: PrincipalProfile
    policies: _Policies
    context: Mapping[str, str | list[str]]
    owner: str | None

    def result(self, action: str, resources: Sequence[str]) -> dict[str, Any]:
        """The result of an action on all resources; with several, the strictest of them."""
        found = [self._decide(action, resource) for resource in resources]
        results = [self._members(each, resource) for each, resource in zip(found, resources, strict=True)]
        strictest = min((each["EvalDecision"] for each in results), key=_STRICTEST.index)
        whole = {"EvalActionName": action} | results[0] | {"EvalDecision": strictest}
        detail = {} if self.profile.scps is None else {"AllowedByOrganizations": all(map(_is_allowed_by_scps, found))}
        whole |= {"OrganizationsDecisionDetail": detail} if detail else {}
        if len(resources) == 1:
            return whole
        whole["EvalResourceName"] = "*"
        whole["MissingContextValues"] = list(dict.fromkeys(key for each in results for key in each["MissingContextValues"]))
        whole["MatchedStatements"] = [each for result in results for each in result["MatchedStatements"]]
        whole["ResourceSpecificResults"] = [_specific(each) for each in results]
        if self.profile.boundary is not None:
            whole["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": all(map(_is_in_boundary, found))}
        return whole

    def _decide(self, action: str, resource: str) -> Explanation:
        """Decide one request, by the evaluator that explains."""
        from fastiam.spec import decide  # PERF: other operations do not need it

        text = self.call.parameters.get("ResourcePolicy")
        try:
            _, target, endpoint, request = profiles_from_documents(
                self.profile.name,
                action,
                resource,
                context=self.context,
                now=self.call.now,
                resource_account=self.owner,
                resource_policy=text,
            )
            return decide(self.profile, target, request, endpoint=endpoint)
        except RequestValueError as error:
            raise ApiError("InvalidInput", error.message) from None
        except PolicyError as error:
            raise ApiError("InvalidInput", f"Invalid policy document: {error.findings[0].message}") from None

    def _members(self, found: Explanation, resource: str) -> dict[str, Any]:
        matched = [*found.denies, *(each for each in found.statements if each not in found.denies)]
        members: dict[str, Any] = {
            "EvalResourceName": resource,
            "EvalDecision": _WORDS.get(found.decision.outcome, _IMPLICIT),
            "MatchedStatements": [each for each in map(self._matched, matched) if each is not None],
            "MissingContextValues": list(found.absent_keys),
        }
        if self.profile.boundary is not None:
            members["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": _is_in_boundary(found)}
        return members

    def _matched(self, matched: MatchedStatement) -> dict[str, Any] | None:
        """A statement that applies, with the place of its braces. SCPs are not shown, as on AWS."""
        known = self.policies.sources.get(matched.ref.policy)
        if known is None or matched.ref.layer in (Layer.SCP, Layer.RCP):
            return None
        id_, type_, policy = known
        return {"SourcePolicyId": id_, "SourcePolicyType": type_} | _places(policy, matched.ref.index)


def _specific(members: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {"EvalDecision": "EvalResourceDecision"}
    return {renamed.get(name, name): value for name, value in members.items()}


def _is_allowed_by_scps(found: Explanation) -> bool:
    return _allows(found, Layer.SCP)


def _is_in_boundary(found: Explanation) -> bool:
    return _allows(found, Layer.BOUNDARY)


def _allows(found: Explanation, layer: Layer) -> bool:
    """Whether no level of a layer denies."""
    return not any(each.layer is layer and each.result.endswith("deny") for each in found.limits)


def _places(policy: Policy, index: int) -> dict[str, dict[str, int]]:
    """Line and column of the braces of a statement, both from 1."""
    origin = None if policy.origin is None else policy.origin.child("Statement", index)
    start = None if origin is None else origin.position()
    if origin is None or start is None or origin.source.text is None:
        return {}
    end = position_of(start.source, origin.source.text, start.end - 1, start.end)
    return {
        "StartPosition": {"Line": start.line, "Column": start.column},
        "EndPosition": {"Line": end.line, "Column": end.column},
    }


# -- context keys ---------------------------------------------------------------------------------------------------------


def _keys_of(sent: Iterable[str], stored: Iterable[str] = ()) -> list[str]:
    """The keys and variables of documents in the order of their appearance; the first spelling of each."""
    found: dict[str, str] = {}
    sent = list(sent)
    for text in sent:
        _read(text, PolicyKind.IDENTITY)
    for text in (*stored, *sent):
        for name in _names_in(json.loads(text)):
            found.setdefault(fold(name), name)
    return list(found.values())


def _names_in(value: object, *, is_operator: bool = False, is_block: bool = False) -> Iterator[str]:
    """The keys of condition blocks and the variables of texts."""
    match value:
        case str():
            for variable in _VARIABLE.findall(value):
                name = variable.partition(",")[0].strip()
                if name not in _LITERALS:
                    yield name
        case list():
            for item in value:
                yield from _names_in(item)
        case dict():
            for key, item in value.items():
                if is_operator:
                    yield key
                yield from _names_in(item, is_operator=is_block, is_block=key == "Condition" and not (is_block or is_operator))


_ONE = (Permission(p.given("PolicySourceArn")),)
_ANY = (Permission(p.everything),)

OPERATIONS = {
    "SimulatePrincipalPolicy": Operation(simulate_principal_policy, _ONE),
    "SimulateCustomPolicy": Operation(simulate_custom_policy, _ANY),
    "GetContextKeysForCustomPolicy": Operation(get_context_keys_for_custom_policy, _ANY),
    "GetContextKeysForPrincipalPolicy": Operation(get_context_keys_for_principal_policy, _ONE),
}
