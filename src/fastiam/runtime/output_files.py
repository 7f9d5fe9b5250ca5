"""Output files: what a path leads to decides how it is written.

A regular file is replaced atomically: the content goes to a file beside it, which is renamed when it is complete. Devices, FIFOs
and open descriptors (`/dev/stdout`, `/dev/fd/3`) are written into, and links are followed. Invariant: a failed write leaves a
regular file as it was.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from fastiam.errors import SourceError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where an open file cannot be deleted
    fcntl = None  # type: ignore[assignment]

_PART = ".fastiam.part"
_ABANDONED = re.compile(rf"\..+\.[0-9a-f]{{16}}{re.escape(_PART)}")
_LONGEST = 100  # characters of the target's name in that of the file beside it
_LINKS = 40  # that are followed, as Linux does


@contextmanager
def open_output(path: str | os.PathLike[str], *, private: bool = False) -> Iterator[BinaryIO]:
    """A binary file to be written; a regular file gets its content when the block ends without an error.

    Parameters
    ----------
    private
        only the owner can read a regular file (mode 0600), whatever mode it had. Otherwise a file keeps its mode.

    Raises
    ------
    SourceError
        the file cannot be written; names the path and says why.
    BrokenPipeError
        the reader of a FIFO or pipe is gone.
    """
    shown = os.fspath(path)
    with _named(shown):
        target = _followed(shown)
        descriptor = os.dup(target) if isinstance(target, int) else _opened_special(target)
    if descriptor is not None:
        with io.BufferedWriter(_Raw(descriptor, shown)) as file:
            yield file
        return
    assert isinstance(target, str)  # INVARIANT: `_followed` gave a descriptor or a path
    with _replacing(target, shown, private) as file:
        yield file


def check_output(path: str | os.PathLike[str]) -> None:
    """See, before anything is computed, whether a file could be written.

    Raises
    ------
    SourceError
        the folder is missing, or the path is a folder.
    """
    shown = os.fspath(path)
    with _named(shown):
        target = _followed(shown)
    if isinstance(target, int):
        return
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise SourceError(f"there is no folder `{folder}`", source=shown, path="", hint="make it, or write elsewhere")
    if os.path.isdir(target):
        raise SourceError("it is a folder", source=shown, path="", hint="name a file")


def is_replaced(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a regular file, or to nothing yet; everything else is written into."""
    target = _followed(os.fspath(path))
    return isinstance(target, str) and (not os.path.exists(target) or os.path.isfile(target))


def is_part(name: str) -> bool:
    """Whether a file has the name of an incomplete one, which only a killed process leaves."""
    return _ABANDONED.fullmatch(name) is not None


class _Raw(io.FileIO):
    """A descriptor whose errors name the file."""

    def __init__(self, descriptor: int, shown: str) -> None:
        super().__init__(descriptor, "wb")
        self._shown = shown

    def write(self, data: ReadableBuffer, /) -> int:
        with _named(self._shown):
            return super().write(data)


@contextmanager
def _named(shown: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SourceError(f"cannot be written: {(error.strerror or str(error)).lower()}", source=shown, path="") from error


def _followed(path: str) -> str | int:
    """The path behind all links, or the descriptor of this process that the path stands for.

    Such a path must not be opened again: for a regular file that would be a second open file, at offset 0.
    """
    for _ in range(_LINKS):
        folder = os.path.realpath(os.path.dirname(path) or os.curdir)
        name = os.path.basename(path)
        if name.isdecimal() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(name)
        path = os.path.join(folder, name)
        if not os.path.islink(path):
            return path
        path = os.path.join(folder, os.readlink(path))
    raise OSError(None, "too many links")


def _opened_special(target: str) -> int | None:
    """A descriptor of a device, FIFO or socket; None for a regular file, and for what does not exist."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        return None
    return os.open(target, os.O_WRONLY)  # a folder is refused by this


@contextmanager
def _replacing(target: str, shown: str, private: bool) -> Iterator[BinaryIO]:
    folder, name = os.path.split(target)
    with _named(shown):
        _remove_abandoned(folder)
        there = os.stat(target) if os.path.exists(target) else None
        part, descriptor = _created(os.path.join(folder, f".{name[:_LONGEST]}"), 0o600 if private or there else 0o666)
    file = io.BufferedWriter(_Raw(descriptor, shown))
    try:
        yield file
        with _named(shown):
            file.flush()
            if there is not None and not private:
                _keep_owner_and_mode(file.fileno(), there)
            os.fsync(file.fileno())
            os.replace(part, target)  # before it is closed: the lock ends with that
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
    finally:
        with suppress(OSError, SourceError):
            file.close()
    _sync_folder(folder)


def _created(stem: str, mode: int) -> tuple[str, int]:
    """A new file that is locked as long as it is open: its path and descriptor."""
    while True:
        part = f"{stem}.{secrets.token_hex(8)}{_PART}"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return part, descriptor
        os.close(descriptor)  # another process took it for an abandoned one before it was locked


def _keep_owner_and_mode(descriptor: int, there: os.stat_result) -> None:
    if hasattr(os, "fchown"):
        with suppress(OSError):  # only root may give a file away
            os.fchown(descriptor, there.st_uid, there.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, stat.S_IMODE(there.st_mode))


def _remove_abandoned(folder: str) -> None:
    """Remove the incomplete files of processes that were killed: those of this name scheme that no process has locked."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _ABANDONED.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unlocked(entry.path)


def _remove_unlocked(path: str) -> None:
    if fcntl is None:
        os.unlink(path)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str) -> None:
    """Put the new name on disk too, where a folder can be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
