"""The principal of a request: sources in the configured order, the first one that is present decides (G84, G85)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastiam.model.session import Session
from fastiam.server.mapping import (
    MappedPrincipal,
    MappingError,
    PrincipalTemplate,
    Template,
    config_error,
    read_principal,
)
from fastiam.server.protocol import Site, UnmetNeed
from fastiam.server.protocols.extauthz.checks import CheckRequest, Moment, Unidentified
from fastiam.server.protocols.extauthz.extauthz_section import PrincipalSection, Section
from fastiam.server.protocols.extauthz.xfcc import HEADER, last_uris

_AT: Final = "extauthz"
_HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NEVER_TRUSTED = re.compile(r"authorization|cookie|host|forwarded|x-forwarded-.*")
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
EXTENSION: Final = "fastiam.principal"


@dataclass(frozen=True, slots=True)
class Found:
    """The principal of a request."""

    principal: str | Session
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    sent_id: str | None = None
    """The values that the principal was made of, if its name does not show them."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Condition keys for the context."""
    unknown: tuple[str, ...] = ()
    """Condition keys that are unknown."""


_Source = Callable[[CheckRequest, Moment], Found | None]


class Principals:
    """The configured sources.

    Raises
    ------
    SourceError, UnmetNeed
        a source cannot be used as it is configured.
    """

    def __init__(self, section: Section, site: Site, address_is_safe: bool) -> None:
        if not section.principal:
            raise config_error("there is no source of the principal", f"{_AT}.principal", 'write for example `["spiffe", "jwt"]`')
        for name in section.principal:
            if name in ("xfcc", "header"):
                _need_trusted_listeners(name, site, address_is_safe)
        self._section = section
        self._spiffe_ids = [
            (Template(text, _names(text), f"{_AT}.spiffe"), _template(one, _names(text), f"{_AT}.spiffe.{text}"))
            for text, one in section.spiffe.items()
        ]
        self._sources: list[_Source] = [_MAKERS[name](self, section, site) for name in section.principal]

    def find(self, check: CheckRequest, moment: Moment) -> Found:
        """The principal of a request.

        Raises
        ------
        Unidentified
            no source is present, or the first one that is present is not right.
        """
        for source in self._sources:
            try:
                found = source(check, moment)
            except MappingError as error:
                raise Unidentified(error.code) from None
            if found is not None:
                return found
        raise Unidentified("no_principal")

    def claims(self, check: CheckRequest) -> Mapping[str, Any]:
        """The claims of a token of the configured issuer; empty if there is none."""
        jwt = self._section.jwt
        claims = None if jwt is None else check.jwt.get(jwt.payload)
        return claims if jwt is not None and isinstance(claims, Mapping) and claims.get("iss") == jwt.issuer else {}

    # -- sources ------------------------------------------------------------------------------------------------------

    def _of_spiffe_id(self, text: str, moment: Moment) -> Found:
        return _found(moment.records.mapped(("SPIFFE id", text), lambda: self._map_spiffe_id(text, moment)))

    def _map_spiffe_id(self, text: str, moment: Moment) -> MappedPrincipal:
        for pattern, template in self._spiffe_ids:
            values = pattern.reverse(text)
            if values is not None:
                return template.make(values, moment.records)
        raise Unidentified("unmapped_subject")

    def spiffe(self, section: Section, site: Site) -> _Source:
        """The name in the certificate that Envoy verified."""
        self._need_ids("spiffe")

        def find(check: CheckRequest, moment: Moment) -> Found | None:
            return self._of_spiffe_id(check.source_principal, moment) if check.source_principal else None

        return find

    def xfcc(self, section: Section, site: Site) -> _Source:
        """The same name in a header of our Envoy."""
        self._need_ids("xfcc")
        if not section.trust_xfcc:
            hint = "set `trust_xfcc = true`, and `forward_client_cert_details: SANITIZE_SET` in Envoy"
            raise config_error(f"the source `xfcc` believes the header `{HEADER}`", f"{_AT}.trust_xfcc", hint)
        site.warn(f"extauthz believes `{HEADER}`: Envoy must have `forward_client_cert_details: SANITIZE_SET`")

        def find(check: CheckRequest, moment: Moment) -> Found | None:
            values = check.values(HEADER)
            if not values:
                return None
            uris = last_uris(",".join(values))
            if uris is None or len(uris) != 1:
                raise Unidentified("bad_certificate_header")
            return self._of_spiffe_id(uris[0], moment)

        return find

    def jwt(self, section: Section, site: Site) -> _Source:
        """Claims of a token that Envoy verified."""
        jwt = section.jwt
        if jwt is None:
            raise config_error("the source `jwt` needs an issuer", f"{_AT}.jwt", "add `[extauthz.jwt]`")
        template = _template(jwt, _names(jwt.principal, jwt.role, jwt.session), f"{_AT}.jwt")
        if jwt.tags and not template.makes_sessions:
            raise config_error("only sessions have tags", f"{_AT}.jwt.tags", "use `role` and `session`")

        def find(check: CheckRequest, moment: Moment) -> Found | None:
            if jwt.payload not in check.jwt:
                return None
            claims = self.claims(check)
            if not claims:
                raise Unidentified("wrong_issuer")
            texts = {name: value for name, value in claims.items() if type(value) is str}
            tags = {tag: _tag(claims[claim]) for tag, claim in jwt.tags.items() if claims.get(claim) is not None}
            return _found(template.make(texts, moment.records, tags), tags)

        return find

    def header(self, section: Section, site: Site) -> _Source:
        """The value of a header that a gateway sets."""
        header = section.header
        if header is None:
            raise config_error("the source `header` needs a name", f"{_AT}.header", "add `[extauthz.header]`")
        name = header.name.lower()
        if not _HEADER_NAME.fullmatch(name) or _NEVER_TRUSTED.fullmatch(name):
            raise config_error(f"`{name}` cannot name the principal", f"{_AT}.header.name", "choose a header of its own")
        if not section.trust_header:
            hint = f"set `trust_header = true`, and let Envoy remove `{name}` from requests of clients"
            raise config_error(f"the source `header` believes the header `{name}`", f"{_AT}.trust_header", hint)
        site.warn(f"extauthz believes `{name}`: Envoy must remove it from requests of clients, by `request_headers_to_remove`")
        template = _template(header, ("value",), f"{_AT}.header")

        def find(check: CheckRequest, moment: Moment) -> Found | None:
            value = check.single(name)
            return None if value is None else _found(template.make({"value": value}, moment.records))

        return find

    def sigv4(self, section: Section, site: Site) -> _Source:
        """The owner of the access key that signed the request."""
        if not site.has_sts:
            raise UnmetNeed(
                "the source `sigv4` needs a store and its keyring\nhelp: set `source.paths` to a store, and `source.keyring`"
            )
        from fastiam.server.protocols.extauthz.signatures import verify  # PERF: without STS nothing of it is imported

        def find(check: CheckRequest, moment: Moment) -> Found | None:
            caller = verify(check, section.sigv4, moment)
            return None if caller is None else Found(caller.principal, caller.arn)

        return find

    def context(self, section: Section, site: Site) -> _Source:
        """A principal that the operator wrote into the route of Envoy."""

        def find(check: CheckRequest, moment: Moment) -> Found | None:
            text = check.extensions.get(EXTENSION)
            if text is None:
                return None
            ref = read_principal(text)
            return Found(ref.text, ref.text)

        return find

    def anonymous(self, section: Section, site: Site) -> _Source:
        """The unsigned caller."""
        return lambda check, moment: Found("*", "*")

    def _need_ids(self, name: str) -> None:
        if not self._spiffe_ids:
            raise config_error(f"the source `{name}` maps no id", f"{_AT}.spiffe", "add `[extauthz.spiffe]`")


