"""Certificates, and requests that are signed with them, written after the specification alone (federation.md 6.3).

`World` has a directory with trust anchor, profile and role `Host`, and `RolesAnywhere` over it. Certificates are valid around
`START`. Keys are made once, since RSA keys are slow to make.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sts_fixture import START, A, document
from sts_fixture import World as StsWorld

from fastiam.federation.audit import AuditEvent
from fastiam.rolesanywhere import RolesAnywhere, RolesAnywhereSettings, SignedRequest
from fastiam.sts import StsError

REGION = "eu-west-1"
CN_OID, OU_OID = bytes.fromhex("0603550403"), bytes.fromhex("060355040b")  # as DER
ADE, INVALID = "AccessDeniedException", "ValidationException"
HOST = f"arn:aws:iam::{A}:role/Host"
READ = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"}
_OIDS = {
    "CN": NameOID.COMMON_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "O": NameOID.ORGANIZATION_NAME, "C": NameOID.COUNTRY_NAME,
    "E": NameOID.EMAIL_ADDRESS, "L": NameOID.LOCALITY_NAME, "DC": NameOID.DOMAIN_COMPONENT,
}  # fmt: skip
_EKU = {
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}
_USAGES = (
    "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign encipher_only"
    " decipher_only"
).split()
_CURVES = {"ec": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1(), "k1": ec.SECP256K1()}


@lru_cache
def make_key(kind: str = "ec", label: str = "") -> Any:
    """A private key; each label has one of its own. `rsa16384` and `rsa-exponent`, one of 2,001 bits, are public keys alone."""
    if kind == "rsa-exponent":
        return _PublicOnly(rsa.RSAPublicNumbers((1 << 2_000) + 1, make_key("rsa").public_key().public_numbers().n).public_key())
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    bits = int(kind.removeprefix("rsa") or 2048)
    if bits > 4096:
        modulus = int.from_bytes(hashlib.shake_256(label.encode()).digest(bits // 8), "big") | 1 << bits - 1 | 1
        return _PublicOnly(rsa.RSAPublicNumbers(65537, modulus).public_key())
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class _PublicOnly:
    key: Any

    def public_key(self) -> Any:
        return self.key


def name(parts: Iterable[tuple[str, str]] | str) -> x509.Name:
    """A distinguished name of pairs, or of a common name alone; "" is the empty name."""
    pairs = ([("CN", parts)] if parts else []) if isinstance(parts, str) else parts
    return x509.Name([x509.NameAttribute(_OIDS[key], value, _validate=False) for key, value in pairs])


def general_names(pairs: Iterable[tuple[str, Any]]) -> x509.SubjectAlternativeName:
    makers = {"DNS": x509.DNSName, "URI": x509.UniformResourceIdentifier, "email": x509.RFC822Name}
    return x509.SubjectAlternativeName(
        [x509.DirectoryName(name(value)) if kind == "Name" else makers[kind](value) for kind, value in pairs]
    )


def key_usage(*usages: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in usages for usage in _USAGES})


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key."""

    cert: x509.Certificate
    key: Any

    @property
    def pem(self) -> str:
        return self.cert.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.cert.public_bytes(Encoding.DER)


def issue(
    subject: Any = "host1",
    issuer: Identity | None = None,
    *,
    key: str = "ec",
    label: str = "",
    ca: bool = False,
    basic: bool | None = False,
    usage: Sequence[str] | None = ("digital_signature",),
    eku: Sequence[str] = (),
    san: Sequence[tuple[str, Any]] = (),
    serial: int | None = None,
    hash: str = "sha256",
    start: int = -86_400,
    end: int = 30 * 86_400,
    path_length: int | None = None,
    constraints: x509.NameConstraints | None = None,
    critical: Sequence[str] = (),
    signed_by: Any = None,
) -> Identity:
    """A certificate. `start` and `end` are seconds from `START`. Without `issuer` it is self-signed."""
    own = make_key(key, label or str(subject))
    if ca:
        usage = ("key_cert_sign", "crl_sign", "digital_signature") if usage == ("digital_signature",) else usage
        basic = True if basic is False else basic
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(subject) if issuer is None else issuer.cert.subject)
        .public_key(own.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(START + timedelta(seconds=start))
        .not_valid_after(START + timedelta(seconds=end))
    )
    if basic is not None:
        builder = builder.add_extension(x509.BasicConstraints(basic, path_length if basic else None), critical=True)
    if usage is not None:
        builder = builder.add_extension(key_usage(*usage), critical=True)
    if eku:
        builder = builder.add_extension(x509.ExtendedKeyUsage([_EKU[each] for each in eku]), critical=False)
    if san:
        builder = builder.add_extension(general_names(san), critical=False)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical="constraints" in critical)
    if "unknown" in critical:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True)
    signer = signed_by or (own if issuer is None else issuer.key)
    return Identity(builder.sign(signer, getattr(hashes, hash.upper())()), own)


