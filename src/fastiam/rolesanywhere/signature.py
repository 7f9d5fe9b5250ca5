"""The AWS4-X509 signature of a request (6.3): SigV4's canonical request, signed with the key of the certificate itself."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from fastiam.rolesanywhere.certificates import has_whole_signature, usable_key
from fastiam.rolesanywhere.request import METHOD, PATH, SessionCall
from fastiam.rolesanywhere.roles_anywhere_errors import CertificateError, refusing

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey
_AUTHORIZATION = re.compile(
    r"(AWS4-X509-(RSA|ECDSA)-SHA(?:256|384|512)) Credential=([^,\s]+),[ ]?"
    r"SignedHeaders=([a-z0-9;-]+),[ ]?Signature=([0-9a-f]{16,2048})"
)
_SCOPE = re.compile(r"(0|[1-9][0-9]*)/([0-9]{8})/([a-z0-9-]+)/rolesanywhere/aws4_request")
_DATE = re.compile(r"([0-9]{8})T[0-9]{6}Z")
_ALWAYS, _IF_SENT = ("host", "x-amz-date", "x-amz-x509"), ("x-amz-x509-chain", "content-type")


def read_certificates(call: SessionCall) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """The end-entity certificate of the request, and those beside it. Nothing in them is trusted yet (RW22).

    Raises
    ------
    CertificateError
        a certificate is missing or cannot be read.
    """
    text, chain = call.header("x-amz-x509"), call.header("x-amz-x509-chain")
    if text is None:
        raise CertificateError("the request has no certificate", reason="token_required", rule="6.3")
    with refusing("6.3", "it cannot be read"):
        leaf = _read(text)
        return leaf, () if chain is None else tuple(map(_read, chain.split(",")))


def _read(text: str) -> x509.Certificate:
    der = b64decode(text.strip(" "), validate=True)
    certificate = x509.load_der_x509_certificate(der)
    if not has_whole_signature(der, certificate.signature):
        raise ValueError("the signature has unused bits")
    return certificate


def verify_signature(call: SessionCall, certificate: x509.Certificate, *, now: datetime, skew: int) -> tuple[str, datetime]:
    """Verify the signature of a request with the key of its certificate (step 3 of 6.4).

    Returns a digest that is the same for each signature of this request, for ECDSA has many (RW21), and the request's instant.

    Raises
    ------
    CertificateError
        another key, another request, another place, or not now.
    """
    match = _AUTHORIZATION.fullmatch(call.header("authorization") or "")
    if match is None:
        raise _wrong("the request has no authorization of the form `AWS4-X509-...`")
    algorithm, kind, credential, names, signature = match.groups()
    key = usable_key(certificate)
    if isinstance(key, RSAPublicKey) is not (kind == "RSA"):
        raise _wrong(f"`{algorithm}` is not an algorithm for the key of the certificate")
    with refusing("RW30", "its serial number cannot be read"):  # Python writes no integer of more than 4,300 digits
        serial = str(certificate.serial_number)
    scope = _SCOPE.fullmatch(credential)
    if scope is None or scope[1] != serial:
        raise _wrong("the credential is not the decimal serial number of the certificate and a scope")
    if scope[3] != call.region:
        raise _wrong(f"the scope is of region `{scope[3]}`", rule="RW20")
    date = call.header("x-amz-date") or ""
    instant = _check_date(date, scope[2], now, skew)
    _check_names(call, names)
    text = string_to_sign(
        algorithm, date, credential.partition("/")[2], canonical_request(call.headers, names, call.query, call.body)
    )
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(bytes.fromhex(signature), text, PKCS1v15(), SHA256())
        else:
            key.verify(bytes.fromhex(signature), text, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):  # ValueError: an odd number of digits
        raise _wrong("the signature is not of this request and certificate") from None
    return hashlib.sha256(text + certificate.fingerprint(SHA256())).hexdigest(), instant


def _check_date(text: str, day: str, now: datetime, skew: int) -> datetime:
    match = _DATE.fullmatch(text)
    try:
        instant = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        match = None
    if match is None or match[1] != day:
        raise _wrong("`X-Amz-Date` is malformed, or not of the day of the scope", rule="RW20")
    if abs(instant - now) > timedelta(seconds=skew):
        message = f"`X-Amz-Date` is not within {skew} seconds of now"
        raise CertificateError(message, reason="expired", rule="RW20")
    return instant


def _check_names(call: SessionCall, names: str) -> None:
    """Which headers are signed."""
    signed = names.split(";")
    if signed != sorted(set(signed)):
        raise _wrong("the signed headers are not sorted, or one occurs twice")
    missing = [n for n in _ALWAYS if n not in signed] + [n for n in _IF_SENT if n in call.headers and n not in signed]
    missing += [name for name in signed if name not in call.headers]
    if missing:
        raise _wrong(f"the header `{missing[0]}` is not signed, or not sent")


def canonical_request(headers: Mapping[str, tuple[str, ...]], names: str, query: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """The canonical request; `names` are those of the signed headers, joined with `;`."""
    lines = "".join(f"{name}:{','.join(map(_trimmed, headers[name]))}\n" for name in names.split(";"))
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query)
    text = "&".join(f"{name}={value}" for name, value in pairs)
    return f"{METHOD}\n{PATH}\n{text}\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}".encode("ascii")


def string_to_sign(algorithm: str, date: str, scope: str, canonical: bytes) -> bytes:
    """What the key of the certificate signs; the scope is without the serial number."""
    return f"{algorithm}\n{date}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}".encode("ascii")


def sign(key: PrivateKey, text: bytes) -> bytes:
    """The signature of a client."""
    return key.sign(text, PKCS1v15(), SHA256()) if isinstance(key, RSAPrivateKey) else key.sign(text, ECDSA(SHA256()))


def _trimmed(value: str) -> str:
    """A header value as it is signed: trimmed, and each run of blanks one blank."""
    return " ".join(value.split())


def _wrong(message: str, *, rule: str = "6.3") -> CertificateError:
    return CertificateError(message, reason="wrong_signature", rule=rule)
