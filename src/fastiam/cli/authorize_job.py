"""The job of `fastiam authorize`: decides batches of requests into batches of results."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from fastiam.cli.batches import Batch, RowError
from fastiam.cli.columns import as_text, texts
from fastiam.cli.formats import Format
from fastiam.cli.requests import Source
from fastiam.cli.results import write_results
from fastiam.cli.unused_columns import UnusedColumns
from fastiam.engine.decisions import COLUMNS, Decisions, Summary
from fastiam.errors import RequestValueError, SourceError
from fastiam.model.request import check_key, shorten

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

REQUEST = ("principal", "action", "resource")
OWNER = "resource_account"
_ARGUMENTS = {f"{name}s": name for name in (*REQUEST, OWNER)}  # of `decide_many`
OnError = Literal["raise", "deny"]
_FLAGS = ("allowed", "assumed_owner")


class Job:
    """Decides one file of requests into one file of results; `summary` counts the decided rows."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        mapping: Mapping[str, str],
        keep: Sequence[str],
        on_error: OnError,
        strict_columns: bool,
        now: datetime,
        threads: int,
        advance: Callable[[int], None],
    ) -> None:
        self.engine, self.source, self.mapping, self.keep = engine, source, mapping, keep
        self.on_error, self.strict_columns, self.now = on_error, strict_columns, now
        self.threads, self.advance = threads, advance
        self.summary = Summary()
        self.unused = UnusedColumns(engine._keys_read(), (*REQUEST, OWNER))
        self.seconds = 0.0

    def write(self, name: str, form: Format) -> None:
        """Decide all requests and write the results."""
        began = time.perf_counter()
        results = self.results()
        first = next(results, None) or self._nothing()
        write_results(_again(first, results), first.schema, name, form)
        self.seconds = time.perf_counter() - began

    def results(self) -> Iterator[Any]:
        """The record batches of results, one for each batch of requests."""
        for batch in self.source.batches:
            if batch.length:
                yield self._decide(batch)
                self.advance(batch.length)

    def _decide(self, batch: Batch) -> Any:
        if batch.broken and self.on_error == "raise":
            row = min(batch.broken)
            column, message = batch.broken[row]
            raise self._row_error(batch, row, message, column)
        columns = self._named(batch)
        context = {name: column for name, column in columns.items() if name not in (*REQUEST, OWNER)}
        self._check_names(context)
        try:
            decisions = self.engine.decide_many(
                columns["principal"],
                columns["action"],
                columns["resource"],
                context,
                resource_accounts=columns.get(OWNER),
                now=self.now,
                reasons=True,
                on_error=self.on_error,
                threads=self.threads,
            )
        except RequestValueError as error:
            column = self._column_of(error.column)
            if error.row is None:  # the whole column
                raise SourceError(error.message, source=self.source.name, path=column, hint=error.hint) from error
            raise self._row_error(batch, error.row, error.message, column, error.hint) from error
        errors = self._errors(batch, decisions)
        self._count(decisions, errors)
        return self._result(batch, columns, decisions, errors)

    def _named(self, batch: Batch) -> dict[str, Any]:
        """The columns by request column or condition key."""
        columns: dict[str, Any] = {}
        absent = [column for column in self.mapping if column not in batch.columns]
        if absent and self.source.form is not Format.JSONL:
            hint = f"it has {', '.join(f'`{name}`' for name in batch.columns)}; see `--map`"
            raise SourceError(f"there is no column `{absent[0]}`", source=self.source.name, hint=hint)
        for column, values in batch.columns.items():
            name = self.mapping.get(column, column)
            if name in columns:
                raise SourceError(f"two columns are read as `{name}`", source=self.source.name, hint="see `--map`")
            if name or column not in self.mapping:
                columns[name] = values
        missing = [name for name in REQUEST if name not in columns]
        if missing and self.source.form is not Format.JSONL:
            hint = f"it has {', '.join(f'`{name}`' for name in columns)}; rename one with `--map COLUMN={missing[0]}`"
            raise SourceError(f"there is no column `{missing[0]}`", source=self.source.name, hint=hint)
        return columns | {name: [None] * batch.length for name in missing}

    def _check_names(self, context: Collection[str]) -> None:
        """Check that the names of the context are valid keys, and record those that no statement reads."""
        for name in context:
            try:
                check_key(name)
            except RequestValueError as error:
                hint = f"rename it with `--map COLUMN=KEY`, or leave it out with `--map COLUMN=`; {error.hint}"
                raise SourceError(error.message, source=self.source.name, path="", hint=hint) from error
        unused = self.unused.add([name for name in context if self._column_of(name) not in self.keep])
        if unused is not None and self.strict_columns:
            column = self._column_of(unused)
            hint = self.unused.hint(unused) or f"leave it out with `--map {column}=`"
            raise SourceError(f"no statement reads the column `{shorten(column)}`", source=self.source.name, path="", hint=hint)

    def _column_of(self, name: str) -> str:
        """The column of the file that is read under a name, or that became this argument of `decide_many`."""
        name = _ARGUMENTS.get(name, name)
        return next((column for column, mapped in self.mapping.items() if mapped == name), name)

    def _row_error(self, batch: Batch, row: int, message: str, column: str, hint: str = "") -> RowError:
        line, number = batch.line_of(row), batch.first + row + 1
        return RowError(message, source=self.source.name, row=number, column=column, line=line, hint=hint)

    def _errors(self, batch: Batch, decisions: Decisions) -> dict[int, RowError]:
        """The errors of rows with the outcome ERROR. For a broken row that of the reader: the engine got an empty row."""
        errors: dict[int, RowError] = {}
        for row, error in sorted(decisions.errors.items()):
            if row in batch.broken:
                column, message = batch.broken[row]
                errors[row] = self._row_error(batch, row, message, column)
            else:
                message, column = getattr(error, "message", str(error)), self._column_of(getattr(error, "column", ""))
                errors[row] = self._row_error(batch, row, message, column)
        return errors

    def _count(self, decisions: Decisions, errors: Mapping[int, RowError]) -> None:
        first = tuple(str(error) for error in list(errors.values())[:3])
        self.summary += replace(decisions.summary(), first_errors=first)

    def _result(self, batch: Batch, columns: Mapping[str, Any], decisions: Decisions, errors: Mapping[int, RowError]) -> Any:
        from arro3.core import DataType, RecordBatch

        out = {name: as_text(columns[name]) for name in REQUEST}
        out |= {name: self._kept(batch, name) for name in self.keep}
        answers = RecordBatch.from_arrow(decisions)
        for name in COLUMNS:
            column = answers.column(name)
            out[name] = column if column.type == DataType.bool() else as_text(column)
        out["error"] = texts([str(errors[i]) if i in errors else None for i in range(len(decisions))])
        return RecordBatch.from_arrays(list(out.values()), names=list(out))

    def _nothing(self) -> Any:
        """The results of a file without requests: columns without rows."""
        from arro3.core import Array, DataType, RecordBatch

        names = (*REQUEST, *self.keep, *COLUMNS)
        columns = [Array([], type=DataType.bool()) if name in _FLAGS else as_text([]) for name in names]
        return RecordBatch.from_arrays(columns, names=names)

    def _kept(self, batch: Batch, name: str) -> Any:
        if name not in batch.columns:
            if self.source.form is Format.JSONL:
                return as_text([None] * batch.length)
            raise SourceError(f"there is no column `{name}`", source=self.source.name, hint="see `--keep`")
        values = batch.columns[name]
        return as_text(values) if isinstance(values, list) else values


def _again(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
