"""Columns of JSON lines that have the same members, all of them plain texts, read without an object for each line (G160, G214).

The first line gives the form: the bytes before, between and after its texts. A line of this form differs from it only in printable
ASCII between two quotes, so it is JSON with the same names in the same order. Everything else is left to the caller, also a name that
is there twice, as `strict_json._checker` says.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from fastiam.strict_json._checker cimport has_equal, hash_bytes

cdef enum:
    MEMBERS = 16             # of a line
    MAX_BYTES = 1 << 30      # of all lines: offsets have 32 bits
    MAX_PROBES = 128         # of a text; half of the slots are free, so only texts with chosen hashes need as many
    QUOTE = 34
    BACKSLASH = 92


cdef struct Text:
    const uint8_t* data
    Py_ssize_t size

cdef struct Column:
    Text before              # what each line has between the text before this one and this one
    int32_t* codes           # by line
    int32_t* offsets         # of the distinct texts
    uint8_t* data
    uint32_t* slots          # number of a distinct text and one, by its hash; 0: free
    uint32_t* hashes         # of the distinct texts
    int32_t count            # of the distinct texts


cdef inline Py_ssize_t text_size(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Bytes before the next quote; -1 if there is none, or anything but printable ASCII without backslashes before it."""
    cdef Py_ssize_t i = 0
    cdef uint64_t chunk, quote, slash
    while i + 8 <= size:  # PERF: eight bytes at a time
        memcpy(&chunk, text + i, 8)
        quote = chunk ^ 0x2222222222222222ULL
        slash = chunk ^ 0x5C5C5C5C5C5C5C5CULL
        quote = (quote - 0x0101010101010101ULL) & ~quote
        slash = (slash - 0x0101010101010101ULL) & ~slash
        if (quote | slash | chunk | (chunk + 0x0101010101010101ULL) | (chunk - 0x2020202020202020ULL)) & 0x8080808080808080ULL:
            break
        i += 8
    while i < size and text[i] != QUOTE:
        if text[i] < 32 or text[i] > 126 or text[i] == BACKSLASH:
            return -1
        i += 1
    return i if i < size else -1


cdef inline int32_t code_of(Column* column, const uint8_t* text, Py_ssize_t size, uint32_t mask) noexcept nogil:
    """The number of a text, a new one if it was not there before; -1 if too many texts are in its way."""
    cdef uint32_t h = <uint32_t>hash_bytes(text, size), at = h & mask
    cdef int32_t code, first
    cdef int probes = 0
    while column.slots[at]:
        probes += 1
        if probes > MAX_PROBES:
            return -1
        code = <int32_t>column.slots[at] - 1
        first = column.offsets[code]
        if column.hashes[code] == h and column.offsets[code + 1] - first == size and memcmp(column.data + first, text, size) == 0:
            return code
        at = (at + 1) & mask
    code = column.count
    first = column.offsets[code]
    memcpy(column.data + first, text, size)
    column.offsets[code + 1] = first + <int32_t>size
    column.hashes[code] = h
    column.slots[at] = code + 1
    column.count = code + 1
    return code


