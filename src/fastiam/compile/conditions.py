"""Condition entries as atoms: operator, relation, and values parsed for them (spec 4.2)."""

from __future__ import annotations

import re
from base64 import b64decode
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple

from fastiam.compile.layout import AtomFlag
from fastiam.compile.pattern_text import Piece, Variable, pieces, utf8
from fastiam.kernel.plan.tables import is_base64, parse_address, parse_instant
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry
from fastiam.policy.conditions.operators import TEXT_COMPARISONS, BaseOperator, Comparison, Relation

_CHEAP_KEYS = ("aws:principal", "aws:resourceaccount", "aws:resourceorg", "aws:userid", "aws:username")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_TRUTHS = {"true": 1, "false": 0}
_NO_ADDRESS = bytes(16)
_V4_BLOCK = bytes(10) + b"\xff\xff" + bytes(4)


class Parsed(NamedTuple):
    """A policy value; `text` is in pieces until variables are numbered."""

    text: tuple[Piece, ...]
    number: int = 0
    nanos: int = 0
    is_u: bool = False
    unresolved: bool = False
    address: bytes = _NO_ADDRESS


class Value(NamedTuple):
    """A policy value as the tables take it: variables are numbered."""

    text: bytes
    number: int
    nanos: int
    is_u: bool
    has_variables: bool
    unresolved: bool
    address: bytes


def flags_of(entry: ConditionEntry, operator: BaseOperator) -> int:
    """The flags of an atom."""
    flags = AtomFlag.NEGATED if operator.negated else 0
    if entry.if_exists:
        flags |= AtomFlag.IF_EXISTS
    return flags | (AtomFlag.U if entry.undetermined else 0)


def in_order(entries: tuple[ConditionEntry, ...]) -> tuple[ConditionEntry, ...]:
    """Return the entries of a block in the order of evaluation: first those that depend only on the principal or the owner."""
    return tuple(sorted(entries, key=lambda entry: not fold(entry.key).startswith(_CHEAP_KEYS)))


def in_search_order(operator: BaseOperator, values: list[Value]) -> tuple[list[Value], bool]:
    """Values in the order that the kernel reads, and whether it searches them by halves.

    Such values ascend, none is there twice, and no range is within another. What cannot be read is `U` however often it is
    there: it is one value, the last. Of values that are only less or greater, the outermost one decides.
    """
    if operator.comparison in TEXT_COMPARISONS:
        if operator.wildcards or any(value.has_variables or value.unresolved for value in values):
            return list(dict.fromkeys(values)), False
        if operator.comparison is Comparison.STRING_FOLD and len(values) > 1:
            values = [value._replace(text=_folded(value.text)) for value in values]
        found = sorted(set(values), key=lambda value: (len(value.text), value.text))
        return found, len(found) > 1
    broken = [value for value in values if value.is_u][:1]
    readable = [value for value in values if not value.is_u]
    if operator.family == "ip":
        found = _networks_apart(readable)
    elif operator.family in ("bool", "null"):
        return list({value.number: value for value in readable}.values()) + broken, False
    else:
        ascending = sorted({_rank(operator.family, value): value for value in readable}.items(), key=itemgetter(0))
        found = [value for _, value in ascending]
        if operator.relation is not Relation.EQ:
            found = found[-1:] if operator.relation in (Relation.LT, Relation.LE) else found[:1]
    return found + broken, operator.relation is Relation.EQ and len(found) > 1


def _folded(text: bytes) -> bytes:
    return utf8(fold(text.decode("utf-8", "surrogatepass")))


def _rank(family: str, value: Value) -> tuple[Any, ...]:
    """By what numbers, dates and base64 ascend."""
    if family == "numeric":
        return (Decimal(value.text.decode()),)
    if family == "date":
        return value.number, value.nanos
    data = b64decode(value.text)
    return len(data), data


def _networks_apart(values: list[Value]) -> list[Value]:
    """Ranges by where they begin, none within another.

    One of IPv6 around the block of IPv4 has nothing of that (C52): it becomes the ranges beside the block.
    """
    found: list[Value] = []
    apart = (part for value in values for part in _without_v4(_without_host(value)))
    for network in sorted(apart, key=lambda network: (network.address, network.number)):
        if not found or _without_host(network._replace(number=found[-1].number)).address != found[-1].address:
            found.append(network)
    return found


def _without_v4(network: Value) -> list[Value]:
    if network.number >= 96 or _without_host(network._replace(address=_V4_BLOCK)).address != network.address:
        return [network]
    block = int.from_bytes(_V4_BLOCK)
    beside = ((size, block ^ (1 << (128 - size))) for size in range(network.number + 1, 97))
    return [_without_host(network._replace(number=size, address=number.to_bytes(16))) for size, number in beside]


def _without_host(network: Value) -> Value:
    """A range by its first address."""
    rest = 128 - network.number
    return network._replace(address=((int.from_bytes(network.address) >> rest) << rest).to_bytes(16))


def read_value(text: str, operator: BaseOperator, *, variables: bool) -> Parsed:
    """One policy value, parsed for its operator. What cannot be read is `U` (V18, C22)."""
    if operator.comparison in TEXT_COMPARISONS:
        found = pieces(text, variables=variables, wildcards=operator.wildcards)
        broken = any(isinstance(piece, Variable) and piece.name is None for piece in found)
        return Parsed(tuple(found), unresolved=broken)
    if operator.family in ("bool", "null"):
        truth = _TRUTHS.get(text.lower()) if text.isascii() else None
        return Parsed((utf8(text),), number=truth or 0, is_u=truth is None)
    if operator.family == "numeric":
        return Parsed((utf8(text),), is_u=_NUMBER.fullmatch(text) is None)
    if operator.family == "date":
        instant = parse_instant(utf8(text))
        return Parsed((b"",), is_u=True) if instant is None else Parsed((b"",), number=instant[0], nanos=instant[1])
    if operator.family == "binary":
        return Parsed((utf8(text),), is_u=not is_base64(utf8(text)))
    return _read_network(text)


def _read_network(text: str) -> Parsed:
    """An address, or a range with its prefix counted in 128 bits (C50, C52)."""
    host, slash, prefix = text.partition("/")
    address = parse_address(utf8(host))
    if address is None or (slash and not _PREFIX.fullmatch(prefix)):
        return Parsed((b"",), is_u=True)
    bits = 128
    if slash:
        bits = int(prefix) + (0 if ":" in host else 96)
    if bits > 128:
        return Parsed((b"",), is_u=True)
    return Parsed((b"",), number=bits, address=address)
