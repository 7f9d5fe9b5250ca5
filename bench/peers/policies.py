"""What adapters share: statements as plain parts. Standard library alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

PRINCIPAL_ARN = "aws:PrincipalArn"


class Statement(NamedTuple):
    """A statement of an identity policy. `conditions` are (operator, key, values), all of which must hold."""

    is_allow: bool
    is_not_action: bool
    actions: list[str]
    resources: list[str]
    conditions: list[tuple[str, str, list[str]]]


def statements(documents: list[dict[str, Any]]) -> Iterator[Statement]:
    """The statements of some policies, in the forms that the workloads use."""
    for document in documents:
        for one in document["Statement"]:
            negated = "NotAction" in one
            conditions = [
                (operator, key, _list(values))
                for operator, keys in one.get("Condition", {}).items()
                for key, values in keys.items()
            ]
            actions = _list(one["NotAction" if negated else "Action"])
            yield Statement(one["Effect"] == "Allow", negated, actions, _list(one["Resource"]), conditions)


def is_unconditional(documents: list[dict[str, Any]]) -> bool:
    """Whether no statement has a condition."""
    return not any(one.conditions for one in statements(documents))


def regex(patterns: list[str]) -> str:
    """One anchored expression for some patterns with `*` and `?`."""
    texts = (re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") for pattern in patterns)
    return "^(?:" + "|".join(texts) + ")$"


def meant(one: Statement, actions: list[str]) -> list[str]:
    """Those of some actions that a statement is about."""
    named = {action for action in actions if any(fnmatchcase(action, pattern) for pattern in one.actions)}
    return [action for action in actions if (action in named) is not one.is_not_action]


def is_literal(pattern: str) -> bool:
    """Whether a pattern stands for itself."""
    return "*" not in pattern and "?" not in pattern


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
