"""Types of subjects and resources, actions and context names, as the configuration maps them to IAM (2.2): compiled once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastiam.directory.principal_refs import PrincipalRef
from fastiam.errors import RequestValueError
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import check_action, check_resource
from fastiam.server.mapping.facts import FactRules
from fastiam.server.mapping.faults import MappingError
from fastiam.server.mapping.principals import read_principal
from fastiam.server.mapping.templates import Template, config_error

_PLACEHOLDERS: Final = ("id", "type")
RESERVED: Final = ("authzen:subject/", "authzen:action/", "authzen:resource/")
BARE: Final = "authzen:context/"

BUILT_IN: Final[Mapping[str, frozenset[PrincipalKind]]] = {
    "user": frozenset({PrincipalKind.USER}),
    "role": frozenset({PrincipalKind.ROLE, PrincipalKind.SLR}),
    "session": frozenset({PrincipalKind.ROLE, PrincipalKind.SLR}),
    "federated-user": frozenset({PrincipalKind.FED}),
    "root": frozenset({PrincipalKind.ROOT}),
    "service": frozenset({PrincipalKind.SVC}),
    "anonymous": frozenset({PrincipalKind.ANON}),
}
"""The kinds of principals of built-in subject types (G50)."""


@dataclass(frozen=True, slots=True)
class SubjectType:
    """One subject type.

    Attributes
    ----------
    template : makes the principal's ARN, or with `session_of` the session's name; None: ids are ARNs.
    session_of : the role whose sessions the subjects are (G54).
    is_known : whether all subjects have a record (G75).
    accepts_arn_ids : whether an id that is an ARN is taken as it is, although there is a template (G76).
    with_tags : whether properties are tags of the principal; else they are keys `authzen:subject/P` (G52, G53).
    denies_conflicts : whether a property that contradicts the record denies; else the record wins.
    """

    name: str
    template: Template | None = None
    session_of: PrincipalRef | None = None
    is_known: bool = False
    accepts_arn_ids: bool = False
    with_tags: bool = False
    denies_conflicts: bool = False


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource type; attributes as of `SubjectType`.

    Attributes
    ----------
    action_prefix : service prefix of action names without a colon (G55).
    actions : action names that a search tries (G71).
    """

    name: str
    template: Template | None = None
    is_known: bool = False
    accepts_arn_ids: bool = False
    action_prefix: str | None = None
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EntityMapping:
    """Everything that maps entities of AuthZEN to IAM. `of` builds it from the configuration."""

    subjects: Mapping[str, SubjectType] = field(default_factory=dict)
    resources: Mapping[str, ResourceType] = field(default_factory=dict)
    actions: Mapping[str, str] = field(default_factory=dict)
    context: FactRules = FactRules(bare=BARE, reserved=RESERVED)
    services: frozenset[str] = frozenset()

    @classmethod
    def of(cls, section: Mapping[str, Any], *, at: str = "authzen", has_directory: bool = True) -> EntityMapping:
        """Read `subjects`, `resources`, `actions`, `context`, `allow_now` and `services` of a section; others are not read.

        Parameters
        ----------
        has_directory : whether the source has records (G15); a type that is `known` needs them (G75).

        Raises
        ------
        SourceError: a template, name or value is wrong; `path` is the place in the configuration.
        """
        subjects = {n: _subject(n, s, f"{at}.subjects.{n}") for n, s in _table(section, "subjects", at).items()}
        resources = {n: _resource(n, s, f"{at}.resources.{n}") for n, s in _table(section, "resources", at).items()}
        if not has_directory:
            types: dict[str, Mapping[str, SubjectType | ResourceType]] = {"subjects": subjects, "resources": resources}
            for kind, read in types.items():
                for name, type_ in read.items():
                    if type_.is_known:
                        hint = "write `known = false`, or serve a folder or a store: a saved engine has no records"
                        raise config_error(
                            f"all of type `{name}` are known, but there is no directory", f"{at}.{kind}.{name}", hint
                        )
        actions = {n: _action(a, f"{at}.actions.{n}") for n, a in _table(section, "actions", at).items()}
        rules = FactRules(
            names=dict(_table(section, "context", at)),
            bare=BARE,
            reserved=RESERVED,
            allow_now=_flag(section, "allow_now", False, at),
        )
        return cls(subjects, resources, actions, rules, frozenset(_texts(section, "services", at)))

    def action_name(self, name: str, resource_type: ResourceType | None, at: str = "$.action.name") -> str:
        """The IAM action of an action name (G55).

        Raises
        ------
        MappingError: `unmapped_action`.
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


def _subject(name: str, section: object, at: str) -> SubjectType:
    values = _section(section, at, "principal", "session_of", "known", "accept_arn_ids", "subject_properties", "on_conflict")
    template, role = None, None
    if "principal" in values and "session_of" in values:
        raise config_error("`principal` and `session_of` are both given", at, "keep one of them")
    if "session_of" in values:
        role = _principal(_text(values, "session_of", at), f"{at}.session_of")
        if role.kind not in BUILT_IN["role"] or role.session:
            raise config_error(f"`{role.text}` is not a role", f"{at}.session_of", "write the ARN of a role")
        template = Template("{id}", _PLACEHOLDERS, at)
    elif "principal" in values:
        template = _id_template(values["principal"], f"{at}.principal")
        _principal(template.sample(), f"{at}.principal")
    known = _flag(values, "known", template is not None and role is None, at)
    if known and role is not None:
        raise config_error("sessions have no records", f"{at}.known", "leave `known` out")
    properties = _choice(values, "subject_properties", ("context", "tags"), at)
    return SubjectType(
        name,
        template,
        role,
        known,
        _flag(values, "accept_arn_ids", False, at),
        properties == "tags" or role is not None,
        _choice(values, "on_conflict", ("stored", "deny"), at) == "deny",
    )


def _resource(name: str, section: object, at: str) -> ResourceType:
    values = _section(section, at, "resource", "known", "accept_arn_ids", "action_prefix", "actions")
    template = None
    if "resource" in values:
        template = _id_template(values["resource"], f"{at}.resource")
        try:
            check_resource(template.sample())
        except RequestValueError as error:
            raise config_error(error.message, f"{at}.resource", error.hint) from None
    prefix = values.get("action_prefix")
    if prefix is not None:
        _action(f"{prefix}:x", f"{at}.action_prefix")
    actions = _texts(values, "actions", at)
    for action in actions:
        if ":" in action or prefix is not None:
            _action(action if ":" in action else f"{prefix}:{action}", f"{at}.actions")
    return ResourceType(
        name, template, _flag(values, "known", False, at), _flag(values, "accept_arn_ids", False, at), prefix, tuple(actions)
    )


def _id_template(text: object, at: str) -> Template:
    template = Template(text, _PLACEHOLDERS, at)
    if "id" not in template.names:
        raise config_error(f"`{template.text}` has no `{{id}}`", at, "all ids would be one")
    return template


def _principal(text: str, at: str) -> PrincipalRef:
    try:
        return read_principal(text)
    except MappingError as error:
        raise config_error(error.message, at, "write the ARN of a user, role or session") from None


def _action(value: object, at: str) -> str:
    try:
        return check_action(value)
    except RequestValueError as error:
        raise config_error(error.message, at, error.hint) from None


# -- values of the configuration --------------------------------------------------------------------------------------


def _table(section: Mapping[str, Any], name: str, at: str) -> Mapping[str, Any]:
    value = section.get(name, {})
    if not isinstance(value, Mapping):
        raise config_error(f"`{name}` is not a table", f"{at}.{name}")
    return value


def _section(section: object, at: str, *names: str) -> Mapping[str, Any]:
    if not isinstance(section, Mapping):
        raise config_error("not a table", at)
    for name in section:
        if name not in names:
            raise config_error(f"`{name}` is not a setting", f"{at}.{name}", f"use one of {', '.join(f'`{n}`' for n in names)}")
    return section


def _flag(section: Mapping[str, Any], name: str, default: bool, at: str) -> bool:
    value = section.get(name, default)
    if type(value) is not bool:
        raise config_error(f"`{name}` is not a truth value", f"{at}.{name}", "write `true` or `false`")
    return value


def _text(section: Mapping[str, Any], name: str, at: str) -> str:
    value = section[name]
    if type(value) is not str:
        raise config_error(f"`{name}` is not text", f"{at}.{name}")
    return value


def _texts(section: Mapping[str, Any], name: str, at: str) -> Sequence[str]:
    value = section.get(name, [])
    if type(value) is not list or not all(type(item) is str for item in value):
        raise config_error(f"`{name}` is not a list of texts", f"{at}.{name}")
    return value


def _choice(section: Mapping[str, Any], name: str, choices: tuple[str, ...], at: str) -> str:
    value = section.get(name, choices[0])
    if value not in choices:
        raise config_error(f"`{value}` is not a value of `{name}`", f"{at}.{name}", f"use one of {', '.join(map(repr, choices))}")
    return str(value)
