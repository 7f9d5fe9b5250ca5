"""The actions whose use a log of CloudTrail does not show. `tools/log_events.py` generates the table."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, str]]:
    import orjson

    found: dict[str, dict[str, str]] = orjson.loads((resources.files(__package__) / "log_events.json").read_bytes())
    return found


@lru_cache(maxsize=1)
def data_events() -> frozenset[str]:
    """Return the actions, in lower case, that a trail records only as data events, or that CloudTrail records nowhere."""
    return _names("data_events")


@lru_cache(maxsize=1)
def not_recorded() -> frozenset[str]:
    """Return the actions, in lower case, that no published operation needs by its name."""
    return _names("not_recorded")


def _names(title: str) -> frozenset[str]:
    return frozenset(f"{prefix}:{name}".lower() for prefix, names in _table()[title].items() for name in names.split())
