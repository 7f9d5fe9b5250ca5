"""`TextColumn`, the owner of an input column of the batch kernel. `kernel/columns/column.pxd` has the layout."""
from libc.stdint cimport int64_t

from fastiam.kernel.columns.column cimport Column

# `ArrowSchema*` and `ArrowArray*`: with their types here, every module that cimports this would contain nanoarrow
cdef str fault_of(const void* schema, void* array)
cdef str type_fault(const void* schema, int depth=*)


cdef class TextColumn:
    cdef readonly str name
    cdef readonly int64_t length      # rows, or -1: one value for all rows
    cdef readonly int64_t n_chunks
    cdef readonly bint is_list        # rows hold lists of values
    cdef const Column** columns       # one a chunk
    cdef int64_t* starts              # n_chunks + 1: the first row of each chunk, and the end
    cdef list chunks                  # of `Chunk`: the owners
    cdef object reject                # of a column that is not checked yet: called with bad values; else None

    cdef const Column* chunk_of(self, int64_t row, int64_t* local_row, int64_t* rows_left) noexcept nogil
    cdef int _grow(self) except -1
    cdef int _append(self, chunk) except -1
    cdef int check(self) except -1
