"""What rows of a saved directory are, for who writes them and who reads them.

A record is the row that a store has of it (`storage.rows`), but that policies are numbers of rows of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastiam.model.policy import PolicyKind
from fastiam.storage.record_codec import codec_of

FULL, NOBODY = 0xFFFF_FFFE, 0xFFFF_FFFF  # in place of a row: `FullAWSAccess`, which is ours; a policy that nobody has
SECTIONS = ("records", "policies", "texts", "tables")


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A stored policy, and where in a file it stands; the text of the file, where it is known, is a row of its own."""

    kind: PolicyKind
    name: str
    text: str
    arn: str | None = None
    file: str | None = None
    file_text: int | None = None
    path: tuple[str | int, ...] = ()


POLICY, TEXT = codec_of(PolicyRow), codec_of(str)


def unchanged(value: Any) -> Any:
    """What a form does with a value that JSON has as it is."""
    return value
