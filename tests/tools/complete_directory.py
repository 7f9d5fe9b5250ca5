"""A directory in which every part of the model occurs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from fastiam import Directory
from fastiam.directory import user_pool_records
from fastiam.directory.account_records import NotificationSetting, RevocationList, RolesAnywhereProfile, TrustAnchor
from fastiam.directory.identity_pool_records import (
    CognitoIdentityProvider,
    IdentityPool,
    MappingRule,
    PrincipalTagMap,
    RoleMapping,
)
from fastiam.directory.organization import Handshake
from fastiam.directory.user_pool_records import Attribute, PasswordRules, Pool

A, M = "111111111111", "999999999999"
UUID = "00000000-0000-4000-8000-000000000000"
ANA, DEP, BKT = f"arn:aws:iam::{A}:user/eng/ana", f"arn:aws:iam::{A}:role/ops/Dep", "arn:aws:s3:::bkt"
LOGS = f"arn:aws:logs:eu-west-1:{A}:*"
CREATED = datetime(2026, 1, 31, 12, tzinfo=UTC)
MANAGED = f"arn:aws:iam::{A}:policy/P"
FULL = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ANYONE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "sts:AssumeRole"}]}
RCP = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}


def everything() -> Directory:
    """A directory in which every part of the model occurs."""
    directory = Directory()
    directory.add_account(
        A, name="main", canonical_id="cafe", alias="main-account", email="main@acme.test", joined=CREATED, request="car-1"
    )
    directory.add_account("222222222222", partition="aws-us-gov", closed=CREATED)
    directory.add_managed_policy(
        MANAGED, versions={"v1": ALLOW, "v2": json.dumps(ALLOW)}, default_version="v2", unique_id="ANPAP", tags={"of": "p"},
        created=CREATED, updated=CREATED, version_dates={"v2": CREATED}, description="all",
    )  # fmt: skip
    directory.add_group("Eng", [("g", ALLOW), MANAGED], account=A, unique_id="AGPAENG", created=CREATED)
    directory.add_principal(
        ANA, identity_policies=[("own", ALLOW), ALLOW, MANAGED], permissions_boundary=MANAGED, tags={"Team": "r"},
        unique_id="AIDAANA", groups=["Eng"], created=CREATED,
    )  # fmt: skip
    directory.add_principal(
        DEP, permissions_boundary=[], trust_policy=TRUST, unique_id="AROADEP", max_session_duration=43_200,
        created=CREATED, description="deploys",
    )  # fmt: skip
    directory.add_principal(f"{DEP}2")
    directory.create_instance_profile(f"arn:aws:iam::{A}:instance-profile/x/web", role=DEP, tags={"of": "i"}, created=CREATED)
    directory.create_instance_profile(f"arn:aws:iam::{A}:instance-profile/empty", unique_id=None)
    directory.create_saml_provider(
        f"arn:aws:iam::{A}:saml-provider/idp", metadata="<ü>\n", tags={"of": "s"},
        encryption="Allowed", created=CREATED,
    )  # fmt: skip
    directory.create_oidc_provider(
        f"arn:aws:iam::{A}:oidc-provider/x.com/y",
        client_ids=["b", "a"],
        thumbprints=["0" * 40],
        tags={"of": "o"},
        created=CREATED,
        keys='{"keys": []}',
    )
    add_roles_anywhere(directory)
    add_user_pools(directory)
    add_identity_pools(directory)
    directory.add_resource(BKT, account=A, policy=ANYONE, tags={"e": "x"}, restrict_public_buckets=True)
    directory.add_resource(LOGS, policy=[ANYONE, ("second", ANYONE)])
    directory.add_resource("arn:aws:s3:::free")
    directory.add_endpoint("vpce-1", policy=ANYONE, account=A, gateway=True)
    directory.add_endpoint("vpce-2", policy=[])
    directory.add_endpoint("vpce-3")
    directory.set_organization(
        "o-1", management_account=M, root="r-9", organizational_units={"ou-a": "r-9", "ou-b": "ou-a"}, accounts={A: "ou-b"},
        delegated_administrators={A: ["iam.amazonaws.com"]}, policy_types=["SERVICE_CONTROL_POLICY"],
        scps={"ou-a": [FULL, ("scp", ALLOW)], A: []}, rcps={"r-9": RCP},
    )  # fmt: skip
    directory.rename_organizational_unit("ou-a", "Work")
    policy = directory.create_control_policy("no-s3", RCP, "RESOURCE_CONTROL_POLICY", description="none")
    directory.create_control_policy("unused", ALLOW, "SERVICE_CONTROL_POLICY")
    for element in ("r-9", "ou-a", A, policy):
        directory.tag_in_organization(element, {"of": element})
    directory.enable_service_access("sso.amazonaws.com", CREATED)
    directory.record_handshake(Handshake("h-0123456789", "333333333333", CREATED, "", "join us", {"of": "h"}, "DECLINED"))
    directory.set_scps(A, [[FULL], [ALLOW], []])
    directory.set_rcps(A, [])
    return directory


def add_roles_anywhere(directory: Directory) -> None:
    """Records of IAM Roles Anywhere, each with every field."""
    place = f"arn:aws:rolesanywhere:eu-west-1:{A}"
    common = {"account": A, "enabled": True, "tags": {"of": "r"}, "created": CREATED, "updated": CREATED}
    anchor, id_ = f"{place}:trust-anchor/{UUID}", UUID
    settings = (
        NotificationSetting("CA_CERTIFICATE_EXPIRY", True, 45, "ALL"),
        NotificationSetting("END_ENTITY_CERTIFICATE_EXPIRY"),
    )
    directory.add_roles_anywhere(
        TrustAnchor(
            anchor, name="ca", certificates="pem\n", acm_pca_arn="arn:aws:acm-pca:x", crls_missing=True,
            notification_settings=settings, **common,
        )
    )  # fmt: skip
    directory.add_roles_anywhere(RevocationList(f"{place}:crl/{id_}", name="crl", trust_anchor=anchor, data="pem", **common))
    directory.add_roles_anywhere(
        RolesAnywhereProfile(
            f"{place}:profile/{id_}", name="hosts", role_arns=(DEP,), session_policy="{}", managed_policy_arns=(MANAGED,),
            duration_seconds=900, accept_role_session_name=True, require_instance_properties=True,
            attribute_mappings={"x509Subject": ("CN",), "x509Issuer": (), "x509SAN": ("DNS",)}, **common,
        )
    )  # fmt: skip
    bare = id_.replace("0", "1")
    directory.add_roles_anywhere(RolesAnywhereProfile(f"{place}:profile/{bare}", A, "bare"))


def add_identity_pools(directory: Directory) -> None:
    """Cognito identity pools: one with every field, one without any that has a default."""
    rule = MappingRule("custom:dept", "Equals", "Sales", DEP)
    directory.add_identity_pool(
        IdentityPool(
            identity_pool_id=f"eu-west-1:{UUID}", account=A, identity_pool_name="app", allow_unauthenticated_identities=True,
            created=CREATED, allow_classic_flow=True, supported_login_providers={"www.amazon.com": "a"},
            developer_provider_name="login.app", open_id_connect_provider_arns=(f"arn:aws:iam::{A}:oidc-provider/x.example",),
            cognito_identity_providers=(CognitoIdentityProvider("p", "c", True), CognitoIdentityProvider("p", "d")),
            saml_provider_arns=(f"arn:aws:iam::{A}:saml-provider/idp",), identity_pool_tags={"of": "q"},
            roles={"authenticated": DEP, "unauthenticated": DEP},
            role_mappings={"p:c": RoleMapping("Token", "Deny"), "p:d": RoleMapping("Rules", "AuthenticatedRole", (rule,))},
            tag_maps={"p": PrincipalTagMap(True), "q": PrincipalTagMap(principal_tags={"team": "group"})},
        )
    )  # fmt: skip
    bare = f"eu-west-1:{UUID.replace('0', '1')}"
    directory.add_identity_pool(
        IdentityPool(
            identity_pool_id=bare, account=A, identity_pool_name="bare", allow_unauthenticated_identities=False, created=CREATED
        )
    )


def add_user_pools(directory: Directory) -> None:
    """Cognito user pools: one with every field, one without any that has a default."""
    id_, times = "eu-west-1_AbC", {"created": CREATED, "modified": CREATED}
    pool = Pool(
        id_, "app", A, "aws", "eu-west-1", "https://login.example", password=PasswordRules(9, False, False, False, False, 1, 2),
        auto_verified=("email",), alias_attributes=("email",), username_attributes=("phone_number",), case_sensitive=False,
        attributes=(Attribute("custom:n", "Number", False, True, "1", "9"),), mfa="OPTIONAL", factors=("SOFTWARE_TOKEN_MFA",),
        admin_only=True, recovery=("admin_only",), verify_before_update=("email",), protected=True,
        triggers={"PreSignUp": "mine"}, token_version="V2_0", messages={"EmailMessage": "{####}"}, tags={"of": "p"}, **times,
    )  # fmt: skip
    client = user_pool_records.Client(
        "web", id_, "web", flows=(), access_validity=300, id_validity=301, refresh_validity=3600, session_validity=240,
        units={"AccessToken": "minutes"}, readable=(), writable=("email",), hides_existence=True, revocation=False,
        providers=("Corp",), callbacks=("https://x.example",), logouts=("https://y.example",),
        default_redirect="https://x.example", oauth_flows=("code",), oauth_scopes=("openid",), oauth=True, grace=0,
        secret_missing=True, **times,
    )  # fmt: skip
    parts = [
        client,
        user_pool_records.Client("bare", id_, "bare", **times),
        user_pool_records.Group(id_, "staff", description="d", role=DEP, precedence=0, **times),
        user_pool_records.Domain("app", id_, True),
        user_pool_records.ResourceServer(id_, "api", "api", {"read": "Read"}),
        user_pool_records.Provider(
            id_, "Corp", "SAML", UUID, details={"a": "b"}, mapping={"email": "mail"}, identifiers=("corp",), metadata="<xml/>",
            fetched=CREATED, **times,
        ),
    ]  # fmt: skip
    directory.add_user_pool(pool, parts)
    directory.add_user_pool(Pool("eu-west-1_b", "bare", A, "aws", "eu-west-1", "https://login.example", **times))
