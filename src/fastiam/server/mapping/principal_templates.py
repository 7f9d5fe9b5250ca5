"""Principals made from foreign ids by templates: a user by its ARN, or a session of a role (G4, G51, G54)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from fastiam.directory.principal_refs import PrincipalRef
from fastiam.model.profile import ROLES
from fastiam.model.session import Session
from fastiam.server.mapping.encodings import Encoding
from fastiam.server.mapping.faults import MappingError
from fastiam.server.mapping.known import KnownRecords
from fastiam.server.mapping.request_principals import named_principal, read_principal, tagged_session
from fastiam.server.mapping.templates import Template, config_error, no_principal


@dataclass(frozen=True, slots=True)
class MappedPrincipal:
    """The principal of a query."""

    principal: str | Session
    ref: PrincipalRef
    sent_id: str | None = None
    """The values that the principal was made of, for logs and answers, if its name does not show them."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Condition keys for the context."""
    unknown: tuple[str, ...] = ()
    """Condition keys that are unknown."""

    @property
    def name(self) -> str:
        """The principal as text, for logs."""
        return self.ref.text


class PrincipalTemplate:
    """Makes principals; compiled once.

    Parameters
    ----------
    names
        placeholders that the templates may have.
    at
        place in the configuration.
    principal
        template of an ARN.
    role, session
        instead of it, templates of a role's ARN and of the session's name.
    known
        whether the principal must have a record. A role must always have one.
    encoding
        of the values in `principal` or `session`.

    Raises
    ------
    SourceError
        not exactly one of `principal` and `role`; a template that cannot make a principal.
    """

    def __init__(
        self,
        names: Collection[str],
        at: str,
        *,
        principal: str | None = None,
        role: str | None = None,
        session: str | None = None,
        known: bool = False,
        encoding: Encoding = "percent",
    ) -> None:
        if (principal is None) is (role is None):
            raise config_error("one of `principal` and `role` is needed", at, "`role` needs `session` too")
        if (role is None) is not (session is None):
            raise config_error("`role` and `session` belong together", at, 'write for example `session = "{id}"`')
        self._principal = None if principal is None else Template(principal, names, f"{at}.principal", encoding)
        self._role = None if role is None else Template(role, names, f"{at}.role")
        self._session = None if session is None else Template(session, names, f"{at}.session", encoding)
        self._known, self._hides_ids = known, encoding != "percent"
        for template in (self._principal, self._role):
            if template is not None:
                try:
                    ref = read_principal(template.sample())
                except MappingError:
                    raise no_principal(template, f"{at}.{'role' if template is self._role else 'principal'}") from None
                if template is self._role and (ref.kind not in ROLES or ref.session):
                    raise config_error(f"`{template.text}` is not a role", f"{at}.role", "write the ARN of a role")

    @property
    def makes_sessions(self) -> bool:
        """Whether it makes sessions of a role, which may have tags."""
        return self._role is not None

    def make(
        self, values: Mapping[str, str], records: KnownRecords, tags: Mapping[str, str | None] | None = None, at: str = "$"
    ) -> MappedPrincipal:
        """The principal of some ids.

        Parameters
        ----------
        tags
            of a session; None where the value cannot be that of a tag.

        Raises
        ------
        MappingError
            `unmapped_subject`; `unknown_subject`, there is no record; `missing`, a value; `bad_value`, too many tags.
        """
        if self._role is None or self._session is None:
            assert self._principal is not None
            text, known, sent = self._principal.render(values, at), self._known, self._sent(self._principal, values)
            return records.mapped((text, known, sent), lambda: _stored(text, sent, records, known, at))
        role, name, sent = self._role.render(values, at), self._session.render(values, at), self._sent(self._session, values)
        if tags:
            return _session(role, name, sent, records, tags, at)
        return records.mapped((role, name, sent), lambda: _session(role, name, sent, records, {}, at))

    def _sent(self, template: Template, values: Mapping[str, str]) -> str | None:
        return "/".join(values[name] for name in template.names) if self._hides_ids else None


def _stored(text: str, sent: str | None, records: KnownRecords, known: bool, at: str) -> MappedPrincipal:
    ref = named_principal(text, at)
    if known and not records.has_principal(ref):
        raise MappingError("unknown_subject", "the subject has no record", at)
    return MappedPrincipal(ref.text, ref, sent)


def _session(
    text: str, name: str, sent: str | None, records: KnownRecords, tags: Mapping[str, str | None], at: str
) -> MappedPrincipal:
    role = named_principal(text, at)
    # SAFETY: the ARN of a session has no path. Without this check `role/a/x` and `role/b/x` would have the same sessions.
    if records.role_of(role) != role.text:
        raise MappingError("unknown_subject", "the role of the subject has no record", at)
    made = tagged_session(role.text, name, tags, records, at)
    arn = made.principal if isinstance(made.principal, str) else made.principal.arn
    return MappedPrincipal(made.principal, read_principal(arn, at=at), sent, made.keys, made.unknown)
