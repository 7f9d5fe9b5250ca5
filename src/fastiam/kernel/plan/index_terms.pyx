"""Terms of an index: literal bytes of a pattern, hashed as the bytes of a resource are.

A term is a shape (the bytes that are hashed) and a hash, in one number: shape << 32 | hash. The terms of a pattern are found once, since many
plans contain it.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport breaks, hash_bytes
from fastiam.kernel.eval.term_hashes cimport fields_hash, ngram_hash, prefix_hash, shape_hash, word_hash
from fastiam.kernel.model.tables cimport *


cdef enum:
    MAX_HASHED = 1024          # bytes of a pattern
    MAX_POSITIONS = 256        # of words and grams: some of the ways of a long pattern are enough


cdef enum TermClass:           # kinds of ways, by what they cost a request
    LITERAL_TERMS = 0          # shapes below TERM_NGRAM
    NGRAM_TERMS = 1
    CROSSING_NGRAM_TERMS = 2   # TERM_CROSSING
    N_PARTS = 3


cdef int64_t usual_size(int64_t n):
    """How many bytes are hashed where those suffice, of `n`: the fewer sizes an index has, the fewer hashes a request takes."""
    cdef int64_t size
    for size in (128, 64, 48, 32, 24, 16, 12, 8, 4):
        if size <= n:
            return size
    return n


cdef int64_t past_token(const uint8_t* tail, int64_t i):
    """Behind a star, a question mark or a variable."""
    return i + (VARIABLE_TOKEN_SIZE if tail[i] == TOKEN_VARIABLE else 1)


cdef Range terms_of(Planner self, uint32_t pattern, TermClass part) except *:
    """The ways of one kind to find a pattern, in `terms`; the cheapest first."""
    cdef const Pattern* p = <const Pattern*>self.patterns.data + pattern
    cdef uint32_t at = pattern * N_PARTS + part, n = self.pattern_terms.n, first = self.terms.n
    if n <= at:
        memset(self._push(&self.pattern_terms, at + 1 - n), 0, (at + 1 - n) * sizeof(Range))
    if (<Range*>self.pattern_terms.data)[at].n == 0:
        if part == LITERAL_TERMS:
            add_pieces(self, first, p)
            add_words(self, first, p)
        else:
            add_grams(self, first, p, 8, TERM_NGRAM if part == NGRAM_TERMS else TERM_CROSSING)
            add_grams(self, first, p, 4, TERM_NGRAM if part == NGRAM_TERMS else TERM_CROSSING)
        (<Range*>self.pattern_terms.data)[at] = Range(first, self.terms.n - first)
    return (<Range*>self.pattern_terms.data)[at]


cdef int add_term(Planner self, uint32_t first, uint8_t kind, int64_t size, uint8_t fields, uint32_t h) except -1:
    """Append a way to those of a pattern, which start at `first`, if it is not among them."""
    cdef uint64_t term = (<uint64_t>kind << 24 | <uint64_t>size << 8 | fields) << 32 | h
    cdef uint32_t i
    for i in range(first, self.terms.n):
        if (<uint64_t*>self.terms.data)[i] == term:
            return 0
    (<uint64_t*>self._push(&self.terms))[0] = term
    return 0


cdef int add_piece(Planner self, uint32_t first, const Pattern* p, int64_t start, int64_t size, uint8_t kind, uint8_t fields) except -1:
    """By some bytes of field 6, before which eight lie in any case: those of `arn:::::`."""
    cdef const char* tail = self.pool.data + p.text + p.colons[4] + 1
    cdef TermShape shape = TermShape(narrow16(size) if kind == TERM_PREFIX or kind == TERM_SUFFIX else 0, kind, fields)
    cdef uint64_t piece, before = self.t.seed
    cdef int64_t at = 0
    if kind == TERM_PREFIX or kind == TERM_PATH_PREFIX:
        piece = prefix_hash(tail, size, &at, &before)
    else:
        piece = hash_bytes(tail + start, size, self.t.seed)
    return add_term(self, first, kind, shape.size, fields, shape_hash(fields_hash(self.pool.data + p.text, p.colons, fields), piece, &shape))


cdef int add_pieces(Planner self, uint32_t first, const Pattern* p) except -1:
    """By the whole of field 6, or how it begins or ends, without the fields before it and with those that are literal."""
    cdef int64_t n = p.size - p.colons[4] - 1, prefix = 0, at = 0, last = 0
    cdef const uint8_t* tail = <const uint8_t*>self.pool.data + p.text + p.colons[4] + 1
    cdef uint8_t fields = TERM_SERVICE if p.literal_fields & 3 == 3 else 0
    cdef uint8_t hashed
    if p.literal_fields & 4:
        fields |= TERM_REGION
    if p.literal_fields & 8:
        fields |= TERM_ACCOUNT
    while prefix < n and tail[prefix] < TOKEN_VARIABLE:
        prefix += 1
    while at < n:
        if tail[at] >= TOKEN_VARIABLE:
            at = last = past_token(tail, at)
        else:
            at += 1
    for hashed in (0, fields):                       # what is there twice is kept once
        if prefix == n:
            add_piece(self, first, p, 0, n, TERM_EXACT, hashed)
        else:
            add_ends(self, first, p, min(prefix, <int64_t>MAX_HASHED), min(n - last, <int64_t>MAX_HASHED), hashed)
            if 0 < prefix <= 64 and tail[prefix - 1] == 47:
                add_piece(self, first, p, 0, prefix, TERM_PATH_PREFIX, hashed)
            if hashed:
                add_piece(self, first, p, 0, 0, TERM_PREFIX, hashed)
    return 0


cdef int add_ends(Planner self, uint32_t first, const Pattern* p, int64_t prefix, int64_t suffix, uint8_t fields) except -1:
    """By some of a literal prefix and suffix, and by all of them."""
    cdef int64_t n = p.size - p.colons[4] - 1
    if prefix:
        add_piece(self, first, p, 0, usual_size(prefix), TERM_PREFIX, fields)
        add_piece(self, first, p, 0, prefix, TERM_PREFIX, fields)
    if suffix:
        add_piece(self, first, p, n - usual_size(suffix), usual_size(suffix), TERM_SUFFIX, fields)
        add_piece(self, first, p, n - suffix, suffix, TERM_SUFFIX, fields)
    return 0


cdef int add_words(Planner self, uint32_t first, const Pattern* p) except -1:
    """By every word that is whole in field 6; a star, or a variable, may match the first or last letters of one."""
    cdef const uint8_t* tail = <const uint8_t*>self.pool.data + p.text + p.colons[4] + 1
    cdef int64_t n = p.size - p.colons[4] - 1, i = 0, at = 0
    while i <= n and i <= MAX_POSITIONS:
        if i < n and tail[i] >= TOKEN_VARIABLE:
            i = past_token(tail, i)
            at = -1
            continue
        if i == n or breaks(<const char*>tail + i, 1):
            if 0 <= at < i:
                add_term(self, first, TERM_WORD, 0, 0, word_hash(<const char*>tail + at, i - at))
            at = i + 1
        i += 1
    return 0


cdef int add_grams(Planner self, uint32_t first, const Pattern* p, uint32_t size, uint8_t kind) except -1:
    """By every four or eight bytes in a row."""
    cdef const uint8_t* tail = <const uint8_t*>self.pool.data + p.text + p.colons[4] + 1
    cdef int64_t n = p.size - p.colons[4] - 1, i = 0, start = 0
    cdef TermShape shape = TermShape(narrow16(size), kind, 0)
    while i < n and i < MAX_POSITIONS:
        if tail[i] >= TOKEN_VARIABLE:
            i = start = past_token(tail, i)
            continue
        i += 1
        if i - start >= size:
            add_term(self, first, kind, size, 0, ngram_hash(<const char*>tail + i - size, &shape))
    return 0
