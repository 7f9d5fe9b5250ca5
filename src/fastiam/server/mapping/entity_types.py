"""Types of subjects and resources, actions and context names, as the configuration maps them to IAM (2.2): compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from fastiam.directory.principal_refs import PrincipalRef
from fastiam.errors import RequestValueError
from fastiam.model.profile import ROLES, PrincipalKind
from fastiam.model.request import check_action, check_resource
from fastiam.server.mapping.encodings import Encoding, encode
from fastiam.server.mapping.facts import FactRules
from fastiam.server.mapping.faults import MappingError
from fastiam.server.mapping.request_principals import read_principal
from fastiam.server.mapping.templates import Template, config_error, no_principal

_PLACEHOLDERS: Final = ("id", "type")
RESERVED: Final = ("authzen:subject/", "authzen:action/", "authzen:resource/")
BARE: Final = "authzen:context/"

BUILT_IN: Final[Mapping[str, frozenset[PrincipalKind]]] = {
    "user": frozenset({PrincipalKind.USER}),
    "role": frozenset(ROLES),
    "session": frozenset(ROLES),
    "federated-user": frozenset({PrincipalKind.FED}),
    "root": frozenset({PrincipalKind.ROOT}),
    "service": frozenset({PrincipalKind.SVC}),
    "anonymous": frozenset({PrincipalKind.ANON}),
}
"""The kinds of principals of built-in subject types (G50)."""


class SubjectSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[authzen.subjects.TYPE]` of the configuration."""

    principal: str | None = None
    """Template of the principal's ARN (G51)."""
    session_of: str | None = None
    """ARN of the role whose sessions the subjects are; the id is the session's name (G54)."""
    encoding: Encoding = "percent"
    """How an id becomes a part of the ARN; with `base32hex` and `hash` any id does (G51)."""
    known: bool | None = None
    """Whether all subjects have a record (G75). None: true with `principal`."""
    accept_arn_ids: bool = False
    """Whether an id that is an ARN is taken as it is, although there is a template (G76)."""
    subject_properties: Literal["context", "tags", "ignore"] = "context"
    """What properties become: keys `authzen:subject/P` or tags of the principal (G52, G53)."""
    on_conflict: Literal["stored", "deny"] = "stored"
    """Whether a property that contradicts the record is ignored, or denies."""


class ResourceSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[authzen.resources.TYPE]` of the configuration."""

    resource: str | None = None
    """Template of the ARN."""
    known: bool = False
    accept_arn_ids: bool = False
    action_prefix: str | None = None
    """Service prefix of action names without a colon (G55)."""
    actions: tuple[str, ...] = ()
    """Action names that a search tries (G71)."""


class PartsSection(ResourceSection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `ResourceSection`, with a template that may have any placeholders: the parts of a resource."""

    absent: dict[str, str] = {}
    """Placeholder -> text for a part that a request does not have."""


@dataclass(frozen=True, slots=True)
class SubjectType:
    """One subject type: its section, compiled. Without a template its ids are ARNs."""

    name: str
    section: SubjectSection = SubjectSection()
    template: Template | None = None
    session_of: PrincipalRef | None = None
    is_known: bool = False

    @property
    def properties(self) -> Literal["context", "tags", "ignore"]:
        """What properties become; tags if the subjects are sessions of a role (G54)."""
        return "tags" if self.session_of is not None else self.section.subject_properties

    @property
    def hides_ids(self) -> bool:
        """Whether the names of its principals do not show the ids (G51)."""
        return self.section.encoding != "percent"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource type: its section, compiled. Without a template its ids are ARNs."""

    name: str
    section: ResourceSection = ResourceSection()
    template: Template | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    """Texts in place of parts that a request does not have. No value is encoded as one of them."""

    @property
    def action_prefix(self) -> str | None:
        """Service prefix of action names without a colon."""
        return self.section.action_prefix


@dataclass(frozen=True, slots=True)
class EntityMapping:
    """Everything that maps entities of AuthZEN to IAM. `of` builds it from the configuration."""

    subjects: Mapping[str, SubjectType] = field(default_factory=dict)
    resources: Mapping[str, ResourceType] = field(default_factory=dict)
    actions: Mapping[str, str] = field(default_factory=dict)
    context: FactRules = FactRules(bare=BARE, reserved=RESERVED)

    @classmethod
    def of(
        cls,
        subjects: Mapping[str, SubjectSection] = {},
        resources: Mapping[str, ResourceSection] = {},
        actions: Mapping[str, str] = {},
        context: Mapping[str, str] = {},
        *,
        allow_now: bool = False,
        has_directory: bool = True,
        at: str = "authzen",
    ) -> EntityMapping:
        """Compile the tables of a section of the configuration.

        Parameters
        ----------
        actions
            action name -> IAM action.
        context
            member of a context -> condition key (G58).
        allow_now
            whether a context may set the time of the request.
        has_directory
            whether the source has records (G15); a type that is `known` needs them (G75).
        at
            name of the section.

        Raises
        ------
        SourceError
            a template, name or value is wrong; `path` is the place in the configuration.
        """
        read_subjects = {name: _subject(name, one, f"{at}.subjects.{name}") for name, one in subjects.items()}
        read_resources = {name: _resource(name, one, f"{at}.resources.{name}") for name, one in resources.items()}
        if not has_directory:
            known = [f"subjects.{name}" for name, one in read_subjects.items() if one.is_known]
            known += [f"resources.{name}" for name, one in resources.items() if one.known]
            if known:
                raise config_error(
                    "the type is `known`, but there is no directory with records",
                    f"{at}.{known[0]}",
                    "write `known = false`, or serve a folder or a store: a saved engine has no records",
                )
        for name, action in actions.items():
            _action(action, f"{at}.actions.{name}")
        rules = FactRules(dict(context), BARE, RESERVED, allow_now, f"{at}.context")
        return cls(read_subjects, read_resources, dict(actions), rules)

    def action_name(self, name: str, resource_type: ResourceType | None, at: str = "$.action.name") -> str:
        """The IAM action of an action name (G55).

        Raises
        ------
        MappingError
            `unmapped_action`.
        """
        if ":" not in name:
            mapped = self.actions.get(name)
            prefix = None if resource_type is None else resource_type.action_prefix
            if mapped is None and prefix is None:
                raise MappingError("unmapped_action", "the name has no `:`, and its resource type has no `action_prefix`", at)
            name = mapped or f"{prefix}:{name}"
        try:
            return check_action(name)
        except RequestValueError:
            raise MappingError("unmapped_action", "the name is not one literal action, such as `s3:GetObject`", at) from None


def _subject(name: str, section: SubjectSection, at: str) -> SubjectType:
    if section.session_of is not None:
        if section.principal is not None:
            raise config_error("`principal` and `session_of` are both given", at, "keep one of them")
        if section.known:
            raise config_error("sessions have no records", f"{at}.known", "leave `known` out")
        role = _principal(section.session_of, f"{at}.session_of")
        if role.kind not in BUILT_IN["role"] or role.session:
            raise config_error(f"`{role.text}` is not a role", f"{at}.session_of", "write the ARN of a role")
        return SubjectType(name, section, Template("{id}", _PLACEHOLDERS, at, section.encoding), role)
    if section.principal is None:
        if section.encoding != "percent":
            hint = "add `principal` or `session_of`, or leave `encoding` out"
            raise config_error("the ids of this type are ARNs, which are not encoded", f"{at}.encoding", hint)
        return SubjectType(name, section, is_known=bool(section.known))
    template = _id_template(section.principal, f"{at}.principal", section.encoding)
    try:
        read_principal(template.sample())
    except MappingError:
        raise no_principal(template, f"{at}.principal") from None
    return SubjectType(name, section, template, is_known=section.known is not False)


def _resource(name: str, section: ResourceSection, at: str) -> ResourceType:
    template = None
    if section.resource is not None:
        has_parts = isinstance(section, PartsSection)
        template = _id_template(section.resource, f"{at}.resource", has_parts=has_parts)
        try:
            check_resource(template.sample())
        except RequestValueError as error:
            raise config_error(error.message, f"{at}.resource", error.hint) from None
    prefix = section.action_prefix
    if prefix is not None:
        _action(f"{prefix}:x", f"{at}.action_prefix")
    for action in section.actions:
        if ":" in action or prefix is not None:
            _action(action if ":" in action else f"{prefix}:{action}", f"{at}.actions")
    absent = section.absent if isinstance(section, PartsSection) else {}
    for part, text in absent.items():
        if template is None or part not in template.names:
            raise config_error(f"the template has no `{{{part}}}`", f"{at}.absent.{part}", "name a placeholder of `resource`")
        if not text or encode(text) == text or "/" in text or ":" in text:
            hint = "write a text that no value becomes, with a character such as `!`: `!none`"
            raise config_error(f"`{text}` may be a value of `{{{part}}}`", f"{at}.absent.{part}", hint)
    return ResourceType(name, section, template, absent)


def _id_template(text: str, at: str, encoding: Encoding = "percent", *, has_parts: bool = False) -> Template:
    template = Template(text, Template.placeholders(text) if has_parts else _PLACEHOLDERS, at, encoding, plain=("type",))
    if not template.names if has_parts else "id" not in template.names:
        raise config_error(f"`{template.text}` has no {'placeholder' if has_parts else '`{id}`'}", at, "all ids would be one")
    return template


def _principal(text: str, at: str) -> PrincipalRef:
    try:
        return read_principal(text)
    except MappingError as error:
        raise config_error(error.message, at, "write the ARN of a user, role or session") from None


def _action(value: str, at: str) -> str:
    try:
        return check_action(value)
    except RequestValueError as error:
        raise config_error(error.message, at, error.hint) from None
