"""Rules that no policy can change: credentials (spec 7.4), services (6.3, 6.7), partitions (N16)."""

from __future__ import annotations

from fastiam.model.arn import Arn, split_arn
from fastiam.model.decision import Reason
from fastiam.model.profile import PrincipalKind, PrincipalProfile, ResourceProfile, Settings

_ROLES = (PrincipalKind.ROLE, PrincipalKind.SLR)
_USER_OR_ROOT = (PrincipalKind.USER, PrincipalKind.ROOT)
_WITHOUT_CREDENTIALS = (PrincipalKind.ANON, PrincipalKind.OIDC, PrincipalKind.SAML)

_TRUST_ACTIONS = frozenset("assumerole assumerolewithsaml assumerolewithwebidentity tagsession setsourceidentity".split())
_PERMISSIONS = frozenset({("iam", "passrole"), ("sts", "tagsession"), ("sts", "setsourceidentity")})  # S10
_OF_SESSION_TOKEN = frozenset(
    "assumerole getcalleridentity getscopedcredentials getwebidentitytoken getdelegatedaccesstoken".split()
)
_OF_FEDERATION_TOKEN = frozenset("getcalleridentity getscopedcredentials getdelegatedaccesstoken".split())

# D17: the changes that AWS forbids
_POLICY_CHANGES = frozenset(
    "createpolicy deletepolicy createpolicyversion deletepolicyversion setdefaultpolicyversion tagpolicy untagpolicy".split()
)
_RESERVED_ROLE_CHANGES = frozenset(
    (
        "createrole createservicelinkedrole deleterole deleteservicelinkedrole updaterole updateroledescription"
        " updateassumerolepolicy attachrolepolicy detachrolepolicy putrolepolicy deleterolepolicy"
        " putrolepermissionsboundary deleterolepermissionsboundary tagrole untagrole"
    ).split()
)
_SERVICE_ROLE_CHANGES = frozenset(
    (
        "updateassumerolepolicy attachrolepolicy detachrolepolicy putrolepolicy deleterolepolicy"
        " putrolepermissionsboundary deleterolepermissionsboundary"
    ).split()
)
_ALIAS_CHANGES = frozenset("createalias updatealias deletealias".split())
FORBIDDEN_CHANGES = (  # by prefix
    ("iam", _POLICY_CHANGES), ("iam", _RESERVED_ROLE_CHANGES), ("iam", _SERVICE_ROLE_CHANGES), ("kms", _ALIAS_CHANGES),
)  # fmt: skip


def is_always_allowed(principal: PrincipalProfile, action: tuple[str, str]) -> bool:
    """Calls that policies do not affect (6.3)."""
    if action == ("sts", "getcalleridentity"):
        return principal.kind not in _WITHOUT_CREDENTIALS
    return action == ("sts", "getsessiontoken") and principal.kind in _USER_OR_ROOT and not principal.temporary


def credential_forbids(principal: PrincipalProfile, action: tuple[str, str]) -> bool:
    """Calls that the credentials cannot make (7.4, D31); permissions that other calls require are not calls (S10)."""
    if action in _PERMISSIONS:
        return False
    prefix, name = action
    kind = principal.kind
    if kind in _ROLES:
        return prefix == "sts" and name in ("getfederationtoken", "getsessiontoken")
    if kind is PrincipalKind.FED:
        return prefix == "iam" or prefix == "sts" and name not in _OF_FEDERATION_TOKEN
    if kind is PrincipalKind.ROOT and prefix == "sts" and name in ("assumerole", "assumeroot", "getscopedcredentials"):
        return True
    if kind in _USER_OR_ROOT and principal.temporary:
        return prefix == "iam" and not principal.mfa or prefix == "sts" and name not in _OF_SESSION_TOKEN
    if kind is PrincipalKind.USER and prefix == "sts":
        return name == "getscopedcredentials" or name == "assumeroot" and not principal.may_assume_root
    return False


def service_refusal(
    principal: PrincipalProfile, resource: ResourceProfile, action: tuple[str, str], settings: Settings
) -> Reason | None:
    """The reason for an implicit deny in layer `service`, the first of 6.4 (D17, D19, 6.7, N16, D23), or None."""
    arn = split_arn(resource.arn)
    if arn is not None and _is_forbidden_change(arn, action):
        return Reason.HARD_RULE
    if principal.kind is PrincipalKind.ANON and action[0] not in settings.anonymous_services:
        return Reason.ANONYMOUS
    if action == ("iam", "passrole") and resource.account != principal.account:
        return Reason.PASS_ROLE_ACCOUNT
    if None not in (principal.partition, resource.partition) and principal.partition != resource.partition:
        return Reason.PARTITION
    return Reason.UNKNOWN_OWNER if resource.unknown_owner else None


def _is_forbidden_change(arn: Arn, action: tuple[str, str]) -> bool:
    """Changes to resources that AWS owns (D17)."""
    prefix, name = action
    if prefix == "iam" and arn.service == "iam":
        if arn.rest.startswith("policy/"):
            return arn.account == "aws" and name in _POLICY_CHANGES
        if arn.rest.startswith("role/aws-reserved/"):
            return name in _RESERVED_ROLE_CHANGES
        return arn.rest.startswith("role/aws-service-role/") and name in _SERVICE_ROLE_CHANGES
    return prefix == "kms" and arn.service == "kms" and arn.rest.startswith("alias/aws/") and name in _ALIAS_CHANGES


def needs_resource_policy(resource: ResourceProfile, action: tuple[str, str], settings: Settings) -> bool:
    """The profile `resource-policy-required` (6.3): trust policies, KMS keys, and configured services."""
    arn = split_arn(resource.arn)
    if arn is not None and arn.service == "kms" and arn.rest.startswith("key/"):
        return True
    return is_trust_request(arn, action) or action[0] in settings.resource_policy_services


def is_trust_request(arn: Arn | None, action: tuple[str, str]) -> bool:
    """A call that a role's trust policy decides (6.3, D18)."""
    on_role = arn is not None and arn.service == "iam" and arn.rest.startswith("role/")
    return on_role and action[0] == "sts" and action[1] in _TRUST_ACTIONS


def is_restricted_public(principal: PrincipalProfile, resource: ResourceProfile) -> bool:
    """A public bucket policy under `RestrictPublicBuckets`, for principals outside the account except services (D33)."""
    if not resource.blocks_public or principal.kind is PrincipalKind.SVC:
        return False
    return principal.kind is PrincipalKind.ANON or resource.account != principal.account
