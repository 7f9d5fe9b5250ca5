"""GetSessionToken, GetFederationToken, AssumeRoot, instances and GetCallerIdentity (table 7.1, 7.4, 7.6)."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sts_fixture import ALL, ANA, BO, DEP, ROOT, A, B, M, World, document, trusting

from fastiam.sts import AccessDeniedError, AuthenticationError, Credentials, Secret, ValidationError
from fastiam.sts.task_policies import TASK_PATH, TASK_POLICIES

UNLOCK = "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"


@pytest.fixture
def world() -> World:
    return World()


def can(world: World, credentials: Credentials, action: str, resource: str = "*") -> bool:
    principal = world.sts.authenticate(credentials).principal
    return world.sts.engine.is_allowed(principal, action, resource, now=world.clock())


def seconds(world: World, credentials: Credentials) -> float:
    return (credentials.expiration - world.clock()).total_seconds()


# -- GetSessionToken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "duration", "lasts"),
    [
        (ANA, None, 43_200),
        (ANA, 900, 900),
        (ANA, 129_600, 129_600),
        (ANA, 129_601, None),
        (ANA, 899, None),
        (ROOT, None, 3_600),
        (ROOT, 43_200, 3_600),  # E304: cut
        (ROOT, 900, 900),
        (ROOT, 899, None),
    ],
)
def test_how_long_a_session_token_lasts(world, who, duration, lasts):
    """Table 7.1, S1."""
    if lasts is None:
        with pytest.raises(ValidationError):
            world.sts.get_session_token(who, duration=duration)
    else:
        assert seconds(world, world.sts.get_session_token(who, duration=duration).credentials) == lasts


def test_a_session_token_cannot_manage_iam_without_mfa(world):
    """7.4, E303."""
    token = world.sts.get_session_token(ANA).credentials
    assert not can(world, token, "iam:ListUsers")
    assert can(world, token, "iam:PassRole", DEP)  # S10
    assert can(world, token, "s3:ListAllMyBuckets")
    phone = world.phone()
    with_mfa = world.sts.get_session_token(ANA, mfa_serial=phone.serial, mfa_code=phone.code()).credentials
    assert can(world, with_mfa, "iam:ListUsers")


def test_mfa_of_a_session_token_has_an_age(world):
    """7.6."""
    young = {
        "Effect": "Deny",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"NumericGreaterThan": {"aws:MultiFactorAuthAge": "600"}},
    }
    world.directory.put_inline_policy(ANA, "young", document(young))
    phone = world.phone()
    token = world.sts.get_session_token(ANA, mfa_serial=phone.serial, mfa_code=phone.code()).credentials
    world.clock.tick(600)
    assert can(world, token, "s3:ListAllMyBuckets")
    world.clock.tick(1)
    assert not can(world, token, "s3:ListAllMyBuckets")


def test_no_policy_keeps_a_user_from_a_session_token(world):
    """6.3."""
    world.directory.put_inline_policy(ANA, "stop", document({"Effect": "Deny", "Action": "*", "Resource": "*"}))
    assert world.sts.get_session_token(ANA)
    assert world.sts.get_caller_identity(ANA).user_id == "AIDAANA"


def test_caller_identity_needs_no_engine(world, monkeypatch):
    """6.3: no policy is evaluated."""
    monkeypatch.setattr(type(world.directory), "compile", None)
    assert world.sts.get_caller_identity(ANA).arn == ANA


@pytest.mark.parametrize("call", ["get_session_token", "get_federation_token"])
def test_temporary_credentials_make_no_tokens(world, call):
    """7.4, E302."""
    kio = world.sts.get_federation_token(ANA, "kio", policy=document(ALL)).credentials
    token = world.sts.get_session_token(ANA).credentials
    for credentials in (world.run1(), kio, token):
        arguments = ("x2",) if call == "get_federation_token" else ()
        with pytest.raises(AccessDeniedError) as error:
            getattr(world.sts, call)(credentials, *arguments)
        assert (error.value.layer, error.value.rule) == ("credential", "7.4")


# -- GetFederationToken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "x" * 33, "", "a b", "a/b", "a:b", "*", None])
def test_a_federation_name_has_its_form(world, name):
    """1.7, E305."""
    with pytest.raises(ValidationError) as error:
        world.sts.get_federation_token(ANA, name)
    assert error.value.rule == "1.7"


@pytest.mark.parametrize(
    ("who", "duration", "lasts"), [(ANA, None, 43_200), (ANA, 129_600, 129_600), (ROOT, None, 3_600), (ROOT, 9_999, 3_600)]
)
def test_how_long_a_federated_user_lasts(world, who, duration, lasts):
    """Table 7.1."""
    assert seconds(world, world.sts.get_federation_token(who, "kio", duration=duration).credentials) == lasts


def test_federated_user_needs_user_and_session_policies(world):
    read = document({"Effect": "Allow", "Action": ["s3:GetObject", "iam:*"], "Resource": "*"})
    made = world.sts.get_federation_token(ANA, "kio", policy=read, tags={"team": "red"})
    assert (made.arn, made.user_id) == (f"arn:aws:sts::{A}:federated-user/kio", f"{A}:kio")
    assert can(world, made.credentials, "s3:GetObject", "arn:aws:s3:::b/k")
    assert not can(world, made.credentials, "s3:PutObject", "arn:aws:s3:::b/k")
    assert not can(world, made.credentials, "iam:ListUsers")  # 7.4
    keys = world.sts.engine.snapshot.principal(made.session).keys
    assert keys["aws:principaltag/team"].values == ("red",)  # over the tag of the user, 5.2
    assert "aws:multifactorauthpresent" not in keys


def test_federated_user_without_session_policies_is_denied(world):
    """6.1, 6.7."""
    assert not can(world, world.sts.get_federation_token(ANA, "kio").credentials, "s3:GetObject", "arn:aws:s3:::b/k")


def test_federated_user_of_a_root_has_its_session_policies(world):
    """6.1."""
    kio = world.sts.get_federation_token(ROOT, "kio", policy=document(ALL)).credentials
    assert can(world, kio, "s3:GetObject", "arn:aws:s3:::b/k")
    assert world.sts.get_caller_identity(kio).arn == f"arn:aws:sts::{A}:federated-user/kio"


def test_federation_is_a_permission_of_the_user_and_tags_another(world):
    """7.2."""
    with pytest.raises(AccessDeniedError) as error:
        world.sts.get_federation_token(BO, "kio")
    assert (error.value.action, error.value.layer) == ("sts:GetFederationToken", "identity")
    mine = f"arn:aws:sts::{A}:federated-user/kio"
    world.directory.put_inline_policy(
        BO, "f", document({"Effect": "Allow", "Action": "sts:GetFederationToken", "Resource": mine})
    )
    assert world.sts.get_federation_token(BO, "kio")
    with pytest.raises(AccessDeniedError):
        world.sts.get_federation_token(BO, "other")
    with pytest.raises(AccessDeniedError) as error:
        world.sts.get_federation_token(BO, "kio", tags={"k": "v"})
    assert error.value.action == "sts:TagSession"


# -- GetScopedCredentials --------------------------------------------------------------------------------------------------


def test_scoped_credentials_are_the_same_session_for_less_long(world):
    """Table 7.1."""
    run1 = world.run1(tags={"k": "v"})
    world.clock.tick(600)
    made = world.sts.get_scoped_credentials(run1, duration=60)
    assert seconds(world, made.credentials) == 60
    assert made.session == world.sts.authenticate(run1).principal
    for wrong in (0, 3001, -1):
        with pytest.raises(ValidationError):
            world.sts.get_scoped_credentials(run1, duration=wrong)
    with pytest.raises(ValidationError):
        world.sts.get_scoped_credentials(run1)


def test_scoped_credentials_are_narrowed_by_session_policies(world):
    """E323."""
    read = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    made = world.sts.get_scoped_credentials(world.run1(), policy=read)
    assert can(world, made.credentials, "s3:GetObject", "arn:aws:s3:::b/k")
    assert not can(world, made.credentials, "s3:PutObject", "arn:aws:s3:::b/k")
    kio = world.sts.get_federation_token(ANA, "kio").credentials
    for credentials in (made.credentials, kio, world.sts.get_session_token(ANA).credentials):
        with pytest.raises((ValidationError, AccessDeniedError)):  # a session has one layer of them
            world.sts.get_scoped_credentials(credentials, policy=document(ALL))


def test_scoped_credentials_end_with_their_source_session(world):
    run1 = world.run1()
    world.clock.tick(10)
    scoped = world.sts.get_scoped_credentials(run1, duration=600).credentials
    world.sts.revoke_sessions(DEP, world.clock() - timedelta(seconds=1))  # before the scoped ones were made
    assert not can(world, scoped, "s3:GetObject", "arn:aws:s3:::b/k")
    key = world.sts.keys.create(ANA)
    token = world.sts.get_scoped_credentials(world.sts.get_session_token(key).credentials, duration=60).credentials
    world.sts.keys.delete(key.access_key_id)
    assert reason(world, token) == "inactive_key"


def test_long_term_credentials_are_not_scoped(world):
    """7.4."""
    for who in (ANA, ROOT):
        with pytest.raises(AccessDeniedError) as error:
            world.sts.get_scoped_credentials(world.sts.keys.create(who), duration=60)
        assert error.value.layer == "credential"


# -- AssumeRoot --------------------------------------------------------------------------------------------------------

MIA, ROOT_M = f"arn:aws:iam::{M}:user/mia", f"arn:aws:iam::{M}:root"


@pytest.fixture
def management() -> World:
    world = World(root_sessions=True)
    world.directory.set_organization("o-1", management_account=M, accounts={A: None, M: None})
    world.directory.add_principal(
        MIA, identity_policies=[document({"Effect": "Allow", "Action": "sts:AssumeRoot", "Resource": "*"})]
    )
    return world


@pytest.mark.parametrize("target", [A, ROOT])
def test_a_root_session_does_its_task_and_nothing_else(management, target):
    """7.1, 6.1, E320."""
    made = management.sts.assume_root(MIA, target, UNLOCK)
    assert seconds(management, made.credentials) == 900
    assert can(management, made.credentials, "s3:DeleteBucketPolicy", "arn:aws:s3:::b")
    decision = management.sts.engine.decide(made.session, "s3:DeleteBucket", "arn:aws:s3:::b")
    assert (decision.outcome.name, decision.layer) == ("EXPLICIT_DENY", "session")
    assert management.sts.get_caller_identity(made.credentials).arn == ROOT


@pytest.mark.parametrize(
    ("task", "action", "resource"),
    [
        ("IAMAuditRootUserCredentials", "iam:ListAccessKeys", ROOT),
        ("IAMAuditRootUserCredentials", "iam:GetAccountSummary", "*"),
        ("IAMCreateRootUserPassword", "iam:CreateLoginProfile", ROOT),
        ("IAMDeleteRootUserCredentials", "iam:DeleteAccessKey", ROOT),
        ("SQSUnlockQueuePolicy", "sqs:SetQueueAttributes", f"arn:aws:sqs:us-east-1:{A}:q"),
    ],
)
def test_each_task_can_do_its_work(management, task, action, resource):
    made = management.sts.assume_root(MIA, A, f"arn:aws:iam::aws:policy/root-task/{task}", duration=60)
    assert can(management, made.credentials, action, resource)
    assert not can(management, made.credentials, "iam:ListAccessKeys", ANA)
    assert not can(management, made.credentials, "s3:DeleteBucket", "arn:aws:s3:::b")
    assert not can(management, made.credentials, "iam:CreateUser", ANA)


def test_task_policies_are_those_of_aws(shared):
    with gzip.open(shared / "aws-managed-policies.jsonl.gz", "rt") as lines:
        managed = [json.loads(line) for line in lines]
    tasks = {str(policy["arn"]): policy["document"] for policy in managed if TASK_PATH in str(policy["arn"])}
    assert {f"arn:aws:iam::aws:{TASK_PATH}{name}": document for name, document in TASK_POLICIES.items()} == tasks


def test_assume_root_by_other_principals_is_refused(management):
    """7.1, 7.2, 7.4, E322."""
    sts = management.sts

    def layer(*arguments: str) -> str:
        with pytest.raises(AccessDeniedError) as error:
            sts.assume_root(*arguments, UNLOCK)
        return error.value.layer

    assert layer(ROOT_M, A) == "credential"
    assert layer(ANA, M) == "credential"  # her account administers nothing
    assert layer(MIA, M) == "service"  # no member
    assert layer(MIA, B) == "service"
    management.directory.put_inline_policy(MIA, "stop", document({"Effect": "Deny", "Action": "sts:*", "Resource": "*"}))
    assert layer(MIA, A) == "identity"


@pytest.mark.parametrize(
    "target",
    [
        f"arn:aws:sts::{A}:root",
        f"arn:aws:iam:us-east-1:{A}:root",
        f"arn:aws-cn:iam::{A}:root",
        f"ARN:aws:iam::{A}:root",
        f"arn:x:y:z:{A}:root",
        f"arn:aws:iam::{A}:x/:root",
        f"arn:aws:iam::{A}",
        f"{A}:root",
        f"arn:aws:iam::{A}:user/eng/ana",
        "",
    ],
)
def test_assume_root_with_another_target_spelling_is_refused(management, target):
    """7.1: a Deny that names the ARN of the member account's root cannot be evaded by another spelling."""
    deny = document({"Effect": "Deny", "Action": "sts:AssumeRoot", "Resource": ROOT})
    management.directory.put_inline_policy(MIA, "not-a", deny)
    with pytest.raises(ValidationError):
        management.sts.assume_root(MIA, target, UNLOCK)
    for exact in (A, ROOT):
        with pytest.raises(AccessDeniedError):
            management.sts.assume_root(MIA, exact, UNLOCK)


