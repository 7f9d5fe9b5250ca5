"""Text columns, the input of the batch kernel. Header only.

A `Column` is a view of rows in one chunk; the kernel never sees chunk borders. All memory is borrowed: the `TextColumn` of
`kernel.columns.read` owns it. It has validated every offset, code and size, or marks the column as unchecked (SAFETY: nothing here is checked
again). Text is UTF-8.

    row --(list offsets, if `is_list`)--> items --(codes, if `code_width`)--> values

A column that is neither a list nor coded has row == item == value.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.base.text cimport Text


cdef enum TextKind:
    TEXT_CONST = 0   # one value for all rows: `ptrs[0]`, or null if `n_values` is 0
    TEXT_32 = 1      # Arrow utf8/binary layout, 32-bit offsets
    TEXT_64 = 2      # the same, 64-bit offsets
    TEXT_VIEW = 3    # Arrow string views
    TEXT_PTRS = 4    # borrowed pointers, such as the UTF-8 of Python strings; a NULL pointer is a null


cdef struct Column:
    uint8_t kind                 # TextKind
    uint8_t is_list
    uint8_t list_width           # 4 or 8 bytes an offset; 0: every row holds all values
    uint8_t code_width           # 0 = no dictionary, else 1, 2, 4 or 8 bytes a code
    uint8_t unchecked            # not checked yet: codes of 4 bytes, or places and bytes of plain text; see `kernel.columns.validate`
    const void* list_offsets     # row r holds items [offsets[r], offsets[r + 1])
    const uint8_t* list_valid    # bitmap of rows (list columns), or NULL
    int64_t list_valid_offset
    const void* codes            # one code an item; checked to lie in [0, n_values) where the item is valid
    const uint8_t* item_valid    # bitmap of items, or NULL
    int64_t item_valid_offset
    const uint8_t* value_valid   # bitmap of dictionary values, or NULL
    int64_t value_valid_offset
    int64_t n_values             # of the dictionary; of a plain column: its rows
    const Column* dictionary     # the first of the columns that have these values, which may be this one
    const void* offsets          # TEXT_32, TEXT_64
    const char* data             # TEXT_32, TEXT_64
    const uint8_t* views         # TEXT_VIEW: 16 bytes a value
    const uint8_t* const* buffers  # TEXT_VIEW: the variadic buffers
    const int64_t* buffer_sizes
    int64_t n_buffers
    const Text* ptrs             # TEXT_PTRS, TEXT_CONST


cdef inline bint bit_at(const uint8_t* bitmap, int64_t i) noexcept nogil:
    return (bitmap[i >> 3] >> (i & 7)) & 1


cdef inline Text view_text(const Column* c, int64_t v) noexcept nogil:
    """The text of a view: in it, if it is short, else in one of the buffers."""
    cdef const int32_t* view = <const int32_t*>(c.views + 16 * v)
    if view[0] <= 12:
        return Text(<const char*>(view + 1), view[0])
    return Text(<const char*>c.buffers[view[2]] + view[3], view[0])


cdef inline bint value_text(const Column* c, int64_t v, Text* out) noexcept nogil:
    """The text of value `v`; False if it is null."""
    cdef const int32_t* o32
    cdef const int64_t* o64
    if c.value_valid != NULL and not bit_at(c.value_valid, v + c.value_valid_offset):
        return False
    if c.kind == TEXT_32:
        o32 = <const int32_t*>c.offsets
        out.data = c.data + o32[v]
        out.size = o32[v + 1] - o32[v]
    elif c.kind == TEXT_64:
        o64 = <const int64_t*>c.offsets
        out.data = c.data + o64[v]
        out.size = o64[v + 1] - o64[v]
    elif c.kind == TEXT_VIEW:
        out[0] = view_text(c, v)
    elif c.kind == TEXT_PTRS:
        out[0] = c.ptrs[v]
        return out.data != NULL
    else:
        if c.n_values == 0:
            return False
        out[0] = c.ptrs[0]
    return True


cdef inline int64_t item_code(const Column* c, int64_t i) noexcept nogil:
    """The value index of item `i`, or -1 if it is null. Without a dictionary, the item's own index."""
    if c.item_valid != NULL and not bit_at(c.item_valid, i + c.item_valid_offset):
        return -1
    if c.code_width == 0:
        return i
    if c.code_width == 4:
        return (<const uint32_t*>c.codes)[i]
    if c.code_width == 2:
        return (<const uint16_t*>c.codes)[i]
    if c.code_width == 1:
        return (<const uint8_t*>c.codes)[i]
    return (<const int64_t*>c.codes)[i]


cdef inline const uint32_t* whole_codes(const Column* c, int64_t first) noexcept nogil:
    """The codes from an item on, where each has 4 bytes and none is null, which is usual; else NULL."""
    return <const uint32_t*>c.codes + first if c.code_width == 4 and c.item_valid == NULL else NULL


cdef inline bint item_text(const Column* c, int64_t i, Text* out) noexcept nogil:
    """The text of item `i`; False if it is null."""
    cdef int64_t code = item_code(c, i)
    return code >= 0 and value_text(c, code, out)


cdef inline void row_items(const Column* c, int64_t row, int64_t* first, int64_t* last) noexcept nogil:
    """The items of a row: one for a plain column, `first == last` for a null or empty list."""
    if not c.is_list:
        first[0] = row
        last[0] = row + 1
        return
    if c.list_valid != NULL and not bit_at(c.list_valid, row + c.list_valid_offset):
        first[0] = 0
        last[0] = 0
    elif c.list_width == 0:
        first[0] = 0
        last[0] = c.n_values
    elif c.list_width == 4:
        first[0] = (<const int32_t*>c.list_offsets)[row]
        last[0] = (<const int32_t*>c.list_offsets)[row + 1]
    else:
        first[0] = (<const int64_t*>c.list_offsets)[row]
        last[0] = (<const int64_t*>c.list_offsets)[row + 1]


ctypedef fused Offset:         # of a layout, read as unsigned
    uint32_t
    uint64_t


cdef inline bint ascends(const Offset* o, int64_t n) noexcept nogil:
    """Whether none of `n + 1` offsets is smaller than the one before it: all at once, no difference has the top bit, nor any offset."""
    cdef Offset top = 0
    cdef int64_t i
    for i in range(n):
        top |= o[i + 1] | (o[i + 1] - o[i])
    return top >> (8 * sizeof(Offset) - 1) == 0
