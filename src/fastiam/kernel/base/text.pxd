"""Texts as bytes: hash, compare, search by SIMD, and step through UTF-8. Header only.

The hash function is our own, because it must be the same in every process that maps an engine file.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef struct Text:
    const char* data
    int64_t size


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    static inline uint64_t fastiam_value(const char* p) { uint64_t w; memcpy(&w, p, 8); return __builtin_bswap64(w); }
    #else
    static inline uint64_t fastiam_value(const char* p) { uint64_t w; memcpy(&w, p, 8); return w; }
    #endif
    #if defined(__GNUC__) || defined(__clang__)
    #define fastiam_first_bit(x) __builtin_ctzll(x)
    #else
    static inline int fastiam_first_bit(uint64_t x) { int n = 0; while (!(x & 1)) { x >>= 1; n++; } return n; }
    #endif
    #if defined(__GNUC__) || defined(__clang__)
    #define fastiam_prefetch(p) __builtin_prefetch((const void*)(p))
    #else
    #define fastiam_prefetch(p) ((void)(p))
    #endif
    static inline void fastiam_read_ahead(const void* p) { (void)*(const volatile char*)p; }
    #if defined(__SSE2__)
    #include <emmintrin.h>
    static inline uint64_t fastiam_sixteen(const char* p, char byte) {
        __m128i found = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i*)p), _mm_set1_epi8(byte));
        return (uint32_t)_mm_movemask_epi8(found);
    }
    static inline uint64_t fastiam_sixteen_shorts(const void* p, uint16_t word) {
        __m128i wanted = _mm_set1_epi16((short)word);
        __m128i a = _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i*)p), wanted);
        __m128i b = _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i*)p + 1), wanted);
        return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(a, b));
    }
    #else
    static inline uint64_t fastiam_sixteen_shorts(const void* p, uint16_t word) {
        uint64_t bits = 0;
        for (int i = 0; i < 16; i++) { uint16_t one; memcpy(&one, (const char*)p + 2 * i, 2); bits |= (uint64_t)(one == word) << i; }
        return bits;
    }
    static inline uint64_t fastiam_sixteen(const char* p, char byte) {
        uint64_t bits = 0;
        for (int i = 0; i < 16; i++) bits |= (uint64_t)(p[i] == byte) << i;
        return bits;
    }
    #endif
    #if defined(__SSE2__)
    /* ASCII alone is compared: signed, what is beyond it is less than all of it */
    static inline uint32_t fastiam_sixteen_breaks(const char* p) {
        #define FASTIAM_BETWEEN(x, low, high) _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8(low - 1)), _mm_cmplt_epi8(x, _mm_set1_epi8(high + 1)))
        __m128i x = _mm_loadu_si128((const __m128i*)p), y = _mm_or_si128(x, _mm_set1_epi8(32));
        __m128i letter = FASTIAM_BETWEEN(y, 'a', 'z'), digit = FASTIAM_BETWEEN(x, '0', '9'), beyond = _mm_cmplt_epi8(x, _mm_setzero_si128());
        return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), beyond)) ^ 0xFFFF;
    }
    #else
    static inline uint32_t fastiam_sixteen_breaks(const char* p) {
        uint32_t bits = 0;
        for (int i = 0; i < 16; i++) {
            unsigned char x = (unsigned char)p[i], y = x | 32;
            bits |= (uint32_t)!((y >= 'a' && y <= 'z') || (x >= '0' && x <= '9') || x >= 128) << i;
        }
        return bits;
    }
    #endif
    static inline uint64_t fastiam_breaks(const char* p, int64_t size) {
        char few[16] = {0};
        int64_t last = size < 64 ? size - 16 : 48, second = last < 16 ? last : 16, third = last < 32 ? last : 32;
        if (size < 16) {
            memcpy(few, p, (size_t)size);
            return fastiam_sixteen_breaks(few) & (((uint64_t)1 << size) - 1);
        }
        return fastiam_sixteen_breaks(p) | (uint64_t)fastiam_sixteen_breaks(p + second) << second
            | (uint64_t)fastiam_sixteen_breaks(p + third) << third | (uint64_t)fastiam_sixteen_breaks(p + last) << last;
    }
    #if defined(__GNUC__) || defined(__clang__)
    #define FASTIAM_INLINE static inline __attribute__((always_inline))
    #else
    #define FASTIAM_INLINE static inline
    #endif
    /* In line, since most of what is compared here is shorter than a call is long. The last words overlap those before them. */
    FASTIAM_INLINE int fastiam_equal(const void* a, const void* b, int64_t n) {
        const char* p = (const char*)a;
        const char* q = (const char*)b;
        int64_t i = 0;
    #if defined(__SSE2__)
        if (n >= 16) {
            #define FASTIAM_SAME16(at) _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i*)(p + (at))), _mm_loadu_si128((const __m128i*)(q + (at))))
            int64_t last = n - 16, second = last < 16 ? last : 16, third = last < 32 ? last : 32;
            for (; n - i > 64; i += 16) if (_mm_movemask_epi8(FASTIAM_SAME16(i)) != 0xFFFF) return 0;
            /* four loads that may overlap: no branch on the size */
            return _mm_movemask_epi8(_mm_and_si128(
                _mm_and_si128(FASTIAM_SAME16(i), FASTIAM_SAME16(i ? last - 32 : second)),
                _mm_and_si128(FASTIAM_SAME16(i ? last - 16 : third), FASTIAM_SAME16(last)))) == 0xFFFF;
        }
    #endif
        if (n >= 8) {
            for (; i + 8 <= n; i += 8) if (fastiam_value(p + i) != fastiam_value(q + i)) return 0;
            return fastiam_value(p + n - 8) == fastiam_value(q + n - 8);
        }
        if (n >= 4) {
            uint32_t x, y, v, w;
            memcpy(&x, p, 4); memcpy(&y, q, 4); memcpy(&v, p + n - 4, 4); memcpy(&w, q + n - 4, 4);
            return x == y && v == w;
        }
        for (; i < n; i++) if (p[i] != q[i]) return 0;
        return 1;
    }
    /* both halves of a product of 64 bits by 64 */
    static inline uint64_t fastiam_fold(uint64_t x, uint64_t y) {
    #if defined(__SIZEOF_INT128__)
        __uint128_t product = (__uint128_t)x * y;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    #else
        uint64_t a = x >> 32, b = (uint32_t)x, c = y >> 32, d = (uint32_t)y;
        uint64_t bd = b * d, middle = a * d + (bd >> 32), other = b * c + (uint32_t)middle;
        return ((other << 32) | (uint32_t)bd) ^ (a * c + (middle >> 32) + (other >> 32));
    #endif
    }
    static inline uint64_t fastiam_hash(const char* p, int64_t size, uint64_t seed) {
        const uint64_t k1 = 0x9E3779B97F4A7C15ull, k2 = 0xC2B2AE3D27D4EB4Full, k3 = 0xFF51AFD7ED558CCDull, k4 = 0xC4CEB9FE1A85EC53ull;
        uint64_t h = seed ^ ((uint64_t)size * k1);
        for (; size > 64; p += 32, size -= 32)
            h = fastiam_fold(fastiam_value(p) ^ h, fastiam_value(p + 8) ^ k2) ^ fastiam_fold(fastiam_value(p + 16) ^ k3, fastiam_value(p + 24) ^ ~h);
        if (size >= 16) {
            int64_t last = size - 16, second = last < 16 ? last : 16, third = last < 32 ? last : 32;
            return fastiam_fold(fastiam_value(p) ^ h, fastiam_value(p + 8) ^ k1)
                ^ fastiam_fold(fastiam_value(p + second) ^ k2, fastiam_value(p + second + 8) ^ h)
                ^ fastiam_fold(fastiam_value(p + third) ^ ~h, fastiam_value(p + third + 8) ^ k3)
                ^ fastiam_fold(fastiam_value(p + last) ^ k4, fastiam_value(p + last + 8) ^ ~h);
        }
        if (size >= 8) return fastiam_fold(fastiam_value(p) ^ h, fastiam_value(p + size - 8) ^ k2);
        uint64_t word = 0;
        for (int64_t i = 0; i < size; i++) word |= (uint64_t)(uint8_t)p[i] << (8 * i);
        return fastiam_fold(word ^ h, k2);
    }
    /* Hash and compare for texts that often have 8 to 32 bytes: these without a branch on the size. */
    #define FASTIAM_WORDS(n) int64_t last = (n) - 8, second = last < 8 ? last : 8, third = last < 16 ? last : 16
    static inline uint64_t fastiam_short_hash(const char* p, int64_t size, uint64_t seed) {
        if (size >= 4 && size < 8) {
            uint32_t a, b;
            memcpy(&a, p, 4); memcpy(&b, p + size - 4, 4);
            return fastiam_fold(((uint64_t)a << 32 | b) ^ seed ^ (uint64_t)size, 0x9E3779B97F4A7C15ull);
        }
        if ((uint64_t)(size - 8) > 24) return fastiam_hash(p, size, seed);
        FASTIAM_WORDS(size);
        return fastiam_fold(fastiam_value(p) ^ seed ^ 0x9E3779B97F4A7C15ull, fastiam_value(p + second) ^ 0xC2B2AE3D27D4EB4Full)
            ^ fastiam_fold(fastiam_value(p + third) ^ 0xFF51AFD7ED558CCDull ^ (uint64_t)size, fastiam_value(p + last) ^ ~seed);
    }
    static inline int fastiam_short_equal(const char* p, const char* q, int64_t size) {
        if ((uint64_t)(size - 8) > 24) return fastiam_equal(p, q, size);
        FASTIAM_WORDS(size);
        return ((fastiam_value(p) ^ fastiam_value(q)) | (fastiam_value(p + second) ^ fastiam_value(q + second))
            | (fastiam_value(p + third) ^ fastiam_value(q + third)) | (fastiam_value(p + last) ^ fastiam_value(q + last))) == 0;
    }
    /* a bit for each of four tags that is this one */
    #if defined(__SSE2__)
    static inline uint32_t fastiam_same_tags(const uint32_t* tags, uint32_t tag) {
        __m128i found = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i*)tags), _mm_set1_epi32((int)tag));
        return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(found));
    }
    #else
    static inline uint32_t fastiam_same_tags(const uint32_t* tags, uint32_t tag) {
        return (tags[0] == tag) | (tags[1] == tag) << 1 | (tags[2] == tag) << 2 | (tags[3] == tag) << 3;
    }
    #endif
    static inline uint64_t fastiam_byte_positions(const char* p, int64_t size, char byte) {
        uint64_t bits = 0;
        int64_t last = size < 64 ? size - 16 : 48, second = last < 16 ? last : 16, third = last < 32 ? last : 32;
        if (size < 16) {
            for (int64_t i = 0; i < size; i++) bits |= (uint64_t)(p[i] == byte) << i;
            return bits;
        }
        /* four loads that may overlap: no branch on the size */
        return fastiam_sixteen(p, byte) | fastiam_sixteen(p + second, byte) << second
            | fastiam_sixteen(p + third, byte) << third | fastiam_sixteen(p + last, byte) << last;
    }
    """
    uint64_t fastiam_value(const char* p) nogil
    int first_bit "fastiam_first_bit" (uint64_t x) nogil
    void prefetch "fastiam_prefetch" (const void* p) noexcept nogil
    # the same of memory that may be read, by reading it: a prefetch may be dropped where the processor has not mapped its page
    void read_ahead "fastiam_read_ahead" (const void* p) noexcept nogil
    bint equal "fastiam_equal" (const void* a, const void* b, int64_t n) noexcept nogil
    # 64 bits of `size` bytes, the same on every machine that has the same order of bytes
    uint64_t hash_bytes "fastiam_hash" (const char* p, int64_t size, uint64_t seed) noexcept nogil
    uint64_t short_hash "fastiam_short_hash" (const char* p, int64_t size, uint64_t seed) noexcept nogil
    bint short_equal "fastiam_short_equal" (const char* p, const char* q, int64_t size) noexcept nogil
    uint32_t same_tags "fastiam_same_tags" (const uint32_t* tags, uint32_t tag) noexcept nogil
    # a bit for each of 16 bytes that is this one
    uint64_t sixteen "fastiam_sixteen" (const char* p, char byte) noexcept nogil
    uint64_t sixteen_shorts "fastiam_sixteen_shorts" (const void* p, uint16_t value) noexcept nogil   # of two bytes each
    # a bit for each of the first 64 bytes that is this one; nothing beyond `size` is read
    uint64_t byte_positions "fastiam_byte_positions" (const char* p, int64_t size, char byte) noexcept nogil
    # the same of bytes that are neither a letter, a digit nor beyond ASCII
    uint64_t breaks "fastiam_breaks" (const char* p, int64_t size) noexcept nogil


