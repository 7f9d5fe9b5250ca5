"""The resource types of Terraform that give access, each with a function that adds its facts.

Attributes are those of the AWS provider, releases 3 to 6. A type that is missing here is not compared, and
`access_types` decides whether its changes are reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import PolicyKind
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.plans.facts import PrincipalFacts, ResourceFacts, unknown_name
from fastiam.sources.plans.plan_context import IDENTITIES, PlanContext
from fastiam.sources.plans.plan_values import UNKNOWN, PlannedResource, Side

_QUEUE_URL = re.compile(r"https://(?:sqs\.([\w-]+)|([\w-]+)\.queue)\.amazonaws\.com(?:\.cn)?/([0-9]{12})/([^/]+)")
_Row = Callable[[PlanContext, PlannedResource, Side], None]


# -- identities -----------------------------------------------------------------------------------------------------------


def _policy(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    arn = context.identity_arn(resource, side, "policy")
    if arn is not None:
        document = context.document(resource, side, "policy", PolicyKind.IDENTITY, arn, arn=arn, about=[arn])
        if document is not None:
            context.facts(side).managed[arn] = document


def _principal(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    arn = context.identity_arn(resource, side, IDENTITIES[resource.type])
    if arn is None:
        return
    facts = PrincipalFacts(tags=_tags(context, resource, side, arn))
    boundary = context.text(resource, side, "permissions_boundary")
    if boundary is UNKNOWN:
        facts.boundary = context.unknown(resource, "permissions_boundary", PolicyKind.BOUNDARY, resource.address, about=[arn])
    else:
        facts.boundary = boundary
    if resource.type == "aws_iam_role":
        trust = context.document(resource, side, "assume_role_policy", PolicyKind.TRUST, arn, about=[arn])
        if trust is not None:
            context.facts(side).trust[arn] = trust
        _add_embedded(context, resource, side, arn)
    context.facts(side).principals[arn] = facts


def _tags(context: PlanContext, resource: PlannedResource, side: Side, arn: str) -> dict[str, str] | None:
    """Return the tags, with the default tags of the provider; None if they are unknown, which is reported."""
    found = resource.value(side, "tags_all")
    if found is UNKNOWN and not context.has_default_tags:
        found = resource.value(side, "tags")  # of a resource without tags, `tags_all` is unknown until it exists
    if found is UNKNOWN:
        context.undecided(resource, "its tags are known after apply, and conditions can read them", [arn])
        return None
    values = found.members() if isinstance(found, LocatedValue) else ()
    return {key: value.text() for key, value in values if value.value is not None}


def _add_embedded(context: PlanContext, resource: PlannedResource, side: Side, arn: str) -> None:
    """Add the policies in the role itself. Values that the configuration does not set repeat those of separate resources."""
    for attribute in ("inline_policy", "managed_policy_arns"):
        found = resource.value(side, attribute)
        if found is None or not (resource.sets(attribute) or resource.differs(attribute)):
            continue
        if not isinstance(found, LocatedValue):
            name = f"{resource.address}.{attribute}"
            document = context.unknown(resource, attribute, PolicyKind.IDENTITY, name, about=[arn])
            context.facts(side).inline[arn, name] = document
        elif attribute == "inline_policy":
            for item in found.items():
                name, policy = item.text_of("name") or "", item.get("policy")
                if policy is not None and policy.value:
                    context.facts(side).inline[arn, name] = context.parsed(resource, policy, attribute, PolicyKind.IDENTITY, name)
        else:
            for item in found.items():
                context.facts(side).attached[arn, item.arn()] = None
    if resource.value(side, "inline_policy") is UNKNOWN and not resource.sets("inline_policy"):
        context.assume(f"{resource.address}: `inline_policy` is none, because the configuration has no such block")


def _group(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    arn = context.identity_arn(resource, side, "group")
    if arn is not None:
        context.facts(side).groups[arn] = None


def _inline_of(what: str) -> _Row:
    def row(context: PlanContext, resource: PlannedResource, side: Side) -> None:
        arn = context.named(resource, side, what, what)
        if arn is None:
            return
        name = resource.text(side, "name")
        label = name if isinstance(name, str) else unknown_name(resource.address)
        document = context.document(resource, side, "policy", PolicyKind.IDENTITY, label, about=[arn])
        if document is not None:
            context.facts(side).inline[arn, label] = document

    return row


def _attachment_of(what: str) -> _Row:
    def row(context: PlanContext, resource: PlannedResource, side: Side) -> None:
        arn = context.named(resource, side, what, what)
        if arn is not None:
            _attach(context, resource, side, arn)

    return row


def _attach(context: PlanContext, resource: PlannedResource, side: Side, arn: str) -> None:
    policy = context.text(resource, side, "policy_arn")
    if isinstance(policy, str):
        context.facts(side).attached[arn, policy] = None
    elif policy is UNKNOWN:
        name = unknown_name(resource.address)
        context.facts(side).inline[arn, name] = context.unknown(resource, "policy_arn", PolicyKind.IDENTITY, name, about=[arn])


def _exclusive_attachment(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    """Add `aws_iam_policy_attachment`, which detaches its policy from all other identities."""
    attachments = []
    for attribute, what in (("users", "user"), ("roles", "role"), ("groups", "group")):
        found = resource.value(side, attribute)
        if found is UNKNOWN:
            context.undecided(resource, f"`{attribute}` is known after apply")
            return
        for item in found.items() if isinstance(found, LocatedValue) else ():
            attachments.append(context.arn_of_name(resource, side, item.text(), what))
    known = [arn for arn in attachments if arn is not None]
    policy = context.text(resource, side, "policy_arn")
    if isinstance(policy, str) and len(known) == len(attachments):
        context.facts(side).attachments[policy] = frozenset(known)
    else:
        for arn in known:
            _attach(context, resource, side, arn)


def _group_membership(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    group, users = context.named(resource, side, "group", "group"), resource.value(side, "users")
    if users is UNKNOWN:
        context.undecided(resource, "`users` is known after apply", [group] if group else ())
    elif group is not None:
        names = [item.text() for item in users.items()] if isinstance(users, LocatedValue) else []
        found = [context.arn_of_name(resource, side, name, "user") for name in names]
        context.facts(side).group_members[group] = frozenset(arn for arn in found if arn is not None)


def _user_groups(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    user, groups = context.named(resource, side, "user", "user"), resource.value(side, "groups")
    if groups is UNKNOWN:
        context.undecided(resource, "`groups` is known after apply", [user] if user else ())
    elif user is not None and isinstance(groups, LocatedValue):
        for item in groups.items():
            group = context.arn_of_name(resource, side, item.text(), "group")
            if group is not None:
                context.facts(side).members[user, group] = None


# -- resources ------------------------------------------------------------------------------------------------------------


def _own_policy(attribute: str = "policy", default: str = "") -> _Row:
    """The row of a resource that has its policy itself. `default` is what it has if the configuration sets none."""

    def row(context: PlanContext, resource: PlannedResource, side: Side) -> None:
        found = resource.value(side, attribute)
        is_default = found is UNKNOWN and not resource.sets(attribute)
        if found is None or (is_default and not default):
            return
        arn = context.arn_of(resource, side)
        if arn is None:
            context.undecided(resource, "the ARN of the resource with the policy is known after apply")
        elif is_default:
            context.undecided(resource, f"its policy is {default}, which the plan does not contain", [arn])
        else:
            _set_policy(context, resource, side, arn, attribute)

    return row


def _bucket(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    """Add a bucket. Its `policy` repeats that of another resource, unless the configuration sets it (provider releases to 3)."""
    arn = context.arn_of(resource, side)
    if arn is None:
        context.undecided(resource, "the name of the bucket is known after apply")
    elif resource.differs("policy") or (resource.sets("policy") and resource.value(side, "policy") is not None):
        _set_policy(context, resource, side, arn, "policy")
    else:
        context.facts(side).resources.setdefault(arn, ResourceFacts(context.account, None, is_stated=False))


def _policy_of(target: str, pattern: str = "", attribute: str = "policy") -> _Row:
    """The row of a policy that is a resource by itself. `target` is the attribute that names the governed resource."""

    def row(context: PlanContext, resource: PlannedResource, side: Side) -> None:
        name = context.text(resource, side, target)
        arn = name if isinstance(name, str) and split_arn(name) is not None else None
        if arn is None and pattern:
            arn = context.made_arn(resource, side, pattern, name)
        if arn is None:
            context.undecided(resource, f"the resource that `{target}` names is not known")
        else:
            _set_policy(context, resource, side, arn, attribute)

    return row


def _set_policy(context: PlanContext, resource: PlannedResource, side: Side, arn: str, attribute: str) -> None:
    document = context.document(resource, side, attribute, PolicyKind.RESOURCE, arn, about=[arn])
    owner = (split_arn(arn) or ("",) * 5)[3]
    context.facts(side).resources[arn] = ResourceFacts(owner if is_account(owner) else context.account, document)


def _queue_policy(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    url = context.text(resource, side, "queue_url")
    found = _QUEUE_URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        context.undecided(resource, "the queue that `queue_url` names is not known")
    else:
        arn = f"arn:{context.partition}:sqs:{found[1] or found[2]}:{found[3]}:{found[4]}"
        _set_policy(context, resource, side, arn, "policy")


def _endpoint(id_attribute: str) -> _Row:
    def row(context: PlanContext, resource: PlannedResource, side: Side) -> None:
        id_ = resource.text(side, id_attribute)
        if isinstance(id_, str):
            document = context.document(resource, side, "policy", PolicyKind.VPCE, id_, about=[id_])
            context.facts(side).endpoints[id_] = document
        elif resource.value(side, "policy") is not None and resource.sets("policy"):
            context.undecided(resource, "the id of the endpoint is known after apply")

    return row


# -- the organization -----------------------------------------------------------------------------------------------------

_ORGANIZATION_KINDS = {"SERVICE_CONTROL_POLICY": PolicyKind.SCP, "RESOURCE_CONTROL_POLICY": PolicyKind.RCP}


def _organization_policy(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    kind = _ORGANIZATION_KINDS.get(str(resource.text(side, "type") or "SERVICE_CONTROL_POLICY"))
    id_ = resource.text(side, "id")
    if kind is None:
        return
    if not isinstance(id_, str):  # a new policy has an effect where it is attached
        context.undecided(resource, "the id of the policy is known after apply, so that its attachments are not compared")
        return
    document = context.document(resource, side, "content", kind, id_, about=[id_])
    if document is not None:
        context.facts(side).organization[id_] = document


def _organization_attachment(context: PlanContext, resource: PlannedResource, side: Side) -> None:
    policy, target = resource.text(side, "policy_id"), resource.text(side, "target_id")
    if isinstance(policy, str) and isinstance(target, str):
        context.facts(side).targets[policy, target] = None
    else:
        context.undecided(resource, "the policy or its target is known after apply", [target] if isinstance(target, str) else ())


ROWS: Final[dict[str, _Row]] = {
    "aws_iam_policy": _policy,
    "aws_iam_user": _principal,
    "aws_iam_role": _principal,
    "aws_iam_group": _group,
    "aws_iam_user_policy": _inline_of("user"),
    "aws_iam_role_policy": _inline_of("role"),
    "aws_iam_group_policy": _inline_of("group"),
    "aws_iam_user_policy_attachment": _attachment_of("user"),
    "aws_iam_role_policy_attachment": _attachment_of("role"),
    "aws_iam_group_policy_attachment": _attachment_of("group"),
    "aws_iam_policy_attachment": _exclusive_attachment,
    "aws_iam_group_membership": _group_membership,
    "aws_iam_user_group_membership": _user_groups,
    "aws_s3_bucket": _bucket,
    "aws_s3_bucket_policy": _policy_of("bucket", "s3:::{}"),
    "aws_sqs_queue": _own_policy(),
    "aws_sqs_queue_policy": _queue_policy,
    "aws_sns_topic": _own_policy(default="the default policy of SNS"),
    "aws_sns_topic_policy": _policy_of("arn"),
    "aws_kms_key": _own_policy(default="the default key policy"),
    "aws_kms_key_policy": _policy_of("key_id", "kms:{region}:{account}:key/{}"),
    "aws_secretsmanager_secret": _own_policy(),
    "aws_secretsmanager_secret_policy": _policy_of("secret_arn"),
    "aws_ecr_repository_policy": _policy_of("repository", "ecr:{region}:{account}:repository/{}"),
    "aws_efs_file_system_policy": _policy_of("file_system_id", "elasticfilesystem:{region}:{account}:file-system/{}"),
    "aws_dynamodb_resource_policy": _policy_of("resource_arn"),
    "aws_kinesis_resource_policy": _policy_of("resource_arn"),
    "aws_backup_vault_policy": _policy_of("backup_vault_name", "backup:{region}:{account}:backup-vault:{}"),
    "aws_opensearch_domain_policy": _policy_of("domain_name", "es:{region}:{account}:domain/{}", "access_policies"),
    "aws_elasticsearch_domain_policy": _policy_of("domain_name", "es:{region}:{account}:domain/{}", "access_policies"),
    "aws_vpc_endpoint": _endpoint("id"),
    "aws_vpc_endpoint_policy": _endpoint("vpc_endpoint_id"),
    "aws_organizations_policy": _organization_policy,
    "aws_organizations_policy_attachment": _organization_attachment,
}
