"""IAM operations on the account: aliases, the summary, authorization details, and lists that are always empty here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fastiam.directory.account_records import Entity, Group, InstanceProfile, ManagedPolicy
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.profile import ROLES, PrincipalKind
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import UNKNOWN_DATE, boundary_of, tag_list, without_nones
from fastiam.server.protocols.aws.iam_policies import policy_of, version_of
from fastiam.server.protocols.aws.iam_roles import role_of
from fastiam.server.protocols.aws.iam_users import user_of
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page, same
from fastiam.sts.signed_calls import Permission, everything

_OF_AWS = "aws"  # the account field of AWS managed policies
_QUOTAS = {
    "UsersQuota": "users_per_account",
    "GroupsQuota": "groups_per_account",
    "RolesQuota": "roles_per_account",
    "PoliciesQuota": "policies_per_account",
    "GroupsPerUserQuota": "groups_per_user",
    "AttachedPoliciesPerUserQuota": "managed_policies_per_user",
    "AttachedPoliciesPerGroupQuota": "managed_policies_per_group",
    "AttachedPoliciesPerRoleQuota": "managed_policies_per_role",
    "UserPolicySizeQuota": "inline_size_per_user",
    "GroupPolicySizeQuota": "inline_size_per_group",
    "RolePolicySizeQuota": "inline_size_per_role",
    "PolicySizeQuota": "managed_policy_size",
    "VersionsPerPolicyQuota": "versions_per_policy",
    "AssumeRolePolicySizeQuota": "trust_policy_size",
}
_MAX_KEYS = 2

# -- aliases --------------------------------------------------------------------------------------------------------------


def create_account_alias(call: Call) -> Result:
    """CreateAccountAlias; an account has one, and a new one replaces it."""
    alias = call.parameters["AccountAlias"]
    if any(each.alias == alias and each.id != call.account for each in call.tables.accounts.values()):
        raise ApiError("EntityAlreadyExists", f"The account alias {alias} already exists.")
    call.directory.add_account(call.account, alias=alias)
    return NOTHING


def delete_account_alias(call: Call) -> Result:
    """DeleteAccountAlias."""
    alias = call.parameters["AccountAlias"]
    if _alias(call) != alias:
        raise ApiError("NoSuchEntity", f"The account alias {alias} cannot be found.")
    call.directory.add_account(call.account, alias="")
    return NOTHING


def list_account_aliases(call: Call) -> Result:
    """ListAccountAliases."""
    return page(call, "AccountAliases", filter(None, (_alias(call),)), same, same)


def _alias(call: Call) -> str:
    account = call.tables.accounts.get(call.account)
    return "" if account is None else account.alias


# -- the summary ----------------------------------------------------------------------------------------------------------


def get_account_summary(call: Call) -> Result:
    """GetAccountSummary. A quota that the directory does not keep is absent."""
    tables, account, sts = call.tables, call.account, call.sts
    root = f"arn:{call.partition}:iam::{account}:root"
    policies = _policies(call)
    devices = sts.mfa.of_account(account)
    counts = {
        "Users": len(_entities(call, is_role=False)),
        "Roles": len(_entities(call, is_role=True)),
        "Groups": len(_groups(call)),
        "Policies": len(policies),
        "PolicyVersionsInUse": sum(len(policy.versions) for policy in policies),
        "InstanceProfiles": _count(tables.instance_profiles, account),
        "Providers": _count(tables.saml_providers, account) + _count(tables.oidc_providers, account),
        "MFADevices": len(devices),
        "MFADevicesInUse": sum(device.enabled is not None for device in devices),
        "AccountMFAEnabled": int(any(device.enabled is not None for device in sts.mfa.list(root))),
        "AccountAccessKeysPresent": int(bool(sts.keys.list(root))),
        "AccountPasswordPresent": int(sts.passwords.get(root) is not None),
        "AccountSigningCertificatesPresent": 0,
        "ServerCertificates": 0,
        "AccessKeysPerUserQuota": _MAX_KEYS,
    }
    quotas = {name: getattr(call.directory.quotas, quota) for name, quota in _QUOTAS.items()}
    return {"SummaryMap": without_nones(counts | quotas)}


def _count(table: Mapping[str, object], account: str) -> int:
    """The records of an account, by their ARNs."""
    return sum(arn.split(":")[4] == account for arn in table)


# -- authorization details ------------------------------------------------------------------------------------------------

_Detail = tuple[str, str, Callable[[], dict[str, Any]]]  # type, name, the members of the output


def get_account_authorization_details(call: Call) -> Result:
    """GetAccountAuthorizationDetails: what `fastiam.load` reads back (G154). It has no secrets."""
    wanted = call.parameters.get("Filter") or ("User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy")
    found = page(
        call,
        "Details",
        (detail for detail in _details(call) if detail[0] in wanted),
        lambda detail: f"{detail[0]}/{detail[1]}",
        same,
    )
    details: list[_Detail] = found.pop("Details")
    lists = {
        "UserDetailList": ("User",),
        "GroupDetailList": ("Group",),
        "RoleDetailList": ("Role",),
        "Policies": ("LocalManagedPolicy", "AWSManagedPolicy"),
    }
    for member, types in lists.items():
        found[member] = [render() for type_, _, render in details if type_ in types]
    return found


def _details(call: Call) -> Iterator[_Detail]:
    for user in _entities(call, is_role=False):
        yield "User", user.name, lambda user=user: _user_detail(call, user)  # type: ignore[misc]
    for group in _groups(call):
        yield "Group", group.name, lambda group=group: _group_detail(group)  # type: ignore[misc]
    for role in _entities(call, is_role=True):
        yield "Role", role.name, lambda role=role: _role_detail(call, role)  # type: ignore[misc]
    for policy in call.tables.managed.values():
        owner = policy.arn.split(":")[4]
        if owner == call.account or (owner == _OF_AWS and _is_used(call, policy.arn)):
            type_ = "AWSManagedPolicy" if owner == _OF_AWS else "LocalManagedPolicy"
            yield type_, policy.arn.rpartition("/")[2], lambda policy=policy: _policy_detail(call, policy)  # type: ignore[misc]


def _is_used(call: Call, arn: str) -> bool:
    """Whether something of the account has a policy of AWS."""
    found = call.directory.attachments(arn)
    return any(owner.split(":")[4] == call.account for owner in (*found.attached_to, *found.boundary_of))


def _user_detail(call: Call, user: Entity) -> dict[str, Any]:
    _require_boundary(user)
    groups = [arn.rpartition("/")[2] for arn in user.groups]
    return user_of(call, user, with_tags=True) | _policies_of(user, "User") | {"GroupList": groups}


def _group_detail(group: Group) -> dict[str, Any]:
    members = {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.unique_id,
        "Arn": group.arn,
        "CreateDate": group.created or UNKNOWN_DATE,
    }
    return without_nones(members) | _policies_of(group, "Group")


def _role_detail(call: Call, role: Entity) -> dict[str, Any]:
    _require_boundary(role)
    profiles = [profile for profile in call.tables.instance_profiles.values() if profile.role == role.arn]
    members = role_of(role, is_complete=True) | _policies_of(role, "Role")
    return members | {"InstanceProfileList": [_profile(profile, role) for profile in profiles]}


def _profile(profile: InstanceProfile, role: Entity) -> dict[str, Any]:
    return without_nones(
        {
            "Path": profile.path,
            "InstanceProfileName": profile.name,
            "InstanceProfileId": profile.unique_id,
            "Arn": profile.arn,
            "CreateDate": profile.created or UNKNOWN_DATE,
            "Roles": [role_of(role)],
            "Tags": tag_list(profile.tags),
        }
    )


def _policy_detail(call: Call, policy: ManagedPolicy) -> dict[str, Any]:
    versions = [version_of(policy, version) | {"Document": stored.text} for version, stored in policy.versions.items()]
    return policy_of(call, policy, is_complete=True) | {"PolicyVersionList": versions}


def _policies_of(record: Entity | Group, type_: str) -> dict[str, Any]:
    inline = [_named(stored) for stored in record.inline]
    attached = [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in record.attached]
    return {f"{type_}PolicyList": inline, "AttachedManagedPolicies": attached}


def _require_boundary(record: Entity) -> None:
    """Refuse to show a principal whose boundary is not one managed policy: without it, what is loaded would allow more.

    Raises
    ------
    ApiError
        `NotImplemented`.
    """
    if record.boundary is not None and boundary_of(record.boundary) is None:
        raise ApiError(
            "NotImplemented", f"The permissions boundary of {record.arn} is not one managed policy and cannot be shown."
        )


def _named(stored: StoredPolicy) -> dict[str, str]:
    return {"PolicyName": stored.name, "PolicyDocument": stored.text}


def _entities(call: Call, *, is_role: bool) -> list[Entity]:
    entities = call.tables.entities
    known: Iterable[Entity] = (entities[arn] for arn in call.directory.principals(call.account))
    return [each for each in known if each.kind is not PrincipalKind.ROOT and (each.kind in ROLES) is is_role]


def _groups(call: Call) -> list[Group]:
    return [call.tables.groups[arn] for arn in call.directory.groups(call.account)]


def _policies(call: Call) -> list[ManagedPolicy]:
    return [call.tables.managed[arn] for arn in call.directory.policies(call.account)]


# -- lists that are empty -------------------------------------------------------------------------------------------------


def _empty(member: str, *, of_user: bool) -> Callable[[Call], Result]:
    """A list of things that cannot be created here; programs that delete users ask for them."""

    def handler(call: Call) -> Result:
        if of_user and not call.parameters.get("AllUsers") and not call.user_arn().endswith(":root"):
            call.user()
        nothing: list[Any] = []
        return page(call, member, nothing, same, same)

    return handler


def _user_or_all(call: Call) -> str:
    return "*" if call.parameters.get("AllUsers") else call.user_arn()


_ACCOUNT = (Permission(everything),)
_USER = (Permission(p.user),)

OPERATIONS = {
    "CreateAccountAlias": Operation(create_account_alias, _ACCOUNT, writes=True),
    "DeleteAccountAlias": Operation(delete_account_alias, _ACCOUNT, writes=True),
    "ListAccountAliases": Operation(list_account_aliases, _ACCOUNT),
    "GetAccountSummary": Operation(get_account_summary, _ACCOUNT),
    "GetAccountAuthorizationDetails": Operation(get_account_authorization_details, _ACCOUNT),
    "ListSSHPublicKeys": Operation(_empty("SSHPublicKeys", of_user=True), _USER),
    "ListSigningCertificates": Operation(_empty("Certificates", of_user=True), _USER),
    "ListServiceSpecificCredentials": Operation(_empty("ServiceSpecificCredentials", of_user=True), (Permission(_user_or_all),)),
    "ListServerCertificates": Operation(
        _empty("ServerCertificateMetadataList", of_user=False), (Permission(p.listed("server-certificate")),)
    ),
}