@pytest.mark.parametrize("layer", ["identity", "rcp"])
def test_assume_root_obeys_denies_of_the_member_account(management, layer):
    """7.2, D13, D23, 5.4: the caller's side decides alone, but the member is who owns the resource."""
    owned = {"StringEquals": {"aws:ResourceAccount": A}}
    deny = {"Effect": "Deny", "Action": "sts:AssumeRoot", "Resource": "*"}
    if layer == "identity":
        management.directory.put_inline_policy(MIA, "not-a", document(deny | {"Condition": owned}))
    else:
        management.directory.attach_rcp(A, ("r", document(deny | {"Principal": "*"})))
    with pytest.raises(AccessDeniedError) as error:
        management.sts.assume_root(MIA, A, UNLOCK)
    assert error.value.layer == layer
    management.directory.put_inline_policy(MIA, "not-a", document(ALL | {"Condition": owned}))
    if layer == "identity":
        assert management.sts.assume_root(MIA, A, UNLOCK)


def test_root_sessions_end_when_the_organization_turns_them_off(management):
    made = management.sts.assume_root(MIA, A, UNLOCK)
    with pytest.raises(AuthenticationError, match="not enabled"):
        management.open(management.keyring).authenticate(made.credentials)


@pytest.mark.parametrize("role_of", [A, M])
def test_role_assumes_root_only_from_an_administering_account(management, role_of):
    role = f"arn:aws:iam::{role_of}:role/Roots"
    management.directory.add_principal(role, identity_policies=[document(ALL)], trust_policy=trusting(MIA, ANA))
    management.directory.put_inline_policy(MIA, "more", document(ALL))
    session = management.sts.assume_role(MIA if role_of == M else ANA, role, "run1").credentials
    if role_of == M:
        assert management.sts.assume_root(session, A, UNLOCK)
    else:
        with pytest.raises(AccessDeniedError):
            management.sts.assume_root(session, A, UNLOCK)


