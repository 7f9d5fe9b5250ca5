"""Mutations that keep the form of XML, JSON and DER, so that mutated input gets past the parser."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from lxml import etree
from x509_world import tlv

Bytes = Callable[[bytes], bytes]  # a mutation without knowledge of the form
VALUES = (None, True, False, 0, -1, 1.5, 1e308, 1 << 53, 10**400, "", "\0", "\ud800", "é", "x" * 5000, [], {}, [[]], [{}])
TEXTS = (
    "",
    " ",
    "x",
    "é\u0301",
    "\u0130",
    "x" * 5000,
    "-1",
    "9" * 30,
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "#",
    "urn:x",
)

BYTES = (
    *(
        b"\0",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\x80",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"=",
        b"==",
        b".",
        b",",
        b";",
        b"&",
        b"%",
        b"%00",
    ),
    *(b"%00", b"+", b"\xc3\xa9", b"\xed\xa0\x80", b'"', b"<", b">", b"&amp;", b"{", b"[", b"-----", b"9999999999"),
)


def mutated_bytes(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """Bytes changed, removed, inserted, repeated, or replaced by a part of another input."""
    made = bytearray(data or b"\0")
    i, j = sorted((rng.randrange(len(made) + 1), rng.randrange(len(made) + 1)))
    match rng.randrange(8):
        case 0 | 1:
            made[i % len(made)] ^= 1 << rng.randrange(8)
        case 2:
            made[i % len(made)] = rng.randrange(256)
        case 3:
            del made[i : rng.choice((i + 1, i + 4, j))]
        case 4:
            made[i:i] = rng.choice((*BYTES, rng.randbytes(rng.randrange(1, 9))))
        case 5:
            made[i:i] = made[i : min(j, i + 200)] * rng.choice((1, 2, 16, 1000))
        case 6:
            k = rng.randrange(len(other) + 1)
            made[i : rng.choice((i, i + 8, j))] = other[k : k + rng.randrange(1, 200)]
        case _:
            made[i : i + 1] = rng.choice(BYTES)
    return bytes(made)


def mutated_xml(data: bytes, rng: random.Random, plain: Bytes) -> bytes:
    """Elements moved, copied, removed or renamed, and texts and attributes changed."""
    try:
        root = etree.fromstring(data)
    except (etree.LxmlError, ValueError):
        return plain(data)
    nodes = [node for node in root.iter() if isinstance(node.tag, str)]
    node, other = rng.choice(nodes), rng.choice(nodes)
    match rng.randrange(9):
        case 0 if node is not root:
            node.getparent().remove(node)
        case 1:
            other.insert(rng.randrange(len(other) + 1), copy.deepcopy(node))
        case 2:
            for _ in range(rng.choice((2, 70, 2000))):
                other.append(etree.Element(node.tag))
        case 3:
            node.tag = other.tag
        case 4 if node.attrib:
            node.set(rng.choice(list(node.attrib)), rng.choice((*TEXTS, *other.attrib.values())))
        case 5:
            node.set(rng.choice((*other.attrib, "ID", "Id", "x")), rng.choice((*TEXTS, *other.attrib.values())))
        case 6:
            node.text = rng.choice((*TEXTS, other.text))
        case 7:
            node.append(rng.choice((etree.Comment("x"), etree.ProcessingInstruction("x"))))
        case _:
            node.text = (node.text or "") + (other.text or "")
    return bytes(etree.tostring(root))


def mutated_json(data: bytes, rng: random.Random, plain: Bytes) -> bytes:
    """A value replaced, removed, wrapped or repeated."""
    try:
        value = json.loads(data)
        places: list[tuple[Any, Any]] = []
        level = [value]
        while level:
            each = level.pop()
            inside = list(each.items() if isinstance(each, dict) else enumerate(each)) if isinstance(each, (dict, list)) else []
            places += [(each, key) for key, _ in inside]
            level += [item for _, item in inside]
        if not places:
            return plain(data)
        parent, key = rng.choice(places)
        match rng.randrange(5):
            case 0:
                parent[key] = rng.choice(VALUES)
            case 1:
                del parent[key]
            case 2:
                parent[key] = [parent[key]] * rng.choice((1, 2, 200))
            case 3:
                other, name = rng.choice(places)
                parent[key] = copy.deepcopy(other[name])
            case _ if isinstance(parent, dict):
                parent[rng.choice(("crit", "b64", "cty", "jwk", "x5c", "d", "k", "azp", "nbf", "auth_time", ""))] = rng.choice(
                    VALUES
                )
        return json.dumps(value).encode()
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, OverflowError):
        return plain(data)


def mutated_der(data: bytes, rng: random.Random, plain: Bytes) -> bytes:
    """An element replaced, removed, repeated or with another tag; the lengths around it are right."""
    tree = _read_der(data)
    if not tree:
        return plain(data)
    places: list[tuple[list[Any], int]] = []
    level = [tree]
    while level:
        siblings = level.pop()
        for i, (_, content) in enumerate(siblings):
            places.append((siblings, i))
            if isinstance(content, list):
                level.append(content)
    siblings, i = rng.choice(places)
    tag, content = siblings[i]
    match rng.randrange(6):
        case 0:
            del siblings[i]
        case 1:
            siblings[i:i] = [(tag, content)] * rng.choice((1, 2, 50))
        case 2:
            siblings[i] = (rng.choice((1, 2, 3, 4, 5, 6, 10, 12, 19, 23, 24, 30, 48, 49, 0x80, 0x82, 0x86, 0xA0, 0xA3)), content)
        case 3:
            others, j = rng.choice(places)
            siblings[i] = copy.deepcopy(others[j])
        case 4 if isinstance(content, bytes):
            siblings[i] = (tag, rng.choice((b"", b"\0", b"\xff" * 21, b"\x7f" * 3000, b"99991231235959Z", b"000101000000Z")))
        case _:
            siblings[i] = (tag, plain(_write_der(content) if isinstance(content, list) else content))
    return _write_der(tree)


def _read_der(data: bytes, depth: int = 0) -> list[Any]:
    """The elements of some bytes as (tag, content), or [] if they are no DER. OCTET STRINGs are read as well."""
    found: list[Any] = []
    at = 0
    while at + 2 <= len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        content = data[at : at + length]
        if len(content) != length:
            return []
        at += length
        inside = _read_der(content, depth + 1) if (tag & 0x20 or tag == 4) and depth < 30 else []
        found.append((tag, inside or content))
    return found if at == len(data) else []


def _write_der(content: Any) -> bytes:
    return content if isinstance(content, bytes) else b"".join(tlv(tag, _write_der(inside)) for tag, inside in content)
