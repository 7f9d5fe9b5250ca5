"""Behaviour of user pools that the cases of the specification do not reach: MFA by code, triggers, attributes, OAuth, links."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cognito_world import CS, PASSWORD, POOL, C, World, attributes_of, claims, code_of, responding

from fastiam.cognito.user_pools import FileSender
from fastiam.errors import SourceError

# -- MFA ------------------------------------------------------------------------------------------------------------------


def mfa_world(**user: str) -> World:
    world = World(user={"email": "ana@x.example", "email_verified": "true", **user})
    world.pools.set_user_pool_mfa_config(
        user_pool_id=POOL,
        software_token_mfa_configuration={"Enabled": True},
        sms_mfa_configuration={"SmsAuthenticationMessage": "Code: {####}"},
        email_mfa_configuration={"Message": "Mail: {####}", "Subject": "Hello"},
        mfa_configuration="OPTIONAL",
    )
    return world


def prefer(world: World, **factors: dict) -> None:
    world.pools.admin_set_user_mfa_preference(user_pool_id=POOL, username="ana", **factors)


def test_email_code_is_the_second_factor():
    world = mfa_world()
    prefer(world, email_mfa_settings={"Enabled": True})
    challenge = world.password_sign_in()
    assert challenge["ChallengeName"] == "EMAIL_OTP"
    assert challenge["ChallengeParameters"]["CODE_DELIVERY_DESTINATION"] == "a***@x***"
    assert (world.sent[-1].text, world.sent[-1].subject) == (f"Mail: {world.code()}", "Hello")
    assert "AuthenticationResult" in world.answer(challenge, {"EMAIL_OTP_CODE": world.code()})


def test_user_chooses_among_several_factors():
    world = mfa_world(phone_number="+15550001234", phone_number_verified="true")
    prefer(world, email_mfa_settings={"Enabled": True}, sms_mfa_settings={"Enabled": True})
    challenge = world.password_sign_in()
    assert json.loads(challenge["ChallengeParameters"]["MFAS_CAN_CHOOSE"]) == ["SMS_MFA", "EMAIL_OTP"]
    assert code_of(lambda: world.answer(challenge, {"ANSWER": "SOFTWARE_TOKEN_MFA"})) == "InvalidParameterException"
    sms = world.answer(challenge, {"ANSWER": "SMS_MFA"})
    assert sms["ChallengeParameters"]["CODE_DELIVERY_DESTINATION"] == "+*******1234"
    assert "AuthenticationResult" in world.answer(sms, {"SMS_MFA_CODE": world.code()})
    prefer(world, sms_mfa_settings={"Enabled": True, "PreferredMfa": True})
    assert world.password_sign_in()["ChallengeName"] == "SMS_MFA"


def test_factor_without_proof_cannot_be_turned_on():
    world = mfa_world()
    for factor in ("sms_mfa_settings", "software_token_mfa_settings"):
        assert code_of(lambda factor=factor: prefer(world, **{factor: {"Enabled": True}})) == "InvalidParameterException"


def test_new_software_token_replaces_the_old_one_once_verified():
    world = mfa_world()
    old = world.add_software_token()
    world.pass_time(90)
    challenge = world.password_sign_in()
    access = world.answer(challenge, {"SOFTWARE_TOKEN_MFA_CODE": world.totp(old)})["AuthenticationResult"]["AccessToken"]
    new = str(world.pools.associate_software_token(access_token=access)["SecretCode"])
    wrong = {"access_token": access, "user_code": "000000" if world.totp(new) != "000000" else "000001"}
    assert code_of(lambda: world.pools.verify_software_token(**wrong)) == "EnableSoftwareTokenMFAException"
    world.pass_time(90)
    challenge = world.password_sign_in()
    assert "AuthenticationResult" in world.answer(challenge, {"SOFTWARE_TOKEN_MFA_CODE": world.totp(old)})
    world.pools.verify_software_token(access_token=access, user_code=world.totp(new))
    world.pass_time(90)
    challenge = world.password_sign_in()
    assert code_of(lambda: world.answer(challenge, {"SOFTWARE_TOKEN_MFA_CODE": world.totp(old)})) == "CodeMismatchException"
    assert "AuthenticationResult" in world.answer(challenge, {"SOFTWARE_TOKEN_MFA_CODE": world.totp(new)})
    world.pools.admin_delete_software_token(user_pool_id=POOL, username="ana")
    assert "AuthenticationResult" in world.password_sign_in()


def test_custom_authentication_asks_for_password_and_mfa_first():
    seen = []

    def define(event):
        steps = [step["challengeName"] for step in event["request"]["session"]]
        seen.append(steps)
        event["response"] = {"challengeName": "PASSWORD_VERIFIER"} if steps == ["SRP_A"] else {"issueTokens": True}
        return event

    world = World(triggers={"DefineAuthChallenge": define})
    world.pools.set_user_pool_mfa_config(user_pool_id=POOL, email_mfa_configuration={}, mfa_configuration="OPTIONAL")
    prefer(world, email_mfa_settings={"Enabled": True})
    from fastiam.cognito.user_pools import srp

    a = 7**90
    given = {"USERNAME": "ana", "CHALLENGE_NAME": "SRP_A", "SRP_A": f"{pow(srp.G, a, srp.N):x}"}
    challenge = world.pools.initiate_auth(client_id=C, auth_flow="CUSTOM_AUTH", auth_parameters=given)
    assert challenge["ChallengeName"] == "PASSWORD_VERIFIER" and challenge["Session"]
    mfa = world.answer(challenge, world.srp_proof(challenge, a))
    assert mfa["ChallengeName"] == "EMAIL_OTP"
    assert "AuthenticationResult" in world.answer(mfa, {"EMAIL_OTP_CODE": world.code()})
    assert seen == [["SRP_A"], ["SRP_A", "PASSWORD_VERIFIER"]]


# -- sign-up and triggers -------------------------------------------------------------------------------------------------


def test_pre_sign_up_confirms_and_verifies():
    confirmed = []
    triggers = {
        "PreSignUp": responding(autoConfirmUser=True, autoVerifyEmail=True),
        "PostConfirmation": lambda event: confirmed.append(event["triggerSource"]) or event,
    }
    world = World(triggers=triggers)
    given = [{"Name": "email", "Value": "bob@x.example"}]
    made = world.pools.sign_up(client_id=C, username="bob", password=PASSWORD, user_attributes=given)
    assert made["UserConfirmed"] and not world.sent and confirmed == ["PostConfirmation_ConfirmSignUp"]
    assert attributes_of(world, "bob")["email_verified"] == "true"
    assert code_of(lambda: world.pools.sign_up(client_id=C, username="eve", password=PASSWORD)) == "InvalidParameterException"


def test_error_of_post_confirmation_leaves_the_user_confirmed():
    def fail(event):
        raise RuntimeError("mail server is down")

    world = World(triggers={"PostConfirmation": fail})
    world.pools.sign_up(
        client_id=C, username="bob", password=PASSWORD, user_attributes=[{"Name": "email", "Value": "bob@x.example"}]
    )
    given = {"client_id": C, "username": "bob", "confirmation_code": world.code()}
    assert code_of(lambda: world.pools.confirm_sign_up(**given)) == "UserLambdaValidationException"
    assert "AuthenticationResult" in world.password_sign_in("bob")


@pytest.mark.parametrize(("status", "code"), [("CONFIRMED", "OK"), (None, "PasswordResetRequiredException")])
def test_user_migration_makes_the_user_of_another_system(status, code):
    passwords = []

    def migrate(event):
        passwords.append(event["request"]["password"])
        if event["userName"] == "old" and passwords[-1] == "weak":
            event["response"] = {
                "userAttributes": {"email": "old@x.example", "email_verified": "true"},
                "finalUserStatus": status,
            }
        return event

    world = World(triggers={"UserMigration": migrate})
    if code == "OK":
        assert "AuthenticationResult" in world.password_sign_in("old", "weak")
        assert "AuthenticationResult" in world.password_sign_in("old", "weak")
        assert passwords == ["weak"]
    else:
        assert code_of(lambda: world.password_sign_in("old", "weak")) == code
    assert attributes_of(world, "old")["email_verified"] == "true"
    assert code_of(lambda: world.password_sign_in("unknown", "weak")) == "UserNotFoundException"


def test_custom_message_changes_the_text_and_keeps_the_code():
    world = World(triggers={"CustomMessage": responding(emailMessage="Your code: {####}!", emailSubject="Hi")})
    world.pools.forgot_password(client_id=C, username="ana")
    assert (world.sent[-1].text, world.sent[-1].subject) == (f"Your code: {world.code()}!", "Hi")
    world = World(triggers={"CustomMessage": responding(emailMessage="no code")})
    assert code_of(lambda: world.pools.forgot_password(client_id=C, username="ana")) == "InvalidLambdaResponseException"


def test_error_of_post_authentication_refuses_the_tokens():
    def fail(event):
        raise RuntimeError("no")

    world = World(triggers={"PostAuthentication": fail})
    assert code_of(world.password_sign_in) == "UserLambdaValidationException"
    assert not world.pools._state.tables.sign_ins


def test_trigger_that_deletes_the_user_gets_no_tokens():
    """UP72: what a trigger changes is checked again before tokens are recorded."""
    worlds = []

    def delete(event):
        worlds[0].pools.admin_delete_user(user_pool_id=POOL, username="ana")
        return event

    worlds.append(World(triggers={"PreTokenGeneration": delete}))
    assert code_of(worlds[0].password_sign_in) == "NotAuthorizedException"


def test_pre_token_generation_v2_changes_both_tokens():
    details = {
        "idTokenGeneration": {"claimsToAddOrOverride": {"tenant": {"id": 5}}, "claimsToSuppress": ["email", "iss"]},
        "accessTokenGeneration": {
            "claimsToAddOrOverride": {"tenant": 5, "client_id": "x"},
            "scopesToAdd": ["api/read", "aws.cognito.signin.user.admin.x"],
        },
        "groupOverrideDetails": {"groupsToOverride": ["g"]},
    }
    version = {"PreTokenGenerationConfig": {"LambdaArn": "my-PreTokenGeneration", "LambdaVersion": "V2_0"}}
    trigger = {"PreTokenGeneration": responding(claimsAndScopeOverrideDetails=details)}
    world = World(triggers=trigger, pool={"lambda_config": version})
    tokens = world.tokens()
    own, access = claims(tokens["IdToken"]), claims(tokens["AccessToken"])
    assert own["tenant"] == {"id": 5} and "email" not in own and own["iss"] and own["cognito:groups"] == ["g"]
    assert access["tenant"] == 5 and access["client_id"] == C
    assert access["scope"] == "aws.cognito.signin.user.admin api/read"


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), b"x", "\ud800", json.loads("[" * 20 + "]" * 20)])
def test_claim_that_no_token_can_have_is_refused(value):
    details = {"accessTokenGeneration": {"claimsToAddOrOverride": {"tenant": value}}}
    version = {"PreTokenGenerationConfig": {"LambdaArn": "my-PreTokenGeneration", "LambdaVersion": "V2_0"}}
    trigger = {"PreTokenGeneration": responding(claimsAndScopeOverrideDetails=details)}
    world = World(triggers=trigger, pool={"lambda_config": version})
    assert code_of(world.password_sign_in) == "InvalidLambdaResponseException"


def test_file_sender_appends_messages_that_only_the_owner_reads(tmp_path):
    world = World()
    path = tmp_path / "codes.jsonl"
    world.pools._state.sender = FileSender(path)
    for _ in range(2):
        world.pools.forgot_password(client_id=C, username="ana")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["destination"] for line in lines] == ["ana@x.example"] * 2 and path.stat().st_mode & 0o077 == 0


def make_link(path: Path) -> None:
    path.with_name("target").touch(0o600)
    path.symlink_to(path.with_name("target"))


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("target"))


@pytest.mark.parametrize(
    ("make", "why"),
    [(lambda path: path.touch(0o644), "others can read the codes"), (lambda path: path.touch(0o620), "others can read the codes"),
     (make_link, "it is a link"), (make_dangling_link, "it is a link"), (os.mkfifo, "cannot be written"),
     (os.mkdir, "cannot be written")],
)  # fmt: skip
def test_file_sender_refuses_a_file_that_is_not_private(tmp_path, make, why):
    path, previous = tmp_path / "codes.jsonl", os.umask(0)
    world = World()
    world.pools._state.sender = FileSender(path)
    try:
        make(path)
    finally:
        os.umask(previous)
    with pytest.raises(SourceError, match=why):
        FileSender(path)
    assert code_of(lambda: world.pools.forgot_password(client_id=C, username="ana")) == "CodeDeliveryFailureException"
    assert sum(file.stat().st_size for file in tmp_path.iterdir() if file.is_file()) == 0


def test_sender_that_fails_is_a_delivery_failure():
    world = World()
    for sender in (None, lambda message: 1 / 0):
        world.pools._state.sender = sender
        assert code_of(lambda: world.pools.forgot_password(client_id=C, username="ana")) == "CodeDeliveryFailureException"


# -- attributes -----------------------------------------------------------------------------------------------------------


def test_address_keeps_its_value_until_the_new_one_is_verified():
    settings = {"AttributesRequireVerificationBeforeUpdate": ["email"]}
    world = World(pool={"user_attribute_update_settings": settings})
    access = world.tokens()["AccessToken"]
    world.pools.update_user_attributes(access_token=access, user_attributes=[{"Name": "email", "Value": "new@x.example"}])
    assert attributes_of(world)["email"] == "ana@x.example" and world.sent[-1].destination == "new@x.example"
    world.pools.verify_user_attribute(access_token=access, attribute_name="email", code=world.code())
    assert attributes_of(world) | {"sub": ""} == {"sub": "", "email": "new@x.example", "email_verified": "true"}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("sub", "x", "InvalidParameterException"),
        ("cognito:user_status", "x", "InvalidParameterException"),
        ("custom:unknown", "x", "InvalidParameterException"),
        ("email", "no address", "InvalidParameterException"),
        ("email", "a@b@c", "InvalidParameterException"),
        ("phone_number", "5550001234", "InvalidParameterException"),
        ("birthdate", "1.1.2000", "InvalidParameterException"),
        ("updated_at", "yesterday", "InvalidParameterException"),
        ("name", "x" * 2049, "InvalidParameterException"),
        ("custom:age", "200", "InvalidParameterException"),
        ("custom:age", "abc", "InvalidParameterException"),
        ("custom:badge", "B2", "InvalidParameterException"),
        ("phone_number_verified", "true", "NotAuthorizedException"),
        ("dev:secret", "x", "NotAuthorizedException"),
        ("nickname", "x", "NotAuthorizedException"),
    ],
)
def test_attribute_that_a_user_may_not_write_is_refused(name, value, code):
    schema = [
        {"Name": "age", "AttributeDataType": "Number", "NumberAttributeConstraints": {"MaxValue": "150"}},
        {"Name": "badge", "AttributeDataType": "String", "Mutable": False},
        {"Name": "secret", "AttributeDataType": "String", "DeveloperOnlyAttribute": True},
    ]
    writable = ["email", "phone_number", "birthdate", "updated_at", "name", "custom:age", "custom:badge"]
    world = World(pool={"schema": schema}, client={"write_attributes": writable})
    access = world.tokens()["AccessToken"]
    given = {"access_token": access, "user_attributes": [{"Name": name, "Value": value}]}
    assert code_of(lambda: world.pools.update_user_attributes(**given)) == code


def test_tokens_contain_only_readable_attributes():
    world = World(client={"read_attributes": ["email"]}, user={"email": "ana@x.example", "given_name": "Ana"})
    assert "given_name" not in claims(world.tokens()["IdToken"]) and claims(world.tokens()["IdToken"])["email"]
    shown = world.pools.get_user(access_token=world.tokens()["AccessToken"])["UserAttributes"]
    assert {item["Name"] for item in shown} == {"sub", "email"}


def test_addresses_are_user_names_without_case():
    pool = {"username_attributes": ["email"], "username_configuration": {"CaseSensitive": False}}
    world = World(pool=pool, user=None)
    made = world.pools.sign_up(client_id=C, username="Bob@X.example", password=PASSWORD)
    world.pools.confirm_sign_up(client_id=C, username="bob@x.example", confirmation_code=world.code())
    challenge, a = world.srp_start("BOB@x.EXAMPLE")
    assert challenge["ChallengeParameters"]["USER_ID_FOR_SRP"] == made["UserSub"]
    assert "AuthenticationResult" in world.answer(challenge, world.srp_proof(challenge, a), "bob@x.example")
    again = {"client_id": C, "username": "bob@x.example", "password": PASSWORD}
    assert code_of(lambda: world.pools.sign_up(**again)) == "UsernameExistsException"
    assert code_of(lambda: world.pools.sign_up(**{**again, "username": "bob"})) == "InvalidParameterException"


@pytest.mark.parametrize(
    ("password", "is_right"),
    [("Aa1!aaaa", True), ("Aa1 aaaa", True), ("Aa1!aaa", False), ("aa1!aaaa", False), ("AA1!AAAA", False), ("Aab!aaaa", False),
     ("Aa1aaaaa", False), (" Aa1!aaaa", False), ("Aa1!\taaaa", False), ("Aa1§aaaa", False), ("A" * 257, False)],
)  # fmt: skip
def test_password_policy(password, is_right):
    world = World()
    given = {"user_pool_id": POOL, "username": "ana", "password": password, "permanent": True}
    if is_right:
        world.pools.admin_set_user_password(**given)
        assert "AuthenticationResult" in world.password_sign_in("ana", password)
    else:
        assert code_of(lambda: world.pools.admin_set_user_password(**given)).startswith("Invalid")


def test_list_users_filters_and_pages():
    world = World()
    for n in range(5):
        world.add_user(f"u{n}", None, email=f"u{n}@x.example")
    first = world.pools.list_users(user_pool_id=POOL, filter='username ^= "u"', limit=3)
    rest = world.pools.list_users(user_pool_id=POOL, filter='username ^= "u"', limit=3, pagination_token=first["PaginationToken"])
    assert [user["Username"] for user in first["Users"] + rest["Users"]] == ["u0", "u1", "u2", "u3", "u4"]
    assert "PaginationToken" not in rest
    found = world.pools.list_users(user_pool_id=POOL, filter='email = "u3@x.example"', attributes_to_get=["email"])["Users"]
    assert [user["Attributes"] for user in found] == [[{"Name": "email", "Value": "u3@x.example"}]]
    assert code_of(lambda: world.pools.list_users(user_pool_id=POOL, filter="email")) == "InvalidParameterException"


def test_deleted_group_leaves_its_members():
    world = World()
    world.pools.create_group(user_pool_id=POOL, group_name="staff")
    world.pools.admin_add_user_to_group(user_pool_id=POOL, username="ana", group_name="staff")
    world.pools.delete_group(user_pool_id=POOL, group_name="staff")
    assert "cognito:groups" not in claims(world.tokens()["IdToken"])


def test_client_secrets_rotate():
    world = World()
    pair = {"user_pool_id": POOL, "client_id": CS}
    new = world.pools.add_user_pool_client_secret(**pair)["ClientSecretDescriptor"]
    assert "AuthenticationResult" in world.password_sign_in(client=CS)
    from cognito_world import secret_hash

    given = {"USERNAME": "ana", "PASSWORD": PASSWORD, "SECRET_HASH": secret_hash("ana", CS, str(new["ClientSecretValue"]))}
    flow = {"client_id": CS, "auth_flow": "USER_PASSWORD_AUTH", "auth_parameters": given}
    assert "AuthenticationResult" in world.pools.initiate_auth(**flow)
    old = world.pools.list_user_pool_client_secrets(**pair)["ClientSecrets"][0]["ClientSecretId"]
    world.pools.delete_user_pool_client_secret(**pair, client_secret_id=old)
    assert code_of(lambda: world.password_sign_in(client=CS)) == "NotAuthorizedException"
    last = {**pair, "client_secret_id": new["ClientSecretId"]}
    assert code_of(lambda: world.pools.delete_user_pool_client_secret(**last)) == "InvalidParameterException"


def test_secret_hash_is_that_of_the_specification():
    from cognito_world import secret_hash

    assert secret_hash("ana", "1example23456789", "client-secret-1") == "qw9D+ohNhOy0NXTc688TN5Sr6zEUkR/LOsJpRLkb+DY="
