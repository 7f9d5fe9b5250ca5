"""Reader of the exports of `aws iam get-account-authorization-details`.

It reads the merged output of the command line and single pages of the API (`IsTruncated`, `Marker`), of one or several accounts,
in any order. Documents are objects, or text as in the API, percent-encoded or not. Of members that decide nothing, dates and
descriptions are read. A policy that an export names and does not contain is a finding, and counts as one that denies everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from fastiam.directory.account_model import AccountModel
from fastiam.directory.account_records import SESSION_DURATION
from fastiam.directory.stored_policies import Given, StoredPolicy
from fastiam.model.arn import split_arn
from fastiam.model.policy import PolicyKind
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.managed_policies import KnownPolicies, is_same_document
from fastiam.sources.query_protocol import flag, listed, unwrapped

_LISTS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
_CODES = "GAAD"
_UNKNOWN_DATE = datetime(1970, 1, 1, tzinfo=UTC)
_USER = "UserId UserPolicyList GroupList AttachedManagedPolicies PermissionsBoundary Tags".split()
_ROLE = "RoleId RolePolicyList AssumeRolePolicyDocument AttachedManagedPolicies PermissionsBoundary Tags".split()
_ROLE += "MaxSessionDuration InstanceProfileList".split()
_GROUP = "GroupId GroupPolicyList AttachedManagedPolicies".split()


class AccountExportReader:
    """Reads exports."""

    def __init__(self, known: KnownPolicies) -> None:
        self._known = known
        self._pages: list[LocatedValue] = []
        self._records: dict[str, LocatedValue] = {}  # the first record of each ARN
        self._without_default: dict[str, LocatedValue] = {}

    def is_format(self, node: LocatedValue) -> bool:
        """Whether the value is an export, or a page of one."""
        value = unwrapped(node).value
        return isinstance(value, dict) and any(name in value for name in _LISTS)

    def read_policies(self, model: AccountModel, node: LocatedValue) -> None:
        """Read managed policies with all versions that have a document."""
        page = unwrapped(node)
        self._pages.append(page)
        for policy in listed(page, "Policies"):
            self._read_policy(model, policy)
        for identity in [*_principals(page), *listed(page, "GroupDetailList")]:
            for arn in [*_attached(identity), *(_boundary(identity) or ())]:
                self._known.attached.setdefault(arn, identity)

    def _read_policy(self, model: AccountModel, node: LocatedValue) -> None:
        arn = node.need("Arn").text()
        versions, dates, default = {}, {}, node.text_of("DefaultVersionId")
        for version in listed(node, "PolicyVersionList"):
            id_ = version.need("VersionId").text()
            dates[id_] = _date(version, "CreateDate")
            if "Document" in version.object():
                versions[id_] = version.document("Document").policy(model, PolicyKind.IDENTITY, arn, arn=arn)
            if default is None and flag(version, "IsDefaultVersion"):
                default = id_
        if not flag(node, "IsAttachable", True):
            self._known.withdrawn.setdefault(arn, node)
        if default is None or default not in versions:
            self._without_default.setdefault(arn, node)
        elif not _is_added(model, arn, versions[default]):
            with node.writing(model, _CODES):
                model.add_managed_policy(
                    arn,
                    versions=versions,
                    default_version=default,
                    unique_id=node.text_of("PolicyId"),
                    tags=_tags(node),
                    created=_date(node, "CreateDate"),
                    updated=_date(node, "UpdateDate"),
                    description=_description(node),
                    version_dates={id_: date for id_, date in dates.items() if id_ in versions and date is not None},
                )

    def check_policies(self, model: AccountModel) -> None:
        """Note policies whose default version is in no file."""
        for arn, node in self._without_default.items():
            if arn not in model.tables.managed:
                message = f"`{arn}` has no document of its default version"
                hint = "add a file of AWS managed policies, or `get-policy-version`"
                version = node.text_of("DefaultVersionId") or "v1"
                node.add_missing(model, arn, version, "GAAD-NO-DEFAULT", message, hint=hint)

    def read_groups(self, model: AccountModel, node: LocatedValue) -> None:
        """Read groups with inline and attached policies."""
        for group in listed(unwrapped(node), "GroupDetailList"):
            arn = group.need("Arn").text()
            if self._is_new(model, group, arn, _GROUP):
                policies = [*_inline(model, group, "GroupPolicyList"), *_attached(group)]
                with group.writing(model, _CODES):
                    created = _date(group, "CreateDate")
                    model.add_group(arn, identity_policies=policies, unique_id=group.text_of("GroupId"), created=created)

    def read_principals(self, model: AccountModel, node: LocatedValue) -> None:
        """Read users and roles. Trust policies are read later, because they can name other principals."""
        page = unwrapped(node)
        for user in listed(page, "UserDetailList"):
            if self._is_new(model, user, user.need("Arn").text(), _USER):
                groups = [group.text() for group in listed(user, "GroupList")]
                _add(model, user, "UserPolicyList", user.text_of("UserId"), groups)
        for role in listed(page, "RoleDetailList"):
            if self._is_new(model, role, role.need("Arn").text(), _ROLE):
                _add(model, role, "RolePolicyList", role.text_of("RoleId"), ())

    def _is_new(self, model: AccountModel, node: LocatedValue, arn: str, members: Iterable[str]) -> bool:
        """Whether the record is the first one of its ARN. A second record that differs is a finding and is ignored."""
        first = self._records.setdefault(arn, node)
        if first is not node and any((first.object().get(name) or None) != (node.object().get(name) or None) for name in members):
            line, _ = first.place()
            message = f"`{arn}` occurs twice and differs from {first.source.name}:{line}, which is used"
            node.note(model, "GAAD-EXISTS", message)
        return first is node

    def read_trust(self, model: AccountModel, node: LocatedValue) -> None:
        """Read the trust policies of roles."""
        for role in listed(unwrapped(node), "RoleDetailList"):
            arn, document = role.need("Arn").text(), role.get("AssumeRolePolicyDocument")
            if self._records[arn].steps != role.steps or self._records[arn].source is not role.source:
                continue
            _add_instance_profiles(model, role, arn)
            if document is None:
                role.note(model, "GAAD-NO-TRUST", f"`{arn}` has no trust policy in the files: no principal can assume it")
                continue
            trust = document.policy(model, PolicyKind.TRUST, arn)
            with document.writing(model, _CODES):
                model.set_trust_policy(arn, trust)

    def finish(self, model: AccountModel) -> None:
        """Note accounts whose last page is missing."""
        cut: dict[str, LocatedValue] = {}
        complete: defaultdict[str, bool] = defaultdict(bool)
        for page in self._pages:
            account = _account_of(page)
            if flag(page, "IsTruncated"):
                cut.setdefault(account, page)
            else:
                complete[account] = True
        for account, page in cut.items():
            if not complete[account]:
                page.note(model, "GAAD-TRUNCATED", f"the export of account `{account}` is truncated: its last page is missing")


def _is_added(model: AccountModel, arn: str, document: StoredPolicy) -> bool:
    """Whether the same policy was in the export of another account, or on another page."""
    known = model.tables.managed.get(arn)
    return known is not None and is_same_document(known.document, document)


def _principals(page: LocatedValue) -> list[LocatedValue]:
    return [*listed(page, "UserDetailList"), *listed(page, "RoleDetailList")]


def _add(model: AccountModel, node: LocatedValue, inline: str, unique_id: str | None, groups: Iterable[str]) -> None:
    policies = [*_inline(model, node, inline), *_attached(node)]
    with node.writing(model, _CODES):
        model.add_principal(
            node.need("Arn").text(),
            identity_policies=policies,
            permissions_boundary=_boundary(node),
            tags=_tags(node),
            unique_id=unique_id,
            max_session_duration=node.whole_of("MaxSessionDuration", SESSION_DURATION),
            groups=groups,
            created=_date(node, "CreateDate"),
            description=_description(node) if inline == "RolePolicyList" else "",
        )


def _add_instance_profiles(model: AccountModel, role: LocatedValue, arn: str) -> None:
    """Add the instance profiles of a role."""
    for profile in listed(role, "InstanceProfileList"):
        if profile.need("Arn").text() not in model.tables.instance_profiles:
            with profile.writing(model, _CODES):
                model.create_instance_profile(
                    profile.need("Arn").text(),
                    role=arn,
                    unique_id=profile.text_of("InstanceProfileId"),
                    tags=_tags(profile),
                    created=_date(profile, "CreateDate"),
                )


def _tags(node: LocatedValue) -> dict[str, str]:
    return {tag.need("Key").text(): tag.text_of("Value") or "" for tag in listed(node, "Tags")}


def _date(node: LocatedValue, name: str) -> datetime | None:
    """A date, which decides nothing: one that cannot be read is unknown. So is 1970, which `fastiam serve` writes for that."""
    found = node.get(name)
    try:
        date = datetime.fromisoformat(found.value) if found is not None and isinstance(found.value, str) else None
    except ValueError:
        return None
    return None if date is None or date.tzinfo is None or date == _UNKNOWN_DATE else date


def _description(node: LocatedValue) -> str:
    found = node.get("Description")
    return found.value if found is not None and isinstance(found.value, str) else ""


def _inline(model: AccountModel, node: LocatedValue, name: str) -> list[Given]:
    return [
        item.document("PolicyDocument").policy(model, PolicyKind.IDENTITY, item.need("PolicyName").text())
        for item in listed(node, name)
    ]


def _attached(node: LocatedValue) -> list[str]:
    return [item.need("PolicyArn").arn() for item in listed(node, "AttachedManagedPolicies")]


def _boundary(node: LocatedValue) -> list[str] | None:
    boundary = node.get("PermissionsBoundary")
    return None if boundary is None else [boundary.need("PermissionsBoundaryArn").arn()]


def _account_of(page: LocatedValue) -> str:
    """Return the account of the first ARN in a page that has one."""
    for name in _LISTS:
        for node in listed(page, name):
            arn = split_arn(node.text_of("Arn") or "")
            if arn is not None and arn.account not in ("", "aws"):
                return arn.account
    return ""
