"""The form of the ARNs of a resource type, and the parameters that contain its variables.

A variable has its value from the first of these parameters that a call contains:

1. the name of the variable, also as a list: `FunctionName`, `InstanceIds`, `ConnectionNameList`;
2. a name of the tables below, for what AWS names in two ways;
3. at the top of the parameters, a part of the name that no other type of the action has: `RuleName` or `InsightRule` for
   `InsightRuleName`;
4. at the top, `Name` or `Id` for the only type, if the action is about it: `Name` of `GetCrawler`, but not of `UpdateNamedQuery`,
   whose type is a work group.

The rules 3 and 4, and such names in the tables, do not look into structures, where a name belongs to something else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from fastiam.aws_data.catalog import Action, ResourceType
from fastiam.runtime.forking import cached_property
from fastiam.sources.sdk_calls.ec2_ids import ec2_type, ids_by_type
from fastiam.sources.sdk_calls.parameter_names import ALIASES, ALIASES_OF, ALSO_CREATED, DEFAULTS, HIDDEN, SOURCES


class Names(dict[str, list[str]]):
    """Parameters by their lower-case names, from any depth, and all ARNs under ""."""

    def __init__(self, parameters: Any) -> None:
        super().__init__()
        self._parameters = parameters

    @cached_property
    def top(self) -> dict[str, list[str]]:
        """The texts, numbers and lists of texts at the top, or in the only structure there: `{"DeleteFleetRequest": {...}}`."""
        given = self._parameters
        if isinstance(given, dict) and len(given) == 1:
            (inner,) = given.values()
            given = inner if isinstance(inner, dict) else given
        found: dict[str, list[str]] = {}
        for name, value in given.items() if isinstance(given, dict) else ():
            items = value if isinstance(value, (list, tuple)) else [value]
            texts = [str(item) for item in items if isinstance(item, (str, int)) and not isinstance(item, bool) and item != ""]
            if texts:
                found[name.lower()] = texts
            elif isinstance(value, dict) and name.lower().endswith("input"):  # `TableInput` of Glue
                own_name = value.get("Name", value.get("name"))
                if isinstance(own_name, str) and own_name:
                    found.setdefault("name", [own_name])
        return found

    @cached_property
    def ec2_ids(self) -> dict[str, list[str]]:
        """The ids of EC2 in the parameters, by type."""
        return ids_by_type(self)


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The parts of ARNs that the origin of a call determines. `caller` is the ARN of the calling user, else ""."""

    partition: str
    region: str
    account: str
    caller: str = ""


_SUFFIXES = ("withpath", "withoutleadingslash")
_IDS, _OWN_NAMES = ("id", "ids"), ("name", "names")  # `Identifier` may take a name in place of an id
_OF_ANY_TYPE = frozenset((*_IDS, *_OWN_NAMES, "identifier", "resourcename"))
_CREATES = ("Create", "Run", "Allocate", "Register", "Copy", "Import", "Request", "Put", "Start", "Upload")
# CloudWatch Logs decides about a group as about a stream without a name ("on resource: ...:log-group:NAME:log-stream:" in its
# messages), so that `log-group:NAME:*` of a policy applies; for these actions, the group itself is the resource
_NO_STREAM = ":log-stream:"
_NAME_LOG_GROUPS = frozenset(("logs:TagResource", "logs:UntagResource", "logs:ListTagsForResource"))
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z\d]*|[a-z\d]+")
_PARENT = re.compile(r"arn:([\w-]+):([\w-]+):([\w-]*):(\d*):([\w-]+)[/:]([^/:]+)").fullmatch
_PLACE = ("partition", "region", "account")
_MAX_ARNS = 1_000  # of one type in one call; with more, the resource is None


