"""The HTTP methods and paths of API Gateway, which are its actions and resources. `tools/rest_paths.py` generates the table."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=1)
def _table() -> dict[str, list[str]]:
    import orjson

    found: dict[str, list[str]] = orjson.loads((resources.files(__package__) / "rest_paths.json").read_bytes())
    return found


def rest_method(operation: str) -> str:
    """Return the HTTP method of an operation, "" for an unknown one."""
    return next(iter(_table().get(operation, ())), "").partition(" ")[0]


def rest_paths(operation: str) -> list[str]:
    """Return the paths of an operation of the first and the second version of the API, with parameters as `{restApiId}`."""
    return [row.partition(" ")[2] for row in _table().get(operation, ())]
