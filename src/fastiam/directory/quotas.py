"""Quotas of IAM and Organizations (spec 1.7). A strict write refuses what exceeds them, a lenient one reports it."""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.errors import RequestValueError


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Limits of counts and sizes. The defaults are those of AWS; None means no limit.

    Sizes count the characters of a policy's text, without white space unless stated otherwise (spec 1.7). An unnamed policy of a
    user, group, role or element of the organisation represents all that is in force there, and has no size. The numbers of users,
    groups, roles and policies of an account are not limited by default: AWS begins with 5,000, 300, 1,000 and 1,500, and raises
    them on request.

    Attributes
    ----------
    managed_policy_size
        of a customer managed policy. AWS keeps none of these limits for its own managed policies.
    inline_size_per_user, inline_size_per_group, inline_size_per_role
        sum over the inline policies.
    trust_policy_size
        of a role's trust policy. AWS raises it to 4,096 and more.
    document_size
        of the whole text of one document of IAM, with white space.
    endpoint_policy_size, scp_size, rcp_size
        of a VPC endpoint's policy, of an SCP, of an RCP; with white space.
    scps_per_element, rcps_per_element
        attached to one root, unit or account. AWS raised those of SCPs in May 2026.
    managed_policies_per_user, managed_policies_per_group, managed_policies_per_role
        attached managed policies.
    groups_per_user
        groups that one user is in.
    boundaries_per_principal
        permissions boundaries of a user or role.
    versions_per_policy
        versions of a customer managed policy.
    users_per_account, groups_per_account, roles_per_account, policies_per_account
        customer managed policies.
    saml_providers_per_account, oidc_providers_per_account
        identity providers.
    client_ids_per_oidc_provider, thumbprints_per_oidc_provider
        of one OIDC provider.
    tags_per_resource
        tags of one IAM resource.
    tag_key_length, tag_value_length
        characters of a tag of an IAM resource. user_name_length, group_name_length, role_name_length, policy_name_length,
        instance_profile_name_length, saml_provider_name_length, path_length : characters.
    min_session_duration, max_session_duration
        bounds of a role's `max_session_duration`, in seconds.
    """

    managed_policy_size: int | None = 6_144
    inline_size_per_user: int | None = 2_048
    inline_size_per_group: int | None = 5_120
    inline_size_per_role: int | None = 10_240
    trust_policy_size: int | None = 2_048
    document_size: int | None = 131_072
    endpoint_policy_size: int | None = 20_480
    scp_size: int | None = 10_240
    rcp_size: int | None = 5_120
    scps_per_element: int | None = 10
    rcps_per_element: int | None = 5
    managed_policies_per_user: int | None = 10
    managed_policies_per_group: int | None = 10
    managed_policies_per_role: int | None = 10
    groups_per_user: int | None = 10
    boundaries_per_principal: int | None = 1
    versions_per_policy: int | None = 5
    users_per_account: int | None = None
    groups_per_account: int | None = None
    roles_per_account: int | None = None
    policies_per_account: int | None = None
    saml_providers_per_account: int | None = 100
    oidc_providers_per_account: int | None = 100
    client_ids_per_oidc_provider: int | None = 100
    thumbprints_per_oidc_provider: int | None = 5
    tags_per_resource: int | None = 50
    tag_key_length: int | None = 128
    tag_value_length: int | None = 256
    user_name_length: int | None = 64
    group_name_length: int | None = 128
    role_name_length: int | None = 64
    policy_name_length: int | None = 128
    instance_profile_name_length: int | None = 128
    saml_provider_name_length: int | None = 128
    path_length: int | None = 512
    min_session_duration: int | None = 3_600
    max_session_duration: int | None = 43_200

    def __post_init__(self) -> None:
        for name in self.__slots__:
            most = getattr(self, name)
            if most is not None and (not isinstance(most, int) or most < 0):
                raise RequestValueError(
                    f"the quota `{name}` must be a whole number, or None for no limit, not `{most!r}`", column=name
                )


NO_QUOTAS = Quotas(**dict.fromkeys(Quotas.__slots__))


def size_without_space(text: str) -> int:
    """The size of the text of an IAM policy as AWS counts it: without white space."""
    return len(text) - sum(map(text.count, " \t\r\n"))
