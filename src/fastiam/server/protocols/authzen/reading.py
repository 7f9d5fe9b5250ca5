"""Bodies and entities of AuthZEN requests: their form (G41, G43, G44), then what they mean for the engine (G63)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from fastiam.model.key_registry import fold
from fastiam.model.session import Session
from fastiam.server._plain_batch import PlainBatch
from fastiam.server.http import Request
from fastiam.server.identity import ASSERT_TAGS, Identity
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
from fastiam.strict_json import JsonError, JsonLimits, read_object

MAX_ITEMS: Final = 1_000
# items beyond the limit are counted after parsing, so that the answer names the limit of the protocol
_LIMITS: Final = JsonLimits(arrays={"evaluations": 1 << 20})
_CONTENT_TYPE: Final = b"content-type"

Fault = MappingError
Members = Mapping[str, Any]
Defaults = tuple[Any, Any, Any, Any]
_Mapped = TypeVar("_Mapped")


def read_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; `check_content_type` precedes it.

    Raises
    ------
    MappingError
        a code of `JsonError`.
    """
    try:
        return read_object(request.body, _LIMITS)
    except JsonError as error:
        raise MappingError(error.code, error.message, error.at) from None


def check_content_type(request: Request) -> None:
    """Check that a request states JSON.

    Raises
    ------
    MappingError
        `bad_content_type`.
    """
    content_type = request.header(_CONTENT_TYPE)
    if content_type != b"application/json" and not _is_json(content_type):
        raise MappingError("bad_content_type", "the content type is not `application/json` in UTF-8", "content-type")


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
    kind
        `subject`, `action` or `resource`.
    needs_id
        False for the searched entity, whose id is ignored even if it is mistyped (G66).

    Raises
    ------
    MappingError
        a code of form.
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


Plain = tuple[str | Session, str, str, Mapping[str, Any]]
"""A query that states nothing of itself: principal, action, resource and context, as `decide_each` takes them."""


@dataclass(slots=True)
class Query:
    """A query with options, or with facts that are not used."""

    request: Plain
    options: Options | None
    ignored: list[str]


def plain_queries(plain: PlainBatch) -> list[Plain | Query | None]:
    """The queries that were read of a body; None for one that was not."""
    found, ignored = plain.requests(0, len(plain)), plain.ignored()
    if ignored is None:
        return list(found)
    return [
        request if request is None or not paths else Query(request, None, list(paths))
        for request, paths in zip(found, ignored, strict=True)
    ]


class Action(NamedTuple):
    """An action whose name may need the type of the resource."""

    name: str
    facts: Facts


