"""The files of requests that the command line names: files, folders and patterns, expanded in one order.

The order is that of the arguments, and within one argument that of the names. The relative name of a file is its path below the
folder, or below the part of the pattern that has no wildcard. Folders `KEY=VALUE` in it are columns of text, as Hive has them.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import reduce
from operator import itemgetter
from typing import Any
from urllib.parse import unquote

from fastiam.cli.files.batches import Batch, Source, check_names
from fastiam.cli.files.columns import as_text, text_type, texts
from fastiam.cli.files.formats import SUFFIXES, Format
from fastiam.cli.files.object_store import is_parquet, is_url, list_parquet, open_object
from fastiam.cli.files.readers import open_requests
from fastiam.errors import SourceError
from fastiam.model.request import shorten

NULL = "__HIVE_DEFAULT_PARTITION__"  # the folder of rows without a value
_WILDCARDS = frozenset("*?[")
_HIDDEN = (".", "_")  # of marks and incomplete files, such as `_SUCCESS` and `.part`


@dataclass(frozen=True, slots=True)
class RequestFile:
    """A file of requests.

    Attributes
    ----------
    name
        the path that opens it, and that messages show; `-` is standard input.
    relative
        its name below the folder or pattern, with `/`.
    size, modified
        bytes, and time of the last change in nanoseconds; None for a pipe, and for an object of an object store.
    """

    name: str
    relative: str
    size: int | None = None
    modified: int | None = None

    def is_pipe(self) -> bool:
        """Whether it can be read only once."""
        return self.size is None and not is_url(self.name)

    def folder_columns(self) -> dict[str, str | None]:
        """The columns of the folders in the relative name.

        Raises
        ------
        SourceError
            a folder is not UTF-8, or two folders give one column.
        """
        pairs = [folder.partition("=") for folder in self.relative.split("/")[:-1] if folder.find("=") > 0]
        names = [self._decoded(name) for name, _, _ in pairs]
        check_names(names, self.name)
        return {name: None if text == NULL else self._decoded(text) for name, (_, _, text) in zip(names, pairs, strict=True)}

    def _decoded(self, text: str) -> str:
        try:
            decoded = unquote(text, errors="strict")
            decoded.encode()
        except UnicodeError as error:
            raise SourceError(f"the folder `{shorten(text)}` is not UTF-8", source=self.name, path="") from error
        return decoded


@dataclass
class RequestFiles:
    """The files of a job, and the numbers of files in its folders that are not read, by suffix."""

    files: list[RequestFile] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


class _Pattern:
    """A pattern of paths, followed component by component: a state is the set of positions in the pattern that can be next.

    `**` is any number of folders. A name that begins with `.` or `_` matches only a component that begins with it, too.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = [*parts, "*"] if parts[-1] == "**" else list(parts)
        self.first = self._closed({0})

    def after(self, state: frozenset[int], name: str) -> frozenset[int]:
        """The state below a folder or file of this name."""
        found = set()
        for i in state - {len(self._parts)}:
            part = self._parts[i]
            if name.startswith(_HIDDEN) and not part.startswith(name[0]):
                continue
            if part == "**":
                found.add(i)
            elif fnmatchcase(name, part):
                found.add(i + 1)
        return self._closed(found)

    def _closed(self, state: set[int]) -> frozenset[int]:
        for i in sorted(state):
            while i < len(self._parts) and self._parts[i] == "**":
                i += 1
                state.add(i)
        return frozenset(state)

    def is_complete(self, state: frozenset[int]) -> bool:
        """Whether the pattern matches the path."""
        return len(self._parts) in state

    def has_more(self, state: frozenset[int]) -> bool:
        """Whether the pattern can match a path below this folder."""
        return bool(state - {len(self._parts)})


def find_requests(sources: Sequence[str], out: str, *, is_folder: bool) -> RequestFiles:
    """The files that the arguments name, each once.

    Parameters
    ----------
    out
        the file of the results, or with `is_folder` their folder.

    Raises
    ------
    SourceError
        an argument has no file; a file or folder cannot be read; the results would be among the requests.
    """
    found = RequestFiles()
    seen: set[str] = set()
    for source in sources:
        for file in _expanded(source, out, is_folder, found.left_out):
            path = file.name if file.name == "-" or is_url(file.name) else os.path.abspath(file.name)
            if path not in seen:
                seen.add(path)
                found.files.append(file)
    return found


def _expanded(source: str, out: str, is_folder: bool, left_out: Counter[str]) -> Iterator[RequestFile]:
    if is_url(source):
        yield from _objects(source)
        return
    if source != "-" and os.path.isdir(source):
        root, pattern, suffixes = source, _Pattern(["**", "*"]), SUFFIXES
    elif source != "-" and not os.path.lexists(source) and _WILDCARDS & set(source):
        root, pattern = _split(source)
        suffixes = None
    else:
        yield RequestFile("-", "-") if source == "-" else _file(source, os.path.basename(source))
        return
    _check_apart(source, root, pattern, suffixes, out, is_folder)
    files = _walk(root, pattern, suffixes, left_out)
    first = next(files, None)
    if first is None:
        hint = f"files of requests end in {', '.join(SUFFIXES)}" if suffixes else "`**` is any number of folders"
        raise SourceError("no file matches", source=source, path="", hint=hint)
    yield first
    yield from files


def _split(source: str) -> tuple[str, _Pattern]:
    """The part of a pattern that has no wildcard, and the rest."""
    parts = source.split("/")
    n = next(i for i, part in enumerate(parts) if _WILDCARDS & set(part))
    return "/".join(parts[:n]) or ("/" if n else ""), _Pattern([part for part in parts[n:] if part])


