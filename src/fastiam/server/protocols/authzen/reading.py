"""Bodies and entities of AuthZEN requests: their form (G41, G43, G44), then what they mean for the engine (G63)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from fastiam.model.session import Session
from fastiam.server.http import Request
from fastiam.server.identity import Identity
from fastiam.server.mapping import (
    MAX_ACTION,
    NO_FACTS,
    EntityMapper,
    Facts,
    MappingError,
    Resource,
    Subject,
    check_members,
    facts,
    read_members,
    read_text,
)
from fastiam.server.strict_json import JsonError, JsonLimits, read_object

MAX_ITEMS: Final = 1_000
# items beyond the limit are counted after parsing, so that the answer names the limit of the protocol
_LIMITS: Final = JsonLimits(arrays={"evaluations": 1 << 20})
_CONTENT_TYPE: Final = b"content-type"

Fault = MappingError
Members = Mapping[str, Any]


def read_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request.

    Raises
    ------
    MappingError: `bad_content_type`, or a code of `JsonError`.
    """
    content_type = request.header(_CONTENT_TYPE)
    if content_type != b"application/json" and not _is_json(content_type):
        raise MappingError("bad_content_type", "the content type is not `application/json` in UTF-8", "content-type")
    try:
        return read_object(request.body, _LIMITS)
    except JsonError as error:
        raise MappingError(error.code, error.message, error.at) from None


def _is_json(value: bytes | None) -> bool:
    """Whether a media type is JSON, in any case, with any parameters but another charset than UTF-8 (G41)."""
    if value is None:
        return False
    media, *parameters = value.lower().split(b";")
    if media.strip() != b"application/json":
        return False
    charsets = [part.partition(b"=")[2].strip(b' \t"') for part in parameters if part.partition(b"=")[0].strip() == b"charset"]
    return all(charset == b"utf-8" for charset in charsets)


class Entity(NamedTuple):
    """A subject, action or resource as sent; an action has no type and its name is `id`."""

    type: str
    id: str
    properties: Members | None


def read_entity(raw: Any, kind: str, *, needs_id: bool = True) -> Entity:
    """Check the form of an entity.

    Parameters
    ----------
    kind : `subject`, `action` or `resource`.
    needs_id : False for the searched entity, whose id is ignored even if it is mistyped (G66).

    Raises
    ------
    MappingError: a code of form.
    """
    at = f"$.{kind}"
    if type(raw) is not dict:
        if raw is None:
            raise MappingError("missing", f"`{kind}` is missing", at)
        raise MappingError("bad_type", f"`{kind}` is not an object", at)
    if kind == "action":
        return Entity("", read_text(raw, "name", at, MAX_ACTION), read_members(raw, "properties", at))
    type_ = read_text(raw, "type", at)
    return Entity(type_, read_text(raw, "id", at) if needs_id else "", read_members(raw, "properties", at))


class Options(NamedTuple):
    """What a query states of itself, and what `decide_each` cannot take for each of many."""

    owner: str | None
    now: datetime | None
    unknown: tuple[str, ...]


class Query(NamedTuple):
    """One query for the engine."""

    request: tuple[str | Session, str, str, Mapping[str, Any]]
    """Principal, action, resource and context."""
    options: Options | None
    name: str
    """The principal as text."""
    ignored: list[str]


class Action(NamedTuple):
    """An action whose name may need the type of the resource."""

    name: str
    facts: Facts


