"""Writes of an account model one by one, and their effect."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from account_world import (
    ALLOW,
    ANA,
    AWS,
    BKT,
    BO,
    CHAIN,
    DEP,
    ENG,
    IAM,
    LINKED,
    OIDC,
    PROFILE,
    SAML,
    A,
    B,
    M,
    P,
    Q,
    allowed,
    doing,
    granting,
    names,
)

from fastiam import Directory, DirectoryError
from fastiam.directory.account_records import RevocationList, RolesAnywhereProfile, TrustAnchor

FULL = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
CLOSED = doing("s3:*", "Deny", Principal="*")


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
    "a URL with a port": (lambda d: d.create_oidc_provider(f"{IAM}:oidc-provider/x.com:8443"), "has a port"),
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
