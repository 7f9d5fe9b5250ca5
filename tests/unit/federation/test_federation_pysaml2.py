"""AssumeRoleWithSAML with responses of another implementation: pysaml2's identity provider, which signs with `xmlsec1`."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from saml_world import AUDIENCE, CORP, DEV, ENTITY, PREFIX, RECIPIENT, SamlWorld, rsa_key
from sts_fixture import A

from fastiam.federation import IdentityTokenError

pytestmark = pytest.mark.skipif(
    shutil.which("xmlsec1") is None, reason="xmlsec1 is not installed (Debian: apt-get install xmlsec1)"
)
SP = """<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{audience}">
<md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol" WantAssertionsSigned="true">
<md:KeyDescriptor use="encryption"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>{key}
</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
<md:AssertionConsumerService index="1" isDefault="true" Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
 Location="{acs}"/></md:SPSSODescriptor></md:EntityDescriptor>"""
RSA = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha"
SHA256, SHA1 = "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1"
RSA_SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
GOOD = {"sign_alg": f"{RSA}256", "digest_alg": SHA256}
GCM, CBC = "http://www.w3.org/2009/xmlenc11#aes256-gcm", "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
ACCEPTED: dict[str, dict[str, Any]] = {
    "assertion signed": GOOD | {"sign_assertion": True},
    "response signed": GOOD | {"sign_response": True},
    "both signed": GOOD | {"sign_assertion": True, "sign_response": True},
    "SHA-512": GOOD | {"sign_assertion": True, "sign_alg": f"{RSA}512"},
    "AES-GCM": GOOD | {"sign_response": True, "encrypt_assertion": True, "content": GCM},
    "AES-CBC": GOOD | {"sign_response": True, "encrypt_assertion": True, "content": CBC},
    "AES-GCM, both signed": GOOD | {"sign_response": True, "sign_assertion": True, "encrypt_assertion": True, "content": GCM},
}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "unsigned": ("2.4", GOOD),
    "SHA-1": ("2.4", {"sign_assertion": True, "sign_alg": RSA_SHA1, "digest_alg": SHA1}),
    "SHA-1 signature": ("2.4", {"sign_assertion": True, "sign_alg": RSA_SHA1, "digest_alg": SHA256}),
    "SHA-1 digest": ("2.4", {"sign_assertion": True, "sign_alg": f"{RSA}256", "digest_alg": SHA1}),
    "3DES": ("2.7", GOOD | {"sign_response": True, "encrypt_assertion": True}),
}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """Metadata, and all responses by name."""
    options = ACCEPTED | {name: options for name, (_, options) in REFUSED.items()}
    given = {
        "key": rsa_key().pem,
        "certificate": rsa_key().certificate.public_bytes(Encoding.PEM).decode(),
        "sp": SP.format(audience=AUDIENCE, acs=RECIPIENT, key=rsa_key("sp").text),
        "entity": ENTITY,
        "audience": AUDIENCE,
        "destination": RECIPIENT,
        "name_id": "eva-7",
        "identity": {
            f"{PREFIX}Role": [f"{DEV},{CORP}"],
            f"{PREFIX}RoleSessionName": ["eva"],
            f"{PREFIX}PrincipalTag:team": ["blue"],
            f"{PREFIX}SessionDuration": ["1800"],
            "urn:oid:1.3.6.1.4.1.5923.1.1.1.1": ["staff", "member"],
        },
        "responses": list(options.values()),
    }
    program = Path(__file__).resolve().parents[2] / "tools" / "pysaml2_idp.py"
    run = subprocess.run([sys.executable, program], input=json.dumps(given), capture_output=True, text=True, check=True)
    made = json.loads(run.stdout)
    return {"metadata": made["metadata"], **dict(zip(options, made["responses"], strict=True))}


@pytest.fixture
def world(answers: dict[str, Any]) -> SamlWorld:
    made = SamlWorld(now=datetime.now(UTC).replace(microsecond=0))
    providers = made.federation.saml_providers
    providers.update(CORP, metadata=answers["metadata"].ljust(1_000), encryption="Allowed", add_private_key=rsa_key("sp").pem)
    return made


@pytest.mark.parametrize("name", ACCEPTED)
def test_response_of_pysaml2_becomes_a_session(answers, world, name):
    text = answers[name]
    assert ("EncryptedAssertion" in text) == name.startswith("AES")
    made = world.assume(base64.b64encode(text.encode()).decode())
    assert made.arn == f"arn:aws:sts::{A}:assumed-role/Dev/eva"
    assert (made.subject, made.subject_type, made.session.tags) == ("eva-7", "persistent", {"team": "blue"})
    assert (made.credentials.expiration - world.clock()).total_seconds() == 1800


@pytest.mark.parametrize("name", REFUSED)
def test_response_of_pysaml2_with_weak_algorithms_is_refused(answers, world, name):
    with pytest.raises(IdentityTokenError) as error:
        world.assume(base64.b64encode(answers[name].encode()).decode())
    assert error.value.rule == REFUSED[name][0]


def test_altered_response_of_pysaml2_is_refused(answers, world):
    text = answers["assertion signed"].replace("eva-7", "eva-8")
    with pytest.raises(IdentityTokenError):
        world.assume(base64.b64encode(text.encode()).decode())
