"""The source of a `LiveEngine`: what kind it is, how it is read, and whether its files were replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from fastiam.engine.engine_file import is_saved
from fastiam.model.arguments import as_path, check_items, check_type
from fastiam.storage import is_sqlite

if TYPE_CHECKING:  # PERF: a program that answers by a saved engine reads no policies
    from fastiam.api.directory import Directory
    from fastiam.directory.stored_policies import Mode

Location = str | os.PathLike[str]
_SOURCES = "a Directory, a path, a list of paths, or a function that returns a Directory"


def saved_engine(source: object) -> Path | None:
    """The file of a saved engine, where the source is one."""
    if isinstance(source, (list, tuple)) and len(source) == 1:
        source = source[0]
    if isinstance(source, (str, os.PathLike)):
        source = as_path(source, "source")
    return Path(source).absolute() if isinstance(source, (str, os.PathLike)) and is_saved(source) else None


def _is_directory(source: object) -> TypeGuard[Directory]:
    from fastiam.api.directory import Directory  # PERF: a program that answers by a saved engine reads no policies

    return isinstance(source, Directory)


def followed_directory(source: object, mode: Mode) -> Directory | None:
    """The directory that is followed from change to change: the one given, or that of a store."""
    if _is_directory(source):
        return source
    if isinstance(source, (list, tuple)) and len(source) == 1:
        source = source[0]
    if isinstance(source, (str, os.PathLike)) and is_sqlite(source):
        from fastiam.api.directory import Directory  # PERF: as above

        return Directory.open(source, mode=mode, read_only=True)
    return None


def _made(make: Callable[[], object]) -> Directory:
    """The directory that a function makes."""
    from fastiam.api.directory import Directory  # PERF: a program that answers by a saved engine reads no policies

    directory = make()
    check_type(directory, Directory, "source", "a function that returns a Directory")
    return cast("Directory", directory)


def _refreshed(directory: Directory) -> Directory:
    directory.refresh()
    return directory


def reader_of(source: object, reading: Mapping[str, Any]) -> tuple[tuple[Path, ...], Callable[[], Directory]]:
    """The files to watch, and what reads the source."""
    if isinstance(source, (str, os.PathLike)):
        return _loader((source,), reading)
    if _is_directory(source):
        return (), lambda: _refreshed(source)
    if callable(source) and not isinstance(source, type):
        return (), lambda: _made(source)
    return _loader(check_items(source, "source", _SOURCES), reading)


def _loader(given: Iterable[Any], reading: Mapping[str, Any]) -> tuple[tuple[Path, ...], Callable[[], Directory]]:
    paths = tuple(as_path(path, "source").absolute() for path in given)

    def read() -> Directory:
        from fastiam.api.loading import load  # PERF: the same

        return load(*paths, **reading)

    return paths, read


def folders_of(paths: Iterable[Path]) -> set[Path]:
    """What to watch: the folder of a file, since a file that is replaced as a whole is another file."""
    return {path if path.is_dir() else path.parent for path in paths}


def stamps_of(paths: Iterable[Path]) -> dict[Path, tuple[int, int, int]]:
    """Attributes that differ if a file was replaced."""
    found = {}
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else (path,):
            try:
                stat = file.stat()
            except OSError:  # gone, or not there yet
                continue
            found[file] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found
