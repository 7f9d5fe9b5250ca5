"""Writes of an account model one by one: their effect, deletion of referenced records, and reuse of names."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import pytest

import fastiam
from fastiam import Directory, DirectoryError, Session
from fastiam.directory.records import RevocationList, RolesAnywhereProfile, TrustAnchor

A, B, M = "111111111111", "222222222222", "999999999999"
IAM = f"arn:aws:iam::{A}"
ANA, BO, DEP, CHAIN = f"{IAM}:user/eng/ana", f"{IAM}:user/bo", f"{IAM}:role/ops/Dep", f"{IAM}:role/Chain"
LINKED = f"{IAM}:role/aws-service-role/x.amazonaws.com/Linked"
ENG, P, Q, AWS = f"{IAM}:group/Eng", f"{IAM}:policy/P", f"{IAM}:policy/Q", "arn:aws:iam::aws:policy/ReadOnlyAccess"
PROFILE, SAML, OIDC = f"{IAM}:instance-profile/web", f"{IAM}:saml-provider/idp", f"{IAM}:oidc-provider/token.example.com/x"
BKT, KEY = "arn:aws:s3:::bkt", f"arn:aws:kms:us-east-1:{A}:key/k1"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
FULL = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"


def doing(action: str, effect: str = "Allow", **more: object) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*", **more}]}


CLOSED = doing("s3:*", "Deny", Principal="*")


def granting(*who: str, **condition: object) -> dict:
    """A resource policy that lets some principals do everything."""
    statement = {"Effect": "Allow", "Principal": {"AWS": list(who)}, "Action": "*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def trusting(*who: str) -> dict:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": list(who)}, "Action": "sts:AssumeRole"}],
    }


@pytest.fixture
def directory() -> Directory:
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


def session(role: str, name: str = "run") -> str:
    return f"arn:aws:sts::{A}:assumed-role/{role.rsplit('/', 1)[1]}/{name}"


def names(directory: Directory, arn: str) -> list[str]:
    return [policy.name for policy in directory.snapshot().principal(arn).identity_policies]


# -- policies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", [BO, ENG, DEP])
def test_a_policy_is_attached_and_detached(directory, identity):
    directory.attach_policy(identity, Q)
    directory.attach_policy(identity, AWS)
    directory.attach_policy(identity, Q)
    record = directory.tables.groups[ENG] if identity == ENG else directory.tables.entities[identity]
    assert record.attached == (Q, AWS)
    directory.detach_policy(identity, Q)
    record = directory.tables.groups[ENG] if identity == ENG else directory.tables.entities[identity]
    assert record.attached == (AWS,)


def test_group_policies_apply_to_its_members(directory):
    directory.put_inline_policy(ENG, "own", doing("sqs:*"))
    assert allowed(directory, ANA, "sqs:SendMessage", f"arn:aws:sqs:us-east-1:{A}:q")
    directory.remove_user_from_group(ANA, ENG)
    assert names(directory, ANA) == [P]
    directory.add_user_to_group(ANA, ENG)
    directory.add_user_to_group(ANA, ENG)
    assert names(directory, ANA) == [P, "own"]
    directory.delete_inline_policy(ENG, "own")
    assert names(directory, ANA) == [P]


def test_the_version_in_force_decides(directory):
    assert directory.create_policy_version(P, doing("sqs:*")) == "v2"
    assert allowed(directory, ANA, "s3:GetObject")
    directory.set_default_policy_version(P, "v2")
    assert not allowed(directory, ANA, "s3:GetObject")
    assert directory.create_policy_version(P, doing("s3:Get*"), set_as_default=True) == "v3"
    assert allowed(directory, ANA, "s3:GetObject")
    directory.delete_policy_version(P, "v2")
    directory.delete_policy_version(P, "v1")
    assert list(directory.tables.managed[P].versions) == ["v3"]


def test_a_boundary_limits_until_it_is_deleted(directory):
    directory.set_permissions_boundary(ANA, Q)
    assert not allowed(directory, ANA, "s3:GetObject")
    directory.set_permissions_boundary(ANA, P)
    assert allowed(directory, ANA, "s3:GetObject")
    directory.set_permissions_boundary(ANA, [])
    assert not allowed(directory, ANA, "s3:GetObject")
    directory.delete_permissions_boundary(ANA)
    assert allowed(directory, ANA, "s3:GetObject")


def test_tags_are_joined_whatever_their_case_and_taken_away(directory):
    directory.tag(ANA, {"TEAM": "blue", "x": "y"})
    assert directory.tables.entities[ANA].tags == {"TEAM": "blue", "x": "y"}
    directory.untag(ANA, ["team", "none"])
    assert directory.tables.entities[ANA].tags == {"x": "y"}
    directory.tag(BKT, {"Team": "a", "team": "b"})  # of a resource, two tags
    directory.untag(BKT, "Team")
    assert directory.tables.resources[BKT].tags == {"team": "b"}
    for arn, table in ((P, "managed"), (PROFILE, "instance_profiles"), (SAML, "saml_providers"), (OIDC, "oidc_providers")):
        directory.tag(arn, {"a": "b"})
        assert getattr(directory.tables, table)[arn].tags == {"a": "b"}


ANCHOR = f"arn:aws:rolesanywhere:eu-west-1:{A}:trust-anchor/00000000-0000-4000-8000-000000000000"
CRL = ANCHOR.replace("trust-anchor", "crl")


def test_a_trust_anchor_takes_its_revocation_lists_along(directory):
    directory.add_roles_anywhere(TrustAnchor(ANCHOR, "", "ca"))
    directory.add_roles_anywhere(RevocationList(CRL, "", "crl", ANCHOR))
    directory.tag(ANCHOR, {"a": "b"})
    assert directory.tables.trust_anchors[ANCHOR] == TrustAnchor(ANCHOR, A, "ca", tags={"a": "b"})
    directory.replace_roles_anywhere(replace(directory.tables.trust_anchors[ANCHOR], enabled=True))
    assert directory.tables.trust_anchors[ANCHOR].enabled
    directory.delete_roles_anywhere(ANCHOR)
    assert directory.tables.trust_anchors == directory.tables.revocation_lists == {}
    assert A in directory.tables.accounts


# -- refused writes ------------------------------------------------------------------------------------------------------

REFUSED = {
    "a trust anchor under another ARN": (lambda d: d.add_roles_anywhere(TrustAnchor(CRL, A, "c")), "is not the ARN"),
    "a trust anchor without a name": (lambda d: d.add_roles_anywhere(TrustAnchor(ANCHOR, A, "")), "not a valid name"),
    "a revocation list of nothing": (lambda d: d.add_roles_anywhere(RevocationList(CRL, A, "c", ANCHOR)), "is absent"),
    "replacing an absent profile": (
        lambda d: d.replace_roles_anywhere(RolesAnywhereProfile(ANCHOR.replace("trust-anchor", "profile"), A, "p")),
        "there is no profile",
    ),
    "deleting an absent trust anchor": (lambda d: d.delete_roles_anywhere(ANCHOR), "there is no trust-anchor"),
    "deleting what is nothing of Roles Anywhere": (lambda d: d.delete_roles_anywhere(ANA), "there is no trust-anchor"),
    "attaching a policy that is not there": (lambda d: d.attach_policy(BO, f"{P}x"), "document is unknown"),
    "attaching a document": (lambda d: d.attach_policy(BO, "{}"), "not the ARN of a managed policy"),
    "attaching another kind of ARN": (lambda d: d.attach_policy(BO, ANA), "not a managed policy"),
    "attaching another account's policy": (lambda d: d.attach_policy(BO, P.replace(A, B)), "another account"),
    "a policy of another account from the start": (
        lambda d: d.add_principal(f"{BO}2", identity_policies=[P.replace(A, B)]), "another account",
    ),
    "attaching to an unknown user": (lambda d: d.attach_policy(f"{BO}x", P), "there is no"),
    "attaching to a root user": (lambda d: d.attach_policy(f"{IAM}:root", P), "there is no"),
    "detaching what is not attached": (lambda d: d.detach_policy(BO, P), "does not have"),
    "deleting an inline policy that is not there": (lambda d: d.delete_inline_policy(BO, "own"), "no inline policy"),
    "deleting a boundary that is not there": (lambda d: d.delete_permissions_boundary(BO), "no permissions boundary"),
    "a boundary of a service-linked role": (lambda d: d.set_permissions_boundary(LINKED, P), "no permissions boundary"),
    "no boundary as a boundary": (lambda d: d.set_permissions_boundary(BO, None), "delete_permissions_boundary"),
    "an inline policy without name": (lambda d: d.put_inline_policy(BO, "", ALLOW), "not the name of a policy"),
    "a delegate of no service": (lambda d: d.register_delegated_administrator(A, "iam"), "is not a service"),
    "a boundary that is not there": (lambda d: d.set_permissions_boundary(BO, f"{P}x"), "denies everything"),
    "attaching to a service-linked role": (lambda d: d.attach_policy(LINKED, AWS), "its service writes"),
    "a role in a group": (lambda d: d.add_user_to_group(DEP, ENG), "not a user"),
    "a group that is not there": (lambda d: d.add_user_to_group(BO, f"{ENG}x"), "there is no group"),
    "a group of another account": (
        lambda d: (d.add_group("Eng", account=B), d.add_user_to_group(BO, ENG.replace(A, B))), "another account",
    ),
    "leaving a group without being in it": (lambda d: d.remove_user_from_group(BO, ENG), "is not in"),
    "deleting a user in a group": (lambda d: (d.detach_policy(ANA, P), d.delete_principal(ANA)), "is in the group"),
    "deleting a user with a policy": (lambda d: (d.attach_policy(BO, P), d.delete_principal(BO)), "has the managed policy"),
    "deleting a user with an inline policy": (
        lambda d: (d.put_inline_policy(BO, "own", ALLOW), d.delete_principal(BO)), "has the inline policy `own`",
    ),
    "deleting the role of an instance profile": (
        lambda d: (d.add_role_to_instance_profile(PROFILE, DEP), d.delete_principal(DEP)), "is the role of",
    ),
    "deleting a group with members": (lambda d: d.delete_group(ENG), "has the member"),
    "deleting a group with policies": (
        lambda d: (d.remove_user_from_group(ANA, ENG), d.attach_policy(ENG, P), d.delete_group(ENG)), "has the managed policy",
    ),
    "deleting a policy that is attached": (lambda d: d.delete_policy(P), "belongs to"),
    "deleting a policy that is a boundary": (
        lambda d: (d.set_permissions_boundary(BO, Q), d.delete_policy(Q)), "belongs to",
    ),
    "deleting a policy with versions": (lambda d: (d.create_policy_version(Q, ALLOW), d.delete_policy(Q)), "has the version"),
    "deleting the version in force": (lambda d: d.delete_policy_version(P, "v1"), "in force"),
    "a version that is not there": (lambda d: d.set_default_policy_version(P, "v9"), "has no version"),
    "a policy that is not there": (lambda d: d.create_policy_version(f"{P}x", ALLOW), "there is no managed policy"),
    "deleting an instance profile with a role": (
        lambda d: (d.add_role_to_instance_profile(PROFILE, DEP), d.delete_instance_profile(PROFILE)), "has the role",
    ),
    "a second role of an instance profile": (
        lambda d: [d.add_role_to_instance_profile(PROFILE, role) for role in (DEP, CHAIN)], "one is the most",
    ),
    "a user in an instance profile": (lambda d: d.add_role_to_instance_profile(PROFILE, BO), "not a role"),
    "an unknown role in an instance profile": (lambda d: d.add_role_to_instance_profile(PROFILE, f"{DEP}x"), "does not exist"),
    "the same instance profile": (lambda d: d.create_instance_profile(PROFILE), "already"),
    "the same SAML provider": (lambda d: d.create_saml_provider(SAML), "already"),
    "the same OIDC provider": (lambda d: d.create_oidc_provider(OIDC), "already"),
    "a SAML provider that is a user": (lambda d: d.create_saml_provider(ANA), "not a saml provider"),
    "a SAML provider UUID in lower case": (lambda d: d.create_saml_provider(f"{SAML}2", uuid="a" * 22), "not the UUID"),
    "an unknown encryption mode": (lambda d: d.update_saml_provider(SAML, encryption="allowed"), "not an encryption mode"),
    "a URL with its scheme": (lambda d: d.create_oidc_provider(f"{IAM}:oidc-provider/https://x.com"), "not the URL"),
    "a URL with a port": (lambda d: d.create_oidc_provider(f"{IAM}:oidc-provider/x.com:8443"), "not the URL"),
    "a URL with a query": (lambda d: d.create_oidc_provider(f"{IAM}:oidc-provider/x.com/a?b"), "not the URL"),
    "a URL with a fragment": (lambda d: d.create_oidc_provider(f"{IAM}:oidc-provider/x.com/a#b"), "not the URL"),
    "a URL with a user": (lambda d: d.create_oidc_provider(f"{IAM}:oidc-provider/me@x.com"), "not the URL"),
    "a URL of 256 characters": (lambda d: d.create_oidc_provider(f"{IAM}:oidc-provider/x.com/{'a' * 242}"), "not the URL"),
    "a built-in provider": (lambda d: d.create_oidc_provider(f"{IAM}:oidc-provider/Accounts.google.com/"), "built-in"),
    "more client ids than fit": (lambda d: d.update_oidc_provider(OIDC, client_ids=map(str, range(101))), "too many client ids"),
    "pinned keys as bytes": (lambda d: d.update_oidc_provider(OIDC, keys=b"{}"), "must be text"),
    "a thumbprint of letters": (lambda d: d.update_oidc_provider(OIDC, thumbprints=["z" * 40]), "not a thumbprint"),
    "a client id of nothing": (lambda d: d.update_oidc_provider(OIDC, client_ids=[""]), "not a client id"),
    "a provider that is not there": (lambda d: d.delete_provider(f"{SAML}x"), "there is no provider"),
    "renaming a role": (lambda d: d.rename(DEP, "Dep2"), "keeps its name"),
    "renaming to a name that is taken": (lambda d: d.rename(ANA, "BO"), "ignoring case"),
    "renaming to the name of another ARN": (lambda d: d.rename(ANA, "bo", path="/"), "already"),
    "renaming into a path": (lambda d: d.rename(ANA, "a/b"), "not a path and name"),
    "a path without slash": (lambda d: d.rename(ANA, "a", path="p"), "not a path and name"),
    "tags of a group": (lambda d: d.tag(ENG, {"a": "b"}), "groups have none"),
    "a session duration of text": (lambda d: d.set_max_session_duration(DEP, "3600"), "a whole number"),
    "a session duration of a user": (lambda d: d.set_max_session_duration(ANA, 3600), "not a role"),
    "a resource that is not there": (lambda d: d.delete_resource(f"{BKT}x"), "there is no"),
    "an endpoint that is not there": (lambda d: d.set_endpoint_policy("vpce-9", None), "there is no endpoint"),
    "a unit that is there": (lambda d: d.create_organizational_unit("ou-a"), "already"),
    "a unit of another form": (lambda d: d.create_organizational_unit("unit"), "starts with `ou-`"),
    "a unit below an account": (lambda d: d.create_organizational_unit("ou-c", A), "cannot be a parent"),
    "a unit below nothing": (lambda d: d.create_organizational_unit("ou-c", "ou-x"), "not a root, unit or account"),
    "a unit that holds an account": (lambda d: d.delete_organizational_unit("ou-b"), "holds"),
    "a unit below itself": (lambda d: d.move("ou-a", "ou-b"), "is below itself"),
    "a unit that is not there": (lambda d: d.move("ou-x", "ou-a"), "not a root, unit or account"),
    "moving the root": (lambda d: d.move("r-1", "ou-a"), "cannot be moved"),
    "the management account leaving": (lambda d: d.remove_account_from_organization(M), "cannot leave"),
    "an account from outside leaving": (lambda d: d.remove_account_from_organization(B), "not a root, unit or account"),
    "the management account as delegate": (lambda d: d.register_delegated_administrator(M), "administers everything"),
    "a delegate from outside": (lambda d: d.register_delegated_administrator(B), "not a root, unit or account"),
    "a unit as delegate": (lambda d: d.register_delegated_administrator("ou-a"), "is not an account"),
    "a delegate that is none": (lambda d: d.deregister_delegated_administrator(A), "not a delegated administrator"),
    "the last SCP": (lambda d: d.detach_scp("ou-a", FULL), "one must stay attached"),
    "an SCP that is not attached": (lambda d: d.detach_scp("ou-a", "x"), "does not have"),
    "the same SCP": (lambda d: d.attach_scp("r-1", FULL), "already"),
    "an SCP at nothing": (lambda d: d.attach_scp("ou-x", ("p", ALLOW)), "not a root, unit or account"),
    "an RCP while RCPs are off": (
        lambda d: (d.disable_policy_type("RESOURCE_CONTROL_POLICY"), d.attach_rcp("r-1", ("p", CLOSED))),
        "not enabled",
    ),
    "an unknown type of policies": (lambda d: d.enable_policy_type("TAG_POLICY"), "not a policy type"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_write_gives_the_reason_and_changes_nothing(directory, name):
    write, message = REFUSED[name]
    before = directory.to_json()
    with pytest.raises(DirectoryError, match=message), directory.transaction():
        write(directory)
    assert directory.to_json() == before


def test_organisation_write_without_one_is_refused():
    with pytest.raises(DirectoryError, match="there is no organisation"):
        Directory().attach_scp("r-1", FULL)


# -- deleting, and creating again ------------------------------------------------------------------------------------------


def test_unreferenced_records_can_be_deleted(directory):
    directory.delete_instance_profile(PROFILE)
    directory.delete_provider(SAML)
    directory.delete_provider(OIDC)
    directory.delete_resource(BKT)
    directory.delete_endpoint("vpce-1")
    directory.detach_policy(ANA, P)
    directory.remove_user_from_group(ANA, ENG)
    directory.delete_group(ENG)
    for arn in (ANA, BO, DEP, CHAIN, LINKED):  # a service-linked role takes its policies with it
        directory.delete_principal(arn)
    for arn in (P, Q, AWS):
        directory.delete_policy(arn)
    empty = Directory()
    empty.add_account(A)
    tables, none = directory.tables, empty.tables
    for table in tables.__slots__:
        assert getattr(tables, table) == getattr(none, table) or table in ("accounts", "organization")
    assert not any(vars(directory._store.indexes).values()), "no index keeps anything"


IDS = [("AIDAANA", "AIDANEW"), ("new", "new"), (None, None)]


@pytest.mark.parametrize(("old", "new"), IDS)
def test_grant_to_a_deleted_user_excludes_a_new_user_of_its_name(old, new):
    """E117, N30, N31."""
    directory = Directory()
    directory.add_principal(ANA, unique_id=old)
    directory.add_principal(BO)
    directory.add_resource(BKT, account=A, policy=granting(ANA, BO))
    directory.add_resource(KEY, policy=granting(ANA))
    engine = directory.compile()
    assert engine.is_allowed(ANA, "s3:GetObject", BKT)
    directory.delete_principal(ANA)
    directory.add_principal(ANA, unique_id=new)
    assert engine.is_allowed(ANA, "s3:GetObject", BKT), "an engine answers as it did"
    for now in (engine.updated(directory), directory.compile()):
        assert not now.is_allowed(ANA, "s3:GetObject", BKT)
        assert not now.is_allowed(ANA, "kms:Decrypt", KEY)
        assert now.is_allowed(BO, "s3:GetObject", BKT)
    text = directory.to_json()
    assert re.search(r'"AIDA\w+"', text.split('"resources"')[1]), "the orphaned id stays visible"


def test_a_grant_to_an_id_ends_with_it():
    """E117 as in the catalogue."""
    directory = Directory()
    directory.add_principal(ANA, unique_id="AIDAANA")
    directory.add_resource(BKT, account=A, policy=granting("AIDAANA"))
    assert allowed(directory, ANA, "s3:GetObject")
    directory.delete_principal(ANA)
    directory.add_principal(ANA, unique_id="AIDANEW")
    decision = directory.compile().decide(ANA, "s3:GetObject", BKT)
    assert decision.outcome is fastiam.Outcome.IMPLICIT_DENY


@pytest.mark.parametrize("named", [DEP, f"{IAM}:role/Dep"])
@pytest.mark.parametrize("where", ["add_principal", "set_trust_policy", "add_resource"])
def test_trust_in_a_deleted_role_excludes_a_new_role(named, where):
    """E118, N11, N30: with or without the path, and wherever the trust policy was stored."""
    directory = Directory()
    directory.add_principal(DEP, identity_policies=[("all", ALLOW)], unique_id="AROADEP")
    if where == "add_resource":
        directory.add_principal(CHAIN)
        directory.add_resource(CHAIN, policy=trusting(named))
    else:
        directory.add_principal(CHAIN, trust_policy=trusting(named) if where == "add_principal" else trusting(A))
        if where == "set_trust_policy":
            directory.set_trust_policy(CHAIN, trusting(named))
    assert allowed(directory, session(DEP), "sts:AssumeRole", CHAIN)
    directory.delete_inline_policy(DEP, "all")
    directory.delete_principal(DEP)
    directory.add_principal(DEP, identity_policies=[("all", ALLOW)], unique_id="AROANEW")
    decision = directory.compile().decide(session(DEP), "sts:AssumeRole", CHAIN)
    assert decision.outcome is fastiam.Outcome.IMPLICIT_DENY


def test_a_grant_by_condition_survives():
    """E119, N33: `aws:PrincipalArn` is never rewritten."""
    directory = Directory()
    policy = granting("*", ArnEquals={"aws:PrincipalArn": DEP})
    directory.add_principal(DEP)
    directory.add_resource(BKT, account=A, policy=policy)
    directory.delete_principal(DEP)
    directory.add_principal(DEP)
    assert allowed(directory, session(DEP), "s3:GetObject")


def test_sessions_accounts_and_services_keep_their_names():
    """N33."""
    directory = Directory()
    directory.add_principal(DEP)
    policy = granting(session(DEP), A, f"{IAM}:root", f"arn:aws:sts::{A}:federated-user/ana")
    directory.add_resource(BKT, account=A, policy=policy)
    before = directory.tables.resources[BKT].policies
    directory.delete_principal(DEP)
    assert directory.tables.resources[BKT].policies == before


def test_a_deny_with_not_principal_spares_the_deleted_user_alone():
    """N30: the new user is not the one that the policy exempts."""
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": [ANA, A]}, "Action": "*", "Resource": "*"}
    directory = Directory()
    directory.add_principal(ANA, identity_policies=[("all", ALLOW)])
    directory.add_resource(BKT, account=A, policy={"Version": "2012-10-17", "Statement": statement})
    assert allowed(directory, ANA, "s3:GetObject")
    directory.delete_inline_policy(ANA, "all")
    directory.delete_principal(ANA)
    directory.add_principal(ANA, identity_policies=[("all", ALLOW)])
    assert not allowed(directory, ANA, "s3:GetObject")


# -- new names -------------------------------------------------------------------------------------------------------------


def test_a_renamed_user_stays_who_it_is_and_policies_follow(directory):
    """N34."""
    directory.set_resource_policy(BKT, granting(ANA))
    directory.add_resource(KEY, policy=granting(f"{IAM}:root", ArnEquals={"aws:PrincipalArn": ANA}))
    directory.set_trust_policy(CHAIN, trusting(ANA))
    new = directory.rename(ANA, "Anna", path="/ops/")
    assert new == f"{IAM}:user/ops/Anna"
    engine = directory.compile()
    assert engine.is_allowed(new, "s3:PutObject", BKT) and not engine.is_allowed(ANA, "s3:PutObject", BKT)
    assert engine.is_allowed(new, "sts:AssumeRole", CHAIN)
    entity = directory.tables.entities[new]
    assert (entity.unique_id, entity.groups, entity.attached, entity.name) == ("AIDAANA", (ENG,), (P,), "Anna")
    assert ANA not in directory.tables.entities and not engine.is_allowed(new, "kms:Decrypt", KEY)
    directory.add_principal(ANA)
    assert not allowed(directory, ANA, "s3:PutObject")


def test_a_name_may_change_its_case(directory):
    new = directory.rename(ANA, "ANA")
    with pytest.raises(DirectoryError, match="ignoring case"):
        directory.add_principal(ANA)
    assert directory.rename(new, "ana") == ANA == directory.rename(ANA, "ana")


def test_a_renamed_group_keeps_its_members(directory):
    directory.attach_policy(ENG, Q)
    new = directory.rename(ENG, "People")
    assert directory.tables.entities[ANA].groups == (new,) and names(directory, ANA) == [P, Q]
    directory.add_principal(f"{BO}2", groups=["people"])
    with pytest.raises(DirectoryError, match="not there"):
        directory.add_principal(f"{BO}3", groups=["Eng"])


# -- ids -------------------------------------------------------------------------------------------------------------------


def test_ids_are_made_with_the_right_prefix_letters_and_length(directory):
    """Spec 7.3."""
    tables = directory.tables
    made = [tables.entities[BO], tables.entities[CHAIN], tables.groups[ENG], tables.managed[P], tables.instance_profiles[PROFILE]]
    for record, prefix in zip(made, ("AIDA", "AROA", "AGPA", "ANPA", "AIPA"), strict=True):
        assert re.fullmatch(f"{prefix}[A-Z2-7]{{17}}", record.unique_id)


@pytest.mark.parametrize(("arn", "id_"), [(ANA, "AROAX"), (DEP, "AIDAX"), (ANA, "ana"), (ANA, "")])
def test_an_id_that_no_policy_can_name_is_worth_a_word(arn, id_):
    directory = Directory()
    directory.add_principal(arn, unique_id=id_)
    (finding,) = directory.findings
    assert (finding.code, finding.severity) == ("DIR-ID", fastiam.Severity.WARN) and arn in finding.message


def test_generated_id_cannot_be_contradicted_by_a_request():
    """K1: a given id can be contradicted; an unknown id is absent."""
    directory = Directory()
    policy = ("own", doing("s3:*", Condition={"StringLike": {"aws:userid": "AIDA*"}}))
    for name, id_ in (("made", "new"), ("given", "AIDAGIVEN"), ("unknown", None)):
        directory.add_principal(f"{IAM}:user/{name}", unique_id=id_, identity_policies=[policy])
    directory.add_resource(BKT, account=A)
    for engine in (directory.compile(), pickle.loads(pickle.dumps(directory)).compile()):
        ask = [engine.is_allowed(f"{IAM}:user/{name}", "s3:GetObject", BKT) for name in ("made", "given", "unknown")]
        assert ask == [True, True, False]
        assert engine.is_allowed(f"{IAM}:user/made", "s3:GetObject", BKT, {"aws:userid": "AIDATRUE"})
        with pytest.raises(fastiam.RequestValueError, match="aws:userid"):
            engine.is_allowed(f"{IAM}:user/given", "s3:GetObject", BKT, {"aws:userid": "AIDATRUE"})


# -- the organisation --------------------------------------------------------------------------------------------------------


def test_moved_account_has_the_policies_of_its_new_path(directory):
    """D10."""
    assert allowed(directory, ANA, "s3:GetObject")
    directory.attach_scp("ou-a", ("no reading", doing("s3:Get*", "Deny")))
    assert not allowed(directory, ANA, "s3:GetObject")
    directory.move(A)
    assert allowed(directory, ANA, "s3:GetObject")
    directory.move(A, "ou-b")
    directory.move("ou-b")
    assert allowed(directory, ANA, "s3:GetObject")
    directory.move("ou-b", "ou-a")
    directory.detach_scp("ou-a", "no reading")
    assert allowed(directory, ANA, "s3:GetObject")


def test_full_access_may_be_replaced(directory):
    """G5: at every element one SCP has to allow."""
    directory.attach_scp("ou-b", ("reading", doing("s3:Get*")))
    assert allowed(directory, ANA, "s3:GetObject")
    directory.detach_scp("ou-b", FULL)
    directory.attach_policy(ANA, Q)
    assert allowed(directory, ANA, "s3:GetObject") and not allowed(directory, ANA, "s3:PutObject")


def test_rcps_reach_the_resources_of_members(directory):
    """D13, D14."""
    directory.attach_rcp(A, ("closed", CLOSED))
    assert not allowed(directory, ANA, "s3:GetObject")
    directory.detach_rcp(A, "closed")
    assert allowed(directory, ANA, "s3:GetObject")


@pytest.mark.parametrize("leave", ["disable", "remove"])
def test_scps_end_with_their_type_and_with_membership(directory, leave):
    """D11."""
    directory.attach_scp("r-1", ("closed", doing("*", "Deny")))
    directory.attach_scp(A, ("closed", doing("*", "Deny")))
    assert not allowed(directory, ANA, "s3:GetObject")
    if leave == "disable":
        directory.disable_policy_type("SERVICE_CONTROL_POLICY")
        assert allowed(directory, ANA, "s3:GetObject")
        directory.enable_policy_type("SERVICE_CONTROL_POLICY")
        assert allowed(directory, ANA, "s3:GetObject"), "all SCPs were detached with their type"
    else:
        directory.remove_account_from_organization(A)
        assert allowed(directory, ANA, "s3:GetObject")
        directory.detach_scp("r-1", "closed")
        directory.move(A, "ou-a")
        assert allowed(directory, ANA, "s3:GetObject"), "what hung at the account went when it left"


def test_a_delegate_for_iam_may_assume_root(directory):
    """Spec 7.4."""
    directory.add_account(B)
    directory.move(B)
    for delegate in (directory.register_delegated_administrator, directory.deregister_delegated_administrator):
        delegate(A)
        assert directory.snapshot().principal(ANA).may_assume_root is (delegate.__name__ == "register_delegated_administrator")


def test_units_come_and_go_with_their_policies(directory):
    directory.create_organizational_unit("ou-c", "ou-a")
    directory.attach_scp("ou-c", ("closed", doing("*", "Deny")))
    directory.move(A, "ou-c")
    assert not allowed(directory, ANA, "s3:GetObject")
    directory.move(A)
    directory.delete_organizational_unit("ou-c")
    directory.create_organizational_unit("ou-c")
    directory.move(A, "ou-c")
    assert allowed(directory, ANA, "s3:GetObject")


# -- providers, profiles, endpoints ------------------------------------------------------------------------------------------


def test_saml_provider_created_again_has_other_ids(directory):
    """Spec IP1 of federation.md: nothing that belongs to the first provider is inherited by the second one."""
    first = directory.tables.saml_providers[SAML]
    directory.delete_provider(SAML)
    directory.create_saml_provider(SAML)
    second = directory.tables.saml_providers[SAML]
    assert first.unique_id and first.unique_id != second.unique_id
    assert re.fullmatch("[A-Z0-9]{22,64}", second.uuid) and first.uuid != second.uuid


def test_saml_provider_update_keeps_ids_and_other_fields(directory):
    first = directory.tables.saml_providers[SAML]
    directory.update_saml_provider(SAML, encryption="Allowed")
    second = directory.tables.saml_providers[SAML]
    assert (second.unique_id, second.uuid, second.metadata) == (first.unique_id, first.uuid, first.metadata)
    assert (first.encryption, second.encryption) == ("", "Allowed")


def test_oidc_provider_keeps_the_trailing_slash_of_its_url(directory):
    """Two URLs that differ by it are two providers (WI20)."""
    for end in ("", "/"):
        directory.create_oidc_provider(f"{IAM}:oidc-provider/x.example{end}")
    assert directory.tables.oidc_providers[f"{IAM}:oidc-provider/x.example/"].url == "x.example/"
    assert directory.tables.oidc_providers[f"{IAM}:oidc-provider/x.example"].url == "x.example"


def test_providers_and_profiles_are_data(directory):
    directory.update_saml_provider(SAML, "<new/>")
    directory.update_oidc_provider(OIDC, client_ids=["a", "b", "a"])
    directory.add_role_to_instance_profile(PROFILE, DEP)
    tables = directory.tables
    assert tables.saml_providers[SAML].metadata == "<new/>"
    oidc = tables.oidc_providers[OIDC]
    assert (oidc.url, oidc.client_ids, oidc.thumbprints) == ("token.example.com/x", ("a", "b"), ("0" * 40,))
    directory.update_oidc_provider(OIDC, keys='{"keys": []}')
    assert tables.oidc_providers[OIDC] == replace(oidc, keys='{"keys": []}')
    assert tables.instance_profiles[PROFILE].role == DEP
    directory.remove_role_from_instance_profile(PROFILE)
    assert tables.instance_profiles[PROFILE].role is None


def test_an_endpoint_policy_limits_until_it_is_taken_away(directory):
    through = {"aws:SourceVpce": "vpce-1"}
    directory.set_endpoint_policy("vpce-1", granting(BO))
    assert not directory.compile().is_allowed(ANA, "s3:GetObject", BKT, through)
    directory.set_endpoint_policy("vpce-1", None)
    assert directory.compile().is_allowed(ANA, "s3:GetObject", BKT, through)
