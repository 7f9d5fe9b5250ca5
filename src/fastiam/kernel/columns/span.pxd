"""Items of an Arrow array, and the checks that walk over them. Header only.

nanoarrow checks what needs no walk (lengths, first and last offset); these say which item is wrong, or -1.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.columns.column cimport Column, Text, ascends, bit_at, item_code, value_text
from fastiam.kernel.columns.nanoarrow cimport ArrowArrayView, ArrowBitCountSet, NANOARROW_TYPE_NA
from fastiam.kernel.columns.validate cimport codes_fit, valid_codes_fit, view_fits


cdef struct Span:
    # items [first, last) of `v`; item 0 lies at `offset`, also in `valid` (NULL: no nulls); `row` is the global row of
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


cdef inline int64_t descent32(const int32_t* offsets, Span s) noexcept nogil:
    """The first item that ends before it starts, or -1."""
    cdef int64_t i
    if ascends(<const uint32_t*>offsets + s.first, s.last - s.first):
        return -1
    for i in range(s.first, s.last):
        if offsets[i + 1] < offsets[i]:
            return i
    return -1


cdef inline int64_t descent64(const int64_t* offsets, Span s) noexcept nogil:
    cdef int64_t i
    for i in range(s.first, s.last):
        if offsets[i + 1] < offsets[i]:
            return i
    return -1


cdef inline int64_t bad_code(const Column* c, int64_t n_values, bint is_signed, Span s) noexcept nogil:
    """The first item whose code is no index of a value, or -1."""
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
