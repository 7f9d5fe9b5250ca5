"""`[authzen]` of the configuration."""

from __future__ import annotations

from typing import Literal

from fastiam.server import protocol
from fastiam.server.mapping import EntityMapping, ResourceSection, SubjectSection


class Section(protocol.Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[authzen]` of the configuration; without it subjects and resources are ARNs (G6)."""

    reasons: Literal["full", "outcome", "none"] = "full"
    """What `context` of an answer has. An identity without the scope `explain` gets at most `outcome`."""
    subjects: dict[str, SubjectSection] = {}
    """By type."""
    resources: dict[str, ResourceSection] = {}
    """By type."""
    actions: dict[str, str] = {}
    """Action name -> IAM action."""
    context: dict[str, str] = {}
    """Member of a context -> condition key."""
    allow_now: bool = False
    """Whether `aws:CurrentTime` of a context sets the time of the request."""
    metadata_http: bool = False
    """Whether `public_url` may begin with `http`, for tests."""

    def mapping(self, *, has_directory: bool) -> EntityMapping:
        """The compiled mapping."""
        return EntityMapping.of(
            self.subjects,
            self.resources,
            self.actions,
            self.context,
            allow_now=self.allow_now,
            has_directory=has_directory,
        )
