"""One list of fields: store, engine file, export, reader and JSON Schema have the fields of the record types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, is_dataclass, make_dataclass
from datetime import datetime
from importlib.resources import files
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from complete_directory import everything

import fastiam
from fastiam.directory.directory_export import plain_record
from fastiam.directory.format_fields import POOL_PARTS, SECTIONS, Section, format_fields
from fastiam.directory.record_codec import codec_of, from_text, to_text
from fastiam.directory.record_fields import RecordField
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.source_map import Source
from fastiam.policy.json_text import parse_json
from fastiam.sources import directory_format
from fastiam.sources.located_values import LocatedValue, SourceFile
from fastiam.sources.record_values import read_record

SCHEMA = json.loads(files("fastiam").joinpath("schema/directory-v1.json").read_text())
NOT_FIELDS = {"managed_policies": {"document"}, "user_pools": set(POOL_PARTS)}  # names of other things than fields of the record


def resolve(node: dict) -> dict:
    while "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"}
    return node


def items_of(lists: dict, name: str) -> dict:
    return resolve(lists["properties"][name]["items"])


POOL = items_of(SCHEMA, "user_pools")
LISTS = [
    pytest.param(section, items_of(SCHEMA, name), NOT_FIELDS.get(name, set()), id=name) for name, section in SECTIONS.items()
]
LISTS += [pytest.param(section, items_of(POOL, name), set(), id=f"user_pools.{name}") for name, section in POOL_PARTS.items()]


def has_type(node: dict, hint: Any) -> bool:
    """Whether a node of the schema allows the JSON type of a field, and has the same fields where it is a record."""
    node, arguments = resolve(node), [each for each in get_args(hint) if each is not NoneType]
    if get_origin(hint) in (Union, UnionType):
        return has_type(node, arguments[0])
    if StoredPolicy in (hint, *arguments) or any(StoredPolicy in get_args(each) for each in arguments):
        return "anyOf" in node or node["type"] in ("array", "object", ["object", "string"])
    if "enum" in node:
        return hint is str
    if is_dataclass(hint):
        return has_fields(node, format_fields(hint))
    if get_origin(hint) is tuple:
        return node["type"] == "array" and has_type(node["items"], arguments[0])
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        values = [node["additionalProperties"]] if node["additionalProperties"] else list(node["properties"].values())
        return node["type"] == "object" and all(has_type(value, arguments[1]) for value in values)
    return node["type"] == {str: "string", datetime: "string", bool: "boolean", int: "integer"}[hint]


def has_fields(node: dict, known: tuple[RecordField, ...], more: set[str] = frozenset()) -> bool:
    properties, required = node["properties"], {each.name for each in known if each.default is MISSING}
    assert properties.keys() - more == {each.name for each in known}
    assert node["additionalProperties"] is False
    assert set(node.get("required", ())) == required - ({"default_version", "versions"} if "document" in more else set())
    for each in known:
        assert has_type(properties[each.name], each.type), each
        default = properties[each.name].get("default", each.default)
        assert default == each.default or each.default is MISSING, each
    return True


@pytest.mark.parametrize(("section", "node", "more"), LISTS)
def test_schema_has_the_fields_of_the_record_types(section: Section, node: dict, more: set[str]):
    assert has_fields(node, section.fields, more)


def test_schema_has_every_list_of_the_format():
    assert SCHEMA["properties"].keys() - {"format", "version", "organization"} == SECTIONS.keys()
    assert resolve(SCHEMA["properties"]["organization"])["properties"].keys() == set(directory_format._ORGANIZATION)


@pytest.mark.parametrize("name", SECTIONS)
def test_complete_directory_has_every_field(name):
    """So that the tests of the format see each of them written and read."""
    whole, section = json.loads(everything().to_json()), SECTIONS[name]
    written = [record for other, each in SECTIONS.items() if each.record is section.record for record in whole[other]]
    assert {each.name for each in section.fields} <= {key for record in written for key in record}


@dataclass(frozen=True)
class Inner:
    """A record inside a record."""

    word: str
    when: datetime | None = None


def test_new_field_reaches_store_export_and_import(monkeypatch):
    """A field that is added to a record type needs no other code."""
    fields = [("name", str), ("new", Mapping[str, tuple[Inner, ...]], field(default_factory=dict)), ("seen", int | None, None)]
    kind: Any = make_dataclass("Record", fields, frozen=True)
    record = kind("a", {"x": (Inner("w", datetime.fromisoformat("2026-01-31T12:00:00+00:00")), Inner("v"))}, 3)
    codec = codec_of(kind)
    assert from_text(codec, to_text(codec, record)) == record
    text = json.dumps(plain_record(record))
    file = SourceFile(Source("new", text))
    assert read_record(LocatedValue(parse_json(text, file.source), file), kind) == record
    assert read_record(LocatedValue({"name": "a"}, file), kind) == kind("a")


def test_export_with_a_session_duration_of_zero_keeps_it(tmp_path):
    role = {"arn": "arn:aws:iam::111111111111:role/r", "max_session_duration": 0}
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"format": "fastiam-directory", "version": 1, "roles": [role]}))
    assert json.loads(fastiam.load(path).to_json())["roles"] == [role]
