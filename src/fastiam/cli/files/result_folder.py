"""The folder of the results of a job over many files: which files are done, so that a killed job can be resumed.

`_PROGRESS` has a line for the job and then one for each file whose results are complete. At the end `_SUMMARY.json` replaces it.
Invariant: a result file has its name only when it is complete (`output_files`), and its line is written after that.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fastiam.cli.files.authorize_job import Totals
from fastiam.cli.files.named_files import RequestFile
from fastiam.engine.summary import Summary, UnreadableValues
from fastiam.errors import SourceError
from fastiam.model.decision import Layer, Outcome, StatementRef
from fastiam.model.result import Json
from fastiam.runtime.output_files import is_part, open_output

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

SUMMARY, PROGRESS = "_SUMMARY.json", "_PROGRESS"
_AGAIN = "write the results to an empty folder"


@dataclass
class _State:
    """The files that are done, by relative name, and the counts over them. `started`: files with a part of their results."""

    job: dict[str, Json]
    totals: Totals = field(default_factory=Totals)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, line: dict[str, Any]) -> None:
        """Apply a line of the progress."""
        name = line.pop("file")
        if "results" not in line:
            self.started[name] = line
            return
        summary, columns = line.pop("summary"), line.pop("columns")
        if name not in self.files:  # else its results were lost, and are written again
            self.totals.add(summary_of(summary), columns)
        self.files[name] = line

    def to_json(self, files: Sequence[str], unused: Sequence[str]) -> dict[str, Any]:
        """The form of `_SUMMARY.json`, with files in this order."""
        totals, partial = self.totals, self.totals.partial()
        columns = {name: {"files": n, "absent": partial.get(name, 0)} for name, n in totals.columns.items()}
        return {
            **self.job,
            "summary": summary_to_json(totals.summary),
            "files_with_rows": totals.files,
            "columns": columns,
            "unused_columns": list(unused),
            "files": {name: self.files[name] for name in files if name in self.files},
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> _State:
        """The state of `_SUMMARY.json`, or of the first line of the progress."""
        files, columns = plain.pop("files"), plain.pop("columns")
        counts = Counter({name: count["files"] for name, count in columns.items()})
        totals = Totals(summary_of(plain.pop("summary")), counts, plain.pop("files_with_rows"))
        del plain["unused_columns"]
        return cls(plain, totals, files)


class ResultFolder:
    """The open folder of a job, locked against others.

    Attributes
    ----------
    path
        the folder.
    totals
        the counts over the files that were done before.
    """

    def __init__(self, path: str, descriptor: int, state: _State) -> None:
        self.path, self._descriptor, self._state = path, descriptor, state

    @classmethod
    @contextmanager
    def open(
        cls, path: str, job: dict[str, Json], now: datetime | None, clock: datetime, *, resume: bool
    ) -> Iterator[ResultFolder]:
        """Open a folder for the results of a job; without `resume` it must be missing or empty.

        Parameters
        ----------
        job
            what the results depend on, other than the requests and the time.
        now, clock
            the time of the decisions if it is given, and otherwise. A resumed job keeps its time.

        Raises
        ------
        SourceError
            the folder has other files, or another job writes to it, or it has the results of another job.
        """
        is_new = not os.path.lexists(path)
        if is_new:
            _make(path)
        names = _names_in(path)
        is_job = bool(names & {SUMMARY, PROGRESS})
        if names and not (resume and is_job) and names != {PROGRESS}:
            hint = "pass `--resume`, or another folder" if is_job else _AGAIN
            raise SourceError("the folder is not empty", source=path, path="", hint=hint)
        descriptor = os.open(os.path.join(path, PROGRESS), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        folder = None
        try:
            _lock(descriptor, path)
            state = _read(descriptor, path)
            if state is None or not (state.files or state.started):  # killed before the first file was done
                state = _State({**job, "now": (now or clock).isoformat()})
                os.ftruncate(descriptor, 0)
            elif not resume:
                raise SourceError("the folder is not empty", source=path, path="", hint="pass `--resume`, or another folder")
            _check_same(state.job, job, now, path)
            folder = cls(path, descriptor, state)
            yield folder
        finally:
            _tidy(path, descriptor, is_new, folder is None or folder.is_empty())
            os.close(descriptor)

    @property
    def now(self) -> datetime:
        """The time of the decisions."""
        return datetime.fromisoformat(str(self._state.job["now"]))

    @property
    def totals(self) -> Totals:
        """The counts over the files that are done."""
        return self._state.totals

    def is_empty(self) -> bool:
        """Whether no file has results."""
        return not (self._state.files or self._state.started)

    def is_complete(self) -> bool:
        """Whether `_SUMMARY.json` is that of the files that are done."""
        return os.path.exists(self._path(SUMMARY)) and not os.fstat(self._descriptor).st_size

    def check_files(self, files: Sequence[RequestFile]) -> None:
        """Check that the files that are done are among these, and have not changed.

        Raises
        ------
        SourceError
            names the first that is not.
        """
        given = {file.relative: file for file in files}
        for name, record in (*self._state.files.items(), *self._state.started.items()):
            file = given.get(name)
            if file is None:
                raise SourceError(
                    f"the results of `{name}` are there, but it is not in the requests", source=self.path, path="", hint=_AGAIN
                )
            if (record["size"], record["modified"]) != (file.size, file.modified):
                raise SourceError("the file has changed since its results were written", source=file.name, path="", hint=_AGAIN)

    def is_done(self, file: RequestFile) -> bool:
        """Whether all results of a file are there, with the sizes that they were written with."""
        record = self._state.files.get(file.relative)
        return record is not None and all(_size(self._path(name)) == size for name, size in record["results"].items())

    def start(self, file: RequestFile) -> None:
        """Record that some, but not all results of a file may be there."""
        self._append({"file": file.relative, "size": file.size, "modified": file.modified})

    def place(self, name: str) -> str:
        """The path for a result file; its folders are made."""
        path = self._path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def finish_file(self, file: RequestFile, results: Sequence[str], summary: Summary, columns: Sequence[str]) -> None:
        """Record that the results of a file are complete."""
        record: dict[str, Any] = {"file": file.relative, "size": file.size, "modified": file.modified, "rows": summary.rows}
        record["results"] = {name: _size(self._path(name)) for name in results}
        self._append(record | {"summary": summary_to_json(summary), "columns": list(columns)})

    def finish(self, files: Sequence[RequestFile], unused: Sequence[str]) -> None:
        """Write `_SUMMARY.json`: the job is complete."""
        with open_output(self._path(SUMMARY)) as out:
            out.write(json.dumps(self._state.to_json([file.relative for file in files], unused), indent=1).encode() + b"\n")
        os.unlink(self._path(PROGRESS))

    def _append(self, line: dict[str, Any]) -> None:
        if not os.fstat(self._descriptor).st_size:
            self._write(self._state.to_json(list(self._state.files), []))
            with suppress(FileNotFoundError):
                os.unlink(self._path(SUMMARY))  # it marks a complete job
        self._write(line)
        self._state.add(line)

    def _write(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)


def _make(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise SourceError(f"there is no folder `{folder}`", source=path, path="", hint="make it, or write elsewhere")
    os.mkdir(path)


def _names_in(path: str) -> set[str]:
    """The files of a folder, except incomplete ones of killed runs."""
    if not os.path.isdir(path):
        raise SourceError(
            "it is not a folder", source=path, path="", hint="name a folder, or leave out `--mirror` and `--partition-by`"
        )
    return {name for name in os.listdir(path) if not is_part(name)}


def _lock(descriptor: int, path: str) -> None:
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SourceError("another job writes to the folder", source=path, path="", hint="wait until it ends") from error
    if not os.fstat(descriptor).st_nlink:
        raise SourceError("another job has just written to the folder", source=path, path="", hint="start again")


def _read(descriptor: int, path: str) -> _State | None:
    """The state of the folder. A last line without an end is of a killed run; it is removed."""
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, size, 0) if size else b""
    end = data.rfind(b"\n") + 1
    os.ftruncate(descriptor, end)
    summary = os.path.join(path, SUMMARY)
    try:
        if end:
            first, *lines = data[:end].splitlines()
            state = _State.from_json(json.loads(first))
            for line in lines:
                state.add(json.loads(line))
            return state
        if os.path.exists(summary):
            with open(summary, "rb") as file:
                return _State.from_json(json.load(file))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SourceError(f"`{PROGRESS if end else SUMMARY}` is not of such a job", source=path, path="", hint=_AGAIN) from error
    return None


def _check_same(there: Mapping[str, Json], job: Mapping[str, Json], now: datetime | None, path: str) -> None:
    """Check that a job continues the one whose results are there."""
    given = dict(job) if now is None else {**job, "now": now.isoformat()}
    for name, value in given.items():
        if there.get(name) != value:
            what = "by another engine" if name == "engine" else f"with another `{name}`"
            raise SourceError(f"the results that are there were written {what}", source=path, path="", hint=_AGAIN)


def _tidy(path: str, descriptor: int, is_new: bool, is_empty: bool) -> None:
    """Remove an empty progress; and of a job without a result, the folders that it made."""
    with suppress(OSError):
        status = os.fstat(descriptor)
        if status.st_nlink and not status.st_size:
            os.unlink(os.path.join(path, PROGRESS))
    if is_empty:
        for folder, _, _ in os.walk(path, topdown=False):
            if folder != path or is_new:
                with suppress(OSError):
                    os.rmdir(folder)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def summary_to_json(summary: Summary) -> dict[str, Json]:
    """The JSON form of a summary, with its counts in an order that does not depend on the order of the work."""
    plain = summary.to_dict()
    for name, value in plain.items():
        if isinstance(value, dict):
            plain[name] = dict(sorted(value.items()))
        elif name == "denies" and isinstance(value, list):
            plain[name] = sorted(value, key=lambda each: json.dumps(each, sort_keys=True))
    return plain


def summary_of(plain: Mapping[str, Any]) -> Summary:
    """The summary of its JSON form."""
    return Summary(
        rows=plain["rows"],
        outcomes={Outcome[name]: n for name, n in plain["outcomes"].items()},
        layers={Layer(name): n for name, n in plain["layers"].items()},
        denies={_statement(each["statement"]): each["rows"] for each in plain["denies"]} if plain["denies"] else {},
        missing_keys=plain["missing_keys"],
        assumed_owner=plain["assumed_owner"],
        unknown_principal=plain["unknown_principal"],
        first_errors=tuple(plain["first_errors"]),
        unreadable=tuple(UnreadableValues(**{**each, "values": tuple(each["values"])}) for each in plain["unreadable"]),
    )


def _statement(plain: Mapping[str, Any]) -> StatementRef:
    names = ("level", "policy", "index", "sid", "arn", "file", "line", "column", "path")
    return StatementRef(Layer(plain["layer"]), *(plain[name] for name in names))