class ArnTemplate:
    """The form of the ARNs of one type: recognises them, and builds them from parameters.

    Attributes
    ----------
    is_needed
        whether each call has a resource of the type.
    is_created
        whether a call creates the resource, so that its id is not known.
    parts
        the parts of names of variables, as names of parameters, by variable.
    own
        the variables other than partition, Region and account.
    """

    def __init__(self, action: Action, kind: ResourceType, *, is_only: bool) -> None:
        self.kind, self.prefix = kind, action.prefix
        verb = action.name.partition(":")[2].lower()
        self.is_created = _is_created(action, kind)
        self.is_needed = kind.required or kind.name in ALSO_CREATED.get(action.name, ())
        self._is_about = _plain(kind.name).removesuffix("s") in verb
        is_group = self.prefix == "logs" and kind.name == "log-group" and action.name not in _NAME_LOG_GROUPS
        self._end = _NO_STREAM if is_group else ""
        texts = _VARIABLE.split(kind.arn)  # literal, variable, literal, ...
        self._literals, self._variables = texts[::2], [name.lower() for name in texts[1::2]]
        self.own = [name for name in self._variables if name not in _PLACE]
        self.parts = {name.lower(): _parts_of(name) for name in texts[1::2] if name.lower() not in _PLACE}
        self._is_only, self._shared = is_only, frozenset[str]()
        self._sources: tuple[str, ...] = SOURCES.get(action.name, {}).get(kind.name, ())
        self._is_named = self.prefix != "ec2" or kind.arn.split(":")[2] == "ec2"  # EC2 names others by ARN: a group of resources
        self._template = (
            "".join(f"{literal.replace('%', '%%')}%s" for literal in self._literals[:-1]) + self._literals[-1] + self._end
        )
        self._pattern = re.compile(self._expression()).fullmatch
        self._defaults = {} if is_of_tags(action) else DEFAULTS.get(action.name) or DEFAULTS.get(self.prefix, {})

    def _expression(self) -> str:
        """A variable matches a text without slashes and colons; the last variable matches the rest."""
        last = len(self._variables) - 1
        texts = [re.escape(literal).replace(r"\*", ".*") for literal in self._literals]
        for at, name in enumerate(self._variables):
            value = "[^:]*" if name in _PLACE else "[^/]+" if name == "bucketname" else ".+" if at == last else "[^/:]+"
            texts[at] += value if name in _PLACE else f"({value})"
        return "".join(texts)

    @cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The parameters that can contain each variable, from any depth, most likely first."""
        found = {}
        for variable in self.own:
            plain = _without_form(variable)
            own = self._aliases(plain)
            if plain == "resourceid":
                kind = _plain(self.kind.name)
                found[variable] = (*own, kind + "id", kind + "ids")
            else:
                found[variable] = (plain, plain + "s", plain + "list", *(own or ALIASES.get(plain, "").split()))
        return found

    def _aliases(self, variable: str) -> list[str]:
        of_type, of_service = ALIASES_OF.get(f"{self.prefix}:{self.kind.name}", {}), ALIASES_OF.get(self.prefix, {})
        return (of_type.get(variable) or of_service.get(variable, "")).split()

    @cached_property
    def _at_top(self) -> dict[str, tuple[str, ...]]:
        """`Id` or `Name` for the only variable of the only type, and `Name` for the one that is called after the type."""
        if not self._is_only or not self._is_about:
            return {}
        if len(self.own) > 1:
            kind = _plain(self.kind.name)
            own = {f"{kind}name": _OWN_NAMES, f"{kind}id": _IDS}
            return {variable: own[variable] for variable in self.own if variable in own}
        (variable,) = self.own
        plain = _without_form(variable)
        if plain == "resourceid":
            return {variable: ("resourceid", *_IDS, *_OWN_NAMES)}
        if plain.endswith(("id", "uuid", "identifier")):
            return {variable: (*_IDS, "resourceid")}
        return {variable: (*_OWN_NAMES, "resourcename") if plain.endswith("name") else (*_OWN_NAMES, *_IDS)}

    def share(self, names: set[str]) -> None:
        """Leave the parts of names that another type has too; in EC2, the id has the type."""
        if self.prefix == "ec2":
            self._shared = frozenset(names)
        else:
            self.parts = {variable: tuple(part for part in parts if part not in names) for variable, parts in self.parts.items()}

    def among(self, arns: Sequence[str]) -> list[str]:
        found = [arn for arn in arns if self._pattern(arn)] if arns else []
        if self._end:  # a stream is another resource than its group
            found = [arn.removesuffix(self._end).removesuffix(":*") + self._end for arn in found if _NO_STREAM not in arn[:-1]]
        return found

    def values_in(self, arn: str) -> dict[str, str]:
        """Return the variables of an ARN of this form; {} for another one."""
        match = self._pattern(arn.removesuffix(self._end))
        return dict(zip(self.own, match.groups(), strict=True)) if match else {}

    @property
    def has_source(self) -> bool:
        """Whether a call names both what it creates and a source of the same type."""
        return self.is_created or bool(self._sources)

    def built(self, names: Names, origin: RequestOrigin) -> list[str | None]:
        """Return the ARNs that the parameters determine; [None] if there are too many, or two lists of variables."""
        if not self.own or (self._last.isdisjoint(names) and not self._default[self.own[-1]]):
            return self._of_ids(names, origin)
        values = []
        for variable in self.own:
            found = self._values(variable, names, origin)
            if not found:
                return self._of_ids(names, origin)
            values.append(found)
        if len(values) == 1 and self.prefix == "ec2":
            values = [list(dict.fromkeys((*values[0], *self._other_ids(names))))]
        if len(values) == 1 and len(values[0]) == 1:
            return [self.filled(values[0], origin)]
        counts = sorted(map(len, values))
        if counts[-1] > _MAX_ARNS or (len(values) > 1 and counts[-2] > 1):
            return [None]  # of several lists, the log does not contain which values belong together
        return [self.filled(own, origin) for own in product(*values)]

    def _of_ids(self, names: Names, origin: RequestOrigin) -> list[str | None]:
        """Return the ARNs of the ids of EC2 in parameters with other names; [None] if the ARN has a name in place of the id."""
        ids = self._other_ids(names)
        return [self.filled([id_], origin) for id_ in dict.fromkeys(ids)] if ids else [None] if self._named_by_id(names) else []

    def _other_ids(self, names: Names) -> list[str]:
        """Return the ids of EC2 of this type in all parameters."""
        has_id = self.prefix == "ec2" and not self.is_created and self.own[-1].endswith("id")
        return names.ec2_ids.get(self.kind.name, []) if has_id else []

    def _named_by_id(self, names: Names) -> bool:
        return self.prefix == "ec2" and not self.is_created and self.kind.name in names.ec2_ids

    def created(self, names: Names, origin: RequestOrigin) -> str:
        """Return the ARN of a resource that has no id yet, with `*` for each variable that the parameters do not determine."""
        values = [self._values(variable, names, origin) for variable in self.own]
        return self.filled([found[0] if len(found) == 1 else "*" for found in values], origin)

    def all_of(self, origin: RequestOrigin) -> str:
        return self.filled(["*"] * len(self.own), origin)

    def filled(self, own: Sequence[str], origin: RequestOrigin) -> str:
        given = iter(own)
        return self._template % tuple(getattr(origin, name) if name in _PLACE else next(given) for name in self._variables)

    def is_named(self, names: Names) -> bool:
        """Whether a parameter for each variable is in the call, whatever its value."""
        return all(self._given(variable, names) is not None for variable in self.own)

    @cached_property
    def _places(self) -> dict[str, tuple[tuple[str, bool], ...]]:
        """The parameters that can contain each variable, most likely first, and whether only one at the top counts."""
        found = {}
        for variable in self.own:
            places = []
            for name in self.names[variable]:
                plain = name.removeprefix("=")
                if plain not in _OF_ANY_TYPE:
                    places.append((plain, False))
                elif name != plain or self._is_about or (self._is_only and name == variable):
                    places.append((plain, True))
            places += ((name, True) for name in (*self.parts[variable], *self._at_top.get(variable, ())))
            found[variable] = tuple(places)
        return found

    @cached_property
    def _last(self) -> frozenset[str]:
        """The parameters for the last variable. PERF: most types of an action are not in a call, which one look-up decides."""
        return frozenset(("resourceid", *(name for name, _ in self._places[self.own[-1]])))

    def _given(self, variable: str, names: Names) -> list[str] | None:
        """Return the values of the parameter for a variable, None without one."""
        if not self._is_named:
            return None
        if self._sources:
            return [value for name in self._sources for value in names.top.get(name, ())] or None
        for name, is_at_top in self._places[variable]:
            if name not in names:
                continue
            if not is_at_top:
                return names[name]
            if name in names.top:
                found = names.top[name]
                return found if name not in self._shared else [id_ for id_ in found if ec2_type(id_) == self.kind.name]
        return None

    @cached_property
    def _default(self) -> dict[str, list[str]]:
        return {
            variable: [self._defaults[name] for name in names if name in self._defaults] for variable, names in self.names.items()
        }

    def _values(self, variable: str, names: Names, origin: RequestOrigin) -> list[str]:
        found = self._given(variable, names)
        if found is None and "resourceid" in names:
            found = [id_ for id_ in names["resourceid"] if self._is_of_type(id_, names)]
        return [value for text in found or self._default[variable] if (value := self._read(variable, text, names, origin))]

    def _is_of_type(self, id_: str, names: Names) -> bool:
        """Whether a `resourceId` has this type: by its prefix in EC2, by `resourceType` in other services."""
        if self.prefix == "ec2":
            return ec2_type(id_) == self.kind.name
        return [text.lower() for text in names.get("resourcetype", ())] == [self.kind.name.replace("-", "")]

    def _read(self, variable: str, text: str, names: Names, origin: RequestOrigin) -> str:
        """Convert a parameter to its form in an ARN, or return "" if it is not one."""
        if text == HIDDEN:
            return ""
        if text.startswith("arn:"):
            # an ARN of this type is found before; one of its parent, such as the cluster of a service, has the name
            return _name_in(text, variable, self.kind.arn.split(":")[2], origin) if len(self.own) > 1 else ""
        if self.prefix == "route53":
            return text.rpartition("/")[2]  # also `/hostedzone/ID`
        if variable == "queuename":
            return text.rpartition("/")[2]
        if variable == "alias":
            return text.removeprefix("alias/") if text.startswith("alias/") else ""
        if variable == "keyid" and self.prefix == "kms" and text.startswith("alias/"):
            return ""  # the record does not contain the key of an alias
        if variable == "functionname":
            return text.rpartition(":function:")[2]
        if variable.endswith("withpath"):
            path = names.get("path", ["/"])[0] if self.is_created else "/"
            return path.removeprefix("/") + text
        if self.kind.name in ("instance", "managed-instance") and (self.kind.name == "instance") is text.startswith("mi-"):
            return ""  # the other kind of instance
        if self.prefix == "ec2" and ec2_type(text) not in ("", self.kind.name):
            return ""  # the id of another type
        if text == "default" and self.kind.name == "dhcp-options":
            return ""  # none
        return text.removeprefix("/") if variable.endswith("withoutleadingslash") else text


def arn_templates(action: Action) -> list[ArnTemplate]:
    """Return the forms of the types of an action."""
    required = [kind for kind in action.types if kind.required]
    only = required[0] if len(required) == 1 else action.types[0] if len(action.types) == 1 else None
    # parameters of EC2 contain the type
    found = [ArnTemplate(action, kind, is_only=kind is only and action.prefix != "ec2") for kind in action.types]
    for template in found:
        others = [other for other in found if other is not template]
        taken = {name for other in others for names in (*other.names.values(), *other.parts.values()) for name in names}
        template.share(taken)
    return found


def is_of_tags(action: Action) -> bool:
    """Whether an action reads or writes the tags of a resource of any of its types."""
    return "Tag" in action.name


def _plain(kind: str) -> str:
    return re.sub("[-_ /]", "", kind).lower()


def _without_form(variable: str) -> str:
    for suffix in _SUFFIXES:
        variable = variable.removesuffix(suffix)
    return variable


def _parts_of(variable: str) -> tuple[str, ...]:
    """Return the ends of a name with two words or more, `RuleName` and `RuleNames` of `InsightRuleName`, and `InsightRule`."""
    words = _WORD.findall(variable)
    ends = ["".join(words[at:]).lower() for at in range(1, len(words) - 1)]
    found = [name for end in ends if not end.startswith("resource") for name in (end, end + "s")]
    if words[-1] == "Name" and len(words) > 1:
        found.append("".join(words[:-1]).lower())  # `cluster` is a name
    return tuple(found)


def _name_in(arn: str, variable: str, service: str, origin: RequestOrigin) -> str:
    """Return the name in the ARN of the parent of a resource, `.../cluster/NAME` for `ClusterName`; "" for another ARN."""
    match = _PARENT(arn)
    place = (origin.partition, service, origin.region, origin.account)
    stem = variable.removesuffix("name").removesuffix("id")
    return match[6] if match and match.groups()[:4] == place and _plain(match[5]) == stem else ""


def _is_created(action: Action, kind: ResourceType) -> bool:
    """Whether a call of the action creates a resource of the type, which has no id yet."""
    if kind.name in ALSO_CREATED.get(action.name, ()):
        return True
    verb = action.name.partition(":")[2]
    if not verb.startswith(_CREATES):
        return False
    plain = {each.name: _plain(each.name).removesuffix("s") for each in action.types}
    ends = [name for name in plain.values() if verb.lower().removesuffix("s").endswith(name)]
    return bool(ends) and plain[kind.name] == max(ends, key=len)
