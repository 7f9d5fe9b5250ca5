"""The load cases of `cases/validation.json`."""

from __future__ import annotations

import json
from pathlib import Path

CASES = json.loads((Path(__file__).resolve().parents[1] / "cases" / "validation.json").read_text())
VERSION = "2012-10-17"


def document_of(case):
    if "text" in case:
        return case["text"]
    return case.get("document") or {"Version": VERSION, "Statement": [case["statement"]]}
