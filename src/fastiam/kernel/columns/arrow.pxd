"""Checks of Arrow structs, and checks of a column that are deferred until a pass reads it."""
from libc.stdint cimport int64_t

from fastiam.kernel.columns.chunk cimport Chunk


cdef int check_rows(Chunk chunk, str name, int64_t first_row) except -1
# `ArrowSchema*` and `ArrowArray*`: with their types here, every module that cimports this would contain nanoarrow
cdef str fault_of(const void* schema, void* array)
cdef str type_fault(const void* schema, int depth=*)
