"""Standard streams as a shell gives them to a command in a pipeline, within the process of the test."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Output:
    """What was written to standard output; complete once the streams are restored."""

    def __init__(self) -> None:
        self.data = b""


@contextmanager
def piped(data: bytes = b"") -> Iterator[Output]:
    """Make standard input and output pipes: descriptors 0 and 1, `/dev/fd/0`, `sys.stdin` and `sys.stdout`.

    A process shows no more than this, and takes half a second to import what a command line needs.
    """
    output, saved, streams = Output(), (os.dup(0), os.dup(1)), (sys.stdin, sys.stdout)
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
    for descriptor, own in ((0, own_input), (1, own_output)):
        os.dup2(own, descriptor)
        os.close(own)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
    try:
        yield output
    finally:
        sys.stdout.close()
        sys.stdin.close()
        sys.stdin, sys.stdout = streams
        for descriptor, own in enumerate(saved):
            os.dup2(own, descriptor)
            os.close(own)
        for thread in threads:
            thread.join()
