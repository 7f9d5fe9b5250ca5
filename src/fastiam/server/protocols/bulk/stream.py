"""The work on one request for bulk decisions: a body in, answers out, row by row in order (G163, G165)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Final, Protocol

import numpy as np
import orjson

from fastiam.errors import RequestValueError
from fastiam.model.decision import Outcome
from fastiam.server.decider import Pinned
from fastiam.server.decision_records import BatchRecord, Item
from fastiam.server.http import Response
from fastiam.server.identity import Identity
from fastiam.server.mapping import MappingError, RequestRefused
from fastiam.server.protocol import StreamAborted, StreamRefused
from fastiam.server.protocols.bulk.gate import Gate, Principals
from fastiam.server.protocols.bulk.log_items import row_records
from fastiam.server.protocols.bulk.parameters import Parameters
from fastiam.server.protocols.bulk.rows import Chunk, Decided, Judge, Part, Reader, merged
from fastiam.server.protocols.bulk.stated_sessions import read_sessions

MAX_ROWS: Final = 10_000_000
_MAX_DENIED: Final = 100  # indices in the decision log
_STOPPED: Final = "row_error"
_PATH: Final = "bulk/decisions"
_STATUS: Final = {"not_asserted": 403}


class Answers(Protocol):
    """Writes decisions in one form."""

    def write(self, decided: Decided) -> bytes:
        """The answers of some rows."""

    def finish(self, rows: int, allowed: int, errors: int) -> bytes:
        """The end of a complete answer."""

    def abort(self, code: str, row: int, message: str = "") -> bytes:
        """The end of one that stops early."""


class Slots:
    """How many requests are in work."""

    def __init__(self, most: int) -> None:
        self._free = [None] * most  # taken and given back by single calls of the list, which threads may make at the same time

    def take(self) -> bool:
        """Whether there was a free one."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """End a request."""
        self._free.append(None)


def error(status: int, code: str, message: str, at: str | None = None) -> Response:
    """A response to a request that is refused as a whole."""
    members = {"code": code, "message": message} | ({} if at is None else {"at": at})
    return Response(status, orjson.dumps({"error": members}))


def refusal(fault: MappingError) -> Response:
    """The same for a fault."""
    return error(_STATUS.get(fault.code, 400), fault.code, fault.message, fault.at)


class Processor:
    """Decides the rows of a body while it arrives.

    Parameters
    ----------
    principals, slots
        of the protocol. One slot is taken with the first bytes of the body, and given back by `record`.

    Attributes
    ----------
    has_answered
        whether a part of the answer was given.
    """

    def __init__(
        self,
        pinned: Pinned,
        parameters: Parameters,
        identity: Identity,
        principals: Principals,
        slots: Slots,
        *,
        logs_items: bool,
    ) -> None:
        self._pinned, self._parameters, self._identity = pinned, parameters, identity
        self._slots, self._has_slot = slots, False
        self._gate = Gate(identity, principals, parameters.unknown)
        self._judge = Judge(pinned.engine, parameters, with_reasons=parameters.reasons or logs_items)
        self._items: list[Item] | None = [] if logs_items else None
        self._answers: Answers = parameters.answer.writer()(parameters, pinned.generation)
        self._reader: Reader = parameters.source.reader()(self._gate, parameters.unknown)
        self._rows = self._allowed = self._errors = 0
        self._outcomes: dict[tuple[str, str], int] = {}
        self._denied: list[int] = []
        self.has_answered = self._is_over = False

    @property
    def missing(self) -> int:
        """Bytes without which no further row is complete; at most 1: unknown."""
        return self._reader.missing

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The answers to rows that are complete."""
        return self._guarded(lambda: self._reader.feed(chunk, has_answered=self.has_answered))

    def finish(self) -> Iterator[bytes]:
        """The rest of the answers."""
        yield from self._guarded(self._reader.finish)
        yield self._answers.finish(self._rows, self._allowed, self._errors)

    def abort(self, code: str) -> bytes:
        """The last bytes of an answer that ends early."""
        return self._answers.abort(code, self._rows)

    def record(self) -> BatchRecord:
        """Counts of the whole request. A call that waited for a thread until now does nothing more."""
        self._is_over = True
        if self._has_slot:
            self._has_slot = False
            self._slots.give_back()
        items = None if self._items is None else ()  # `take_items` has given them
        return BatchRecord(_PATH, self._pinned.generation, self._rows, self._outcomes, self._denied, self._errors, items)

    def take_items(self) -> Sequence[Item]:
        """The items since the last call, if the log has a line for each."""
        if not self._items:
            return ()
        items, self._items = self._items, []
        return items

    def _guarded(self, read: Callable[[], Iterator[Chunk]]) -> Iterator[bytes]:
        """The answers to some rows. What ends the stream is a response as long as nothing is answered."""
        if not self._has_slot:
            if self._is_over:
                return
            if not self._slots.take():
                busy = error(503, "overload", "too many streams")
                busy.headers = ((b"retry-after", b"1"),)
                raise StreamRefused(busy)
            self._has_slot = True
        try:
            for piece in self._decided(read()):
                self.has_answered = self.has_answered or bool(piece)
                yield piece
        except RequestRefused as refused:
            self._end(error(refused.status, refused.code, refused.message), refused.code, refused.message)
        except MappingError as fault:
            self._end(refusal(fault), fault.code, fault.message)

    def _end(self, response: Response, code: str, message: str) -> None:
        if not self.has_answered:
            raise StreamRefused(response) from None
        raise StreamAborted(self._answers.abort(code, self._rows, message)) from None

    def _decided(self, chunks: Iterator[Chunk]) -> Iterator[bytes]:
        """The answers to rows: columns that the gate has checked, decided, and written."""
        for chunk in chunks:
            if chunk.sessions is not None:
                stated = read_sessions(chunk.sessions, self._identity, self._pinned.engine, self._parameters.now)
                self._gate.sessions = self._judge.sessions = stated
            if self._rows + chunk.rows > MAX_ROWS:
                raise RequestRefused(413, "too_many_rows", f"more than {MAX_ROWS} rows")
            for parts in chunk.read():
                length = sum(len(numbers) for numbers, _ in parts)
                try:
                    decided = merged([(numbers, self._judge.decide(rows)) for numbers, rows in parts], length)
                except RequestValueError as fault:
                    raise RequestRefused(400, "bad_type", f"the column `{fault.column[:64]}` cannot be read") from None
                yield self._answer(decided, parts)

    def _answer(self, decided: Decided, parts: Sequence[Part]) -> bytes:
        """Count some decisions, and write them.

        Parameters
        ----------
        parts
            the rows that they are about.

        Raises
        ------
        StreamAborted
            a row cannot be decided, and the stream stops there.
        """
        stops = self._parameters.stops and bool(decided.errors)
        if self._items is not None:
            end = min(decided.errors) + 1 if stops else len(decided)
            found = row_records(parts, decided, self._judge.sessions, _PATH, self._pinned.generation)
            items = sorted(((self._rows + row, record) for row, record in found if row < end), key=itemgetter(0))
            self._items.extend(items)  # not `+=`, which could put back what `take_items` has just taken
            if not self._parameters.reasons:
                decided = decided.plain()
        fault = None
        if stops:
            row = min(decided.errors)
            fault, decided = decided.errors[row], decided.first(row)
        self._count(decided)
        written = self._answers.write(decided) if len(decided) or not stops else b""
        if fault is not None:
            self._errors += 1
            raise StreamAborted(written + self._answers.abort(fault.code, self._rows, fault.message))
        return written

    def _count(self, decided: Decided) -> None:
        for key, count in decided.counts().items():
            self._outcomes[key] = self._outcomes.get(key, 0) + count
        allowed = decided.outcome == Outcome.ALLOW
        missing = _MAX_DENIED - len(self._denied)
        if missing:
            self._denied += (np.flatnonzero(~allowed)[:missing] + self._rows).tolist()
        self._rows += len(decided)
        self._allowed += int(np.count_nonzero(allowed))
        self._errors += len(decided.errors)
