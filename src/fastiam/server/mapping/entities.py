"""Subjects, actions and resources of requests, mapped to IAM over the records of one generation (G49 to G57, G75, G76)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from fastiam.directory.principal_refs import PrincipalRef, parse_principal
from fastiam.errors import RequestValueError
from fastiam.model.key_registry import fold
from fastiam.model.profile import ROLES
from fastiam.model.request import canonical_text, check_resource
from fastiam.model.session import Session
from fastiam.server._plain_batch import PlainReader
from fastiam.server.identity import ASSERT_SESSION, ASSERT_TAGS, Identity
from fastiam.server.mapping.entity_types import BUILT_IN, EntityMapping, ResourceType, SubjectType
from fastiam.server.mapping.facts import MAX_KEYS, NO_FACTS, FactKind, Facts, Key, read_key, read_owner
from fastiam.server.mapping.faults import MappingError
from fastiam.server.mapping.forms import MAX_ACTION, MAX_ID
from fastiam.server.mapping.known import KnownRecords
from fastiam.server.mapping.member_values import MAX_VALUE, Value, member_values, text_of
from fastiam.server.mapping.request_principals import (
    SESSION_MEMBERS,
    named_principal,
    read_principal,
    role_session,
    stated_session,
    tagged_session,
)

_KEPT: Final = 8_192  # ids that are cached; all are dropped when there are more
_MAX_KEPT_ID: Final = 256
_MAX_TAG_KEYS: Final = 1_024
_NOTHING: Final[Mapping[str, Any]] = {}
_Entity = TypeVar("_Entity")


@dataclass(slots=True)
class Subject:
    """A subject: the principal of a query, and the facts that its properties state."""

    principal: str | Session
    ref: PrincipalRef
    facts: Facts = NO_FACTS

    @property
    def name(self) -> str:
        """The principal as text, for logs."""
        return self.ref.text


@dataclass(slots=True)
class Resource:
    """A resource, its owner if the request may state one, and the facts that its properties state."""

    arn: str
    type: ResourceType | None
    owner: str | None = None
    facts: Facts = NO_FACTS


class EntityMapper:
    """Maps the entities of requests over one generation.

    Parameters
    ----------
    mapping
        from the configuration.
    records
        of the generation.

    Attributes
    ----------
    subjects, resources
        entities without properties by type and id, as far as they were mapped.
    tag_keys
        condition keys that properties of resources state as tags, by their names, as far as they were read.
    hides_ids
        whether names of principals do not show the ids of some type of subjects.
    bodies
        reads bodies whose entities and contexts have their usual forms.
    """

    def __init__(self, mapping: EntityMapping, records: KnownRecords) -> None:
        self.mapping = mapping
        self.records = records
        self.hides_ids = any(type_.hides_ids for type_ in mapping.subjects.values())
        self.subjects: dict[tuple[str, str], Subject] = {}
        self.resources: dict[tuple[str, str], Resource] = {}
        self.tag_keys: dict[str, Key] = {}
        self._actions: dict[tuple[str, str | None], str] = {}
        caches = self.subjects, self.resources, self._actions, mapping.context.plain
        kinds = Subject, Resource, FactKind.CONTEXT, FactKind.KNOWN
        self.bodies = PlainReader(*caches, *kinds, MAX_ID, MAX_ACTION, MAX_VALUE)

    # -- subjects -----------------------------------------------------------------------------------------------------

    def _read_principal(self, type_: SubjectType | None, type_name: str, id_: str, at: str) -> PrincipalRef:
        if type_ is not None and type_.template is not None:
            if id_.startswith("arn:"):
                if not type_.section.accept_arn_ids:
                    raise MappingError("unmapped_subject", "an id of this type is not an ARN", f"{at}.id")
                ref = read_principal(id_, at=f"{at}.id")
                self._check_kind(type_name, ref, at)
            else:
                text = type_.template.render({"id": id_, "type": type_name}, f"{at}.id")
                role = type_.session_of
                if role is not None:
                    text = f"arn:{role.partition}:sts::{role.account}:assumed-role/{role.name}/{text}"
                ref = named_principal(text, f"{at}.id")
        elif type_name == "anonymous":
            ref = parse_principal("*")
        elif id_.startswith("arn:") or type_name == "service":
            ref = read_principal(id_, f"{at}.id")
            self._check_kind(type_name, ref, at)
        else:
            raise MappingError("unmapped_subject", "the type of the subject has no template, and the id is not an ARN", at)
        if type_ is not None and type_.is_known and not self.records.has_principal(ref):
            raise MappingError("unknown_subject", "the subject has no record", f"{at}.id")
        return ref

    def _check_kind(self, type_name: str, ref: PrincipalRef, at: str) -> None:
        kinds = BUILT_IN.get(type_name)
        is_session = type_name == "session"
        if kinds is not None and (ref.kind not in kinds or (ref.kind in ROLES and bool(ref.session) is not is_session)):
            raise MappingError("type_mismatch", f"the id is not an ARN of type `{type_name}`", f"{at}.id")

    def subject(
        self,
        type_name: str,
        id_: str,
        properties: Mapping[str, Any] | None,
        identity: Identity,
        now: datetime,
        at: str = "$.subject",
    ) -> Subject:
        """The principal of a subject, with the facts of its properties that the identity may state.

        Raises
        ------
        MappingError
            `unmapped_subject`, `unknown_subject` or `type_mismatch`; a property that cannot be read, `conflict` if it contradicts
            the record (G53).
        """
        type_ = self.mapping.subjects.get(type_name)
        plain = self.subjects.get((type_name, id_))
        if plain is None:
            ref = self._read_principal(type_, type_name, id_, at)
            role = None if type_ is None or id_.startswith("arn:") else type_.session_of
            plain = Subject(ref.text if role is None else role_session(role.text, ref.session, at=at), ref)
            _keep(self.subjects, type_name, id_, plain)
        if not properties:
            return plain
        if type(plain.principal) is Session and type_ is not None and type_.session_of is not None:
            return self._person(type_.session_of, plain, properties, identity, at)
        subject = Subject(plain.principal, plain.ref, Facts())
        members = properties
        if type_name == "session" and (type_ is None or type_.template is None):
            members = self._of_session(subject, members, identity, now, at)
        become = "context" if type_ is None else type_.properties
        denies = type_ is not None and type_.section.on_conflict == "deny"
        for name, value in _values(members, at, subject.facts):
            if become == "tags":
                self._state_tag(subject, name, value, identity, at, denies)
            elif become == "ignore":
                subject.facts.ignored.append(f"{_place(at)}.properties.{name}")
            else:
                _state(subject.facts, "authzen:subject/", name, value, at)
        return subject

    def _state_tag(self, subject: Subject, name: str, value: Value, identity: Identity, at: str, denies: bool) -> None:
        """A property as a tag of the principal: the record has the last word (G53)."""
        facts, place = subject.facts, f"{_place(at)}.properties.{name}"
        key = read_key(name, place, "aws:PrincipalTag/")
        if key is None or ASSERT_TAGS not in identity.scopes:
            facts.ignored.append(place)
            return
        text = text_of(value)
        profile = self.records.principal(subject.name)
        stored = profile.keys.get(key.folded) if profile.known else None
        is_open = not profile.known or key.folded in profile.open_keys
        if stored is None and (is_open or "aws:principaltag/" not in profile.absent_keys) and isinstance(subject.principal, str):
            if text is not None:
                facts.state(key, text, place)
                return
            facts.unknown += (key.name,)
        elif denies and (stored is None or stored.values != (text,)):
            raise MappingError("conflict", "a property contradicts the record of the subject", f"$.{place}")
        if stored is None or stored.values != (text,):
            facts.ignored.append(place)

    def _person(self, role: PrincipalRef, plain: Subject, members: Mapping[str, Any], identity: Identity, at: str) -> Subject:
        """A session for a person without a record; properties are its tags (G54)."""
        facts = Facts()
        tags: dict[str, str | None] = {}
        folded: set[str] = set()
        for name, value in _values(members, at, facts):
            if ASSERT_TAGS not in identity.scopes:
                facts.ignored.append(f"{_place(at)}.properties.{name}")
            elif fold(name) in folded:
                raise MappingError("bad_value", "two properties are one tag", f"{at}.properties.{name}")
            else:
                folded.add(fold(name))
                tags[name] = text_of(value)
        if not tags:
            return Subject(plain.principal, plain.ref, facts)
        made = tagged_session(role.text, plain.ref.session, tags, self.records, f"{at}.properties")
        if type(made.principal) is str:
            facts.context.update(made.keys)
            facts.unknown = made.unknown
            facts.ignored += [f"{_place(at)}.properties.{name}" for name in tags if f"aws:PrincipalTag/{name}" not in made.keys]
        return Subject(made.principal, plain.ref, facts)

    def _of_session(
        self, subject: Subject, members: Mapping[str, Any], identity: Identity, now: datetime, at: str
    ) -> Mapping[str, Any]:
        """Read the members of a stated session (G50). Returns the other properties."""
        stated = SESSION_MEMBERS & members.keys()
        if not stated:
            return members
        if ASSERT_SESSION in identity.scopes:
            issuer = self.records.role_of(subject.ref)
            subject.principal, keys = stated_session(subject.ref, members, issuer, now, f"{at}.properties")
            subject.facts.context.update(keys)
        else:
            subject.facts.ignored += [f"{_place(at)}.properties.{name}" for name in members if name in stated]
        return {name: value for name, value in members.items() if name not in stated}

    def sent_id(self, type_name: str, id_: str) -> str | None:
        """The id of a subject whose name in IAM does not show it, for logs; None for another one."""
        type_ = self.mapping.subjects.get(type_name)
        return id_ if type_ is not None and type_.hides_ids and not id_.startswith("arn:") else None

    # -- actions ------------------------------------------------------------------------------------------------------

    def action_name(self, name: str, resource_type: ResourceType | None, at: str = "$.action.name") -> str:
        """The IAM action of a name (`EntityMapping.action_name`)."""
        key = (name, None if resource_type is None else resource_type.action_prefix)
        found = self._actions.get(key)
        if found is None:
            found = self.mapping.action_name(name, resource_type, at)
            if len(self._actions) >= _KEPT:
                self._actions.clear()
            self._actions[key] = found
        return found

    def action(self, properties: Mapping[str, Any] | None, at: str = "$.action") -> Facts:
        """The facts of the properties of an action (G56)."""
        facts = Facts()
        for name, value in _values(properties or _NOTHING, at, facts):
            _state(facts, "authzen:action/", name, value, at)
        return facts

    # -- resources ----------------------------------------------------------------------------------------------------

    def _read_arn(self, type_: ResourceType | None, type_name: str, id_: str, at: str) -> str:
        if type_ is not None and type_.template is not None and not (id_.startswith("arn:") and type_.section.accept_arn_ids):
            if id_.startswith("arn:"):
                raise MappingError("unmapped_resource", "an id of this type is not an ARN", f"{at}.id")
            arn = type_.template.render({"id": id_, "type": type_name}, f"{at}.id")
        else:
            try:
                arn = check_resource(id_)
            except RequestValueError:
                message = "the type of the resource has no template, and the id is not an ARN"
                raise MappingError("unmapped_resource", message, f"{at}.id") from None
        if type_ is not None and type_.section.known and not self.records.has_resource(arn):
            raise MappingError("unknown_resource", "the resource has no record", f"{at}.id")
        return arn

    def resource(
        self, type_name: str, id_: str, properties: Mapping[str, Any] | None, identity: Identity, at: str = "$.resource"
    ) -> Resource:
        """The ARN of a resource, with the facts of its properties that the identity may state (G57).

        Raises
        ------
        MappingError
            `unmapped_resource` or `unknown_resource`; a property that cannot be read.
        """
        plain = self.resources.get((type_name, id_))
        if plain is None:
            type_ = self.mapping.resources.get(type_name)
            plain = Resource(self._read_arn(type_, type_name, id_, at), type_)
            _keep(self.resources, type_name, id_, plain)
        if not properties:
            return plain
        arn, facts = plain.arn, Facts()
        resource = Resource(arn, plain.type, None, facts)
        with_tags = ASSERT_TAGS in identity.scopes
        for name, value in _values(properties, at, facts):
            if name == "account":
                resource.owner = read_owner(identity, value, f"{at}.properties.account", facts.ignored)
            elif with_tags and type(value) is not list:
                place = f"{_place(at)}.properties"
                key = read_key(name, place, "aws:ResourceTag/")
                text = canonical_text(value, name)
                if key is None or not facts.state_tag(key, text, self.records.resource_tags(arn), place):
                    facts.ignored.append(f"{place}.{name}")
                elif len(self.tag_keys) < _MAX_TAG_KEYS:
                    self.tag_keys[name] = key
            else:
                _state(facts, "authzen:resource/", name, value, at)
        return resource

    def resource_of_parts(self, type_: ResourceType, parts: Mapping[str, str | None], at: str = "$") -> Resource:
        """The resource of the parts of a template; None for one that the request does not have.

        Raises
        ------
        MappingError
            `missing`; `unmapped_resource` or `unknown_resource`.
        """
        assert type_.template is not None
        absent = {name: text for name, text in type_.absent.items() if parts.get(name) is None}
        values = {"type": type_.name} | {name: text for name, text in parts.items() if text is not None} | absent
        arn = type_.template.render(values, at, absent)
        if type_.section.known and not self.records.has_resource(arn):
            raise MappingError("unknown_resource", "the resource has no record", at)
        return Resource(arn, type_)


def _keep(kept: dict[tuple[str, str], _Entity], type_name: str, id_: str, entity: _Entity) -> None:
    if len(id_) <= _MAX_KEPT_ID:
        if len(kept) >= _KEPT:
            kept.clear()
        kept[type_name, id_] = entity


def _place(at: str) -> str:
    """The place of an entity as a name in `ignored`: `$.subject` is `subject`, and that of an item the same."""
    return at.rpartition(".")[2]


def _values(properties: Mapping[str, Any], at: str, facts: Facts) -> list[tuple[str, Value]]:
    place = f"{_place(at)}.properties"
    if len(properties) > MAX_KEYS:
        raise MappingError("too_many", f"more than {MAX_KEYS} properties", f"{at}.properties")
    found: list[tuple[str, Value]] = []
    for name, raw in properties.items():
        if type(raw) is str and len(raw) <= MAX_VALUE:  # PERF: most are
            found.append((name, raw))
        else:
            found += member_values(name, raw, place, facts.ignored)
    if len(found) > MAX_KEYS:
        raise MappingError("too_many", f"more than {MAX_KEYS} properties", f"{at}.properties")
    return found


def _state(facts: Facts, prefix: str, name: str, value: Value, at: str) -> None:
    place = f"{_place(at)}.properties"
    key = read_key(name, place, prefix)
    if key is None:
        facts.ignored.append(f"{place}.{name}")
    else:
        facts.state(key, value, place)