def test_assume_root_with_bad_parameters_is_refused(management, world):
    for task in (
        "arn:aws:iam::aws:policy/AdministratorAccess",
        f"arn:aws:iam::{A}:policy/root-task/S3UnlockBucketPolicy",
        UNLOCK.replace("arn:aws:", "arn:aws-cn:"),  # a condition on `sts:TaskPolicyArn` has the exact ARN
        UNLOCK.replace("arn:aws:", "x:y:"),
        UNLOCK.replace(":policy/", ":x/policy/"),
        "",
        "x",
    ):
        with pytest.raises(ValidationError):
            management.sts.assume_root(MIA, A, task)
    for seconds_ in (901, -1):
        with pytest.raises(ValidationError):
            management.sts.assume_root(MIA, A, UNLOCK, duration=seconds_)
    with pytest.raises(ValidationError, match="not enabled"):
        world.sts.assume_root(ANA, A, UNLOCK)


# -- instances ---------------------------------------------------------------------------------------------------------

WEB, PROFILE = f"arn:aws:iam::{A}:role/Web", f"arn:aws:iam::{A}:instance-profile/Web"
INSTANCE = f"arn:aws:ec2:us-east-1:{A}:instance/i-0123456789abcdef0"


@pytest.fixture
def fleet(world) -> World:
    trust = document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
    world.directory.add_principal(WEB, unique_id="AROAWEB", trust_policy=trust, identity_policies=[document(ALL)])
    world.directory.create_instance_profile(PROFILE, role=WEB)
    return world


