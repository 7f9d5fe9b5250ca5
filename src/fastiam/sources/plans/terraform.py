"""Terraform plans, the JSON of `terraform show -json PLANFILE`, as facts before and after the plan is applied.

What is unknown before apply is a placeholder if it is a document or an attachment, and else `UndecidedFact`. So is a change of a
resource type that can give access and has no row here. `plan_values` reads single values, `terraform_types` has the rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastiam.directory.account_model import AccountModel
from fastiam.errors import SourceError
from fastiam.model.arn import is_account
from fastiam.model.key_registry import fold
from fastiam.model.profile import ROLES
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.plans.access_types import IGNORED, may_give_access
from fastiam.sources.plans.facts import Change, UndecidedFact, conflict_reason
from fastiam.sources.plans.key_changes import ANY_TAG, USER_ID, changed_tags, tag_keys
from fastiam.sources.plans.plan_context import PlanContext
from fastiam.sources.plans.plan_values import UNKNOWN, Configuration, PlannedResource, Side
from fastiam.sources.plans.terraform_types import ROWS

_HINT = "write it with `terraform show -json PLANFILE`"
_UNCHANGED = (["no-op"], ["read"])
_TAG_ATTRIBUTES = ("tags", "tags_all", "tag", "volume_tags", "tag_specifications")
_TAGGED_BY_ROW = ("aws_iam_user", "aws_iam_role")


def is_format(node: LocatedValue) -> bool:
    """Whether the value is a plan."""
    return isinstance(node.value, dict) and "resource_changes" in node.value and "format_version" in node.value


def read_plan(
    node: LocatedValue, directory: AccountModel, *, account: str | None, region: str | None, assume_references: bool
) -> Change:
    """Return both sides of a plan.

    Parameters
    ----------
    directory
        what the plan changes; it has the accounts and the paths of users and roles.
    account, region
        of new resources; by default those that the plan shows.
    assume_references
        take an unknown value that refers to one attribute of another resource as that attribute.

    Raises
    ------
    SourceError
        not a plan, or one of another version of the format.
    PolicyError
        a document that the plan proposes cannot be read.
    """
    if not is_format(node):
        what = "a state, not a plan" if isinstance(node.value, dict) and "values" in node.value else "not a Terraform plan"
        raise node.error(f"the content is {what}", hint=_HINT)
    version = node.need("format_version").text()
    if version.partition(".")[0] not in ("0", "1"):
        raise node.error(f"version `{version}` of the format is not known", hint="this release reads version 1")
    change = Change()
    configuration = Configuration(node)
    resources = list(_resources(node, configuration))
    context = PlanContext(
        change,
        _account(node, resources, account, directory, configuration),
        _partition(resources),
        region or configuration.region,
        {resource.address: resource for resource in resources},
        assume_references,
        _stored(directory),
        configuration.has_default_tags,
    )
    for resource in resources:
        _add(context, resource)
    _add_incomplete(context, node)
    return change


def _resources(node: LocatedValue, configuration: Configuration) -> Iterator[PlannedResource]:
    for item in node.list_of("resource_changes"):
        if item.text_of("mode") == "managed":
            yield PlannedResource(item, configuration)


def _add(context: PlanContext, resource: PlannedResource) -> None:
    _add_key_changes(context, resource)
    if "forget" in resource.actions and not resource.is_removed_from_state:
        context.undecided(resource, "the object that it replaces stays in AWS, and is not compared")
    row = ROWS.get(resource.type)
    if row is not None:
        for side in (Side.BEFORE, Side.AFTER):
            if resource.exists(side):
                row(context, resource, side)
                for arn in context.facts(side).take_conflicts():
                    context.undecided(resource, conflict_reason(arn), [arn])
        return
    if resource.actions not in _UNCHANGED and resource.type not in IGNORED and may_give_access(resource):
        context.undecided(resource, f"changes of `{resource.type}` are not compared")


def _add_key_changes(context: PlanContext, resource: PlannedResource) -> None:
    """Add the tags and the unique id that a change gives to what it creates or updates."""
    if resource.actions in _UNCHANGED or not resource.exists(Side.AFTER) or not resource.type.startswith(("aws_", "awscc_")):
        return
    if resource.type in _TAGGED_BY_ROW:
        if "delete" in resource.actions and "create" in resource.actions:
            context.changed_keys(resource, "it is made anew with another unique id, which a policy reads", frozenset({USER_ID}))
        return
    keys: frozenset[str] = frozenset()
    for attribute in _TAG_ATTRIBUTES:
        before, after = (resource.value(side, attribute) for side in Side)
        if after is UNKNOWN and attribute == "tags_all" and not context.has_default_tags:
            continue  # of a resource without tags, `tags_all` is unknown until it exists
        values = [found.value if isinstance(found, LocatedValue) else None for found in (before, after)]
        keys |= ANY_TAG if after is UNKNOWN else changed_tags(*values)
    if resource.type.endswith("_tag"):  # such as `aws_ec2_tag`
        found = [resource.text(side, name) for side in Side for name in ("key", "value")]
        if found[:2] != found[2:]:
            keys |= ANY_TAG if UNKNOWN in found else tag_keys(key for key in (found[0], found[2]) if isinstance(key, str))
    if keys:
        context.changed_keys(resource, "its tags change, which are not compared and which a policy reads", keys)


def _add_incomplete(context: PlanContext, node: LocatedValue) -> None:
    """Report the changes that the plan itself does not contain."""
    for item in node.list_of("deferred_changes"):
        address = item.need("resource_change").text_of("address") or "a resource"
        context.change.undecided.append(UndecidedFact(address, "the plan defers this change", _place(item)))
    for name, is_complete in (("complete", True), ("errored", False)):
        flag = node.get(name)
        if flag is not None and flag.flag() is not is_complete:
            context.change.undecided.append(UndecidedFact("the plan", "it does not contain all changes", _place(flag)))


def _place(node: LocatedValue) -> str:
    line, column = node.place()
    return f"{node.source.name}:{line}:{column}"


def _account(
    node: LocatedValue,
    resources: list[PlannedResource],
    given: str | None,
    directory: AccountModel,
    configuration: Configuration,
) -> str | None:
    """Return the account of new resources, or None if the plan shows several accounts or none."""
    if given is not None:
        if not is_account(given):
            raise SourceError(f"`{given}` is not an account id", source=node.source.name, path="", hint="write 12 digits")
        return given
    if configuration.n_providers > 1:  # a provider can work in another account, and the plan does not show which
        return None
    found = {arn.account for resource in resources for arn in resource.arns() if is_account(arn.account)}
    found |= _caller_accounts(node.get("prior_state"))
    if not found:
        found = set(directory.tables.accounts)
    return found.pop() if len(found) == 1 else None


def _caller_accounts(node: LocatedValue | None) -> set[str]:
    """Return the accounts of the data source `aws_caller_identity` in the state before the plan."""
    values = None if node is None else node.get("values")
    modules = [] if values is None or values.get("root_module") is None else [values.need("root_module")]
    found = set()
    while modules:
        module = modules.pop()
        modules += module.list_of("child_modules")
        for resource in module.list_of("resources"):
            if resource.text_of("type") == "aws_caller_identity" and resource.get("values") is not None:
                found.add(resource.need("values").text_of("account_id") or "")
    return set(filter(is_account, found))


def _stored(directory: AccountModel) -> dict[tuple[str, str, str], str]:
    """Return the ARNs of users, roles and groups by account, type and folded name."""
    found: dict[tuple[str, str, str], str] = {}
    for arn, entity in directory.tables.entities.items():
        found[entity.account, "role" if entity.kind in ROLES else "user", fold(entity.name)] = arn
    for arn, group in directory.tables.groups.items():
        found[group.account, "group", fold(group.name)] = arn
    return found


def _partition(resources: list[PlannedResource]) -> str:
    found = {arn.partition for resource in resources for arn in resource.arns()}
    return found.pop() if len(found) == 1 else "aws"
