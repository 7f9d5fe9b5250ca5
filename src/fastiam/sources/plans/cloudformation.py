"""CloudFormation templates as facts: the deployed template before, and a new one after.

Functions are replaced as far as the template, the account and given parameters determine them. A statement with an unknown part
may apply, or not; other unknown values are `UndecidedFact`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastiam.directory.stored_policies import StoredPolicy, text_of
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import PolicyKind
from fastiam.sources.files import File
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.plans.facts import (
    Change,
    Facts,
    PrincipalFacts,
    ResourceFacts,
    UndecidedFact,
    conflict_reason,
    placeholder,
    planned_policy,
    unknown_key,
    unknown_name,
    with_option,
)
from fastiam.sources.plans.key_changes import ANY_TAG, changed_tags
from fastiam.sources.plans.plan_values import UNKNOWN
from fastiam.sources.plans.template_values import NO_VALUE, GeneratedName, TemplateValues, has_unknown, without_unknown
from fastiam.sources.yaml_text import read_yaml

_QUEUE_URL = re.compile(r"https://sqs\.([\w-]+)\.amazonaws\.com(?:\.cn)?/([0-9]{12})/([^/]+)")
_ACCESS_TYPE = re.compile(  # nested stacks, modules and custom resources can create anything
    r"AWS::(IAM|Organizations|SSO|RAM|LakeFormation)::|.*(Policy|Permission|Permissions|Grant|::MODULE)$"
    r"|AWS::CloudFormation::(Stack|StackSet|CustomResource)$|Custom::"
)
_ACCESS_PROPERTIES = ("PolicyDocument", "Policy", "ResourcePolicy", "KeyPolicy", "AccessPolicy", "AccessPolicies")
_IGNORED = ("AWS::IAM::AccessKey", "AWS::IAM::InstanceProfile", "AWS::IAM::ServerCertificate", "AWS::IAM::VirtualMFADevice")
_IDENTITIES = {  # resource type: its kind in ARNs, and the property of its name
    "AWS::IAM::User": ("user", "UserName"),
    "AWS::IAM::Role": ("role", "RoleName"),
    "AWS::IAM::Group": ("group", "GroupName"),
    "AWS::IAM::ManagedPolicy": ("policy", "ManagedPolicyName"),
}
_NAMED = {  # the ARN of a resource by the property of its name
    "AWS::S3::Bucket": ("BucketName", "s3:::{name}"),
    "AWS::SQS::Queue": ("QueueName", "sqs:{region}:{account}:{name}"),
    "AWS::SNS::Topic": ("TopicName", "sns:{region}:{account}:{name}"),
    "AWS::ECR::Repository": ("RepositoryName", "ecr:{region}:{account}:repository/{name}"),
    "AWS::KMS::Key": ("", "kms:{region}:{account}:key/{name}"),  # its id is generated
    "AWS::DynamoDB::Table": ("TableName", "dynamodb:{region}:{account}:table/{name}"),
}


def read_template(file: File) -> LocatedValue:
    """Return the value of a template in JSON or YAML, or in the output of `aws cloudformation get-template`.

    Raises
    ------
    SourceError
        the file is not a template, or has macros, whose results it does not contain.
    """
    is_json = file.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
    node = file.values({})[0] if is_json else read_yaml(file.name, file.data, {}, functions=True)
    body = node.get("TemplateBody") if isinstance(node.value, dict) else None
    if body is not None:
        is_text = isinstance(body.value, str)
        node = read_yaml(file.name, body.text().encode(), {}, functions=True) if is_text else body
    if not isinstance(node.value, dict) or not isinstance(node.value.get("Resources"), dict):
        raise node.error("the content is not a CloudFormation template", hint="it has `Resources`")
    _refuse_duplicates(node)
    if "Transform" in node.value:
        raise node.error("the template has a `Transform`", hint="pass the processed template: `aws cloudformation get-template`")
    return node


def _refuse_duplicates(node: LocatedValue) -> None:
    """Refuse a name that occurs twice in one object: readers differ in the value that they use."""
    if isinstance(node.value, dict):
        for _, member in node.members():
            _refuse_duplicates(member)
    elif isinstance(node.value, list):
        for item in node.items():
            _refuse_duplicates(item)


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What templates do not contain: account, Region and partition of the stack, parameters, and physical ids by logical name."""

    account: str | None
    region: str | None
    partition: str
    parameters: Mapping[str, str]
    physical: Mapping[str, str]


