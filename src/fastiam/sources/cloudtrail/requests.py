"""The requests of a call, one for each action and resource (R12), and the context keys of this call only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from fastiam.aws_data.catalog import Action
from fastiam.model.logged_calls import PASS_ROLE, Open
from fastiam.sources.cloudtrail.callers import MFA, MFA_AGE, Keys, is_visible
from fastiam.sources.cloudtrail.log_records import ListedResource
from fastiam.sources.cloudtrail.named_resources import ResourceFinder, names_of, resource_finder
from fastiam.sources.cloudtrail.network import NETWORK_CONTEXT_KEYS
from fastiam.sources.cloudtrail.outcomes import Refusal
from fastiam.sources.cloudtrail.passed_roles import RoleParameters, may_name_roles, role_parameters_of
from fastiam.sources.sdk_calls.arn_templates import Names, RequestOrigin
from fastiam.sources.sdk_calls.event_actions import VERSIONED, actions_of_event
from fastiam.sources.sdk_calls.resource_operations import tagged_on_creation
from fastiam.sources.sdk_calls.special_operations import add_arns, reader_of

_STS_KEYS = {
    "externalid": "sts:ExternalId",
    "rolesessionname": "sts:RoleSessionName",
    "sourceidentity": "sts:SourceIdentity",
}
# sessions of GetFederationToken take tags too (7.2)
_TAKE_TAGS = ("sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:GetFederationToken")
SINGLE_KEYS = (*_STS_KEYS.values(), "iam:PolicyARN")  # absent if the call does not contain them
_UNKNOWN_STS = dict.fromkeys((*_STS_KEYS.values(), MFA, MFA_AGE), Open.OPEN)  # if the record has no parameters
_UNKNOWN_NETWORK = dict.fromkeys(NETWORK_CONTEXT_KEYS, Open.OPEN)
_UNKNOWN_IAM = {"iam:PolicyARN": Open.OPEN}


class LoggedRequest(NamedTuple):
    """One request. `resource` is None if the record does not contain it, `owner` is None if its account is unknown."""

    action: str
    resource: str | None
    owner: str | None


class LoggedRequests(NamedTuple):
    """The requests of a call, and the context keys of this call alone.

    `without_role` is the action if AWS documents that it needs `iam:PassRole` and the call names no role.
    """

    rows: tuple[LoggedRequest, ...]
    single: Keys
    without_role: str = ""


class RequestPlan:
    """How the calls of one operation become requests. `requests` is set if all calls have the same requests."""

    __slots__ = (
        "actions",
        "requests",
        "is_sts",
        "of_caller",
        "_finders",
        "_lists_all",
        "_needs_role",
        "_passing",
        "_read",
        "_takes_names",
        "_versioned",
    )

    def __init__(self, source: str, name: str, kind: str) -> None:
        self.actions: tuple[Action, ...] = actions_of_event(source, name, kind)
        self.is_sts = source.startswith("sts.")
        self.of_caller = any(action.prefix in ("iam", "sts") for action in self.actions)
        self._finders: list[ResourceFinder] = [resource_finder(action) for action in self.actions]
        self._read = reader_of(self.actions[0].prefix, name) if self.actions else None
        self._versioned = any(action.name in VERSIONED for action in self.actions)
        # these services list all resources of a call, except for copies of an object
        self._lists_all = source.startswith(("s3.", "kms.")) and len(self.actions) == 1 and "Copy" not in name
        self._passing: list[RoleParameters] = [found for action in self.actions if (found := role_parameters_of(action, name))]
        self._needs_role = next((found.action for found in self._passing if found.is_documented), "")
        self._takes_names = bool(self._needs_role) or any(passing.takes_names for passing in self._passing)
        # PERF: one result for all records if the actions have the resource `*` and pass no role
        needs_record = self.is_sts or self._passing or any(finder.needs_parameters for finder in self._finders)
        self.requests = (
            None if needs_record else LoggedRequests(tuple(LoggedRequest(a.name, "*", None) for a in self.actions), {})
        )

    def requests_of(self, raw: bytes, listed: Sequence[ListedResource], origin: RequestOrigin) -> LoggedRequests:
        """Return the requests of a call with these `requestParameters` and `resources`."""
        arns = [item.ARN for item in listed if item.ARN]
        owners = _Owners(listed) if listed else _NO_OWNERS
        may_pass = bool(self._passing) and (self._takes_names or may_name_roles(raw))
        if arns and self._lists_all and not may_pass and b'"versionId"' not in raw:
            (finder,), (action,) = self._finders, self.actions
            found = finder.listed(arns)
            if found:
                return LoggedRequests(tuple([LoggedRequest(action.name, arn, owners.of(arn)) for arn in found]), {})
        parameters = decoded(raw)
        names, is_whole = names_of(parameters), parameters is None or is_visible(parameters)
        if self.actions and is_whole:
            add_arns(self.actions[0].prefix, names, parameters, origin)
        source = names["x-amz-copy-source"][0] if "x-amz-copy-source" in names else None
        if source is not None and source in names.get("", ()):
            names[""].remove(source)  # not a resource of the action that writes
        rows: dict[LoggedRequest, None] = {}
        needs = self._read(parameters, origin) if self._read and is_whole and isinstance(parameters, dict) else ()
        if arns and any(resource is None for _, resource in needs):
            needs = ()  # `resources` contains what the parameters do not
        for need, resource in needs:
            rows[LoggedRequest(need, resource, owners.of(resource) if listed else None)] = None
        for finder, action in zip(self._finders, self.actions, strict=True) if not needs else ():
            name = VERSIONED.get(action.name, action.name) if self._versioned and "versionid" in names else action.name
            for resource in finder.find(names, arns, origin) if is_whole or not finder.needs_parameters else (None,):
                rows[LoggedRequest(name, resource, owners.of(resource) if listed else None)] = None
        if source is not None:
            rows[_read_of_copy_source(source, owners, origin)] = None
        if is_whole and self.actions and self.actions[0].prefix == "ec2" and b"agSpecification" in raw:
            tagged = [resource for resource, _ in tagged_on_creation(parameters, origin)]
            rows |= dict.fromkeys(LoggedRequest("ec2:CreateTags", resource, None) for resource in tagged)
        without_role = ""
        if may_pass or not is_whole:
            passed = self._passed(parameters, origin) if is_whole else self._unknown_roles()
            rows |= dict.fromkeys(LoggedRequest(PASS_ROLE, role, None) for role in passed)
            without_role = "" if passed else self._needs_role
        single: Keys = {}
        if not isinstance(parameters, dict) or not is_whole:
            # CloudTrail often omits the parameters of denied calls
            single = _UNKNOWN_STS if self.is_sts else _UNKNOWN_IAM if self.of_caller else {}
        elif self.is_sts:
            rows |= dict.fromkeys(_session_requests(tuple(rows), names, parameters))
            single = _keys_of_sts(names)
        elif "policyarn" in names and self.of_caller:
            single = {"iam:PolicyARN": names["policyarn"][0]}
        return LoggedRequests(tuple(rows), single, without_role)

    def _passed(self, parameters: Any, origin: RequestOrigin) -> list[str | None]:
        return [role for passing in self._passing for role in passing.roles(parameters, origin)]

    def _unknown_roles(self) -> list[str | None]:
        """One unknown role for a call without its parameters, if its action passes roles."""
        return [None] if any(passing.kinds for passing in self._passing) else []


def narrow_to_refusal(
    requests: LoggedRequests, refusal: Refusal, listed: Sequence[ListedResource], origin: RequestOrigin
) -> LoggedRequests:
    """Return the request in the message of a denied call. The log does not contain the outcomes of the other requests.

    For a request that another service made on behalf of the caller, the network keys are unknown.
    """
    resource, service = refusal.resource_in(origin.partition, origin.account), refusal.action.partition(":")[0]
    of_call = {row.action.partition(":")[0] for row in requests.rows}
    single = requests.single if service in of_call or refusal.action == PASS_ROLE else {**requests.single, **_UNKNOWN_NETWORK}
    if resource is None:
        rows = tuple(row for row in requests.rows if row.action.lower() == refusal.action.lower())
        return LoggedRequests(rows or (LoggedRequest(refusal.action, None, None),), single)
    return LoggedRequests((LoggedRequest(refusal.action, resource, _Owners(listed).of(resource)),), single)


class _Owners:
    """The owners of resources whose ARNs have no account, from the `resources` of a record."""

    def __init__(self, listed: Sequence[ListedResource]) -> None:
        self._of = {item.ARN: item.accountId for item in listed if item.ARN and item.accountId}

    def of(self, resource: str | None) -> str | None:
        """Return the owner of a resource. An object belongs to the owner of its bucket."""
        if not self._of or resource is None or resource.split(":", 5)[4:5] != [""]:
            return None
        return self._of.get(resource) or self._of.get(resource.partition("/")[0])


_NO_OWNERS = _Owners(())


def decoded(raw: bytes) -> Any:
    """Decode JSON bytes. Invalid JSON is a text, which contains no parameter."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "unreadable"


