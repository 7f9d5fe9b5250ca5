"""Files that the processes of one user share: in a folder of the temporary directory, named after the SHA-256 of their content.

Other users can neither read the files nor put one there. A process keeps a shared lock on a file that it uses, and the writer of
a new file removes those that no process has locked. POSIX only.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fastiam.errors import SourceError
from fastiam.runtime.output_files import open_output

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

IS_SUPPORTED = fcntl is not None
_NAME = re.compile(r"fastiam-[0-9a-f]{64}\.engine")
_TRIES = 5  # another process may remove the file between two steps


@contextmanager
def private_file(digest: str, content: Callable[[], ReadableBuffer]) -> Iterator[tuple[int, str]]:
    """The file with this SHA-256: its descriptor, which is open and locked meanwhile, and its path.

    A file that is missing, or is not what its name says, is written. A copy of the descriptor (`mmap` makes one) keeps the lock.

    Parameters
    ----------
    digest
        in hexadecimal.
    content
        gives what to write.

    Raises
    ------
    SourceError
        the folder or the file belongs to another user, or the file cannot be written.
    """
    path, folder = _own_folder()
    try:
        file = os.path.join(path, f"fastiam-{digest}.engine")
        descriptor = _written(folder, file, digest, content)
    finally:
        os.close(folder)
    try:
        yield descriptor, file
    finally:
        os.close(descriptor)


def _own_folder() -> tuple[str, int]:
    """The folder of this user, made where it is missing: its path and a descriptor."""
    path = os.path.join(tempfile.gettempdir(), f"fastiam-{os.geteuid()}")
    try:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _refused(path, f"cannot be used: {(error.strerror or str(error)).lower()}") from None
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        os.close(descriptor)
        why = "belongs to another user" if found.st_uid != os.geteuid() else "is open to other users"
        raise _refused(path, why)
    return path, descriptor


def _refused(path: str, why: str) -> SourceError:
    return SourceError(why, source=path, path="", hint="remove it, or set `TMPDIR` to a folder of this user")


def _written(folder: int, path: str, digest: str, content: Callable[[], ReadableBuffer]) -> int:
    for _ in range(_TRIES):
        descriptor = _opened(folder, path, digest)
        if descriptor is not None:
            return descriptor
        with open_output(path, private=True) as file:
            file.write(content())
        _remove_unused(folder, os.path.basename(path))
    raise _refused(path, "is changed by another process")


def _opened(folder: int, path: str, digest: str) -> int | None:
    """A descriptor of the file, locked; None where it has to be written. Links and special files are removed."""
    name = os.path.basename(path)
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)
            return None
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(path, f"cannot be used: {(error.strerror or str(error)).lower()}") from None
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise _refused(path, "belongs to another user")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        is_there = os.fstat(descriptor).st_nlink == 1  # not removed before it was locked, and no second name
        if is_there and stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077:
            with open(descriptor, "rb", closefd=False) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == digest:
                    return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _remove_unused(folder: int, kept: str) -> None:
    """Remove the other files of the folder that no process has locked."""
    for name in os.listdir(folder):
        if name != kept and _NAME.fullmatch(name):
            with suppress(OSError):  # in use, or gone
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=folder)
                finally:
                    os.close(descriptor)