def test_a_machine_gets_the_role_of_its_instance_profile(fleet):
    """S2, S3, S21, 5.3."""
    made = fleet.sts.instance_credentials(PROFILE, INSTANCE, source_vpc="vpc-1", private_ip="10.0.0.7")
    assert made.role_id == "AROAWEB:i-0123456789abcdef0"
    assert seconds(fleet, made.credentials) == 21_600  # beyond the maximum of the role
    keys = fleet.sts.engine.snapshot.principal(fleet.sts.authenticate(made.credentials).principal).keys
    assert keys["ec2:sourceinstancearn"].values == (INSTANCE,)
    assert keys["aws:ec2instancesourcevpc"].values == ("vpc-1",)
    assert keys["ec2:roledelivery"].values == ("2.0",)


def test_a_machine_gets_no_role_that_does_not_trust_ec2(fleet):
    fleet.directory.set_trust_policy(WEB, trusting(ANA))
    with pytest.raises(AccessDeniedError) as error:
        fleet.sts.instance_credentials(PROFILE, INSTANCE)
    assert error.value.layer == "resource"


def test_an_instance_profile_without_a_role_gives_none(fleet):
    fleet.directory.remove_role_from_instance_profile(PROFILE)
    with pytest.raises(ValidationError):
        fleet.sts.instance_credentials(PROFILE, INSTANCE, duration=899)
    for profile, instance in ((PROFILE, INSTANCE), (PROFILE + "2", INSTANCE), (PROFILE, "i-1")):
        with pytest.raises(ValidationError):
            fleet.sts.instance_credentials(profile, instance)


