"""Searches in linear or bit-parallel time (`kernel/eval/search.pyx` has the bounds)."""
from libc.stdint cimport int64_t, uint8_t

from fastiam.kernel.model.patterns cimport TOKEN_STAR


cdef const uint8_t* find_literal(const uint8_t* at, const uint8_t* stop, const uint8_t* piece, int64_t n) noexcept nogil
cdef bint glob_after_star(const uint8_t* p, const uint8_t* p_end, const uint8_t* t, const uint8_t* t_end) noexcept nogil
cdef bint glob_crossing(const uint8_t* p, int64_t size, int64_t tail, const uint8_t* t, const uint8_t* t_end) noexcept nogil


cdef inline bint crosses_at(const uint8_t* p, int64_t i, int64_t size, int64_t tail) noexcept nogil:
    """Whether the token at `i` may match a colon in the crossing reading (R4, R5)."""
    return i >= tail or (p[i] == TOKEN_STAR and (i + 1 == size or p[i + 1] == 58))
