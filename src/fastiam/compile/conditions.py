"""Condition entries as atoms: operator, relation, and values parsed for them (spec 4.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

from fastiam._build import is_base64, parse_address, parse_instant
from fastiam.compile.layout import AtomFlag, Op, Relation
from fastiam.compile.texts import Piece, Variable, pieces, utf8
from fastiam.keys import fold
from fastiam.model import ConditionEntry


class Operator(NamedTuple):
    """What a base operator means to the kernel."""

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

_TOLD_AHEAD = ("aws:principal", "aws:resourceaccount", "aws:resourceorg", "aws:userid", "aws:username")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_TRUTHS = {"true": 1, "false": 0}
_NO_ADDRESS = bytes(16)
_V4 = bytes(10) + b"\xff\xff"


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
    has_slots: bool
    unresolved: bool
    address: bytes


def flags_of(entry: ConditionEntry, operator: Operator) -> int:
    """The flags of an atom."""
    flags = AtomFlag.NEGATED if operator.negated else 0
    if entry.if_exists:
        flags |= AtomFlag.IF_EXISTS
    return flags | (AtomFlag.U if entry.undetermined else 0)


def in_order(entries: tuple[ConditionEntry, ...]) -> tuple[ConditionEntry, ...]:
    """The entries of a block as they are looked at: first those that are told by who asks, or by who owns the resource."""
    return tuple(sorted(entries, key=lambda entry: not fold(entry.key).startswith(_TOLD_AHEAD)))


def in_search_order(op: Op, values: list[Value]) -> list[Value] | None:
    """Values as the kernel finds one by halving: ascending, none twice, no range within another.

    None where each must be looked at.
    """
    if len(values) < 2 or any(value.is_u or value.has_slots or value.unresolved for value in values):
        return None
    if op is Op.STRING:
        return sorted(set(values), key=lambda value: (len(value.text), value.text))
    return _networks_apart(values) if op is Op.IP else None


def _networks_apart(values: list[Value]) -> list[Value] | None:
    """Ranges by where they begin. A range of IPv6 that lies around those of IPv4 has nothing of theirs (C52): None."""
    found: list[Value] = []
    for network in sorted(map(_without_host, values), key=lambda network: (network.address, network.number)):
        if found and _without_host(network._replace(number=found[-1].number)).address == found[-1].address:
            if _is_v4(network) != _is_v4(found[-1]):
                return None
        else:
            found.append(network)
    return found


def _without_host(network: Value) -> Value:
    """A range by its first address."""
    rest = 128 - network.number
    return network._replace(address=((int.from_bytes(network.address) >> rest) << rest).to_bytes(16))


def _is_v4(network: Value) -> bool:
    return network.number >= 96 and network.address.startswith(_V4)


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
