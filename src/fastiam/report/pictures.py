"""What a report begins with: sentences, tables of numbers in shades, and graphs of paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_HEAT_ROWS: Final = 1_000
_PRINCIPAL = re.compile(r"arn:[^:]+:(?:iam|sts)::([0-9]*):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Names:
    """A cell with the number of some names, which are listed on demand."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One number of a heat map: `shade` is 0 to 1, and `names` are what it counts."""

    row: int
    column: int
    shade: float
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Numbers of names by row and column, most important first.

    Attributes
    ----------
    corner
        what the rows are.
    titles
        the whole name of each row.
    unit
        what the numbers count.
    """

    title: str
    note: str
    corner: str
    unit: str
    rows: Sequence[str]
    titles: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[HeatCell]


@dataclass(frozen=True, slots=True)
class Sentences:
    """Sentences in plain words, most important first. Text in backticks is shown as code."""

    title: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """A line of a graph from one node to another. `is_sure`: without conditions and assumptions."""

    source: str
    target: str
    label: str
    is_sure: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """Edges that lead to some targets, drawn from left to right."""

    title: str
    note: str
    edges: Sequence[GraphEdge]
    targets: Sequence[str]


Picture: TypeAlias = HeatMap | Sentences | Graph


def short_names(principals: Iterable[str]) -> dict[str, str]:
    """Return principals without what most of them share: `user/ana`; with the path or account where short names are equal."""
    known = list(dict.fromkeys(principals))
    parts = {name: match.groups() for name in known if (match := _PRINCIPAL.fullmatch(name))}
    own = Counter(account for account, _ in parts.values()).most_common(1)
    suffix = {name: "" if account == own[0][0] else f" ({account})" for name, (account, _) in parts.items()}
    last = {name: f"{rest.partition('/')[0]}/{rest.rpartition('/')[2]}{suffix[name]}" for name, (_, rest) in parts.items()}
    counts = Counter(last.values())
    found = {name: last[name] if counts[last[name]] == 1 else parts[name][1] + suffix[name] for name in parts}
    return {name: found.get(name, name) for name in known}


class Words:
    """All names of a report once, in order, so that a long list is a few ranges: `0-410,415`."""

    def __init__(self, names: Iterable[str]) -> None:
        self.all = sorted(set(names))
        self._number = {name: i for i, name in enumerate(self.all)}

    def ranges(self, names: Iterable[str]) -> str:
        """Return the numbers of names as ranges."""
        numbers = sorted({self._number[name] for name in names})
        found: list[list[int]] = []
        for number in numbers:
            if found and found[-1][1] == number - 1:
                found[-1][1] = number
            else:
                found.append([number, number])
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def shown_cells(heat: HeatMap) -> list[HeatCell]:
    """The cells of the rows that are in the report."""
    return [cell for cell in heat.cells if cell.row < MAX_HEAT_ROWS]


def heat_data(heat: HeatMap, words: Words) -> Mapping[str, object]:
    """The form of a heat map for the script."""
    return {
        "title": heat.title,
        "note": heat.note,
        "corner": heat.corner,
        "unit": heat.unit,
        "rows": list(heat.rows[:MAX_HEAT_ROWS]),
        "titles": list(heat.titles[:MAX_HEAT_ROWS]),
        "more": max(len(heat.rows) - MAX_HEAT_ROWS, 0),
        "columns": list(heat.columns),
        "cells": [
            [each.row, each.column, len(each.names), round(each.shade, 3), words.ranges(each.names)] for each in shown_cells(heat)
        ],
    }
