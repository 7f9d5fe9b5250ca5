"""Standard streams as a shell gives them to a command in a pipeline, within the process of the test."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


class Output:
    """What was written to standard output; complete once the streams are restored."""

    def __init__(self) -> None:
        self.data = b""


@contextmanager
def _replaced(own_input: int, own_output: int) -> Iterator[None]:
    """Make two descriptors the standard input and output; they are closed."""
    saved, streams = (os.dup(0), os.dup(1)), (sys.stdin, sys.stdout)
    for descriptor, own in enumerate((own_input, own_output)):
        os.dup2(own, descriptor)
        os.close(own)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
    try:
        yield
    finally:
        sys.stdout.close()
        sys.stdin.close()
        sys.stdin, sys.stdout = streams
        for descriptor, own in enumerate(saved):
            os.dup2(own, descriptor)
            os.close(own)


@contextmanager
def redirected(output: BinaryIO) -> Iterator[None]:
    """Make a file the standard output, as `>` and `>>` do: descriptor 1, `/dev/stdout` and `sys.stdout`."""
    with _replaced(os.open(os.devnull, os.O_RDONLY), os.dup(output.fileno())):
        yield


@contextmanager
def piped(data: bytes = b"") -> Iterator[Output]:
    """Make standard input and output pipes: descriptors 0 and 1, `/dev/fd/0`, `sys.stdin` and `sys.stdout`.

    A process shows no more than this, and takes half a second to import what a command line needs.
    """
    output = Output()
    (own_input, feed), (drain, own_output) = os.pipe(), os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), open(feed, "wb") as file:
            file.write(data)

    def read() -> None:
        with open(drain, "rb") as file:
            output.data = file.read()

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    try:
        with _replaced(own_input, own_output):
            yield output
    finally:
        for thread in threads:
            thread.join()
