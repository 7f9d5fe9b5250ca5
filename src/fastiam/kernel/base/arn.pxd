"""Fields of ARNs: the positions of the first five colons, and account ids as numbers. Header only."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport first_bit, load8


cdef extern from *:
    """
    /* Whether twelve bytes are digits, and the number that they write then: without a branch on what they are. Reads four bytes before. */
    #if defined(__SSE2__)
    static inline int fastiam_twelve_digits(const char* p, uint64_t* number) {
        const __m128i odd = _mm_set_epi32(-0xFF0100, -0xFF0100, -0xFF0100, 0), even = _mm_set_epi32(0xFF00FF, 0xFF00FF, 0xFF00FF, 0);
        __m128i digits = _mm_sub_epi8(_mm_loadu_si128((const __m128i*)(p - 4)), _mm_set1_epi8('0'));
        int are_digits = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits)) >= 0xFFF0;
        __m128i two = _mm_add_epi16(
            _mm_mullo_epi16(_mm_and_si128(digits, even), _mm_set1_epi16(10)), _mm_srli_epi16(_mm_and_si128(digits, odd), 8));
        __m128i four = _mm_madd_epi16(two, _mm_set1_epi32((1 << 16) + 100));
        __m128i eight = _mm_madd_epi16(_mm_packs_epi32(four, four), _mm_set1_epi32((1 << 16) + 10000));
        uint32_t halves[4];
        _mm_storeu_si128((__m128i*)halves, eight);
        *number = (uint64_t)halves[0] * 100000000 + halves[1];
        return are_digits;
    }
    #else
    static inline int fastiam_twelve_digits(const char* p, uint64_t* number) {
        int are_digits = 1;
        *number = 0;
        for (int i = 0; i < 12; i++) {
            are_digits &= (uint8_t)(p[i] - '0') < 10;
            *number = *number * 10 + (uint8_t)(p[i] - '0');
        }
        return are_digits;
    }
    #endif
    """
    bint twelve_digits "fastiam_twelve_digits" (const char* p, uint64_t* number) noexcept nogil


cdef inline bint five_colons(const char* p, int64_t size, uint16_t* colons) noexcept nogil:
    """As `cut`, for a text that is usually an ARN: eight bytes at a time, so that short fields cost no call each."""
    cdef uint64_t lane, hits
    cdef int64_t at = 0
    cdef int found = 0
    while at + 8 <= size and at <= 0xFFF0:
        lane = load8(p + at) ^ <uint64_t>0x3A3A3A3A3A3A3A3AULL
        # the high bit of every byte that is zero now, and of no other
        hits = ~(((lane & <uint64_t>0x7F7F7F7F7F7F7F7FULL) + <uint64_t>0x7F7F7F7F7F7F7F7FULL) | lane | <uint64_t>0x7F7F7F7F7F7F7F7FULL)
        while hits:
            colons[found] = narrow16(at + (first_bit(hits) >> 3))
            found += 1
            if found == 5:
                return True
            hits &= hits - 1
        at += 8
    while at < size and at <= 0xFFFF:
        if p[at] == 58:
            colons[found] = narrow16(at)
            found += 1
            if found == 5:
                return True
        at += 1
    return False


cdef inline bint cut(const uint8_t* p, int64_t size, uint16_t* colons) noexcept nogil:
    """The first five colons of a text; False if there are fewer, or the fifth is beyond 64 KiB."""
    cdef const uint8_t* at = p
    cdef const uint8_t* end = p + size
    cdef int i
    for i in range(5):
        at = <const uint8_t*>memchr(at, 58, <size_t>(end - at))
        if at == NULL or at - p > 0xFFFF:
            return False
        colons[i] = narrow16(at - p)
        at += 1
    return True


cdef inline bint cut_arn(const uint8_t* p, int64_t size, uint16_t* colons) noexcept nogil:
    """The same of an ARN; False if the text is none."""
    return cut(p, size, colons) and colons[0] == 3 and memcmp(p, b"arn", 3) == 0


cdef inline bint account_number(const char* p, int64_t size, uint64_t* number) noexcept nogil:
    """The number of an account id of twelve digits; False if it is none."""
    cdef char digits[16]
    if size != 12:
        return False
    memcpy(digits + 4, p, 12)
    return twelve_digits(digits + 4, number)


cdef inline void account_text(uint64_t number, char* text) noexcept nogil:
    """The twelve digits of an account id."""
    cdef int i
    for i in range(12):
        text[11 - i] = <char>(48 + number % 10)
        number //= 10
