"""A plain evaluator of `Filter.to_dict`: what a program that reads this form has to write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastiam.spec.operators import OPERATORS, compare
from fastiam.spec.three_valued import T


def evaluate(node: Any, row: Mapping[str, str | None]) -> bool:
    """Whether a row of texts and nulls satisfies a filter."""
    if isinstance(node, bool):
        return node
    if "all" in node:
        return all(evaluate(part, row) for part in node["all"])
    if "any" in node:
        return any(evaluate(part, row) for part in node["any"])
    if "not" in node:
        return not evaluate(node["not"], row)
    if "null" in node:
        return row[node["null"]] is None
    text = _text(node["text"], row)
    return text is not None and _holds(node, text, row)


def _text(parts: list[Any], row: Mapping[str, str | None]) -> str | None:
    texts = [row[part["column"]] if isinstance(part, dict) else part for part in parts]
    return None if None in texts else "".join(texts)


def _holds(node: Any, text: str, row: Mapping[str, str | None]) -> bool:
    if "in" in node:
        return text in node["in"]
    if "starts" in node:
        return text.startswith(tuple(node["starts"]))
    if "matches" in node:
        return re.fullmatch(node["matches"], text, re.DOTALL) is not None
    if "readable" in node:
        return OPERATORS[node["readable"]].read_context(text) is not None
    if "operator" in node:
        return compare(OPERATORS[node["operator"]], text, tuple(node["values"]), False, {}) is T
    other = _text(node["equals_text"] if "equals_text" in node else node["starts_with_text"], row)
    if other is None:
        return False
    return text == other if "equals_text" in node else text.startswith(other)
