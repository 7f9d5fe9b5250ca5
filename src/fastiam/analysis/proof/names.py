"""Cells of actions and resources: one name for each set of patterns that some name matches exactly."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from fastiam.analysis.proof.cells import (
    MAX_STATES,
    PatternAutomaton,
    Symbol,
    Symbols,
    cells,
    field_symbols,
    glob_symbols,
)
from fastiam.analysis.proof.key_values import Known, Starts
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.wildcards import matches_everything
from fastiam.spec.resource_patterns import ResourcePattern, read_pattern
from fastiam.spec.variables import Variable, resolve
from fastiam.spec.wildcards import Wildcard, ascii_lower, read_glob

T = TypeVar("T")
K = TypeVar("K")
_SEPARATOR: Symbol = ":"
_ANY_LETTER = "x"  # how `cells` writes a character that no pattern expects


Element = tuple[str, ...]  # the values of one `Action` or `NotAction`


@dataclass(frozen=True, slots=True, eq=False)
class ActionCell:
    """The actions that the same elements match. `action` is one of them; `elements` have a pattern that matches it."""

    action: str
    elements: frozenset[Element]
    prefix: PartCell
    name: PartCell


@dataclass(frozen=True, slots=True, eq=False)
class PartCell:
    """The prefixes, or the names, that the same groups of globs match. `text` is one of them; `groups` are numbers."""

    text: str
    groups: tuple[int, ...]
    automaton: PatternAutomaton
    accepted: int

    def contains(self, text: str) -> bool:
        """Whether a text is in the cell."""
        return self.automaton.match(text) == self.accepted


def action_cells(
    elements: Iterable[Element],
    max_states: int = MAX_STATES,
    *,
    is_of_interest: Callable[[str], bool] = lambda _: True,
) -> list[ActionCell]:
    """Return the cells of elements of actions (A1, A2), the shortest names first.

    Patterns that are not of interest split no cell: they match no action of interest.

    Prefix and name are matched separately, so that the cells of prefixes come first. The pattern `*`, which matches each name,
    and malformed patterns (A3) split no cell.

    Raises
    ------
    ProofLimitError
        there are too many states.
    """
    readable = {element: tuple(filter(None, map(_split, filter(is_of_interest, element)))) for element in elements}
    prefixes = list(dict.fromkeys(prefix for pairs in readable.values() for prefix, _ in pairs))
    found: list[ActionCell] = []
    for prefix in _part_cells([(text,) for text in prefixes], max_states):
        matching = {prefixes[number] for number in prefix.groups}
        elements_of: dict[str, dict[Element, None]] = {}
        for element, pairs in readable.items():
            for of_prefix, name in pairs:
                if of_prefix in matching:
                    elements_of.setdefault(name, {})[element] = None
        names_of = _grouped(elements_of)
        for name_cell in _part_cells(list(names_of.values()), max_states):
            matched = frozenset(element for number in name_cell.groups for element in list(names_of)[number])
            found.append(ActionCell(f"{prefix.text}:{name_cell.text}", matched, prefix, name_cell))
    return sorted(found, key=lambda cell: (len(cell.action), cell.action))


def _grouped(elements_of: Mapping[T, Mapping[K, None]]) -> dict[frozenset[K], list[T]]:
    """Group patterns that are part of the same elements: only whether one of them matches is of interest."""
    found: dict[frozenset[K], list[T]] = {}
    for pattern, elements in elements_of.items():
        found.setdefault(frozenset(elements), []).append(pattern)
    return found


def _split(pattern: str) -> tuple[str, str] | None:
    parts = None if matches_everything(pattern) else split_action_pattern(pattern)
    return None if parts is None else (ascii_lower(parts[0]), ascii_lower(parts[1]))


def _part_cells(groups: Sequence[Sequence[str]], max_states: int) -> list[PartCell]:
    patterns = [[glob_symbols(read_glob(text)) for text in group] for group in groups]
    automaton = PatternAutomaton(patterns)
    found = cells(patterns, is_allowed=_is_action_letter, may_be_empty=False, max_states=max_states)
    return [
        PartCell(text, tuple(number for number in range(len(groups)) if accepted >> number & 1), automaton, accepted)
        for accepted, text in found.items()
    ]


def _is_action_letter(char: str) -> bool:
    return char not in ":*?" and not char.isspace() and not "A" <= char <= "Z"


@dataclass(frozen=True, slots=True)
class BoundPattern:
    """A resource pattern of a statement.

    Attributes
    ----------
    known, starts
        of its variables, as in `BoundStatement`.
    crosses
        a match that is undetermined counts (F3), so that wildcards may cross fields (R5).
    """

    text: str
    variables: bool
    known: Known = ()
    starts: Starts = ()
    crosses: bool = False

    @property
    def is_opaque(self) -> bool:
        """Whether a variable of it has no known value."""
        return bool(self.variable_names() - {name for name, _ in self.known})

    def variable_names(self) -> frozenset[str]:
        """Return the folded names of its variables; none if one is malformed, so that the pattern never resolves (V29)."""
        if not self.variables or "${" not in self.text or not self.text.startswith("arn:"):
            return frozenset()
        names = [one.name for one in self._read().variables]
        return frozenset() if None in names else frozenset(name for name in names if name is not None)

    def _read(self) -> ResourcePattern:
        return read_pattern(self.text, self.variables)

    @property
    def excludes_iam(self) -> bool:
        """Whether it certainly matches no resource of the service `iam`, which has a rule of its own (R9)."""
        return not self.crosses and self._is_arn and self._read().mixed_type

    @property
    def _is_arn(self) -> bool:
        return self.text.startswith("arn:")

    def symbols(self) -> list[Symbols]:
        """Return the patterns of ARNs that it matches, certainly or possibly as `crosses` says.

        They are the match by fields (R3, R4) and the match that crosses fields (R5). A variable without a known value is `*`,
        which matches whatever its value matches.
        """
        if matches_everything(self.text) or not self._is_arn:
            return []
        read = self._read()
        rest: list[Symbol] = []
        context = {name: value for name, value in self.known if value is not None}
        names = {name for name, _ in self.known}
        for token in read.rest:
            if not isinstance(token, Variable):
                rest += glob_symbols((token,))
            elif token.name is not None and token.name not in names:
                rest.append(Wildcard.ANY)
            else:
                text = resolve(token, context)
                if text is None:
                    return []  # VR8: no ARN matches
                rest += text
        found = [_joined([field_symbols(field) for field in read.fields], tuple(rest))]
        if not self.crosses:
            return [] if read.padded else found  # R6
        if any(field and field[-1] is Wildcard.ANY for field in read.fields[: read.n_written - 1]):
            crossing = [_crossing(field) for field in read.fields[: read.n_written - 1]]
            found.append(_joined(crossing, tuple(rest) if read.n_written == 6 else None))
        return found


def _joined(fields: Iterable[Symbols], rest: Symbols | None) -> Symbols:
    found: list[Symbol] = list("arn")
    for field in fields:
        found += (_SEPARATOR, *field)
    return tuple(found) if rest is None else (*found, _SEPARATOR, *rest)


def _crossing(field: tuple[str | Wildcard, ...]) -> Symbols:
    symbols = field_symbols(field)
    return (*symbols[:-1], Wildcard.ANY) if field and field[-1] is Wildcard.ANY else symbols


@lru_cache(maxsize=50_000)
def arn_symbols(*fields: str) -> Symbols:
    """Return the pattern of ARNs with these fields, which are globs."""
    *heads, rest = (read_glob(field) for field in fields)
    return _joined(map(field_symbols, heads), glob_symbols(rest))


def resource_cells(
    elements: Iterable[Sequence[BoundPattern]],
    partitions: Collection[str],
    more: Iterable[Symbols] = (),
    universe: Collection[Symbols] = (),
    within: Collection[Symbols] = (),
    max_states: int = MAX_STATES,
) -> list[str]:
    """Return one ARN for each set of elements that an ARN of these partitions matches exactly, the shortest first.

    Parameters
    ----------
    elements
        the patterns of each `Resource` or `NotResource`.
    more
        further patterns that split cells.
    universe
        the ARNs of interest; empty: all.
    within
        an ARN of interest matches one of these patterns too; empty: all.

    Raises
    ------
    ProofLimitError
        there are too many states.
    """
    asked = list(universe) or [arn_symbols(partition, "*", "*", "*", "*") for partition in partitions]
    needed = [list(within)] if within else []
    alone: dict[Symbols, None] = dict.fromkeys(more)
    elements_of: dict[Symbols, dict[int, None]] = {}
    for number, element in enumerate(elements):
        for pattern in element:
            if pattern.is_opaque or pattern.excludes_iam:
                alone |= dict.fromkeys(pattern.symbols())
            else:
                for symbols in pattern.symbols():
                    elements_of.setdefault(symbols, {})[number] = None
            if pattern.excludes_iam:
                alone[arn_symbols("*", "iam", "*", "*", "*")] = None
    groups = [*needed, asked, *((symbols,) for symbols in alone), *_grouped(elements_of).values()]
    both = (1 << len(needed) + 1) - 1
    found = cells(groups, required=1, max_states=max_states)
    texts = {text: accepted for accepted, text in found.items() if accepted & both == both}
    automaton = PatternAutomaton(groups)
    in_order = sorted(texts, key=lambda text: (":aws:" in text[8:], len(text), text))
    return [_common(text, texts[text], automaton) for text in in_order]


def _common(text: str, accepted: int, automaton: PatternAutomaton) -> str:
    """Return an ARN of the same cell with a Region and an account that exist, if it has any Region or account."""
    fields = text.split(":", 5)
    for number, value in ((3, "us-east-1"), (4, "123456789012")):
        changed = ":".join((*fields[:number], value, *fields[number + 1 :]))
        if fields[number] == _ANY_LETTER and automaton.match(changed) == accepted:
            fields[number] = value
    return ":".join(fields)
