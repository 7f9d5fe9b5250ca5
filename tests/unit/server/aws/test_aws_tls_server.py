"""Stories of real clients against a real server, over TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aws_server import REGION, A, AwsServer, aws_server
from aws_world import refused
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sts_fixture import START
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
