"""The resources of a record: in `resources`, by ARN or id in `requestParameters`, or implied.

AWS's list of actions has the resource types of an action and the form of their ARNs. For each type, the first of these applies:

1. ARNs of the form in `resources`, or else in `requestParameters`;
2. the ARN built from parameters with the names of the variables of the form (`InstanceId`, `instanceId`), see `arn_templates`;
3. for a required type: none, if the call names a type that AWS marks as required too, and that can only be in its place;
4. else the ARN of the type in an ARN of a type below it (the service of a task set);
5. else `*` for what the call creates, as in AWS's messages (`...:instance/*`), and None for an existing resource that the record
   does not contain.

If all types are optional and the record contains none, a call that lists or reads applies to all resources: `...:db:*` for a
single type, otherwise `*`. For a call that writes with parameters the resource is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from fastiam.aws_data.catalog import Action
from fastiam.sources.sdk_calls.arn_templates import ArnTemplate, Names, RequestOrigin, arn_templates, is_of_tags

_CATALOG = "arn:${Partition}:glue:${Region}:${Account}:catalog"
_FAMILIES = {"express": "execution", "web-function": "function"}
# parameters that take the ARN of any type of an action
_ARN_OF_ANY_TYPE = (
    "arn", "resource", "resourcearn", "resourcearns", "resourceidentifier", "resourcename", "sourcearn", "destinationarn"
)  # fmt: skip
_OF_KEY = "iam:GetAccessKeyLastUsed"  # its user is the owner of the access key, whom the call does not contain
_ARNS_OF_NAMES = ("dynamodb", "lambda", "sqs")  # `add_arns` adds those of the names in a call
_OWNERS = {"ecr": "registryid", "glue": "catalogid", "sqs": "queueownerawsaccountid"}  # parameters with the account of a resource
_is_account = re.compile(r"\d{12}").fullmatch
_MAX_TYPES = 8  # of an action whose call names none
_OBJECTS = ("object", "accesspointobject")  # a record of S3 without a key does not contain the object


class ResourceFinder:
    """Finds the resources of calls of one action."""

    def __init__(self, action: Action) -> None:
        self.name = action.name
        self._action = action
        self._templates = arn_templates(action)
        self._is_of_tags = is_of_tags(action)

    @property
    def needs_parameters(self) -> bool:
        """Whether the resources depend on the record. An action without types has the resource `*`."""
        return bool(self._templates)

    def find(self, names: Names, listed: Sequence[str], origin: RequestOrigin) -> list[str | None]:
        """Return the ARNs, `*`, or None for a resource that the record does not contain."""
        origin = self._place(names, origin)
        found: dict[ArnTemplate, Sequence[str | None]] = {}
        by_arn: dict[ArnTemplate, list[str]] = {}
        in_parameters = names.get("", ())
        missing = []
        for template in self._templates:
            arns = template.among(listed) or template.among(in_parameters) if listed or in_parameters else ()
            if arns:
                found[template] = by_arn[template] = arns
                if template.has_source and not listed and self._action.prefix not in _ARNS_OF_NAMES:
                    found[template] = [*arns, *template.built(names, origin)]  # the ARN is of its source
            elif built := template.built(names, origin):
                found[template] = built
            elif template.is_needed:
                missing.append(template)
                found[template] = ()
        for template in missing:
            if not self._is_alternative(template, found, by_arn, names):
                found[template] = _parents(template, by_arn) or [self._unnamed(template, names, origin)]
        return self._without_tables(list(dict.fromkeys(arn for arns in found.values() for arn in arns)), names, origin)

    def forms(self, names: Names, origin: RequestOrigin) -> tuple[str, ...]:
        """Return patterns with a resource each of a call whose resource `find` does not know; () if there are none.

        They are of the account of the call, so that one that names another account has none. The key of an alias of KMS may be in
        any.
        """
        arns, origin = names.get("", ()), self._place(names, origin)
        if self._action.prefix == "kms" or any(arn.split(":", 5)[4:5] not in ([origin.account], [""]) for arn in arns):
            return ()
        missing = []
        for template in self._templates:
            if not template.among(arns) and not (built := template.built(names, origin)):
                missing.append(template)
            elif not template.among(arns) and None in built:
                return ()
        needed = [template.created(names, origin) for template in missing if template.is_needed and not template.is_created]
        if needed:
            return tuple(needed)
        is_about_any = len(missing) == len(self._templates) <= _MAX_TYPES and not any(
            each.kind.name in _OBJECTS for each in missing
        )
        return ("*", *(template.created(names, origin) for template in missing)) if is_about_any else ()

    def _place(self, names: Names, origin: RequestOrigin) -> RequestOrigin:
        """Return the origin, or with another account if a parameter names the owner of the resources."""
        owner = names.top.get(_OWNERS[self._action.prefix], [""])[0] if self._action.prefix in _OWNERS else ""
        return replace(origin, account=owner) if owner != origin.account and _is_account(owner) else origin

    def _without_tables(self, found: list[str | None], names: Names, origin: RequestOrigin) -> list[str | None]:
        """Return the resources of a call. A read of an index of DynamoDB is not a read of its table."""
        if self._action.prefix == "dynamodb" and any(arn and "/index/" in arn for arn in found):
            return [arn for arn in found if arn is None or "/index/" in arn]
        return found or self._about_all(names, origin)

    def listed(self, arns: Sequence[str]) -> list[str]:
        """Return the resources of a record that lists all of them; [] for other records."""
        found = dict.fromkeys(arn for template in self._templates for arn in template.among(arns))
        return list(found) if all(template.among(arns) for template in self._templates if template.kind.required) else []

    def _is_alternative(
        self,
        template: ArnTemplate,
        found: Mapping[ArnTemplate, Sequence[str | None]],
        by_arn: Mapping[ArnTemplate, list[str]],
        names: Names,
    ) -> bool:
        """Whether a call that names another type has no resource of this one, though AWS's data marks both as required."""
        if template.is_created:
            return False
        others = [other for other, arns in found.items() if arns]
        if not others:
            return False
        if self._is_of_tags or any(_family(template) == _family(other) for other in by_arn):
            return True
        if template.is_named(names):
            return any(other.own == template.own for other in others if other not in by_arn)  # the id is one of the other type
        given = {arn for name in _ARN_OF_ANY_TYPE for arn in names.top.get(name, ())}
        return any(given.intersection(arns) for arns in by_arn.values())

    def _unnamed(self, template: ArnTemplate, names: Names, origin: RequestOrigin) -> str | None:
        """Return the resource of a required type that the call does not contain."""
        if template.kind.name == "user" and self._action.prefix == "iam" and self.name != _OF_KEY and origin.caller:
            return origin.caller  # IAM uses the caller if the call contains no user
        if template.kind.arn == _CATALOG:
            return template.all_of(origin)  # the account has one
        if template.is_created:
            return template.created(names, origin)
        return None if names else template.all_of(origin)

    def _about_all(self, names: Names, origin: RequestOrigin) -> list[str | None]:
        if not self._templates:
            return ["*"]
        if any(template.kind.name in _OBJECTS for template in self._templates) or (names and "Write" in self._action.level):
            return [None]
        only = self._templates[0]
        is_own = len(self._templates) == 1 and only.kind.arn.split(":")[2] == self._action.prefix
        return [only.created(names, origin) if is_own else "*"]


