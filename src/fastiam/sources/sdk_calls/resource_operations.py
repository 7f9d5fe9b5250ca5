"""Operations that create, run or change resources, and whose requests do not follow from their name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastiam.aws_data.catalog import actions_of
from fastiam.aws_data.rest_paths import rest_paths
from fastiam.sources.sdk_calls.data_operations import Need, Reader
from fastiam.sources.sdk_calls.ec2_ids import ec2_type
from fastiam.sources.sdk_calls.event_actions import actions_of_event
from fastiam.sources.sdk_calls.parameter_arns import member, place_of

if TYPE_CHECKING:
    from fastiam.sources.sdk_calls.arn_templates import RequestOrigin


_ACCOUNT = re.compile(r"\d{12}").fullmatch
_PATH_VARIABLE = re.compile(r"\{(\w+)\}")
_RULES = "DeleteRule DescribeRule DisableRule EnableRule ListTargetsByRule PutRule PutTargets RemoveTargets".split()
# inference profiles across Regions begin with a geography, models with their provider
_GEOGRAPHY = re.compile(r"[a-z]{2}|us-gov|apac|global").fullmatch
_LOAD_BALANCERS = {"application": "app", "network": "net", "gateway": "gwy"}


def _task_of(action: str) -> Reader:
    """Task definitions by family and revision, or by ARN; of a family alone, the call does not contain the revision."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        given = member(parameters, "taskDefinition", "taskDefinitions")
        found: list[Need] = []
        for task in given if isinstance(given, list) and given else [given]:
            if not isinstance(task, str) or ":" not in task.rpartition("/")[2]:
                found.append((action, None))
            else:
                arn = task if task.startswith("arn:") else f"{place_of('ecs', origin)}:task-definition/{task}"
                found.append((action, arn))
        return found

    return read


def _model_of(action: str) -> Reader:
    """The requests of an operation of Bedrock that invokes a model.

    An inference profile needs the models behind it as well, which the call does not contain; a guardrail has its own action.
    """

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        needs: list[Need] = [(action, arn) for arn in _model_arns(member(parameters, "modelId"), origin)]
        guardrail = member(parameters, "guardrailIdentifier") or member(
            member(parameters, "guardrailConfig"), "guardrailIdentifier"
        )
        if isinstance(guardrail, str) and guardrail:
            place = f"arn:{origin.partition}:bedrock:{origin.region}:{origin.account}"
            arn = guardrail if guardrail.startswith("arn:") else f"{place}:guardrail/{guardrail}"
            needs.append(("bedrock:ApplyGuardrail", arn))
        return needs

    return read


def _model_arns(model: Any, origin: RequestOrigin) -> list[str | None]:
    """Return the ARNs of a model from its id or ARN; None for what the id does not determine."""
    if not isinstance(model, str) or not model:
        return [None]
    if model.startswith("arn:"):
        kind = model.split(":", 5)[-1].partition("/")[0]
        return [None] if kind == "prompt" else [model, None] if kind.endswith("inference-profile") else [model]
    provider, dot, _ = model.partition(".")
    if not dot:
        return [None]  # the id of a provisioned, custom or imported model
    if _GEOGRAPHY(provider):
        return [f"arn:{origin.partition}:bedrock:{origin.region}:{origin.account}:inference-profile/{model}", None]
    return [f"arn:{origin.partition}:bedrock:{origin.region}::foundation-model/{model}"]


def rest_call_of(operation: str) -> Reader:
    """The resource of a call of API Gateway is its path, the same for both versions of the API.

    Private domain names have an id and an account in their ARN, which the path does not contain.
    """
    paths = rest_paths(operation)

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        given = {name.lower(): value for name, value in parameters.items() if isinstance(value, str) and value}
        values = {name: quote(value, safe="") if "arn" in name else value for name, value in given.items()}
        found: dict[str, None] = {}
        for path in paths:
            if all(name.lower() in given for name in _PATH_VARIABLE.findall(path)):
                found[_PATH_VARIABLE.sub(lambda match: values[match[1].lower()], path)] = None
        is_private = "domainnameid" in given or any(path.startswith("/domainnameaccessassociations") for path in found)
        arns = [f"arn:{origin.partition}:apigateway:{origin.region}::{path}" for path in found]
        (action,) = actions_of_event("apigateway", operation)
        return [(action.name, arns[0] if len(arns) == 1 and not is_private else None)]

    return read


