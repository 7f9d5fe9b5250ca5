"""Cells: all sets of patterns that some text matches exactly, each with a text that shows it.

The product of the automata of all patterns is searched breadth first. A state is the set of positions that are live in any
pattern, as one integer. Characters that no live position expects behave alike, so that one of them stands for all.
INVARIANT: two texts of one cell match the same patterns, and each subset that some text matches has a cell.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

from fastiam.model.key_registry import fold_char
from fastiam.spec.wildcards import Glob, Wildcard

MAX_STATES = 60_000
_PREFERRED = "xyzabcdefghijklmnopqrstuvw0123456789"


class ProofLimitError(Exception):
    """A proof needs more states, combinations or time than its limits allow. The text is the reason."""


class FieldWildcard(Enum):
    """Wildcards that match no colon (R4, C60)."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Folded:
    """A character that matches each character with the same simple case folding (4.2)."""

    char: str


Symbol = str | Wildcard | FieldWildcard | Folded  # a `str` is one character
Symbols = tuple[Symbol, ...]
_ASCII_CLASSES = {"k": ("k", "K", "\u212a"), "s": ("s", "S", "\u017f")}  # with letters beyond ASCII
_STARS = (Wildcard.ANY, FieldWildcard.ANY)


def glob_symbols(glob: Glob) -> Symbols:
    """Return a glob character by character."""
    found: list[Symbol] = []
    for token in glob:
        found.extend(token if isinstance(token, str) else (token,))
    return tuple(found)


def field_symbols(glob: Glob) -> Symbols:
    """Return a glob of one ARN field, in which wildcards match no colon."""
    return tuple(FieldWildcard(one.value) if isinstance(one, Wildcard) else one for one in glob_symbols(glob))


def folded_symbols(text: str) -> Symbols:
    """Return the symbols of a text that is compared without case."""
    return tuple(Folded(fold_char(char)) for char in text)


