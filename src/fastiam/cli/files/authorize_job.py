"""The job of `fastiam authorize`: decides batches of requests into batches of results, file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal

from fastiam.cli.files.batches import Batch, RowError, RowProblem, Source
from fastiam.cli.files.column_union import ColumnUnion, keys_of, request_columns
from fastiam.cli.files.columns import as_text
from fastiam.cli.files.formats import Format
from fastiam.cli.files.named_files import RequestFile, open_file
from fastiam.cli.files.noted_names import NotedNames
from fastiam.cli.files.writers import write_results
from fastiam.cli.progress import Share
from fastiam.cli.unused_columns import UnusedColumns
from fastiam.engine.decisions import COLUMNS, Decisions, DictionaryColumn, error_code
from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError, SourceError
from fastiam.frames.arguments import ADDABLE, OWNER, REQUEST, FrameArguments, Selection
from fastiam.frames.batch import decide_batch
from fastiam.model.request import shorten

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

FURTHER = ("unreadable", "error_file", "error_row")  # columns of results, behind `COLUMNS`
OnError = Literal["raise", "deny"]
_GO_ON = "`--on-error deny` gives such rows the outcome ERROR, and decides the others"
_TYPES = "write text, numbers, booleans, times with a zone, or lists of these"
_FLAGS = ("allowed", "assumed_owner")
_MAX_NAMES = 1000  # of columns that are counted by file: lines of JSON may bring any number of them
_SHOWN = 10  # columns in a summary


@dataclass(frozen=True, slots=True)
class Rules:
    """How requests are read and decided, the same for all files of a job."""

    engine: Engine
    form: Format | None
    mapping: Mapping[str, str]
    keep: Sequence[str]
    on_error: OnError
    strict_columns: bool
    context: Mapping[str, Any]
    now: datetime
    threads: int


@dataclass
class Totals:
    """Counts over the files of a job.

    Attributes
    ----------
    summary
        the decisions.
    columns
        in how many files a request column or condition key occurs.
    files
        number of files with at least one row.
    """

    summary: Summary = field(default_factory=Summary)
    columns: Counter[str] = field(default_factory=Counter)
    files: int = 0

    def add(self, summary: Summary, columns: Iterable[str]) -> None:
        """Add one file."""
        self.summary += summary
        if summary.rows:  # in a file without rows no key is missing
            self.columns.update(list(columns))
            self.files += 1

    def partial(self) -> dict[str, int]:
        """The columns that some files do not have, with the number of these files."""
        return {name: self.files - n for name, n in self.columns.items() if n < self.files}

    def lines(self) -> Iterator[str]:
        """The lines of the summary on columns that some files do not have."""
        partial = self.partial()
        if partial:
            yield "columns that are absent in some files:"
        for name, n in islice(partial.items(), _SHOWN):
            yield f"  `{shorten(name)}`: absent in {n:,} of {self.files:,} files"
        if len(partial) > _SHOWN:
            yield f"  and {len(partial) - _SHOWN:,} more"


class Job:
    """Decides the files of a job.

    Attributes
    ----------
    totals
        counts over the files that are decided.
    unused
        the columns that no statement reads.
    names
        names that may be misspelt.
    share
        the fraction of the files that is read.
    """

    def __init__(
        self,
        rules: Rules,
        files: Sequence[RequestFile],
        union: ColumnUnion | None,
        share: Share,
        advance: Callable[[int], None],
    ) -> None:
        self.rules, self.files, self.share, self.advance = rules, files, share, advance
        self.totals = Totals()
        self.unused = UnusedColumns(rules.engine.resolver.keys_read(), (OWNER,))
        self.names = NotedNames()
        self._union = union
        if union is not None:
            self._check(union, files[0].name)

    def write(self, out: str, form: Format) -> None:
        """Decide all files and write their results to one file."""
        self.write_batches(self._results(), out, form)

    def write_batches(self, results: Iterator[Any], out: str, form: Format) -> None:
        """Write results to a file."""
        first = next(results, None) or self.empty()
        write_results(chain([first], results), first.schema, out, form)

    def _results(self) -> Iterator[Any]:
        for file in self.files:
            with self.open(file) as part:
                yield from part.results()
            self.totals.add(part.summary, part.columns)

    @contextmanager
    def open(self, file: RequestFile) -> Iterator[FileJob]:
        """The job of one file."""
        with ExitStack() as stack:
            source = open_file(file, self.rules.form, stack, self.rules.mapping)
            if self._union is None:
                self._union = ColumnUnion.of([source.columns])
                self._check(self._union, source.name)
            self.share.begin(file.size, source.progress)
            yield FileJob(self, source)
        self.share.end()

    @property
    def union(self) -> ColumnUnion:
        """The columns of all files, or of the first one when it has been opened."""
        assert self._union is not None
        return self._union

    def skip(self, file: RequestFile) -> None:
        """Pass over a file whose results are there."""
        self.share.begin(file.size, lambda: 1.0)
        self.share.end()

    def note_columns(self, names: Iterable[str]) -> None:
        """Record the columns of files that are passed over, as those of decided files are."""
        self.unused.add([name for name in names if name != OWNER and column_of(name, self.rules.mapping) not in self.rules.keep])

    def empty(self) -> Any:
        """Results without a row; of a single file when it has been opened."""
        from arro3.core import Array, DataType, RecordBatch

        columns = [as_text([]) for _ in REQUEST]
        columns += [self.union.kept(name, None, 0, "") for name in self.rules.keep]
        columns += [Array([], type=DataType.bool()) if name in _FLAGS else as_text([]) for name in COLUMNS]
        columns += [_nulls(0), *_places({}, 0)]
        return RecordBatch.from_arrays(columns, names=[*REQUEST, *self.rules.keep, *COLUMNS, *FURTHER])

    def _check(self, union: ColumnUnion, shown: str) -> None:
        union.check(self.rules.mapping, shown, "--map")
        union.check(self.rules.keep, shown, "--keep")


def column_of(name: str, mapping: Mapping[str, str]) -> str:
    """The column of the files that is read under a name."""
    return next((column for column, mapped in mapping.items() if mapped == name), name)


class FileJob:
    """Decides one file of requests; `summary` counts the decided rows, `columns` are the names that it gives to the engine."""

    def __init__(self, job: Job, source: Source) -> None:
        self.job, self.source, self.rules = job, source, job.rules
        self.summary = Summary()
        self.columns: dict[str, None] = {}
        given = self.rules
        self._arguments = FrameArguments(add=ADDABLE, on_error=given.on_error, now=given.now, threads=given.threads)

    def results(self) -> Iterator[Any]:
        """The record batches of results, one for each batch of requests."""
        if self.source.columns is not None:  # a file without rows may have wrong columns, too
            request_columns(self.source.columns, self.rules.mapping, self.source)
        for batch in self.source.batches:
            if batch.length:
                yield self._decide(batch)
                self.job.advance(batch.length)

    def _decide(self, batch: Batch) -> Any:
        if batch.broken and self.rules.on_error == "raise":
            row = min(batch.broken)
            raise self._stopping_error(batch, row, batch.broken[row])
        names = request_columns(batch.columns, self.rules.mapping, self.source)
        columns = {name: batch.columns[column] for name, column in names.items()}
        columns |= {name: [None] * batch.length for name in REQUEST if name not in columns}
        keys = self._keys([name for name in names if name not in (*REQUEST, OWNER)])
        selection = Selection.of_columns(columns, keys)
        self.columns |= dict.fromkeys(islice((name for name in names if name not in REQUEST), _MAX_NAMES - len(self.columns)))
        try:
            decisions = decide_batch(
                self.rules.engine, self._arguments, selection, columns.__getitem__, batch.length, constants=self.rules.context
            )
        except RequestValueError as error:
            column = column_of(error.column, self.rules.mapping)
            if error.row is None:  # the whole column
                is_key = error.column not in (*REQUEST, OWNER)  # the engine's hint for these is about columns of a library
                hint = f"{_TYPES}, or leave it out with `--map {column}=`" if is_key else error.hint
                raise SourceError(error.message, source=self.source.name, path=column, hint=hint) from error
            problem = RowProblem(error.code, column, error.message)
            raise self._stopping_error(batch, error.row, problem, error.hint) from error
        errors = self._errors(batch, decisions)
        self.job.names.add(columns, decisions, lambda row: self._place(batch, row))
        self._count(decisions, errors)
        return self._result(batch, columns, decisions, errors)

    def _keys(self, names: Sequence[str]) -> list[str]:
        """The columns that are condition keys. Those that no statement reads are recorded."""
        keys = keys_of(names, self.rules.mapping, self.rules.keep, self.source.name)
        unused = self.job.unused.add([name for name in names if column_of(name, self.rules.mapping) not in self.rules.keep])
        if unused is not None and self.rules.strict_columns:
            column = column_of(unused, self.rules.mapping)
            hint = self.job.unused.hint(unused) or f"leave it out with `--map {column}=`"
            raise SourceError(f"no statement reads the column `{shorten(column)}`", source=self.source.name, path="", hint=hint)
        return keys

    def _place(self, batch: Batch, row: int) -> str:
        line = batch.line_of(row)
        return f"{self.source.name}:{line}" if line else f"{self.source.name}, row {batch.first + row}"

    def _row_error(self, batch: Batch, row: int, problem: RowProblem, hint: str = "") -> RowError:
        return RowError(problem, source=self.source.name, row=batch.first + row, line=batch.line_of(row), hint=hint)

    def _stopping_error(self, batch: Batch, row: int, problem: RowProblem, hint: str = "") -> RowError:
        """The error of a row that ends the job."""
        text = getattr(hint, "cli", hint)  # a `Hint` has one for the command line
        return self._row_error(batch, row, problem, f"{text}\nhelp: {_GO_ON}" if text else _GO_ON)

    def _errors(self, batch: Batch, decisions: Decisions) -> dict[int, RowError]:
        """The errors of rows with the outcome ERROR. For a broken row that of the reader: the engine got an empty row."""
        errors: dict[int, RowError] = {}
        for row, error in sorted(decisions.errors.items()):
            problem = batch.broken.get(row)
            if problem is None:
                column = column_of(getattr(error, "column", ""), self.rules.mapping)
                problem = RowProblem(error_code(error), column, getattr(error, "message", str(error)))
            errors[row] = self._row_error(batch, row, problem)
        return errors

    def _count(self, decisions: Decisions, errors: Mapping[int, RowError]) -> None:
        first = tuple(str(error) for error in list(errors.values())[:3])
        self.summary += replace(decisions.summary(), first_errors=first)

    def _result(self, batch: Batch, columns: Mapping[str, Any], decisions: Decisions, errors: Mapping[int, RowError]) -> Any:
        from arro3.core import DataType, RecordBatch

        out = {name: as_text(columns[name]) for name in REQUEST}
        for name in self.rules.keep:
            out[name] = self.job.union.kept(name, batch.columns.get(name), batch.length, self.source.name)
        answers = RecordBatch.from_arrow(decisions)
        for name in COLUMNS:
            column = answers.column(name)
            out[name] = column if column.type == DataType.bool() else as_text(column)
        if batch.broken:
            out["error_code"] = _by_row(errors, "code", batch.length)
        if errors:
            out["error"] = _by_row(errors, "text", batch.length)
        unreadable = decisions.unreadable
        marked = as_text(unreadable) if unreadable.values else _nulls(batch.length)
        out |= zip(FURTHER, (marked, *_places(errors, batch.length)), strict=True)
        return RecordBatch.from_arrays(list(out.values()), names=list(out))


def _by_row(errors: Mapping[int, RowError], field: str, rows: int) -> Any:
    return as_text(DictionaryColumn.of_rows(field, rows, {row: getattr(error, field) for row, error in errors.items()}))


def _places(errors: Mapping[int, RowError], rows: int) -> list[Any]:
    """Where the rows with errors are in the requests: the last two columns of `FURTHER`."""
    from arro3.core import Array, DataType

    if not errors:
        return [_nulls(rows), _nulls(rows, is_text=False)]
    numbers = [errors[row].row if row in errors else None for row in range(rows)]
    return [_by_row(errors, "source", rows), Array(numbers, type=DataType.int64())]


@lru_cache(maxsize=4)  # PERF: of whole batches, and of the last one
def _nulls(rows: int, *, is_text: bool = True) -> Any:
    from arro3.core import Array, DataType

    return Array([None] * rows, type=DataType.utf8() if is_text else DataType.int64())