def read_templates(new: LocatedValue, deployed: LocatedValue | None, settings: StackSettings) -> Change:
    """Return both sides of an update of a stack. Without a deployed template, nothing is removed.

    Raises
    ------
    PolicyError
        a document of the new template cannot be read.
    """
    change = Change()
    sides = [_Stack(node, settings) if node is not None else None for node in (deployed, new)]
    for stack, other, facts in ((sides[0], sides[1], change.before), (sides[1], sides[0], change.after)):
        for name in stack.resources if stack is not None else ():
            same = other is not None and stack is not None and stack.is_same(name, other)
            if stack is not None:
                _Resource(stack, name, facts, [] if same else change.undecided).add()
                if stack is sides[1] and not same:
                    _add_changed_tags(change, name, stack, other)
    before, after = sides
    for name in before.resources if before is not None else ():
        if after is not None and before is not None and name not in after.resources and before.is_retained(name):
            _Resource(before, name, change.after, change.undecided).add()
    return change


def _add_changed_tags(change: Change, name: str, stack: _Stack, deployed: _Stack | None) -> None:
    """Add the tags that a resource has other than before. Those of users and roles are compared."""
    if stack.type_of(name) in ("AWS::IAM::User", "AWS::IAM::Role"):
        return
    before, after = ({} if one is None else one.properties(name) for one in (deployed, stack))
    keys: frozenset[str] = frozenset()
    for attribute in after.keys() | before.keys():
        if attribute.endswith(("Tags", "TagSpecifications")):
            found = before.get(attribute), after.get(attribute)
            keys |= ANY_TAG if any(map(has_unknown, found)) else changed_tags(*found)
    if keys:
        line, column = stack.resources[name].place()
        place = f"{stack.node.source.name}:{line}:{column}"
        fact = UndecidedFact(name, "its tags change, which are not compared and which a policy reads", place)
        change.of_keys.append((fact, keys))


class _Stack:
    """A template with its resolved values."""

    def __init__(self, node: LocatedValue, settings: StackSettings) -> None:
        self.node, self.settings = node, settings
        self.resources: dict[str, LocatedValue] = dict(node.need("Resources").members())
        suffix = "amazonaws.com.cn" if settings.partition == "aws-cn" else "amazonaws.com"
        known: dict[str, Any] = {
            "AWS::AccountId": settings.account or UNKNOWN,
            "AWS::Region": settings.region or UNKNOWN,
            "AWS::Partition": settings.partition,
            "AWS::URLSuffix": suffix,
            "AWS::NoValue": NO_VALUE,
        }
        self._values = TemplateValues({**known, **settings.parameters}, self.attribute)
        self._resolved: dict[str, Any] = {}
        self._open: set[str] = set()

    def type_of(self, name: str) -> str:
        """Return the type of a resource, "" for one that is absent."""
        resource = self.resources.get(name)
        return "" if resource is None else resource.need("Type").text()

    def properties(self, name: str) -> dict[str, Any]:
        """Return the resolved properties of a resource, empty for one that is absent or refers to itself."""
        if name not in self._resolved:
            if name in self._open or name not in self.resources:
                return {}
            self._open.add(name)
            properties = self.resources[name].get("Properties")
            found = self._values.resolved(properties.value) if properties is not None else {}
            self._resolved[name] = found if isinstance(found, dict) else {}
            self._open.discard(name)
        found = self._resolved[name]
        return found if isinstance(found, dict) else {}

    def is_same(self, name: str, other: _Stack) -> bool:
        """Whether the other template has the same resource with the same values."""
        there = other.resources.get(name)
        is_equal = there is not None and there.value == self.resources[name].value
        return is_equal and self.properties(name) == other.properties(name)

    def is_retained(self, name: str) -> bool:
        """Whether a resource stays in the account if the template no longer has it."""
        return (self.resources[name].text_of("DeletionPolicy") or "Delete") != "Delete"

    def attribute(self, name: str, attribute: str) -> Any:
        """Return `Ref` (for "") or `Arn` of a resource, as far as its name is known."""
        type_ = self.type_of(name)
        if attribute == "Arn":
            return self.arn(name) or UNKNOWN
        if attribute or name not in self.resources:
            return UNKNOWN
        if name in self.settings.physical:
            return self.settings.physical[name]
        if type_ in ("AWS::IAM::ManagedPolicy", "AWS::SNS::Topic"):
            return self.arn(name) or UNKNOWN
        property_ = _IDENTITIES[type_][1] if type_ in _IDENTITIES else _NAMED.get(type_, ("", ""))[0]
        own = self.properties(name).get(property_)
        if type_ in _IDENTITIES and property_ not in self.properties(name):
            return GeneratedName(name)
        if type_ == "AWS::SQS::Queue" and isinstance(own, str) and self.settings.account and self.settings.region:
            return f"https://sqs.{self.settings.region}.amazonaws.com/{self.settings.account}/{own}"
        return own if isinstance(own, str) else UNKNOWN

    def arn(self, name: str) -> str | None:
        """Return the ARN of a named resource, None if a part of it is unknown."""
        type_, properties = self.type_of(name), self.properties(name)
        physical = self.settings.physical.get(name, "")
        if split_arn(physical) is not None:
            return physical
        url = _QUEUE_URL.fullmatch(physical)
        if url is not None:
            return f"arn:{self.settings.partition}:sqs:{url[1]}:{url[2]}:{url[3]}"
        if type_ in _IDENTITIES:
            what, of_name = _IDENTITIES[type_]
            own = physical or properties.get(of_name)
            return self.identity_arn(what, own, properties.get("Path", "/")) if isinstance(own, str) else None
        of_name, pattern = _NAMED.get(type_, ("", ""))
        own = physical or properties.get(of_name)
        return self.made_arn(pattern, own) if pattern and isinstance(own, str) else None

    def identity_arn(self, what: str, name: str, path: Any = "/") -> str | None:
        """Return the ARN of a user, group, role or policy; None if the account or the path is unknown."""
        if self.settings.account is None or not isinstance(path, str):
            return None
        return f"arn:{self.settings.partition}:iam::{self.settings.account}:{what}{path}{name}"

    def made_arn(self, pattern: str, name: str) -> str | None:
        """Return an ARN from a pattern; None if account or Region are unknown."""
        settings = self.settings
        if ("{region}" in pattern and settings.region is None) or ("{account}" in pattern and settings.account is None):
            return None
        return f"arn:{settings.partition}:" + pattern.format(name=name, region=settings.region, account=settings.account)


