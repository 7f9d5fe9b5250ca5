"""Reads records from files: `{"Records": [...]}` of CloudTrail, JSON lines, and the output of `lookup-events`; gzip or not.

Lines are read in blocks, so that the memory does not depend on the length of a file. A document is read as a whole; those of
CloudTrail have a few megabytes. Only the fields that a decision needs are decoded.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import IO, Any

import msgspec

from fastiam.errors import SourceError
from fastiam.model.arguments import as_path
from fastiam.sources.gzip_content import GzipContent

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".log")
_BLOCK = 16 << 20
_MAX_LINE = 256 << 20
_BOM = b"\xef\xbb\xbf"
_NULL = msgspec.Raw(b"null")
_AT = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.S)
_BYTE = re.compile(r"\(byte (\d+)\)")


class Tls(msgspec.Struct, gc=False):
    """`tlsDetails`: if present, the call used TLS."""


class Extra(msgspec.Struct, gc=False):
    """`additionalEventData`, where S3 has the cipher."""

    CipherSuite: str | None = None


class ListedResource(msgspec.Struct, gc=False):
    """An entry of `resources`."""

    ARN: str | None = None
    accountId: str | None = None


class Record(msgspec.Struct, gc=False):
    """The decoded fields of a record. Objects stay bytes, because most of them repeat and are decoded once."""

    eventSource: str
    eventName: str
    eventTime: str
    userIdentity: msgspec.Raw = _NULL
    awsRegion: str = ""
    eventType: str = ""
    sourceIPAddress: str | None = None
    userAgent: str | None = None
    errorCode: str | None = None
    errorMessage: str | None = None
    eventID: str | None = None
    recipientAccountId: str | None = None
    vpcEndpointId: str | None = None
    sessionCredentialFromConsole: str | bool | None = None
    requestParameters: msgspec.Raw = _NULL
    responseElements: msgspec.Raw = _NULL
    additionalEventData: Extra | None = None
    tlsDetails: Tls | None = None
    resources: list[ListedResource] | None = None


class _Event(msgspec.Struct, gc=False):
    CloudTrailEvent: str


class _Document(msgspec.Struct):
    """A file as one document: its records are in one of the two fields."""

    Records: list[Record] | None = None
    Events: list[_Event] | None = None


class _Shape(msgspec.Struct):
    """The fields that determine a format."""

    Records: msgspec.Raw = _NULL
    Events: msgspec.Raw = _NULL
    CloudTrailEvent: msgspec.Raw = _NULL
    eventName: msgspec.Raw = _NULL


_decode_record = msgspec.json.Decoder(Record)
_decode_records = msgspec.json.Decoder(list[Record])
_decode_document = msgspec.json.Decoder(_Document)
_decode_event = msgspec.json.Decoder(_Event)
_decode_shape = msgspec.json.Decoder(_Shape)

Batch = tuple[str, int, list[Record]]  # the file, the number of the first record from 1, and records


def read_records(paths: Iterable[str | PathLike[str]], skipped: Counter[str] | None = None) -> Iterator[Batch]:
    """Yield the records of files and folders, in order of path, then of name. `-` is standard input.

    `skipped` counts the files of folders that are not read, by the suffix of their name.

    Raises
    ------
    SourceError
        a file is broken or is not a log; it has the file, and the record or line.
    """
    for given in paths:
        if str(given) == "-":
            yield from _read_stream("<stdin>", sys.stdin.buffer)
            continue
        path = as_path(given)
        if not path.exists():
            raise SourceError("file not found", source=str(path))
        for file in _files_in(path, Counter() if skipped is None else skipped) if path.is_dir() else [path]:
            yield from _read_file(file)


def _files_in(folder: Path, skipped: Counter[str]) -> list[Path]:
    """The log files of a folder, without hidden files and the digests that CloudTrail writes."""
    files = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_log = path.name.lower().removesuffix(".gz").endswith(_SUFFIXES)
        if "CloudTrail-Digest" in parts or any(part.startswith(".") for part in parts) or not path.is_file():
            continue
        if is_log:
            files.append(path)
        else:
            skipped["".join(path.suffixes[-2:]) or "no suffix"] += 1
    if not files:
        raise SourceError(
            "the folder contains no log", source=str(folder), hint=f"logs end in {', '.join(_SUFFIXES)} or .gz of these"
        )
    return files


def _read_file(path: Path) -> Iterator[Batch]:
    try:
        with path.open("rb") as file:
            is_gzip = file.peek(2)[:2] == b"\x1f\x8b"  # a pipe cannot be rewound
            stream: Any = GzipContent(file, str(path)) if is_gzip else file
            yield from _read_stream(str(path), stream)
    except OSError as error:
        raise SourceError(f"the file cannot be read: {error.strerror}", source=str(path)) from None


def _read_stream(source: str, stream: IO[bytes]) -> Iterator[Batch]:
    head = stream.read(_BLOCK).removeprefix(_BOM).lstrip()
    if not head:
        raise SourceError("the file is empty", source=source)
    if head[:1] not in b"{[":
        raise SourceError("the file is not a CloudTrail log", source=source, hint=_HINT)
    first, newline, rest = head.partition(b"\n")
    if newline and rest.strip() and (kind := _kind_of_line(first)):
        yield from _read_lines(source, head, stream, kind)
    else:
        yield source, 1, _read_document(source, head + stream.read())


def _kind_of_line(line: bytes) -> str:
    """Return the kind of each line: `record`, `event` or `document`; "" if a line is not JSON, as in a single document."""
    try:
        shape = _decode_shape.decode(line)
    except msgspec.MsgspecError:
        return ""
    if bytes(shape.eventName) != b"null":
        return "record"
    if bytes(shape.CloudTrailEvent) != b"null":
        return "event"
    return "document"


def _read_lines(source: str, block: bytes, stream: IO[bytes], kind: str) -> Iterator[Batch]:
    number = line = 1
    while block:
        more = stream.read(_BLOCK)
        whole, newline, left = block.rpartition(b"\n") if more else (block, b"", b"")
        if newline or not more:
            records = _read_block(source, whole, line, kind)
            yield source, number, records
            number, line = number + len(records), line + whole.count(b"\n") + 1
        else:
            left = block  # one line longer than a block
            if len(left) > _MAX_LINE:
                raise SourceError(f"a line has more than {_MAX_LINE:,} bytes", source=source, line=line)
        block = left + more


def _read_block(source: str, block: bytes, line: int, kind: str) -> list[Record]:
    if kind == "record":
        try:
            return _decode_record.decode_lines(block)
        except msgspec.MsgspecError:
            pass  # read line by line to find the broken one
    records: list[Record] = []
    for at, text in enumerate(block.split(b"\n"), line):
        if text.strip():
            records += _read_line(source, text, at, kind)
    return records


def _read_line(source: str, text: bytes, line: int, kind: str) -> list[Record]:
    try:
        if kind == "record":
            return [_decode_record.decode(text)]
        if kind == "event":
            return [_decode_record.decode(_decode_event.decode(text).CloudTrailEvent)]
        return _records_of(source, _decode_document.decode(text))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _broken(source, error, text, line) from None


def _read_document(source: str, data: bytes) -> list[Record]:
    try:
        if data[:1] == b"[":
            return _decode_records.decode(data)
        if _kind_of_line(data) == "record":
            return [_decode_record.decode(data)]
        return _records_of(source, _decode_document.decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _broken(source, error, data) from None


def _records_of(source: str, document: _Document) -> list[Record]:
    if document.Records is not None and document.Events is not None:
        raise SourceError("the file has both `Records` and `Events`", source=source, hint="pass a file with one of them")
    if document.Records is not None:
        return document.Records
    if document.Events is None:
        raise SourceError("the file is not a CloudTrail log", source=source, hint=_HINT)
    records = []
    for i, event in enumerate(document.Events):
        try:
            records.append(_decode_record.decode(event.CloudTrailEvent))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _broken(source, error, b"", path=f"$.Events[{i}].CloudTrailEvent") from None
    return records


def _broken(source: str, error: Exception, data: bytes, line: int = 0, path: str = "$") -> SourceError:
    """Return the error of the decoder with its position: msgspec reports the path of a value, or the byte of broken JSON."""
    if isinstance(error, UnicodeDecodeError) or "UTF-8" in str(error):  # a `DecodeError` since msgspec 0.23
        return SourceError("the text is not UTF-8", source=source, path=path, line=line, column=int(bool(line)))
    match = _AT.match(str(error))
    message, at = (match["message"], match["path"]) if match else (str(error), None)
    byte, column = _BYTE.search(message), 0
    if byte and data:
        before = data[: int(byte[1])]
        line = line or before.count(b"\n") + 1
        column = len(before) - before.rfind(b"\n")
    message = _BYTE.sub("", message).removeprefix("JSON is malformed: ").strip()
    hint = "it may be cut off" if "truncated" in message else ""
    text = f"broken JSON: {message}" if byte or hint else message[:1].lower() + message[1:]
    where = path + at.removeprefix("$") if at else path
    return SourceError(text, source=source, path=where, line=line, column=column or int(bool(line)), hint=hint)


_HINT = 'known formats: `{"Records": [...]}`, one record a line, and the output of `aws cloudtrail lookup-events`'

__all__ = ["Batch", "Record", "read_records"]
