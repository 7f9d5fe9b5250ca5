"""Literals of a pattern in an ARN, compared without unpredictable branches on their sizes. Header only.

Texts here have at least 16 bytes, so that 16 are loaded at a time, except for `literals_match`. No byte before or after them is read.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memchr

from fastiam.kernel.base.text cimport contains, equal
from fastiam.kernel.eval.glob cimport glob
from fastiam.kernel.eval.search cimport find_literal
from fastiam.kernel.model.patterns cimport TAIL_INNER, TAIL_LITERALS, TAIL_NONE, TOKEN_STAR


cdef enum:                     # the longest that `windows_match` compares
    MAX_PREFIX = 64
    MAX_MID = 64
    MAX_SUFFIX = 32
    MAX_END_PREFIX = 32        # and that `ends_match` does
    MAX_END_SUFFIX = 16
    ANYWHERE = 128
    LOADED = 16                # bytes that are loaded at a time
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


cdef inline bint literals_match(
    const uint8_t* p, int64_t size, int64_t prefix, int64_t mid_offset, int64_t mid, int64_t min_rest, int64_t suffix, int tail,
    const uint8_t* text, const uint8_t* end, int64_t mid_at
) noexcept nogil:
    """Whether a pattern of literal pieces matches a text: its first `prefix` bytes, the `mid` ones from `mid_offset` on where the text has
    `mid_at`, then at least `min_rest` bytes: what `tail` says, and the last `suffix` bytes (`Pattern`, `MatchOp`).

    PERF: `kernel.decide.block_driver` compares the pieces of many rows step by step; a checked build compares it with this.
    """
    cdef const uint8_t* at = text + prefix
    cdef const uint8_t* rest = p + mid_offset + mid
    cdef const uint8_t* stop = end - suffix
    cdef int64_t inner = min_rest - suffix
    if end - text < prefix + mid + min_rest or not equal(p, text, prefix):
        return False
    if mid:
        at = text + mid_at
        if end - at < mid + min_rest or not equal(p + mid_offset, at, mid):
            return False
        at += mid
    if tail <= TAIL_NONE:
        return at == end
    if not equal(p + size - suffix, stop, suffix):
        return False
    if inner == 0:
        return True
    if tail == TAIL_INNER:
        return contains(at, stop - at, rest + 1, inner) if end - text < LOADED else find_piece(text, end, at, stop, rest + 1, inner) != NULL
    if tail == TAIL_LITERALS:
        return literals_in_order(rest, p + size - suffix, text, end, at, stop)
    return glob(rest, p + size - suffix, at, stop)
