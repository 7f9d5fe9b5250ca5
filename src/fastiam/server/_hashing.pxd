"""The hash of texts from clients. It has no secret: who uses it bounds what texts with equal hashes cost."""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy


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
