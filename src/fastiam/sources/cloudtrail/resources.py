"""Which resources a record is about: named in `resources`, named by ARN or by id in `requestParameters`, or implied.

AWS's list of actions says of which types the resources of an action are, and how their ARNs are built. For each type:

1. ARNs of that form in `resources`, else in `requestParameters`;
2. else the ARN built from parameters that are called as the variables of its form (`InstanceId`, `instanceId`);
3. else, if each call has one: what does not exist yet is `*`, as AWS's own messages name it (`...:instance/*`), and what
   exists but is not named is *untold*: None, so that nobody decides on a guess.

Where types are optional and none is named, a call that lists or reads is about all of them, `...:db:*` of a single type and
else `*`; one that writes with parameters is untold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from fastiam.sources.cloudtrail.catalogue import Action, ResourceType

Names = dict[str, list[str]]  # parameters by their lower-case names, from any depth, and all ARNs under ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call was made: what ARNs are built from. `caller` is the caller's ARN if it is a user, else ""."""

    partition: str
    region: str
    account: str
    caller: str = ""


# parameters that name a variable of an ARN otherwise than it is called (API references of the services)
_ALIASES = {
    "accesspointname": "name",
    "alarmname": "alarmnames",
    "alias": "aliasname",
    "bucketname": "bucket",
    "cacheclusterid": "cacheclusterid",
    "clusterparametergroupname": "dbclusterparametergroupname",
    "clustersnapshotname": "dbclustersnapshotidentifier",
    "dbclusterinstancename": "dbclusteridentifier",
    "dbinstancename": "dbinstanceidentifier",
    "deliverystreamname": "deliverystreamname",
    "groupfriendlyname": "autoscalinggroupname",
    "keyid": "targetkeyid",
    "keypairname": "keyname",
    "layername": "layername",
    "objectname": "key",
    "optiongroupname": "optiongroupname",
    "parametergroupname": "dbparametergroupname",
    "queuename": "queueurl",
    "roleid": "rolename",
    "snapshotname": "dbsnapshotidentifier",
    "subnetgroupname": "dbsubnetgroupname",
    "securitygroupid": "groupid",
    "topicname": "name",
    "trailname": "name",
    "userpoolid": "userpoolid",
}
_SUFFIXES = ("withpath", "withoutleadingslash")
_ONLY = ("name", "names", "id", "ids", "identifier", "resourceid", "resourcename")  # of the one type that every call has
_EC2_IDS = {  # `resourceId` of tags: the prefix of an id tells the type
    "ami": "image",
    "acl": "network-acl",
    "dopt": "dhcp-options",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "fl": "vpc-flow-log",
    "i": "instance",
    "igw": "internet-gateway",
    "key": "key-pair",
    "lt": "launch-template",
    "nat": "natgateway",
    "pcx": "vpc-peering-connection",
    "rtb": "route-table",
    "sg": "security-group",
    "snap": "snapshot",
    "subnet": "subnet",
    "tgw": "transit-gateway",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
_CREATES = ("Create", "Run", "Allocate", "Register", "Copy", "Import", "Request", "Put", "Start")
_ALSO_CREATED = {
    "ec2:RunInstances": ("volume", "network-interface"),
    "ec2:AllocateAddress": ("elastic-ip",),
    "ec2:CreateFlowLogs": ("vpc-flow-log",),
}
_OBJECTS = ("object", "accesspointobject")  # S3 names the key of an object; without one, nothing is said about it
_PASSED = frozenset("role rolearn executionrolearn taskrolearn servicerolearn iamrole iamrolearn jobrolearn".split())
_PASSING = ("Create", "Update", "Put", "Register", "Run", "Start", "Submit", "Associate", "Modify")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PLACE = ("partition", "region", "account")
_MAX_ARNS = 1_000  # of one type in one call; a call that names more is untold


class Finder:
    """Finds the resources of one action's calls."""

    def __init__(self, action: Action) -> None:
        self.name = action.name
        self._action = action
        self._forms = [_Form(action, kind) for kind in action.types]
        required = [form for form in self._forms if form.kind.required]
        for form in required if len(required) == 1 else self._forms if len(self._forms) == 1 else ():
            form.is_only = action.prefix != "ec2"  # whose ids have names of their own

    @property
    def needs_parameters(self) -> bool:
        """Whether anything about a record matters: an action without types is about `*`."""
        return bool(self._forms)

    def find(self, names: Names, listed: Iterable[str], place: Place) -> list[str | None]:
        """The ARNs, `*`, or None for a resource that the record does not tell."""
        found: dict[str | None, None] = {}
        in_list, in_parameters = list(listed), names.get("", ())
        for form in self._forms:
            arns = form.among(in_list) or form.among(in_parameters) or form.built(names, place)
            found.update(dict.fromkeys(arns))
            if not arns and form.kind.required:
                found[self._unnamed(form, names, place)] = None
        return list(found) or self._about_all(names, place)

    def _unnamed(self, form: _Form, names: Names, place: Place) -> str | None:
        """A resource that each call has and this one does not name."""
        if form.kind.name == "user" and self._action.prefix == "iam" and place.caller:
            return place.caller  # IAM takes the caller where no user is named
        return form.all_of(place) if form.is_created or not names else None

    def _about_all(self, names: Names, place: Place) -> list[str | None]:
        if not self._forms:
            return ["*"]
        if any(form.kind.name in _OBJECTS for form in self._forms) or (names and "Write" in self._action.level):
            return [None]
        only = self._forms[0]
        is_own = len(self._forms) == 1 and only.kind.arn.split(":")[2] == self._action.prefix
        return [only.all_of(place) if is_own else "*"]


class _Form:
    """The ARNs of one type: told from others, and built from parameters."""

    def __init__(self, action: Action, kind: ResourceType) -> None:
        self.kind, self.prefix, self.is_only = kind, action.prefix, False
        self.is_created = _is_created(action, kind)
        self._parts = _VARIABLE.split(kind.arn)  # literal, variable, literal, ...
        self._variables = [name.lower() for name in self._parts[1::2]]
        self._own = [name for name in self._variables if name not in _PLACE]
        self._pattern = re.compile(self._expression()).fullmatch

    def _expression(self) -> str:
        """`${A}` stands for one word between slashes and colons, the last of them for the rest."""
        last = len(self._variables) - 1
        texts = [re.escape(literal).replace(r"\*", ".*") for literal in self._parts[::2]]
        for at, name in enumerate(self._variables):
            texts[at] += "[^:]*" if name in _PLACE else "[^/]+" if name == "bucketname" else ".+" if at == last else "[^/:]+"
        return "".join(texts)

    def among(self, arns: Iterable[str]) -> list[str]:
        return [arn for arn in arns if self._pattern(arn)]

    def built(self, names: Names, place: Place) -> list[str]:
        values = [self._values(name, names) for name in self._own]
        if not self._own or not all(values):
            return []
        if sum(map(len, values)) > _MAX_ARNS or (len(values) > 1 and max(map(len, values)) > 1):
            return []  # which of them belong together is not told
        return [self._filled(dict(zip(self._own, one, strict=True)), place) for one in product(*values)]

    def all_of(self, place: Place) -> str:
        return self._filled(dict.fromkeys(self._own, "*"), place)

    def _filled(self, values: Mapping[str, str], place: Place) -> str:
        known = {"partition": place.partition, "region": place.region, "account": place.account, **values}
        texts = list(self._parts)
        texts[1::2] = [known[name] for name in self._variables]
        return "".join(texts)

    def _values(self, variable: str, names: Names) -> list[str]:
        plain = variable
        for suffix in _SUFFIXES:
            plain = plain.removesuffix(suffix)
        candidates = (plain, plain + "s", _ALIASES.get(plain, ""), *(_ONLY if self.is_only else ()))
        found = next((names[name] for name in candidates if name and name in names), [])
        if plain == "resourceid" and not self.is_only or not found and "resourceid" in names:
            found = [id_ for id_ in names.get("resourceid", ()) if self._is_of_type(id_, names)]
        return [value for value in (self._read(variable, text, names) for text in found) if value]

    def _is_of_type(self, id_: str, names: Names) -> bool:
        """Whether a `resourceId` is of this type: its prefix tells in EC2, a `resourceType` elsewhere."""
        if self.prefix == "ec2":
            return _EC2_IDS.get(id_.partition("-")[0]) == self.kind.name
        return [text.lower() for text in names.get("resourcetype", ())] == [self.kind.name.replace("-", "")]

    def _read(self, variable: str, text: str, names: Names) -> str:
        """A parameter as it stands in an ARN, or "" where it is none."""
        if text.startswith("arn:"):
            return ""  # of another form than this type's, or it would have been found
        if variable == "queuename":
            return text.rpartition("/")[2]
        if variable == "alias":
            return text.removeprefix("alias/") if text.startswith("alias/") else ""
        if variable == "keyid" and self.prefix == "kms" and text.startswith("alias/"):
            return ""  # which key an alias means is not told
        if variable == "functionname":
            return text.rpartition(":function:")[2]
        if variable.endswith("withpath"):
            path = names.get("path", ["/"])[0] if self.is_created else "/"
            return path.removeprefix("/") + text
        if self.kind.name == "managed-instance" and not text.startswith("mi-"):
            return ""  # an instance of EC2
        return text.removeprefix("/") if variable.endswith("withoutleadingslash") else text


def _is_created(action: Action, kind: ResourceType) -> bool:
    """Whether a call of the action makes a resource of the type, so that no id can be named."""
    if kind.name in _ALSO_CREATED.get(action.name, ()):
        return True
    verb = action.name.partition(":")[2]
    return verb.startswith(_CREATES) and kind.name.replace("-", "") in verb.lower()


@cache
def finder_of(action: Action) -> Finder:
    """The finder of an action; one each."""
    return Finder(action)


def names_of(parameters: Any) -> Names:
    """Parameters by name. Policies, filters and tags speak of other things than the call is about, and are left out."""
    names: Names = {}
    arns: list[str] = []
    waiting: list[tuple[str, Any]] = [("", parameters)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            for key, item in value.items():
                lower = key.lower()
                if isinstance(item, (dict, list)):
                    if not ("policy" in lower or "tag" in lower or lower.startswith("filter")):
                        waiting.append((lower, item))
                elif item is not None:
                    waiting.append((name if lower == "content" else lower, item))
        elif isinstance(value, list):
            waiting.extend((name, item) for item in reversed(value))
        elif isinstance(value, str) and value:
            names.setdefault(name, []).append(value)
            if value.startswith("arn:"):
                arns.append(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            names.setdefault(name, []).append(str(value))
    if arns:
        names[""] = list(dict.fromkeys(arns))
    return names


def passed_roles(action: Action, names: Names) -> list[str]:
    """Roles that a call hands to a service, which needs `iam:PassRole` on each (spec 6.7)."""
    if action.prefix in ("iam", "sts") or not action.name.partition(":")[2].startswith(_PASSING):
        return []
    values = (value for name in _PASSED & names.keys() for value in names[name])
    return sorted({value for value in values if value.startswith("arn:") and ":role/" in value})
