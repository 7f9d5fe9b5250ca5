"""Resource entries as patterns (spec 2.3): the field-wise reading, and where it could match more, the crossing one (R5)."""

from __future__ import annotations

from typing import NamedTuple

from fastiam.compile.layout import TOKEN_ONE, TOKEN_SLOT, TOKEN_STAR, PatternFlag, PatternKind
from fastiam.compile.texts import ONE, STAR, Piece, Variable, cut_fields, globbed, pieces

_MAX_COLON = 0xFFFF  # where the fifth colon may lie at most: kernels hold it in 16 bits


class Encoded(NamedTuple):
    """A pattern as the tables hold it. Its text is in pieces until variables are numbered."""

    kind: PatternKind
    flags: int = 0
    text: tuple[Piece, ...] = ()
    prefix: int = 0
    suffix: int = 0
    min_size: int = 0
    colons: tuple[int, ...] = (0, 0, 0, 0, 0)
    n_tokens: int = 0
    literal_fields: int = 0


def read_resource(text: str, *, variables: bool) -> tuple[Encoded, Encoded | None]:
    """The pattern of one entry, and the one of its crossing reading (R5). V25 comes first, then R1 (R2)."""
    if text and not text.strip("*"):
        return Encoded(PatternKind.ANY), None
    if not text.startswith("arn:"):
        return Encoded(PatternKind.ANY, PatternFlag.MATCH_IS_U), None
    written = cut_fields(text, variables=variables)
    padded = written + ["*"] * (6 - len(written))
    heads = [globbed(field) for field in padded[1:5]]
    rest = pieces(padded[5], variables=variables, wildcards=True)
    flags = 0
    if len(written) < 6 and not written[-1].endswith("*"):
        flags = PatternFlag.MATCH_IS_U  # R6, V26
    elif _is_mixed(rest):
        flags = PatternFlag.MATCH_IS_U_IN_IAM  # R9
    if any(isinstance(piece, Variable) and piece.name is None for piece in rest):
        return Encoded(PatternKind.UNRESOLVED), None
    head = b"arn:" + b":".join(heads) + b":"
    colons = _colons(heads)
    if colons[4] > _MAX_COLON:
        return Encoded(PatternKind.NEVER), None
    return _by_field(head, heads, rest, flags, colons), _crossing(written, heads, rest, colons)


def _colons(heads: list[bytes]) -> tuple[int, ...]:
    at = [3]
    for field in heads:
        at.append(at[-1] + 1 + len(field))
    return tuple(at)


def _is_mixed(rest: list[Piece]) -> bool:
    """Whether a wildcard stands together with text or a variable before the first `/` of field 6 (R9)."""
    has_token = has_other = False
    for piece in rest:
        word, slash, _ = (b"$", b"", b"") if isinstance(piece, Variable) else piece.partition(b"/")
        has_token |= STAR in word or ONE in word
        has_other |= any(byte < TOKEN_SLOT for byte in word)
        if slash:
            break
    return has_token and has_other


def _literal_fields(heads: list[bytes]) -> int:
    return sum(1 << i for i, field in enumerate(heads) if STAR not in field and ONE not in field)


def _by_field(head: bytes, heads: list[bytes], rest: list[Piece], flags: int, colons: tuple[int, ...]) -> Encoded:
    literal_fields = _literal_fields(heads)
    if any(isinstance(piece, Variable) for piece in rest):
        return Encoded(PatternKind.SLOTS, flags, (head, *rest), colons=colons, literal_fields=literal_fields)
    tail = rest[0] if rest else b""
    assert isinstance(tail, bytes)
    text = head + tail
    if literal_fields != 15:
        return Encoded(PatternKind.FIELDS, flags, (text,), colons=colons, literal_fields=literal_fields)
    tokens = [at for at, byte in enumerate(text) if byte >= TOKEN_ONE - 1]
    if not tokens:
        return Encoded(PatternKind.LITERAL, flags, (text,), colons=colons, literal_fields=15)
    prefix, suffix = tokens[0], len(text) - 1 - tokens[-1]
    is_one_star = len(tokens) == 1 and text[prefix] == TOKEN_STAR
    return Encoded(
        PatternKind.PREFIX if is_one_star and not suffix else PatternKind.TAIL,
        flags,
        (text,),
        prefix=prefix,
        suffix=suffix,
        min_size=sum(byte != TOKEN_STAR for byte in text),
        colons=colons,
        n_tokens=1 if is_one_star else 2,
        literal_fields=15,
    )


def _crossing(written: list[str], heads: list[bytes], rest: list[Piece], colons: tuple[int, ...]) -> Encoded | None:
    """The pattern as one string, if a star ends one of its fields 2 to 5. A short one has no field 6: `colons` are 0."""
    own = heads[: len(written) - 1]
    if not any(field.endswith(STAR) for field in own):
        return None
    if len(written) < 6:
        text = b"arn:" + b":".join(own)
        return Encoded(PatternKind.CROSS, PatternFlag.MATCH_IS_U, (text,))
    has_slots = any(isinstance(piece, Variable) for piece in rest)
    kind = PatternKind.CROSS_SLOTS if has_slots else PatternKind.CROSS
    return Encoded(kind, PatternFlag.MATCH_IS_U, (b"arn:" + b":".join(heads) + b":", *rest), colons=colons)