def _read_of_copy_source(source: str, owners: _Owners, origin: RequestOrigin) -> LoggedRequest:
    """Return the request to read the source of a copy: `bucket/key` or the ARN of an object of an access point, and a version."""
    path, _, query = unquote(source).removeprefix("/").partition("?")
    action = "s3:GetObjectVersion" if query.startswith("versionId=") else "s3:GetObject"
    arn = path if path.startswith("arn:") else f"arn:{origin.partition}:s3:::{path}" if "/" in path else None
    return LoggedRequest(action, arn, owners.of(arn))


def _session_requests(rows: Sequence[LoggedRequest], names: Names, parameters: Any) -> list[LoggedRequest]:
    """Return the requests for tags and the source identity of a session, which are separate permissions (D30)."""
    also = []
    if isinstance(parameters, dict) and parameters.get("tags"):
        also.append("sts:TagSession")
    if "sourceidentity" in names:
        also.append("sts:SetSourceIdentity")
    return [row._replace(action=action) for action in also for row in rows if row.action in _TAKE_TAGS]


def _keys_of_sts(names: Names) -> Keys:
    single: dict[str, str | Open | None] = {key: names[name][0] for name, key in _STS_KEYS.items() if name in names}
    if "serialnumber" in names:  # an MFA code for this call (7.6)
        single |= {MFA: "true", MFA_AGE: "0"}
    return single
