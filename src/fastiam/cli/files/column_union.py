"""The union of the columns of all files of a job, so that no key is lost and a kept column has one type in all results."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from fastiam.cli.files.batches import Source
from fastiam.cli.files.columns import as_text, text_type
from fastiam.cli.files.formats import Format
from fastiam.cli.files.named_files import RequestFile, open_file
from fastiam.errors import Hint, RequestValueError, SourceError
from fastiam.frames.arguments import REQUEST
from fastiam.frames.key_columns import key_columns
from fastiam.model.request import shorten

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}  # that some programs write in place of commas
_SHOWN = 20  # columns in a hint


@dataclass(frozen=True, slots=True)
class ColumnUnion:
    """The columns that at least one file has.

    Attributes
    ----------
    names
        None if a file may have any: JSON lines, and pipes before they are read.
    types
        the type of a kept column in the results, where all files that have it agree; any other kept column becomes text.
    """

    names: Collection[str] | None
    types: Mapping[str, Any]

    @classmethod
    def of(cls, sources: Iterable[Mapping[str, Any] | None]) -> ColumnUnion:
        """The union of the columns of some sources, None where they are unknown."""
        types: dict[str, Any] = {}
        is_known = True
        for columns in sources:
            is_known = is_known and columns is not None
            for name, kind in (columns or {}).items():
                types[name] = kind if types.setdefault(name, kind) == kind else text_type()
        return cls(types.keys(), types) if is_known else cls(None, {})

    def check(self, names: Iterable[str], shown: str, option: str) -> None:
        """Check that some file has each of these columns.

        Raises
        ------
        SourceError
            none has one; the hint lists the columns that there are.
        """
        absent = [name for name in names if self.names is not None and name not in self.names]
        if absent:
            hint = f"it has {', '.join(f'`{name}`' for name in self.names or ())}; see `{option}`"
            raise SourceError(f"there is no column `{shorten(absent[0])}`", source=shown, hint=hint)

    def kept(self, name: str, values: Any, length: int, shown: str) -> Any:
        """The values of a column in the type that it has in the results; None for a batch without the column: nulls."""
        kind = self.types.get(name, text_type())
        if isinstance(values, list):
            values = as_text(values)
        if values is not None and values.type == kind:
            return values
        try:
            return _nulls(kind, length) if values is None else as_text(values)
        except Exception as error:  # arro3 has one type for all errors, which is private
            what = "is not in this file" if values is None else "has another type in other files"
            hint = f"leave out `--keep {name}`, or give it one type in all files"
            raise SourceError(f"the column `{shorten(name)}` {what}", source=shown, path="", hint=hint) from error


def _nulls(kind: Any, length: int) -> Any:
    """A column without values. arro3 has no constructor for most types, but a cast to all that are not nested."""
    from arro3.core import Array, DataType

    try:
        return Array([None] * length, type=DataType.utf8()).cast(kind)
    except Exception:  # as above: no cast from text
        return Array([None] * length, type=DataType.int64()).cast(kind)


def survey(files: Sequence[RequestFile], form: Format | None, mapping: Mapping[str, str]) -> ColumnUnion:
    """The union of the columns of some files, each opened and closed.

    Raises
    ------
    SourceError
        a file is damaged, or has no column for a principal, action or resource.
    """
    return ColumnUnion.of(_columns_of(file, form, mapping) for file in files)


def _columns_of(file: RequestFile, form: Format | None, mapping: Mapping[str, str]) -> Mapping[str, Any] | None:
    if file.is_pipe():
        return None
    with ExitStack() as stack:
        source = open_file(file, form, stack, mapping)
        if source.columns is not None:
            request_columns(source.columns, mapping, source)
        return source.columns


def request_columns(columns: Iterable[str], mapping: Mapping[str, str], source: Source) -> dict[str, str]:
    """The column of each request column and condition key, by `--map`.

    Raises
    ------
    SourceError
        two columns have one name, or a request column is missing in a format that has columns.
    """
    found: dict[str, str] = {}
    for column in columns:
        name = mapping.get(column, column)
        if name in found:
            raise SourceError(f"two columns are read as `{name}`", source=source.name, hint="see `--map`")
        if name or column not in mapping:
            found[name] = column
    missing = [name for name in REQUEST if name not in found]
    if missing and source.columns is not None:
        raise no_column(missing[0], list(found), source.name, f"rename one with `--map COLUMN={missing[0]}`")
    return found


def keys_of(names: Iterable[str], mapping: Mapping[str, str], keep: Collection[str], source: str, advice: str = "") -> list[str]:
    """The names that are condition keys, as `key_columns` finds them.

    Parameters
    ----------
    names
        of columns, as `--map` gives them, without those of the request.
    advice
        what to write in place of `--map`, where a verb does not have it.

    Raises
    ------
    SourceError
        a name is not one of a key; a column that is not read is like a key.
    """
    try:
        return key_columns(names, named=mapping.values(), kept=keep)
    except RequestValueError as error:
        if isinstance(error.hint, Hint):
            hint = advice or error.hint.cli
        else:
            hint = f"{advice or 'rename it with `--map COLUMN=KEY`, or leave it out with `--map COLUMN=`'}; {error.hint}"
        raise SourceError(error.message, source=source, path="", hint=hint) from error


def no_column(name: str, names: Sequence[str], shown: str, advice: str) -> SourceError:
    """The error for a file without a request column; the hint lists the columns that there are."""
    other = next((separator for separator in _SEPARATORS if len(names) == 1 and separator in names[0]), None)
    if other is not None:
        hint = f"the header is separated by {_SEPARATORS[other]}: write the file with commas"
    else:
        more = ["..."] if len(names) > _SHOWN else []
        hint = f"it has {', '.join([f'`{shorten(each)}`' for each in names[:_SHOWN]] + more) or 'no columns'}; {advice}"
    return SourceError(f"there is no column `{name}`", source=shown, hint=hint)
