"""Ids of requests: UUIDs of version 7, which sort by time (RFC 9562)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


class Ids:
    """Makes ids. Not safe for use by several threads.

    Parameters
    ----------
    clock : seconds since 1970.
    random : as `os.urandom`.
    """

    def __init__(self, clock: Callable[[], float] = time.time, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random
        self._left = b""
        self._at = 0

    def __call__(self) -> str:
        """A new id."""
        at = self._at
        if at >= len(self._left):
            self._left, at = self._random(2560), 0  # PERF: one system call for 256 ids
        self._at = at + 10
        tail = self._left[at : at + 10].hex()
        head = f"{int(self._clock() * 1000):012x}"
        return f"{head[:8]}-{head[8:]}-7{tail[:3]}-{_VARIANT[tail[3]]}{tail[4:7]}-{tail[7:19]}"


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