@dataclass(slots=True)
class _Resource:
    """A resource of a template, whose facts are added."""

    stack: _Stack
    name: str
    facts: Facts
    undecided: list[UndecidedFact]

    def add(self) -> None:
        """Add the facts of the resource, or report that it is not compared."""
        type_, node = self.stack.type_of(self.name), self.stack.resources[self.name]
        row = _ROWS.get(type_)
        properties = self.stack.properties(self.name)
        if row is None:
            gives = _ACCESS_TYPE.match(type_) or any(name in properties for name in _ACCESS_PROPERTIES)
            if gives and type_ not in _IGNORED and not type_.startswith("AWS::AutoScaling::"):
                self.report(f"resources of type `{type_}` are not compared")
        elif node.get("Condition") is not None:
            self.report("it exists depending on a condition of the template")
        else:
            row(self, properties)
            for arn in self.facts.take_conflicts():
                self.report(conflict_reason(arn), (arn,))

    def report(self, reason: str, about: tuple[str, ...] = (), key: str = "") -> None:
        """Report what is unknown."""
        line, column = self.stack.resources[self.name].place()
        source = self.stack.node.source.name
        self.undecided.append(UndecidedFact(self.name, reason, f"{source}:{line}:{column}", about, key))

    # -- values -------------------------------------------------------------------------------------------------------

    def document(self, value: Any, kind: PolicyKind, name: str, about: str, *, arn: str | None = None) -> StoredPolicy | None:
        """Return a document; each statement with an unknown part depends on an unknown key."""
        if value is None:
            return None
        source = f"{self.stack.node.source.name}#{self.name}"
        if has_unknown(value):
            key = unknown_key(self.name, name)
            self.report(f"the document `{name}` has values that the template does not determine", (about,), key)
            value = without_unknown(value, kind, key)
        if not isinstance(value, (str, dict)):
            raise self.stack.resources[self.name].error(f"`{self.name}` has a policy document that is not an object")
        return planned_policy(text_of(value), kind, name, source, arn=arn)

    def identity(self, what: str, of_name: str, properties: dict[str, Any]) -> str | None:
        """Return the ARN of the resource. A generated name is replaced by the logical name, and reported."""
        found = self.stack.arn(self.name)
        if found is not None:
            return found
        if of_name in properties or self.stack.settings.account is None:
            self.report("its name is not known" if of_name in properties else with_option("its account is not known", "account"))
            return None
        found = self.stack.identity_arn(what, self.name, properties.get("Path", "/"))
        self.report(f"CloudFormation generates its name: compared as `{self.name}`", (found,) if found else ())
        return found

    def named(self, what: str, name: Any) -> str | None:
        """Return the ARN of a user, group or role that a property names."""
        if isinstance(name, GeneratedName):
            found = self.stack.identity_arn(what, name, self.stack.properties(name).get("Path", "/"))
            reason = with_option(f"CloudFormation generates the name of `{name}`", "stack_resources")
            self.report(reason, (found,) if found else ())
            return found
        if isinstance(name, str):
            for other in self.stack.resources:
                properties = self.stack.properties(other)
                type_ = self.stack.type_of(other)
                if type_ in _IDENTITIES and _IDENTITIES[type_][0] == what and properties.get(_IDENTITIES[type_][1]) == name:
                    return self.stack.arn(other)
            return self.stack.identity_arn(what, name, "/")
        self.report(f"a {what} that it names is not known")
        return None

    def attach(self, arn: str, policies: Any) -> None:
        """Attach managed policies."""
        for i, policy in enumerate(policies if isinstance(policies, list) else [policies] if policies is UNKNOWN else []):
            if isinstance(policy, str):
                self.facts.attached[arn, policy] = None
            else:
                name = unknown_name(f"{self.name}.ManagedPolicyArns[{i}]")
                key = unknown_key(self.name, f"ManagedPolicyArns[{i}]")
                self.report("a managed policy that it has is not known", (arn,), key)
                self.facts.inline[arn, name] = placeholder(PolicyKind.IDENTITY, key, name)

    def add_inline(self, arn: str, name: Any, document: Any) -> None:
        """Add an inline policy."""
        label = name if isinstance(name, str) else self.name
        found = self.document(document, PolicyKind.IDENTITY, label, arn)
        if found is not None:
            self.facts.inline[arn, label] = found

    def set_policy(self, arn: str | None, document: Any) -> None:
        """Set the policy of a resource."""
        if arn is None:
            self.report("the resource with the policy is not known")
            return
        found = self.document(document, PolicyKind.RESOURCE, arn, arn)
        owner = (split_arn(arn) or ("",) * 5)[3]
        self.facts.resources[arn] = ResourceFacts(owner if is_account(owner) else self.stack.settings.account, found)


