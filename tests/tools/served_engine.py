"""A saved engine as the source of servers in tests, and an engine as the source of protocols."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import fastiam


@dataclass(frozen=True)
class EngineDecider:
    """One engine that never changes, as the only generation."""

    engine: fastiam.Engine
    directory: fastiam.Directory | None = None
    generation: int = 1
    sts: None = None

    def pin(self) -> EngineDecider:
        return self

    fresh = pin


USER = "arn:aws:iam::111111111111:user/u"


def write_engine(path: Path, action: str = "s3:GetObject") -> Path:
    """A saved engine whose only user may do one action."""
    directory = fastiam.Directory()
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    directory.add_principal(USER, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    directory.compile().save(path)
    return path