def _rule_of(action: str) -> Reader:
    """A rule of EventBridge is below its event bus, except for one of the default bus."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        rule, bus = member(parameters, "name", "rule"), member(parameters, "eventBusName") or "default"
        if not isinstance(rule, str) or not isinstance(bus, str):
            return [(action, None)]
        place = bus.rpartition(":event-bus/")[0] if bus.startswith("arn:") else place_of("events", origin)
        name = bus.rpartition("/")[2] if bus.startswith("arn:") else bus
        return [(action, f"{place}:rule/{rule}" if name == "default" else f"{place}:rule/{name}/{rule}")]

    return read


def _put_events(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    entries = member(parameters, "entries")
    found = []
    for entry in entries if isinstance(entries, list) else ():
        bus = member(entry, "eventBusName") or "default"
        found.append(bus if str(bus).startswith("arn:") else f"{place_of('events', origin)}:event-bus/{bus}")
    return [("events:PutEvents", bus) for bus in found] or [("events:PutEvents", None)]


def tags_of(action: str) -> Reader:
    """The resources of EC2 that get or lose tags, by the prefixes of their ids."""
    forms = {kind.name: kind.arn for kind in actions_of("ec2")[action.partition(":")[2].lower()].types}

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        ids = member(parameters, "resources", "resourcesSet")
        if isinstance(ids, Mapping):  # in a log
            items = member(ids, "items")
            ids = [member(item, "resourceId") for item in items] if isinstance(items, list) else None
        found: list[Need] = []
        for id_ in ids if isinstance(ids, list) and ids else [None]:
            form = forms.get(ec2_type(id_)) if isinstance(id_, str) else None
            has_id = form is not None and form.endswith("Id}")  # a key pair and a placement group have their name in place of it
            found.append((action, _filled(form, str(id_), origin) if form and has_id else None))
        return found

    return read


def _filled(form: str, id_: str, origin: RequestOrigin) -> str:
    place = {"Partition": origin.partition, "Region": origin.region, "Account": origin.account}
    return re.sub(r"\$\{(\w+)\}", lambda match: place.get(match[1], id_), form)


def _assume_root(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The member account as an id or as the ARN of its root user."""
    target = member(parameters, "targetPrincipal")
    if not isinstance(target, str):
        return [("sts:AssumeRoot", None)]
    return [("sts:AssumeRoot", f"arn:{origin.partition}:iam::{target}:root" if _ACCOUNT(target) else target)]