_Row = Callable[[_Resource, dict[str, Any]], None]


def _identity(resource: _Resource, properties: dict[str, Any]) -> None:
    what, of_name = _IDENTITIES[resource.stack.type_of(resource.name)]
    arn = resource.identity(what, of_name, properties)
    if arn is None:
        return
    if what == "group":
        resource.facts.groups[arn] = None
    else:
        _add_principal(resource, properties, arn, what)
    policies = properties.get("Policies", [])
    for policy in policies if isinstance(policies, list) else [policies]:
        found = policy if isinstance(policy, dict) else {"PolicyDocument": UNKNOWN}
        resource.add_inline(arn, found.get("PolicyName"), found.get("PolicyDocument"))
    resource.attach(arn, properties.get("ManagedPolicyArns", []))


def _add_principal(resource: _Resource, properties: dict[str, Any], arn: str, what: str) -> None:
    tags = properties.get("Tags", [])
    if has_unknown(tags):
        resource.report("its tags are not known, and conditions can read them", (arn,))
    boundary = properties.get("PermissionsBoundary")
    if boundary is not None and not isinstance(boundary, str):
        key = unknown_key(resource.name, "PermissionsBoundary")
        resource.report("its permissions boundary is not known", (arn,), key)
        boundary = placeholder(PolicyKind.BOUNDARY, key, f"{resource.name}.PermissionsBoundary")
    known = None if has_unknown(tags) else {tag["Key"]: tag.get("Value", "") for tag in tags if isinstance(tag, dict)}
    resource.facts.principals[arn] = PrincipalFacts(boundary, known)
    if what == "role":
        trust = resource.document(properties.get("AssumeRolePolicyDocument"), PolicyKind.TRUST, arn, arn)
        if trust is not None:
            resource.facts.trust[arn] = trust
    groups = properties.get("Groups", [])
    for name in groups if isinstance(groups, list) else [groups]:
        group = resource.named("group", name)
        if group is not None:
            resource.facts.members[arn, group] = None