class Reader:
    """Maps the entities of requests.

    The methods return a fault instead of raising it, because one entity may be in many items. A fault of form precedes one of
    meaning, whichever entity has it.
    """

    def __init__(self, mapper: EntityMapper, identity: Identity, now: datetime) -> None:
        self._mapper, self._identity, self._now = mapper, identity, now

    def subject(self, raw: Any) -> Subject | Fault:
        """The mapped subject."""
        found = _without_properties(raw, self._mapper.subjects)
        return self._read(raw, "subject", self._map_subject) if found is None else found

    def resource(self, raw: Any) -> Resource | Fault:
        """The mapped resource."""
        found = _without_properties(raw, self._mapper.resources)
        return self._read(raw, "resource", self._map_resource) if found is None else found

    def action(self, raw: Any) -> Action | Fault:
        """The mapped action, without its prefix."""
        return self._read(raw, "action", self._map_action)

    def context(self, raw: Any) -> Facts | Fault:
        """The facts of a context; those that depend on the resource are read again with it."""
        return NO_FACTS if raw is None else self._read_context(raw, None)

    def query(self, body: Members) -> Plain | Query | Fault:
        """The query of an evaluation as sent."""
        get = body.get
        subject, action, resource, context = get("subject"), get("action"), get("resource"), get("context")
        given = self.context(context)
        return self.combine(self.subject(subject), self.action(action), self.resource(resource), given, context)

    def plain(self, body: bytes, most: int = MAX_ITEMS) -> PlainBatch | None:
        """The requests of a batch from its bytes, as far as their entities and contexts have usual forms.

        Parameters
        ----------
        most
            items of the batch; 0: the body is one evaluation.

        Returns
        -------
        PlainBatch
            None for a body of another form. If it is not whole, the body must be read with `read_body`, too.
        """
        mapper = self._mapper
        keys = mapper.mapping.context.known(self._identity)
        tag_keys = mapper.tag_keys if ASSERT_TAGS in self._identity.scopes else None
        return mapper.bodies.read(body, most, keys, tag_keys, mapper.records.resource_tags, self)

    def _read(self, raw: Any, kind: str, to_map: Callable[[Entity], _Mapped]) -> _Mapped | Fault:
        try:
            entity = read_entity(raw, kind)
            try:
                return to_map(entity)
            except MappingError as error:
                return _form_first(error, entity.properties, f"{kind}.properties").as_value()
        except MappingError as error:
            return error.as_value()

    def plain_subject(self, type_: str, id_: str) -> Subject | Fault:
        """The subject of a type and id that have the right form."""
        try:
            return self._mapper.subject(type_, id_, None, self._identity, self._now)
        except MappingError as error:
            return error.as_value()

    def plain_resource(self, type_: str, id_: str) -> Resource | Fault:
        """The resource of a type and id that have the right form."""
        try:
            return self._mapper.resource(type_, id_, None, self._identity)
        except MappingError as error:
            return error.as_value()

    def _map_subject(self, entity: Entity) -> Subject:
        return self._mapper.subject(entity.type, entity.id, entity.properties, self._identity, self._now)

    def _map_resource(self, entity: Entity) -> Resource:
        return self._mapper.resource(entity.type, entity.id, entity.properties, self._identity)

    def _map_action(self, entity: Entity) -> Action:
        return Action(entity.id, self._mapper.action(entity.properties) if entity.properties else NO_FACTS)

    def _read_context(self, raw: Any, arn: str | None) -> Facts | Fault:
        if type(raw) is not dict:
            return MappingError("bad_type", "`context` is not an object", "$.context")
        rules = self._mapper.mapping.context
        try:
            if arn is None:
                return facts(self._identity, raw, rules)
            tags = self._mapper.records.resource_tags
            return facts(self._identity, raw, rules, stored_tags=lambda: tags(arn))
        except MappingError as error:
            return _form_first(error, raw, "context").as_value()

    def combine(
        self, who: Subject | Fault, what: Action | Fault, on: Resource | Fault, given: Facts | Fault, context: Any
    ) -> Plain | Query | Fault:
        """The query of mapped entities; `context` is as sent."""
        if isinstance(who, Fault) or isinstance(what, Fault) or isinstance(on, Fault) or isinstance(given, Fault):
            return _first_fault(who, what, on, given)
        try:
            name = self._mapper.action_name(what.name, on.type)
        except MappingError as error:
            return error.as_value()
        if given.reads_tags and self._mapper.records.resource_tags(on.arn):
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
                return error.as_value()
            ignored = [one for part in parts for one in part.ignored]
        plain = (who.principal, name, on.arn, values)
        unknown = given.unknown
        if who.facts.unknown:
            keys = set(map(fold, who.facts.context))
            unknown = (*who.facts.unknown, *(name for name in unknown if fold(name) not in keys))
        if on.owner is not None or given.now is not None or unknown:
            return Query(plain, Options(on.owner, given.now, unknown), ignored)
        return Query(plain, None, ignored) if ignored else plain


