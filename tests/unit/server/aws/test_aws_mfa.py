"""Virtual MFA devices through boto3."""

from __future__ import annotations

from datetime import timedelta

import pyotp
import pytest
from aws_world import BO, A, refused

SERIAL = f"arn:aws:iam::{A}:mfa/phone"


@pytest.fixture
def iam(world):
    return world.client("iam")


class Phone:
    """A device as its owner has it: the seed of the answer that created it, and a clock that may be wrong."""

    def __init__(self, world, made, ahead: int = 0) -> None:
        self._world, self._totp, self._ahead = world, pyotp.TOTP(made["Base32StringSeed"].decode()), ahead

    def codes(self) -> dict[str, str]:
        """Two codes in a row; then the clock has moved past both."""
        codes = [self.code(), self.code()]
        return {"AuthenticationCode1": codes[0], "AuthenticationCode2": codes[1]}

    def code(self) -> str:
        code = self._totp.at(self._world.clock() + timedelta(seconds=30 * self._ahead))
        self._world.clock.tick(30)
        return code


@pytest.fixture
def made(iam):
    return iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]


def test_device_is_created_enabled_deactivated_and_deleted(world, iam, made):
    assert made["SerialNumber"] == SERIAL
    assert iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"] == []
    assert [each["SerialNumber"] for each in iam.list_virtual_mfa_devices()["VirtualMFADevices"]] == [SERIAL]
    assert refused(iam.get_mfa_device, SerialNumber=SERIAL)["Code"] == "NoSuchEntity"
    phone = Phone(world, made)
    iam.enable_mfa_device(UserName="bo", SerialNumber=SERIAL, **phone.codes())
    listed = iam.list_mfa_devices(UserName="bo")["MFADevices"]
    assert [(each["UserName"], each["SerialNumber"]) for each in listed] == [("bo", SERIAL)]
    assert iam.get_mfa_device(SerialNumber=SERIAL, UserName="bo")["EnableDate"] == listed[0]["EnableDate"]
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"][0]["User"]["Arn"] == BO
    assert refused(iam.delete_virtual_mfa_device, SerialNumber=SERIAL)["Code"] == "DeleteConflict"
    assert refused(iam.delete_user, UserName="bo")["Code"] == "DeleteConflict"
    assert refused(iam.deactivate_mfa_device, UserName="admin", SerialNumber=SERIAL)["Code"] == "NoSuchEntity"
    iam.deactivate_mfa_device(UserName="bo", SerialNumber=SERIAL)
    assert iam.list_mfa_devices(UserName="bo")["MFADevices"] == []
    iam.enable_mfa_device(UserName="admin", SerialNumber=SERIAL, **phone.codes())
    iam.deactivate_mfa_device(UserName="admin", SerialNumber=SERIAL)
    iam.delete_virtual_mfa_device(SerialNumber=SERIAL)
    assert refused(iam.list_mfa_device_tags, SerialNumber=SERIAL)["Code"] == "NoSuchEntity"


def test_wrong_codes_enable_nothing(world, iam, made):
    wrong = {"AuthenticationCode1": "000000", "AuthenticationCode2": "000001"}
    error = refused(iam.enable_mfa_device, UserName="bo", SerialNumber=SERIAL, **wrong)
    assert (error["Code"], error["Status"]) == ("InvalidAuthenticationCode", 403)
    assert world.sts.mfa.find(SERIAL).principal == ""
    assert refused(iam.enable_mfa_device, UserName="none", SerialNumber=SERIAL, **wrong)["Code"] == "NoSuchEntity"


def test_code_of_a_former_owner_is_not_accepted_again(world, iam, made):
    """The steps of a device go on after it was deactivated."""
    phone = Phone(world, made)
    codes = phone.codes()
    iam.enable_mfa_device(UserName="bo", SerialNumber=SERIAL, **codes)
    iam.deactivate_mfa_device(UserName="bo", SerialNumber=SERIAL)
    error = refused(iam.enable_mfa_device, UserName="admin", SerialNumber=SERIAL, **codes)
    assert error["Code"] == "InvalidAuthenticationCode"


