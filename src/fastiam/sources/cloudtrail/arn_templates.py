"""The form of the ARNs of a resource type, and the parameters that contain its variables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

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
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PLACE = ("partition", "region", "account")
_MAX_ARNS = 1_000  # of one type in one call; with more, the resource is None


class ArnTemplate:
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
