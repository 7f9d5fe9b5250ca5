"""Searches whose time does not multiply the sizes of pattern and text (`kernel/base/search.pyx` says by how much)."""
from libc.stdint cimport int64_t, uint8_t


cdef const uint8_t* find_literal(const uint8_t* at, const uint8_t* stop, const uint8_t* piece, int64_t n) noexcept nogil
cdef bint glob_after_star(const uint8_t* p, const uint8_t* p_end, const uint8_t* t, const uint8_t* t_end) noexcept nogil
cdef bint glob_crossing(const uint8_t* p, int64_t size, int64_t tail, const uint8_t* t, const uint8_t* t_end) noexcept nogil
