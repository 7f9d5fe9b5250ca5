"""Exports of an account as `aws iam get-account-authorization-details` gives them.

Read are the merged output of the command line, and single pages of the API (`IsTruncated`, `Marker`), of one account or of
several, in any order. Documents may be objects, or text as the API has it, percent-encoded or not. Members that are not
about permissions are not looked at. What an export names and does not hold is a finding: an attached policy without a
document says nothing, a boundary without one allows nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from fastiam.account import AccountModel
from fastiam.account.documents import StoredPolicy
from fastiam.arn import split_arn
from fastiam.errors import Finding, Severity
from fastiam.model import PolicyKind
from fastiam.sources.nodes import Node

_LISTS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
_CODES = "GAAD"


def is_format(node: Node) -> bool:
    """Whether the value is an export, or a page of one."""
    return isinstance(node.value, dict) and any(name in node.value for name in _LISTS)


def read_policies(model: AccountModel, page: Node) -> None:
    """Managed policies with all versions of which there is a document."""
    for node in page.list_of("Policies"):
        arn = node.need("Arn").text()
        versions, default = {}, node.text_of("DefaultVersionId")
        for version in node.list_of("PolicyVersionList"):
            id_, document = version.need("VersionId").text(), version.get("Document")
            if document is not None:
                versions[id_] = document.policy(model, PolicyKind.IDENTITY, arn, arn=arn)
            if default is None and version.flag_of("IsDefaultVersion"):
                default = id_
        if default not in versions:
            _note(model, node, "GAAD-NO-DEFAULT", f"`{arn}` comes without the document of its default version")
        elif not _is_there(model, arn, versions[default]):
            with node.writing(model, _CODES):
                model.add_managed_policy(arn, versions, default)


def _is_there(model: AccountModel, arn: str, document: StoredPolicy) -> bool:
    """The same policy came with the export of another account, or another page."""
    known = model.tables.managed.get(arn)
    return known is not None and known.document.text == document.text


def read_groups(model: AccountModel, page: Node) -> None:
    """Groups with inline and attached policies."""
    for node in page.list_of("GroupDetailList"):
        policies = [*_inline(model, node, "GroupPolicyList"), *_attached(node)]
        with node.writing(model, _CODES):
            model.add_group(node.need("Arn").text(), account=None, policies=policies, unique_id=node.text_of("GroupId"))


def read_principals(model: AccountModel, page: Node) -> None:
    """Users and roles; trust policies come later, when all whom they may name are there."""
    for node in page.list_of("UserDetailList"):
        groups = [group.text() for group in node.list_of("GroupList")]
        _add(model, node, "UserPolicyList", node.text_of("UserId"), groups)
    for node in page.list_of("RoleDetailList"):
        _add(model, node, "RolePolicyList", node.text_of("RoleId"), ())


def _add(model: AccountModel, node: Node, inline: str, unique_id: str | None, groups: Iterable[str]) -> None:
    policies = [*_inline(model, node, inline), *_attached(node)]
    boundary = node.get("PermissionsBoundary")
    with node.writing(model, _CODES):
        model.add_principal(
            node.need("Arn").text(),
            identity_policies=policies,
            permissions_boundary=None if boundary is None else [boundary.need("PermissionsBoundaryArn").text()],
            tags={tag.need("Key").text(): tag.text_of("Value") or "" for tag in node.list_of("Tags")},
            unique_id=unique_id,
            trust_policy=None,
            groups=groups,
        )


def _inline(model: AccountModel, node: Node, name: str) -> list[StoredPolicy]:
    return [
        item.need("PolicyDocument").policy(model, PolicyKind.IDENTITY, item.need("PolicyName").text())
        for item in node.list_of(name)
    ]


def _attached(node: Node) -> list[str]:
    return [item.need("PolicyArn").text() for item in node.list_of("AttachedManagedPolicies")]


def read_trust(model: AccountModel, page: Node) -> None:
    """The trust policies of roles."""
    for node in page.list_of("RoleDetailList"):
        arn, document = node.need("Arn").text(), node.get("AssumeRolePolicyDocument")
        entity = model.tables.entities.get(arn)
        if document is None or entity is None or entity.trust is not None:
            continue
        trust = document.policy(model, PolicyKind.TRUST, arn)
        with document.writing(model, _CODES):
            model.set_trust_policy(arn, trust)


def check_pages(model: AccountModel, pages: Iterable[Node]) -> None:
    """A page that says that more follow, of an account that has no last page, is a finding."""
    cut: dict[str, Node] = {}
    complete: defaultdict[str, bool] = defaultdict(bool)
    for page in pages:
        account = _account_of(page)
        if page.flag_of("IsTruncated"):
            cut.setdefault(account, page)
        else:
            complete[account] = True
    for account, page in cut.items():
        if not complete[account]:
            _note(model, page, "GAAD-TRUNCATED", f"the export of account `{account}` is cut: its last page is missing")


def _account_of(page: Node) -> str:
    """The account of a page, from the first ARN in it that has one."""
    for name in _LISTS:
        for node in page.list_of(name):
            arn = split_arn(node.text_of("Arn") or "")
            if arn is not None and arn.account not in ("", "aws"):
                return arn.account
    return ""


def _note(model: AccountModel, node: Node, code: str, message: str) -> None:
    """A finding, or in mode strict an error."""
    if model.mode == "strict":
        raise node.error(f"{message} [{code}]")
    line, column = node.place()
    source = node.source.name
    model.findings.append(Finding(code, Severity.ERROR, message, source, node.path, line, column))
