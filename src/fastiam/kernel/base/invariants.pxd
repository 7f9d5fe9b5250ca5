"""Invariants of the kernels: asserted in builds with FASTIAM_CHECKS, not checked in others. Header only.

`promise` evaluates its argument in checked builds alone, unless it holds `and`, `or` or `if`: these become statements before it, so an argument
with one of them calls no function.

`narrow8`, `narrow16`, `narrow32` and `narrow_int32` convert a number that fits into fewer bits. A plain cast to such a type drops bits on
purpose: of a hash, or of a number that is packed with others.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t


cdef extern from *:
    """
    #if defined(FASTIAM_CHECKS)
    #include <assert.h>
    #define fastiam_assert(x) assert(x)
    #else
    #define fastiam_assert(x) ((void)0)
    #endif
    #define FASTIAM_NARROW(name, type) \
        static inline type fastiam_##name(int64_t x) { fastiam_assert(x == (int64_t)(type)x); return (type)x; }
    FASTIAM_NARROW(narrow8, uint8_t)
    FASTIAM_NARROW(narrow16, uint16_t)
    FASTIAM_NARROW(narrow32, uint32_t)
    FASTIAM_NARROW(narrow_int32, int32_t)
    """
    void promise "fastiam_assert" (bint x) noexcept nogil
    uint8_t narrow8 "fastiam_narrow8" (int64_t x) noexcept nogil
    uint16_t narrow16 "fastiam_narrow16" (int64_t x) noexcept nogil
    uint32_t narrow32 "fastiam_narrow32" (int64_t x) noexcept nogil
    int32_t narrow_int32 "fastiam_narrow_int32" (int64_t x) noexcept nogil
