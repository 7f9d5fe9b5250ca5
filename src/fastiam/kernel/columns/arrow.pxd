"""Checks of an Arrow column that are deferred until a pass reads it."""
from libc.stdint cimport int64_t

from fastiam.kernel.columns.chunk cimport Chunk


cdef int check_rows(Chunk chunk, str name, int64_t first_row) except -1
