"""The catalogue of escalation patterns: permissions that together make a principal another one, or an administrator.

`escalation_paths.json` has the patterns of fastiam, from AWS's documentation of the actions. A file of the same form replaces it
(docs/howto/find-escalation-paths.md describes the form).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from fastiam.analysis.representatives import UNMENTIONED
from fastiam.directory.account_records import Entity
from fastiam.errors import SourceError
from fastiam.policy.action_patterns import action_syntax_error

TARGET: Final = "target"  # a resource: the target of the pattern
ANY: Final = "{any}"  # in a resource: a name that is free
OF_TARGET: Final = ("target-policy", "target-group")  # a managed policy of the target, and a group that has it
OBTAINED: Final = ("obtained-user", "obtained-role")  # another pattern gives the permissions of the target
_TO_ANYTHING: Final = ("self-user", "self-role", "own-group", "own-policy", "group", "none", *OBTAINED)
TARGETS: Final = ("user", "role", "service-role", *_TO_ANYTHING)
_REGION = "us-east-1"  # of resources that no policy names
_FORM = "see the page on escalation paths for the form of the file"


@dataclass(frozen=True, slots=True)
class Permission:
    """An action, and its resource: `target`, `target-policy`, `target-group`, `*`, or an ARN.

    An ARN has `{partition}`, `{region}`, `{account}` and `{any}`. `unless_denied`: it is enough that no policy denies the action
    explicitly, because the pattern itself adds the Allow; `sts:AssumeRole` is decided with a trust policy that allows it.
    """

    action: str
    resource: str
    unless_denied: bool = False


@dataclass(frozen=True, slots=True)
class EscalationPattern:
    """One way to more permissions.

    Attributes
    ----------
    target
        what the pattern is about: another `user` or `role` of the account, a `service-role` (a role that `service` can assume),
        an `obtained-user` or `obtained-role` (one whose permissions it obtains by another pattern of the same account), the
        principal itself (`self-user`, `self-role`), its `own-group` or `own-policy`, a `group` that it is not a member of, or
        `none`.
    permissions
        all of them are needed.
    to_anything
        the pattern gives any permission in the account, and not those of the target.
    assumption
        a fact that the directory does not contain and that must hold too, or "".
    """

    id: str
    category: str
    target: str
    permissions: tuple[Permission, ...]
    service: str = ""
    to_anything: bool = False
    assumption: str = ""
    description: str = ""


def filled(template: str, entity: Entity) -> str:
    """The resource of a permission, for a principal of an account; the name that is free is one that no policy contains."""
    values = {"{partition}": entity.partition, "{account}": entity.account, "{region}": _REGION, ANY: UNMENTIONED}
    for name, value in values.items():
        template = template.replace(name, value)
    return template


@lru_cache(maxsize=1)
def built_in_patterns() -> tuple[EscalationPattern, ...]:
    """The patterns of fastiam."""
    return _read((resources.files(__package__) / "escalation_paths.json").read_bytes(), "escalation_paths.json")


def read_patterns(path: str | os.PathLike[str]) -> tuple[EscalationPattern, ...]:
    """Read a catalogue.

    Raises
    ------
    SourceError
        the file is not a catalogue; names the pattern.
    """
    return _read(Path(path).read_bytes(), os.fspath(path))


def _read(content: bytes, source: str) -> tuple[EscalationPattern, ...]:
    import orjson

    try:
        rows = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"the catalogue is not JSON: {error}", source=source, hint=_FORM) from None
    if not isinstance(rows, list) or not rows:
        raise SourceError("the catalogue is not a list of patterns", source=source, hint=_FORM)
    found = tuple(_pattern(row, f"$[{i}]", source) for i, row in enumerate(rows))
    seen: set[str] = set()
    for i, pattern in enumerate(found):
        if pattern.id in seen:
            raise SourceError(f"two patterns have the id `{pattern.id}`", source=source, path=f"$[{i}].id")
        seen.add(pattern.id)
    return found


def _pattern(row: object, path: str, source: str) -> EscalationPattern:
    def refuse(message: str) -> SourceError:
        return SourceError(message, source=source, path=path, hint=_FORM)

    if not isinstance(row, dict):
        raise refuse("a pattern must be an object")
    texts: dict[str, str] = {}
    for name in ("id", "category", "target", "service", "leads_to", "assumption", "description"):
        value = row.get(name, "")
        if not isinstance(value, str):
            raise refuse(f"`{name}` must be text")
        texts[name] = value
    if unknown := sorted(row.keys() - texts.keys() - {"permissions"}):
        raise refuse(f"unknown member `{unknown[0]}`")
    if not texts["id"]:
        raise refuse("a pattern needs an `id`")
    if texts["target"] not in TARGETS:
        raise refuse(f"`target` must be one of {', '.join(TARGETS)}")
    if (texts["target"] == "service-role") != bool(texts["service"]):
        raise refuse("a pattern has a `service` if, and only if, its target is `service-role`")
    if texts["leads_to"] not in ("", "anything"):
        raise refuse("`leads_to` must be `anything`, or missing")
    given = row.get("permissions")
    if not isinstance(given, list) or not given:
        raise refuse("`permissions` must be a list of objects with `action` and `resource`")
    permissions = tuple(_permission(item, texts["target"], refuse) for item in given)
    to_anything = texts["leads_to"] == "anything" or texts["target"] in _TO_ANYTHING
    return EscalationPattern(
        texts["id"], texts["category"], texts["target"], permissions, texts["service"], to_anything,
        texts["assumption"], texts["description"],
    )  # fmt: skip


def _permission(item: Any, target: str, refuse: Any) -> Permission:
    action, resource = (item.get(name) if isinstance(item, dict) else None for name in ("action", "resource"))
    if not isinstance(action, str) or action_syntax_error(action) or "*" in action:
        raise refuse("the `action` of a permission must be an action, such as `iam:PassRole`")
    if not isinstance(resource, str) or not (resource in (TARGET, "*", *OF_TARGET) or resource.startswith("arn:")):
        raise refuse("the `resource` of a permission must be `target`, `*`, or an ARN with `{account}` and `{any}`")
    if resource in OF_TARGET and target not in OBTAINED:
        raise refuse(f"only {' and '.join(OBTAINED)} have a `{resource}`")
    if resource == TARGET and target == "none":
        raise refuse("a pattern without a target has no permission on it")
    unless = item.get("unless")
    if unless not in (None, "denied"):
        raise refuse("the `unless` of a permission must be `denied`, or missing")
    return Permission(action, resource, unless == "denied")
