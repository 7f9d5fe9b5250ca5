"""The session policies of guests: what unauthenticated identities can do at most in the enhanced flow (ID63, ID64)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastiam.sts import parameter_limits as limits


def default_policy() -> dict[str, Any]:
    """AWS's inline policy and its managed policy `AmazonCognitoUnAuthedIdentitiesSessionPolicy`, as one document.

    Both allow only, so that one document with the statements of both allows what either allows.
    """
    document: dict[str, Any] = json.loads(files(__package__).joinpath("guests.json").read_text("utf-8"))
    return document


def as_session_policy(document: str | bytes | Mapping[str, Any] | None) -> str:
    """The text of the session policy: the one given, or the default.

    Raises
    ------
    PolicyError
        it is rejected.
    ValidationError
        it is too large.
    """
    read, _ = limits.read_policies(default_policy() if document is None else document, (), "", ())
    assert read is not None
    return read[0]
