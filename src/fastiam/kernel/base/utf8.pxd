"""UTF-8: validation, and encoding of code points. Header only."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef inline bint is_ascii(const char* data, int64_t size) noexcept nogil:
    """Whether no byte has its high bit set. Reads 32 bytes at a time, and never past `size`."""
    cdef uint64_t lanes[4]
    cdef uint64_t seen = 0
    cdef uint64_t last = 0
    cdef int64_t i = 0
    while i + 32 <= size:
        memcpy(lanes, data + i, 32)     # PERF: the compiler makes two vector loads of it
        seen |= lanes[0] | lanes[1] | lanes[2] | lanes[3]
        i += 32
    while i + 8 <= size:
        memcpy(lanes, data + i, 8)
        seen |= lanes[0]
        i += 8
    if i < size:
        memcpy(&last, data + i, size - i)
        seen |= last
    return (seen & 0x8080808080808080ULL) == 0


cdef inline int sequence_size(const uint8_t* at, int64_t left) noexcept nogil:
    """The length of the UTF-8 sequence at `at`, or 0: overlong forms, surrogates and cut sequences are none."""
    cdef uint8_t lead = at[0]
    cdef uint8_t low = 0x80
    cdef uint8_t high = 0xBF
    cdef int size
    cdef int i
    if lead < 0x80:
        return 1
    if lead < 0xC2 or lead > 0xF4:
        return 0
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if size > left:
        return 0
    if lead == 0xE0:
        low = 0xA0
    elif lead == 0xED:
        high = 0x9F
    elif lead == 0xF0:
        low = 0x90
    elif lead == 0xF4:
        high = 0x8F
    if at[1] < low or at[1] > high:
        return 0
    for i in range(2, size):
        if (at[i] & 0xC0) != 0x80:
            return 0
    return size


cdef inline bint is_utf8(const char* data, int64_t size) noexcept nogil:
    """Whether the bytes are valid UTF-8."""
    cdef const uint8_t* at = <const uint8_t*>data
    cdef int64_t i = 0
    cdef int step
    if is_ascii(data, size):
        return True
    while i < size:
        step = sequence_size(at + i, size - i)
        if step == 0:
            return False
        i += step
    return True


cdef inline int write_utf8(uint32_t point, char* out) noexcept nogil:
    """Write one code point; the bytes written, at most 4, or 0 for a surrogate or a number beyond Unicode."""
    if point < 0x80:
        out[0] = <char>point
        return 1
    if point < 0x800:
        out[0] = <char>(0xC0 | (point >> 6))
        out[1] = <char>(0x80 | (point & 0x3F))
        return 2
    if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        return 0
    if point < 0x10000:
        out[0] = <char>(0xE0 | (point >> 12))
        out[1] = <char>(0x80 | ((point >> 6) & 0x3F))
        out[2] = <char>(0x80 | (point & 0x3F))
        return 3
    out[0] = <char>(0xF0 | (point >> 18))
    out[1] = <char>(0x80 | ((point >> 12) & 0x3F))
    out[2] = <char>(0x80 | ((point >> 6) & 0x3F))
    out[3] = <char>(0x80 | (point & 0x3F))
    return 4
