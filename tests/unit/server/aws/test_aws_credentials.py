"""Access keys, login profiles and passwords through boto3."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from aws_world import ADMIN, BO, A, AwsWorld, refused
from sts_fixture import CHEAP

import fastiam
from fastiam.credentials.sts_errors import AuthenticationError
from fastiam.sts import STS, Credentials, Keyring

GOOD, BETTER, BEST = "Correct-horse-1", "Correct-horse-2", "Correct-horse-3"


@pytest.fixture
def iam(world):
    return world.client("iam")


def test_access_key_signs_until_it_is_inactive(world, iam):
    """GC174: the key ends at once, and one that is active again signs again."""
    made = iam.create_access_key(UserName="bo")["AccessKey"]
    assert made["UserName"] == "bo" and made["Status"] == "Active" and len(made["SecretAccessKey"]) == 40
    sts = world.client("sts", Credentials(made["AccessKeyId"], made["SecretAccessKey"]))
    assert sts.get_caller_identity()["Arn"] == BO
    iam.update_access_key(UserName="bo", AccessKeyId=made["AccessKeyId"], Status="Inactive")
    assert refused(sts.get_caller_identity)["Code"] == "InvalidClientTokenId"
    iam.update_access_key(UserName="bo", AccessKeyId=made["AccessKeyId"], Status="Active")
    assert sts.get_caller_identity()["Arn"] == BO
    iam.delete_access_key(UserName="bo", AccessKeyId=made["AccessKeyId"])
    assert refused(sts.get_caller_identity)["Code"] == "InvalidClientTokenId"


def test_third_access_key_is_refused(world, iam):
    iam.create_access_key(UserName="bo")
    assert refused(iam.create_access_key, UserName="bo") | {"Message": ""} == {
        "Type": "Sender",
        "Code": "LimitExceeded",
        "Message": "",
        "Status": 409,
    }


def test_access_keys_of_the_caller_are_listed_without_secrets(world, iam):
    key = world.client("iam", world.bo).list_access_keys
    assert refused(key)["Code"] == "AccessDenied"
    world.allow("iam:ListAccessKeys", resource=BO)
    listed = key()["AccessKeyMetadata"]
    assert [each["AccessKeyId"] for each in listed] == [world.bo.access_key_id]
    assert str(world.bo.secret_access_key).encode() not in world.responses[-1].body


@pytest.mark.parametrize("operation", ["update_access_key", "delete_access_key"])
def test_access_key_of_another_user_does_not_exist(world, operation):
    world.allow("iam:UpdateAccessKey", "iam:DeleteAccessKey", resource=BO)
    call = getattr(world.client("iam", world.bo), operation)
    extra = {"Status": "Inactive"} if operation.startswith("update") else {}
    error = refused(call, UserName="bo", AccessKeyId=world.admin.access_key_id, **extra)
    assert error["Code"] == "NoSuchEntity"
    assert world.client("sts").get_caller_identity()["Arn"] == ADMIN


def test_last_use_of_a_key_is_decided_on_its_user(world, iam):
    bo = world.client("iam", world.bo)
    world.allow("iam:GetAccessKeyLastUsed", resource=BO)
    used = bo.get_access_key_last_used(AccessKeyId=world.bo.access_key_id)
    assert used["UserName"] == "bo" and used["AccessKeyLastUsed"]["LastUsedDate"] == world.clock()
    assert refused(bo.get_access_key_last_used, AccessKeyId=world.admin.access_key_id)["Code"] == "AccessDenied"
    assert iam.get_access_key_last_used(AccessKeyId=world.admin.access_key_id)["UserName"] == "admin"


def test_key_is_used_only_by_right_signatures(world, iam):
    """The id of a key alone, which is not secret, changes nothing."""
    wrong = Credentials(world.bo.access_key_id, "x" * 40)
    assert refused(world.client("sts", wrong).get_caller_identity)["Code"] == "SignatureDoesNotMatch"
    assert "LastUsedDate" not in iam.get_access_key_last_used(AccessKeyId=world.bo.access_key_id)["AccessKeyLastUsed"]
    world.client("sts", world.bo).get_caller_identity()
    assert iam.get_access_key_last_used(AccessKeyId=world.bo.access_key_id)["AccessKeyLastUsed"]["LastUsedDate"] == world.clock()


def test_key_of_another_account_does_not_exist(world, iam):
    other = "arn:aws:iam::222222222222:user/x"
    world.directory.add_principal(other)
    key = world.sts.keys.create(other).access_key_id
    assert refused(iam.get_access_key_last_used, AccessKeyId=key)["Code"] == "NoSuchEntity"


def test_root_has_keys_without_a_user_name(world):
    root = world.sts.keys.create(f"arn:aws:iam::{A}:root")
    iam = world.client("iam", root)
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{A}:root"
    assert "UserName" not in iam.create_access_key()["AccessKey"]
    assert len(iam.list_access_keys()["AccessKeyMetadata"]) == 2


def test_login_profile_has_the_life_of_a_password(world, iam):
    made = iam.create_login_profile(UserName="bo", Password=GOOD, PasswordResetRequired=True)["LoginProfile"]
    assert made == {"UserName": "bo", "CreateDate": world.clock(), "PasswordResetRequired": True}
    assert refused(iam.create_login_profile, UserName="bo", Password=GOOD)["Code"] == "EntityAlreadyExists"
    world.clock.tick(3600)
    iam.update_login_profile(UserName="bo", Password=BETTER, PasswordResetRequired=False)
    assert iam.get_login_profile(UserName="bo")["LoginProfile"] == made | {"PasswordResetRequired": False}
    iam.update_login_profile(UserName="bo", PasswordResetRequired=True)
    assert world.sts.passwords.verify(BO, BETTER).must_change
    iam.delete_login_profile(UserName="bo")
    for call in (iam.get_login_profile, iam.delete_login_profile, iam.update_login_profile):
        assert refused(call, UserName="bo")["Code"] == "NoSuchEntity"


def test_password_that_breaks_the_policy_is_refused(world, iam):
    iam.update_account_password_policy(MinimumPasswordLength=12, RequireNumbers=True)
    error = refused(iam.create_login_profile, UserName="bo", Password="horse")
    assert (error["Code"], error["Status"]) == ("PasswordPolicyViolation", 400)
    assert "12 to 128 characters" in error["Message"] and "a digit" in error["Message"] and "horse" not in error["Message"]


def test_password_policy_reads_back_as_set(iam):
    assert refused(iam.get_account_password_policy)["Code"] == "NoSuchEntity"
    given = {
        "MinimumPasswordLength": 14,
        "RequireSymbols": True,
        "RequireNumbers": True,
        "RequireUppercaseCharacters": True,
        "RequireLowercaseCharacters": True,
        "AllowUsersToChangePassword": True,
        "MaxPasswordAge": 90,
        "PasswordReusePrevention": 5,
        "HardExpiry": True,
    }
    iam.update_account_password_policy(**given)
    assert iam.get_account_password_policy()["PasswordPolicy"] == given | {"ExpirePasswords": True}
    iam.update_account_password_policy()
    policy = iam.get_account_password_policy()["PasswordPolicy"]
    assert policy["MinimumPasswordLength"] == 6 and not policy["ExpirePasswords"] and "MaxPasswordAge" not in policy
    iam.delete_account_password_policy()
    assert refused(iam.delete_account_password_policy)["Code"] == "NoSuchEntity"


def test_user_changes_its_own_password(world, iam):
    iam.create_login_profile(UserName="bo", Password=GOOD)
    bo = world.client("iam", world.bo)
    change = bo.change_password
    assert refused(change, OldPassword=GOOD, NewPassword=BETTER)["Code"] == "AccessDenied"
    world.allow("iam:ChangePassword", resource=BO)
    error = refused(change, OldPassword="wrong", NewPassword=BETTER)
    assert error["Code"] == "AccessDenied" and "old password" in error["Message"]
    change(OldPassword=GOOD, NewPassword=BETTER)
    assert world.sts.passwords.verify(BO, BETTER).principal == BO
    with pytest.raises(AuthenticationError):
        world.sts.passwords.verify(BO, GOOD)


def test_old_password_cannot_be_guessed_without_end(world, iam):
    """A stolen key does not show the password: after 5 wrong ones each further try waits twice as long."""
    iam.create_login_profile(UserName="bo", Password=GOOD)
    world.allow("iam:ChangePassword", resource=BO)
    change = world.client("iam", world.bo).change_password
    for _ in range(5):
        assert "wrong" in refused(change, OldPassword="guess", NewPassword=BETTER)["Message"]
    for wait in (1, 2, 4):
        error = refused(change, OldPassword=GOOD, NewPassword=BETTER)
        assert error["Code"] == "AccessDenied" and "too many wrong passwords" in error["Message"]
        world.clock.tick(wait)
        assert "too many" not in refused(change, OldPassword="guess", NewPassword=BETTER)["Message"]
    world.clock.tick(8)
    change(OldPassword=GOOD, NewPassword=BETTER)
    assert "wrong" in refused(change, OldPassword=GOOD, NewPassword=BEST)["Message"]
    change(OldPassword=BETTER, NewPassword=BEST)


def test_users_may_be_kept_from_changing_passwords(world, iam):
    iam.create_login_profile(UserName="bo", Password=GOOD)
    iam.update_account_password_policy(AllowUsersToChangePassword=False)
    world.allow("iam:ChangePassword")
    change = world.client("iam", world.bo).change_password
    assert refused(change, OldPassword=GOOD, NewPassword=BETTER)["Code"] == "AccessDenied"


def test_expired_password_changes_unless_expiry_is_hard(world, iam):
    iam.create_login_profile(UserName="bo", Password=GOOD)
    world.allow("iam:ChangePassword")
    change = world.client("iam", world.bo).change_password
    iam.update_account_password_policy(MaxPasswordAge=1, AllowUsersToChangePassword=True)
    world.clock.now += timedelta(days=2)
    change(OldPassword=GOOD, NewPassword=BETTER)
    world.clock.now += timedelta(days=2)
    iam.update_account_password_policy(MaxPasswordAge=1, AllowUsersToChangePassword=True, HardExpiry=True)
    error = refused(change, OldPassword=BETTER, NewPassword=BEST)
    assert error["Code"] == "AccessDenied" and "expired" in error["Message"]


def test_former_password_is_refused_even_if_it_was_set_meanwhile(world, iam):
    """`store` compares with what was set after `prepare`."""
    iam.update_account_password_policy(PasswordReusePrevention=3, AllowUsersToChangePassword=True)
    iam.create_login_profile(UserName="bo", Password=GOOD)
    error = refused(iam.update_login_profile, UserName="bo", Password=GOOD)
    assert error["Code"] == "PasswordPolicyViolation"
    prepared = world.sts.passwords.prepare(BO, BETTER)
    world.sts.passwords.set(BO, BETTER)
    with pytest.raises(fastiam.sts.ValidationError, match="last 3 passwords"):
        world.sts.passwords.store(prepared)


@pytest.mark.parametrize("change", ["reset", "delete"])
def test_change_does_not_undo_what_an_administrator_did(world, iam, monkeypatch, change):
    """The old password is verified outside of the transaction, and is the one in force inside of it."""
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    iam.create_login_profile(UserName="bo", Password=GOOD)
    world.allow("iam:ChangePassword")
    passwords = world.sts.passwords
    prepare_change = passwords.prepare_change

    def prepare_while_an_administrator_acts(principal, old, new):
        made = prepare_change(principal, old, new)
        if change == "reset":
            passwords.set(principal, BEST)
        else:
            passwords.delete(principal)
        return made

    monkeypatch.setattr(passwords, "prepare_change", prepare_while_an_administrator_acts)
    error = refused(world.client("iam", world.bo).change_password, OldPassword=GOOD, NewPassword=BETTER)
    assert error["Code"] == "AccessDenied"
    assert passwords.get(BO) is None if change == "delete" else passwords.verify(BO, BEST)


def test_secrets_are_in_one_answer_and_in_no_log(world, iam, caplog):
    """GC207."""
    caplog.set_level(logging.DEBUG, "fastiam")
    made = iam.create_access_key(UserName="bo")["AccessKey"]["SecretAccessKey"]
    iam.create_login_profile(UserName="bo", Password=GOOD)
    iam.get_login_profile(UserName="bo")
    iam.list_access_keys(UserName="bo")
    refused(iam.create_login_profile, UserName="bo", Password=GOOD + "\x00")
    refused(iam.create_login_profile, UserName="bo" * 80, Password=GOOD)
    bodies = [response.body for response in world.responses]
    assert [made.encode() in body for body in bodies].count(True) == 1
    assert not any(GOOD.encode() in body for body in bodies)
    assert all((b"cache-control", b"no-store") in response.headers for response in world.responses)
    texts = [caplog.text, *(repr(response.record) for response in world.responses)]
    assert not any(made in text or GOOD in text for text in texts)


def test_write_of_another_process_is_seen_at_once(tmp_path):
    """GC190."""
    path, keyring = tmp_path / "store", Keyring.generate()
    first = AwsWorld(fastiam.Directory.open(path))
    second = fastiam.Directory.open(path)
    sts = STS(second, keyring, clock=first.clock, hasher=CHEAP)
    first.client("iam").create_user(UserName="eve")
    sts.directory.refresh()
    assert second.find("user", "eve", A) == f"arn:aws:iam::{A}:user/eve"
    second.put_inline_policy(
        BO, "p", {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )
    assert first.client("iam", first.bo).get_user(UserName="eve")["User"]["UserName"] == "eve"


def test_password_of_a_user_renamed_meanwhile_is_not_set(world, iam, monkeypatch):
    """The hash is made outside of the transaction; the decision inside is about who has the name then."""
    world.directory.add_principal(f"arn:aws:iam::{A}:user/x/eve")
    prepare = world.sts.passwords.prepare

    def prepare_while_another_renames(principal, password):
        made = prepare(principal, password)
        world.directory.rename(principal, "eve", path="/y/")
        return made

    monkeypatch.setattr(world.sts.passwords, "prepare", prepare_while_another_renames)
    world.allow("iam:CreateLoginProfile", resource=f"arn:aws:iam::{A}:user/*")
    error = refused(world.client("iam", world.bo).create_login_profile, UserName="eve", Password=GOOD)
    assert error["Code"] == "NoSuchEntity"
    assert world.sts.passwords.get(f"arn:aws:iam::{A}:user/y/eve") is None
