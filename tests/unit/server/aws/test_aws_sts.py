"""STS through boto3 (cases GC160, GC195 to GC198)."""

from __future__ import annotations

import functools
import json
from datetime import timedelta

import pyotp
import pytest
from aws_world import ADMIN, BO, A, AwsWorld, error_of, refused, sign
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from oidc_world import CLIENT, URL, Issuer, jwk, signed
from sts_fixture import ALL, EVERYTHING, document, trusting

import fastiam
from fastiam import FastiamError
from fastiam.federation import HttpsFetch
from fastiam.server import config
from fastiam.server.asgi import MAX_FIELD
from fastiam.server.config import ConfigError
from fastiam.server.decision_source import Source
from fastiam.server.protocols.aws import sts as sts_operations
from fastiam.server.protocols.aws.section import Oidc, Section
from fastiam.sts import Credentials, Keyring

ROLE = f"arn:aws:iam::{A}:role/dep"


def keys(answer) -> Credentials:
    """The credentials of an answer."""
    made = answer["Credentials"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


@pytest.fixture
def role(world):
    """A role that trusts `bo` and allows everything."""
    trust = trusting(BO, actions=EVERYTHING, StringEqualsIfExists={"sts:ExternalId": "ext"})
    world.directory.add_principal(ROLE, trust_policy=trust, identity_policies=[("all", document(ALL))])
    world.allow(*EVERYTHING)
    return ROLE


def test_assumed_role_has_the_requested_session(world, role):
    sts = world.client("sts", world.bo)
    answer = sts.assume_role(
        RoleArn=role,
        RoleSessionName="s1",
        DurationSeconds=900,
        Tags=[{"Key": "team", "Value": "red"}],
        TransitiveTagKeys=["team"],
        SourceIdentity="bo",
        Policy=json.dumps(document({"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"})),
    )
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{A}:assumed-role/dep/s1"
    assert answer["SourceIdentity"] == "bo" and 0 < answer["PackedPolicySize"] <= 100
    assert answer["Credentials"]["Expiration"] == world.clock() + timedelta(seconds=900)
    session = keys(answer)
    who = world.client("sts", session).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{A}:assumed-role/dep/s1" and who["UserId"].endswith(":s1")
    iam = world.client("iam", session)
    assert iam.get_user(UserName="bo")["User"]["UserName"] == "bo"
    assert "no session policy allows" in refused(iam.list_users)["Message"]
    world.clock.tick(901)
    assert refused(iam.get_user, UserName="bo")["Code"] == "ExpiredToken"


def test_parameters_that_cannot_be_honoured_are_refused(world, role):
    sts = world.client("sts", world.bo)
    context = {"ProviderArn": "arn:aws:iam::aws:contextProvider/IdentityCenter", "ContextAssertion": "signed-by-aws"}
    error = refused(sts.assume_role, RoleArn=role, RoleSessionName="s1", ProvidedContexts=[context])
    assert (error["Code"], error["Status"]) == ("NotImplemented", 501) and "ProvidedContexts is not supported" in error["Message"]
    for call in (functools.partial(sts.assume_role, RoleArn=role, RoleSessionName="s1"), sts.get_session_token):
        assert "MinimumSessionTokenSize is not supported" in refused(call, MinimumSessionTokenSize=2_000)["Message"]
        assert call(MinimumSessionTokenSize=0)["Credentials"]["SessionToken"]


def test_no_parameter_of_sts_is_ignored(world):
    """A parameter is read by its name here or there; a description of a scoped session is for logs alone."""
    model = world.client("sts", world.bo).meta.service_model
    known = {*sts_operations._NAMES, *sts_operations._REFUSED, "Policy", "PolicyArns", "Tags", "TaskPolicyArn", "AccessKeyId"}
    logged = {"ScopedSessionDescription", "EncodedMessage"}  # no message is one that the server has encoded
    for name in sts_operations.OPERATIONS:
        shape = model.operation_model(name).input_shape
        assert set(shape.members if shape else ()) <= known | logged, name


def test_assume_role_is_refused_as_aws_refuses_it(world, role):
    """GC196."""
    assume = world.client("sts", world.bo).assume_role
    error = refused(assume, RoleArn=role, RoleSessionName="s1", ExternalId="wrong")
    assert (error["Code"], error["Status"]) == ("AccessDenied", 403)
    assert error["Message"].startswith(f"User: {BO} is not authorized to perform: sts:AssumeRole on resource: {role}")
    assert refused(assume, RoleArn=role, RoleSessionName="s1", DurationSeconds=43_201)["Code"] == "ValidationError"
    tags = [{"Key": "team", "Value": "red"}]
    world.directory.set_trust_policy(role, trusting(BO))
    error = refused(assume, RoleArn=role, RoleSessionName="s1", Tags=tags)
    assert error["Code"] == "AccessDenied" and "sts:TagSession" in error["Message"]
    missing = refused(assume, RoleArn=role + "x", RoleSessionName="s1")
    assert missing["Code"] == "AccessDenied"
    bad = refused(assume, RoleArn=role, RoleSessionName="s1", Policy="%7B%7D")
    assert bad["Code"] == "MalformedPolicyDocument"


def test_chained_session_is_short(world, role):
    """GC196."""
    first = keys(world.client("sts", world.bo).assume_role(RoleArn=role, RoleSessionName="s1"))
    world.directory.set_trust_policy(role, trusting(role))
    sts = world.client("sts", first)
    assert refused(sts.assume_role, RoleArn=role, RoleSessionName="s2", DurationSeconds=3_601)["Code"] == "ValidationError"
    chained = keys(sts.assume_role(RoleArn=role, RoleSessionName="s2"))
    assert world.client("sts", chained).get_caller_identity()["Arn"].endswith("/dep/s2")


def test_conditions_of_a_trust_policy_see_the_request(world, role):
    trust = trusting(BO, IpAddress={"aws:SourceIp": "203.0.113.0/24"}, StringEquals={"aws:RequestedRegion": "eu-west-1"})
    world.directory.set_trust_policy(role, trust)
    assume = world.client("sts", world.bo).assume_role
    assert assume(RoleArn=role, RoleSessionName="s1")["Credentials"]["AccessKeyId"].startswith("ASIA")
    world.directory.set_trust_policy(role, trusting(BO, IpAddress={"aws:SourceIp": "198.51.100.0/24"}))
    assert refused(assume, RoleArn=role, RoleSessionName="s1")["Code"] == "AccessDenied"


def test_role_that_demands_mfa_is_assumed_with_a_code(world, role):
    world.directory.set_trust_policy(role, trusting(BO, Bool={"aws:MultiFactorAuthPresent": "true"}))
    made = world.sts.mfa.create(BO, "phone")
    totp = pyotp.TOTP(str(made.seed))
    codes = [totp.at(world.clock() + timedelta(seconds=30 * step)) for step in range(3)]
    world.clock.tick(30)
    world.sts.mfa.enable(made.serial, codes[0], codes[1])
    world.clock.tick(30)
    assume = world.client("sts", world.bo).assume_role
    assert refused(assume, RoleArn=role, RoleSessionName="s1")["Code"] == "AccessDenied"
    given = {"RoleArn": role, "RoleSessionName": "s1", "SerialNumber": made.serial}
    wrong = refused(assume, **given, TokenCode="000000")
    assert wrong["Code"] == "AccessDenied" and "000000" not in wrong["Message"]
    assert assume(**given, TokenCode=codes[2])["AssumedRoleUser"]["Arn"].endswith("/dep/s1")
    assert refused(assume, **given, TokenCode=codes[2])["Code"] == "AccessDenied"


def test_session_token_without_mfa_calls_no_iam(world):
    """GC195."""
    session = keys(world.client("sts").get_session_token(DurationSeconds=900))
    assert world.client("sts", session).get_caller_identity()["Arn"] == ADMIN
    error = refused(world.client("iam", session).list_users)
    assert error["Code"] == "AccessDenied" and "credentials do not allow" in error["Message"]
    assert world.responses[-1].record.decision.layer == "credential"


def test_federated_user_is_limited_by_its_policy(world):
    policy = json.dumps(document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}))
    answer = world.client("sts").get_federation_token(Name="jo", Policy=policy, Tags=[{"Key": "team", "Value": "red"}])
    assert answer["FederatedUser"]["Arn"] == f"arn:aws:sts::{A}:federated-user/jo"
    session = keys(answer)
    assert world.client("sts", session).get_caller_identity()["Arn"] == f"arn:aws:sts::{A}:federated-user/jo"
    assert refused(world.client("iam", session).list_users)["Code"] == "AccessDenied"


