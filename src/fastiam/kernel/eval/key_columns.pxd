"""Codes of the values of a key column in a batch: dictionary codes, or codes assigned to plain texts on first use. Header only."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport Text, prefetch, short_equal, short_hash
from fastiam.kernel.columns.column cimport Column, TEXT_32, item_text
from fastiam.kernel.model.call cimport ContextColumn, MIN_TEXT_CODES, MAX_CODED_TEXT, MAX_TEXT_CODES, TextCode, TextCodes


cdef enum:
    MAX_PROBES = 8


cdef inline TextCode* code_line(const TextCodes* codes, uint64_t hash) noexcept nogil:
    """The first line that a text with this hash may have; it may be in one of the next ones."""
    return &codes.lines[(hash >> 32) & codes.mask]


cdef inline bint reserve_codes(TextCodes* codes, uint32_t n) noexcept nogil:
    """Room for so many codes; those that there are stay. False if there is no memory."""
    cdef TextCodes old = codes[0]
    cdef const TextCode* line
    cdef TextCode* slot
    cdef uint32_t i, probe
    codes.lines = <TextCode*>calloc(2 * n, sizeof(TextCode))
    if codes.lines == NULL:
        codes[0] = old
        return False
    codes.mask = 2 * n - 1
    for i in range((old.mask + 1) * (old.lines != NULL)):
        line = old.lines + i
        if line.tag == 0:
            continue
        for probe in range(MAX_PROBES):                  # a text that finds no line gets another code when it comes again
            slot = code_line(codes, short_hash(line.text, line.size, 0) + (<uint64_t>probe << 32))
            if slot.tag == 0:
                slot[0] = line[0]
                break
    free(old.lines)
    return True


cdef inline TextCodes* new_text_codes() noexcept nogil:
    """NULL: there is no memory."""
    cdef TextCodes* codes = <TextCodes*>calloc(1, sizeof(TextCodes))
    if codes != NULL and not reserve_codes(codes, MIN_TEXT_CODES):
        free(codes)
        return NULL
    return codes


cdef inline void free_text_codes(TextCodes* codes) noexcept nogil:
    if codes != NULL:
        free(codes.lines)
    free(codes)


cdef inline int64_t hashed_code(const ContextColumn* column, Text text, uint64_t hash) noexcept nogil:
    """The code that a text got on first use; `n_codes` for a null, one more for a text without a code."""
    cdef TextCodes* codes = column.texts
    cdef TextCode* line
    cdef uint32_t i
    if text.data == NULL:
        return column.n_codes
    if text.size > MAX_CODED_TEXT:
        return column.n_codes + 1
    for i in range(MAX_PROBES):
        line = code_line(codes, hash + (<uint64_t>i << 32))
        if line.tag == 0:
            if codes.n <= codes.mask >> 1:
                line.tag = <uint32_t>hash | 1
                line.size = narrow16(text.size)
                line.code = narrow16(codes.n)
                memcpy(line.text, text.data, <size_t>text.size)
                codes.n += 1
                return line.code
            break
        if line.tag == (<uint32_t>hash | 1) and line.size == text.size and short_equal(line.text, text.data, text.size):
            return line.code
    if codes.mask < 2 * MAX_TEXT_CODES - 1 and reserve_codes(codes, codes.mask + 1):
        return hashed_code(column, text, hash)
    return column.n_codes + 1


cdef inline int64_t find_text_code(const ContextColumn* column, Text text, uint64_t hash) noexcept nogil:
    """The same; most texts have a code, in the line of their hash."""
    cdef const TextCode* line = code_line(column.texts, hash)
    if text.size and line.tag == (<uint32_t>hash | 1) and line.size == text.size and short_equal(line.text, text.data, text.size):
        return line.code
    return hashed_code(column, text, hash)


cdef inline uint64_t text_hash(Text text) noexcept nogil:
    """The hash of a text that may have a code, 0 of others."""
    return short_hash(text.data, text.size, 0) if text.data != NULL and text.size <= MAX_CODED_TEXT else 0


cdef inline uint64_t hash_row(const ContextColumn* column, int64_t row, Text* text) noexcept nogil:
    """The text of a row of a plain column, without data if it is null, and its hash."""
    if not item_text(column.column, column.first + row, text):
        text[0] = Text(NULL, 0)
    return text_hash(text[0])


cdef inline void prefetch_line(const ContextColumn* column, uint64_t hash) noexcept nogil:
    """Load what determines the code of a text."""
    prefetch(code_line(column.texts, hash))
    prefetch(<const char*>(code_line(column.texts, hash) + 1) - 1)


cdef inline uint64_t touch_text_code(const ContextColumn* column, int64_t row, Text* text) noexcept nogil:
    """`hash_row`; what determines its code is prefetched."""
    cdef uint64_t hash = hash_row(column, row, text)
    prefetch_line(column, hash)
    return hash


cdef inline void prefetch_text_codes(
    const ContextColumn* column, int64_t at, const uint16_t* rows, uint32_t n, Text* texts, uint64_t* hashes
) noexcept nogil:
    """The same of some rows behind one; plain text without nulls is read in place."""
    cdef const Column* k = column.column
    cdef const int32_t* offsets
    cdef uint32_t j
    if k.kind != TEXT_32 or k.item_valid != NULL or k.value_valid != NULL:
        for j in range(n):
            hashes[j] = touch_text_code(column, at + rows[j], &texts[j])
        return
    offsets = <const int32_t*>k.offsets + column.first + at
    for j in range(n):
        texts[j] = Text(k.data + offsets[rows[j]], offsets[rows[j] + 1] - offsets[rows[j]])
        hashes[j] = text_hash(texts[j])
        prefetch_line(column, hashes[j])


cdef inline int64_t text_code(const ContextColumn* column, int64_t row) noexcept nogil:
    """`find_text_code` of a row."""
    cdef Text text
    cdef uint64_t hash = hash_row(column, row, &text)
    return find_text_code(column, text, hash)


cdef inline int64_t row_code(const ContextColumn* column, int64_t row) noexcept nogil:
    """Which of the kept truths is that of a row: by its code, `n_codes` for a null, and one more where it has none."""
    cdef const Column* k = column.column
    cdef int64_t at = column.first + row, code
    cdef int64_t bit = at + k.item_valid_offset
    cdef int64_t there
    if column.has_texts:
        return text_code(column, row)
    there = (column.valid[(bit >> 3) & column.valid_mask] >> (bit & 7)) & 1
    if k.code_width == 4:
        code = (<const uint32_t*>k.codes)[at]
    elif k.code_width == 2:
        code = (<const uint16_t*>k.codes)[at]
    elif k.code_width == 1:
        code = (<const uint8_t*>k.codes)[at]
    else:
        code = (<const int64_t*>k.codes)[at]
    return code ^ ((code ^ k.n_values) & (there - 1))    # no branch: whether there is a value is not to be foreseen


cdef inline void prefetch_code(const ContextColumn* column, int64_t row) noexcept nogil:
    """Prefetch what `row_code` reads."""
    cdef const Column* k = column.column
    if column.has_texts:                                 # they are in the caches since they were checked
        return
    prefetch(<const char*>k.codes + (column.first + row) * k.code_width)
    prefetch(&column.valid[((column.first + row + k.item_valid_offset) >> 3) & column.valid_mask])
