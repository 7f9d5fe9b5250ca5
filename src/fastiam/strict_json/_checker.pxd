"""When two names of an object are one: the only place, by their hashes. Different names may share one, equal names always do.

The hash has no secret: who uses it for other texts bounds what texts with equal hashes cost.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy

cdef enum:
    PAIRWISE = 32  # names of an object that are compared pair by pair; more are sorted


cdef inline uint64_t hash_bytes(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """A hash of 64 bits; different texts may share one, equal texts always do."""
    cdef uint64_t h = <uint64_t>size * 0x9E3779B97F4A7C15ULL, chunk
    while size >= 8:
        memcpy(&chunk, text, 8)
        h = (h ^ chunk) * 0xFF51AFD7ED558CCDULL
        h ^= h >> 32
        text += 8
        size -= 8
    if size:
        chunk = 0
        memcpy(&chunk, text, size)
        h = (h ^ chunk) * 0xFF51AFD7ED558CCDULL
        h ^= h >> 32
    h *= 0xFF51AFD7ED558CCDULL  # so that the low bits depend on all bytes, too
    return h ^ (h >> 32)


cdef inline int compare(const void* a, const void* b) noexcept nogil:
    cdef uint64_t left = (<const uint64_t*>a)[0], right = (<const uint64_t*>b)[0]
    return (left > right) - (left < right)


cdef inline bint has_equal(uint64_t* hashes, uint32_t n) noexcept nogil:
    """Whether two hashes are equal. Sorts them."""
    cdef uint32_t i, j
    if n <= PAIRWISE:
        for i in range(1, n):
            for j in range(i):
                if hashes[i] == hashes[j]:
                    return True
        return False
    qsort(hashes, n, sizeof(uint64_t), compare)
    for i in range(1, n):
        if hashes[i] == hashes[i - 1]:
            return True
    return False
