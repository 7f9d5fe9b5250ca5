"""How names of credentials and sessions are written (1.7), as data with one check."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastiam.credentials.sts_errors import ValidationError
from fastiam.model.request import shorten


@dataclass(frozen=True, slots=True)
class TextRule:
    """How a name is written."""

    what: str
    pattern: re.Pattern[str]
    characters: str


def check_form(text: object, rule: TextRule) -> str:
    """The text, if it has the form.

    Raises
    ------
    ValidationError
        it has not (1.7).
    """
    if not isinstance(text, str) or rule.pattern.fullmatch(text) is None:
        raise ValidationError(f"`{shorten(str(text))}` is not a valid {rule.what}", rule="1.7", hint=f"use {rule.characters}")
    return text
