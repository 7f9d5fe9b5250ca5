"""Terms of an index."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.model.ids cimport Range
from fastiam.kernel.model.patterns cimport Pattern
from fastiam.kernel.storage.vectors cimport Vectors


cdef enum TermClass:           # kinds of ways, by what they cost a request
    LITERAL_TERMS = 0          # shapes below TERM_NGRAM
    NGRAM_TERMS = 1
    CROSSING_NGRAM_TERMS = 2   # TERM_CROSSING
    N_PARTS = 3


cdef class IndexTerms(Vectors):
    cdef Range _terms_of(self, uint32_t pattern, TermClass part) except *
    cdef int _add_term(self, uint32_t first, uint8_t kind, int64_t size, uint8_t fields, uint32_t h) except -1
    cdef int _add_piece(self, uint32_t first, const Pattern* p, int64_t start, int64_t size, uint8_t kind, uint8_t fields) except -1
    cdef int _add_pieces(self, uint32_t first, const Pattern* p) except -1
    cdef int _add_ends(self, uint32_t first, const Pattern* p, int64_t prefix, int64_t suffix, uint8_t fields) except -1
    cdef int _add_words(self, uint32_t first, const Pattern* p) except -1
    cdef int _add_grams(self, uint32_t first, const Pattern* p, uint32_t size, uint8_t kind) except -1
