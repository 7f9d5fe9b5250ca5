"""Compilation of resource entries into patterns (spec 2.3): the kind of match, and whether it may cross colons (R5). Header only.

An entry is encoded, split into fields and joined again, so that its first five colons are known: a colon inside `${...}` is not one of them (V28).
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from fastiam.kernel.base.invariants cimport narrow16, narrow8
from fastiam.kernel.model.tables cimport *


cdef enum:
    MAX_COLON = 0xFFFF         # the last position of the fifth colon: a pattern has it in 16 bits


cdef inline bint has_tokens(const uint8_t* text, int64_t first, int64_t end) noexcept nogil:
    cdef int64_t i
    for i in range(first, end):
        if text[i] >= TOKEN_STAR:
            return True
    return False


cdef inline bint has_variables(const uint8_t* text, int64_t first, int64_t end) noexcept nogil:
    cdef int64_t i
    for i in range(first, end):                          # INVARIANT: what follows the token of a slot is below 128
        if text[i] == TOKEN_VARIABLE:
            return True
    return False


cdef inline bint is_mixed(const uint8_t* text, int64_t at, int64_t end) noexcept nogil:
    """Whether a wildcard is together with text or a variable before the first `/` of field 6 (R9)."""
    cdef bint tokens = False, others = False
    while at < end and text[at] != 47:
        if text[at] >= TOKEN_STAR:
            tokens = True
        else:
            others = True
        at += VARIABLE_TOKEN_SIZE if text[at] == TOKEN_VARIABLE else 1
    return tokens and others


cdef inline bint may_be_iam(const uint8_t* text, const int64_t* colons) noexcept nogil:
    """Whether the service field could match that of IAM."""
    cdef const uint8_t* at = text + colons[1] + 1
    if has_tokens(text, colons[1] + 1, colons[2]):
        return True
    return colons[2] - colons[1] == 4 and memcmp(at, b"iam", 3) == 0


cdef inline bint is_star_field(const uint8_t* text, const int64_t* colons, int i) noexcept nogil:
    """Field `i + 2` is `*`."""
    return colons[i + 1] - colons[i] == 2 and text[colons[i] + 1] == TOKEN_STAR


cdef inline bint has_hidden_colon(const uint8_t* text, const int64_t* colons) noexcept nogil:
    """Whether one of the first five fields has a colon inside, which `${...}` alone can hide (V28): no field of a resource has."""
    cdef int64_t i
    cdef int n = 0
    for i in range(colons[4]):
        n += text[i] == 58
    return n > 4


cdef inline bint parse_literals(const uint8_t* text, int64_t size, const int64_t* colons, Pattern* p) noexcept nogil:
    """The pattern as literal pieces at known places; False if it is none."""
    cdef int64_t at = 0, i, before = -1, last = -1
    cdef uint32_t n = 0, stars = 0
    if size > MAX_COLON or p.literal_fields & 3 != 3 or has_hidden_colon(text, colons):
        return False
    for i in range(2, 4):
        if not p.literal_fields & (1 << i):
            if not is_star_field(text, colons, <int>i):
                return False
            if at == 0:
                p.prefix_size = narrow16(colons[i] + 1)
            p.colon = narrow8(i + 1)
            at = colons[i + 1]
    for i in range(colons[4] + 1, size):
        if text[i] >= TOKEN_STAR:
            if n == 0:
                p.mid_size = narrow16(i - at)
            before = last
            last = i
            n += 1
            stars += text[i] == TOKEN_STAR
    if n == 0:
        p.mid_size = narrow16(size - at)
        p.tail = TAIL_NONE
    else:
        p.suffix_size = narrow16(size - 1 - last)
        p.min_rest_size = narrow16(size - at - p.mid_size - stars)
        p.tail = TAIL_GLOB
        if n == 1 and stars == 1:
            p.tail = TAIL_SUFFIX if p.suffix_size else TAIL_ANY
        elif n == 2 and stars == 2 and last - before > 1:
            p.tail = TAIL_INNER
    if p.colon == 0:                                     # no field is free: all of it is head
        p.prefix_size = p.mid_size
        p.mid_size = 0
    return True


cdef inline void read_pattern(const uint8_t* text, int64_t size, const int64_t* colons, int n_fields, Pattern* p) noexcept nogil:
    """The field-wise reading of an entry of `n_fields` fields, padded to six. `p` comes zeroed, without its place in the pool."""
    cdef int i
    if colons[4] > MAX_COLON:
        p.kind = PATTERN_NEVER
        return
    for i in range(5):
        p.colons[i] = narrow16(colons[i])
    for i in range(4):
        if not has_tokens(text, colons[i] + 1, colons[i + 1]):
            p.literal_fields |= 1 << i
    if n_fields < 6 and text[colons[n_fields - 1] - 1] != TOKEN_STAR:
        p.flags = MATCH_IS_U                             # R6, V26
    elif is_mixed(text, colons[4] + 1, size) and may_be_iam(text, colons):
        p.flags = MATCH_IS_U_IN_IAM                      # R9
    if has_variables(text, colons[4] + 1, size):
        p.kind = PATTERN_VARIABLES
    else:
        p.kind = PATTERN_LITERALS if parse_literals(text, size, colons, p) else PATTERN_FIELDS


cdef inline int64_t read_crossing(const uint8_t* text, int64_t size, const int64_t* colons, int n_fields, Pattern* p) noexcept nogil:
    """The entry as one string, if a star ends one of its fields 2 to 5, or a colon is in one; how much of the text it is, or -1.

    A short one ends with its last field: it has no field 6, and `colons` are 0.
    """
    cdef int i
    cdef bint may_cross
    if colons[4] > MAX_COLON:
        return -1
    may_cross = has_hidden_colon(text, colons)
    for i in range(1, min(n_fields, 5)):
        may_cross |= text[colons[i] - 1] == TOKEN_STAR
    if not may_cross:
        return -1
    p.flags = MATCH_IS_U
    p.kind = PATTERN_CROSSING
    if n_fields < 6:
        return colons[n_fields - 1]
    for i in range(5):
        p.colons[i] = narrow16(colons[i])
    if has_variables(text, colons[4] + 1, size):
        p.kind = PATTERN_CROSSING_VARIABLES
    return size
