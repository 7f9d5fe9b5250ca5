"""What a protocol reports about the decisions that it made: the source of the decision log and of the metrics (G181, G184)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

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
    sent_id: str | None = None
    """The id of the subject as it was sent, if the name of the principal does not show it."""


@dataclass(slots=True)
class BatchRecord:
    """A request with many decisions; one line of the log, or one for each item (G185)."""

    path: str
    generation: int
    size: int
    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Count of decisions by (outcome, layer)."""
    denied: Sequence[int] = ()
    """Indices of the first 100 denied items."""
    errors: int = 0
    items: Sequence[Item] | None = None
    """The lines of the log with `per = "item"`, except those that `take_items` has given; None: one line for all."""


Item = tuple[int, DecisionRecord]
"""An item of a batch, by its index."""
Record = DecisionRecord | BatchRecord


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call of an AWS service that has ended, for the audit log and the metrics (G181, G188).

    Attributes
    ----------
    service, operation
        names of the models; `other` where the request names none.
    status, code
        HTTP status, and code of the error; empty for a success.
    is_audited
        whether it writes or issues credentials.
    issues_session
        whether a success has issued credentials of a session.
    signature_fault
        the code if the caller was not authenticated, else empty.
    principal, access_key_id
        the caller; None if it was not authenticated.
    client
        address of the end client.
    resources
        what was decided about, or named.
    issued
        the id of the access key that it has issued.
    before, after
        the generation that it was decided over, and the one that has what it wrote.
    """

    request_id: str
    service: str
    operation: str
    status: int
    code: str
    is_audited: bool
    issues_session: bool
    signature_fault: str
    principal: str | None
    access_key_id: str | None
    client: str | None
    resources: tuple[str, ...]
    issued: str | None
    before: int
    after: int


class CallLog(Protocol):
    """Where calls of AWS services are reported; from any thread."""

    def is_open(self) -> bool:
        """Whether a call can be logged. One that must be logged is refused without it."""

    def ended(self, record: CallRecord) -> None:
        """Count a call, and log it if it must be."""


class NoCallLog:
    """Reports nothing."""

    def is_open(self) -> bool:
        """Always."""
        return True

    def ended(self, record: CallRecord) -> None:
        """Do nothing."""
