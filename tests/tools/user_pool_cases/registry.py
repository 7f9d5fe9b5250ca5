"""The table of cases of user pools, and what the functions that play them have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fastiam.sts import StsError

Row = dict[str, Any]
TABLE = json.loads((Path(__file__).parents[2] / "cases" / "cognito_user_pools.json").read_text())["cases"]
CASES: dict[str, Callable[[Row], Iterator[object]]] = {}


def case(function: Callable[[Row], Iterator[object]]) -> Callable[[Row], Iterator[object]]:
    CASES[function.__name__.partition("_")[0].upper()] = function
    return function


def outcome(called: Callable[[], object]) -> str:
    """`OK`, or the code of the error with its message."""
    try:
        called()
    except StsError as error:
        return f"{error.code}: {error.message}"
    return "OK"
