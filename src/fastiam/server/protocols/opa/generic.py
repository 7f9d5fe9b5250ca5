"""The shape `generic`: principal, action, resource and context at JSON pointers of the input (G109)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from fastiam.model.session import Session
from fastiam.server.identity import Identity
from fastiam.server.json_pointer import Pointer, read_pointer
from fastiam.server.mapping import (
    MAX_ACTION,
    EntityMapper,
    EntityMapping,
    FactRules,
    Facts,
    Resource,
    ResourceType,
    config_error,
    facts,
    read_members,
    read_text,
)
from fastiam.server.protocols.opa.opa_section import PathSection

BARE: Final = "opa:context/"


class Query(NamedTuple):
    """What the engine is asked."""

    principal: str | Session
    name: str
    """The principal as text."""
    sent_id: str | None
    """The id of the subject, if the name does not show it."""
    action: str
    resource: str
    facts: Facts


class Generic:
    """A path of this shape, compiled.

    Raises
    ------
    SourceError
        a pointer is wrong, or a type is not configured.
    """

    def __init__(self, section: PathSection, mapping: EntityMapping, rules: FactRules, at: str) -> None:
        self._principal = read_pointer(section.principal, f"{at}.principal")
        self._action = read_pointer(section.action, f"{at}.action")
        self._context = read_pointer(section.context, f"{at}.context")
        self._rules = rules
        for name, known, key in (
            (section.subject_type, mapping.subjects, "subject_type"),
            (section.resource_type, mapping.resources, "resource_type"),
        ):
            if name is not None and name not in known:
                raise config_error(
                    f"`{name}` is not configured", f"{at}.{key}", f"add `[opa.{key.removesuffix('_type')}s.{name}]`"
                )
        self._types = section.subject_type or "", section.resource_type or ""
        self._resource, self._parts = _resource_pointers(section, mapping.resources.get(self._types[1]), f"{at}.resource")

    def query(self, input_: Any, mapper: EntityMapper, identity: Identity, now: datetime) -> Query:
        """The query in an input.

        Raises
        ------
        MappingError
            a part is missing, or cannot be mapped.
        """
        id_ = read_text(*_at(input_, self._principal))
        subject = mapper.subject(self._types[0], id_, None, identity, now, _place(self._principal))
        resource = self._read_resource(input_, mapper, identity)
        name = read_text(*_at(input_, self._action), MAX_ACTION)
        action = mapper.action_name(name, resource.type, _place(self._action))
        context = read_members(*_at(input_, self._context)) or {}
        tags = mapper.records.resource_tags
        stated = facts(identity, context, self._rules, stored_tags=lambda: tags(resource.arn))
        return Query(subject.principal, subject.name, mapper.sent_id(self._types[0], id_), action, resource.arn, stated)

    def _read_resource(self, input_: Any, mapper: EntityMapper, identity: Identity) -> Resource:
        if self._parts is None:
            id_ = read_text(*_at(input_, self._resource))
            return mapper.resource(self._types[1], id_, None, identity, _place(self._resource))
        type_ = mapper.mapping.resources[self._types[1]]
        parts: dict[str, str | None] = {}
        for name, pointer in self._parts.items():
            members, last, at = _at(input_, pointer)
            has_none = name in type_.absent and members.get(last) in (None, "")
            parts[name] = None if has_none else read_text(members, last, at)
        return mapper.resource_of_parts(type_, parts)


def _resource_pointers(section: PathSection, type_: ResourceType | None, at: str) -> tuple[Pointer, Mapping[str, Pointer] | None]:
    """The pointer to an id, or those to the parts of a resource."""
    template = None if type_ is None else type_.template
    if isinstance(section.resource, str):
        for name in () if template is None else template.names:
            if name not in ("id", "type"):
                hint = f'write a table: `resource = {{{name} = "/resource/{name}"}}`'
                raise config_error(f"there is no pointer to `{{{name}}}` of `{section.resource_type}`", at, hint)
        return read_pointer(section.resource, at), None
    if template is None:
        hint = "name a type in `resource_type`, whose `resource` has these placeholders"
        raise config_error("parts of a resource need a template", at, hint)
    parts = {name: read_pointer(pointer, f"{at}.{name}") for name, pointer in section.resource.items()}
    for name in template.names:
        if name not in parts and name != "type":
            raise config_error(f"there is no pointer to `{{{name}}}` of `{section.resource_type}`", at, f'add `{name} = "/…"`')
    for name in parts:
        if name not in template.names:
            raise config_error(
                f"`{section.resource_type}` has no `{{{name}}}`", f"{at}.{name}", "leave it out: two resources would be one"
            )
    return (), parts


def _place(pointer: Pointer) -> str:
    return "$." + ".".join(pointer)


def _at(value: Any, pointer: Sequence[str]) -> tuple[dict[str, Any], str, str]:
    """The object with the last name of a pointer, that name, and its place; an empty object if there is none."""
    for name in pointer[:-1]:
        value = value.get(name) if type(value) is dict else None
    return value if type(value) is dict else {}, pointer[-1], "$" + "".join(f".{name}" for name in pointer[:-1])
