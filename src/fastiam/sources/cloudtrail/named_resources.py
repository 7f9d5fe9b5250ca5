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

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import Any

from fastiam.aws_data.catalog import Action, ResourceType
from fastiam.runtime.forking import cached_property

Names = dict[str, list[str]]  # parameters by their lower-case names, from any depth, and all ARNs under ""


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The parts of ARNs that the origin of a call determines. `caller` is the ARN of the calling user, else ""."""

    partition: str
    region: str
    account: str
    caller: str = ""


# parameters with another name than the variable of the ARN (API references of the services)
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
# the same for one service, or one type of it, where a name means something else in others
_ALIASES_OF = {
    "athena": {"datacatalogname": "catalogname", "workgroupname": "workgroup"},
    "ec2": {
        "dedicatedhostid": "hostids",
        "ipv4poolcoipid": "coippoolid",
        "naclid": "networkaclid",
        "vpcendpointserviceid": "serviceid",
    },
    "ecs": {"clustername": "cluster", "servicename": "service", "taskid": "tasks"},
    "lambda": {"layerversion": "versionnumber"},
    "route53:cidrcollection": {"id": "collectionid"},
    "route53:delegationset": {"id": "delegationsetid"},
    "route53:healthcheck": {"id": "healthcheckid"},
    "route53:hostedzone": {"id": "hostedzoneid"},
    "sagemaker": {
        "automljobjobname": "automljobname",
        "mlflowtrackingservername": "trackingservername",
        "sessionname": "trainingsessionname",
    },
    "ssm:maintenancewindow": {"resourceid": "windowid"},
    "ssm:opsitem": {"resourceid": "opsitemid"},
    "ssm:servicesetting": {"resourceid": "settingid"},
}
_CATALOG = "arn:${Partition}:glue:${Region}:${Account}:catalog"
_SUFFIXES = ("withpath", "withoutleadingslash")
_ONLY = ("name", "names", "id", "ids", "identifier", "resourceid", "resourcename")  # for the only type, or the only required type
_EC2_IDS = {  # the type of a `resourceId` by its prefix, for tags
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
_OBJECTS = ("object", "accesspointobject")  # a record of S3 without a key does not contain the object
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PLACE = ("partition", "region", "account")
_MAX_ARNS = 1_000  # of one type in one call; with more, the resource is None


class ResourceFinder:
    """Finds the resources of calls of one action."""

    def __init__(self, action: Action) -> None:
        self.name = action.name
        self._action = action
        self._templates = [_ArnTemplate(action, kind) for kind in action.types]
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

    def _unnamed(self, template: _ArnTemplate, names: Names, origin: RequestOrigin) -> str | None:
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


class _ArnTemplate:
    """The form of the ARNs of one type: recognises them, and builds them from parameters."""

    def __init__(self, action: Action, kind: ResourceType) -> None:
        self.kind, self.prefix, self.is_only = kind, action.prefix, False
        self.is_created = _is_created(action, kind)
        self.is_needed = kind.required or kind.name in _ALSO_CREATED.get(action.name, ())
        parts = _VARIABLE.split(kind.arn)  # literal, variable, literal, ...
        self._literals, self._variables = parts[::2], [name.lower() for name in parts[1::2]]
        self._own = [name for name in self._variables if name not in _PLACE]
        self._template = "".join(f"{literal.replace('%', '%%')}%s" for literal in self._literals[:-1]) + self._literals[-1]
        self._pattern = re.compile(self._expression()).fullmatch

    def _expression(self) -> str:
        """A variable matches a text without slashes and colons; the last variable matches the rest."""
        last = len(self._variables) - 1
        texts = [re.escape(literal).replace(r"\*", ".*") for literal in self._literals]
        for at, name in enumerate(self._variables):
            texts[at] += "[^:]*" if name in _PLACE else "[^/]+" if name == "bucketname" else ".+" if at == last else "[^/:]+"
        return "".join(texts)

    @cached_property
    def _candidates(self) -> dict[str, tuple[str, ...]]:
        """The parameters that can contain each variable, most likely first."""
        found = {}
        of_service = _ALIASES_OF.get(self.prefix, {}) | _ALIASES_OF.get(f"{self.prefix}:{self.kind.name}", {})
        for variable in self._own:
            plain = variable
            for suffix in _SUFFIXES:
                plain = plain.removesuffix(suffix)
            own = of_service.get(plain, "")
            names = (plain, plain + "s", own or _ALIASES.get(plain, ""), *(_ONLY if self.is_only else ()))
            of_any_type = plain == "resourceid" and not self.is_only
            found[variable] = tuple(name for name in ((own,) if of_any_type else names) if name)
        return found

    def among(self, arns: Sequence[str]) -> list[str]:
        return [arn for arn in arns if self._pattern(arn)] if arns else []

    def built(self, names: Names, origin: RequestOrigin) -> list[str | None]:
        values = []
        for variable in self._own:
            found = self._values(variable, names)
            if not found:
                return []
            values.append(found)
        if not values:
            return []
        counts = sorted(map(len, values))
        if counts[-1] > _MAX_ARNS or (len(values) > 1 and counts[-2] > 1):
            return [None]  # of several lists, the log does not contain which values belong together
        return [self._filled(own, origin) for own in product(*values)]

    def all_of(self, origin: RequestOrigin) -> str:
        return self._filled(["*"] * len(self._own), origin)

    def _filled(self, own: Sequence[str], origin: RequestOrigin) -> str:
        given = iter(own)
        return self._template % tuple(getattr(origin, name) if name in _PLACE else next(given) for name in self._variables)

    def _values(self, variable: str, names: Names) -> list[str]:
        for name in self._candidates[variable]:
            if name in names:
                found = names[name]
                break
        else:
            found = [id_ for id_ in names.get("resourceid", ()) if self._is_of_type(id_, names)]
        return [value for text in found if (value := self._read(variable, text, names))]

    def _is_of_type(self, id_: str, names: Names) -> bool:
        """Whether a `resourceId` has this type: by its prefix in EC2, by `resourceType` in other services."""
        if self.prefix == "ec2":
            return _EC2_IDS.get(id_.partition("-")[0]) == self.kind.name
        return [text.lower() for text in names.get("resourcetype", ())] == [self.kind.name.replace("-", "")]

    def _read(self, variable: str, text: str, names: Names) -> str:
        """Convert a parameter to its form in an ARN, or return "" if it is not one."""
        if text.startswith("arn:"):
            return ""  # an ARN of another type; those of this type are found before
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
        if self.kind.name == "managed-instance" and not text.startswith("mi-"):
            return ""  # an instance of EC2
        return text.removeprefix("/") if variable.endswith("withoutleadingslash") else text


def _is_created(action: Action, kind: ResourceType) -> bool:
    """Whether a call of the action creates a resource of the type, which has no id yet."""
    if kind.name in _ALSO_CREATED.get(action.name, ()):
        return True
    verb = action.name.partition(":")[2]
    return verb.startswith(_CREATES) and kind.name.replace("-", "") in verb.lower()


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
