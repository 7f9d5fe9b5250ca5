"""The inline policy that revokes the sessions of a role issued before an instant (S80)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.request import date_text

NAME = "AWSRevokeOlderSessions"


def extended(until: datetime, policies: Iterable[StoredPolicy]) -> tuple[datetime, dict[str, Any]]:
    """The later of `until` and the stored instant, and the policy document for it.

    `policies` are the inline policies of the role. Statements of another form in the stored policy are kept.

    Raises
    ------
    RequestValueError
        `until` has no time zone.
    """
    date_text(until, "issued_before")
    kept: list[Mapping[str, Any]] = []
    for stored in policies:
        for statement in _statements(json.loads(stored.text)) if stored.name == NAME else ():
            earlier = _instant(statement)
            if earlier is None:
                kept.append(statement)
            else:
                until = max(until, earlier)
    return until, {"Version": "2012-10-17", "Statement": [*kept, _statement(date_text(until))]}


def _statement(until: str) -> dict[str, Any]:
    condition = {"DateLessThan": {"aws:TokenIssueTime": until}}
    return {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = document.get("Statement", [])
    return [found] if isinstance(found, Mapping) else list(found)


def _instant(statement: Mapping[str, Any]) -> datetime | None:
    """The instant of a statement that this module wrote; None for any other statement."""
    try:
        text = statement["Condition"]["DateLessThan"]["aws:TokenIssueTime"]
        instant = datetime.fromisoformat(text)
    except (KeyError, TypeError, ValueError):
        return None
    return instant if instant.tzinfo is not None and statement == _statement(text) else None
