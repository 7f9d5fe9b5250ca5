"""Simulated requests of IAM: the principal, the policies and the context that a call describes (G152).

The specification evaluator decides them, since only its explanation names all statements that match. Stored resource policies
and RCPs have no part in a simulation, as on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from fastiam.directory.account_records import Entity, Group, Tables
from fastiam.directory.principal_refs import parse_principal
from fastiam.directory.stored_policies import StoredPolicy, missing_policy
from fastiam.errors import PolicyError, RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.explanation import Explanation
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy, PolicyKind, Statement
from fastiam.model.profile import WITH_LONG_TERM_KEYS, PrincipalKind, PrincipalProfile
from fastiam.policy.document import read_policy
from fastiam.policy.variables import names
from fastiam.server.protocols.aws.aws_errors import ApiError, api_error
from fastiam.server.protocols.aws.calls import Call
from fastiam.simulation.profiles import profiles_from_documents
from fastiam.spec import decide
from fastiam.spec.values import read_address, read_binary, read_bool, read_date, read_number

_LIST: Final = "List"  # the ending of types with several values
_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "string": str,
    "numeric": read_number,
    "boolean": read_bool,
    "ip": read_address,
    "binary": read_binary,
    "date": read_date,
}
_STORED: Final = "IAM Policy"  # the type of a stored policy in results
_MAX_ACTION: Final = 128  # characters, by the model
_OF_STATEMENT, _OF_COMPARISON = 50, 50  # steps, roughly
_NAMES_CALLER = frozenset({"aws:username", "aws:userid", "aws:principalarn"})


@dataclass(frozen=True, slots=True)
class Source:
    """A policy of a simulation.

    `id` and `type` name it in results (`SourcePolicyId`, `SourcePolicyType`). `text` is what positions count in.
    """

    policy: Policy
    id: str
    type: str
    text: str

    @classmethod
    def of(cls, stored: StoredPolicy, id_: str, type_: str) -> Source:
        """A stored policy."""
        return cls(stored.policy, id_, type_, stored.text)


@contextmanager
def as_invalid_input() -> Iterator[None]:
    """Answer what cannot be read with `InvalidInput`, as the simulation calls do."""
    try:
        yield
    except (PolicyError, RequestValueError) as error:
        raise ApiError("InvalidInput", api_error(error).message) from None


# -- policies -------------------------------------------------------------------------------------------------------------


def given_policies(call: Call, parameter: str, kind: PolicyKind = PolicyKind.IDENTITY) -> list[Source]:
    """The documents of a list that a call sends."""
    texts = call.parameters.get(parameter, ())
    return [_given(text, kind, f"{parameter}.{number}") for number, text in enumerate(texts, 1)]


def _given(text: str, kind: PolicyKind, id_: str, type_: str = "none") -> Source:
    if not text.lstrip(" \t\r\n").startswith("{"):  # encoded once more: it is not decoded twice (G126)
        raise ApiError("InvalidInput", f"{id_} is not a JSON object.")
    with as_invalid_input():
        return Source(read_policy(text, kind, name=id_), id_, type_, text)


def policy_source(call: Call, tables: Tables) -> Entity | Group:
    """The user, group or role of `PolicySourceArn`, in the account of the caller.

    Raises
    ------
    ApiError
        `InvalidInput`: another kind of ARN. `NoSuchEntity`: it is absent, or in another account.
    """
    text = call.parameters["PolicySourceArn"]
    arn = split_arn(text)
    if arn is None or arn.service != "iam" or arn.rest.partition("/")[0] not in ("user", "group", "role"):
        raise ApiError("InvalidInput", f"{text} is not the ARN of a user, group or role.")
    found = tables.groups.get(text) or tables.entities.get(text)
    if found is None or found.account != call.account:
        raise ApiError("NoSuchEntity", f"The policy source {text} cannot be found.")
    return found


def stored_policies(tables: Tables, record: Entity | Group) -> list[Source]:
    """The policies of a user, group or role; of a user, those of its groups too. A missing one denies everything."""
    type_ = _type(record)
    found = [Source.of(stored, f"{type_}_{record.name}_{stored.name}", _STORED) for stored in record.inline]
    found += [_managed(tables, arn) for arn in record.attached]
    for arn in record.groups if isinstance(record, Entity) else ():
        group = tables.groups.get(arn)
        found += [_managed(tables, arn)] if group is None else stored_policies(tables, group)
    return found


def _type(record: Entity | Group) -> str:
    if isinstance(record, Group):
        return "group"
    return "user" if record.kind in WITH_LONG_TERM_KEYS else "role"


def _managed(tables: Tables, arn: str) -> Source:
    """The version in force of a managed policy."""
    managed = tables.managed.get(arn)
    if managed is None:
        return Source.of(missing_policy(arn), arn, "none")
    return Source.of(managed.document, arn.rpartition("/")[2], _STORED)


def _stored_boundary(tables: Tables, record: Entity | Group) -> list[Source] | None:
    if isinstance(record, Group) or record.boundary is None:
        return None
    return [
        Source.of(item, item.name, "none") if isinstance(item, StoredPolicy) else _managed(tables, item)
        for item in record.boundary
    ]


# -- what is simulated ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Simulation:
    """What each simulated request has in common. Policies in `principal` are named by their number in `sources`."""

    principal: PrincipalProfile
    sources: tuple[Source, ...]
    context: Mapping[str, Any]
    resource_policies: Mapping[PolicyKind, Policy]
    owner: str | None
    call: Call

    def explain(self, action: str, resource: str) -> Explanation:
        """Decide one request.

        Raises
        ------
        ApiError
            `InvalidInput`: action or resource cannot be read.
        """
        partition, account = self.principal.partition or self.call.partition, self.principal.account
        arn = split_arn(resource)
        is_owned = arn is not None and is_account(arn.account)
        with as_invalid_input():
            _, target, _, request = profiles_from_documents(
                f"arn:{partition}:iam::{account}:root",
                action,
                resource,
                context=self.context,
                now=self.call.now,
                resource_account=None if is_owned else self.owner,
            )
        if self.resource_policies:
            is_role = arn is not None and arn.service == "iam" and arn.rest.startswith("role/")
            is_trust = is_role and action.lower().startswith("sts:")
            policy = self.resource_policies.get(PolicyKind.TRUST if is_trust else PolicyKind.RESOURCE)
            if policy is None:
                raise ApiError("InvalidInput", f"ResourcePolicy cannot be a policy of {resource}.")
            target = replace(target, policies=(policy,))
        return decide(self.principal, target, request, settings=self.call.engine.settings)

    def steps(self, resources: Sequence[str]) -> int:
        """A bound on the steps of the decisions of one action."""
        principal, sizes = self.principal, self.context_sizes
        levels = (principal.identity_policies, principal.boundary or (), *(principal.scps or ()))
        policies = [*(policy for level in levels for policy in level), *self.resource_policies.values()]
        longest = max(map(len, resources))
        return len(resources) * (1 + sum(_steps(each, longest, sizes) for policy in policies for each in policy.statements))

    @property
    def context_sizes(self) -> dict[str, tuple[int, int]]:
        """How many values each key of the call has, and how many characters."""
        values = {fold(key): [value] if isinstance(value, str) else value for key, value in self.context.items()}
        return {key: (len(texts), sum(map(len, texts))) for key, texts in values.items()}


def _steps(statement: Statement, n_resource: int, sizes: Mapping[str, tuple[int, int]]) -> int:
    """A bound on the steps of one statement: a wildcard may be tried at each character of what its pattern is compared with."""
    longest = max((characters for _, characters in sizes.values()), default=0)  # what a variable may insert
    patterns = [(text, _MAX_ACTION) for text in statement.actions or ()]
    patterns += [(text, n_resource) for text in statement.resources or ()]
    n_compared = len(statement.principals or ())
    for entry in statement.conditions:
        n_values, characters = sizes.get(fold(entry.key), (1, 0))
        n_compared += len(entry.values) * n_values
        patterns += [(text, characters) for text in entry.values]
    tried = sum(2 * (text.count("*") + text.count("?")) * length + text.count("$") * longest for text, length in patterns)
    return _OF_STATEMENT + _OF_COMPARISON * n_compared + len(patterns) + tried


def simulate_stored(call: Call) -> Simulation:
    """The requests of SimulatePrincipalPolicy."""
    tables = call.engine.snapshot.tables
    record = policy_source(call, tables)
    identity = stored_policies(tables, record) + given_policies(call, "PolicyInputList")
    boundary = _given_boundary(call)
    if boundary is None:
        boundary = _stored_boundary(tables, record)
    caller = _caller(call)
    if isinstance(record, Entity) and caller in (None, record.arn):
        principal = call.engine.snapshot.principal(record.arn)
    else:
        principal = _ad_hoc_principal(call, caller)
        # SCPs are the same for every user of the account
        account = call.engine.snapshot.principal(f"arn:{record.partition}:iam::{record.account}:root")
        principal = replace(principal, scps=account.scps, scp_note=account.scp_note)
    needs_caller = not (isinstance(record, Entity) and record.kind is PrincipalKind.USER)
    return _simulation(call, principal, identity, boundary, needs_caller=needs_caller)


def simulate_custom(call: Call) -> Simulation:
    """The requests of SimulateCustomPolicy, over the documents of the call alone."""
    principal = _ad_hoc_principal(call, _caller(call))
    if "OrderedOrganizationPolicyInputList" in call.parameters:
        principal = replace(principal, scps=_given_scps(call), scp_note="")
    identity = given_policies(call, "PolicyInputList")
    return _simulation(call, principal, identity, _given_boundary(call), needs_caller=True)


def _given_boundary(call: Call) -> list[Source] | None:
    boundary = given_policies(call, "PermissionsBoundaryPolicyInputList", PolicyKind.BOUNDARY)
    if len(boundary) > 1:
        raise ApiError("InvalidInput", "A principal has one permissions boundary at most.")
    return boundary or None


def _given_scps(call: Call) -> tuple[tuple[Policy, ...], ...]:
    """SCPs level by level, the root first."""
    levels = []
    for number, level in enumerate(call.parameters["OrderedOrganizationPolicyInputList"], 1):
        texts = level.get("ServiceControlPolicyInputList", ())
        name = f"OrderedOrganizationPolicyInputList.{number}"
        levels.append(tuple(_given(text, PolicyKind.SCP, name).policy for text in texts))
    return tuple(levels)


def _caller(call: Call) -> str | None:
    """`CallerArn`, the ARN of a user."""
    caller: str | None = call.parameters.get("CallerArn")
    if caller is not None:
        with as_invalid_input():
            if parse_principal(caller).kind is not PrincipalKind.USER:
                raise ApiError("InvalidInput", f"CallerArn must be the ARN of a user, not {caller}.")
    return caller


def _ad_hoc_principal(call: Call, caller: str | None) -> PrincipalProfile:
    """A user without records. Nothing of a stored caller is read: the permission is for the policy source alone.

    Without `CallerArn` it is a user of the caller's account whose name is not known.
    """
    arn = caller or f"arn:{call.partition}:iam::{call.account}:user/simulated"
    profile = profiles_from_documents(arn, "iam:GetUser", "*", now=call.now)[0]
    if caller is None:
        profile = replace(profile, keys={key: value for key, value in profile.keys.items() if key not in _NAMES_CALLER})
    return profile


def _simulation(
    call: Call, principal: PrincipalProfile, identity: list[Source], boundary: list[Source] | None, *, needs_caller: bool
) -> Simulation:
    resource = call.parameters.get("ResourcePolicy")
    if resource is not None and needs_caller and "CallerArn" not in call.parameters:
        raise ApiError("InvalidInput", "A resource policy names principals: CallerArn is required.")
    for unserved in ("ResourceHandlingOption", "PolicyExclusionList"):
        if unserved in call.parameters:
            raise ApiError("InvalidInput", f"{unserved} is not supported.")
    resources = {} if resource is None else _resource_policies(resource)
    sources = (*identity, *(boundary or ()), *(source for source in resources.values()))
    numbered = [replace(source.policy, name=str(number), arn=None) for number, source in enumerate(sources)]
    n_identity, n_own = len(identity), len(identity) + len(boundary or ())
    return Simulation(
        replace(
            principal,
            identity_policies=tuple(numbered[:n_identity]),
            boundary=None if boundary is None else tuple(numbered[n_identity:n_own]),
            bounded=boundary is not None,
        ),
        sources,
        _context(call),
        dict(zip(resources, numbered[n_own:], strict=True)),
        _owner(call),
        call,
    )


def _resource_policies(text: str) -> dict[PolicyKind, Source]:
    """The resource policy, and the same text as a trust policy if it can be one.

    Raises
    ------
    ApiError
        `InvalidInput`: it is neither.
    """
    found = {}
    for kind in (PolicyKind.TRUST, PolicyKind.RESOURCE):
        try:
            found[kind] = _given(text, kind, "ResourcePolicy", "resource")
        except ApiError:
            if kind is PolicyKind.RESOURCE and not found:
                raise
    return found


def _owner(call: Call) -> str | None:
    """The account of `ResourceOwner`, an account id or an ARN."""
    text = call.parameters.get("ResourceOwner")
    if text is None:
        return None
    arn = split_arn(text)
    account = text if arn is None else arn.account
    if not is_account(account):
        raise ApiError("InvalidInput", "ResourceOwner is not an account id or an ARN with one.")
    return str(account)


def _context(call: Call) -> dict[str, Any]:
    """The context of `ContextEntries`.

    Raises
    ------
    ApiError
        `InvalidInput`: a value is not of its type, or a key is given twice.
    """
    context: dict[str, Any] = {}
    folded = set()
    for entry in call.parameters.get("ContextEntries", ()):
        name, values = entry.get("ContextKeyName"), entry.get("ContextKeyValues", ())
        if name is None or fold(name) in folded:
            raise ApiError("InvalidInput", "A context entry has no name, or the name of another one.")
        folded.add(fold(name))
        context[name] = _values(name, values, entry.get("ContextKeyType"))
    return context


def _values(name: str, values: Sequence[str], type_: str | None) -> str | list[str]:
    type_ = type_ or ("string" if len(values) == 1 else "stringList")
    read = _READERS.get(type_.removesuffix(_LIST))
    if read is None or any(read(value) is None for value in values):
        raise ApiError("InvalidInput", f"A value of the context key {name} is not of the type {type_}.")
    if type_.endswith(_LIST):
        return list(values)
    if len(values) != 1:
        raise ApiError("InvalidInput", f"The context key {name} of the type {type_} takes one value.")
    return values[0]


def context_keys(sources: Iterable[Source]) -> list[str]:
    """The keys and variables that policies read, in the order of their first appearance (G153)."""
    found: dict[str, str] = {}
    for source in sources:
        text = source.text
        for name in sorted(_names_in(source.policy), key=lambda name: text.find(name) % (len(text) + 1)):
            found.setdefault(fold(name), name)
    return list(found.values())


def _names_in(policy: Policy) -> Iterator[str]:
    for statement in policy.statements:
        texts = list(statement.resources or ())
        for entry in statement.conditions:
            yield entry.key
            texts += entry.values
        if policy.variables:
            for text in texts:
                yield from names(text)