class Reader:
    """Maps the entities of one request, each distinct object once (G65).

    The methods return a fault instead of raising it, because one entity may be in many items. A fault of form precedes one of
    meaning, whichever entity has it.
    """

    def __init__(self, mapper: EntityMapper, identity: Identity, now: datetime) -> None:
        self._mapper, self._identity, self._now = mapper, identity, now
        self._rules = mapper.mapping.context
        # by `id`: all objects are parts of the body, which outlives the reader
        self._subjects: dict[int, Subject | Fault] = {}
        self._actions: dict[int, Action | Fault] = {}
        self._resources: dict[int, Resource | Fault] = {}
        self._contexts: dict[int, Facts | Fault] = {}

    def subject(self, raw: Any) -> Subject | Fault:
        """The mapped subject."""
        found = self._subjects.get(id(raw))
        if found is None:
            found = self._subjects[id(raw)] = self._read_subject(raw)
        return found

    def _read_subject(self, raw: Any) -> Subject | Fault:
        try:
            if type(raw) is dict and raw.get("properties") is None:  # PERF: text that was mapped before has the right form
                type_, id_ = raw.get("type"), raw.get("id")
                if type(type_) is str and type(id_) is str:
                    found = self._mapper.subjects.get((type_, id_))
                    if found is not None:
                        return found
            entity = read_entity(raw, "subject")
            try:
                return self._mapper.subject(entity.type, entity.id, entity.properties, self._identity, self._now)
            except MappingError as error:
                return _form_first(error, entity.properties, "subject.properties")
        except MappingError as error:
            return error

    def action(self, raw: Any) -> Action | Fault:
        """The mapped action, without its prefix."""
        found = self._actions.get(id(raw))
        if found is None:
            found = self._actions[id(raw)] = self._read_action(raw)
        return found

    def _read_action(self, raw: Any) -> Action | Fault:
        try:
            entity = read_entity(raw, "action")
            try:
                return Action(entity.id, self._mapper.action(entity.properties) if entity.properties else NO_FACTS)
            except MappingError as error:
                return _form_first(error, entity.properties, "action.properties")
        except MappingError as error:
            return error

    def resource(self, raw: Any) -> Resource | Fault:
        """The mapped resource."""
        found = self._resources.get(id(raw))
        if found is None:
            found = self._resources[id(raw)] = self._read_resource(raw)
        return found

    def _read_resource(self, raw: Any) -> Resource | Fault:
        try:
            if type(raw) is dict and raw.get("properties") is None:  # PERF: as of subjects
                type_, id_ = raw.get("type"), raw.get("id")
                if type(type_) is str and type(id_) is str:
                    found = self._mapper.resources.get((type_, id_))
                    if found is not None:
                        return found
            entity = read_entity(raw, "resource")
            try:
                return self._mapper.resource(entity.type, entity.id, entity.properties, self._identity)
            except MappingError as error:
                return _form_first(error, entity.properties, "resource.properties")
        except MappingError as error:
            return error

    def context(self, raw: Any) -> Facts | Fault:
        """The facts of a context; those that depend on the resource are read again with it."""
        if raw is None:
            return NO_FACTS
        found = self._contexts.get(id(raw))
        if found is None:
            found = self._contexts[id(raw)] = self._read_context(raw, None)
        return found

    def _read_context(self, raw: Any, arn: str | None) -> Facts | Fault:
        if type(raw) is not dict:
            return MappingError("bad_type", "`context` is not an object", "$.context")
        try:
            if arn is None:
                return facts(self._identity, raw, self._rules)
            tags = self._mapper.records.resource_tags
            return facts(self._identity, raw, self._rules, stored_tags=lambda: tags(arn))
        except MappingError as error:
            return _form_first(error, raw, "context")

    def query(self, subject: Any, action: Any, resource: Any, context: Any) -> Query | Fault:
        """The query of four entities as sent."""
        who, what, on, given = self.subject(subject), self.action(action), self.resource(resource), self.context(context)
        if isinstance(who, Fault) or isinstance(what, Fault) or isinstance(on, Fault) or isinstance(given, Fault):
            return _first_fault(who, what, on, given)
        return self.combine(who, what, on, given, context)

    def combine(self, who: Subject, what: Action, on: Resource, given: Facts, context: Any) -> Query | Fault:
        """The query of mapped entities; `context` is as sent."""
        try:
            name = self._mapper.action_name(what.name, on.type)
        except MappingError as error:
            return error
        if given.reads_tags:
            read = self._read_context(context, on.arn)
            if isinstance(read, Fault):
                return read
            given = read
        if who.facts is NO_FACTS and what.facts is NO_FACTS and on.facts is NO_FACTS:
            values, ignored = given.context, given.ignored
        else:
            parts = (who.facts, what.facts, on.facts, given)
            try:
                values = _joined(parts, given)
            except MappingError as error:
                return error
            ignored = [one for part in parts for one in part.ignored]
        options = None
        if on.owner is not None or given.now is not None or given.unknown:
            options = Options(on.owner, given.now, given.unknown)
        return Query((who.principal, name, on.arn, values), options, who.ref.text, ignored)


def _joined(parts: tuple[Facts, ...], given: Facts) -> dict[str, Any]:
    """The contexts of several entities as one. Only tags of the resource can be in two of them."""
    if given.reads_tags:
        joined = Facts()
        for part in parts:
            joined.merge(part, "context")
        return joined.context
    values: dict[str, Any] = {}
    for part in parts:
        values.update(part.context)
    return values


def _first_fault(*parts: object) -> Fault:
    """The first fault of form, else the first of meaning."""
    found = [part for part in parts if isinstance(part, Fault)]
    return next((fault for fault in found if fault.is_form), found[0])


def _form_first(error: MappingError, members: Members | None, at: str) -> MappingError:
    """The fault of an entity: one of form in its members, even if the entity has one of meaning too (G63)."""
    if error.is_form or not members:
        return error
    try:
        check_members(members, at)
    except MappingError as found:
        return found if found.is_form else error
    return error
