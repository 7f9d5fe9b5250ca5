"""SAML metadata of an identity provider: entity id, signing keys, validity and sign-in locations (1.3).

A certificate is a container of a key: chain, names and extended key usage are not evaluated (IP12). A signature of the document
is neither required nor verified, because an authorised call delivered it (IP16).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fastiam.federation.jwks import is_usable_rsa
from fastiam.federation.saml_times import read_time
from fastiam.federation.xml_reading import DS, MD, METADATA, SAMLP, Element, XmlError, children, read_xml, text_of

MIN_CHARACTERS, MAX_CHARACTERS = 1_000, 10_000_000  # characters (1.2)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_STORED_BITS = 1_024
_MAX_ENTITY_ID = 1_024


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A certificate of the metadata whose key can verify signatures. `is_rsa` is False for a key on an elliptic curve."""

    certificate: x509.Certificate = field(repr=False)
    is_rsa: bool

    def is_valid(self, now: datetime) -> bool:
        """Whether the certificate is valid at an instant (IP15)."""
        return self.certificate.not_valid_before_utc <= now < self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class SamlMetadata:
    """The content of a metadata document. `warnings` are certificates that verify nothing."""

    entity_id: str
    keys: tuple[SigningKey, ...]
    valid_until: datetime | None = None
    sign_in: tuple[tuple[str, str], ...] = ()  # binding and location
    warnings: tuple[str, ...] = ()

    def is_valid(self, now: datetime) -> bool:
        """Whether the document is valid at an instant (IP13)."""
        return self.valid_until is None or now < self.valid_until


def read_metadata(text: str) -> SamlMetadata:
    """Read a metadata document.

    Raises
    ------
    XmlError
        not the metadata of one identity provider, or without a usable key.
    """
    if not 1 <= len(text) <= MAX_CHARACTERS:
        raise XmlError(f"metadata have 1 to {MAX_CHARACTERS:,} characters, not {len(text):,}")
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise XmlError("the XML is not UTF-8") from None
    entity = _entity(read_xml(data, METADATA))
    entity_id = entity.get("entityID", "")
    if not 1 <= len(entity_id) <= _MAX_ENTITY_ID:
        raise XmlError("`EntityDescriptor` has no `entityID`")
    descriptors = children(entity, MD, "IDPSSODescriptor")
    if len(descriptors) != 1 or SAMLP not in descriptors[0].get("protocolSupportEnumeration", "").split():
        raise XmlError("the metadata need exactly one `IDPSSODescriptor`, for SAML 2.0")
    descriptor = descriptors[0]
    ends = [read_time(end) for end in (entity.get("validUntil"), descriptor.get("validUntil")) if end is not None]
    keys, warnings = _keys(descriptor)
    locations = tuple(
        (service.get("Binding", ""), service.get("Location", "")) for service in children(descriptor, MD, "SingleSignOnService")
    )
    return SamlMetadata(entity_id, keys, min(ends, default=None), locations, warnings)


def _entity(root: Element) -> Element:
    """The `EntityDescriptor` of the one identity provider, which may be in an `EntitiesDescriptor` (IP10)."""
    if root.tag == f"{{{MD}}}EntitiesDescriptor":
        entities = [entity for entity in root.iter(f"{{{MD}}}EntityDescriptor") if children(entity, MD, "IDPSSODescriptor")]
        if len(entities) != 1:
            raise XmlError(f"the metadata describe {len(entities)} identity providers, not one")
        return entities[0]
    if root.tag != f"{{{MD}}}EntityDescriptor":
        raise XmlError("the document is not SAML metadata")
    return root


def _keys(descriptor: Element) -> tuple[tuple[SigningKey, ...], tuple[str, ...]]:
    """The usable signing keys (IP12, IP14), each once, and warnings."""
    keys: dict[bytes, SigningKey] = {}
    warnings: list[str] = []
    for key_descriptor in children(descriptor, MD, "KeyDescriptor"):
        if key_descriptor.get("use", "signing") != "signing":
            continue
        for node in key_descriptor.iterfind(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"):
            certificate = _certificate(text_of(node))
            key, warning = _usable(certificate)
            if warning:
                warnings.append(warning)
            if key is not None:
                keys[certificate.public_bytes(Encoding.DER)] = key
    if not keys:
        raise XmlError("the metadata have no usable signing key")
    return tuple(keys.values()), tuple(warnings)


def _certificate(text: str) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
        _ = certificate.extensions, certificate.not_valid_before_utc, certificate.not_valid_after_utc  # else read at first use
    except x509.DuplicateExtension:
        raise XmlError("a signing certificate has a repeated extension") from None
    except Exception:  # the library raises many kinds, for example `InvalidVersion`, which is not a `ValueError`
        raise XmlError("a signing certificate is unreadable") from None
    return certificate


def _usable(certificate: x509.Certificate) -> tuple[SigningKey | None, str]:
    """The key of a certificate if it can verify, and a warning if it cannot (IP14)."""
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return None, ""
    except ValueError:
        raise XmlError("a signing certificate has no readable key") from None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _STORED_BITS:
            raise XmlError(f"a signing certificate has an RSA key of {key.key_size} bits, the least is {_STORED_BITS:,}")
        if not is_usable_rsa(key):
            return None, f"a signing certificate has an RSA key of {key.key_size:,} bits or an exponent that verifies nothing"
        return SigningKey(certificate, is_rsa=True), ""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return SigningKey(certificate, is_rsa=False), ""
    return None, ""
