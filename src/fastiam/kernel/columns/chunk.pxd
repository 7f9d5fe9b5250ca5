"""One chunk of a column (see `kernel/columns/column.pxd`), and the owners of its memory."""


cdef class Chunk:
    cdef Column column
    cdef int64_t rows
    cdef list owners          # whatever owns memory that `column` points to
    cdef dict bad             # value index -> why that value cannot be read
    cdef str hint             # and what to do about it

    cdef const void* keep(self, object array)
    cdef int point_at(self, texts) except -1
    cdef int set_texts(self, object offsets, object data) except -1
    cdef int share_values(self, Chunk other) except -1
    cdef int reject_bad_rows(self, int64_t first_row, object reject) except -1
    cdef int _hide(self) except -1
