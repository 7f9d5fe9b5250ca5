"""Paths that a test file names: relative to it, inside a root, regular files and folders without links (T40).

A test file of a pull request is data of a stranger. INVARIANT: what `checked_path` returns is below the root without following a
link at any component, and a folder contains no link either.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fastiam.errors import SourceError
from fastiam.sources.located_values import LocatedValue
from fastiam.storage import is_sqlite


def root_of(start: Path) -> Path:
    """Return the next folder upwards that has `.git`, else the current folder."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return Path.cwd()


def checked_path(root: Path, folder: Path, given: LocatedValue, text: str) -> Path:
    """Return the file or folder that a text names.

    Parameters
    ----------
    root
        the real path of the root.
    folder
        the folder of the test file, below the root.
    given
        the value that names it, for errors.
    text
        the path, with its variables replaced.

    Raises
    ------
    SourceError
        it is absolute, outside of the root, missing, a link or behind one, a device, a FIFO, a store or an engine file.
    """
    if not text or text == "-" or os.path.isabs(text) or "\0" in text or text.startswith("~"):
        raise _refused(given, text, "is not a relative path")
    path = Path(os.path.normpath(folder / text))
    if not path.is_relative_to(root):
        raise given.error(f"`{text}` is outside of the root `{root}` [TEST-PATH]", hint="allow it with `--root`")
    _check_components(root, path, given, text)
    if path.is_dir():
        for found, folders, files in os.walk(path):
            for name in (*folders, *files):
                _check_kind(Path(found, name), given, text)
    elif is_sqlite(str(path)) or _is_engine(path):
        raise _refused(given, text, "is a store or an engine file, which only `--policies` may name")
    return path


def _check_components(root: Path, path: Path, given: LocatedValue, text: str) -> None:
    current = root
    for part in path.relative_to(root).parts:
        current = current / part
        _check_kind(current, given, text)


def _check_kind(path: Path, given: LocatedValue, text: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        raise _refused(given, text, f"cannot be read: {error.strerror}") from None
    if stat.S_ISLNK(mode):
        raise _refused(given, text, f"is or contains a link, `{path.name}`")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _refused(given, text, f"is or contains `{path.name}`, which is not a regular file")


def _is_engine(path: Path) -> bool:
    from fastiam.engine.engine_file import is_saved  # PERF: NumPy, which a test file without policies does not need

    return is_saved(str(path))


def _refused(given: LocatedValue, text: str, why: str) -> SourceError:
    return given.error(
        f"`{text}` {why} [TEST-PATH]",
        hint="paths are relative to the test file and stay below `--root`; `--policies` takes any path",
    )