def test_role_session_gets_no_federation_token(world, role):
    """GC195."""
    session = keys(world.client("sts", world.bo).assume_role(RoleArn=role, RoleSessionName="s1"))
    assert refused(world.client("sts", session).get_federation_token, Name="jo")["Code"] == "AccessDenied"


def test_credentials_are_scoped_to_less(world, role):
    session = keys(world.client("sts", world.bo).assume_role(RoleArn=role, RoleSessionName="s1"))
    sts = world.client("sts", session)
    policy = json.dumps(document({"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"}))
    scoped = world.client("iam", keys(sts.get_scoped_credentials(Policy=policy, DurationSeconds=900)))
    assert scoped.get_user(UserName="bo")["User"]["UserName"] == "bo"
    assert refused(scoped.list_users)["Code"] == "AccessDenied"
    assert refused(world.client("sts").get_scoped_credentials, DurationSeconds=900)["Code"] == "AccessDenied"


def test_account_of_a_key_needs_a_permission(world):
    assert (
        refused(world.client("sts", world.bo).get_access_key_info, AccessKeyId=world.admin.access_key_id)["Code"]
        == "AccessDenied"
    )
    assert world.client("sts").get_access_key_info(AccessKeyId=world.admin.access_key_id)["Account"] == A


def test_encoded_message_is_of_another_server(world):
    error = refused(world.client("sts").decode_authorization_message, EncodedMessage="x")
    assert (error["Code"], error["Status"]) == ("InvalidAuthorizationMessageException", 400)


