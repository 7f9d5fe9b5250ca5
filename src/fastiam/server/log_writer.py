"""A log file with a writer thread: the event loop never waits for a disk or a pipe (G187)."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final

_MAX_LINES: Final = 65_536
_MAX_BYTES: Final = 64 << 20
_BUFFER: Final = 64 * 1024
_FLUSH: Final = 0.2  # seconds
_MOST: Final = 4_096  # lines of one write
_RETRY: Final = 0.5  # seconds after a failed write


class LogWriter:
    """Lines go to a file, or to standard output or error.

    A line that could not be written stays in the queue and is tried again. When the queue is full, further lines are dropped and
    counted.

    Parameters
    ----------
    target
        a path, or the descriptor of a stream.
    max_bytes, keep
        a file is rotated when it is larger, and so many older ones stay (`name.1` is the youngest).
    """

    def __init__(self, target: Path | int, *, max_bytes: int = 0, keep: int = 0) -> None:
        self.target = target
        self.written = 0
        self.dropped = 0
        self.bytes = 0
        self.error: str | None = None
        """Why the last write failed; None if it did not."""
        self._max_bytes, self._keep = max_bytes, keep
        self._lines: deque[bytes] = deque()
        self._taken: list[bytes] = []  # out of `_lines`, and not written yet; changed by the thread only
        self._lock = threading.Lock()  # of `put`
        self._put_bytes = 0  # changed by `put` only
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._must_reopen = threading.Event()
        self._is_closed = False
        self._fd = target if isinstance(target, int) else self._open(target)
        self._size = 0 if isinstance(target, int) else os.fstat(self._fd).st_size
        self._thread = threading.Thread(target=self._run, name="fastiam-log", daemon=True)
        self._thread.start()

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)

    @property
    def queue(self) -> int:
        """Lines that are not written yet."""
        return len(self._lines) + len(self._taken)

    @property
    def queued_bytes(self) -> int:
        """Bytes that are not written yet."""
        return self._put_bytes - self.bytes

    def put(self, line: bytes, *, always: bool = False) -> bool:
        """Queue a line, which ends with a line feed; False if it was dropped. From any thread.

        `always` : also where the queue is full. The caller has read `is_failing` before it acted.
        """
        size = len(line)
        with self._lock:
            if not always and (len(self._lines) >= _MAX_LINES or self.queued_bytes + size > _MAX_BYTES):
                self.dropped += 1
                return False
            self._put_bytes += size
            self._lines.append(line)
        if self._idle.is_set():
            self._idle.clear()
            self._wake.set()
        return True

    @property
    def is_failing(self) -> bool:
        """Whether a line put now may be lost: the last write failed, or the queue is full."""
        return self.error is not None or len(self._lines) >= _MAX_LINES or self.queued_bytes >= _MAX_BYTES

    def reopen(self) -> None:
        """Open the file again, after it was renamed by a log rotation; lines before go to the old one."""
        self._must_reopen.set()
        self._wake.set()

    def flush(self, seconds: float) -> bool:
        """Wait until every line is written; False if it took too long."""
        self._wake.set()
        return self._idle.wait(seconds)

    def close(self, seconds: float = 2.0) -> None:
        """Write what is queued, and stop."""
        self.flush(seconds)
        self._is_closed = True
        self._wake.set()
        self._thread.join(seconds)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_closed:
            self._wake.wait()
            self._wake.clear()
            while self._lines or self._taken or self._must_reopen.is_set():
                if self._must_reopen.is_set():
                    self._must_reopen.clear()
                    self._renew()
                if not self._write_some():
                    time.sleep(_RETRY)
                    if self._is_closed:
                        return
                elif self.queued_bytes < _BUFFER and not self._is_closed:
                    self._wake.wait(_FLUSH)  # gather more lines, unless a flush is requested
                    self._wake.clear()
            self._idle.set()
            if self._lines:  # a line came between the two
                self._idle.clear()
                self._wake.set()

    def _write_some(self) -> bool:
        """Write the queued lines as one piece; False if that failed, and then they stay queued."""
        take = self._lines.popleft
        self._taken += [take() for _ in range(min(len(self._lines), _MOST - len(self._taken)))]
        piece = b"".join(self._taken)
        if not piece:
            return True
        done = 0
        try:
            if self._max_bytes and self._size and self._size + len(piece) > self._max_bytes:
                self._rotate()
            while done < len(piece):
                done += os.write(self._fd, memoryview(piece)[done:])
        except OSError as error:
            self.error = error.strerror or str(error)
            if not isinstance(self.target, int) and done:
                self._cut(done)
            return False
        self.error = None
        self._size += len(piece)
        self.written += len(self._taken)
        self._taken = []
        self.bytes += len(piece)
        return True

    def _cut(self, done: int) -> None:
        """Remove the part of a piece that a failed write left in the file; the piece is written again as a whole."""
        try:
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - done)
        except OSError:  # a FIFO, for example: the reader sees a part of a line twice
            pass

    def _renew(self) -> None:
        if isinstance(self.target, int):
            return
        try:
            fd = self._open(self.target)
        except OSError as error:
            self.error = error.strerror or str(error)
            return
        os.close(self._fd)
        self._fd, self._size = fd, os.fstat(fd).st_size

    def _rotate(self) -> None:
        assert isinstance(self.target, Path)
        for i in range(self._keep - 1, 0, -1):
            older = self.target.with_name(f"{self.target.name}.{i}")
            if older.exists():
                older.replace(self.target.with_name(f"{self.target.name}.{i + 1}"))
        if self._keep:
            self.target.replace(self.target.with_name(f"{self.target.name}.1"))
        else:
            os.ftruncate(self._fd, 0)
        self._renew()
