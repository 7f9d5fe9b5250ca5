"""Validation of Arrow columns: dictionary codes, offsets, views and UTF-8. Header only.

nanoarrow checks what needs no loop over the items (sizes, first and last offset). `is_readable` validates the rows of a block before a pass
reads them. The functions on a `Span` return the first item that is invalid, or -1.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.base.text cimport Text, prefetch  # whose C the code below calls
from fastiam.kernel.columns.column cimport Column, Offset, TEXT_32, TEXT_VIEW, ascends, bit_at, item_code, value_text
from fastiam.kernel.columns.nanoarrow cimport ArrowArrayView, ArrowBitCountSet, NANOARROW_TYPE_NA


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif
    static inline void fastiam_prefetch_range(const char* data, int64_t size) { for (int64_t i = 0; i < size; i += 64) fastiam_prefetch(data + i); }
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
    /* the same of a text of 8 bytes or more, or none, most of which have no more than 64: without a branch on the size */
    static inline int fastiam_ascii_text(const char* data, int64_t size) {
        int64_t i = 0;
        if (size > 128) return fastiam_ascii_ahead(data, size);
        if (size == 0) return 1;
    #if defined(__SSE2__)
        if (size >= 16) {
            #define FASTIAM_LOAD(at) _mm_loadu_si128((const __m128i*)(data + (at)))
            __m128i seen = _mm_setzero_si128();
            for (; size - i > 64; i += 16) seen = _mm_or_si128(seen, FASTIAM_LOAD(i));
            int64_t last = size - 16, second = i + 16 < last ? i + 16 : last, third = i + 32 < last ? i + 32 : last;
            seen = _mm_or_si128(seen, _mm_or_si128(
                _mm_or_si128(FASTIAM_LOAD(i), FASTIAM_LOAD(second)), _mm_or_si128(FASTIAM_LOAD(third), FASTIAM_LOAD(last))));
            return _mm_movemask_epi8(seen) == 0;
        }
    #endif
        uint64_t seen = 0;
        for (; i + 8 <= size; i += 8) seen |= fastiam_value(data + i);
        return ((seen | fastiam_value(data + size - 8)) & 0x8080808080808080ull) == 0;
    }
    """
    bint ascii_text "fastiam_ascii_text" (const char* data, int64_t size) noexcept nogil
    void prefetch_range "fastiam_prefetch_range" (const char* data, int64_t size) noexcept nogil
    bint ascii_ahead "fastiam_ascii_ahead" (const char* data, int64_t size) noexcept nogil


cdef inline bint codes_fit(const uint32_t* codes, int64_t n, uint32_t n_values) noexcept nogil:
    """Whether all codes are in [0, n_values), those of nulls too: without a branch, so that several are compared at once."""
    cdef uint32_t top = 0
    cdef int64_t i
    for i in range(n):
        top |= codes[i] | (n_values - 1 - codes[i])
    return top >> 31 == 0


cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif
    /* What is wrong with eight codes; those with a bit in `valid` count: the top bit of some part of it, or nothing. */
    #if defined(__SSE2__)
    static inline int fastiam_wrong_codes(const uint32_t* codes, unsigned valid, uint32_t last) {
        const __m128i low = _mm_set_epi32(8, 4, 2, 1), high = _mm_set_epi32(128, 64, 32, 16);
        __m128i bits = _mm_set1_epi32((int)valid), most = _mm_set1_epi32((int)last);
        __m128i a = _mm_loadu_si128((const __m128i*)codes), b = _mm_loadu_si128((const __m128i*)(codes + 4));
        a = _mm_and_si128(_mm_or_si128(a, _mm_sub_epi32(most, a)), _mm_cmpeq_epi32(_mm_and_si128(bits, low), low));
        b = _mm_and_si128(_mm_or_si128(b, _mm_sub_epi32(most, b)), _mm_cmpeq_epi32(_mm_and_si128(bits, high), high));
        return _mm_movemask_ps(_mm_castsi128_ps(_mm_or_si128(a, b)));
    }
    #else
    static inline int fastiam_wrong_codes(const uint32_t* codes, unsigned valid, uint32_t last) {
        uint32_t top = 0;
        for (int k = 0; k < 8; k++) top |= (codes[k] | (last - codes[k])) & (0 - ((valid >> k) & 1));
        return (int)(top >> 31);
    }
    #endif
    """
    int wrong_codes "fastiam_wrong_codes" (const uint32_t* codes, uint32_t valid, uint32_t last) noexcept nogil


cdef inline bint valid_codes_fit(const uint32_t* codes, const uint8_t* valid, int64_t offset, int64_t n, uint32_t n_values) noexcept nogil:
    """The same of the items that are valid; `valid` says it of item 0 at bit `offset`."""
    cdef int64_t i = 0
    cdef int wrong = 0
    while i < n and (offset + i) & 7:
        wrong |= bit_at(valid, offset + i) and codes[i] >= n_values
        i += 1
    while i + 8 <= n:
        wrong |= wrong_codes(codes + i, valid[(offset + i) >> 3], n_values - 1)
        i += 8
    while i < n:
        wrong |= bit_at(valid, offset + i) and codes[i] >= n_values
        i += 1
    return wrong == 0


cdef inline bint codes_readable(const Column* c, int64_t first, int64_t n) noexcept nogil:
    cdef const uint32_t* codes = <const uint32_t*>c.codes + first
    prefetch_range(<const char*>(codes + n), n * 4)
    if c.item_valid == NULL:
        return codes_fit(codes, n, <uint32_t>c.n_values)
    return valid_codes_fit(codes, c.item_valid, c.item_valid_offset + first, n, <uint32_t>c.n_values)


cdef inline bint view_fits(const Column* c, const int32_t* view) noexcept nogil:
    """Whether the text of a view lies in it, or in one of the buffers."""
    if view[0] <= 12:
        return view[0] >= 0
    if view[2] < 0 or view[2] >= c.n_buffers or view[3] < 0:
        return False
    return <int64_t>view[3] + view[0] <= c.buffer_sizes[view[2]] and c.buffers[view[2]] != NULL


cdef inline bint views_readable(const Column* c, int64_t first, int64_t n) noexcept nogil:
    """Of views, those of nulls too. What is short lies in them, with what fills them up."""
    cdef const int32_t* views = <const int32_t*>(c.views + 16 * first)
    cdef const int32_t* view
    cdef const char* text
    cdef const char* begin = NULL
    cdef const char* end = NULL
    cdef uint32_t seen = 0
    cdef int64_t i
    prefetch_range(<const char*>(views + 4 * n), n * 16)
    for i in range(n):
        view = views + 4 * i
        if not view_fits(c, view):
            return False
        if view[0] > 12:
            prefetch_range(<const char*>c.buffers[view[2]] + view[3], view[0])
        else:
            seen |= <uint32_t>(view[1] | view[2] | view[3])
    for i in range(n):                                   # adjacent texts are checked as one
        view = views + 4 * i
        if view[0] <= 12:
            continue
        text = <const char*>c.buffers[view[2]] + view[3]
        if text != end:
            if not ascii_text(begin, end - begin):
                return False
            begin = text
        end = text + view[0]
    return (seen & <uint32_t>0x80808080) == 0 and ascii_text(begin, end - begin)


cdef inline bint texts_readable(const Column* c, const Offset* o, int64_t first, int64_t n) noexcept nogil:
    """Of plain text: whether some rows are adjacent in the column, and are ASCII."""
    prefetch_range(<const char*>(o + first + n), n * <int64_t>sizeof(Offset))
    return (
        ascends(o + first, n) and o[0] <= o[first] and o[first + n] <= o[c.n_values]
        and ascii_ahead(c.data + o[first], <int64_t>(o[first + n] - o[first]))
    )


cdef inline bint is_readable(const Column* c, int64_t first, int64_t n) noexcept nogil:
    """Whether some rows are checked, or prove now to be what they should. What as many rows behind them hold is asked for meanwhile."""
    if not c.unchecked:
        return True
    if c.code_width:
        return codes_readable(c, first, n)
    if c.kind == TEXT_VIEW:
        return views_readable(c, first, n)
    if c.kind == TEXT_32:
        return texts_readable(c, <const uint32_t*>c.offsets, first, n)
    return texts_readable(c, <const uint64_t*>c.offsets, first, n)


# -- spans ------------------------------------------------------------------------------------------------------------

cdef struct Span:
    # items [first, last) of `v`; item 0 is at `offset`, also in `valid` (NULL: no nulls); `row` is the global row of
    # item 0, or -1 where items are not rows
    const ArrowArrayView* v
    int64_t offset
    int64_t first
    int64_t last
    int64_t row
    const uint8_t* valid


cdef inline Span span_of(const ArrowArrayView* v, int64_t offset, int64_t first, int64_t last, int64_t row) noexcept nogil:
    cdef Span s = Span(v, offset, first, last, row, NULL)
    cdef const uint8_t* bitmap = v.buffer_views[0].data.as_uint8
    # the bitmap is counted, not `null_count` believed: garbage under an undeclared null must not be read
    if v.storage_type != NANOARROW_TYPE_NA and bitmap != NULL:
        if ArrowBitCountSet(bitmap, offset + first, last - first) != last - first:
            s.valid = bitmap
    return s


cdef inline Span list_items(const Column* c, int64_t rows, const ArrowArrayView* v) noexcept nogil:
    """The items that the lists of a chunk use."""
    if c.list_width == 4:
        return span_of(v, v.offset, (<const int32_t*>c.list_offsets)[0], (<const int32_t*>c.list_offsets)[rows], -1)
    return span_of(v, v.offset, (<const int64_t*>c.list_offsets)[0], (<const int64_t*>c.list_offsets)[rows], -1)


cdef inline bint item_is_valid(Span s, int64_t item) noexcept nogil:
    return s.valid == NULL or bit_at(s.valid, s.offset + item)


ctypedef fused SignedOffset:
    int32_t
    int64_t


cdef inline int64_t descent(const SignedOffset* offsets, Span s) noexcept nogil:
    """The first item that ends before it starts, or -1."""
    cdef int64_t i
    if SignedOffset is int32_t:
        if ascends(<const uint32_t*>offsets + s.first, s.last - s.first):
            return -1
    elif ascends(<const uint64_t*>offsets + s.first, s.last - s.first):
        return -1
    for i in range(s.first, s.last):
        if offsets[i + 1] < offsets[i]:
            return i
    return -1


cdef inline int64_t bad_code(const Column* c, int64_t n_values, bint is_signed, Span s) noexcept nogil:
    """The first item whose code is not an index of a value, or -1."""
    # the top bit of a signed code is its sign: read as unsigned it must stay below half of the range
    cdef uint64_t limit = <uint64_t>n_values
    cdef uint64_t half = 1ULL << (8 * c.code_width - 1)
    cdef int64_t i
    if is_signed and limit > half:
        limit = half
    if c.code_width == 4 and 0 < limit <= 0x7FFFFFFF:
        if s.valid == NULL:
            if codes_fit(<const uint32_t*>c.codes + s.first, s.last - s.first, <uint32_t>limit):
                return -1
        elif valid_codes_fit(<const uint32_t*>c.codes + s.first, s.valid, s.offset + s.first, s.last - s.first, <uint32_t>limit):
            return -1
    for i in range(s.first, s.last):
        if <uint64_t>item_code(c, i) >= limit and item_is_valid(s, i):
            return i
    return -1


cdef inline int64_t bad_view(const Column* c, Span s) noexcept nogil:
    """The first valid item whose view points outside the buffers, or -1."""
    cdef int64_t i
    for i in range(s.first, s.last):
        if item_is_valid(s, i) and not view_fits(c, <const int32_t*>(c.views + 16 * i)):
            return i
    return -1


cdef inline Text all_bytes(const Column* c, Span s) noexcept nogil:
    """All bytes of the values, as one text."""
    cdef Text first = Text(NULL, 0)
    cdef Text last = Text(NULL, 0)
    cdef Column plain = c[0]
    plain.value_valid = NULL
    value_text(&plain, s.first, &first)
    value_text(&plain, s.last - 1, &last)
    return Text(first.data, last.data + last.size - first.data)
