"""Condition entries as atoms: operator, relation, and values parsed for them (spec 4.2)."""

from __future__ import annotations

import re
from base64 import b64decode
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple

from fastiam.compile.layout import AtomFlag, Op, Relation
from fastiam.compile.pattern_text import Piece, Variable, pieces, utf8
from fastiam.kernel.plan.tables import is_base64, parse_address, parse_instant
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry


class Operator(NamedTuple):
    """A base operator as the kernel evaluates it."""

    op: Op
    relation: Relation = Relation.EQ
    negated: bool = False


OPERATORS: dict[str, Operator] = {
    "StringEquals": Operator(Op.STRING),
    "StringNotEquals": Operator(Op.STRING, negated=True),
    "StringEqualsIgnoreCase": Operator(Op.STRING_FOLD),
    "StringNotEqualsIgnoreCase": Operator(Op.STRING_FOLD, negated=True),
    "StringLike": Operator(Op.STRING_LIKE),
    "StringNotLike": Operator(Op.STRING_LIKE, negated=True),
    "NumericEquals": Operator(Op.NUMERIC),
    "NumericNotEquals": Operator(Op.NUMERIC, negated=True),
    "NumericLessThan": Operator(Op.NUMERIC, Relation.LT),
    "NumericLessThanEquals": Operator(Op.NUMERIC, Relation.LE),
    "NumericGreaterThan": Operator(Op.NUMERIC, Relation.GT),
    "NumericGreaterThanEquals": Operator(Op.NUMERIC, Relation.GE),
    "DateEquals": Operator(Op.DATE),
    "DateNotEquals": Operator(Op.DATE, negated=True),
    "DateLessThan": Operator(Op.DATE, Relation.LT),
    "DateLessThanEquals": Operator(Op.DATE, Relation.LE),
    "DateGreaterThan": Operator(Op.DATE, Relation.GT),
    "DateGreaterThanEquals": Operator(Op.DATE, Relation.GE),
    "Bool": Operator(Op.BOOL),
    "BinaryEquals": Operator(Op.BINARY),
    "IpAddress": Operator(Op.IP),
    "NotIpAddress": Operator(Op.IP, negated=True),
    "ArnEquals": Operator(Op.ARN),
    "ArnNotEquals": Operator(Op.ARN, negated=True),
    "ArnLike": Operator(Op.ARN),
    "ArnNotLike": Operator(Op.ARN, negated=True),
    "Null": Operator(Op.NULL),
}

_CHEAP_KEYS = ("aws:principal", "aws:resourceaccount", "aws:resourceorg", "aws:userid", "aws:username")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_TRUTHS = {"true": 1, "false": 0}
_NO_ADDRESS = bytes(16)
_V4_BLOCK = bytes(10) + b"\xff\xff" + bytes(4)
_EXACT = (Op.STRING, Op.STRING_FOLD)


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


def flags_of(entry: ConditionEntry, operator: Operator) -> int:
    """The flags of an atom."""
    flags = AtomFlag.NEGATED if operator.negated else 0
    if entry.if_exists:
        flags |= AtomFlag.IF_EXISTS
    return flags | (AtomFlag.U if entry.undetermined else 0)


def in_order(entries: tuple[ConditionEntry, ...]) -> tuple[ConditionEntry, ...]:
    """Return the entries of a block in the order of evaluation: first those that depend only on the principal or the owner."""
    return tuple(sorted(entries, key=lambda entry: not fold(entry.key).startswith(_CHEAP_KEYS)))


def in_search_order(op: Op, relation: Relation, values: list[Value]) -> tuple[list[Value], bool]:
    """Values in the order that the kernel reads, and whether it searches them by halves.

    Such values ascend, none is there twice, and no range is within another. What cannot be read is `U` however often it is
    there: it is one value, the last. Of values that are only less or greater, the outermost one decides.
    """
    if op in (Op.STRING, Op.STRING_FOLD, Op.STRING_LIKE, Op.ARN):
        if op not in _EXACT or any(value.has_variables or value.unresolved for value in values):
            return list(dict.fromkeys(values)), False
        if op is Op.STRING_FOLD and len(values) > 1:
            values = [value._replace(text=_folded(value.text)) for value in values]
        found = sorted(set(values), key=lambda value: (len(value.text), value.text))
        return found, len(found) > 1
    broken = [value for value in values if value.is_u][:1]
    readable = [value for value in values if not value.is_u]
    if op is Op.IP:
        found = _networks_apart(readable)
    elif op in (Op.BOOL, Op.NULL):
        return list({value.number: value for value in readable}.values()) + broken, False
    else:
        ascending = sorted({_rank(op, value): value for value in readable}.items(), key=itemgetter(0))
        found = [value for _, value in ascending]
        if relation is not Relation.EQ:
            found = found[-1:] if relation in (Relation.LT, Relation.LE) else found[:1]
    return found + broken, relation is Relation.EQ and len(found) > 1


def _folded(text: bytes) -> bytes:
    return utf8(fold(text.decode("utf-8", "surrogatepass")))


def _rank(op: Op, value: Value) -> tuple[Any, ...]:
    """By what numbers, dates and base64 ascend."""
    if op is Op.NUMERIC:
        return (Decimal(value.text.decode()),)
    if op is Op.DATE:
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


def read_value(text: str, op: Op, *, variables: bool) -> Parsed:
    """One policy value, parsed for its operator. What cannot be read is `U` (V18, C22)."""
    if op in (Op.STRING, Op.STRING_FOLD, Op.STRING_LIKE, Op.ARN):
        found = pieces(text, variables=variables, wildcards=op in (Op.STRING_LIKE, Op.ARN))
        broken = any(isinstance(piece, Variable) and piece.name is None for piece in found)
        return Parsed(tuple(found), unresolved=broken)
    if op in (Op.BOOL, Op.NULL):
        truth = _TRUTHS.get(text.lower()) if text.isascii() else None
        return Parsed((utf8(text),), number=truth or 0, is_u=truth is None)
    if op is Op.NUMERIC:
        return Parsed((utf8(text),), is_u=_NUMBER.fullmatch(text) is None)
    if op is Op.DATE:
        instant = parse_instant(utf8(text))
        return Parsed((b"",), is_u=True) if instant is None else Parsed((b"",), number=instant[0], nanos=instant[1])
    if op is Op.BINARY:
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
