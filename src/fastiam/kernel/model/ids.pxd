"""Ids: dense uint32 indexes into the arrays of `TablesC`, and slices of index lists. Header only."""
from libc.stdint cimport uint32_t


cdef enum:
    NONE = 0xFFFFFFFF          # the one uint32 that is never an index
    ONE = 0x80000000           # in place of a list: its only member


cdef struct Range:             # a slice of an index list
    uint32_t first
    uint32_t n


cdef inline const uint32_t* members_of(uint32_t element, const Range* lists, const uint32_t* ids, uint32_t* only, uint32_t* n) noexcept nogil:
    """The `n` members of an element: NONE, ONE and its only member, for which there is room in `only`, or a list of `ids`."""
    only[0] = element ^ ONE
    n[0] = element != NONE
    if element & ONE:
        return only
    n[0] = lists[element].n
    return ids + lists[element].first
