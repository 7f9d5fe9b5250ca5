"""A SAML identity provider of the tests: keys, metadata, responses with any fault, and an account that trusts it.

Names are those of the specification (federation.md, section 10): `Corp` is the provider, `Dev` and `Ops` are roles, *good* is the
response without faults.
"""

from __future__ import annotations

import base64
import copy
import functools
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree
from signxml import XMLSigner, methods
from sts_fixture import CHEAP, A, B, Clock, document

import fastiam
from fastiam.federation import AuditEvent, Federation, FederationSettings, saml_providers
from fastiam.sts import STS, Keyring

START = datetime(2026, 11, 29, 12, tzinfo=UTC)
ENTITY = "https://idp.example/saml"
CORP, CORP2, CORP_B = (
    f"arn:aws:iam::{A}:saml-provider/Corp",
    f"arn:aws:iam::{A}:saml-provider/Corp2",
    f"arn:aws:iam::{B}:saml-provider/Corp",
)
DEV, OPS = f"arn:aws:iam::{A}:role/Dev", f"arn:aws:iam::{A}:role/Ops"
PREFIX = "https://aws.amazon.com/SAML/Attributes/"
RECIPIENT, AUDIENCE = "https://signin.aws.amazon.com/saml", "urn:amazon:webservices"
ACTIONS = ("sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity")
NS = {
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}
RSA_512 = (  # a certificate with a key that no library of today makes
    "MIIBdTCCAR+gAwIBAgIUMEppfufWOB89Ec6Uus4DEczbDeswDQYJKoZIhvcNAQELBQAwDzENMAsGA1UEAwwEd2VhazAeFw0yNjExMjkwNDI5NT"
    "laFw0zNjExMjYwNDI5NTlaMA8xDTALBgNVBAMMBHdlYWswXDANBgkqhkiG9w0BAQEFAANLADBIAkEA3Pi5suxm4igVUvgrIK99yWmflQlZJyKr"
    "P/RlnQo0sWFqc4HnRYLx/XeDuJiWRHiDjQwjkLZSjgCM0LjOjL72dQIDAQABo1MwUTAdBgNVHQ4EFgQUw+0WMRPxflVx9hJ4PtQsOuhRzH0wHw"
    "YDVR0jBBgwFoAUw+0WMRPxflVx9hJ4PtQsOuhRzH0wDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAANBAAP9gEic1ItsHr5ZxyVYQl5+"
    "u8uHzyMdcRrb0Sqko7qIpSX9zpU97/frQx5Cr5anblCAye/tVcDXwHsx82BuvIs="
)
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"


