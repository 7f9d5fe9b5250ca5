"""One check: who, what, on what, the decision, and the answer. No I/O; gRPC and HTTP call it with the same value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fastiam.errors import PolicyError, RequestValueError
from fastiam.server.decider import Decider, Pinned
from fastiam.server.decision_records import DecisionRecord
from fastiam.server.identity import Identity
from fastiam.server.mapping import KnownRecords, MappingError, config_error
from fastiam.server.protocol import Site
from fastiam.server.protocols.extauthz.checks import Answer, CheckRequest, Moment, Unidentified
from fastiam.server.protocols.extauthz.context import read_facts
from fastiam.server.protocols.extauthz.extauthz_answers import Answers
from fastiam.server.protocols.extauthz.extauthz_section import Section
from fastiam.server.protocols.extauthz.principal_sources import Found, Principals
from fastiam.server.protocols.extauthz.routes import Matched, Route, Target, read_target

_PATH: Final = "extauthz/check"
_KEY = re.compile(r"[\w.-]{1,64}", re.ASCII)


class Core:
    """The checks of one configuration.

    Parameters
    ----------
    address_is_safe
        whether the address of gRPC is a unix socket or on loopback, or its clients have certificates.

    Raises
    ------
    SourceError, UnmetNeed
        the configuration cannot be served here.
    """

    def __init__(self, section: Section, site: Site, *, address_is_safe: bool) -> None:
        self._section = section
        self._principals = Principals(section, site, address_is_safe)
        if not section.route:
            raise config_error(
                "there is no route", "extauthz.route", "add `[[extauthz.route]]`; without one everything is denied"
            )
        self._routes = [Route(one, f"extauthz.route[{i}]") for i, one in enumerate(section.route)]
        self._answers = Answers(section)
        self._headers = [name.lower() for name in section.headers]
        for kind, names in (("headers", self._headers), ("query", section.query)):
            for name in names:
                if not _KEY.fullmatch(name):
                    raise config_error(f"`{name}` does not make a condition key", f"extauthz.{kind}", "write its plain name")
        self._view: tuple[Pinned, KnownRecords] | None = None
        if section.dry_run:
            site.warn("extauthz is a dry run: every request passes")

    def check(self, check: CheckRequest, decider: Decider, identity: Identity, now: datetime, decision_id: str) -> Answer:
        """Answer one check.

        Parameters
        ----------
        identity
            of Envoy; it limits what a request may state.
        """
        pinned = decider.pin()
        record = DecisionRecord(_PATH, pinned.generation, None, None, None, {}, None, False)
        found: Found | None = None
        claims: Mapping[str, Any] = {}
        try:
            claims = self._principals.claims(check)
            if self._is_preflight(check):
                self._match(read_target(check), claims)
                return self._answers.allowed(None, claims, None, decision_id)
            found = self._principals.find(check, Moment(pinned, self._records(pinned), now))
            record.principal, record.sent_id = found.name, found.sent_id
            target = read_target(check)
            matched = self._match(target, claims)
            record.action, record.resource = matched.action, matched.resource
            facts = read_facts(check, target, matched, claims, identity, now, headers=self._headers, query=self._section.query)
            record.context = {**facts.context, **found.keys} if found.keys else facts.context
            record.decision = pinned.engine.decide(
                found.principal,
                matched.action,
                matched.resource,
                record.context,
                unknown=(*found.unknown, *facts.unknown),
                now=facts.now or now,
            )
        except Unidentified as error:
            record.error = error.code
            return self._answers.denied(None, {}, record, decision_id, is_identified=False)
        except MappingError as error:
            record.error = error.code
        except (RequestValueError, PolicyError):
            record.error = "bad_value"  # the message may have values of the directory
        if record.decision is None or not record.decision.allowed:
            return self._answers.denied(found, claims, record, decision_id, is_identified=True)
        record.result = True
        return self._answers.allowed(found, claims, record, decision_id)

    def _records(self, pinned: Pinned) -> KnownRecords:
        view = self._view
        if view is None or view[0].engine is not pinned.engine:
            self._view = view = pinned, KnownRecords(pinned.engine)
        return view[1]

    def _is_preflight(self, check: CheckRequest) -> bool:
        return (
            self._section.cors_preflight
            and check.method == "OPTIONS"
            and bool(check.values("origin") and check.values("access-control-request-method"))
        )

    def _match(self, target: Target, claims: Mapping[str, Any]) -> Matched:
        for route in self._routes:
            matched = route.match(target, claims)
            if matched is not None:
                return matched
        raise MappingError("no_route", "no route matches", "$")