# -- caller identity ---------------------------------------------------------------------------------------------------


def reason(world: World, credentials: Credentials) -> str:
    with pytest.raises(AuthenticationError) as error:
        world.sts.authenticate(credentials)
    return error.value.reason


def test_credentials_are_verified_as_a_whole(world):
    """6.7, 7.3."""
    key, run1 = world.sts.keys.create(ANA), world.run1()
    assert world.sts.authenticate(key).principal == ANA
    assert world.sts.authenticate(run1).arn == f"arn:aws:sts::{A}:assumed-role/Dep/run1"
    assert reason(world, replace(key, secret_access_key=Secret("x"))) == "wrong_secret"
    assert reason(world, replace(key, access_key_id="AKIA" + "A" * 16)) == "unknown_key"
    assert reason(world, replace(key, session_token=run1.session_token)) == "token_invalid"
    assert reason(world, replace(run1, session_token=None)) == "token_required"
    assert reason(world, replace(run1, secret_access_key=key.secret_access_key)) == "wrong_secret"
    for strange in ("", "é", "\ud800", "x" * 10_000):
        assert reason(world, replace(key, access_key_id=strange)) == "unknown_key"
    world.clock.tick(3600)
    assert reason(world, run1) == "expired"


def test_verified_caller_expires_with_its_credentials(world):
    caller = world.sts.authenticate(world.run1())
    assert world.sts.get_caller_identity(caller)
    world.clock.tick(3600)
    with pytest.raises(AuthenticationError, match="expired"):
        world.sts.get_caller_identity(caller)