def _open_id_provider(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The name of a provider is its URL without the scheme."""
    url = member(parameters, "url")
    if not isinstance(url, str):
        return [("iam:CreateOpenIDConnectProvider", None)]
    name = url.removeprefix("https://")
    return [("iam:CreateOpenIDConnectProvider", f"arn:{origin.partition}:iam::{origin.account}:oidc-provider/{name}")]


def _create_linked_role(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The role is below the path of its service; its name is that which the service chooses."""
    service = member(parameters, "aWSServiceName")
    place = f"arn:{origin.partition}:iam::{origin.account}:role/aws-service-role"
    return [("iam:CreateServiceLinkedRole", f"{place}/{service}/*" if isinstance(service, str) else None)]


def _create_load_balancer(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """A load balancer of the second version has its type in its ARN, and `Name` in place of `LoadBalancerName`."""
    classic, name = member(parameters, "loadBalancerName"), member(parameters, "name")
    kind = _LOAD_BALANCERS.get(str(member(parameters, "type") or "application"))
    place = f"{place_of('elasticloadbalancing', origin)}:loadbalancer"
    resource = f"{place}/{classic}" if isinstance(classic, str) else None
    if isinstance(name, str) and kind:
        resource = f"{place}/{kind}/{name}/*"
    return [("elasticloadbalancing:CreateLoadBalancer", resource)]


def _renamed(action: str, kind: str, *names: str) -> Reader:
    """What gets a new name or path, and what it is called then: IAM asks for both (API reference)."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        place = f"arn:{origin.partition}:iam::{origin.account}:{kind}"
        name, new_name, new_path = (member(parameters, each) for each in (*names, "newPath"))
        if not isinstance(name, str):
            return [(action, None)]
        path = str(new_path or "/").removeprefix("/")
        is_new = new_name is not None or new_path is not None
        return [(action, f"{place}/{name}"), *([(action, f"{place}/{path}{new_name or name}")] if is_new else [])]

    return read


def _copied_image(action: str, kind: str, source: str) -> Reader:
    """What is copied, perhaps of another Region, and the copy. The snapshots of an image are not in the call."""

    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        id_, region = member(parameters, source), member(parameters, "sourceRegion") or origin.region
        needs: list[Need] = [(action, f"arn:{origin.partition}:ec2:{region}::{kind}/{id_}" if isinstance(id_, str) else None)]
        needs.append((action, f"arn:{origin.partition}:ec2:{origin.region}::{kind}/*"))
        return [*needs, (action, None)] if kind == "image" else needs

    return read


def _all_log_groups(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """CloudWatch Logs decides a list of groups on a group without a name, whatever its prefix."""
    return [("logs:DescribeLogGroups", f"{place_of('logs', origin)}:log-group::log-stream:")]


def _copied_snapshot(action: str, kind: str, *names: str) -> Reader:
    def read(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        given = [member(parameters, name) for name in names]
        place, group = place_of("rds", origin), member(parameters, "optionGroupName")
        found = [each if str(each).startswith("arn:") else f"{place}:{kind}:{each}" if each else None for each in given]
        return [(action, each) for each in (*found, *([f"{place}:og:{group}"] if group else ()))]

    return read


def _send_command(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
    """The document, and the instances by id, or all of them: the call contains no ids where targets are tags."""
    document = member(parameters, "documentName")
    if isinstance(document, str) and not document.startswith("arn:"):
        document = f"{place_of('ssm', origin)}:document/{document}"
    targets = member(parameters, "targets")
    ids = list(found) if isinstance(found := member(parameters, "instanceIds"), list) else []
    for target in targets if isinstance(targets, list) else ():
        values = member(target, "values")
        is_of_ids = member(target, "key") == "InstanceIds" and isinstance(values, list) and values
        ids += values if is_of_ids else ["*"]
    found = [
        f"{place_of('ssm', origin)}:managed-instance/{id_}"
        if str(id_).startswith("mi-")
        else f"{place_of('ec2', origin)}:instance/{id_}"
        for id_ in ids
    ]
    return [("ssm:SendCommand", each) for each in (document if isinstance(document, str) else None, *(found or [None]))]


def tagged_on_creation(parameters: Any, origin: RequestOrigin) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield each resource that a call of EC2 creates with tags, as `ec2:CreateTags` has it, and its tags."""
    given = member(parameters, "tagSpecifications", "tagSpecification", "tagSpecificationSet")
    given = member(given, "items") if isinstance(given, Mapping) else given
    for entry in given if isinstance(given, list) else ():
        kind, tags = member(entry, "resourceType"), member(entry, "tags")
        if isinstance(kind, str) and tags:
            yield f"arn:{origin.partition}:ec2:{origin.region}:{origin.account}:{kind}/*", tags


READERS: dict[tuple[str, str], Reader] = {
    ("elasticloadbalancing", "CreateLoadBalancer"): _create_load_balancer,
    ("iam", "UpdateUser"): _renamed("iam:UpdateUser", "user", "userName", "newUserName"),
    ("iam", "UpdateGroup"): _renamed("iam:UpdateGroup", "group", "groupName", "newGroupName"),
    ("ec2", "CopySnapshot"): _copied_image("ec2:CopySnapshot", "snapshot", "sourceSnapshotId"),
    ("ec2", "CopyImage"): _copied_image("ec2:CopyImage", "image", "sourceImageId"),
    ("logs", "DescribeLogGroups"): _all_log_groups,
    ("rds", "CopyDBSnapshot"): _copied_snapshot(
        "rds:CopyDBSnapshot", "snapshot", "sourceDBSnapshotIdentifier", "targetDBSnapshotIdentifier"
    ),
    ("rds", "CopyDBClusterSnapshot"): _copied_snapshot(
        "rds:CopyDBClusterSnapshot", "cluster-snapshot", "sourceDBClusterSnapshotIdentifier", "targetDBClusterSnapshotIdentifier"
    ),
    ("ssm", "SendCommand"): _send_command,
    ("sts", "AssumeRoot"): _assume_root,
    ("iam", "CreateOpenIDConnectProvider"): _open_id_provider,
    ("iam", "CreateServiceLinkedRole"): _create_linked_role,
    ("events", "PutEvents"): _put_events,
    **{("events", name): _rule_of(f"events:{name}") for name in _RULES},
    ("ecs", "DeleteTaskDefinitions"): _task_of("ecs:DeleteTaskDefinitions"),
    ("ecs", "RunTask"): _task_of("ecs:RunTask"),
    ("ecs", "StartTask"): _task_of("ecs:StartTask"),
    ("bedrock", "InvokeModel"): _model_of("bedrock:InvokeModel"),
    ("bedrock", "Converse"): _model_of("bedrock:InvokeModel"),
    ("bedrock", "InvokeModelWithResponseStream"): _model_of("bedrock:InvokeModelWithResponseStream"),
    ("bedrock", "ConverseStream"): _model_of("bedrock:InvokeModelWithResponseStream"),
}