def test_device_with_a_wrong_clock_is_resynchronized(world, iam, made):
    iam.enable_mfa_device(UserName="bo", SerialNumber=SERIAL, **Phone(world, made).codes())
    late = Phone(world, made, ahead=10)
    assert (
        refused(world.client("sts", world.bo).get_session_token, SerialNumber=SERIAL, TokenCode=late.code())["Code"]
        == "AccessDenied"
    )
    iam.resync_mfa_device(UserName="bo", SerialNumber=SERIAL, **late.codes())
    answer = world.client("sts", world.bo).get_session_token(SerialNumber=SERIAL, TokenCode=late.code())
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    far = Phone(world, made, ahead=60)
    error = refused(iam.resync_mfa_device, UserName="bo", SerialNumber=SERIAL, **far.codes())
    assert error["Code"] == "InvalidAuthenticationCode"


def test_user_has_at_most_eight_devices(world, iam):
    for number in range(9):
        made = iam.create_virtual_mfa_device(VirtualMFADeviceName=f"d{number}")["VirtualMFADevice"]
        codes = Phone(world, made).codes()
        if number < 8:
            iam.enable_mfa_device(UserName="bo", SerialNumber=made["SerialNumber"], **codes)
        else:
            error = refused(iam.enable_mfa_device, UserName="bo", SerialNumber=made["SerialNumber"], **codes)
            assert error["Code"] == "LimitExceeded"
    pages = list(iam.get_paginator("list_mfa_devices").paginate(UserName="bo", PaginationConfig={"PageSize": 3}))
    assert [len(page["MFADevices"]) for page in pages] == [3, 3, 2]


def test_tags_of_a_device_are_conditions(world, iam):
    iam.create_virtual_mfa_device(VirtualMFADeviceName="phone", Tags=[{"Key": "team", "Value": "red"}])
    iam.tag_mfa_device(SerialNumber=SERIAL, Tags=[{"Key": "TEAM", "Value": "blue"}, {"Key": "cost", "Value": "1"}])
    assert {tag["Key"]: tag["Value"] for tag in iam.list_mfa_device_tags(SerialNumber=SERIAL)["Tags"]} == {
        "TEAM": "blue",
        "cost": "1",
    }
    world.allow("iam:UntagMFADevice", StringEquals={"aws:ResourceTag/team": "blue"})
    bo = world.client("iam", world.bo)
    bo.untag_mfa_device(SerialNumber=SERIAL, TagKeys=["team"])
    assert refused(bo.untag_mfa_device, SerialNumber=SERIAL, TagKeys=["cost"])["Code"] == "AccessDenied"
    error = refused(iam.tag_mfa_device, SerialNumber=SERIAL, Tags=[{"Key": "aws:x", "Value": "1"}])
    assert error["Code"] == "InvalidInput"


def test_device_of_another_account_does_not_exist(world, iam):
    other = "arn:aws:iam::222222222222:user/x"
    world.directory.add_principal(other)
    serial = world.sts.mfa.create(other, "phone").serial
    codes = {"AuthenticationCode1": "000000", "AuthenticationCode2": "000001"}
    assert refused(iam.enable_mfa_device, UserName="bo", SerialNumber=serial, **codes)["Code"] == "NoSuchEntity"
    assert refused(iam.get_mfa_device, SerialNumber=serial)["Code"] == "NoSuchEntity"
    assert refused(iam.delete_virtual_mfa_device, SerialNumber=serial)["Code"] == "AccessDenied"
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []


def test_seed_is_in_one_answer(world, iam, made):
    """G145."""
    seed = made["Base32StringSeed"]
    iam.list_virtual_mfa_devices()
    iam.enable_mfa_device(UserName="bo", SerialNumber=SERIAL, **Phone(world, made).codes())
    iam.get_account_authorization_details()
    texts = [response.body + repr(response.record).encode() for response in world.responses]
    assert not any(seed in text for text in texts)  # the answer has it in base64
    assert made["Base32StringSeed"].isascii() and len(seed) == 32
