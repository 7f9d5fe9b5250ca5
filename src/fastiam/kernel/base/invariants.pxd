"""Invariants of the kernels: asserted in builds with FASTIAM_CHECKS, assumed by the compiler in others. Header only."""


cdef extern from *:
    """
    #if defined(FASTIAM_CHECKS)
    #include <assert.h>
    #define fastiam_assert(x) assert(x)
    #else
    #define fastiam_assert(x) ((void)0)
    #endif
    """
    void promise "fastiam_assert" (bint x) noexcept nogil
