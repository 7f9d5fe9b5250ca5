"""What a protocol reports about the decisions that it made: the source of the decision log and of the metrics (G181, G184)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastiam.model.decision import Decision


@dataclass(slots=True)
class DecisionRecord:
    """One decided request."""

    path: str
    """For example `authzen/evaluation`."""
    generation: int
    principal: str | None
    action: str | None
    resource: str | None
    context: Mapping[str, Any]
    decision: Decision | None
    """None where the request could not be decided; then `error` has the code."""
    result: object
    """The answer as the client got it, usually a bool."""
    error: str | None = None


@dataclass(slots=True)
class BatchRecord:
    """A request with many decisions; one line of the log (G185, `per = "request"`)."""

    path: str
    generation: int
    size: int
    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Count of decisions by (outcome, layer)."""
    denied: Sequence[int] = ()
    """Indices of the first 100 denied items."""
    errors: int = 0


Record = DecisionRecord | BatchRecord
