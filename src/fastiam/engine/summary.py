"""`Summary`, the counts over one or more batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fastiam.errors import counted
from fastiam.model.decision import Layer, Outcome, StatementRef
from fastiam.model.request import shorten
from fastiam.model.result import Result

_T = TypeVar("_T")
MAX_VALUES = 100  # of one key
OUTCOME_NAMES = {
    Outcome.ALLOW: "allow",
    Outcome.IMPLICIT_DENY: "implicit deny",
    Outcome.EXPLICIT_DENY: "explicit deny",
    Outcome.DEPENDS: "depends",
    Outcome.ERROR: "error",
}


@dataclass(frozen=True, slots=True)
class UnreadableValues(Result):
    """Values of a condition key that tests of statements cannot read (C22): a Deny with such a test applies, an Allow does not.

    Attributes
    ----------
    key
        the condition key.
    kind
        what the tests read it as: `number`, `date`, `boolean`, `base64 text`, `IP address` or `ARN`.
    rows
        how many rows that are not allowed have such a value.
    values
        the first 100 of the distinct values.
    """

    key: str
    kind: str
    rows: int
    values: tuple[str, ...]

    def __str__(self) -> str:
        n, article = len(self.values), {"base64 text": "", "IP address": "an ", "ARN": "an "}.get(self.kind, "a ")
        what, example = f"cannot be read as {article}{self.kind}", f"`{shorten(self.values[0], 60)}`"
        if n == 1:
            return f"`{self.key}`: {example} {what}"
        many = f"{MAX_VALUES} or more" if n >= MAX_VALUES else str(n)
        return f"`{self.key}`: {many} values {what}, such as {example}"


@dataclass(frozen=True, slots=True)
class Summary(Result):
    """Counts over one batch, or over several added together.

    Attributes
    ----------
    rows
        how many requests.
    outcomes, layers
        rows by outcome and, with reasons, by deciding layer.
    denies
        explicitly denied rows by reported statement, with reasons.
    depends_on
        rows with outcome DEPENDS by their deciding keys, with reasons.
    missing_keys
        keys that statements read and no column supplied, with the rows concerned.
    assumed_owner
        rows whose resource owner was assumed (D23).
    unknown_principal
        rows denied because the directory has no record of the principal, with reasons.
    first_errors
        messages of the first rows with outcome ERROR.
    unreadable
        values of condition keys that tests cannot read, by key and kind. Frames and files have it, `Decisions` alone does not.
    ignored_columns
        of a frame, the columns that are neither part of the request nor a key, since no key lacks a `:`.
    """

    rows: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    layers: Mapping[Layer, int] = field(default_factory=dict)
    denies: Mapping[StatementRef, int] = field(default_factory=dict)
    depends_on: Mapping[str, int] = field(default_factory=dict)
    missing_keys: Mapping[str, int] = field(default_factory=dict)
    assumed_owner: int = 0
    unknown_principal: int = 0
    first_errors: tuple[str, ...] = ()
    unreadable: tuple[UnreadableValues, ...] = ()
    ignored_columns: tuple[str, ...] = ()

    def __add__(self, other: Summary) -> Summary:
        return Summary(
            self.rows + other.rows,
            _sum(self.outcomes, other.outcomes),
            _sum(self.layers, other.layers),
            _sum(self.denies, other.denies),
            _sum(self.depends_on, other.depends_on),
            _sum(self.missing_keys, other.missing_keys),
            self.assumed_owner + other.assumed_owner,
            self.unknown_principal + other.unknown_principal,
            (self.first_errors + other.first_errors)[:3],
            _joined(self.unreadable, other.unreadable),
            tuple(dict.fromkeys((*self.ignored_columns, *other.ignored_columns))),
        )

    def __str__(self) -> str:
        denies: Counter[str] = Counter()
        for ref, n in self.denies.items():
            denies[f"{ref.policy} {ref.label} ({ref.layer})"] += n
        lines = [counted(self.rows, "row")]
        lines += self._block("outcomes", {OUTCOME_NAMES[outcome]: n for outcome, n in self.outcomes.items()})
        lines += self._block("decided in layer", {str(layer): n for layer, n in self.layers.items()})
        lines += self._block("top deny statements", denies)
        lines += self._block("depends on", self.depends_on)
        lines += self.missing_lines()
        lines += self._block("values that tests cannot read", {str(one): one.rows for one in self.unreadable})
        if self.assumed_owner:
            lines.append(f"owner assumed: {counted(self.assumed_owner, 'row')}")
        if self.unknown_principal:
            lines.append(f"principal not in the directory: {counted(self.unknown_principal, 'row')}")
        lines += [f"error: {message}" for message in self.first_errors]
        more_errors = self.outcomes.get(Outcome.ERROR, 0) - len(self.first_errors)
        if self.first_errors and more_errors > 0:
            lines.append(f"and {counted(more_errors, 'more row')} with errors")
        if self.ignored_columns:
            more = len(self.ignored_columns) - 10
            names = [f"`{shorten(name, 40)}`" for name in self.ignored_columns[:10]] + ([f"{more} more"] if more > 0 else [])
            lines.append(f"columns without `:`, which are not keys: {', '.join(names)}")
        return "\n".join(lines)

    def missing_lines(self) -> list[str]:
        """The lines about keys that statements read and no request has."""
        return self._block("keys read but never supplied", self.missing_keys)

    def _block(self, title: str, counts: Mapping[str, int]) -> list[str]:
        """The largest ten counts under a title, or nothing."""
        largest = Counter(counts).most_common(10)
        return [f"{title}:", *(f"  {n:>12,}  {n / self.rows:6.1%}  {name}" for name, n in largest)] if largest else []


def _sum(one: Mapping[_T, int], two: Mapping[_T, int]) -> dict[_T, int]:
    return dict((Counter(one) + Counter(two)).most_common())


def _joined(one: tuple[UnreadableValues, ...], two: tuple[UnreadableValues, ...]) -> tuple[UnreadableValues, ...]:
    found = {(each.key, each.kind): each for each in one}
    for each in two:
        other = found.get((each.key, each.kind))
        if other is not None:
            values = tuple(dict.fromkeys((*other.values, *each.values)))[:MAX_VALUES]
            each = UnreadableValues(each.key, each.kind, other.rows + each.rows, values)
        found[each.key, each.kind] = each
    return tuple(found.values())