def tags_of(number: int, value: str) -> list[dict[str, str]]:
    return [{"Key": f"{i:02}" + "k" * 126, "Value": value} for i in range(number)]


def test_session_gets_no_token_that_the_server_refuses(world, role):
    """A header field has 16 KiB at most, so that a token of more characters would be good for nothing."""
    assume = functools.partial(world.client("sts", world.bo).assume_role, RoleArn=role, RoleSessionName="s1")
    for number, value in ((50, "v" * 256), (50, "é" * 256)):
        error = refused(assume, Tags=tags_of(number, value))
        assert (error["Code"], error["Status"]) == ("PackedPolicyTooLarge", 400)
    longest = 0
    for number in range(10, 51, 5):
        try:
            made = keys(assume(Tags=tags_of(number, "v" * 256)))
        except ClientError:
            break
        world.client("sts", made).get_caller_identity()
        longest = len(f"x-amz-security-token: {made.session_token}")
        assert longest <= MAX_FIELD
    assert longest > MAX_FIELD // 2, "and not much less"


def test_settings_of_the_source_enable_root_sessions(tmp_path):
    with fastiam.Directory.open(tmp_path / "store") as directory:
        directory.add_account(A)
    Keyring.generate().save(tmp_path / "keyring")
    for value, refusal in (("false", "not enabled"), ("true", "")):
        file = tmp_path / "serve.toml"
        paths = f'paths = ["{tmp_path}/store"]\nkeyring = "{tmp_path}/keyring"\n'
        file.write_text(f"[source]\n{paths}root_sessions = {value}\nwatch = false\n")
        file.chmod(0o600)
        source = Source(config.load(file, {}, config.Flags()))
        with pytest.raises(FastiamError) as error:
            source.sts.assume_root(ADMIN, "222222222222", "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials")
        assert ("not enabled" in str(error.value)) is bool(refusal)
        source.live.close()


def test_root_of_a_member_account_is_assumed_for_a_task():
    world = AwsWorld(root_sessions=True)
    member = "222222222222"
    world.directory.set_organization("o-abcdefghij", management_account=A, accounts={A: "r-1", member: "r-1"})
    task = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
    sts = world.client("sts")
    root = keys(sts.assume_root(TargetPrincipal=member, TaskPolicyArn={"arn": task}))
    assert world.client("sts", root).get_caller_identity()["Arn"] == f"arn:aws:iam::{member}:root"
    assert world.client("iam", root).list_access_keys()["AccessKeyMetadata"] == []
    assert refused(world.client("iam", root).create_access_key)["Code"] == "AccessDenied"
    assert refused(sts.assume_root, TargetPrincipal=member, TaskPolicyArn={})["Code"] == "ValidationError"


# -- identities from outside ----------------------------------------------------------------------------------------------

WEB = f"arn:aws:iam::{A}:role/web"


@pytest.fixture
def web(world):
    """A role that trusts an OpenID Connect provider with pinned keys."""
    federation = world.protocol.services_of(world.sts).federation
    provider = federation.oidc_providers.create(A, URL, client_ids=[CLIENT], keys=json.dumps({"keys": [jwk("RSA")]}))
    arn = provider if isinstance(provider, str) else provider.arn
    statement = {"Effect": "Allow", "Principal": {"Federated": arn}, "Action": "sts:AssumeRoleWithWebIdentity"}
    world.directory.add_principal(WEB, trust_policy=document(statement), identity_policies=[("all", document(ALL))])
    return world


