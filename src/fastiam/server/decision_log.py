"""The decision log: which requests are logged, and as what (G184 to G187).

Every line is made by the JSON encoder. Texts and trees from clients are cut, and secrets are erased before anything is queued.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from fastiam import __version__
from fastiam.model.decision import Decision, Outcome
from fastiam.model.key_registry import spelled
from fastiam.model.secret import Secret, SecretBytes
from fastiam.server._log_lines import LineWriter
from fastiam.server.config_sections import DecisionLogSection
from fastiam.server.decision_records import BatchRecord, DecisionRecord, Item, Record
from fastiam.server.http import Request
from fastiam.server.log_writer import LogWriter

MAX_TEXT: Final = 2048
MAX_DEPTH: Final = 4
MAX_MEMBERS: Final = 100
MAX_DENIED: Final = 100

_SECRET = re.compile(r"authorization|token|password|secret|cookie", re.IGNORECASE)
_TRACE = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_CONTROL = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class DecisionLog:
    """Writes records of decisions as JSON lines.

    Parameters
    ----------
    clock
        the time, in UTC.
    instance
        id of this process.
    """

    def __init__(self, settings: DecisionLogSection, writer: LogWriter, clock: Callable[[], datetime], instance: str) -> None:
        self.settings = settings
        self.writer = writer
        self._clock = clock
        self._labels = {"id": instance, "version": __version__, **settings.labels}
        self._erase = [place.removeprefix("/input/").split("/") for place in settings.erase]
        self._below = int(settings.sample * (1 << 64))
        self._lines, self._generation = self._new_lines(), 0

    def _new_lines(self) -> LineWriter:
        return LineWriter(self._source_bytes, _reason_bytes, _name_bytes)

    def write(self, record: Record, request: Request, elapsed_ns: int) -> bool:
        """Log a record if the configuration says so; False if it must be logged and cannot be."""
        if isinstance(record, BatchRecord) and record.items is not None:
            return self.write_items(record.items, request, elapsed_ns, record.size)
        if not _has_denial(record) and not self._is_whole(request):
            return True
        return self._put(self._line(record, request.request_id, request, elapsed_ns, self._clock()))

    def write_items(self, items: Sequence[Item], request: Request, elapsed_ns: int, size: int | None = None) -> bool:
        """Log items of a batch as lines of their own; False if one must be logged and cannot be.

        Parameters
        ----------
        size
            number of items of the batch; None: unknown yet.
        """
        is_whole = self._is_whole(request)
        of_batch: dict[str, Any] = {} if size is None else {"size": size}
        now = self._clock()
        for index, record in items:
            if is_whole or _has_denial(record):
                line = self._line(record, f"{request.request_id}.{index}", request, elapsed_ns, now)
                batch = orjson.dumps({"id": request.request_id, "index": index, **of_batch})
                if not self._put(b'%b,"batch":%b}\n' % (line[:-2], batch)):
                    return False
        return True

    def _is_whole(self, request: Request) -> bool:
        """Whether all decisions of a request are logged, allowed ones too."""
        mode = self.settings.mode
        return mode == "all" or (mode == "sampled" and self._is_sampled(request.request_id))

    def _line(self, record: Record, decision_id: str, request: Request, elapsed_ns: int, now: datetime) -> bytes:
        line = None
        if isinstance(record, DecisionRecord) and not self._erase:  # PERF: the usual line without a tree of Python values
            if record.generation != self._generation:  # its cached decisions keep the texts of the policies in memory
                self._lines, self._generation = self._new_lines(), record.generation
            line = self._lines.write(record, decision_id, _client(request), request.headers, now, elapsed_ns)
        return line or encode(self._entry(record, decision_id, request, elapsed_ns, now))

    def _put(self, line: bytes) -> bool:
        is_needed = self.settings.on_full == "deny"
        if is_needed and self.writer.is_failing:
            return False
        return self.writer.put(line) or not is_needed

    def _is_sampled(self, request_id: str) -> bool:
        """Chosen by the id, so that the lines of one request are all there or none is."""
        return int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=8).digest()) < self._below

    def _entry(self, record: Record, decision_id: str, request: Request, elapsed_ns: int, now: datetime) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "decision_id": decision_id,
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            **self._source(record.path, _client(request), record.generation),
        }
        trace = request.header(b"traceparent")
        match = _TRACE.fullmatch(trace) if trace is not None else None
        if match is not None:
            entry["trace_id"], entry["span_id"] = match[1].decode(), match[2].decode()
        request_id = request.header(b"x-request-id")
        if request_id is not None and len(request_id) <= 512:
            entry["request_id"] = clean(request_id.decode("utf-8", "replace"))
        entry |= _batch(record, request) if isinstance(record, BatchRecord) else self._single(record)
        entry["metrics"] = {"timer_server_handler_ns": elapsed_ns}
        return entry

    def _source(self, path: str, client: str, generation: int) -> dict[str, Any]:
        bundles = {"fastiam": {"revision": str(generation)}}
        return {"labels": self._labels, "path": path, "requested_by": client, "bundles": bundles}

    def _source_bytes(self, path: str, client: str, generation: int) -> bytes:
        return _members(self._source(path, client, generation))

    def _single(self, record: DecisionRecord) -> dict[str, Any]:
        erased: list[str] = []
        given = {
            "principal": record.principal,
            **({} if record.sent_id is None else {"subject": record.sent_id}),
            "action": record.action,
            "resource": record.resource,
            "context": dict(record.context),
        }
        for parts in self._erase:
            _erase(given, parts, erased)
        cut = Cut(erased)
        entry: dict[str, Any] = {"input": cut.tree(given, "/input"), "result": cut.tree(record.result, "/result")}
        if record.decision is not None:
            entry |= _reason(record.decision)
        if record.error is not None:
            entry["error"] = record.error
        if erased:
            entry["erased"] = sorted(erased)
        if cut.is_truncated:
            entry["truncated"] = True
        return entry


def _has_denial(record: Record) -> bool:
    if isinstance(record, BatchRecord):
        return bool(record.errors) or any(outcome != "ALLOW" and count for (outcome, _), count in record.outcomes.items())
    return record.decision is None or record.decision.outcome is not Outcome.ALLOW


def _client(request: Request) -> str:
    identity = request.identity
    return identity.name if identity is not None else request.peer.address or "unix"


def _members(entry: Mapping[str, Any]) -> bytes:
    """The members of a line without the braces and the line end."""
    return encode(entry)[1:-2]


def _reason_bytes(decision: Decision) -> bytes:
    return _members(_reason(decision))


def _name_bytes(name: object) -> bytes | None:
    """The name of a member of the context as JSON; None if the member may not be logged as it is."""
    if type(name) is not str or len(name) > MAX_TEXT or not name.isascii() or "\x7f" in name or _SECRET.search(name):
        return None
    return orjson.dumps(name)


def _reason(decision: Decision) -> dict[str, Any]:
    entry: dict[str, Any] = {"outcome": decision.outcome.name, "layer": decision.layer.value}
    if decision.statement is not None:
        entry["policy"] = decision.statement.arn or decision.statement.policy
        entry["sid"] = decision.statement.label
    if decision.depends_on:
        entry["depends_on"] = [spelled(key) for key in decision.depends_on]
    return entry


def _batch(record: BatchRecord, request: Request) -> dict[str, Any]:
    outcomes: dict[str, int] = {}
    for (outcome, _), count in record.outcomes.items():
        outcomes[outcome] = outcomes.get(outcome, 0) + count
    batch = {"id": request.request_id, "size": record.size, "outcomes": outcomes, "errors": record.errors}
    return {"batch": {**batch, "denied": list(record.denied[:MAX_DENIED])}}


def _erase(tree: dict[str, Any], parts: Sequence[str], erased: list[str]) -> None:
    """Remove the member at a place, on a copy of each mapping on the way."""
    *way, last = parts
    for part in way:
        below = tree.get(part)
        if not isinstance(below, Mapping):
            return
        tree[part] = below = dict(below)
        tree = below
    if last in tree:
        del tree[last]
        erased.append("/input/" + "/".join(parts))


class Cut:
    """Copies values from clients for a log: bounded, without secrets."""

    def __init__(self, erased: list[str]) -> None:
        self.is_truncated = False
        self._erased = erased

    def tree(self, value: Any, at: str, depth: int = 0) -> Any:
        """The value, cut at a depth and a number of members; members with the name of a secret are left out."""
        if isinstance(value, (Secret, SecretBytes)):
            return repr(value)
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                self.is_truncated = True
                value = value[:MAX_TEXT]
            return clean(value)
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, datetime):
            return value.isoformat()
        if depth >= MAX_DEPTH:
            self.is_truncated = True
            return None
        if isinstance(value, Mapping):
            kept: dict[str, Any] = {}
            for key, item in value.items():
                name = clean(str(key)[:MAX_TEXT])
                if len(kept) >= MAX_MEMBERS:
                    self.is_truncated = True
                    break
                if _SECRET.search(name):
                    self._erased.append(f"{at}/{name}")
                else:
                    kept[name] = self.tree(item, f"{at}/{name}", depth + 1)
            return kept
        if isinstance(value, (list, tuple, set, frozenset)):
            if len(value) > MAX_MEMBERS:
                self.is_truncated = True
            return [self.tree(item, f"{at}/{i}", depth + 1) for i, item in enumerate(list(value)[:MAX_MEMBERS])]
        return clean(str(value)[:MAX_TEXT])


def clean(text: str) -> str:
    """A text that the JSON encoder can write: lone surrogates are replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _plain(value: Any) -> Any:
    """The value of a subclass as that of its builtin type; a secret is not shown."""
    if isinstance(value, (Secret, SecretBytes)):
        return repr(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (dict, list)):
        return dict(value) if isinstance(value, dict) else list(value)
    raise TypeError(type(value).__name__)


def encode(entry: Mapping[str, Any]) -> bytes:
    """One line of a log, with `<secret>` in place of secrets.

    Control characters beyond ASCII and those that change the direction of text are `\\u` escapes (G186).
    """
    line = orjson.dumps(entry, _plain, orjson.OPT_PASSTHROUGH_SUBCLASS)
    if not line.isascii() or b"\x7f" in line:
        line = _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", line.decode("utf-8")).encode("utf-8")
    return line + b"\n"
