"""Indexes of long runs."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastiam._types cimport Entry, Index, IndexSlot, Item, Pattern
from fastiam._vectors cimport Vectors


cdef class _Draft:
    cdef list always                                     # items that no hash finds
    cdef list crossing
    cdef list found                                      # of each pattern: item, kind of its grams, ways, where its field 6 lies, literal parts
    cdef dict counts                                     # how many patterns a way finds
    cdef dict places                                     # the items that it finds
    cdef dict splits                                     # of a hash: key, items that do not ask for a text of it
    cdef uint32_t n_items
    cdef uint32_t few

    cdef int count(self, list ways) except -1
    cdef object rarest(self, list ways)
    cdef bint is_shared(self, object way)
    cdef int cover(self, list patterns) except -1
    cdef int put(self, object way, uint32_t position) except -1
    cdef list shapes(self)


cdef class Indexes(Vectors):
    cdef object _way(self, const Pattern* p, int64_t start, int64_t size, uint8_t kind, uint8_t fields)
    cdef list _ways_of(self, const Pattern* p, list parts)
    cdef int _add_entry(self, _Draft draft, uint32_t entry, const Entry* e) except -1
    cdef uint32_t _item(self, _Draft draft, uint32_t entry, uint32_t resources) except? 0xFFFFFFFE
    cdef bint _is_anywhere(self, const Pattern* p)
    cdef int _add_pattern(self, _Draft draft, uint32_t position, const Pattern* p, uint8_t kind) except -1
    cdef int _choose(self, _Draft draft) except -1
    cdef dict _texts_of(self, const Entry* e)
    cdef int _split(self, _Draft draft, object h, list places, const Entry* entries, const Item* items) except -1
    cdef int _slot(self, _Draft draft, IndexSlot* slot, uint32_t h, list places) except -1
    cdef int _write_slots(self, _Draft draft, Index* index) except -1
    cdef uint32_t _index(self, uint32_t first, uint32_t n) except? 0xFFFFFFFE
