"""Calls of CloudTrail records."""

from __future__ import annotations

from pathlib import Path

from cloudtrail_records import write_log

import fastiam
from fastiam.model.logged_calls import Calls


def calls_of(tmp_path: Path, *records: dict) -> Calls:
    """The one batch of a small log."""
    (calls,) = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", *records))
    return calls


def keys_of(calls: Calls, call: int = 0) -> dict[str, str | None]:
    """Everything that is known of the keys of a call."""
    return {key: value for facts in calls.facts for key, value in facts.table[facts.codes[call]].items()}