def test_secret_of_returns_the_secret_and_the_caller(world):
    key, run1 = world.sts.keys.create(ANA), world.run1()
    assert world.sts.secret_of(key.access_key_id)[1] == key.secret_access_key
    caller, secret = world.sts.secret_of(run1.access_key_id, run1.session_token)
    assert secret == run1.secret_access_key and caller.expires_at == run1.expiration
    for arguments in ((run1.access_key_id,), (key.access_key_id, run1.session_token), ("AKIA" + "A" * 16,)):
        with pytest.raises(AuthenticationError):
            world.sts.secret_of(*arguments)


def test_secret_of_a_key_is_unsealed_once(world, monkeypatch):
    """A key that is sealed anew is another one. An unknown id costs no more than a known one."""
    key, unsealed, unseal = world.sts.keys.create(ANA), [], type(world.keyring).open
    monkeypatch.setattr(type(world.keyring), "open", lambda *given: unsealed.append(given[1]) or unseal(*given))
    for _ in range(3):
        assert world.sts.secret_of(key.access_key_id)[1] == key.secret_access_key
        with pytest.raises(AuthenticationError):
            world.sts.secret_of("AKIA" + "A" * 16)
    assert len(unsealed) == 2
    other = world.sts.keys.create(ANA)
    assert world.sts.secret_of(other.access_key_id)[1] == other.secret_access_key
    world.sts.keys.delete(key.access_key_id)
    with pytest.raises(AuthenticationError):
        world.sts.secret_of(key.access_key_id)


def test_secret_of_records_no_use_before_the_signature(world):
    """The secret is needed for the check itself."""
    key = world.sts.keys.create(ANA)
    caller, _ = world.sts.secret_of(key.access_key_id)
    assert world.sts.keys.get(key.access_key_id).last_used is None
    world.sts.record_use(caller)
    assert world.sts.keys.get(key.access_key_id).last_used == world.clock()
    world.sts.record_use(world.sts.authenticate(world.run1()))  # a session has no record
    world.sts.keys.set_status(key.access_key_id, "Inactive")
    with pytest.raises(AuthenticationError, match="inactive"):
        world.sts.record_use(caller)


def test_any_process_with_the_keyring_reads_the_tokens(world):
    run1 = world.run1()
    assert world.open(world.keyring).authenticate(run1).expires_at == run1.expiration
    assert world.open(world.keyring.rotated()).authenticate(run1).expires_at == run1.expiration


def test_get_access_key_info_returns_the_account(world):
    """GetAccessKeyInfo: a permission like others."""
    key = world.sts.keys.create(BO)
    assert world.sts.get_access_key_info(ANA, key.access_key_id) == A
    assert world.sts.get_access_key_info(ANA, world.run1().access_key_id) == A
    with pytest.raises(ValidationError):
        world.sts.get_access_key_info(ANA, "nothing")
    with pytest.raises(AccessDeniedError):
        world.sts.get_access_key_info(BO, key.access_key_id)


def test_a_session_is_issued_at_a_whole_second(world):
    """K5."""
    world.clock.tick(0.75)
    made = world.sts.assume_role(ANA, DEP, "run1")
    assert made.session.issued_at == world.clock() - timedelta(seconds=0.75)