def crl(
    issuer: Identity,
    serials: Iterable[int] = (),
    *,
    this_update: int = -3600,
    next_update: int = 3600,
    number: int | None = 1,
    extensions: Iterable[tuple[Any, bool]] = (),
    entry_extension: Any = None,
    hash: str = "sha256",
) -> str:
    """A revocation list as PEM text; times are seconds from `START`."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.cert.subject)
    builder = builder.last_update(START + timedelta(seconds=this_update))
    builder = builder.next_update(START + timedelta(seconds=next_update))
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(START - timedelta(days=1))
        if entry_extension is not None:
            entry = entry.add_extension(entry_extension, critical=True)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, critical in (*(() if number is None else ((x509.CRLNumber(number), False),)), *extensions):
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, getattr(hashes, hash.upper())()).public_bytes(Encoding.PEM).decode()


# -- DER, for certificates that no library makes --------------------------------------------------------------------------


def tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 128:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def parts_of(content: bytes) -> list[bytes]:
    """The elements of a constructed value, each with tag and length."""
    found, at = [], 0
    while at < len(content):
        start, first = at, content[at + 1]
        at += 2
        length = first
        if first & 0x80:
            size = first & 0x7F
            length, at = int.from_bytes(content[at : at + size], "big"), at + size
        at += length
        found.append(content[start:at])
    return found


def inner(element: bytes) -> bytes:
    """The content of an element."""
    first = element[1]
    return element[2 + (first & 0x7F if first & 0x80 else 0) :]


def resigned(identity: Identity, signer: Any, change: Any, *, algorithm: bytes | None = None) -> Identity:
    """The certificate with other elements in its signed part, signed again by an EC key."""
    der = resigned_der(identity, signer, change, algorithm=algorithm)
    return Identity(x509.load_der_x509_certificate(der), identity.key)


def resigned_der(identity: Identity, signer: Any, change: Any, *, algorithm: bytes | None = None) -> bytes:
    """As `resigned`; for bytes that the library does not load."""
    whole = parts_of(inner(identity.der))
    signed = tlv(0x30, b"".join(change(parts_of(inner(whole[0])))))
    signature = tlv(0x03, b"\0" + signer.sign(signed, ec.ECDSA(hashes.SHA256())))
    return tlv(0x30, signed + (algorithm or whole[1]) + signature)


def version_1(parts: list[bytes]) -> list[bytes]:
    """Without version and extensions."""
    return [part for part in parts if part[0] not in (0xA0, 0xA3)]


# -- requests ---------------------------------------------------------------------------------------------------------------


def sign(key: Any, text: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(text, ec.ECDSA(hashes.SHA256()))


@dataclass
class Draft:
    """A request before it is signed. Tests change any part; the last fields say what is signed, and by which key."""

    identity: Identity
    query: list[tuple[str, str]]
    body: bytes
    at: datetime
    chain: Sequence[Identity] = ()
    region: str = REGION
    day: str | None = None
    algorithm: str | None = None
    serial: str | None = None
    key: Any = None
    unsigned: Sequence[str] = ()
    headers: Sequence[tuple[str, str]] = ()
    content_type: str | None = "application/json"

    def signed(self, *, x509_header: bytes = b"") -> SignedRequest:
        """The request. `x509_header` : a certificate to send in place of that of the identity; the signature covers it."""
        date = self.at.strftime("%Y%m%dT%H%M%SZ")
        headers = [
            ("Host", f"rolesanywhere.{self.region}.amazonaws.com"),
            ("X-Amz-Date", date),
            ("X-Amz-X509", base64.b64encode(x509_header or self.identity.der).decode()),
        ]
        if self.content_type is not None:
            headers.append(("Content-Type", self.content_type))
        if self.chain:
            headers.append(("X-Amz-X509-Chain", ",".join(base64.b64encode(each.der).decode() for each in self.chain)))
        headers += self.headers
        values: dict[str, list[str]] = {}
        for header, value in headers:
            values.setdefault(header.lower(), []).append(" ".join(value.split()))
        names = sorted(header for header in values if header not in self.unsigned)
        query = "&".join(sorted(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in self.query))
        lines = "".join(f"{header}:{','.join(values[header])}\n" for header in names)
        canonical = f"POST\n/sessions\n{query}\n{lines}\n{';'.join(names)}\n{hashlib.sha256(self.body).hexdigest()}"
        kind = "RSA" if isinstance(self.identity.cert.public_key(), rsa.RSAPublicKey) else "ECDSA"
        algorithm = self.algorithm or f"AWS4-X509-{kind}-SHA256"
        scope = f"{self.day or date[:8]}/{self.region}/rolesanywhere/aws4_request"
        text = f"{algorithm}\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}".encode()
        key = self.key or self.identity.key
        signature = b"\0" * 64 if isinstance(key, _PublicOnly) else sign(key, text)
        credential = f"{self.serial or self.identity.cert.serial_number}/{scope}"
        authorization = f"{algorithm} Credential={credential}, SignedHeaders={';'.join(names)}, Signature={signature.hex()}"
        return SignedRequest(
            headers=[*headers, ("Authorization", authorization)], body=self.body, query=query, source="192.0.2.1"
        )


class World(StsWorld):
    """A directory with anchor, profile and role, enabled; `events` are those of the audit."""

    def __init__(
        self,
        *,
        root: Identity | None = None,
        settings: RolesAnywhereSettings | None = None,
        trust: Mapping[str, Any] = {},
        max_session_duration: int = 43_200,
        region: str | None = None,
    ) -> None:
        super().__init__()
        self.root = root or issue("Root", ca=True)
        self.events: list[AuditEvent] = []
        options = {} if settings is None else {"settings": settings}
        self.anywhere = RolesAnywhere(self.sts, region=region, audit=self.events.append, **options)
        self.objects = self.anywhere.objects
        self.directory.add_principal(
            HOST, trust_policy=trust_policy(trust), unique_id="AROAHOST", identity_policies=[document(READ)],
            max_session_duration=max_session_duration,
        )  # fmt: skip
        self.anchor = self.objects.create_trust_anchor(A, REGION, "ca", certificates=self.root.pem, enabled=True).arn
        self.profile = self.objects.create_profile(A, REGION, "hosts", role_arns=[HOST], enabled=True).arn

    def draft(
        self, identity: Identity, *, place: str = "body", role: str = HOST, anchor: str = "", profile: str = "", **more: Any
    ) -> Draft:
        """A request for a session; `more` are members of the body."""
        arns = {"profileArn": profile or self.profile, "roleArn": role, "trustAnchorArn": anchor or self.anchor}
        members = {**(arns if place != "query" else {}), **more}
        query = list(arns.items()) if place != "body" else []
        return Draft(identity, query, json.dumps(members).encode(), self.clock.now)

    def create(self, identity: Identity, **more: Any) -> Any:
        """The session of a request that is as it should be."""
        return self.anywhere.create_session(self.draft(identity, **more).signed())


def trust_policy(condition: Mapping[str, Any] = {}) -> dict[str, Any]:
    """The trust policy of role `Host`."""
    statement = {
        "Effect": "Allow", "Principal": {"Service": "rolesanywhere.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
    }  # fmt: skip
    return document(statement | ({"Condition": condition} if condition else {}))


# -- attacks --------------------------------------------------------------------------------------------------------------------


def refused(world: World, request: SignedRequest, code: str = ADE) -> StsError:
    """The error of a request that gives no session and records no subject."""
    before = len(world.objects.subjects())
    with pytest.raises(StsError) as caught:
        world.anywhere.create_session(request)
    assert caught.value.code == code, str(caught.value)
    assert world.events[-1].outcome == "refused"
    assert len(world.objects.subjects()) == before
    return caught.value


def with_header(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    """The request with another value of a header, or without it."""
    kept = [(n, v) for n, v in request.headers if n.lower() != name.lower()]
    return replace(request, headers=kept if value is None else [*kept, (name, value)])


def encoded(identity: Identity) -> str:
    return base64.b64encode(identity.der).decode()


def chained(world: World, identity: Identity, *chain: Identity) -> SignedRequest:
    draft = world.draft(identity)
    draft.chain = chain
    return draft.signed()


def rdn(oid: bytes, tag: int, value: bytes) -> bytes:
    return tlv(0x31, tlv(0x30, oid + tlv(tag, value)))


def renamed(identity: Identity, signer: Any, *rdns: bytes) -> Identity:
    """The certificate with a subject of any encoding."""
    return resigned(identity, signer, lambda parts: [*parts[:5], tlv(0x30, b"".join(rdns)), *parts[6:]])
