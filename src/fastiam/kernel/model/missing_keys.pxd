"""Counts of the rows that read a missing key, each row once. Header only.

Rows of a block are counted in any order, blocks one after the other. A block overlaps at most two windows of rows, so two are stored.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset


cdef enum:
    WINDOW_BITS = 9            # of the number of rows that come in any order: a block


cdef struct CountedRows:       # which rows of two windows are counted, those of a block among them
    int64_t window[2]          # an odd and an even one, from 1 on; 0: none
    uint64_t counted[2][8]     # INVARIANT: a bit for each row of a window


cdef inline bint is_counted(const CountedRows* rows, int64_t row) noexcept nogil:
    cdef int64_t window = (row >> WINDOW_BITS) + 1
    return rows.window[window & 1] == window and (rows.counted[window & 1][(row >> 6) & 7] >> (row & 63)) & 1


cdef inline void count_row(CountedRows* rows, int64_t* count, int64_t row) noexcept nogil:
    """Count a row of a key, once."""
    cdef int64_t window = (row >> WINDOW_BITS) + 1
    if is_counted(rows, row):
        return
    if rows.window[window & 1] != window:
        rows.window[window & 1] = window
        memset(rows.counted[window & 1], 0, sizeof(rows.counted[0]))
    rows.counted[window & 1][(row >> 6) & 7] |= <uint64_t>1 << (row & 63)
    count[0] += 1
