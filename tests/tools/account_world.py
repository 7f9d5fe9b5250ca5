"""An account with users, groups, roles and a bucket, whose writes are tested."""

from __future__ import annotations

from fastiam import Directory, Session

A, B, M = "111111111111", "222222222222", "999999999999"
IAM = f"arn:aws:iam::{A}"
ANA, BO, DEP, CHAIN = f"{IAM}:user/eng/ana", f"{IAM}:user/bo", f"{IAM}:role/ops/Dep", f"{IAM}:role/Chain"
LINKED = f"{IAM}:role/aws-service-role/x.amazonaws.com/Linked"
ENG, P, Q, AWS = f"{IAM}:group/Eng", f"{IAM}:policy/P", f"{IAM}:policy/Q", "arn:aws:iam::aws:policy/ReadOnlyAccess"
PROFILE, SAML, OIDC = f"{IAM}:instance-profile/web", f"{IAM}:saml-provider/idp", f"{IAM}:oidc-provider/token.example.com/x"
BKT, KEY = "arn:aws:s3:::bkt", f"arn:aws:kms:us-east-1:{A}:key/k1"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def doing(action: str, effect: str = "Allow", **more: object) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*", **more}]}


def granting(*who: str, **condition: object) -> dict:
    """A resource policy that lets some principals do everything."""
    statement = {"Effect": "Allow", "Principal": {"AWS": list(who)}, "Action": "*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def account() -> Directory:
    """One record of each kind. The only references are those of `ana`: its group `Eng` and its policy `P`."""
    directory = Directory()
    directory.add_managed_policy(P, doing("s3:Get*"))
    directory.add_managed_policy(Q, doing("s3:Put*"))
    directory.add_managed_policy(AWS, doing("*:List*"))
    directory.add_group(ENG)
    directory.add_principal(ANA, identity_policies=[P], groups=["Eng"], unique_id="AIDAANA", tags={"Team": "red"})
    directory.add_principal(BO)
    directory.add_principal(DEP, unique_id="AROADEP")
    directory.add_principal(CHAIN)
    directory.add_principal(LINKED, identity_policies=[AWS])
    directory.create_instance_profile(PROFILE)
    directory.create_saml_provider(SAML, metadata="<xml/>")
    directory.create_oidc_provider(OIDC, client_ids=["app"], thumbprints=["0" * 40])
    directory.add_resource(BKT, account=A)
    directory.add_endpoint("vpce-1", account=A)
    directory.set_organization(
        "o-1", management_account=M, organizational_units={"ou-a": "r-1", "ou-b": "ou-a"}, accounts={A: "ou-b"}
    )
    return directory


def allowed(directory: Directory, principal: str | Session, action: str, resource: str = BKT) -> bool:
    return directory.compile().is_allowed(principal, action, resource)


def names(directory: Directory, arn: str) -> list[str]:
    return [policy.name for policy in directory.snapshot().principal(arn).identity_policies]
