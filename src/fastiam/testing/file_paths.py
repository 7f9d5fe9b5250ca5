"""Files that a test file names: relative to it, inside a root, regular files and folders without links (T40).

A test file of a pull request is data of a stranger. INVARIANT: each component is opened from the root by the descriptor of its
folder, and no link is followed: what is read is what was checked, also if another process exchanges a component meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastiam.engine.engine_file import MAGIC as ENGINE
from fastiam.errors import Hint, SourceError
from fastiam.sources.files import File, unpacked, why_skipped
from fastiam.sources.located_values import LocatedValue
from fastiam.storage import MAGIC as STORE

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO without a writer does not block
_BINARY = (STORE, ENGINE)
_PATHS = "paths are relative to the test file and stay below `{}`; `{}` takes any path"


def root_of(start: Path) -> Path:
    """Return the next folder upwards that has `.git`, else the current folder."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return Path.cwd()


def path_inside(root: Path, folder: Path, given: LocatedValue, text: str) -> Path:
    """Return the path that a text names; it may not exist.

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
        it is absolute, or outside of the root.
    """
    if not text or text == "-" or os.path.isabs(text) or "\0" in text or text.startswith("~"):
        raise _refused(given, text, "is not a relative path")
    path = Path(os.path.normpath(folder / text))
    if not path.is_relative_to(root):
        raise given.error(
            f"`{text}` is outside of the root `{root}` [TEST-PATH]", hint=Hint("allow it with `root`", "allow it with `--root`")
        )
    return path


def files_inside(root: Path, path: Path, given: LocatedValue, text: str, shown: str) -> list[File]:
    """Return the file of a path below the root, or the files of a folder as `fastiam.load` finds them, with their content.

    `shown` is the name of the path in messages; parameters else as in `path_inside`.

    Raises
    ------
    SourceError
        it is missing, a link or behind one, a device, a FIFO, a store or an engine file; a folder contains one of these.
    """
    with _opened(root, path, given, text) as descriptor:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return list(_in_folder(descriptor, shown, given, text))
        return [_content(descriptor, shown, given, text)]


def file_inside(root: Path, path: Path, given: LocatedValue, text: str, shown: str) -> File:
    """Return one file, with the errors of `files_inside`; a folder is refused too."""
    with _opened(root, path, given, text) as descriptor:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise given.error(f"`{text}` is a folder [TEST-PATH]", hint="name a file")
        return _content(descriptor, shown, given, text)


@contextmanager
def _opened(root: Path, path: Path, given: LocatedValue, text: str) -> Iterator[int]:
    """Open a path component by component, and yield its descriptor."""
    *folders, name = path.relative_to(root).parts or (".",)
    try:
        current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(given, text, f"cannot be read: {error.strerror}") from None
    try:
        for part in folders:
            inner = _open(current, part, _FOLDER, given, text)
            os.close(current)
            current = inner
        inner = _open(current, name, _FILE, given, text)
        os.close(current)
        current = inner
        yield current
    finally:
        os.close(current)


def _open(folder: int, name: str, flags: int, given: LocatedValue, text: str) -> int:
    """Open a regular file or a folder of a folder. INVARIANT: nothing else is opened, since opening a device may have effects."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise _refused(given, text, f"is or contains a link, `{name}`")
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            descriptor = os.open(name, flags, dir_fd=folder)
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                return descriptor
            os.close(descriptor)
    except OSError as error:  # among others, it became a link meanwhile
        raise _refused(given, text, f"cannot be read: {error.strerror}") from None
    raise _refused(given, text, f"is or contains `{name}`, which is not a regular file")


def _in_folder(folder: int, shown: str, given: LocatedValue, text: str) -> Iterator[File]:
    """Yield the files of a folder in order of name, as `read_files`. Hidden ones are not opened."""
    for name in sorted(name for name in os.listdir(folder) if not name.startswith(".")):
        descriptor = _open(folder, name, _FILE, given, text)
        try:
            inner = f"{shown}/{name}"
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                yield from _in_folder(descriptor, inner, given, text)
            elif skipped := why_skipped(name):
                yield File(inner, b"", skipped)
            else:
                yield _content(descriptor, inner, given, text)
        finally:
            os.close(descriptor)


def _content(descriptor: int, shown: str, given: LocatedValue, text: str) -> File:
    with open(descriptor, "rb", closefd=False) as file:
        data = file.read()
    if data.startswith(_BINARY):
        raise _refused(given, text, "is a store or an engine file, which a test file may not name")
    return File(shown, unpacked(data, shown))


def _refused(given: LocatedValue, text: str, why: str) -> SourceError:
    return given.error(
        f"`{text}` {why} [TEST-PATH]",
        hint=Hint(_PATHS.format("root", "policies"), _PATHS.format("--root", "--policies")),
    )
