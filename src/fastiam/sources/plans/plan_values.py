"""Values of a Terraform plan: each is known, absent, or known only after apply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from fastiam.errors import SourceError
from fastiam.model.arn import Arn, split_arn
from fastiam.sources.located_values import LocatedValue


class Side(Enum):
    """A side of a change, named as in the plan."""

    BEFORE = "before"
    AFTER = "after"


class Unknown(Enum):
    """The value of an attribute that is known only after apply."""

    UNKNOWN = "known after apply"


UNKNOWN: Final = Unknown.UNKNOWN
_STEP = re.compile(r'(?:[^.\["]|\[(?:"(?:\\.|[^"\\])*"|[^\]"])*\])+')  # of an address: a name with the key of its instance


class Configuration:
    """The expressions of a plan: which attributes the configuration sets, and what they refer to."""

    def __init__(self, plan: LocatedValue) -> None:
        self._expressions: dict[str, dict[str, Any]] = {}
        self.n_providers = 0
        self.has_default_tags = plan.get("configuration") is None
        self.region: str | None = None
        node = plan.get("configuration")
        if node is None:
            return
        providers = node.get("provider_config")
        for _, provider in providers.members() if providers is not None else ():
            if (provider.text_of("full_name") or provider.text_of("name") or "").rpartition("/")[2] == "aws":
                self.n_providers += 1
                expressions = _plain(_plain(provider.value).get("expressions"))
                self.has_default_tags |= "default_tags" in expressions
                region = _plain(expressions.get("region")).get("constant_value")
                self.region = region if isinstance(region, str) and self.n_providers == 1 else None
        root = node.get("root_module")
        if root is not None:
            self._read_module(root, "")

    def _read_module(self, module: LocatedValue, prefix: str) -> None:
        for resource in module.list_of("resources"):
            expressions = resource.get("expressions")
            self._expressions[prefix + resource.need("address").text()] = {} if expressions is None else _plain(expressions.value)
        calls = module.get("module_calls")
        for name, call in calls.members() if calls is not None else ():
            if call.get("module") is not None:
                self._read_module(call.need("module"), f"{prefix}module.{name}.")

    def sets(self, address: str, attribute: str) -> bool:
        """Whether the configuration of a resource sets an attribute; True if the plan does not contain the configuration."""
        expressions = self._expressions.get(_without_keys(address))
        return expressions is None or attribute in expressions

    def reference(self, address: str, attribute: str) -> str | None:
        """Return the only attribute of another resource that an expression names, `module.m.aws_iam_policy.p.arn`, or None.

        A template or a function around the reference does not show in a plan.
        """
        expression = self._expressions.get(_without_keys(address), {}).get(attribute)
        names = expression.get("references") if isinstance(expression, dict) else None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            return None
        longest = str(max(names, key=len))
        if not all(longest == name or longest.startswith((f"{name}.", f"{name}[")) for name in names):
            return None
        return _module_of(address) + longest


class PlannedResource:
    """A resource of a plan with the values of both sides."""

    def __init__(self, node: LocatedValue, configuration: Configuration) -> None:
        self.node, self._configuration = node, configuration
        self.address, self.type = node.need("address").text(), node.need("type").text()
        self._change = node.need("change")
        self.actions = [action.text() for action in self._change.list_of("actions")]
        self.is_removed_from_state = self.actions == ["forget"]  # it is removed from the state only
        unknown = self._change.get("after_unknown")
        self._unknown = unknown.value if unknown is not None and isinstance(unknown.value, dict) else {}

    def exists(self, side: Side) -> bool:
        """Whether the resource exists on a side. A resource without values exists after the plan if it is created."""
        if side is Side.AFTER and self.is_removed_from_state:
            return self.exists(Side.BEFORE)
        return self._change.get(side.value) is not None or (side is Side.AFTER and bool(self._unknown))

    def value(self, side: Side, attribute: str) -> LocatedValue | Unknown | None:
        """Return an attribute; None if it is absent or null."""
        if side is Side.AFTER and self.is_removed_from_state:
            side = Side.BEFORE
        elif side is Side.AFTER and _has_true(self._unknown.get(attribute)):
            return UNKNOWN
        values = self._change.get(side.value)
        found = None if values is None else values.get(attribute)
        return None if found is not None and found.value in ("", []) else found

    def text(self, side: Side, attribute: str) -> str | Unknown | None:
        """Return a text attribute; None if it is absent, null or empty."""
        found = self.value(side, attribute)
        return found.text() if isinstance(found, LocatedValue) else found

    def sets(self, attribute: str) -> bool:
        """Whether the configuration sets an attribute, so that an unknown value is not a default of AWS."""
        return self._configuration.sets(self.address, attribute)

    def differs(self, attribute: str) -> bool:
        """Whether both sides have known values that differ, or a new resource has one. The configuration has set them then.

        Blocks of a `dynamic` block are not in the configuration of a plan.
        """
        found = [self.value(side, attribute) for side in Side]
        if UNKNOWN in found:
            return self._unknown.get(attribute) is not True
        before, after = (each.value if isinstance(each, LocatedValue) else None for each in found)
        return before != after

    def reference(self, attribute: str) -> tuple[str, str] | None:
        """Return address and attribute of the only reference of an expression, or None."""
        found = self._configuration.reference(self.address, attribute)
        address, dot, name = (found or "").rpartition(".")
        return (address, name) if dot else None

    def arns(self) -> Iterator[Arn]:
        """Yield the ARNs of the resource itself on both sides."""
        if not self.type.startswith("aws_"):
            return
        for side in Side:
            found = self.value(side, "arn")
            arn = split_arn(found.value) if isinstance(found, LocatedValue) and isinstance(found.value, str) else None
            if arn is not None:
                yield arn

    def place(self) -> str:
        """Return file, line and column of the change."""
        line, column = self.node.place()
        return f"{self.node.source.name}:{line}:{column}"

    def error(self, message: str) -> SourceError:
        """Return an error with the position of the resource."""
        return self.node.error(f"`{self.address}`: {message}")


def _plain(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _has_true(value: Any) -> bool:
    """Whether any part of a value is unknown."""
    if isinstance(value, dict):
        return any(map(_has_true, value.values()))
    return any(map(_has_true, value)) if isinstance(value, list) else value is True


def _without_keys(address: str) -> str:
    """Return an address without the keys of instances: `module.a["x"].aws_iam_role.r[0]` is `module.a.aws_iam_role.r`."""
    return ".".join(step.partition("[")[0] for step in _STEP.findall(address))


def _module_of(address: str) -> str:
    """Return the module of a resource with its final dot, `module.a["x"].`, or ""."""
    steps = _STEP.findall(address)
    n = 0
    while steps[n : n + 1] == ["module"]:
        n += 2
    return "".join(f"{step}." for step in steps[:n])