class Key:
    """A private key with a self-signed certificate, valid from 2020 to 2040 by default."""

    def __init__(self, private: Any, *, start: datetime | None = None, end: datetime | None = None) -> None:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp.example")])
        self.private = private
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(1000)
            .not_valid_before(start or datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(end or datetime(2040, 1, 1, tzinfo=UTC))
            .sign(private, hashes.SHA256())
        )

    @property
    def text(self) -> str:
        """The certificate as metadata hold it."""
        return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()

    @property
    def pem(self) -> str:
        """The private key."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# Each key is read once for all tests: its primes are checked, which takes a tenth of a second.
saml_providers.load_pem_private_key = functools.cache(saml_providers.load_pem_private_key)


@functools.cache
def _rsa_key(name: str, bits: int) -> Key:
    return Key(rsa.generate_private_key(public_exponent=65537, key_size=bits))


def rsa_key(name: str = "corp", bits: int = 2048) -> Key:
    """An RSA key by name, made once per process."""
    return _rsa_key(name, bits)


@functools.cache
def ec_key(name: str = "corp", curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Key:
    """A key on an elliptic curve by name."""
    return Key(ec.generate_private_key(curve()))


def key_descriptor(text: str, use: str = ' use="signing"') -> str:
    """A certificate in metadata."""
    return (
        f'<md:KeyDescriptor{use}><ds:KeyInfo xmlns:ds="{NS["ds"]}"><ds:X509Data>'
        f"<ds:X509Certificate>{text}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )


def metadata(*keys: str, entity: str = ENTITY, attributes: str = "", more: str = "", head: str = "") -> str:
    """Metadata with certificates; those of `corp` if none is given."""
    descriptors = "".join(map(key_descriptor, keys or (rsa_key().text,)))
    text = (
        f'{head}<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID={quoteattr(entity)} {attributes}>'
        f'<md:IDPSSODescriptor protocolSupportEnumeration="{NS["samlp"]}">{descriptors}{more}'
        '<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example/sso"/>'
        "</md:IDPSSODescriptor>"
    )
    end = "</md:EntityDescriptor>"
    return text + "\n" * (1_000 - len(text) - len(end)) + end  # the least length of metadata


class LaxSigner(XMLSigner):
    """Signs with deprecated algorithms as well."""

    def check_deprecated_methods(self) -> None:
        pass


def sign(
    element: Any,
    key: Any = None,
    *,
    algorithm: str = "rsa-sha256",
    digest: str = "sha256",
    c14n: str = EXC_C14N,
    uri: str | None = None,
    certificate: Key | None = None,
) -> Any:
    """The element with an enveloped signature after its issuer."""
    signer = LaxSigner(method=methods.enveloped, signature_algorithm=algorithm, digest_algorithm=digest, c14n_algorithm=c14n)
    place = etree.Element(f"{{{NS['ds']}}}Signature", Id="placeholder", nsmap={"ds": NS["ds"]})
    element.insert(1, place)
    key = rsa_key().private if key is None else key
    shown = None if certificate is None else [certificate.certificate]
    reference = f"#{element.get('ID')}" if uri is None else uri
    return signer.sign(element, key=key, cert=shown, reference_uri=reference, id_attribute="ID")


def at(seconds: float | None, now: datetime) -> str:
    """An instant of SAML."""
    return (now + timedelta(seconds=seconds or 0)).strftime("%Y-%m-%dT%H:%M:%SZ")


def attribute(name: str, values: Sequence[str]) -> str:
    """An attribute; `values` are escaped unless they begin with `<`."""
    texts = (value if value.startswith("<") else escape(value) for value in values)
    inner = "".join(f"<saml:AttributeValue>{text}</saml:AttributeValue>" for text in texts)
    return f"<saml:Attribute Name={quoteattr(name)}>{inner}</saml:Attribute>"


DEFAULTS: dict[str, Any] = {
    "id": "_a1",
    "issuer": ENTITY,
    "issued": 0,
    "name_id": "eva",
    "name_id_format": None,
    "method": "urn:oasis:names:tc:SAML:2.0:cm:bearer",
    "confirmations": 1,
    "confirmation_ends": 300,
    "confirmation_extra": "",
    "subject_extra": "",
    "recipient": RECIPIENT,
    "destination": RECIPIENT,
    "in_response_to": None,
    "not_before": -5,
    "not_on_or_after": 300,
    "audiences": [[AUDIENCE]],
    "conditions": "",
    "authn": [{}],
    "roles": [f"{DEV},{CORP}"],
    "name": "eva",
    "attributes": {},
    "twice": {},
    "status": "urn:oasis:names:tc:SAML:2.0:status:Success",
    "response_extra": "",
    "assertion_extra": "",
}


def assertion_text(now: datetime, **changes: Any) -> str:
    """An assertion as text, without signature."""
    fields = DEFAULTS | changes
    name_id = ""
    if fields["name_id"] is not None:
        format_ = "" if fields["name_id_format"] is None else f" Format={quoteattr(fields['name_id_format'])}"
        name_id = f"<saml:NameID{format_}>{fields['name_id']}</saml:NameID>"
    answer = "" if fields["in_response_to"] is None else f' InResponseTo="{fields["in_response_to"]}"'
    confirmation = (
        f'<saml:SubjectConfirmation Method="{fields["method"]}"><saml:SubjectConfirmationData{answer}'
        f' NotOnOrAfter="{at(fields["confirmation_ends"], now)}" Recipient={quoteattr(fields["recipient"])}'
        f" {fields['confirmation_extra']}/></saml:SubjectConfirmation>"
    )
    audiences = "".join(
        "<saml:AudienceRestriction>"
        + "".join(f"<saml:Audience>{escape(one)}</saml:Audience>" for one in each)
        + "</saml:AudienceRestriction>"
        for each in fields["audiences"]
    )
    statements = "".join(
        f'<saml:AuthnStatement AuthnInstant="{at(each.get("at", 0), now)}"'
        + (f' SessionNotOnOrAfter="{at(each["ends"], now)}"' if "ends" in each else "")
        + "><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
        "</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
        for each in fields["authn"]
    )
    named = {f"{PREFIX}Role": fields["roles"], f"{PREFIX}RoleSessionName": [fields["name"]]}
    named |= {name if ":" in name.split("PrincipalTag:")[0] or "." in name else PREFIX + name: values
              for name, values in fields["attributes"].items()}  # fmt: skip
    written = [attribute(name, values) for name, values in named.items() if values != [None]]
    written += [attribute(PREFIX + name, values) for name, values in fields["twice"].items()]
    return (
        f'<saml:Assertion xmlns:saml="{NS["saml"]}" ID="{fields["id"]}" Version="2.0" IssueInstant="{at(fields["issued"], now)}">'
        f"<saml:Issuer>{fields['issuer']}</saml:Issuer>"
        f"<saml:Subject>{name_id}{fields['subject_extra']}{confirmation * fields['confirmations']}</saml:Subject>"
        f'<saml:Conditions NotBefore="{at(fields["not_before"], now)}" NotOnOrAfter="{at(fields["not_on_or_after"], now)}">'
        f"{audiences}{fields['conditions']}</saml:Conditions>"
        f"{statements}<saml:AttributeStatement>{''.join(written)}</saml:AttributeStatement>{fields['assertion_extra']}</saml:Assertion>"
    )


def response_text(now: datetime, assertion: str, **changes: Any) -> str:
    """A response around an assertion, as text, without signature."""
    fields = DEFAULTS | changes
    destination = "" if fields["destination"] is None else f" Destination={quoteattr(fields['destination'])}"
    issuer = fields.get("response_issuer", fields["issuer"])
    return (
        f'<samlp:Response xmlns:samlp="{NS["samlp"]}" xmlns:saml="{NS["saml"]}" ID="_r1" Version="2.0"'
        f' IssueInstant="{at(fields.get("response_issued", fields["issued"]), now)}"{destination}>'
        f"<saml:Issuer>{issuer}</saml:Issuer>{fields['response_extra']}"
        f'<samlp:Status><samlp:StatusCode Value="{fields["status"]}"/></samlp:Status>{assertion}</samlp:Response>'
    )


def response_tree(
    now: datetime = START, *, signed: Sequence[str] = ("assertion",), signing: Any = None, encrypt: Any = None, **changes: Any
) -> Any:
    """A response as a tree. `signed` names what carries a signature; `signing` and `encrypt` are options of these functions."""
    options = dict(signing or {})
    text = assertion_text(now, **changes)
    for old, new in changes.get("raw", {}).items():
        assert old in text
        text = text.replace(old, new)
    assertion = etree.fromstring(text)
    if "assertion" in signed:
        assertion = sign(assertion, **options)
    if encrypt is not None:
        assertion = encrypted(etree.tostring(assertion), rsa_key("sp").private.public_key(), **encrypt)
    response = etree.fromstring(response_text(now, etree.tostring(assertion).decode(), **changes))
    return sign(response, **options) if "response" in signed else response


XENC, XENC11 = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#"
CONTENT = {  # algorithm and length of the key
    "aes128-gcm": (f"{XENC11}aes128-gcm", 16),
    "aes192-gcm": (f"{XENC11}aes192-gcm", 24),
    "aes256-gcm": (f"{XENC11}aes256-gcm", 32),
    "aes128-cbc": (f"{XENC}aes128-cbc", 16),
    "aes256-cbc": (f"{XENC}aes256-cbc", 32),
    "tripledes-cbc": (f"{XENC}tripledes-cbc", 24),
}
SHA1, MGF1 = hashes.SHA1(), padding.MGF1
TRANSPORT: dict[str, tuple[str, str, Any]] = {  # algorithm, content of the method, and padding
    "oaep": (f"{XENC}rsa-oaep-mgf1p", "", padding.OAEP(MGF1(SHA1), SHA1, None)),
    "oaep-sha256": (
        f"{XENC11}rsa-oaep",
        f'<ds:DigestMethod xmlns:ds="{NS["ds"]}" Algorithm="{XENC}sha256"/>'
        f'<x:MGF xmlns:x="{XENC11}" Algorithm="{XENC11}mgf1sha256"/>',
        padding.OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None),
    ),
    "rsa-1_5": (f"{XENC}rsa-1_5", "", padding.PKCS1v15()),
}


def encrypted(plain: bytes, public: Any, *, content: str = "aes256-gcm", transport: str = "oaep", beside: bool = False) -> Any:
    """An `EncryptedAssertion`; `beside` puts the key next to the data instead of into it."""
    algorithm, length = CONTENT[content]
    key = os.urandom(length)
    if content.endswith("gcm"):
        nonce = os.urandom(12)
        body = nonce + AESGCM(key).encrypt(nonce, plain, None)
    else:
        iv, n = os.urandom(16), 16 - len(plain) % 16
        context = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        body = iv + context.update(plain + bytes(n - 1) + bytes([n])) + context.finalize()
    uri, inner, scheme = TRANSPORT[transport]
    wrapped = (
        f'<x:EncryptedKey><x:EncryptionMethod Algorithm="{uri}">{inner}</x:EncryptionMethod><x:CipherData><x:CipherValue>'
        f"{base64.b64encode(public.encrypt(key, scheme)).decode()}</x:CipherValue></x:CipherData></x:EncryptedKey>"
    )
    info = "" if beside else f'<ds:KeyInfo xmlns:ds="{NS["ds"]}">{wrapped}</ds:KeyInfo>'
    return etree.fromstring(
        f'<saml:EncryptedAssertion xmlns:saml="{NS["saml"]}" xmlns:x="{XENC}">'
        f'<x:EncryptedData Type="{XENC}Element"><x:EncryptionMethod Algorithm="{algorithm}"/>{info}<x:CipherData>'
        f"<x:CipherValue>{base64.b64encode(body).decode()}</x:CipherValue></x:CipherData></x:EncryptedData>"
        f"{wrapped if beside else ''}</saml:EncryptedAssertion>"
    )


def encoded(tree: Any) -> str:
    """What a client posts: base64 of the text, of a tree or of bytes."""
    return base64.b64encode(tree if isinstance(tree, bytes) else etree.tostring(tree)).decode()


def good(now: datetime = START, **changes: Any) -> str:
    """The response without faults, or with those of `changes`."""
    return encoded(response_tree(now, **changes))


def clone(element: Any) -> Any:
    """A copy of an element."""
    return copy.deepcopy(element)


def trust(*providers: str, actions: Sequence[str] = ACTIONS, condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A trust policy for SAML providers."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"Federated": list(providers)}, "Action": list(actions)}
    return document(statement | ({"Condition": condition} if condition else {}))


class SamlWorld:
    """An account with provider `Corp` and roles `Dev` and `Ops` that trust it."""

    def __init__(
        self, settings: Mapping[str, Any] | None = None, *, directory: fastiam.Directory | None = None, now: datetime = START
    ) -> None:
        self.clock = Clock(now)
        self.directory = fastiam.Directory() if directory is None else directory
        self.keyring = Keyring.generate()
        self.events: list[AuditEvent] = []
        self.federation = self.open(**(settings or {}))
        if directory is None:
            self.federation.saml_providers.create(A, "Corp", metadata())
            for role in (DEV, OPS):
                self.directory.add_principal(role, unique_id="AROA" + role[-3:].upper(), trust_policy=trust(CORP))

    def open(self, **settings: Any) -> Federation:
        """A federation over the same directory."""
        chosen = FederationSettings(**{name: frozenset(v) if isinstance(v, list) else v for name, v in settings.items()})
        sts = STS(self.directory, self.keyring, clock=self.clock, hasher=CHEAP)
        return Federation(sts, settings=chosen, audit=self.events.append)

    def assume(self, response: str, role: str = DEV, provider: str = CORP, **options: Any) -> Any:
        """Redeem a response."""
        return self.federation.assume_role_with_saml(role, provider, response, **options)