def token(world, *, key: str = "RSA", alg: str = "RS256", **claims: object) -> str:
    """A token of the issuer."""
    now = int(world.clock().timestamp())
    made = {"iss": URL, "sub": "u1", "aud": CLIENT, "iat": now, "exp": now + 600} | claims
    return signed(json.dumps(made), {"alg": alg, "kid": "k1"}, key)


def unsigned_client(world):
    """A client without credentials."""
    return world.client("sts", None, config=Config(signature_version=UNSIGNED))


def test_web_identity_assumes_a_role_without_a_signature(web):
    sts = unsigned_client(web)
    answer = sts.assume_role_with_web_identity(RoleArn=WEB, RoleSessionName="s1", WebIdentityToken=token(web))
    assert answer["SubjectFromWebIdentityToken"] == "u1" and answer["Audience"] == CLIENT
    assert b"authorization" not in dict(web.requests[-1].headers)
    assert web.client("sts", keys(answer)).get_caller_identity()["Arn"] == f"arn:aws:sts::{A}:assumed-role/web/s1"


@pytest.mark.parametrize(
    ("operator", "key", "value", "is_allowed"),
    [
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", False),
        ("IpAddress", "aws:SourceIp", "198.51.100.0/24", True),
        ("StringLike", "aws:UserAgent", "Boto3/*", False),
        ("Bool", "aws:SecureTransport", "false", False),
        ("Bool", "aws:SecureTransport", "true", True),
        ("StringEquals", "aws:RequestedRegion", "us-east-1", False),
    ],
)
def test_deny_of_a_trust_policy_sees_an_unsigned_call(web, operator, key, value, is_allowed):
    """G142. No signature says for which Region the call is, so that it may be any (D70)."""
    trust = json.loads(web.directory.tables.entities[WEB].trust.text)
    deny = trust["Statement"][0] | {"Effect": "Deny", "Condition": {operator: {key: value}}}
    web.directory.set_trust_policy(WEB, document(*trust["Statement"], deny))
    assume = unsigned_client(web).assume_role_with_web_identity
    given = {"RoleArn": WEB, "RoleSessionName": "s1", "WebIdentityToken": token(web)}
    if is_allowed:
        assert assume(**given)["SubjectFromWebIdentityToken"] == "u1"
    else:
        assert refused(assume, **given)["Code"] == "AccessDenied"


