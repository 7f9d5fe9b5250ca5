"""`[opa]` of the configuration."""

from __future__ import annotations

from typing import Literal

import msgspec

from fastiam.server import protocol
from fastiam.server.mapping import Encoding, PartsSection, SubjectSection

Shape = Literal["generic", "trino.allow", "trino.batch"]
ResultForm = Literal["bool", "allow", "object"]


class PathSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[opa.paths."a/b"]`: the meaning of `/v1/data/a/b` (G109)."""

    shape: Shape = "generic"
    result: ResultForm = "bool"
    """`true`, `{"allow": true}`, or an object with the reason. The shapes of Trino have their own form."""
    principal: str = "/principal"
    """JSON pointer in the input; for `generic` only, as those below."""
    action: str = "/action"
    resource: str | dict[str, str] = "/resource"
    """Of an id, or of each part of a resource: placeholder -> JSON pointer."""
    context: str = "/context"
    subject_type: str | None = None
    """Name in `[opa.subjects]`; None: the principal is an ARN."""
    resource_type: str | None = None
    """Name in `[opa.resources]`; None: the resource is an ARN."""


class TrinoSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[opa.trino]` (4.2)."""

    principal: str | None = None
    """Template of the principal's ARN with `{user}`."""
    session_of: str | None = None
    """Or ARN of a role: the user is the name of a session."""
    encoding: Encoding = "percent"
    """How a user becomes a part of the ARN; with `base32hex` and `hash` any user does (G51)."""
    known: bool | None = None
    """Whether all users have a record (G75). None: true with `principal`."""
    owner: str | None = None
    """Account that owns catalogs and everything in them; None: the account of the principal."""
    row_filters: Literal["none"] | None = None
    """`none`: there are no row filters, and Trino gets an empty list. Else such a request is 404, and the query fails (G108)."""
    column_masks: Literal["none"] | None = None
    """The same for column masks."""


class Section(protocol.Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[opa]` of the configuration."""

    paths: dict[str, PathSection] = {}
    """By path below `/v1/data/`."""
    default_decision: str | None = None
    """The path that `POST /` asks (G104)."""
    subjects: dict[str, SubjectSection] = {}
    """By name, as those of `[authzen]`."""
    resources: dict[str, PartsSection] = {}
    actions: dict[str, str] = {}
    """Action name -> IAM action."""
    context: dict[str, str] = {}
    """Member of a context -> condition key; others become `opa:context/NAME`."""
    allow_now: bool = False
    """Whether `aws:CurrentTime` of a context sets the time of the request."""
    trino: TrinoSection | None = None
