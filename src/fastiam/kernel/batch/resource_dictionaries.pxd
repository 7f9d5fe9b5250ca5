"""Facts of the dictionaries of a resource column."""
from libc.stdint cimport int64_t, uint8_t

from fastiam.kernel.decide.blocks cimport InputRange
from fastiam.kernel.columns.column cimport Column
from fastiam.kernel.columns.read cimport TextColumn
from fastiam.kernel.model.tables cimport TablesC


cdef class _Facts:
    cdef TextColumn resources
    cdef dict found                                      # dictionary -> `capacity_for`, filled
    cdef dict chunks_with                                # dictionary -> its chunks; None: not looked up yet

    cdef bint knows(self, const Column* chunk) except -1
    cdef int keep(self, const Column* chunk, tuple found) except -1
    cdef int clear(self) except -1
    cdef tuple capacity_for(self, const Column* chunk)
    cdef int64_t _rows_with(self, const Column* chunk, uint8_t* marks) except -1
    cdef int read(self, const TablesC* t, const Column* chunk, int64_t first, int64_t last, tuple found) except -1
    cdef int point(self, const TablesC* t, InputRange* rows, bint is_plain) except -1
