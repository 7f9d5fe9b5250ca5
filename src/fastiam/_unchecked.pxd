"""Plain text that nobody has checked: a pass looks at the rows of a block before it reads them. Header only."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from fastiam._bytes cimport prefetch                   # whose C the code below calls
from fastiam._columns cimport TEXT_32, Column, ascends32, ascends64


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif
    static inline void fastiam_ask_for(const char* data, int64_t size) { for (int64_t i = 0; i < size; i += 64) fastiam_prefetch(data + i); }
    /* whether no byte has its high bit set; as many bytes behind these are asked for meanwhile */
    static inline int fastiam_ascii_ahead(const char* data, int64_t size) {
        uint64_t seen = 0, word;
        int64_t i = 0;
    #if defined(__SSE2__)
        __m128i a = _mm_setzero_si128(), b = a;
        for (; i + 64 <= size; i += 64) {
            const __m128i* p = (const __m128i*)(data + i);
            fastiam_prefetch(data + i + size);
            a = _mm_or_si128(a, _mm_or_si128(_mm_loadu_si128(p), _mm_loadu_si128(p + 1)));
            b = _mm_or_si128(b, _mm_or_si128(_mm_loadu_si128(p + 2), _mm_loadu_si128(p + 3)));
        }
        if (_mm_movemask_epi8(_mm_or_si128(a, b))) return 0;
    #endif
        for (; i + 8 <= size; i += 8) { memcpy(&word, data + i, 8); seen |= word; }
        for (; i < size; i++) seen |= (uint64_t)(uint8_t)data[i];
        return (seen & 0x8080808080808080ull) == 0;
    }
    """
    void ask_for "fastiam_ask_for" (const char* data, int64_t size) noexcept nogil
    bint ascii_ahead "fastiam_ascii_ahead" (const char* data, int64_t size) noexcept nogil


cdef inline bint is_readable(const Column* c, int64_t first, int64_t n) noexcept nogil:
    """Whether some rows are checked, or prove to lie one after another where the column does, and to be ASCII.

    What as many rows behind them hold is asked for meanwhile.
    """
    cdef const int32_t* o32 = <const int32_t*>c.offsets
    cdef const int64_t* o64 = <const int64_t*>c.offsets
    if not c.unchecked:
        return True
    ask_for(<const char*>c.offsets + (first + n) * (4 if c.kind == TEXT_32 else 8), n * (4 if c.kind == TEXT_32 else 8))
    if c.kind == TEXT_32:
        return (
            ascends32(o32 + first, n) and o32[0] <= o32[first] and o32[first + n] <= o32[c.n_values]
            and ascii_ahead(c.data + o32[first], o32[first + n] - o32[first])
        )
    return (
        ascends64(o64 + first, n) and o64[0] <= o64[first] and o64[first + n] <= o64[c.n_values]
        and ascii_ahead(c.data + o64[first], o64[first + n] - o64[first])
    )
