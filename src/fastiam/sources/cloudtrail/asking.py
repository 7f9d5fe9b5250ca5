"""What a call asks of the policies: a row for each action and resource (R12), and the context keys that it alone has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from fastiam.sources.cloudtrail.actions import VERSIONED, actions_of_event
from fastiam.sources.cloudtrail.callers import MFA, MFA_AGE, is_told
from fastiam.sources.cloudtrail.catalogue import Action
from fastiam.sources.cloudtrail.records import Listed
from fastiam.sources.cloudtrail.resources import Finder, Names, Place, finder_of, may_pass_roles, names_of, passed_roles

_PASS_ROLE = "iam:PassRole"
_STS_KEYS = {
    "externalid": "sts:ExternalId",
    "rolesessionname": "sts:RoleSessionName",
    "sourceidentity": "sts:SourceIdentity",
}
SINGLE_KEYS = (*_STS_KEYS.values(), "iam:PolicyARN")  # a call that does not name them does not have them


class Row(NamedTuple):
    """One request. `resource` is None where the record does not tell it; `owner` is its account, where that is told."""

    action: str
    resource: str | None
    owner: str | None


class Asked(NamedTuple):
    """The requests of a call, and the context keys of this call alone."""

    rows: tuple[Row, ...]
    single: Mapping[str, str | None]


class Plan:
    """What the calls of one operation need. `asked` is set where every call asks the same."""

    __slots__ = ("actions", "asked", "is_sts", "of_caller", "_finders", "_lists_all", "_may_pass", "_versioned")

    def __init__(self, source: str, name: str, kind: str) -> None:
        self.actions: tuple[Action, ...] = actions_of_event(source, name, kind)
        self.is_sts = source.startswith("sts.")
        self.of_caller = any(action.prefix in ("iam", "sts") for action in self.actions)
        self._finders: list[Finder] = [finder_of(action) for action in self.actions]
        self._versioned = any(action.name in VERSIONED for action in self.actions)
        # nothing about a record matters where actions are about `*`, and hand no role to a service
        # these services list all resources of a call, but for copies of an object
        self._lists_all = source.startswith(("s3.", "kms.")) and len(self.actions) == 1 and "Copy" not in name
        self._may_pass = any(map(may_pass_roles, self.actions))
        matters = self.is_sts or self._may_pass or any(finder.needs_parameters for finder in self._finders)
        self.asked = None if matters else Asked(tuple(Row(a.name, "*", None) for a in self.actions), {})

    def ask(self, raw: bytes, listed: Sequence[Listed], place: Place) -> Asked:
        """The requests of a call with these `requestParameters` and `resources`."""
        arns = [item.ARN for item in listed if item.ARN]
        owner = next((item.accountId for item in listed if item.accountId), None)
        if arns and self._lists_all and b'"versionId"' not in raw:
            (finder,), (action,) = self._finders, self.actions
            found = finder.listed(arns)
            if found:
                return Asked(tuple([Row(action.name, arn, owner if _has_no_account(arn) else None) for arn in found]), {})
        parameters = decoded(raw)
        names, is_whole = names_of(parameters), parameters is None or is_told(parameters)
        rows: dict[Row, None] = {}
        for finder, action in zip(self._finders, self.actions, strict=True):
            name = VERSIONED.get(action.name, action.name) if self._versioned and "versionid" in names else action.name
            for resource in finder.find(names, arns, place) if is_whole or not finder.needs_parameters else (None,):
                rows[Row(name, resource, owner if owner and _has_no_account(resource) else None)] = None
        if "x-amz-copy-source" in names:
            rows |= dict.fromkeys(_copied(names["x-amz-copy-source"][0], place))
        if self._may_pass:
            rows |= dict.fromkeys(Row(_PASS_ROLE, role, None) for role in passed_roles(names))
        single: dict[str, str | None] = {}
        if self.is_sts:
            rows |= dict.fromkeys(_also_asked(tuple(rows), names, parameters))
            single = _keys_of_sts(names)
        elif "policyarn" in names and self.of_caller:
            single = {"iam:PolicyARN": names["policyarn"][0]}
        return Asked(tuple(rows), single)


def decoded(raw: bytes) -> Any:
    """The value that bytes of JSON stand for; a text where they stand for none, which tells as little as any text."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "unreadable"


def _copied(source: str, place: Place) -> list[Row]:
    """The reading of the object that a copy is made of: `bucket/key`, and its version."""
    path, _, query = unquote(source).removeprefix("/").partition("?")
    action = "s3:GetObjectVersion" if query.startswith("versionId=") else "s3:GetObject"
    return [Row(action, f"arn:{place.partition}:s3:::{path}", None)] if "/" in path and not path.startswith("arn:") else []


def _has_no_account(resource: str | None) -> bool:
    return resource is not None and resource.split(":", 5)[4:5] == [""]


def _also_asked(rows: Sequence[Row], names: Names, parameters: Any) -> list[Row]:
    """Tags and source identities of a session are permissions of their own (D30)."""
    also = []
    if isinstance(parameters, dict) and parameters.get("tags"):
        also.append("sts:TagSession")
    if "sourceidentity" in names:
        also.append("sts:SetSourceIdentity")
    return [row._replace(action=action) for action in also for row in rows if row.action.startswith("sts:Assume")]


def _keys_of_sts(names: Names) -> dict[str, str | None]:
    single: dict[str, str | None] = {key: names[name][0] for name, key in _STS_KEYS.items() if name in names}
    if "serialnumber" in names:  # a code of MFA, for this call alone (7.6)
        single |= {MFA: "true", MFA_AGE: "0"}
    return single
