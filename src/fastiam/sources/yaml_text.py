"""Reads YAML text into the values of equivalent JSON text, with their positions.

Scalars are read as in JSON: `true`, `false`, `null`, and numbers as their text. All other scalars are text, so that the version
`2012-10-17` and account ids do not change. Aliases are refused, and tags except the functions of CloudFormation.
"""

from __future__ import annotations

import re
from typing import Any

from fastiam.errors import SourceError, pip_install
from fastiam.model.request import shorten
from fastiam.model.source_map import Path, Source, json_path
from fastiam.policy.json_text import JsonObject, JsonValue, Number
from fastiam.sources.located_values import LocatedValue, ParsedPolicies, Positions, SourceFile

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_TAGS = {kind: f"tag:yaml.org,2002:{short}" for kind, short in (("scalar", "str"), ("sequence", "seq"), ("mapping", "map"))}
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_yaml(name: str, data: bytes, policies: ParsedPolicies, *, functions: bool = False) -> LocatedValue:
    """Return the value of a YAML text. With `functions`, tags are the functions of a CloudFormation template in short form.

    Raises
    ------
    SourceError
        invalid YAML, an alias, more than one document, or PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise SourceError("YAML needs the package `pyyaml`", source=name, hint=pip_install("cli")) from None
    marks: Positions = {}
    try:
        root = yaml.compose(data.decode("utf-8-sig"), Loader=yaml.BaseLoader)
        _refuse_aliases(root, name)
        value = _value(root, (), marks, name, functions)
    except UnicodeDecodeError:
        raise SourceError("not UTF-8 text", source=name) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        raise SourceError(f"not YAML: {error.problem or error.context}", source=name, line=place[0], column=place[1]) from None
    except yaml.YAMLError as error:
        raise SourceError(f"not YAML: {error}".replace("\n", " "), source=name) from None
    except RecursionError:
        raise SourceError("brackets are nested too deeply", source=name) from None
    return LocatedValue(value, SourceFile(Source(name), marks, policies))


def _refuse_aliases(root: Any, name: str) -> None:
    """Refuse a node that occurs twice: with aliases, a short text can expand to an enormous document."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        children = getattr(node, "value", None)
        if not isinstance(children, list):
            continue
        if id(node) in seen:
            raise _at(node, "aliases are not supported", name)
        seen.add(id(node))
        for child in children:
            todo += child if isinstance(child, tuple) else (child,)


def _value(node: Any, path: Path, marks: Positions, name: str, functions: bool) -> JsonValue:
    if node is None:
        return None
    marks[json_path(path)] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if functions and node.tag.startswith("!"):
        return _function(node, path, marks, name)
    if node.tag != _TAGS[node.id]:
        raise _at(node, f"the tag `{shorten(node.tag)}` is not supported", name)
    return _content(node, path, marks, name, functions)


def _content(node: Any, path: Path, marks: Positions, name: str, functions: bool) -> JsonValue:
    if node.id == "mapping":
        return _mapping(node, path, marks, name, functions)
    if node.id == "sequence":
        return [_value(item, (*path, i), marks, name, functions) for i, item in enumerate(node.value)]
    return _scalar(node)


def _function(node: Any, path: Path, marks: Positions, name: str) -> JsonObject:
    """Return `!Sub text` as `{"Fn::Sub": "text"}`, and `!GetAtt A.B` as `{"Fn::GetAtt": ["A", "B"]}`."""
    called = node.tag.removeprefix("!")
    called = called if called in ("Ref", "Condition") else f"Fn::{called}"
    value = _content(node, (*path, called), marks, name, True)
    if called == "Fn::GetAtt" and isinstance(value, str):
        value = list(value.split(".", 1))
    return JsonObject({called: value})


def _mapping(node: Any, path: Path, marks: Positions, name: str, functions: bool) -> JsonObject:
    found = JsonObject()
    for key, item in node.value:
        if key.id != "scalar":
            raise _at(key, "a key must be text", name)
        if key.value in found:
            found.duplicates = (*found.duplicates, key.value)
        found[key.value] = _value(item, (*path, key.value), marks, name, functions)
    return found


def _scalar(node: Any) -> JsonValue:
    text: str = node.value
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return Number(text) if _NUMBER.fullmatch(text) else text


def _at(node: Any, message: str, name: str) -> SourceError:
    return SourceError(message, source=name, line=node.start_mark.line + 1, column=node.start_mark.column + 1)