def _managed_policy(resource: _Resource, properties: dict[str, Any]) -> None:
    arn = resource.identity("policy", "ManagedPolicyName", properties)
    document = resource.document(properties.get("PolicyDocument"), PolicyKind.IDENTITY, arn or "", arn or "", arn=arn)
    if arn is None or document is None:
        return
    resource.facts.managed[arn] = document
    for identity in _attached_to(resource, properties):
        resource.facts.attached[identity, arn] = None


def _attached_to(resource: _Resource, properties: dict[str, Any]) -> list[str]:
    found = []
    for name, what in (("Users", "user"), ("Roles", "role"), ("Groups", "group")):
        names = properties.get(name, [])
        found += [resource.named(what, each) for each in (names if isinstance(names, list) else [names])]
    return [arn for arn in found if arn is not None]


def _policy(resource: _Resource, properties: dict[str, Any]) -> None:
    for arn in _attached_to(resource, properties):
        resource.add_inline(arn, properties.get("PolicyName"), properties.get("PolicyDocument"))


def _policy_of(what: str) -> _Row:
    def row(resource: _Resource, properties: dict[str, Any]) -> None:
        arn = resource.named(what, properties.get(f"{what.capitalize()}Name"))
        if arn is not None:
            resource.add_inline(arn, properties.get("PolicyName"), properties.get("PolicyDocument"))

    return row


def _group_members(resource: _Resource, properties: dict[str, Any]) -> None:
    group, users = resource.named("group", properties.get("GroupName")), properties.get("Users", [])
    for name in users if isinstance(users, list) else [users]:
        user = resource.named("user", name)
        if user is not None and group is not None:
            resource.facts.members[user, group] = None


def _bucket_policy(resource: _Resource, properties: dict[str, Any]) -> None:
    bucket = properties.get("Bucket")
    arn = resource.stack.made_arn("s3:::{name}", bucket) if isinstance(bucket, str) else None
    resource.set_policy(arn, properties.get("PolicyDocument"))


def _policies_of(targets: str) -> _Row:
    def row(resource: _Resource, properties: dict[str, Any]) -> None:
        found = properties.get(targets, [])
        for target in found if isinstance(found, list) else [found]:
            resource.set_policy(_target_arn(resource, target), properties.get("PolicyDocument"))

    return row


def _target_arn(resource: _Resource, target: Any) -> str | None:
    url = _QUEUE_URL.fullmatch(target) if isinstance(target, str) else None
    if url is not None:
        return f"arn:{resource.stack.settings.partition}:sqs:{url[1]}:{url[2]}:{url[3]}"
    return target if isinstance(target, str) and split_arn(target) is not None else None


def _secret_policy(resource: _Resource, properties: dict[str, Any]) -> None:
    resource.set_policy(_target_arn(resource, properties.get("SecretId")), properties.get("ResourcePolicy"))


def _own_policy(name: str) -> _Row:
    def row(resource: _Resource, properties: dict[str, Any]) -> None:
        if name in properties:
            resource.set_policy(resource.stack.arn(resource.name), properties[name])

    return row


_ROWS: dict[str, _Row] = {
    "AWS::IAM::Role": _identity,
    "AWS::IAM::User": _identity,
    "AWS::IAM::Group": _identity,
    "AWS::IAM::ManagedPolicy": _managed_policy,
    "AWS::IAM::Policy": _policy,
    "AWS::IAM::RolePolicy": _policy_of("role"),
    "AWS::IAM::UserPolicy": _policy_of("user"),
    "AWS::IAM::GroupPolicy": _policy_of("group"),
    "AWS::IAM::UserToGroupAddition": _group_members,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SQS::QueuePolicy": _policies_of("Queues"),
    "AWS::SNS::TopicPolicy": _policies_of("Topics"),
    "AWS::KMS::Key": _own_policy("KeyPolicy"),
    "AWS::SecretsManager::ResourcePolicy": _secret_policy,
    "AWS::ECR::Repository": _own_policy("RepositoryPolicyText"),
}