_MAKERS: Final[Mapping[str, Callable[[Principals, Section, Site], _Source]]] = {
    "spiffe": Principals.spiffe,
    "xfcc": Principals.xfcc,
    "jwt": Principals.jwt,
    "header": Principals.header,
    "sigv4": Principals.sigv4,
    "context": Principals.context,
    "anonymous": Principals.anonymous,
}


def _need_trusted_listeners(name: str, site: Site, address_is_safe: bool) -> None:
    """Check that only our Envoy reaches us (G95)."""
    listeners_are_safe = all(each.kind == "unix" or each.is_loopback or each.auth == "mtls" for each in site.listeners)
    if not (listeners_are_safe and address_is_safe):
        raise UnmetNeed(
            f"the source `{name}` believes each client of the listener\n"
            'help: serve `extauthz` on a unix socket, on loopback, or with client certificates (`auth = "mtls"`)'
        )


def _names(*texts: str | None) -> list[str]:
    return [name for text in texts if text for name in _PLACEHOLDER.findall(text)] or ["value"]


def _template(section: PrincipalSection, names: Any, at: str) -> PrincipalTemplate:
    return PrincipalTemplate(
        names,
        at,
        principal=section.principal,
        role=section.role,
        session=section.session,
        known=section.known,
        encoding=section.encoding,
    )


def _found(mapped: MappedPrincipal, tags: Mapping[str, str | None] = {}) -> Found:
    texts = {tag: text for tag, text in tags.items() if text is not None and f"aws:PrincipalTag/{tag}" not in mapped.unknown}
    return Found(mapped.principal, mapped.name, texts, mapped.sent_id, mapped.keys, mapped.unknown)


def _tag(value: Any) -> str | None:
    """The text of a claim as a tag, which has one value; None for a claim that has none."""
    if type(value) is str:
        return value
    if isinstance(value, list) and all(type(item) is str and (len(value) == 1 or ":" not in item) for item in value):
        return ":".join(value)
    return None
