"""Calls of AWS services: counted, and written to the audit log (G181, G188). They end in threads, so all of it is locked."""

from __future__ import annotations

import threading

from fastiam.server.audit_log import AuditLog
from fastiam.server.decision_records import CallRecord


class CallCounts:
    """Counters by labels, which are names of models and codes of HTTP."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[tuple[str, str, int], int] = {}
        self._sessions: dict[str, int] = {}
        self._faults: dict[str, int] = {}

    def add(self, record: CallRecord) -> None:
        """Count a call."""
        with self._lock:
            key = record.service, record.operation, record.status
            self._calls[key] = self._calls.get(key, 0) + 1
            if record.issues_session:
                self._sessions[record.operation] = self._sessions.get(record.operation, 0) + 1
            if record.signature_fault:
                self._faults[record.signature_fault] = self._faults.get(record.signature_fault, 0) + 1

    def calls(self) -> dict[tuple[str, str, int], int]:
        """Calls by service, operation and status."""
        with self._lock:
            return dict(self._calls)

    def sessions(self) -> dict[str, int]:
        """Sessions that were issued, by operation."""
        with self._lock:
            return dict(self._sessions)

    def faults(self) -> dict[str, int]:
        """Calls whose caller was not authenticated, by reason."""
        with self._lock:
            return dict(self._faults)


class AuditedCalls:
    """Counts calls, and logs those that write or issue credentials. Of failed authentications only some a second are logged."""

    def __init__(self, audit: AuditLog, counts: CallCounts) -> None:
        self._audit, self._counts = audit, counts

    def is_open(self) -> bool:
        """Whether the audit log can be written."""
        return not self._audit.writer.is_failing

    def ended(self, record: CallRecord) -> None:
        """Count a call, and log it if it must be."""
        self._counts.add(record)
        who = record.client or "unix"
        if record.code and record.principal is None:
            if record.is_audited or record.signature_fault:
                self._audit.authentication_failed(
                    who, service=record.service, operation=record.operation, request_id=record.request_id, reason=record.code
                )
        elif record.is_audited:
            self._audit.call(
                has_acted=not record.code,
                request_id=record.request_id,
                service=record.service,
                operation=record.operation,
                principal=record.principal,
                access_key_id=record.access_key_id,
                peer=who,
                resources=record.resources,
                result=record.code or "success",
                before=record.before,
                after=record.after,
                **({} if record.issued is None else {"issued": record.issued}),
            )
