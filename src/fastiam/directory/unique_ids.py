"""Unique ids of IAM (spec 7.3): four letters that tell the kind, and letters and digits that nobody else has."""

from __future__ import annotations

import os
from base64 import b32encode

SAML_PROVIDER, OIDC_PROVIDER = "SAML", "OIDC"
USER, ROLE, GROUP, POLICY, INSTANCE_PROFILE = "AIDA", "AROA", "AGPA", "ANPA", "AIPA"
NEW = "new"  # given in place of an id: the model makes one
_LENGTH = 21  # with the prefix, as usual; nobody may rely on it


def new_id(prefix: str) -> str:
    """An id that was never there before."""
    return prefix + b32encode(os.urandom(_LENGTH)).decode()[: _LENGTH - len(prefix)]


def new_saml_uuid() -> str:
    """A new `SAMLProviderUUID`: 32 capital letters and digits."""
    return b32encode(os.urandom(20)).decode()


def id_for(given: str | None, prefix: str) -> str | None:
    """The id that is given, or one that is made; None stays: the id is not known."""
    return new_id(prefix) if given == NEW else given
