"""Literals of a pattern in an ARN, compared without unpredictable branches on their sizes. Header only.

Texts here have at least 16 bytes, so that 16 are loaded at a time. No byte before or after them is read.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memchr

from fastiam.kernel.base.text cimport equal  # whose C the code below calls
from fastiam.kernel.eval.search cimport find_literal
from fastiam.kernel.model.patterns cimport TOKEN_STAR


cdef enum:                     # the longest that `windows_match` compares
    MAX_PREFIX = 64
    MAX_MID = 64
    MAX_SUFFIX = 32
    MAX_END_PREFIX = 32        # and that `ends_match` does
    MAX_END_SUFFIX = 16
    ANYWHERE = 128
    MAX_SHORT = 48             # and of what `find_in_short` searches


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static const char fastiam_nowhere[128] = {0}, fastiam_star[1] = {'*'};
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
    /* where `end - at` and `n` are 48 bytes at most */
    static inline const char* fastiam_seek(
        const char* text, const char* end, const char* at, const char* stop, const char* piece, int64_t n
    ) {
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
    static inline const char* fastiam_seek(
        const char* text, const char* end, const char* at, const char* stop, const char* piece, int64_t n
    ) {
        for (; stop - at >= n; at++) {
            at = (const char*)memchr(at, piece[0], (size_t)(stop - at - n + 1));
            if (at == NULL) return NULL;
            if (fastiam_equal(at, piece, n)) return at;
        }
        return NULL;
    }
    #endif
    #if defined(__SSE2__)
    /* A compiler could make branches of choices, and does of some: these are minima, masks and shifts. */
    #define FASTIAM_AT_LEAST_0(x) ((x) & ~((x) >> 63))
    FASTIAM_INLINE uint32_t fastiam_ends(
        const char* p, const char* p_end, int64_t head, int64_t suffix, const char* t, int64_t size
    ) {
        /* the head: two windows that may overlap, or one of which not all counts; one of the suffix */
        int64_t last = (head < size ? head : size) - 16;
        last = FASTIAM_AT_LEAST_0(last);
        uint32_t same = (uint32_t)_mm_movemask_epi8(_mm_and_si128(FASTIAM_EQ16(p, t), FASTIAM_EQ16(p + last, t + last)));
        uint32_t end = (uint32_t)_mm_movemask_epi8(FASTIAM_EQ16(p_end - 16, t + size - 16));
        return (((~same << 16) << (16 - (head < 16 ? head : 16))) | ((uint16_t)~end >> (16 - suffix))) == 0;
    }
    FASTIAM_INLINE uint32_t fastiam_windows(
        const char* p, const char* p_end, int64_t head, int64_t mid, int64_t mid_at, int64_t suffix, const char* t, int64_t size, int64_t at
    ) {
        int64_t last, second, third, end, skip;
        uint64_t same, missing;
        uint32_t starts;
        /* the head: four windows */
        last = (head < size ? head : size) - 16;
        last = FASTIAM_AT_LEAST_0(last); second = last < 16 ? last : 16; third = last < 32 ? last : 32;
        same = (uint64_t)_mm_movemask_epi8(_mm_and_si128(
            _mm_and_si128(FASTIAM_EQ16(p, t), FASTIAM_EQ16(p + second, t + second)),
            _mm_and_si128(FASTIAM_EQ16(p + third, t + third), FASTIAM_EQ16(p + last, t + last))));
        starts = ~same << (64 - (head < 16 ? head : 16)) == 0;
        at = at < size ? at : size;
        mid = mid < size - at ? mid : size - at;
        /* the middle: a window that ends with it, and those 16, 32 and 48 bytes after its start, if it is longer */
        end = at + mid;
        last = end > 16 ? end - 16 : 0;
        second = mid > 16 ? mid - 16 : 0; third = mid > 32 ? mid - 32 : 0;
        skip = mid > 48 ? mid - 48 : 0;
        const char* q = p + (mid_at - at + last);
        t += last;
        same = (uint64_t)_mm_movemask_epi8(_mm_and_si128(
            _mm_and_si128(FASTIAM_EQ16(q, t), FASTIAM_EQ16(q - second, t - second)),
            _mm_and_si128(FASTIAM_EQ16(q - third, t - third), FASTIAM_EQ16(q - skip, t - skip))));
        t -= last;
        skip = FASTIAM_AT_LEAST_0(at - last);
        missing = (~same >> skip) << (63 - (end - last - skip)) << 1;
        /* the suffix: one or two windows before the end */
        second = suffix > 16 ? suffix : 16;
        second = second < size ? second : size;
        t += size;
        same = (uint64_t)_mm_movemask_epi8(_mm_and_si128(FASTIAM_EQ16(p_end - 16, t - 16), FASTIAM_EQ16(p_end - second, t - second)));
        return (starts & (missing == 0) & (((uint16_t)~same >> (16 - (suffix < 16 ? suffix : 16))) == 0)) | starts << 1;
    }
    /* bit 0: it does; bit 1: it may, look otherwise */
    FASTIAM_INLINE uint32_t fastiam_within(const char* t, int64_t size, int64_t at, int64_t stop, const char* piece, int64_t n) {
        /* the last 48 bytes of the text, or as many as there are: three loads that may overlap */
        int64_t last = (size < 48 ? size : 48) - 16, second = last < 16 ? last : 16, base = size - 16 - last;
        int64_t before = FASTIAM_AT_LEAST_0(at - base), found, window;
        const char* p = t + base;
        __m128i head = _mm_set1_epi8(piece[0]), tail = _mm_set1_epi8(piece[n - 1]);
        uint64_t heads = FASTIAM_BITS(p, head) | FASTIAM_BITS(p + second, head) << second | FASTIAM_BITS(p + last, head) << last;
        uint64_t tails = FASTIAM_BITS(p, tail) | FASTIAM_BITS(p + second, tail) << second | FASTIAM_BITS(p + last, tail) << last;
        uint64_t hits = (heads & ((tails & ((1ull << (stop - base)) - 1)) >> (n - 1))) >> before;
        uint64_t same, wanted = (1ull << n) - 1;
        uint32_t matches;
        found = base + before + fastiam_first_bit(hits | (hits == 0));
        window = found < size - 16 ? found : size - 16;
        wanted <<= found - window;
        same = (uint64_t)_mm_movemask_epi8(FASTIAM_EQ16(t + window, piece + window - found));
        matches = ((same & wanted) == wanted) & (hits != 0);
        return matches | ((uint32_t)((at < base) | ((hits & (hits - 1)) != 0)) & ~matches) << 1;
    }
    #else
    FASTIAM_INLINE uint32_t fastiam_ends(
        const char* p, const char* p_end, int64_t head, int64_t suffix, const char* t, int64_t size
    ) {
        return head <= size && suffix <= size && fastiam_equal(p, t, head) && fastiam_equal(p_end - suffix, t + size - suffix, suffix);
    }
    FASTIAM_INLINE uint32_t fastiam_windows(
        const char* p, const char* p_end, int64_t head, int64_t mid, int64_t mid_at, int64_t suffix, const char* t, int64_t size, int64_t at
    ) {
        uint32_t starts = head <= size && fastiam_equal(p, t, head);
        if (at + mid > size || suffix > size) return starts << 1;
        return (starts && fastiam_equal(p + mid_at, t + at, mid) && fastiam_equal(p_end - suffix, t + size - suffix, suffix)) | starts << 1;
    }
    FASTIAM_INLINE uint32_t fastiam_within(const char* t, int64_t size, int64_t at, int64_t stop, const char* piece, int64_t n) {
        return fastiam_seek(t, t + size, t + at, t + stop, piece, n) != NULL;
    }
    #endif
    """
    # whether `n` bytes, at most 64, are the same in two texts that have as many
    bint share_prefix "fastiam_starts" (const void* a, const void* b, int64_t n) noexcept nogil
    const char* NOWHERE "fastiam_nowhere"      # ANYWHERE bytes 0: a text in which no literal occurs
    const char* STAR "fastiam_star"            # `*`
    # whether the anchored literals of a pattern match a text, if that has room for them: its first `head` bytes,
    # the `mid` ones that start at `mid_at` in the pattern and at `at` in the text, and its last `suffix` ones: bit 0. Bit 1: the first ones do
    uint32_t windows_match "fastiam_windows" (
        const void* pattern, const void* pattern_end, int64_t head, int64_t mid, int64_t mid_at, int64_t suffix,
        const void* text, int64_t size, int64_t at
    ) noexcept nogil
    # the same, of a pattern that has no middle, and ends that are shorter: MAX_END_PREFIX, MAX_END_SUFFIX
    uint32_t ends_match "fastiam_ends" (
        const void* pattern, const void* pattern_end, int64_t head, int64_t suffix, const void* text, int64_t size
    ) noexcept nogil
    # whether a literal of 16 bytes at most occurs between two places of a text: SURE bit 0; bit 1: search otherwise
    uint32_t find_inner "fastiam_within" (
        const void* text, int64_t size, int64_t at, int64_t stop, const void* piece, int64_t n
    ) noexcept nogil
    const uint8_t* find_in_short "(const uint8_t*)fastiam_seek" (
        const void* text, const void* end, const void* at, const void* stop, const void* piece, int64_t n
    ) noexcept nogil


cdef inline const uint8_t* find_piece(
    const uint8_t* text, const uint8_t* end, const uint8_t* at, const uint8_t* stop, const uint8_t* piece, int64_t n
) noexcept nogil:
    """The first occurrence of `n` bytes, at least one, between two positions of a text, or NULL."""
    if end - at <= MAX_SHORT and n <= MAX_SHORT:
        return find_in_short(text, end, at, stop, piece, n)
    return find_literal(at, stop, piece, n)


cdef inline bint literals_in_order(
    const uint8_t* p, const uint8_t* p_end, const uint8_t* text, const uint8_t* end, const uint8_t* at, const uint8_t* stop
) noexcept nogil:
    """Whether the literals of a pattern that begins and ends with stars, and has no other tokens, occur in this order."""
    cdef const uint8_t* after
    while p + 1 < p_end:
        p += 1
        after = <const uint8_t*>memchr(p, TOKEN_STAR, <size_t>(p_end - p))
        if after > p:
            at = find_piece(text, end, at, stop, p, after - p)
            if at == NULL:
                return False
            at += after - p
        p = after
    return True
