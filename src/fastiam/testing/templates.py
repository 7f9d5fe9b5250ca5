"""Templates of invariants: the files in `schema/templates`, and their parameters (T96).

A parameter that is a whole value may be a list or a mapping; inside a text it is a text. A list in a list is joined with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fastiam.errors import RequestValueError, did_you_mean

_FOLDER = "schema/templates"
_PARAMETER = re.compile(r"<([A-Za-z_][A-Za-z0-9_-]*)>")
OF_ORGANIZATION = ("org", "management", "source_arns")  # parameters that the organization of the policies gives


@dataclass(frozen=True, slots=True)
class Template:
    """A template.

    Attributes
    ----------
    text
        the file.
    parameters
        their descriptions; `defaults` has those that may be left out.
    invariants
        as in a test file.
    """

    name: str
    text: str
    description: str
    parameters: Mapping[str, str]
    defaults: Mapping[str, Any]
    invariants: Sequence[Mapping[str, Any]]


def template_names() -> list[str]:
    """Return the names of all templates, `FOLDER/NAME`."""
    folder = files("fastiam").joinpath(_FOLDER)
    return sorted(
        f"{group.name}/{file.name.removesuffix('.yaml')}"
        for group in folder.iterdir()
        if group.is_dir()
        for file in group.iterdir()
        if file.name.endswith(".yaml")
    )


@cache
def find_template(name: str) -> Template | None:
    """Return a template, or None: the package has none of this name."""
    if name not in template_names():
        return None
    import yaml

    text = files("fastiam").joinpath(_FOLDER, f"{name}.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    parameters = content.get("parameters", {})
    return Template(
        name,
        text,
        content["description"],
        {key: value["description"] for key, value in parameters.items()},
        {key: value["default"] for key, value in parameters.items() if "default" in value},
        content["invariants"],
    )


def expanded(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a value with its parameters replaced, once.

    Raises
    ------
    RequestValueError
        a parameter has no value, or is not a text inside a text.
    """
    if isinstance(value, str):
        whole = _PARAMETER.fullmatch(value)
        if whole is not None:
            return _value_of(whole[1], parameters)
        return _PARAMETER.sub(lambda found: _text_of(found[1], parameters), value)
    if isinstance(value, Mapping):
        return {expanded(key, parameters): expanded(item, parameters) for key, item in value.items()}
    if isinstance(value, Sequence):
        return list(_joined(value, parameters))
    return value


def _joined(items: Sequence[Any], parameters: Mapping[str, Any]) -> Iterator[Any]:
    for item in items:
        found = expanded(item, parameters)
        if isinstance(found, list) and not isinstance(item, list):
            yield from found
        else:
            yield found


def _value_of(name: str, parameters: Mapping[str, Any]) -> Any:
    if name not in parameters:
        raise RequestValueError(f"the parameter `{name}` has no value", column="with", hint=did_you_mean(name, parameters))
    return parameters[name]


def _text_of(name: str, parameters: Mapping[str, Any]) -> str:
    found = _value_of(name, parameters)
    if not isinstance(found, str):
        raise RequestValueError(f"the parameter `{name}` is a text here, not a list", column="with")
    return found


def without_empty_blocks(never: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scope without the blocks of `only_if` that compare with an empty list: nothing is allowed by them."""
    blocks = never.get("only_if")
    if not isinstance(blocks, list):
        return dict(never)
    kept = [one for one in blocks if not any(value == [] for entries in one.values() for value in entries.values())]
    return {**never, "only_if": kept}
