"""Resource entries as patterns (spec 2.3): how the text of one is matched, and whether it could match across colons (R5). Header only.

An entry comes encoded, cut into its fields and joined again, so that its first five colons are known: one inside a `${...}` is none (V28).
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastiam._types cimport *


cdef enum:
    MAX_COLON = 0xFFFF         # where the fifth colon may lie at most: a pattern holds it in 16 bits


cdef inline bint has_tokens(const uint8_t* text, int64_t first, int64_t end) noexcept nogil:
    cdef int64_t i
    for i in range(first, end):
        if text[i] >= TOKEN_STAR:
            return True
    return False


cdef inline bint has_slots(const uint8_t* text, int64_t first, int64_t end) noexcept nogil:
    cdef int64_t i
    for i in range(first, end):                          # INVARIANT: what follows the token of a slot is below 128
        if text[i] == TOKEN_SLOT:
            return True
    return False


cdef inline bint is_mixed(const uint8_t* text, int64_t at, int64_t end) noexcept nogil:
    """Whether a wildcard stands together with text or a variable before the first `/` of field 6 (R9)."""
    cdef bint tokens = False, others = False
    while at < end and text[at] != 47:
        if text[at] >= TOKEN_STAR:
            tokens = True
        else:
            others = True
        at += 5 if text[at] == TOKEN_SLOT else 1
    return tokens and others


cdef inline void read_tail(const uint8_t* text, int64_t size, Pattern* p) noexcept nogil:
    """The pattern whose only wildcards, if any, stand in field 6."""
    cdef int64_t i, first = size, last = 0
    cdef uint32_t n = 0, stars = 0
    for i in range(p.colons[4] + 1, size):
        if text[i] >= TOKEN_STAR:
            first = min(first, i)
            last = i
            n += 1
            stars += text[i] == TOKEN_STAR
    if n == 0:
        p.kind = PATTERN_LITERAL
        return
    p.prefix = <uint32_t>first
    p.suffix = <uint32_t>(size - 1 - last)
    p.min_size = <uint32_t>size - stars
    p.n_tokens = 1 if n == 1 and stars == 1 else 2
    p.kind = PATTERN_PREFIX if p.n_tokens == 1 and p.suffix == 0 else PATTERN_TAIL


cdef inline void read_pattern(const uint8_t* text, int64_t size, const int64_t* colons, int n_fields, Pattern* p) noexcept nogil:
    """The field-wise reading of an entry of `n_fields` fields, padded to six. `p` comes zeroed, without its place in the pool."""
    cdef int i
    if colons[4] > MAX_COLON:
        p.kind = PATTERN_NEVER
        return
    for i in range(5):
        p.colons[i] = <uint16_t>colons[i]
    for i in range(4):
        if not has_tokens(text, colons[i] + 1, colons[i + 1]):
            p.literal_fields |= 1 << i
    if n_fields < 6 and text[colons[n_fields - 1] - 1] != TOKEN_STAR:
        p.flags = MATCH_IS_U                             # R6, V26
    elif is_mixed(text, colons[4] + 1, size):
        p.flags = MATCH_IS_U_IN_IAM                      # R9
    if has_slots(text, colons[4] + 1, size):
        p.kind = PATTERN_SLOTS
    elif p.literal_fields != 15:
        p.kind = PATTERN_FIELDS
    else:
        read_tail(text, size, p)


cdef inline int64_t read_crossing(const uint8_t* text, int64_t size, const int64_t* colons, int n_fields, Pattern* p) noexcept nogil:
    """The entry as one string, if a star ends one of its fields 2 to 5; how much of the text it is, or -1.

    A short one ends with its last field: it has no field 6, and `colons` are 0.
    """
    cdef int i
    cdef bint ends_in_star = False
    if colons[4] > MAX_COLON:
        return -1
    for i in range(1, min(n_fields, 5)):
        ends_in_star |= text[colons[i] - 1] == TOKEN_STAR
    if not ends_in_star:
        return -1
    p.flags = MATCH_IS_U
    p.kind = PATTERN_CROSS
    if n_fields < 6:
        return colons[n_fields - 1]
    for i in range(5):
        p.colons[i] = <uint16_t>colons[i]
    if has_slots(text, colons[4] + 1, size):
        p.kind = PATTERN_CROSS_SLOTS
    return size