cdef inline Py_ssize_t skip_space(const uint8_t* line, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    while at < size and line[at] in (32, 9, 13):
        at += 1
    return at


cdef int read_form(const uint8_t* line, Py_ssize_t size, Text* parts, Text* names) noexcept nogil:
    """The number of members of an object of plain texts, with its parts and names; 0 for any other line."""
    cdef Py_ssize_t at = skip_space(line, 0, size), first = 0, length
    cdef int count = 0
    if at >= size or line[at] != 123:
        return 0
    at += 1
    while True:
        at = skip_space(line, at, size)
        if count == MEMBERS or at >= size or line[at] != QUOTE:
            return 0
        length = text_size(line + at + 1, size - at - 1)
        if length < 0:
            return 0
        names[count].data, names[count].size = line + at + 1, length
        at = skip_space(line, at + length + 2, size)
        if at >= size or line[at] != 58:
            return 0
        at = skip_space(line, at + 1, size)
        if at >= size or line[at] != QUOTE:
            return 0
        at += 1
        parts[count].data, parts[count].size = line + first, at - first
        count += 1
        length = text_size(line + at, size - at)
        if length < 0:
            return 0
        first = at + length
        at = skip_space(line, first + 1, size)
        if at >= size:
            return 0
        at += 1
        if line[at - 1] == 125:
            break
        if line[at - 1] != 44:
            return 0
    if skip_space(line, at, size) != size:
        return 0
    parts[count].data, parts[count].size = line + first, size - first
    return count


cdef bint read_line(const uint8_t* line, Py_ssize_t size, Py_ssize_t row, Column* columns, int count, Text end, uint32_t mask) noexcept nogil:
    """Take the texts of a line; False if it has another form, or texts with chosen hashes."""
    cdef Py_ssize_t at = 0, length
    cdef int i
    cdef Column* column
    for i in range(count):
        column = &columns[i]
        if size - at < column.before.size or memcmp(line + at, column.before.data, column.before.size) != 0:
            return False
        at += column.before.size
        length = text_size(line + at, size - at)
        if length < 0:
            return False
        column.codes[row] = code_of(column, line + at, length, mask)
        if column.codes[row] < 0:
            return False
        at += length
    return size - at == end.size and memcmp(line + at, end.data, end.size) == 0


cdef void drop(Column* columns, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        free(columns[i].codes)
        free(columns[i].offsets)
        free(columns[i].data)
        free(columns[i].slots)
        free(columns[i].hashes)


def read_texts(list lines not None):
    """The columns of lines by their names, in the order of the members; None if not all lines have one form.

    Also None for lines with texts that were chosen for their hashes: each would be compared with all of them.

    Parameters
    ----------
    lines
        `bytes` without line ends; anything else has no form.

    Returns
    -------
    dict
        name -> codes (int32, by line), offsets (int32) and data of the distinct texts, each as bytes.
    """
    cdef Py_ssize_t n = len(lines), total = 0, i
    cdef Text[MEMBERS + 1] parts
    cdef Text[MEMBERS] names
    cdef Column[MEMBERS] columns
    cdef uint64_t[MEMBERS] hashes
    cdef int count, k
    cdef uint32_t mask = 1
    cdef const uint8_t* data
    for line in lines:
        if type(line) is not bytes:
            return None
        total += PyBytes_GET_SIZE(line)
    if n == 0 or total > MAX_BYTES:
        return None
    data = <const uint8_t*>PyBytes_AS_STRING(lines[0])
    count = read_form(data, PyBytes_GET_SIZE(lines[0]), parts, names)
    if count == 0:
        return None
    for k in range(count):
        hashes[k] = hash_bytes(names[k].data, names[k].size)
    if has_equal(hashes, count):
        return None
    keys = [names[k].data[:names[k].size].decode("ascii") for k in range(count)]
    while mask < 2 * n:
        mask *= 2
    for k in range(count):
        columns[k].before, columns[k].count = parts[k], 0
        columns[k].codes = <int32_t*>malloc(n * sizeof(int32_t))
        columns[k].offsets = <int32_t*>calloc(n + 1, sizeof(int32_t))
        columns[k].data = <uint8_t*>malloc(total)
        columns[k].slots = <uint32_t*>calloc(mask, sizeof(uint32_t))
        columns[k].hashes = <uint32_t*>malloc(n * sizeof(uint32_t))
        if not (columns[k].codes and columns[k].offsets and columns[k].data and columns[k].slots and columns[k].hashes):
            drop(columns, k + 1)
            raise MemoryError
    try:
        for i in range(n):
            line = lines[i]
            data = <const uint8_t*>PyBytes_AS_STRING(line)
            if not read_line(data, PyBytes_GET_SIZE(line), i, columns, count, parts[count], mask - 1):
                return None
        return {keys[k]: taken(&columns[k], n) for k in range(count)}
    finally:
        drop(columns, count)


cdef tuple taken(Column* column, Py_ssize_t n):
    cdef Py_ssize_t count = column.count
    return (
        PyBytes_FromStringAndSize(<char*>column.codes, n * sizeof(int32_t)),
        PyBytes_FromStringAndSize(<char*>column.offsets, (count + 1) * sizeof(int32_t)),
        PyBytes_FromStringAndSize(<char*>column.data, column.offsets[count]),
    )
