"""The resources of a record: in `resources`, by ARN or id in `requestParameters`, or implied.

AWS's list of actions has the resource types of an action and the form of their ARNs. For each type, the first of these applies:

1. ARNs of the form in `resources`, or else in `requestParameters`;
2. the ARN built from parameters with the names of the variables of the form (`InstanceId`, `instanceId`);
3. for a required type: `*` for a resource that the call creates, as in AWS's messages (`...:instance/*`), and None for an
   existing resource that the record does not contain.

If all types are optional and the record contains none, a call that lists or reads applies to all resources: `...:db:*` for a
single type, otherwise `*`. For a call that writes with parameters the resource is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from fastiam.aws_data.catalog import Action
from fastiam.sources.cloudtrail.arn_templates import ArnTemplate, Names, RequestOrigin

_CATALOG = "arn:${Partition}:glue:${Region}:${Account}:catalog"
_OBJECTS = ("object", "accesspointobject")  # a record of S3 without a key does not contain the object


class ResourceFinder:
    """Finds the resources of calls of one action."""

    def __init__(self, action: Action) -> None:
        self.name = action.name
        self._action = action
        self._templates = [ArnTemplate(action, kind) for kind in action.types]
        required = [template for template in self._templates if template.kind.required]
        for template in required if len(required) == 1 else self._templates if len(self._templates) == 1 else ():
            template.is_only = action.prefix != "ec2"  # EC2 parameters contain the type

    @property
    def needs_parameters(self) -> bool:
        """Whether the resources depend on the record. An action without types has the resource `*`."""
        return bool(self._templates)

    def find(self, names: Names, listed: Sequence[str], origin: RequestOrigin) -> list[str | None]:
        """Return the ARNs, `*`, or None for a resource that the record does not contain."""
        found: dict[str | None, None] = {}
        in_parameters = names.get("", ())
        for template in self._templates:
            arns: Sequence[str | None] = template.among(listed) or template.among(in_parameters) or template.built(names, origin)
            for arn in arns:
                found[arn] = None
            if not arns and template.is_needed:
                found[self._unnamed(template, names, origin)] = None
        if self._action.prefix == "dynamodb" and any(arn and "/index/" in arn for arn in found):
            return [arn for arn in found if arn is None or "/index/" in arn]  # a read of an index is not a read of its table
        return list(found) or self._about_all(names, origin)

    def listed(self, arns: Sequence[str]) -> list[str]:
        """Return the resources of a record that lists all of them; [] for other records."""
        found = dict.fromkeys(arn for template in self._templates for arn in template.among(arns))
        return list(found) if all(template.among(arns) for template in self._templates if template.kind.required) else []

    def _unnamed(self, template: ArnTemplate, names: Names, origin: RequestOrigin) -> str | None:
        """Return the resource of a required type that the call does not contain."""
        if template.kind.name == "user" and self._action.prefix == "iam" and origin.caller:
            return origin.caller  # IAM uses the caller if the call contains no user
        if template.kind.arn == _CATALOG:
            return template.all_of(origin)  # the account has one
        return template.all_of(origin) if template.is_created or not names else None

    def _about_all(self, names: Names, origin: RequestOrigin) -> list[str | None]:
        if not self._templates:
            return ["*"]
        if any(template.kind.name in _OBJECTS for template in self._templates) or (names and "Write" in self._action.level):
            return [None]
        only = self._templates[0]
        is_own = len(self._templates) == 1 and only.kind.arn.split(":")[2] == self._action.prefix
        return [only.all_of(origin) if is_own else "*"]


@cache
def resource_finder(action: Action) -> ResourceFinder:
    """Return the finder of an action."""
    return ResourceFinder(action)


def names_of(parameters: Any) -> Names:
    """Return the parameters by name, without policies, filters and tags, which contain other resources."""
    names: Names = {}
    waiting: list[tuple[str, Any]] = [("", parameters)]
    while waiting:
        name, value = waiting.pop()
        pairs = value.items() if isinstance(value, dict) else [(name, item) for item in value] if isinstance(value, list) else ()
        inner = []
        for key, item in pairs:
            lower = key.lower()
            if isinstance(item, str):
                if item:
                    names.setdefault(name if lower == "content" else lower, []).append(item)
                    if item.startswith("arn:"):
                        names.setdefault("", []).append(item)
            elif isinstance(item, (dict, list)):
                if not _describes_other(lower):
                    inner.append((lower, item))
            elif item is not None and not isinstance(item, bool):
                names.setdefault(name if lower == "content" else lower, []).append(str(item))
        waiting += reversed(inner)
    return names


@lru_cache(maxsize=4096)
def _describes_other(name: str) -> bool:
    return "policy" in name or name.startswith(("filter", "tag")) or name.endswith(("tags", "tagset"))