def test_region_of_an_unverified_signature_is_unknown(web):
    """A signature on an unsigned call proves nothing, its Region neither."""
    trust = json.loads(web.directory.tables.entities[WEB].trust.text)["Statement"][0]
    web.directory.set_trust_policy(WEB, document(trust | {"Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}}))
    body = f"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={WEB}&RoleSessionName=s1&WebIdentityToken={token(web)}"
    wrong = Credentials("AKIAAAAAAAAAAAAAAAAA", "x" * 40)
    assert error_of(web.handle(sign(web, body, service="sts", keys=wrong)))[1] == "AccessDenied"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aud": "other"}, "InvalidIdentityToken"),
        ({"exp": 1}, "ExpiredTokenException"),
        ({"key": "RSA 2"}, "InvalidIdentityToken"),
        ({"iss": "https://evil.example"}, "InvalidIdentityToken"),
    ],
)
def test_token_that_is_not_acceptable_gives_no_session(web, change, code):
    """GC197; `federation` has the attacks on tokens."""
    error = refused(
        unsigned_client(web).assume_role_with_web_identity,
        RoleArn=WEB,
        RoleSessionName="s1",
        WebIdentityToken=token(web, **change),
    )
    assert (error["Code"], error["Status"]) == (code, 400)


def test_issuer_that_is_not_listed_is_not_read(web):
    """GC197: a provider of a tenant causes no connection."""
    web.protocol.services_of(web.sts).federation.oidc_providers.pin_keys(f"arn:aws:iam::{A}:oidc-provider/oidc.example", "")
    error = refused(
        unsigned_client(web).assume_role_with_web_identity, RoleArn=WEB, RoleSessionName="s1", WebIdentityToken=token(web)
    )
    assert error["Code"] == "IDPCommunicationError"


@pytest.mark.parametrize("hosts", [(), ("keycloak.internal",)])
def test_keys_of_a_listed_private_issuer_are_read(monkeypatch, hosts):  # GC197
    issuer = "https://keycloak.internal/realms/main"
    documents, asked = Issuer(issuer), []

    class Fetching(HttpsFetch):
        """The network of this test: every address is a private one."""

        def __init__(self) -> None:
            super().__init__(resolve=lambda host, port: [("10.0.0.7", port)])

        def _read(self, host, port, addresses, target, limits, deadline):
            asked.append((host, addresses[0]))
            return documents.fetch(f"https://{host}{target}", limits)

    monkeypatch.setattr("fastiam.federation.HttpsFetch", Fetching)
    world = AwsWorld(section=Section(oidc=Oidc(fetch=(issuer,), private_hosts=hosts)))
    provider = world.client("iam").create_open_id_connect_provider(Url=issuer, ClientIDList=[CLIENT])["OpenIDConnectProviderArn"]
    statement = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}
    world.directory.add_principal(WEB, trust_policy=document(statement))
    given = {"RoleArn": WEB, "RoleSessionName": "s1", "WebIdentityToken": token(world, iss=issuer)}
    if hosts:
        assert unsigned_client(world).assume_role_with_web_identity(**given)["Provider"] == issuer
        assert asked == [("keycloak.internal", ("10.0.0.7", 443))] * 2
    else:
        error = refused(unsigned_client(world).assume_role_with_web_identity, **given)
        assert error["Code"] == "InvalidIdentityToken" and "`private_hosts` does not name it" in error["Message"] and not asked


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fetch": ("http://idp.example",)}, "aws.oidc.fetch: `http://idp.example` is not the URL of an issuer"),
        ({"fetch": ("https://idp.example:8443",)}, "without port"),
        ({"private_hosts": ("https://idp.example",)}, "aws.oidc.private_hosts: `https://idp.example` is not a host"),
        ({"private_hosts": ("idp.example:8443",)}, "without scheme and port"),
    ],
)
def test_issuer_that_cannot_be_read_is_refused_at_the_start(given, message):
    with pytest.raises(ConfigError, match=message):
        AwsWorld(section=Section(oidc=Oidc(**given)))


def test_token_of_google_is_of_the_provider_of_the_account():
    """IP21, WI20: tokens of Google have an issuer with and without `https://`."""
    google, keys = "https://accounts.google.com", json.dumps({"keys": [jwk("RSA")]})
    world = AwsWorld()
    provider = world.client("iam").create_open_id_connect_provider(Url=google, ClientIDList=[CLIENT])["OpenIDConnectProviderArn"]
    world.protocol.services_of(world.sts).federation.oidc_providers.pin_keys(provider, keys)
    statement = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}
    world.directory.add_principal(WEB, trust_policy=document(statement))
    assume = unsigned_client(world).assume_role_with_web_identity
    for issuer in (google, "accounts.google.com"):
        answer = assume(RoleArn=WEB, RoleSessionName="s1", WebIdentityToken=token(world, iss=issuer))
        assert answer["Provider"] == issuer
    for change in ({"iss": f"{google}/"}, {"iss": google, "aud": "other"}):
        error = refused(assume, RoleArn=WEB, RoleSessionName="s1", WebIdentityToken=token(world, **change))
        assert error["Code"] == "InvalidIdentityToken"


def test_saml_response_that_is_none_is_refused(world):
    """GC198; `federation` has the attacks on responses."""
    error = refused(
        unsigned_client(world).assume_role_with_saml,
        RoleArn=WEB,
        PrincipalArn=f"arn:aws:iam::{A}:saml-provider/idp",
        SAMLAssertion="PGE+PC9hPg==",
    )
    assert error["Code"] in ("InvalidIdentityToken", "AccessDenied", "ValidationError") and error["Status"] in (400, 403)


def test_signature_of_an_unsigned_call_is_not_verified(web):
    """G123."""
    body = f"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={WEB}&RoleSessionName=s1&WebIdentityToken={token(web)}"
    wrong = Credentials("AKIAAAAAAAAAAAAAAAAA", "x" * 40)
    assert web.handle(sign(web, body, service="sts", keys=wrong)).status == 200
    assert error_of(web.handle(sign(web, body.replace("sts", "sts") + "x", service="sts"))) == (400, "InvalidIdentityToken")


def test_mount_at_the_root_takes_every_path():
    world = AwsWorld(section=Section(path="/"))
    assert [(route.path, route.is_prefix) for route in world.protocol.routes()] == [("/", True)]
    assert [(route.path, route.is_prefix) for route in AwsWorld().protocol.routes()] == [("/aws", False), ("/aws/", True)]
