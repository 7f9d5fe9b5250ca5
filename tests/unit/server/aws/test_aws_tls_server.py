"""Stories of real clients against a real server, over TLS."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aws_server import REGION, A, AwsServer, aws_server
from aws_world import refused
from botocore import UNSIGNED
from botocore.config import Config
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sts_fixture import START, document
from x509_world import crl, issue, trust_policy

from fastiam.sts import Credentials

AGE = int((datetime.now(UTC) - START).total_seconds())
DATES = {"start": AGE - 86_400, "end": AGE + 86_400}


@pytest.fixture
def signing_clock() -> None:
    """The clients and the server have the clock of the machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    with aws_server(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and no other trust, than the test says."""
    for name in ("HTTPS_PROXY", "https_proxy", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_certificate_gets_credentials_that_sign_calls(server: AwsServer) -> None:
    """All over TLS, against a real server: objects by boto3, the session by a client that others wrote, revocation."""
    rolesanywhere_session = pytest.importorskip("iam_rolesanywhere_session")
    root = issue("Root", ca=True, **DATES)
    host = issue("host1", root, **DATES)
    iam, anywhere = server.client("iam"), server.client("rolesanywhere")
    role = iam.create_role(RoleName="Host", AssumeRolePolicyDocument=json.dumps(trust_policy()))["Role"]["Arn"]
    source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": root.pem}}
    anchor = anywhere.create_trust_anchor(name="ca", source=source, enabled=True)["trustAnchor"]["trustAnchorArn"]
    profile = anywhere.create_profile(name="hosts", roleArns=[role], enabled=True)["profile"]["profileArn"]

    def credentials() -> Credentials:
        session = rolesanywhere_session.IAMRolesAnywhereSession(
            profile,
            role,
            anchor,
            host.pem.encode(),
            host.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            region=REGION,
            endpoint=server.endpoint,
            verify=server.ca_file,
        )
        found = session.get_refreshable_credentials().get_frozen_credentials()
        return Credentials(found.access_key, found.secret_key, found.token)

    keys = credentials()
    arn = server.client("sts", keys).get_caller_identity()["Arn"]
    assert arn.startswith(f"arn:aws:sts::{A}:assumed-role/Host/")
    assert refused(server.client("iam", keys).list_users)["Code"] == "AccessDenied"
    subject = anywhere.list_subjects()["subjects"][0]
    assert subject["x509Subject"] == "CN=host1"
    found = anywhere.get_subject(subjectId=subject["subjectId"])["subject"]
    assert [each["serialNumber"] for each in found["credentials"]] == [str(host.cert.serial_number)]
    revoked = crl(root, [host.cert.serial_number], this_update=AGE - 60, next_update=AGE + 3600).encode()
    anywhere.import_crl(name="gone", crlData=revoked, trustAnchorArn=anchor, enabled=True)
    with pytest.raises(rolesanywhere_session.CredentialsRetrievalError) as caught:
        credentials()
    assert caught.value.status_code == 403


def test_user_of_a_pool_gets_credentials_by_srp(server: AwsServer) -> None:
    """Pools by boto3, sign-in by SRP with pycognito, and a session of a role by the ID token."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client's own dependencies
        pycognito = pytest.importorskip("pycognito")
    users, identities = server.client("cognito-idp"), server.client("cognito-identity")
    pool = users.create_user_pool(PoolName="P")["UserPool"]["Id"]
    flows = ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    made = users.create_user_pool_client(UserPoolId=pool, ClientName="c", ExplicitAuthFlows=flows)
    client = made["UserPoolClient"]["ClientId"]
    users.admin_create_user(UserPoolId=pool, Username="ana", MessageAction="SUPPRESS", TemporaryPassword="Correct-Horse7!")
    srp = pycognito.aws_srp.AWSSRP(
        username="ana",
        password="Correct-Horse7!",
        pool_id=pool,
        client_id=client,
        client=server.client("cognito-idp", config=Config(signature_version=UNSIGNED)),
    )
    token = srp.set_new_password_challenge("Other-Horse8!")["AuthenticationResult"]["IdToken"]
    provider = f"cognito-idp.{REGION}.amazonaws.com/{pool}"
    identity_pool = identities.create_identity_pool(
        IdentityPoolName="I",
        AllowUnauthenticatedIdentities=False,
        CognitoIdentityProviders=[{"ProviderName": provider, "ClientId": client}],
    )["IdentityPoolId"]
    condition = {"StringEquals": {"cognito-identity.amazonaws.com:aud": identity_pool}}
    trust = {"Effect": "Allow", "Principal": {"Federated": "cognito-identity.amazonaws.com"}}
    trust |= {"Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition}
    role = server.client("iam").create_role(RoleName="Users", AssumeRolePolicyDocument=json.dumps(document(trust)))
    identities.set_identity_pool_roles(IdentityPoolId=identity_pool, Roles={"authenticated": role["Role"]["Arn"]})
    public = server.client("cognito-identity", config=Config(signature_version=UNSIGNED))
    identity = public.get_id(IdentityPoolId=identity_pool, Logins={provider: token})["IdentityId"]
    found = public.get_credentials_for_identity(IdentityId=identity, Logins={provider: token})["Credentials"]
    keys = Credentials(found["AccessKeyId"], found["SecretKey"], found["SessionToken"])
    arn = server.client("sts", keys).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{A}:assumed-role/Users/CognitoIdentityCredentials"
    users.admin_user_global_sign_out(UserPoolId=pool, Username="ana")
    assert refused(public.get_id, IdentityPoolId=identity_pool)["Code"] == "NotAuthorizedException"
