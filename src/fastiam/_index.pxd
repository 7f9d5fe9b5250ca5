"""Indexes of long runs."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastiam._types cimport Entry, Pattern
from fastiam._vectors cimport Vectors


cdef class Indexes(Vectors):
    cdef object _shape_of(self, const Pattern* p)
    cdef object _grams_of(self, const uint8_t* tail, int64_t n)
    cdef object _hash_of(self, const Pattern* p, found)
    cdef object _sort_entry(self, uint32_t position, const Entry* e, list found, list always, list crossing)
    cdef uint32_t _index(self, uint32_t first, uint32_t n) except? 0xFFFFFFFE
