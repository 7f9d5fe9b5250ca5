"""Rows of the directory in an engine file, for the writer and the reader.

A record has the form of a store (`directory.record_codec`), except that policies are ids of rows of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastiam.directory.record_codec import codec_of
from fastiam.model.policy import PolicyKind

FULL, NO_ROW = 0xFFFF_FFFE, 0xFFFF_FFFF  # in place of a row: `FullAWSAccess`, which is built in; a policy without a record
SECTIONS = ("records", "policies", "texts", "tables")


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A stored policy and its position in a source file. The text of that file, if known, is a row of its own."""

    kind: PolicyKind
    name: str
    text: str
    arn: str | None = None
    file: str | None = None
    file_text: int | None = None
    path: tuple[str | int, ...] = ()


POLICY, TEXT = codec_of(PolicyRow), codec_of(str)


def unchanged(value: Any) -> Any:
    """Return a value that JSON represents as it is."""
    return value