cdef inline uint64_t load8(const char* p) noexcept nogil:
    """Eight bytes, the first one lowest."""
    return fastiam_value(p)


cdef inline uint64_t load8_big(const uint8_t* p) noexcept nogil:
    """Eight bytes, the first one highest."""
    return (
        <uint64_t>p[0] << 56 | <uint64_t>p[1] << 48 | <uint64_t>p[2] << 40 | <uint64_t>p[3] << 32
        | <uint64_t>p[4] << 24 | <uint64_t>p[5] << 16 | <uint64_t>p[6] << 8 | p[7]
    )


cdef inline uint64_t load4(const char* p) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, p, 4)
    return value


cdef inline uint64_t mix(uint64_t h) noexcept nogil:
    h = (h ^ (h >> 32)) * <uint64_t>0xD6E8FEB86659FD93ULL
    return h ^ (h >> 29)


cdef inline bint contains(const void* text, int64_t size, const void* piece, int64_t n) noexcept nogil:
    """Whether `n` bytes, at least one, occur anywhere in a short text."""
    cdef const char* t = <const char*>text
    cdef const char* p = <const char*>piece
    cdef int64_t i
    cdef uint64_t first
    if n >= 4:
        first = load4(p)
        for i in range(size - n + 1):
            if load4(t + i) == first and equal(t + i + 4, p + 4, n - 4):
                return True
        return False
    for i in range(size - n + 1):
        if t[i] == p[0] and equal(t + i, p, n):
            return True
    return False


cdef inline bint same(const char* a, int64_t n, const char* b, int64_t m) noexcept nogil:
    return n == m and equal(a, b, n)


cdef inline const uint8_t* next_char(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Past one UTF-8 character; `p < end`."""
    p += 1
    while p < end and (p[0] & 0xC0) == 0x80:
        p += 1
    return p


cdef inline uint8_t lower(uint8_t c) noexcept nogil:
    return c + 32 if 65 <= c <= 90 else c
