"""The limits of the machine, in the same minutes: lower bounds for the figures of columns.

Copying 64 bytes a row is what a batch of coded columns cannot go below: eight codes of four bytes, and as much again that they
point at. Plain text has to be hashed or compared at least once, and looked up, 16 texts at a time, where the answer of a table is
needed. The texts are those of the workload, a million rows. One thread.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from engines import WrongAnswerError
from measure import Record, measure_together
from native import library
from workloads import ROWS, Workload, identity

N = 2_000
COPY, HASH = "copy 64 bytes a row", "hash one ARN"
ACTION, PRINCIPAL, ARN, NEW_ARN = (
    "look up an action",
    "look up a principal of 2,000",
    "look up an ARN",
    "look up an ARN of a million",
)


def buffers(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Bytes and ends of a plain column of text."""
    _, ends, texts = column.buffers()
    return np.frombuffer(texts, np.uint8), np.frombuffer(ends, np.int32)[column.offset :]


def at(array: np.ndarray) -> ctypes.c_void_p:
    """The address of an array."""
    return ctypes.c_void_p(array.ctypes.data)


def looking_up(native: ctypes.CDLL, column: Any) -> Callable[[], None]:
    """A job that looks up every row of a column in a table of its different values; its answers are checked."""
    values = pc.unique(column)
    texts, starts = buffers(values)
    asked, ends = buffers(column)
    mask = (1 << (2 * len(values)).bit_length()) - 1
    slots, ids = np.zeros((mask + 1, 2), np.uint32), np.empty(len(column), np.int32)
    native.fill_table(at(texts), at(starts), ctypes.c_int64(len(values)), at(slots), ctypes.c_uint32(mask))

    def job() -> None:
        n, wide = ctypes.c_int64(len(column)), ctypes.c_uint32(mask)
        native.look_up(at(asked), at(ends), n, at(texts), at(starts), at(slots), wide, at(ids))

    job()
    if not values.take(pa.array(ids)).equals(column):
        raise WrongAnswerError("a table of the bench itself is wrong")
    return job


def jobs(work: Workload, unique: Workload) -> dict[str, Callable[[], Any]]:
    """The floors by name."""
    native = library()
    columns = work.columns("strings")
    n = len(columns)
    source, target = np.ones(64 * n, np.uint8), np.zeros(64 * n, np.uint8)
    texts, ends = buffers(columns.resources)
    return {
        COPY: lambda: native.copy_rows(at(source), at(target), ctypes.c_int64(n)),
        HASH: lambda: native.hash_rows(at(texts), at(ends), ctypes.c_int64(n)),
        ACTION: looking_up(native, columns.actions),
        PRINCIPAL: looking_up(native, columns.principals),
        ARN: looking_up(native, columns.resources),
        NEW_ARN: looking_up(native, unique.columns("strings").resources),
        "pyarrow: dictionary_encode of the ARNs": columns.resources.dictionary_encode,
    }


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    record = Record("limits")
    for name, timing in measure_together(jobs(identity(N, rows=rows), identity(N, rows=rows, unique=True)), rows).items():
        record.add("the machine", "one thread", name, timing)
    record.write()


if __name__ == "__main__":
    main()
