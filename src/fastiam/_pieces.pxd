"""Literal pieces of a pattern in an ARN, without a branch on how long they are: that is not to be foreseen. Header only.

Texts here have 16 bytes or more, so that as many are read at once; nothing is read before or beyond them.
"""
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr

from fastiam._bytes cimport equal                      # whose C the code below calls
from fastiam._types cimport TOKEN_STAR


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #define FASTIAM_EQ16(a, b) _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i*)(a)), _mm_loadu_si128((const __m128i*)(b)))
    #define FASTIAM_BITS(p, byte) ((uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i*)(p)), byte)))
    static inline int fastiam_starts(const char* a, const char* b, int64_t n) {
        int64_t last = n > 16 ? n - 16 : 0, second = last < 16 ? last : 16, third = last < 32 ? last : 32;
        uint32_t wanted = n < 16 ? (1u << n) - 1 : 0xFFFF;
        __m128i same = _mm_and_si128(
            _mm_and_si128(FASTIAM_EQ16(a, b), FASTIAM_EQ16(a + second, b + second)),
            _mm_and_si128(FASTIAM_EQ16(a + third, b + third), FASTIAM_EQ16(a + last, b + last)));
        return ((uint32_t)_mm_movemask_epi8(same) & wanted) == wanted;
    }
    static inline int fastiam_ends(const char* a, const char* b, int64_t n) {
        return ((uint32_t)_mm_movemask_epi8(FASTIAM_EQ16(a - 16, b - 16)) | (0xFFFFu >> n)) == 0xFFFF;
    }
    static inline const char* fastiam_seek(
        const char* text, const char* end, const char* at, const char* stop, const char* piece, int64_t n
    ) {
        if (end - at <= 48 && n <= 48) {
            /* the last 48 bytes of the text, or as many as there are: three loads that may overlap */
            int64_t size = end - text, last = (size < 48 ? size : 48) - 16, second = last < 16 ? last : 16;
            const char* base = end - 16 - last;
            __m128i head = _mm_set1_epi8(piece[0]), tail = _mm_set1_epi8(piece[n - 1]);
            uint64_t heads = FASTIAM_BITS(base, head) | FASTIAM_BITS(base + second, head) << second | FASTIAM_BITS(base + last, head) << last;
            uint64_t tails = FASTIAM_BITS(base, tail) | FASTIAM_BITS(base + second, tail) << second | FASTIAM_BITS(base + last, tail) << last;
            uint64_t hits = (heads & ((tails & ((1ull << (stop - base)) - 1)) >> (n - 1))) >> (at - base);
            for (; hits; hits &= hits - 1) {
                const char* found = at + fastiam_first_bit(hits);
                if (fastiam_equal(found, piece, n)) return found;
            }
            return NULL;
        }
    #else
    static inline int fastiam_starts(const char* a, const char* b, int64_t n) { return fastiam_equal(a, b, n); }
    static inline int fastiam_ends(const char* a, const char* b, int64_t n) { return fastiam_equal(a - n, b - n, n); }
    static inline const char* fastiam_seek(
        const char* text, const char* end, const char* at, const char* stop, const char* piece, int64_t n
    ) {
    #endif
        for (; stop - at >= n; at++) {
            at = (const char*)memchr(at, piece[0], (size_t)(stop - at - n + 1));
            if (at == NULL) return NULL;
            if (fastiam_equal(at, piece, n)) return at;
        }
        return NULL;
    }
    """
    # whether `n` bytes, at most 64, are the same in two texts that have as many
    bint starts_alike "fastiam_starts" (const void* a, const void* b, int64_t n) noexcept nogil
    # whether the `n` bytes before two places are, at most 16; 16 bytes lie before each
    bint ends_alike "fastiam_ends" (const void* a, const void* b, int64_t n) noexcept nogil
    # where `n` bytes, at least one, first stand between two places of a text, or NULL
    const uint8_t* seek_piece "(const uint8_t*)fastiam_seek" (
        const void* text, const void* end, const void* at, const void* stop, const void* piece, int64_t n
    ) noexcept nogil


cdef inline bint pieces_stand(
    const uint8_t* p, const uint8_t* p_end, const uint8_t* text, const uint8_t* end, const uint8_t* at, const uint8_t* stop
) noexcept nogil:
    """Whether the literal pieces of a pattern that begins and ends with stars, and has no other tokens, stand in this order."""
    cdef const uint8_t* after
    while p + 1 < p_end:
        p += 1
        after = <const uint8_t*>memchr(p, TOKEN_STAR, <size_t>(p_end - p))
        if after > p:
            at = seek_piece(text, end, at, stop, p, after - p)
            if at == NULL:
                return False
            at += after - p
        p = after
    return True
