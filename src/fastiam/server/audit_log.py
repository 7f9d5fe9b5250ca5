"""The audit log: start, stop, reloads, calls that write, failed authentications, internal errors; one JSON line each (G188)."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fastiam.model.secret import Secret, SecretBytes
from fastiam.server.config import ConfigError
from fastiam.server.decision_log import encode
from fastiam.server.log_writer import LogWriter
from fastiam.server.uvicorn_protocol import Connection

_FAILURES: Final = 10  # authentication failures that are logged, per peer and second
_PEERS: Final = 10_000  # peers with a count of failures
_MAX_TEXT: Final = 8192


class AuditLog:
    """Writes events. A line has identity, address and result, but no secret and no text of a policy.

    A `Secret` is written as `<secret>` wherever it occurs.

    Parameters
    ----------
    path
        a file; `-` is standard error.

    Raises
    ------
    ConfigError
        the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        try:
            self.writer = LogWriter(sys.stderr.fileno() if path == "-" else Path(path))
        except OSError as error:
            raise ConfigError(f"audit_log: {path}: {(error.strerror or str(error)).lower()}") from None
        self._failures: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def event(self, event: str, **members: Any) -> None:
        """Log one event."""
        self.writer.put(encode({"timestamp": datetime.now(UTC).isoformat(), "event": event, **members}))

    def call(self, *, has_acted: bool, **members: Any) -> None:
        """Log a call of an AWS service.

        Parameters
        ----------
        has_acted
            the line is kept even if the queue is full. Calls that are refused would fill the memory while no line can be written.
        """
        line = {"timestamp": datetime.now(UTC).isoformat(), "event": "aws_call", **members}
        self.writer.put(encode(line), always=has_acted)

    def failed(self, error: BaseException, decision_id: str) -> None:
        """Log an unexpected exception of a request."""
        text = "".join(traceback.format_exception(error))[-_MAX_TEXT:]
        self.event("error", decision_id=decision_id, error=type(error).__name__, traceback=text)

    def refused(self, connection: Connection, status: int, code: str) -> None:
        """Log a failed authentication, at most some per second and peer."""
        if status != 401:
            return
        peer = connection.peer
        self.authentication_failed(peer.address or f"uid:{peer.uid}", listener=connection.listening.name, reason=code)

    def authentication_failed(self, address: str, **members: Any) -> None:
        """Log a failed authentication of a peer, at most some per second; from any thread."""
        second = int(time.monotonic())
        with self._lock:
            known = self._failures.get(address, (second, 0))
            count = known[1] + 1 if known[0] == second else 1
            if address not in self._failures and len(self._failures) >= _PEERS:
                self._failures.clear()
            self._failures[address] = second, count
        if count <= _FAILURES:
            self.event("authentication_failed", peer=address, **members)

    def handler(self) -> logging.Handler:
        """A handler of Python's logging that writes here."""
        return _Handler(self)

    def take_logging(self) -> None:
        """Make every record of Python's logging a line of this log: nothing else writes to standard error."""
        logging.getLogger().handlers = [self.handler()]
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a bad request is counted, not logged
        logging.getLogger("fastiam.live").disabled = True  # reloads are reported with the generations before and after


class _Handler(logging.Handler):
    def __init__(self, log: AuditLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple):  # `%s` shows a secret
            record.args = tuple(repr(each) if isinstance(each, (Secret, SecretBytes)) else each for each in record.args)
        more = {}
        if record.exc_info and record.exc_info[1] is not None:
            more["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))[-_MAX_TEXT:]
        self._log.event("log", logger=record.name, level=record.levelname, message=record.getMessage()[:_MAX_TEXT], **more)
