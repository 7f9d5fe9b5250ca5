"""Answers to Envoy (G91 to G94)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from fastiam.model.decision import Decision
from fastiam.server.decision_records import DecisionRecord
from fastiam.server.mapping import config_error
from fastiam.server.protocols.extauthz.checks import ALLOWED, DENIED, UNIDENTIFIED, Answer
from fastiam.server.protocols.extauthz.extauthz_section import Section
from fastiam.server.protocols.extauthz.principal_sources import Found
from fastiam.server.reasons import reason_members

PRINCIPAL: Final = "x-fastiam-principal"
SUBJECT: Final = "x-fastiam-subject"
DECISION_ID: Final = "x-fastiam-decision-id"
DRY_RUN: Final = "x-fastiam-dry-run"
OUTCOME: Final = "x-fastiam-outcome"
_OURS: Final = (PRINCIPAL, SUBJECT, DECISION_ID, DRY_RUN, OUTCOME)
_MAX_VALUE: Final = 1_024  # bytes
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")
_FIXED: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "authorization", "cookie", *_OURS})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLACEHOLDER = re.compile(r"\{(claim|tag)\.([^{}]+)\}")


class Answers:
    """Makes answers by a configuration.

    Raises
    ------
    SourceError
        a header of `[extauthz.add]` is not one.
    """

    def __init__(self, section: Section) -> None:
        self._section = section
        for name, text in section.add.items():
            at = f"extauthz.add.{name}"
            if not _NAME.fullmatch(name) or name in _FIXED:
                raise config_error(f"`{name}` is not a header that can be added", at, "write a name in lower case")
            if "{" in _PLACEHOLDER.sub("", text) or "}" in _PLACEHOLDER.sub("", text):
                raise config_error(f"`{text}` has an unknown placeholder", at, "use `{claim.NAME}` and `{tag.NAME}`")
        if section.www_authenticate is not None and usable(section.www_authenticate) is None:
            raise config_error("the value cannot be sent in a header", "extauthz.www_authenticate", "write for example `Bearer`")

    def allowed(self, found: Found | None, claims: Mapping[str, Any], record: DecisionRecord | None, decision_id: str) -> Answer:
        """The request passes."""
        return self._passed(found, claims, record, decision_id, {})

    def _passed(
        self,
        found: Found | None,
        claims: Mapping[str, Any],
        record: DecisionRecord | None,
        decision_id: str,
        more: Mapping[str, str],
    ) -> Answer:
        wanted: dict[str, str | None] = dict.fromkeys(_OURS)
        wanted[PRINCIPAL] = None if found is None else usable(found.name)
        wanted[SUBJECT] = None if found is None or found.sent_id is None else usable(found.sent_id)
        wanted[DECISION_ID] = decision_id
        for name, text in self._section.add.items():
            wanted[name] = _filled(text, claims, {} if found is None else found.tags)
        if self._section.strip_authorization:
            wanted["authorization"] = None
        wanted |= more
        headers = tuple((name, value) for name, value in wanted.items() if value is not None)
        removed = tuple(name for name, value in wanted.items() if value is None)
        return Answer(ALLOWED, 200, headers, removed, metadata=_metadata(found, record, decision_id), record=record)

    def denied(
        self, found: Found | None, claims: Mapping[str, Any], record: DecisionRecord, decision_id: str, *, is_identified: bool
    ) -> Answer:
        """The request does not pass, unless this is a dry run."""
        if self._section.dry_run:
            return self._passed(found, claims, record, decision_id, {DRY_RUN: "deny"})
        body: dict[str, Any] = {"error": "access_denied" if is_identified else "unauthenticated", "decision_id": decision_id}
        if self._section.explain_denied:
            body |= _explained(record.decision, record.error)
        headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
        if not is_identified and self._section.www_authenticate is not None:
            headers += (("www-authenticate", self._section.www_authenticate),)
        code, status = (DENIED, 403) if is_identified else (UNIDENTIFIED, 401)
        return Answer(code, status, headers, (), orjson.dumps(body), _metadata(found, record, decision_id), record)


def usable(value: str) -> str | None:
    """A value that a header can have; None if it cannot have it (G94)."""
    if not value or _CONTROL.search(value):
        return None
    try:
        return value if len(value.encode()) <= _MAX_VALUE else None
    except UnicodeEncodeError:
        return None


def _filled(text: str, claims: Mapping[str, Any], tags: Mapping[str, str]) -> str | None:
    """The text with its values; None if one is missing or cannot be sent."""
    parts: list[str] = []
    at = 0
    for found in _PLACEHOLDER.finditer(text):
        value = (claims if found[1] == "claim" else tags).get(found[2])
        if type(value) is not str:
            return None
        parts += text[at : found.start()], value
        at = found.end()
    return usable("".join((*parts, text[at:])))


def _explained(decision: Decision | None, error: str | None) -> dict[str, Any]:
    """Layer and reason, without the names of policies."""
    if decision is None:
        return {"reason": error}
    return {"layer": str(decision.layer), "reason": decision.outcome.name if decision.reason is None else str(decision.reason)}


def _metadata(found: Found | None, record: DecisionRecord | None, decision_id: str) -> dict[str, Any]:
    members: dict[str, Any] = {"decision_id": decision_id}
    if found is not None:
        members["principal"] = found.name
        if found.sent_id is not None:
            members["subject"] = found.sent_id
    if record is not None:
        members["generation"] = record.generation
        if record.decision is not None:
            reason = reason_members(record.decision, is_full=True)
            members |= {name: reason[name] for name in ("outcome", "layer", "policy", "sid") if name in reason}
        else:
            members["outcome"] = "ERROR"
    return members