class BatchReader(Reader):
    """Maps the entities of many items, each distinct one once (G65)."""

    def __init__(self, mapper: EntityMapper, identity: Identity, now: datetime) -> None:
        super().__init__(mapper, identity, now)
        self._by_content: dict[Hashable, Any] = {}
        self._comparisons = 16  # contexts that are kept to be compared: where more differ, most do

    def queries(self, items: list[Any], defaults: Defaults, plain: PlainBatch | None = None) -> list[Plain | Query | Fault]:
        """The query of each item. An entity of an item replaces the default one as a whole (G61).

        Parameters
        ----------
        defaults
            subject, action, resource and context as sent; None: there is none.
        plain
            what was read of the body; its other items are read here.
        """
        default_subject, default_action, default_resource, default_context = defaults
        queries: list[Any] = [None] * len(items)
        missing: Sequence[int] = range(len(items))
        if plain is not None and len(plain) == len(items):
            queries, missing = plain_queries(plain), plain.missing
        before: tuple[Any, ...] = ()
        for i in missing:
            item = items[i]
            if type(item) is not dict:
                queries[i] = MappingError("bad_type", "the item is not an object", "$.evaluations")
                continue
            get = item.get
            subject, action, resource, context = get("subject"), get("action"), get("resource"), get("context")
            subject = default_subject if subject is None else subject
            action = default_action if action is None else action
            context = default_context if context is None else context
            if not before or subject is not before[0] or action is not before[1] or context is not before[2]:
                before = subject, action, context
                who, what, given = self.subject(subject), self.action(action), self.context(context)
            on = self.resource(default_resource if resource is None else resource)
            queries[i] = self.combine(who, what, on, given, context)
        return queries

    def context(self, raw: Any) -> Facts | Fault:
        """The facts of a context; those that depend on the resource are read again with it."""
        key = _content_key(raw) if self._comparisons else None
        if key is None:
            return super().context(raw)
        found: Facts | Fault | None = self._by_content.get(key)
        if found is None:
            self._comparisons -= 1
            found = self._by_content[key] = super().context(raw)
        return found

    def _read(self, raw: Any, kind: str, to_map: Callable[[Entity], _Mapped]) -> _Mapped | Fault:
        """Map an entity, once for equal ones."""
        key = _entity_key(raw, kind)
        found: _Mapped | Fault | None = None if key is None else self._by_content.get(key)
        if found is None:
            found = super()._read(raw, kind, to_map)
            if key is not None:
                self._by_content[key] = found
        return found


_SCALARS: Final = frozenset({str, bool, int, type(None)})


def _without_properties(raw: Any, mapped: Mapping[tuple[str, str], _Mapped]) -> _Mapped | None:
    """The entity of a type and id alone, if it was mapped before: it has the right form then."""
    try:
        return mapped.get((raw["type"], raw["id"])) if len(raw) == 2 else None
    except (TypeError, KeyError):
        return None


def sent_id(mapper: EntityMapper, raw: Any) -> str | None:
    """The id of a subject as sent, whose name in IAM does not show it; None for another one, and for what is not a subject."""
    if type(raw) is not dict or type(raw.get("type")) is not str or type(raw.get("id")) is not str:
        return None
    return mapper.sent_id(raw["type"], raw["id"])


def _entity_key(raw: Any, kind: str) -> Hashable | None:
    """What is equal for entities that map to the same; None if that cannot be compared."""
    if type(raw) is not dict:
        return None
    first, second = (None, raw.get("name")) if kind == "action" else (raw.get("type"), raw.get("id"))
    if type(second) is not str or (type(first) is not str and kind != "action"):
        return None
    properties = raw.get("properties")
    if properties is None:
        return kind, first, second
    key = _content_key(properties)
    return None if key is None else (kind, first, second, key)


def _content_key(members: Any) -> Hashable | None:
    """What is equal for equal contexts or properties of texts, truth values and integers; None for others.

    The types are part of it: `1` equals `True`.
    """
    if type(members) is not dict:
        return None
    kinds = tuple(map(type, members.values()))
    return (tuple(members.items()), kinds) if _SCALARS.issuperset(kinds) else None


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
