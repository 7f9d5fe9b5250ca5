"""Facts of the values of resource dictionaries, computed once for all rows with the same value.

Of a large dictionary, only the values that rows use are read. If few rows share a value, each row computes its own facts.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastiam.kernel.decide.blocks cimport InputRange
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.columns.column cimport Column
from fastiam.kernel.decide.resource_facts cimport mark_values, read_all_facts
from fastiam.kernel.columns.read cimport TextColumn
from fastiam.kernel.model.tables cimport TablesC

import numpy as np


cdef enum:
    MAX_VALUES = 4             # of a dictionary, for each row that has one of them, that there is room for facts of
    MIN_ROWS_TO_SHARE = 3      # for a value of a dictionary: as good as all are had by some


cdef class _Facts:
    """The facts of the dictionaries of a batch. Threads of a pass share them."""

    cdef TextColumn resources
    cdef dict found                                      # dictionary -> `capacity_for`, filled
    cdef dict chunks_with                                # dictionary -> its chunks; None: not looked up yet

    def __cinit__(self, TextColumn resources):
        self.resources = resources
        self.found = {}

    cdef bint knows(self, const Column* chunk) except -1:
        """Whether it is known what becomes of the dictionary of a chunk."""
        return <size_t>chunk.dictionary in self.found

    cdef int keep(self, const Column* chunk, tuple found) except -1:
        """Keep the facts of the dictionary of a chunk; None: each row finds them for itself. Another thread may have done it meanwhile:
        one is kept."""
        self.found.setdefault(<size_t>chunk.dictionary, found)
        return 0

    cdef int clear(self) except -1:
        """Numbers of records were dropped."""
        self.found = {}
        return 0

    cdef tuple capacity_for(self, const Column* chunk):
        """Arrays for the facts and records of the values of a dictionary, and whether a row has each of them (None: as good as all are had).

        None where each row finds them for itself: there is no dictionary, or hardly two rows share a value of it.
        """
        cdef int64_t n_rows, n_used
        cdef uint8_t[::1] marks
        if not chunk.code_width or chunk.is_list or chunk.n_values == 0:
            return None
        used = None
        n_rows = self._rows_with(chunk, NULL)
        if chunk.n_values > MAX_VALUES * n_rows:
            return None
        if n_rows < MIN_ROWS_TO_SHARE * chunk.n_values:
            used = np.zeros(chunk.n_values + 1, np.uint8)
            marks = used
            self._rows_with(chunk, &marks[0])
            n_used = np.count_nonzero(used)
            if chunk.n_values > n_rows and 2 * n_used > n_rows:
                return None
            if 8 * n_used > 7 * chunk.n_values:
                used = None
        return np.empty(chunk.n_values, np.uint64), np.empty(chunk.n_values, np.uint32), used

    cdef int64_t _rows_with(self, const Column* chunk, uint8_t* marks) except -1:
        """How many rows have values of the dictionary of a chunk; `marks`: mark these values, and behind them what is none."""
        cdef const Column* column
        cdef int64_t i, n, n_rows = 0
        if self.chunks_with is None:
            chunks: dict[int, list[int]] = {}
            for i in range(self.resources.n_chunks):
                chunks.setdefault(<size_t>self.resources.columns[i].dictionary, []).append(i)
            self.chunks_with = chunks                    # whole, when another thread sees it
        for i in self.chunks_with[<size_t>chunk.dictionary]:
            column = self.resources.columns[i]
            n = self.resources.starts[i + 1] - self.resources.starts[i]
            n_rows += n
            if marks != NULL:
                with nogil:
                    mark_values(column, n, marks)
        return n_rows

    cdef int read(self, const TablesC* t, const Column* chunk, int64_t first, int64_t last, tuple found) except -1:
        """Read the facts of values [first, last) into their room."""
        cdef Call c
        cdef uint64_t[::1] facts
        cdef uint32_t[::1] records
        cdef uint8_t[::1] used
        cdef const uint8_t* marks = NULL
        facts, records, _ = found
        if found[2] is not None:
            used = found[2]
            marks = &used[0]
        memset(&c, 0, sizeof(Call))
        c.t = t
        with nogil:
            read_all_facts(&c, chunk, first, last, &facts[0], &records[0], marks)
        return 0

    cdef int point(self, const TablesC* t, InputRange* rows, bint is_plain) except -1:
        """Point at the facts of the dictionary of some rows; NULL where each row finds them for itself, or, if they are not `is_plain`, none are
        read."""
        cdef const Column* chunk = rows.resources
        cdef uint64_t[::1] facts
        cdef uint32_t[::1] records
        rows.facts = NULL
        rows.records = NULL
        if not is_plain:
            return 0
        if not self.knows(chunk):
            found = self.capacity_for(chunk)
            if found is not None:
                self.read(t, chunk, 0, chunk.n_values, found)
            self.keep(chunk, found)
        found = self.found[<size_t>chunk.dictionary]
        if found is not None:
            facts, records, _ = found
            rows.facts = &facts[0]
            rows.records = &records[0]
        return 0
