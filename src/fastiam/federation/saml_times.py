"""Instants of SAML: `xs:dateTime` in UTC, written with `Z` (SA31)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fastiam.federation.xml_reading import XmlError

_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.\d{1,32})?Z", re.ASCII)


def read_time(text: str) -> datetime:
    """An instant, to whole seconds: fractions are cut.

    Raises
    ------
    XmlError
        another form, such as another time zone.
    """
    match = _TIME.fullmatch(text.strip(" \t\r\n"))
    try:
        return datetime.fromisoformat(match[1]).replace(tzinfo=UTC) if match else _refuse()
    except ValueError:
        return _refuse()


def _refuse() -> datetime:
    raise XmlError("an instant is not written as `2026-01-31T12:00:00Z`")
