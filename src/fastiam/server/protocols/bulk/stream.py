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
from fastiam.server.mapping import MappingError
from fastiam.server.protocol import StreamAborted, StreamRefused
from fastiam.server.protocols.bulk.arrow_messages import BATCH, SCHEMA, ArrowError, ArrowMessage, ArrowMessages
from fastiam.server.protocols.bulk.gate import Gate, Principals
from fastiam.server.protocols.bulk.json_answers import JsonAnswers
from fastiam.server.protocols.bulk.json_rows import JsonRows, Line, Lines, read_header
from fastiam.server.protocols.bulk.log_items import Part, row_records
from fastiam.server.protocols.bulk.parameters import Parameters
from fastiam.server.protocols.bulk.rows import Decided, Judge, merged
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
        self._answers = _answers(parameters, pinned.generation)
        self._body: _Body = (_JsonBody if parameters.source == "jsonl" else _ArrowBody)(self)
        self._rows = self._allowed = self._errors = 0
        self._outcomes: dict[tuple[str, str], int] = {}
        self._denied: list[int] = []
        self.has_answered = self._is_over = False

    @property
    def missing(self) -> int:
        """Bytes without which no further row is complete; at most 1: unknown."""
        return self._body.missing

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The answers to rows that are complete."""
        return self._guarded(lambda: self._body.feed(chunk))

    def finish(self) -> Iterator[bytes]:
        """The rest of the answers."""
        yield from self._guarded(lambda: self._body.finish())
        yield self._answers.finish(self._rows, self._allowed, self._errors)

    def abort(self, code: str) -> bytes:
        """The last bytes of an answer that ends early."""
        return self._answers.abort(code, self._rows)

    def record(self) -> BatchRecord:
        """Counts of the whole request. A call that waited for a thread until now does nothing more."""
        self._is_over = True
        del self._body  # it refers to this object: the cycle would keep the engine until a garbage collection
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

    def _guarded(self, work: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        """The answers of a part of the work. What ends the stream is a response as long as nothing is answered."""
        if not self._has_slot:
            if self._is_over:
                return
            if not self._slots.take():
                busy = error(503, "overload", "too many streams")
                busy.headers = ((b"retry-after", b"1"),)
                raise StreamRefused(busy)
            self._has_slot = True
        try:
            for piece in work():
                self.has_answered = self.has_answered or bool(piece)
                yield piece
        except ArrowError as refused:
            self._end(error(refused.status, refused.code, refused.message), refused.code, refused.message)
        except MappingError as fault:
            self._end(refusal(fault), fault.code, fault.message)

    def _end(self, response: Response, code: str, message: str) -> None:
        if not self.has_answered:
            raise StreamRefused(response) from None
        raise StreamAborted(self._answers.abort(code, self._rows, message)) from None

    def set_sessions(self, raw: object) -> None:
        """Take the sessions that the body states.

        Raises
        ------
        MappingError
            the identity may state none, or one is wrong.
        """
        parameters, pinned = self._parameters, self._pinned
        self._judge.sessions = read_sessions(raw, self._identity, pinned.engine, parameters.now)
        self._gate.sessions = self._judge.sessions

    def check_count(self, rows: int) -> None:
        """Check the number of rows before some more are read.

        Raises
        ------
        ArrowError
            there are too many.
        """
        if self._rows + rows > MAX_ROWS:
            raise ArrowError(413, "too_many_rows", f"more than {MAX_ROWS} rows")

    @property
    def gate(self) -> Gate:
        """Checks what rows state."""
        return self._gate

    @property
    def judge(self) -> Judge:
        """Decides rows."""
        return self._judge

    @property
    def unknown(self) -> frozenset[str]:
        """The keys that are declared unknown."""
        return self._parameters.unknown

    def answer(self, decided: Decided, parts: Sequence[Part]) -> bytes:
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


class _Body(Protocol):
    """The body of one request."""

    @property
    def missing(self) -> int: ...
    def feed(self, piece: bytes) -> Iterator[bytes]: ...
    def finish(self) -> Iterator[bytes]: ...


class _JsonBody:
    """A body of JSON lines."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._lines = Lines()
        self._rows = JsonRows(processor.gate, processor.unknown)
        self._is_first = True

    @property
    def missing(self) -> int:
        """A client may wait for the answer to a line before it sends the next one."""
        return 1

    def feed(self, piece: bytes) -> Iterator[bytes]:
        return self._answered(self._lines.feed(piece))

    def finish(self) -> Iterator[bytes]:
        return self._answered(self._lines.finish())

    def _answered(self, chunks: Iterator[list[Line]]) -> Iterator[bytes]:
        processor = self._processor
        for lines in chunks:
            if self._is_first and lines:
                self._is_first = False
                sessions = read_header(lines[0])
                if sessions is not None:
                    processor.set_sessions(sessions)
                    lines = lines[1:]
            if not lines:
                continue
            processor.check_count(len(lines))
            parts = self._rows.read(lines)
            decided = merged([(at, processor.judge.decide(rows)) for at, rows in parts], len(lines))
            yield processor.answer(decided, parts)


class _ArrowBody:
    """A body of Arrow messages."""

    def __init__(self, processor: Processor) -> None:
        from fastiam.server.protocols.bulk.arrow_rows import ArrowRows  # PERF: of the library, only when it is used

        self._make = ArrowRows
        self._processor = processor
        self._messages = ArrowMessages()
        self._rows: ArrowRows | None = None

    @property
    def missing(self) -> int:
        """Of the next message."""
        return self._messages.missing

    def feed(self, piece: bytes) -> Iterator[bytes]:
        processor = self._processor
        messages, refused = self._cut(piece)
        if refused is not None and not processor.has_answered:
            raise refused
        for message in messages:
            if message.kind == SCHEMA:
                self._rows = self._make(message.data, processor.gate)
                sessions = self._rows.sessions()
                if sessions is not None:
                    processor.set_sessions(sessions)
                continue
            assert self._rows is not None  # the first message is a schema
            if message.kind != BATCH:
                self._rows.put(message.data)
                continue
            processor.check_count(message.rows)
            for rows in self._rows.read(message.data):
                try:
                    decided = processor.judge.decide(rows)
                except RequestValueError as fault:
                    raise ArrowError(400, "bad_type", f"the column `{fault.column[:64]}` cannot be read") from None
                yield processor.answer(decided, [(range(rows.length), rows)])
        if refused is not None:
            raise refused

    def _cut(self, piece: bytes) -> tuple[list[ArrowMessage], ArrowError | None]:
        """The messages that are complete, and why the one after them is refused."""
        found: list[ArrowMessage] = []
        try:
            for message in self._messages.feed(piece):
                found.append(message)
        except ArrowError as refused:
            return found, refused
        return found, None

    def finish(self) -> Iterator[bytes]:
        self._messages.finish()
        return iter(())


def _answers(parameters: Parameters, generation: int) -> Answers:
    if parameters.answer == "jsonl":
        return JsonAnswers(parameters, generation)
    from fastiam.server.protocols.bulk.arrow_answers import ArrowAnswers  # PERF: as above

    return ArrowAnswers(parameters, generation)
