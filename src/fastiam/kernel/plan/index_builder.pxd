"""Inverted indexes of long statement runs."""
from libc.stdint cimport uint32_t, uint64_t, uint8_t

from fastiam.kernel.model.conditions cimport Atom
from fastiam.kernel.model.ids cimport Range
from fastiam.kernel.model.patterns cimport Pattern
from fastiam.kernel.model.policies cimport StatementEntry
from fastiam.kernel.model.statement_index cimport Index, PostingSlot, IndexItem, DraftPattern, TermCount


cdef class _IndexDraft:
    cdef list always                                     # items that no hash finds
    cdef list crossing
    cdef set shapes                                      # of what is placed
    cdef uint32_t last_shape
    cdef dict splits                                     # of a hash: key, items that do not ask for a text of it, shapes, whether of ARNs
    cdef uint32_t n_items
    cdef uint32_t few


cdef class Indexes(IndexTerms):
    cdef uint32_t count_mask                             # of `term_counts`, which may have more room

    cdef uint32_t _item(self, _IndexDraft draft, uint32_t entry, uint32_t resources) except? 0xFFFFFFFE
    cdef bint _matches_any_resource(self, const Pattern* p)
    cdef int _add_entry(self, _IndexDraft draft, uint32_t entry, const StatementEntry* e) except -1
    cdef int _add_pattern(self, uint32_t item, uint32_t pattern, TermClass grams) except -1
    cdef TermCount* _count_of(self, uint64_t term)
    cdef int _count(self) except -1
    cdef TermCount _rarest_term(self, Range terms, uint32_t few)
    cdef int _assign_item(self, _IndexDraft draft, DraftPattern* draft_patterns, uint64_t term) except -1
    cdef bint _is_selective(self, const DraftPattern* draft_patterns, uint64_t term, uint32_t few)
    cdef uint32_t _best_term_shape(self, uint32_t few)
    cdef int _cover_greedily(self, _IndexDraft draft) except -1
    cdef int _choose_terms(self, _IndexDraft draft) except -1
    cdef int _sort_placed(self) except -1
    cdef uint32_t _end_of(self, uint32_t first)
    cdef list _literals_of(self, const Atom* a)
    cdef tuple _literal_of(self, bytes text)
    cdef dict _condition_texts(self, const StatementEntry* e)
    cdef dict _distinguishing_literals(self, dict pieces)
    cdef int _split(self, _IndexDraft draft, uint32_t h, list positions, const StatementEntry* entries, const IndexItem* items) except -1
    cdef int _split_all(self, _IndexDraft draft, const StatementEntry* entries, const IndexItem* items) except -1
    cdef PostingSlot _slot(self, _IndexDraft draft, uint32_t h, uint32_t first, uint32_t n) except *
    cdef int _write_slots(self, _IndexDraft draft, Index* index) except -1
    cdef uint32_t _index(self, uint32_t first, uint32_t n) except? 0xFFFFFFFE
