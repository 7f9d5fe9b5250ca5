"""What a client does: sign a request for a session with the key of a certificate (6.3)."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from fastiam.rolesanywhere.request import SignedRequest
from fastiam.rolesanywhere.roles_anywhere_errors import invalid
from fastiam.rolesanywhere.signature import PrivateKey, canonical_request, sign, string_to_sign


def sign_request(
    certificate: bytes,
    private_key: bytes,
    *,
    trust_anchor: str,
    profile: str,
    role: str,
    at: datetime,
    intermediates: bytes = b"",
    duration: int | None = None,
    session_name: str | None = None,
) -> SignedRequest:
    """A request of CreateSession, signed at an instant. Certificates and the key, which is not encrypted, are PEM text.

    Raises
    ------
    ValidationError
        certificate or key cannot be read, or the key is not that of the certificate.
    """
    leaf, key = _read(certificate, private_key)
    members = {
        "profileArn": profile,
        "roleArn": role,
        "trustAnchorArn": trust_anchor,
        "durationSeconds": duration,
        "roleSessionName": session_name,
    }
    body = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    region = trust_anchor.split(":")[3] if trust_anchor.count(":") >= 5 else ""
    date = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/json",
        "host": f"rolesanywhere.{region}.amazonaws.com",
        "x-amz-date": date,
        "x-amz-x509": _encoded(leaf),
    }
    if intermediates.strip():
        headers["x-amz-x509-chain"] = ",".join(map(_encoded, x509.load_pem_x509_certificates(intermediates)))
    names, scope = ";".join(sorted(headers)), f"{date[:8]}/{region}/rolesanywhere/aws4_request"
    algorithm = f"AWS4-X509-{'RSA' if isinstance(key, RSAPrivateKey) else 'ECDSA'}-SHA256"
    canonical = canonical_request({name: (value,) for name, value in headers.items()}, names, (), body)
    signature = sign(key, string_to_sign(algorithm, date, scope, canonical)).hex()
    credential = f"Credential={leaf.serial_number}/{scope}"
    headers["authorization"] = f"{algorithm} {credential}, SignedHeaders={names}, Signature={signature}"
    return SignedRequest(headers=headers, body=body)


def _read(certificate: bytes, private_key: bytes) -> tuple[x509.Certificate, PrivateKey]:
    try:
        leaf, key = x509.load_pem_x509_certificate(certificate), load_pem_private_key(private_key, None)
    except (ValueError, TypeError) as error:  # the message of the library may quote the file
        hint = "write PEM text; the key must not be encrypted"
        raise invalid(f"certificate or private key cannot be read ({type(error).__name__})", rule="6.3", hint=hint) from None
    if not isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey)) or key.public_key() != leaf.public_key():
        raise invalid("the private key is not the RSA or EC key of the certificate", rule="6.3")
    return leaf, key


def _encoded(certificate: x509.Certificate) -> str:
    return b64encode(certificate.public_bytes(Encoding.DER)).decode()
