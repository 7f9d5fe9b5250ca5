"""Pieces of a grant, and their intersection with the layers that limit it.

A piece has one pattern for the action and one for the resource. If an intersection is not a list of such pairs, the piece stays
as it is and records the layer in `limits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fastiam.analysis.access.applicable_statements import ApplicableStatement
from fastiam.analysis.access.grants import Limit
from fastiam.analysis.pattern_sets import PatternSet
from fastiam.model.decision import Layer
from fastiam.model.policy import ConditionEntry

_MAX_PIECES = 64  # if a layer adds more pieces to a grant, it becomes a limit of the whole pieces


@dataclass(frozen=True)
class LimitLevel:
    """One level of a layer that must allow a request."""

    layer: Layer
    level: int
    allows: tuple[ApplicableStatement, ...]

    def as_limit(self, statements: Iterable[ApplicableStatement]) -> Limit:
        """Return its public form with some of its statements."""
        return Limit(self.layer, self.level, tuple(one.as_grant_statement() for one in statements))


@dataclass
class GrantPiece:
    """Requests with an action of one set and a resource of one set."""

    action: PatternSet
    resource: PatternSet
    conditions: tuple[ConditionEntry, ...]
    limits: tuple[Limit, ...] = ()


def limited_pieces(pieces: list[GrantPiece], levels: Iterable[LimitLevel]) -> list[GrantPiece]:
    """Return what the levels leave of some pieces."""
    for level in levels:
        narrowed = [piece for one in pieces for piece in _intersect(one, level)]
        if len(narrowed) > _MAX_PIECES + len(pieces):
            narrowed = [piece for one in pieces for piece in _with_limit(one, level)]
        pieces = narrowed
    return pieces


def _intersect(piece: GrantPiece, level: LimitLevel) -> Iterator[GrantPiece]:
    """Yield the parts of a piece that a level allows. Of two patterns the narrower one remains if it is a subset."""
    relevant = [one for one in level.allows if one.intersects(piece.action, piece.resource)]
    if any(one.covers(piece.action, piece.resource) for one in relevant):
        yield piece
        return
    narrowed: list[GrantPiece] = []
    for one in relevant:
        found = _intersection(piece, one)
        if found is None:
            yield from _with_limit(piece, level)
            return
        narrowed += found
    yield from narrowed


def _with_limit(piece: GrantPiece, level: LimitLevel) -> Iterator[GrantPiece]:
    """Yield the whole piece with the level as a limit, unless the level covers or excludes it."""
    relevant = [one for one in level.allows if one.intersects(piece.action, piece.resource)]
    if any(one.covers(piece.action, piece.resource) for one in relevant):
        yield piece
    elif relevant:
        yield replace(piece, limits=(*piece.limits, level.as_limit(relevant)))


def _intersection(piece: GrantPiece, statement: ApplicableStatement) -> list[GrantPiece] | None:
    """Return the pieces that a piece and a statement have in common; None if they are not pairs of single patterns."""
    if statement.not_actions or statement.not_resources or not statement.is_certain:
        return None
    actions = _common_patterns(piece.action, statement.actions)
    resources = _common_patterns(piece.resource, statement.resources)
    if actions is None or resources is None:
        return None
    conditions = (*piece.conditions, *(entry for entry in statement.conditions if entry not in piece.conditions))
    return [GrantPiece(action, resource, conditions, piece.limits) for action in actions for resource in resources]


def _common_patterns(one: PatternSet, others: tuple[PatternSet, ...]) -> list[PatternSet] | None:
    common = []
    for other in others:
        if one.is_subset_of(other):
            return [one]
        if not one.intersects(other):
            continue
        if not other.is_subset_of(one):
            return None
        common.append(other)
    return common