def _objects(source: str) -> Iterator[RequestFile]:
    """The objects of an object store that a URL names: one, those below `URL/`, or those of a pattern."""
    if not _WILDCARDS & set(source) and is_parquet(source):
        yield RequestFile(source, source.rpartition("/")[2])
        return
    root, pattern = _split(source) if _WILDCARDS & set(source) else (source.rstrip("/"), _Pattern(["**", "*"]))
    if root.count("/") < 2:
        raise SourceError("the pattern has no bucket", source=source, path="", hint="wildcards follow `s3://BUCKET/`")
    names = [name.removeprefix(f"{root}/") for name in list_parquet(f"{root}/")]
    names = [name for name in names if pattern.is_complete(reduce(pattern.after, name.split("/"), pattern.first))]
    if not names:
        hint = "only objects that end in `.parquet` are read, and `**` is any number of folders"
        raise SourceError("no object matches", source=source, path="", hint=hint)
    for name in sorted(names, key=lambda name: name.split("/")):
        yield RequestFile(f"{root}/{name}", name)


def _file(path: str, relative: str) -> RequestFile:
    """The file at a path; what is not a regular file has no size."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        return RequestFile(path, relative)
    return RequestFile(path, relative, status.st_size, status.st_mtime_ns)


def _walk(root: str, pattern: _Pattern, suffixes: Collection[str] | None, left_out: Counter[str]) -> Iterator[RequestFile]:
    """The files below a folder, by name. Links to folders are not followed: they could lead back."""
    stack = [("", pattern.first)] if os.path.isdir(root or os.curdir) else []
    while stack:
        relative, state = stack.pop()
        path = os.path.join(root, relative)
        if relative and not os.path.isdir(path):
            yield _file(path, relative)
            continue
        with os.scandir(path or os.curdir) as entries:
            found = sorted(((entry.name, entry.is_dir(), entry) for entry in entries), reverse=True, key=itemgetter(0))
        for name, is_dir, entry in found:
            after = pattern.after(state, name)
            if is_dir and pattern.has_more(after) and not entry.is_symlink():
                stack.append((f"{relative}/{name}" if relative else name, after))
            elif is_dir and after:
                left_out["link to a folder" if entry.is_symlink() else "folder"] += 1
            elif pattern.is_complete(after):
                suffix = _suffix(name)
                if suffixes is not None and suffix not in suffixes:
                    left_out[suffix or "no suffix"] += 1
                elif entry.is_file() or entry.is_symlink():  # a broken link is an error
                    stack.append((f"{relative}/{name}" if relative else name, after))
                else:
                    left_out["not a regular file"] += 1


def _suffix(name: str) -> str:
    """The suffix that determines the format, in lower case: that below `.gz`."""
    return os.path.splitext(name.lower().removesuffix(".gz"))[1]


def _check_apart(source: str, root: str, pattern: _Pattern, suffixes: Collection[str] | None, out: str, is_folder: bool) -> None:
    """Check that no later run would read the results as requests."""
    if out == "-":
        return
    path = os.path.relpath(os.path.realpath(out), os.path.realpath(root))
    parts = [] if path == os.curdir else path.split(os.sep)
    if parts[:1] == [os.pardir]:
        return
    state = pattern.first
    for part in parts:
        state = pattern.after(state, part)
    is_read = suffixes is None or _suffix(out) in suffixes
    if pattern.has_more(state) if is_folder else pattern.is_complete(state) and is_read:
        hint = "write to a folder outside of the requests"
        raise SourceError(f"the results would be among the requests `{source}`", source=out, path="", hint=hint)


# -- Reading -----------------------------------------------------------------------------------------------------------


def open_file(file: RequestFile, form: Format | None, stack: ExitStack, renamed: Collection[str] = ()) -> Source:
    """Open a file as `open_requests` does; the columns of its folders come after its own."""
    source = open_object(file.name, form) if is_url(file.name) else open_requests(file.name, form, stack, renamed)
    folders = file.folder_columns()
    if not folders:
        return source
    columns = None if source.columns is None else {**dict.fromkeys(folders, text_type()), **source.columns}
    return replace(source, batches=_with_folders(source.batches, folders, file.name), columns=columns)


def _with_folders(batches: Iterator[Batch], folders: Mapping[str, str | None], shown: str) -> Iterator[Batch]:
    for batch in batches:
        columns = dict(batch.columns)
        for name, value in folders.items():
            if name not in columns:
                columns[name] = texts([value] * batch.length)
            elif not _is_all(columns[name], value, batch):
                message = f"the column `{shorten(name)}` and the folder `{shorten(name)}=...` have different values"
                raise SourceError(message, source=shown, path="", hint="rename one of the two")
        yield replace(batch, columns=columns)


def _is_all(column: Any, value: str | None, batch: Batch) -> bool:
    """Whether a column has this value, as text, in every row that can be read."""
    from arro3.core import DataType, dictionary_dictionary

    try:
        text = as_text(column)
    except Exception:  # arro3 has one type for all errors, which is private: a column that has no text, such as a struct
        return False
    if not batch.broken and value is not None and text.null_count == 0:
        distinct = dictionary_dictionary(text.cast(DataType.dictionary(DataType.int32(), DataType.utf8())))
        return len(distinct) <= 1 and all(item == value for item in distinct.to_pylist())
    return all(item == value for i, item in enumerate(text.to_pylist()) if i not in batch.broken)
