"""The form of a SAML response, and the verified assertion in it (steps 4 to 7 of 2.1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree

from fastiam.credentials.secret import SecretBytes
from fastiam.federation.federation_errors import IdentityTokenError, RejectedClaimError
from fastiam.federation.saml_encryption import decrypted
from fastiam.federation.saml_metadata import SigningKey
from fastiam.federation.saml_signature import SignatureError, signature_of, verified
from fastiam.federation.xml_reading import (
    DS,
    NAME,
    RESPONSE,
    SAML,
    SAMLP,
    Element,
    XmlError,
    check_ids,
    children,
    only_child,
    read_xml,
)

MAX_CHARACTERS = 100_000  # characters of base64
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_ASSERTION, _ENCRYPTED, _SIGNATURE = f"{{{SAML}}}Assertion", f"{{{SAML}}}EncryptedAssertion", f"{{{DS}}}Signature"
_OF_RESPONSE = (f"{{{SAML}}}Issuer", _SIGNATURE, f"{{{SAMLP}}}Extensions", f"{{{SAMLP}}}Status", _ASSERTION, _ENCRYPTED)
_OF_ASSERTION = tuple(
    f"{{{SAML}}}{name}"
    for name in "Issuer Subject Conditions Advice AuthnStatement AttributeStatement AuthzDecisionStatement Statement".split()
) + (_SIGNATURE,)
_ASSERTIONS = etree.XPath("//saml:Assertion | //saml:EncryptedAssertion", namespaces={"saml": SAML})
_SIGNATURES = etree.XPath("//ds:Signature", namespaces={"ds": DS})


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified response.

    Attributes
    ----------
    assertion
        the assertion as the signature covers it.
    response
        the Response; if only the assertion is signed, values of it can only lead to a refusal (SA21).
    """

    assertion: Element
    response: Element


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseKeys:
    """Keys of a provider: signing keys of its metadata, private keys of ours, and the encryption mode (SA61)."""

    signing: Sequence[SigningKey]
    private: Sequence[RSAPrivateKey]
    encryption: str
    ignore_dates: bool = False


def verify_response(text: str | bytes, keys: ResponseKeys, now: datetime) -> Verified:
    """Read, verify and decrypt a response.

    Raises
    ------
    IdentityTokenError
        form, signature or encryption.
    RejectedClaimError
        the status is not success.
    """
    try:
        response = read_xml(decode(text), RESPONSE)
        is_encrypted = _check_form(response)
    except XmlError as error:
        raise invalid(str(error), "2.3") from None
    if is_encrypted is None:
        raise RejectedClaimError("the identity provider reports a failure", reason="status", rule="SA14")
    if keys.encryption == ("" if is_encrypted else "Required"):
        raise invalid("encrypted assertions are not enabled" if is_encrypted else "the assertion is not encrypted", "SA61")
    try:
        return _verify(response, is_encrypted, keys, now)
    except SignatureError as error:
        raise invalid(f"response signature invalid: {error}", "2.4", "signature") from None
    except XmlError as error:
        raise invalid(str(error), "2.7" if is_encrypted else "SA12") from None


def invalid(message: str, rule: str, reason: str = "form") -> IdentityTokenError:
    """The refusal of a response."""
    return IdentityTokenError(message, reason=reason, rule=rule)


def decode(text: str | bytes) -> bytes:
    """The octets of a response: standard base64 with padding; ASCII white space is dropped (SA10).

    Raises
    ------
    XmlError
        another form.
    """
    try:
        raw = SecretBytes(text.encode("ascii") if isinstance(text, str) else text)
    except UnicodeEncodeError:
        raise XmlError("the response is not standard base64") from None
    raw = SecretBytes(raw.translate(None, b" \t\r\n\v\f"))
    if len(raw) > MAX_CHARACTERS:
        raise XmlError(f"the response has more than {MAX_CHARACTERS:,} characters")
    try:
        if not _BASE64.fullmatch(raw):
            raise XmlError("the response is not standard base64")
        return SecretBytes(base64.b64decode(raw, validate=True))
    except binascii.Error:
        raise XmlError("the response is not standard base64") from None


def _verify(response: Element, is_encrypted: bool, keys: ResponseKeys, now: datetime) -> Verified:
    """Signatures and decryption, in the order of SA60."""
    is_signed = signature_of(response) is not None
    received = response
    if is_signed:
        response = verified(received, keys.signing, now, ignore_dates=keys.ignore_dates)
        _check_form(response)
    if is_encrypted:
        encrypted = only_child(response, SAML, "EncryptedAssertion")
        assertion = decrypted(encrypted, keys.private, is_signed=is_signed)
        response.replace(encrypted, assertion)
        _check_form(response)
        received = response
    assertion = only_child(received, SAML, "Assertion")
    if signature_of(assertion) is not None or not is_signed:
        if signature_of(assertion) is None:
            raise SignatureError("neither the response nor the assertion is signed")
        own = verified(assertion, keys.signing, now, ignore_dates=keys.ignore_dates)
        if not is_signed:
            return Verified(own, response)
    return Verified(only_child(response, SAML, "Assertion"), response)


# -- form (2.2) ---------------------------------------------------------------------------------------------------------


def _check_form(response: Element) -> bool | None:
    """Whether the assertion is encrypted; None if there is none because the status is not success.

    Raises
    ------
    XmlError
        the document is not a response with one assertion, each element in its place.
    """
    if response.tag != f"{{{SAMLP}}}Response" or response.get("Version") != "2.0" or not NAME.fullmatch(response.get("ID", "")):
        raise XmlError("the document is not a SAML 2.0 `Response` with an `ID`")
    check_ids(response)
    _check_children(response, _OF_RESPONSE, frozenset(_OF_RESPONSE))
    status = only_child(only_child(response, SAMLP, "Status"), SAMLP, "StatusCode")
    is_success = status.get("Value") == _SUCCESS
    found = _ASSERTIONS(response)
    if not found and not is_success:
        _check_signatures(response, None)
        return None
    if len(found) != 1 or found[0].getparent() is not response:
        raise XmlError("the response needs exactly one assertion, as a child of its own")
    assertion = found[0]
    is_encrypted: bool = assertion.tag == _ENCRYPTED
    if not is_encrypted:
        if assertion.get("Version") != "2.0" or not NAME.fullmatch(assertion.get("ID", "")):
            raise XmlError("the assertion is not a SAML 2.0 `Assertion` with an `ID`")
        _check_children(assertion, _OF_ASSERTION, frozenset(_OF_ASSERTION[:4]))
    _check_signatures(response, None if is_encrypted else assertion)
    return is_encrypted if is_success else None


def _check_children(element: Element, known: Sequence[str], single: frozenset[str]) -> None:
    tags = [child.tag for child in element]
    for tag in tags:
        if tag not in known or (tag in single and tags.count(tag) > 1):
            raise XmlError(f"`{etree.QName(element).localname}` has an unexpected child `{etree.QName(tag).localname}`")


def _check_signatures(response: Element, assertion: Element | None) -> None:
    """Signatures are direct children of the Response or the assertion, one in each (SA15)."""
    for signature in _SIGNATURES(response):
        parent = signature.getparent()
        if parent is not response and (assertion is None or parent is not assertion):
            raise XmlError("a signature is in an unexpected place")
    for parent in (response, assertion):
        if parent is not None and len(children(parent, DS, "Signature")) > 1:
            raise XmlError("an element has more than one signature")
