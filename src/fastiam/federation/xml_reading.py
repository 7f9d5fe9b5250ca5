"""The hardened XML reader: one for SAML metadata, responses and decrypted assertions (2.3).

It reads UTF-8 without DTD, fetches nothing and expands nothing but the five predefined entities and character references.
limits hold before the content is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lxml import etree

Element = Any  # lxml has no types
SAML, SAMLP = "urn:oasis:names:tc:SAML:2.0:assertion", "urn:oasis:names:tc:SAML:2.0:protocol"
MD, DS = "urn:oasis:names:tc:SAML:2.0:metadata", "http://www.w3.org/2000/09/xmldsig#"
XENC, EXC_C14N = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2001/10/xml-exc-c14n#"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,1023}")  # the ASCII part of xs:ID
_BOM = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_DECLARATION = re.compile(
    rb"""<\?xml\s+version\s*=\s*["']1\.0["'](?:\s+encoding\s*=\s*["']utf-8["'])?"""
    rb"""(?:\s+standalone\s*=\s*["'](?:yes|no)["'])?\s*\?>""",
    re.IGNORECASE,
)
_DEPTH = 64
_TOO_DEEP = etree.XPath("/" + "/".join(["*"] * (_DEPTH + 1)))
_ELEMENTS = etree.XPath("count(//*)")
_TOO_WIDE = etree.XPath("//*[count(@*) > 64]")
_TAG = re.compile(rb"[^<]+")  # with the text after it; a tag contains no other `<`
_DECLARATIONS = 64  # of namespaces, in one element
_IN_SCOPE = 256  # namespace declarations of an element and of those around it
_FORBIDDEN_NODES = etree.XPath("//comment() | //processing-instruction()")
_IDS = etree.XPath(
    "//@*[local-name() = 'ID' or local-name() = 'Id' or local-name() = 'id' or local-name() = 'AssertionID']",
    smart_strings=False,
)


class XmlError(ValueError):
    """The text is not acceptable XML."""


@dataclass(frozen=True, slots=True)
class XmlLimits:
    """Limits of a document: bytes, elements, and whether comments and processing instructions are ignored or refused."""

    size: int
    elements: int
    comments: bool = False


RESPONSE = XmlLimits(size=100_000, elements=20_000)
METADATA = XmlLimits(size=40_000_000, elements=200_000, comments=True)  # 10,000,000 characters of up to 4 bytes


def read_xml(data: bytes, limits: XmlLimits) -> Element:
    """The root element of a document.

    Raises
    ------
    XmlError
        not well-formed, not UTF-8, with a DTD, or beyond a limit.
    """
    _check_bytes(data, limits)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        strip_cdata=True,
        remove_comments=limits.comments,
        remove_pis=limits.comments,
        collect_ids=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError):
        raise XmlError("the XML is not well-formed") from None
    _check_tree(root, limits)
    return root


def _check_bytes(data: bytes, limits: XmlLimits) -> None:
    if len(data) > limits.size:
        raise XmlError(f"the XML has more than {limits.size:,} bytes")
    if data.startswith(_BOM):
        raise XmlError("the XML begins with a byte order mark")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise XmlError("the XML is not UTF-8") from None
    if b"\0" in data:
        raise XmlError("the XML is not UTF-8")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise XmlError("the XML has a DTD")
    if any(tag[0].count(b"xmlns") > _DECLARATIONS for tag in _TAG.finditer(data)):  # the cost is quadratic, also for the parser
        raise XmlError(f"an element has more than {_DECLARATIONS} namespace declarations")
    if data.startswith(b"<?xml") and not _DECLARATION.match(data):
        raise XmlError("the XML declaration is not that of a UTF-8 document")


def _check_tree(root: Element, limits: XmlLimits) -> None:
    info = root.getroottree().docinfo
    if info.internalDTD is not None or info.externalDTD is not None:
        raise XmlError("the XML has a DTD")
    if next(root.iter(etree.Entity), None) is not None:
        raise XmlError("the XML has an entity reference")
    if not limits.comments and _FORBIDDEN_NODES(root):
        raise XmlError("the XML has a comment or a processing instruction")
    if _ELEMENTS(root) > limits.elements:
        raise XmlError(f"the XML has more than {limits.elements:,} elements")
    if _TOO_DEEP(root):
        raise XmlError(f"the XML is more than {_DEPTH} levels deep")
    if _TOO_WIDE(root):
        raise XmlError("an element has more than 64 attributes")
    in_scope = 0
    for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
        in_scope += 1 if event == "start-ns" else -1
        if in_scope > _IN_SCOPE:
            raise XmlError(f"more than {_IN_SCOPE} namespace declarations are in scope")


def check_ids(root: Element) -> None:
    """No two identifiers of a document are equal, whatever their attribute is called (SA13).

    Raises
    ------
    XmlError
        two are.
    """
    ids = _IDS(root)
    if len(set(ids)) < len(ids):
        raise XmlError("two elements have the same identifier")


def serialized(element: Element) -> bytes:
    """An element with the namespaces that are in scope, without the text that follows it."""
    data: bytes = etree.tostring(element, with_tail=False)
    return data


def text_of(element: Element) -> str:
    """The text of an element, as it is.

    Raises
    ------
    XmlError
        it has child elements.
    """
    if len(element):
        raise XmlError(f"`{etree.QName(element).localname}` has child elements")
    return element.text or ""


def children(element: Element, namespace: str, name: str) -> list[Element]:
    """The direct children of a name."""
    found: list[Element] = element.findall(f"{{{namespace}}}{name}")
    return found


def only_child(element: Element, namespace: str, name: str) -> Element:
    """The one direct child of a name.

    Raises
    ------
    XmlError
        there is none, or more than one.
    """
    found = children(element, namespace, name)
    if len(found) != 1:
        raise XmlError(f"`{etree.QName(element).localname}` needs exactly one `{name}`, not {len(found)}")
    return found[0]
