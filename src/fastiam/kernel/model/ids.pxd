"""Ids: dense uint32 indexes into the arrays of `TablesC`, and slices of index lists. Header only."""
from libc.stdint cimport uint32_t


cdef enum:
    NONE = 0xFFFFFFFF          # the one uint32 that is never an index
    ONE = 0x80000000           # in place of a list: its only member


cdef struct Range:             # a slice of an index list
    uint32_t first
    uint32_t n
