"""Unique ids of IAM and Organizations (spec 7.3): a prefix of four letters for the kind, then random letters and digits."""

from __future__ import annotations

import os
from base64 import b32encode

SAML_PROVIDER, OIDC_PROVIDER = "SAML", "OIDC"
USER, ROLE, GROUP, POLICY, INSTANCE_PROFILE = "AIDA", "AROA", "AGPA", "ANPA", "AIPA"
NEW = "new"  # as an id: generate one
_LENGTH = 21  # with the prefix; callers must not rely on it


def new_id(prefix: str) -> str:
    """Generate a unique id."""
    return prefix + b32encode(os.urandom(_LENGTH)).decode()[: _LENGTH - len(prefix)]


def new_saml_uuid() -> str:
    """A new `SAMLProviderUUID`: 32 capital letters and digits."""
    return b32encode(os.urandom(20)).decode()


def new_organization_id() -> str:
    """A new id of an organization, such as `o-a1b2c3d4e5`."""
    return f"o-{b32encode(os.urandom(10)).decode().lower()[:10]}"


def new_root_id() -> str:
    """A new id of the root of an organization, such as `r-ab12`."""
    return f"r-{b32encode(os.urandom(5)).decode().lower()[:4]}"


def new_unit_id(root: str) -> str:
    """A new id of an organizational unit below a root, such as `ou-ab12-c3d4e5f6`."""
    return f"ou-{root.removeprefix('r-')}-{b32encode(os.urandom(5)).decode().lower()}"


def new_control_policy_id() -> str:
    """A new id of an SCP or RCP, such as `p-a1b2c3d4`."""
    return f"p-{b32encode(os.urandom(5)).decode().lower()}"


def new_account_request_id() -> str:
    """A new id of the request for an account, such as `car-` and 32 letters and digits."""
    return f"car-{os.urandom(16).hex()}"


def id_for(given: str | None, prefix: str) -> str | None:
    """The given id, or a generated one for `new`; None stays None: the id is unknown."""
    return new_id(prefix) if given == NEW else given
