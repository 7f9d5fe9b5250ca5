"""Rows of bulk answers."""

from __future__ import annotations

from typing import Any

from bulk_fixture import (
    SESSION,
)

from fastiam.server.identity import TRUST_SCOPES

ALL = frozenset(TRUST_SCOPES)
SESSIONS = {"s": {"principal": SESSION, "mfa_at": "2026-11-29T11:00:00Z", "tags": {"team": "red"}}}


def _outcomes(rows: list[dict[str, Any]]) -> list[str]:
    return [one["outcome"] for one in rows]


def _code(one: dict[str, Any]) -> str | None:
    return one["error"]["code"] if "error" in one else None
