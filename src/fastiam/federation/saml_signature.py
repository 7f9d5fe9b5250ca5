"""XML signatures of SAML: signxml verifies them, after the structure was compared with the one accepted form (2.4).

Invariant: `verified` returns the content that the signature covers, read again from the canonical octets. Callers read that and
never the document as received (FD2).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from fastiam.credentials.secret import SecretBytes
from fastiam.federation.saml_metadata import SigningKey
from fastiam.federation.xml_reading import (
    DS,
    EXC_C14N,
    NAME,
    RESPONSE,
    Element,
    XmlError,
    children,
    only_child,
    read_xml,
    serialized,
)

_RSA = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
    }
)
_ECDSA = frozenset({SignatureMethod.ECDSA_SHA256, SignatureMethod.ECDSA_SHA384, SignatureMethod.ECDSA_SHA512})
_METHODS = {method.value: method for method in _RSA | _ECDSA}
_DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_DIGEST_NAMES = frozenset(digest.value for digest in _DIGESTS)
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_PREFIXES = f"{{{EXC_C14N}}}InclusiveNamespaces"
# signxml logs the signed text at level DEBUG: assertions are not in logs (9.2)
logging.getLogger("signxml.processor").addFilter(lambda record: not str(record.msg).startswith("Canonicalized string"))
_FAILURES = (SignXMLException, InvalidSignature, UnsupportedAlgorithm, etree.LxmlError, ValueError, TypeError, LookupError)


class SignatureError(XmlError):
    """The signature does not verify, or has another form than the accepted one."""


def signature_of(parent: Element) -> Element | None:
    """The signature of a Response or an assertion; None if it has none.

    Raises
    ------
    SignatureError
        it has more than one (SA15).
    """
    found = children(parent, DS, "Signature")
    if len(found) > 1:
        raise SignatureError("an element has more than one signature")
    return found[0] if found else None


def verified(parent: Element, keys: Sequence[SigningKey], now: datetime, *, ignore_dates: bool = False) -> Element:
    """The content that the signature of an element covers, as a tree of its own.

    Parameters
    ----------
    keys
        of the stored metadata; each is tried, and nothing else (SA24).
    ignore_dates
        a certificate verifies outside its own validity as well (IP15).

    Raises
    ------
    SignatureError
        the signature has another form, or no key verifies it.
    """
    method = _check_form(parent)
    data = _without_key_info(parent)
    for key in keys:
        if key.is_rsa is not (method in _RSA) or not (ignore_dates or key.is_valid(now)):
            continue
        octets = _octets(data, key, key.certificate.not_valid_before_utc if ignore_dates else now)
        if octets is not None:
            return _read_again(octets, parent)
    raise SignatureError("the signature is invalid")


def _octets(data: bytes, key: SigningKey, at: datetime) -> bytes | None:
    """The octets that the signature covers, if this key verifies it."""
    config = SignatureConfiguration(
        location="./",  # a direct child of the element
        signature_methods=_RSA if key.is_rsa else _ECDSA,
        digest_algorithms=_DIGESTS,
        expect_references=1,
        verification_time=at,
    )
    try:
        result = XMLVerifier().verify(data, x509_cert=key.certificate, expect_config=config, id_attribute="ID")
    except _FAILURES:
        return None
    if isinstance(result, list):
        return None
    return SecretBytes(result.signed_data)


def _read_again(octets: bytes, parent: Element) -> Element:
    element = read_xml(octets, RESPONSE)
    if element.tag != parent.tag or element.get("ID") != parent.get("ID"):
        raise SignatureError("the signature covers another element")
    return element


def _without_key_info(parent: Element) -> bytes:
    """The element without `KeyInfo` of its own signature, which is not read (SA24) and which the signature does not cover."""
    copy = etree.fromstring(serialized(parent), etree.XMLParser(resolve_entities=False, no_network=True, collect_ids=False))
    signature = only_child(copy, DS, "Signature")
    for key_info in children(signature, DS, "KeyInfo"):
        signature.remove(key_info)
    return SecretBytes(serialized(copy))


# -- the one accepted form (SA22, SA23) ---------------------------------------------------------------------------------


def _check_form(parent: Element) -> SignatureMethod:
    signature = only_child(parent, DS, "Signature")
    parts = [child.tag for child in signature]
    if parts not in (_tags("SignedInfo", "SignatureValue"), _tags("SignedInfo", "SignatureValue", "KeyInfo")):
        raise SignatureError("a signature consists of `SignedInfo`, `SignatureValue` and an optional `KeyInfo`")
    info = signature[0]
    if [child.tag for child in info] != _tags("CanonicalizationMethod", "SignatureMethod", "Reference"):
        raise SignatureError("a signature has exactly one `Reference`")
    canonicalization, method, reference = info
    _check_canonicalization(canonicalization)
    if len(method) or method.get("Algorithm") not in _METHODS:
        raise SignatureError("the algorithm of a signature is not accepted")
    _check_reference(reference, parent.get("ID", ""))
    return _METHODS[method.get("Algorithm")]


def _check_reference(reference: Element, id_: str) -> None:
    if not NAME.fullmatch(id_) or reference.get("URI") != f"#{id_}":
        raise SignatureError("a signature does not refer to the element that contains it")
    if [child.tag for child in reference] != _tags("Transforms", "DigestMethod", "DigestValue"):
        raise SignatureError("a reference consists of `Transforms`, `DigestMethod` and `DigestValue`")
    transforms, digest, _ = reference
    if [child.tag for child in transforms] != _tags("Transform", "Transform"):
        raise SignatureError("a reference has exactly two transforms")
    enveloped, canonical = transforms
    if enveloped.get("Algorithm") != _ENVELOPED or len(enveloped):
        raise SignatureError("the first transform is not `enveloped-signature`")
    _check_canonicalization(canonical)
    if len(digest) or digest.get("Algorithm") not in _DIGEST_NAMES:
        raise SignatureError("the digest algorithm of a signature is not accepted")


def _check_canonicalization(element: Element) -> None:
    """Exclusive canonical XML without comments; a list of inclusive prefixes is allowed."""
    if element.get("Algorithm") != EXC_C14N or [child.tag for child in element] not in ([], [_PREFIXES]):
        raise SignatureError("the canonicalization of a signature is not exclusive canonical XML without comments")


def _tags(*names: str) -> list[str]:
    return [f"{{{DS}}}{name}" for name in names]
