"""SCPs and RCPs by id, and the details of an organisation."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from fastiam import Directory, DirectoryError, load
from fastiam.directory.organization import FULL_ACCESS_ID, RCP_TYPE, SCP_TYPE, ControlPolicy, FailedAccount
from fastiam.directory.stored_policies import FULL_ACCESS

A, M, UNIT, ROOT = "111111111111", "999999999999", "ou-1-aaaaaaaa", "r-1"
USER = f"arn:aws:iam::{A}:user/u"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def deny(action: str, **more: object) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*", **more}]}


@pytest.fixture
def directory() -> Directory:
    made = Directory()
    made.set_organization("o-1", management_account=M, root=ROOT, organizational_units={UNIT: ROOT}, accounts={A: UNIT})
    made.add_principal(USER, identity_policies=[("all", ALL)])
    return made


def allows(directory: Directory, action: str = "s3:GetObject") -> bool:
    return directory.compile().is_allowed(USER, action, f"arn:aws:s3:::{'b'}")


def policies(directory: Directory) -> dict[str, ControlPolicy]:
    organization = directory.tables.organization
    assert organization is not None
    return organization.control_policies()


def test_control_policy_applies_where_it_is_attached(directory):
    id_ = directory.create_control_policy("no-s3", deny("s3:*"), SCP_TYPE, description="none")
    assert id_.startswith("p-") and allows(directory)
    directory.attach_control_policy(UNIT, id_)
    assert not allows(directory) and allows(directory, "ec2:StartInstances")
    directory.update_control_policy(id_, name="no-ec2", document=deny("ec2:*"))
    assert allows(directory) and not allows(directory, "ec2:StartInstances")
    assert policies(directory)[id_].document.name == "no-ec2" and policies(directory)[id_].description == "none"
    with pytest.raises(DirectoryError, match="is attached to") as caught:
        directory.delete_control_policy(id_)
    assert caught.value.rule == "DIR-IN-USE"
    directory.detach_control_policy(UNIT, id_)
    assert allows(directory, "ec2:StartInstances") and id_ in policies(directory)
    directory.delete_control_policy(id_)
    assert policies(directory).keys() == {FULL_ACCESS_ID}


def test_attached_policy_without_an_id_gets_a_stable_one(directory):
    directory.attach_scp(UNIT, ("no-s3", deny("s3:*")))
    directory.attach_rcp(A, ("own", deny("s3:Put*", Principal="*")))
    found = policies(directory)
    assert [(each.document.name, each.type) for each in found.values()] == [
        ("FullAWSAccess", SCP_TYPE),
        ("no-s3", SCP_TYPE),
        ("own", RCP_TYPE),
    ]
    assert policies(directory).keys() == found.keys()
    id_ = list(found)[1]
    directory.attach_control_policy(A, id_)
    directory.detach_control_policy(UNIT, id_)
    directory.detach_control_policy(A, id_)
    assert id_ in policies(directory), "it stays without any target"
    directory.update_control_policy(id_, description="d")
    assert policies(directory)[id_].description == "d"


def test_last_scp_of_an_element_stays(directory):
    with pytest.raises(DirectoryError, match="one must stay attached"):
        directory.detach_control_policy(UNIT, FULL_ACCESS_ID)
    id_ = directory.create_control_policy("all", ALL, SCP_TYPE)
    directory.attach_control_policy(UNIT, id_)
    directory.detach_control_policy(UNIT, FULL_ACCESS_ID)
    assert directory.tables.organization.attached(SCP_TYPE, UNIT) == (policies(directory)[id_].document,)
    directory.attach_control_policy(UNIT, FULL_ACCESS_ID)
    assert FULL_ACCESS in directory.tables.organization.attached(SCP_TYPE, UNIT)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda d: d.create_control_policy("taken", ALL, SCP_TYPE), "another policy has the name"),
        (lambda d: d.create_control_policy("FullAWSAccess", ALL, SCP_TYPE), "another policy has the name"),
        (lambda d: d.create_control_policy("x", ALL, "TAG_POLICY"), "not a type of policy"),
        (lambda d: d.create_control_policy("x", deny("s3:*" + "x" * 11_000), SCP_TYPE), "too long"),
        (lambda d: d.update_control_policy(FULL_ACCESS_ID, name="x"), "a policy of AWS"),
        (lambda d: d.delete_control_policy(FULL_ACCESS_ID), "a policy of AWS"),
        (lambda d: d.update_control_policy("p-none", name="x"), "there is no policy"),
        (lambda d: d.attach_control_policy("ou-none", FULL_ACCESS_ID), "not a root, unit or account"),
        (lambda d: d.detach_control_policy(A, next(id_ for id_ in policies(d) if id_ != FULL_ACCESS_ID)), "does not have"),
        (lambda d: d.rename_organizational_unit(A, "x"), "not an organisational unit"),
        (lambda d: d.tag_in_organization("p-none", {"a": "b"}), "not a root, unit or account"),
        (lambda d: d.tag_in_organization(FULL_ACCESS_ID, {"a": "b"}), "not a root, unit or account"),
        (lambda d: d.tag_in_organization(A, {str(n): "" for n in range(51)}), "at most 50"),
        (lambda d: d.set_organization_details(names={A: "x"}), "not an organisational unit"),
        (lambda d: d.set_organization_details(policies={"q-1": ControlPolicy("q-1", FULL_ACCESS)}), "not a policy"),
    ],
)
def test_write_that_organizations_refuses_changes_nothing(directory, write, message):
    directory.create_control_policy("taken", ALL, SCP_TYPE)
    before = directory.to_json()
    with pytest.raises(DirectoryError, match=message):
        write(directory)
    assert directory.to_json() == before


def test_details_leave_with_their_element(directory):
    directory.rename_organizational_unit(UNIT, "Work")
    directory.tag_in_organization(UNIT, {"a": "1", "b": "2"})
    directory.tag_in_organization(A, {"a": "1"})
    directory.untag_in_organization(UNIT, ["a", "absent"])
    assert directory.tables.organization.tags[UNIT] == {"b": "2"}
    directory.remove_account_from_organization(A)
    directory.delete_organizational_unit(UNIT)
    organization = directory.tables.organization
    assert (organization.names, organization.tags) == ({}, {})


def test_attached_policies_outlive_their_elements(directory):
    directory.attach_scp(UNIT, ("no-s3", deny("s3:*")))
    directory.attach_rcp(A, ("own", deny("s3:Put*", Principal="*")))
    directory.attach_scp(M, ("no-ec2", deny("ec2:*")))
    found = policies(directory)
    directory.remove_account_from_organization(A)
    directory.delete_organizational_unit(UNIT)
    directory.disable_policy_type(SCP_TYPE)
    organization = directory.tables.organization
    assert policies(directory) == found and len(found) == 4
    assert [list(organization.targets(each)) for each in found.values() if each.id != FULL_ACCESS_ID] == [[], [], []]


def test_failed_accounts_are_kept_for_a_while(directory):
    for n in range(103):
        directory.record_failed_account(f"car-{n}", FailedAccount("lab", "EMAIL_ALREADY_EXISTS", NOW))
    assert list(directory.tables.organization.failed_accounts) == [f"car-{n}" for n in range(3, 103)]
    later = FailedAccount("lab", "EMAIL_ALREADY_EXISTS", NOW + timedelta(days=90))
    directory.record_failed_account("car-later", later)
    assert directory.tables.organization.failed_accounts == {"car-later": later}


def test_details_survive_store_and_format(directory, tmp_path):
    with Directory.open(tmp_path / "store") as stored:
        stored.set_organization("o-1", management_account=M, root=ROOT, organizational_units={UNIT: ROOT}, accounts={A: UNIT})
        stored.create_organizational_unit("ou-1-bbbbbbbb", name="Lab")
        id_ = stored.create_control_policy("no-s3", deny("s3:*"), SCP_TYPE)
        stored.attach_control_policy(UNIT, id_)
        stored.enable_service_access("sso.amazonaws.com", NOW)
        stored.enable_service_access("sso.amazonaws.com", datetime.now(UTC))
        stored.enable_service_access("config.amazonaws.com", NOW)
        stored.disable_service_access("config.amazonaws.com")
        stored.add_account(A, email="a@acme.test", joined=NOW, request="car-1")
        stored.record_failed_account("car-2", FailedAccount("lab", "EMAIL_ALREADY_EXISTS", NOW))
    with Directory.open(tmp_path / "store") as again:
        organization = again.tables.organization
        assert organization.names == {"ou-1-bbbbbbbb": "Lab"} and organization.services == {"sso.amazonaws.com": NOW}
        assert list(organization.targets(organization.policies[id_])) == [UNIT]
        assert again.tables.accounts[A].email == "a@acme.test"
        assert organization.failed_accounts == {"car-2": FailedAccount("lab", "EMAIL_ALREADY_EXISTS", NOW)}
        again.dump(tmp_path / "d.json")
        assert load(tmp_path / "d.json").to_json() == again.to_json()


def test_directory_of_an_older_release_loads_without_details(tmp_path):
    old = {"id": "o-1", "organizational_units": {UNIT: "r-1"}, "accounts": {A: UNIT}}
    (tmp_path / "d.json").write_text(json.dumps({"format": "fastiam-directory", "version": 1, "organization": old}))
    organization = load(tmp_path / "d.json", mode="strict").tables.organization
    assert (organization.names, organization.policies, organization.services) == ({}, {}, {})
