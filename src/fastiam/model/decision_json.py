"""The JSON form of a decision, the same for the command line, servers and logs."""

from __future__ import annotations

from fastiam.model.decision import Decision
from fastiam.model.result import Json, fields_to_json


def decision_to_json(decision: Decision) -> dict[str, Json]:
    """Return the JSON form of a decision, as `Decision.to_dict` does."""
    return fields_to_json(decision)