@cache
def fold_classes() -> Mapping[str, tuple[str, ...]]:
    """Return all characters by their simple case folding, where more than one has it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for code in range(0x110000):
        char = chr(code)
        folded = fold_char(char)
        if folded != char:
            found[folded].append(char)
    return {folded: (folded, *chars) for folded, chars in found.items()}


class PatternAutomaton:
    """Groups of patterns, matched against a text together. Bit `i` of an accepted set: a pattern of group `i` matches.

    After a pattern that ends with `*` has matched, its group matches each longer text, so that its other patterns are dropped.
    PERF: without this, patterns such as `*Contact*` multiply the states by two each.
    """

    def __init__(self, groups: Sequence[Collection[Symbols]]) -> None:
        self._exact: dict[str, int] = {}
        self._folded: dict[str, int] = {}
        self._one = self._one_field = self._star = self._star_field = self._start = 0
        self._finals = 0
        self._group_of: dict[int, int] = {}  # by final position
        self._bodies: list[int] = []
        self._permanent: list[tuple[int, int, int]] = []  # in the last `*`, all of the group, the one to keep
        place = 0
        for number, patterns in enumerate(groups):
            first, lasts = place, 0
            for pattern in patterns:
                self._start |= 1 << place
                before: Symbol | None = None
                for symbol in pattern:
                    if symbol in _STARS and symbol is before:
                        continue
                    self._add(symbol, 1 << place)
                    before = symbol
                    place += 1
                if before is Wildcard.ANY:
                    lasts |= 1 << (place - 1)
                self._finals |= 1 << place
                self._group_of[place] = number
                place += 1
            body = (1 << place) - (1 << first)
            self._bodies.append(body)
            if lasts:
                self._permanent.append((lasts, body, lasts & -lasts))
        self._all_stars = self._star | self._star_field
        self.start = self._closure(self._start)

    def _add(self, symbol: Symbol, bit: int) -> None:
        if isinstance(symbol, str):
            self._exact[symbol] = self._exact.get(symbol, 0) | bit
        elif isinstance(symbol, Folded):
            self._folded[symbol.char] = self._folded.get(symbol.char, 0) | bit
        elif symbol is Wildcard.ONE:
            self._one |= bit
        elif symbol is Wildcard.ANY:
            self._star |= bit
        elif symbol is FieldWildcard.ONE:
            self._one_field |= bit
        else:
            self._star_field |= bit

    def _closure(self, states: int) -> int:
        """Add the positions after each star, which can match the empty text, and drop those that do not matter."""
        while True:
            further = states | (states & self._all_stars) << 1
            if further == states:
                break
            states = further
        for lasts, body, kept in self._permanent:
            if states & lasts:
                states = states & ~body | kept | kept << 1
        return states

    def step(self, states: int, char: str) -> int:
        """Return the live positions after one more character."""
        advancing = self._one | self._exact.get(char, 0)
        if self._folded:
            advancing |= self._folded.get(fold_char(char), 0)
        staying = self._star
        if char != ":":
            advancing |= self._one_field
            staying |= self._star_field
        return self._closure((states & advancing) << 1 | states & staying)

    def accepted(self, states: int) -> int:
        """Return the groups that match the text read so far."""
        left, found = states & self._finals, 0
        while left:
            last = left.bit_length() - 1
            found |= 1 << self._group_of[last]
            left ^= 1 << last
        return found

    def match(self, text: str) -> int:
        """Return the groups that match a text."""
        states = self.start
        for char in text:
            states = self.step(states, char)
        return self.accepted(states)

    def positions(self, groups: int) -> int:
        """Return all positions of some groups."""
        return sum(body for number, body in enumerate(self._bodies) if groups >> number & 1)

    def letters(self, states: int, is_allowed: Callable[[str], bool], needed: int = 0) -> Iterator[str]:
        """Yield one character of each kind that the live positions distinguish; with `needed`, those that keep one of it live."""
        needed &= states
        if needed and not needed & (self._one | self._star | self._one_field | self._star_field) and not self._folded:
            # PERF: the texts begin alike
            yield from sorted(char for char, bits in self._exact.items() if bits & needed and is_allowed(char))
            return
        expected = {char for char, bits in self._exact.items() if bits & states}
        for char, bits in self._folded.items():
            if bits & states:
                expected.update(fold_class(char))
        if states & (self._one_field | self._star_field):
            expected.add(":")
        yield from (char for char in _other_letters(expected) if is_allowed(char))
        yield from sorted(filter(is_allowed, expected))


def remainders(pattern: Symbols, start: str) -> Iterator[Symbols]:
    """Yield patterns of the texts that, after `start`, make a text that a pattern matches: one of them matches such a text."""
    kept = [one for number, one in enumerate(pattern) if not (one in _STARS and number and one is pattern[number - 1])]
    automaton = PatternAutomaton([[tuple(kept)]])
    states = automaton.start
    for char in start:
        states = automaton.step(states, char)
    yield from (tuple(kept[place:]) for place in range(len(kept) + 1) if states >> place & 1)


def fold_class(char: str) -> tuple[str, ...]:
    """Return all characters with this simple case folding."""
    if char.isascii():  # PERF: without a pass over Unicode
        return _ASCII_CLASSES.get(char, (char, char.upper()))
    return fold_classes().get(char, (char,))


def _other_letters(expected: set[str]) -> Iterator[str]:
    """Yield one character that no position expects."""
    for char in _PREFERRED:
        if char not in expected:
            yield char
            return
    code = 0x100
    while chr(code) in expected:
        code += 1
    yield chr(code)


def cells(
    groups: Sequence[Collection[Symbols]],
    *,
    required: int = 0,
    is_allowed: Callable[[str], bool] = lambda _: True,
    may_be_empty: bool = True,
    max_states: int = MAX_STATES,
) -> dict[int, str]:
    """Return the sets of groups that some text matches exactly, each with one of its shortest texts.

    Parameters
    ----------
    groups
        patterns; a text matches a group if it matches one of them.
    required
        a text must match one of these groups; 0 for any text.
    is_allowed
        characters that a text may contain. All but a finite number must be allowed.

    Raises
    ------
    ProofLimitError
        the product has more than `max_states` states.
    """
    automaton = PatternAutomaton(groups)
    needed = automaton.positions(required) if required else 0
    found = {automaton.start: ""} if may_be_empty else {}  # by live positions
    todo = deque(((automaton.start, ""),))
    while todo:
        states, text = todo.popleft()
        for char in automaton.letters(states, is_allowed, needed):
            following = automaton.step(states, char)
            if following in found or needed and not following & needed:
                continue
            if len(found) >= max_states:
                raise ProofLimitError(f"patterns with more than {max_states:,} states")
            found[following] = text + char
            todo.append((following, text + char))
    matched: dict[int, str] = {}
    for states, text in found.items():
        accepted = automaton.accepted(states)
        if not required or accepted & required:
            matched.setdefault(accepted, text)
    return matched
