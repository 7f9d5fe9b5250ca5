"""The roles that a call passes to a service. Each needs the permission `iam:PassRole` (spec 6.7).

`aws_data/passed_roles.json` contains the role parameters of AWS's operations. `tools/passed_roles.py` generates it from the
models of botocore and the documented dependent actions. The file is loaded when the first record is mapped to an action.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from fastiam.aws_data.catalog import Action
from fastiam.sources.sdk_calls.arn_templates import RequestOrigin
from fastiam.sources.sdk_calls.parameter_names import HIDDEN

_ROLE = re.compile(r"arn:[^:]+:iam::\d*:role/\S+").fullmatch
_PROFILE = re.compile(r"arn:[^:]+:iam::\d*:instance-profile/\S+").fullmatch
_NAME = re.compile(r"/?[\w+=,.@/-]+").fullmatch
_HIDDEN = HIDDEN.encode()
_TAKES_AWAY = ("BatchDelete", "Cancel", "Delete", "Deregister", "Detach", "Disassociate", "Remove", "Revoke", "Stop", "Untag")
_LISTS = ("item", "items", "member", "content")  # elements of lists in XML: the list is named by the enclosing element


def may_pass_role(action: Action, operation: str) -> bool:
    """Whether an operation may pass a role, by its name and the access level of its action."""
    is_write = "Write" in action.level or "Permissions" in action.level
    return is_write and action.prefix not in ("iam", "sts") and not operation.startswith(_TAKES_AWAY)


@dataclass(frozen=True, slots=True)
class RoleParameters:
    """The role parameters of an action.

    Attributes
    ----------
    action
        its name, "" for actions that are not in the table.
    kinds
        the kind of each parameter by lower-case name: `arn` and `name` for roles, `profile` for instance profiles, `none` for
        roles that are not passed. The ARN of a role in another parameter counts as passed if the name contains `role`.
    is_documented
        AWS documents that the action needs `iam:PassRole`. The ARN of a role in any parameter counts as passed.
    """

    action: str
    kinds: Mapping[str, str]
    is_documented: bool

    @property
    def takes_names(self) -> bool:
        """Whether a parameter accepts the name of a role or of an instance profile."""
        return not {"name", "profile"}.isdisjoint(self.kinds.values())

    def roles(self, parameters: Any, origin: RequestOrigin, *, with_profiles: bool = False) -> list[str | None]:
        """Return the ARNs of the passed roles; None for a role that is hidden or referenced by an instance profile.

        Parameters
        ----------
        with_profiles
            return the ARN of an instance profile in place of its role. Of a profile by name, the ARN has no path.
        """
        found = (role for text in _strings(parameters) for role in self._read(*text, origin))
        return list(dict.fromkeys(found if with_profiles else map(_role_or_none, found)))

    def _read(self, parent: str, name: str, value: str, origin: RequestOrigin) -> tuple[str | None, ...]:
        kinds = self.kinds
        kind = kinds.get(name) or kinds.get(f"{parent}.{name}") or kinds.get(parent)  # a map of roles by arbitrary names
        if kind == "none" or not value:
            return ()
        if _ROLE(value):
            return (value,) if kind or self.is_documented or "role" in name else ()
        if kind == "profile" or _PROFILE(value):
            place = f"arn:{origin.partition}:iam::{origin.account}"
            profile = value if _PROFILE(value) else f"{place}:instance-profile/{value}" if _NAME(value) else None
            return (profile,) if kind or self.is_documented else ()
        if kind == "name":
            is_name = _NAME(value) and value != HIDDEN
            return (f"arn:{origin.partition}:iam::{origin.account}:role/{value.removeprefix('/')}" if is_name else None,)
        return (None,) if kind and value == HIDDEN else ()


def _role_or_none(arn: str | None) -> str | None:
    return None if arn is not None and ":instance-profile/" in arn else arn


_UNKNOWN = RoleParameters("", {}, is_documented=False)


def role_parameters_of(action: Action, operation: str) -> RoleParameters | None:
    """The role parameters of an action; None if it passes no roles."""
    table = _table()
    return table[action.name] if action.name in table else _UNKNOWN if may_pass_role(action, operation) else None


def may_name_roles(raw: bytes) -> bool:
    """Whether JSON parameters may contain the ARN of a role or of an instance profile, or a hidden value."""
    return b":role" in raw or b":instance-profile" in raw or _HIDDEN in raw  # PERF: a regular expression takes longer


@cache
def _table() -> Mapping[str, RoleParameters | None]:
    import orjson

    content = orjson.loads((resources.files("fastiam.aws_data") / "passed_roles.json").read_bytes())
    documented, parameters = frozenset(content["documented"]), content["parameters"]
    table: dict[str, RoleParameters | None] = {}
    for name in documented | parameters.keys():
        kinds, is_documented = parameters.get(name, {}), name in documented
        table[name] = RoleParameters(name, kinds, is_documented) if kinds or is_documented else None
    return table


def _strings(parameters: Any) -> Iterator[tuple[str, str, str]]:
    """All strings in the parameters of a call: the lower-case names of the enclosing object and of the parameter, the value."""
    waiting: list[tuple[str, str, Any]] = [("", "", parameters)]
    while waiting:
        parent, name, value = waiting.pop()
        if isinstance(value, str):
            yield parent, name, value
        elif isinstance(value, dict):
            for key, item in value.items():
                lower = key.lower()
                waiting.append((parent, name, item) if lower in _LISTS else (name, lower, item))
        elif isinstance(value, list):
            waiting += [(parent, name, item) for item in value]
