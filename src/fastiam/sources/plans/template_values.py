"""Values of a CloudFormation template: functions are replaced by their values as far as the template determines them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from fastiam.model.policy import PolicyKind
from fastiam.sources.plans.facts import unknown_statement
from fastiam.sources.plans.plan_values import UNKNOWN

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DYNAMIC = "{{resolve:"  # a reference to a parameter store or secret
NO_VALUE = object()  # `AWS::NoValue` removes a property
Attribute = Callable[[str, str], Any]  # the value of an attribute of a resource, "" for `Ref`


class GeneratedName(str):
    """The logical name of a user, group or role whose name CloudFormation generates."""

    __slots__ = ()


class TemplateValues:
    """Replaces the functions of a template.

    Parameters
    ----------
    known
        the values of parameters and pseudo parameters.
    attribute
        the attributes of resources.
    """

    def __init__(self, known: Mapping[str, Any], attribute: Attribute) -> None:
        self._known, self._attribute = known, attribute

    def resolved(self, value: Any) -> Any:
        """Return a value with `UNKNOWN` in place of each function without a known value, and without removed properties."""
        if isinstance(value, dict):
            if len(value) == 1:
                (name, argument), *_ = value.items()
                if name == "Ref" or name.startswith("Fn::"):
                    return self._called(name, argument)
            found = {name: self.resolved(item) for name, item in value.items()}
            return {name: item for name, item in found.items() if item is not NO_VALUE}
        if isinstance(value, list):
            return [item for item in map(self.resolved, value) if item is not NO_VALUE]
        return UNKNOWN if isinstance(value, str) and _DYNAMIC in value else value

    def _called(self, name: str, argument: Any) -> Any:
        if name == "Ref" and isinstance(argument, str):
            return self._reference(argument, "")
        if name == "Fn::GetAtt" and isinstance(argument, list) and len(argument) == 2 and all(map(_is_text, argument)):
            return self._reference(*argument)
        if name == "Fn::Sub":
            return self._substituted(argument)
        if name == "Fn::Join" and isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str):
            items = self.resolved(argument[1])
            is_known = isinstance(items, list) and all(map(_is_text, items))
            return argument[0].join(items) if is_known else UNKNOWN
        return UNKNOWN

    def _reference(self, name: str, attribute: str) -> Any:
        if not attribute and name in self._known:
            return self._known[name]
        return self._attribute(name, attribute)

    def _substituted(self, argument: Any) -> Any:
        text, own = argument, {}
        if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], dict):
            text, own = argument[0], {name: self.resolved(item) for name, item in argument[1].items()}
        if not isinstance(text, str) or _DYNAMIC in text:
            return UNKNOWN
        values: list[Any] = []

        def value_of(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            first, _, attribute = name.strip().partition(".")
            value = own[name] if name in own else self._reference(first, attribute)
            values.append(value)
            return str(value)

        made = _VARIABLE.sub(value_of, text)
        return made if all(map(_is_text, values)) else UNKNOWN


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, GeneratedName)


def has_unknown(value: Any) -> bool:
    """Whether any part of a value is unknown."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else value is UNKNOWN or isinstance(value, GeneratedName)


def without_unknown(document: Any, kind: PolicyKind, key: str) -> Any:
    """Return a document in which each statement with an unknown part may apply, or not, depending on an unknown key.

    What a statement has besides is kept, so that it can apply only to requests that these parts match.
    """
    if not isinstance(document, dict) or document.get("Statement") is UNKNOWN:
        return {"Version": "2012-10-17", "Statement": [unknown_statement(kind, effect, key) for effect in ("Allow", "Deny")]}
    statements = document.get("Statement", [])
    made: list[Any] = []
    for statement in statements if isinstance(statements, list) else [statements]:
        if not has_unknown(statement):
            made.append(statement)
            continue
        known = {name: item for name, item in statement.items() if not has_unknown(item)} if isinstance(statement, dict) else {}
        effects = [known.pop("Effect")] if "Effect" in known else ["Allow", "Deny"]
        made += [unknown_statement(kind, effect, key, known) for effect in effects]
    version = document.get("Version", "2008-10-17")
    return {"Version": "2012-10-17" if version is UNKNOWN else version, "Statement": made}