def _parents(template: ArnTemplate, by_arn: Mapping[ArnTemplate, list[str]]) -> list[str]:
    """Return the resources of a type that contain those of the ARNs of a call: the service of a deployment."""
    found = []
    for other, arns in by_arn.items():
        if template.own and set(template.own) < set(other.own):
            for arn in arns:
                values, (_, partition, _, region, account, _) = other.values_in(arn), arn.split(":", 5)
                owner = RequestOrigin(partition, region, account)
                found.append(template.filled([values[name] for name in template.own], owner))
    return found


def _family(template: ArnTemplate) -> str:
    """Return what types have in common whose ARNs one parameter takes: `listener/app` and `listener/net`."""
    return _FAMILIES.get(template.kind.name) or template.kind.name.partition("/")[0]


@cache
def resource_finder(action: Action) -> ResourceFinder:
    """Return the finder of an action."""
    return ResourceFinder(action)


def names_of(parameters: Any) -> Names:
    """Return the parameters by name.

    Policies, filters, tags, rules of groups and targets of aliases, which contain other resources, are left out.
    """
    names = Names(parameters)
    waiting: list[tuple[str, Any]] = [("", parameters)]
    while waiting:
        name, value = waiting.pop()
        pairs = value.items() if isinstance(value, dict) else [(name, item) for item in value] if isinstance(value, list) else ()
        inner = []
        for key, item in pairs:
            lower = key.lower()
            if isinstance(item, str):
                if item:
                    if lower == "content":
                        lower = name
                    elif lower == "groupname" and name == "placement":
                        lower = "placementgroupname"
                    names.setdefault(lower, []).append(item)
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
    return (
        "policy" in name
        or name == "aliastarget"
        or name.startswith(("filter", "tag", "ippermissions"))
        or name.endswith(("tags", "tagset"))
    )
