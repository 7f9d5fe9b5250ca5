"""The structure of JSON texts: depth, sizes, and names that an object has twice (G34)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy

cimport cython

cdef enum:
    MAX_DEPTH = 1024  # that of orjson

cdef struct Frame:
    bint is_object
    uint32_t first  # index of its first key hash
    uint32_t count  # keys of an object; commas of an array
    uint32_t limit

cdef struct Hashes:
    uint64_t* data
    uint32_t size
    uint32_t capacity


cdef inline Py_ssize_t next_special(const uint8_t* text, Py_ssize_t i, Py_ssize_t size) noexcept nogil:
    """The place of the next quote or backslash; `size` or more if there is none."""
    cdef uint64_t chunk, quote, slash
    while i + 8 <= size:  # PERF: eight bytes at a time
        memcpy(&chunk, text + i, 8)
        quote = chunk ^ 0x2222222222222222ULL
        slash = chunk ^ 0x5C5C5C5C5C5C5C5CULL
        quote = (quote - 0x0101010101010101ULL) & ~quote
        slash = (slash - 0x0101010101010101ULL) & ~slash
        if (quote | slash) & 0x8080808080808080ULL:
            break
        i += 8
    while i < size and text[i] != 34 and text[i] != 92:
        i += 1
    return i


cdef inline int hex_value(uint8_t c) noexcept nogil:
    if 48 <= c <= 57:
        return c - 48
    c |= 32
    return c - 87 if 97 <= c <= 102 else -1


cdef int read_unit(const uint8_t* text, Py_ssize_t left) noexcept nogil:
    """The UTF-16 unit of four hexadecimal digits; -1 if they are not there."""
    cdef int value = 0, digit, i
    if left < 4:
        return -1
    for i in range(4):
        digit = hex_value(text[i])
        if digit < 0:
            return -1
        value = value * 16 + digit
    return value


cdef Py_ssize_t unescape(const uint8_t* text, Py_ssize_t size, uint8_t* out) noexcept nogil:
    """Write the UTF-8 of a JSON string without its quotes. Returns the number of bytes, at most `size`; -1: not valid."""
    cdef Py_ssize_t i = 0, n = 0
    cdef int unit, low
    cdef uint32_t point
    while i < size:
        if text[i] != 92:
            out[n] = text[i]
            n += 1
            i += 1
            continue
        if i + 1 >= size:
            return -1
        i += 1
        if text[i] != 117:  # u
            out[n] = plain_escape(text[i])
            n += 1
            i += 1
            continue
        unit = read_unit(text + i + 1, size - i - 1)
        if unit < 0:
            return -1
        i += 5
        point = unit
        if 0xD800 <= unit < 0xDC00:
            if i + 1 >= size or text[i] != 92 or text[i + 1] != 117:
                return -1
            low = read_unit(text + i + 2, size - i - 2)
            if not 0xDC00 <= low < 0xE000:
                return -1
            i += 6
            point = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
        elif 0xDC00 <= unit < 0xE000:
            return -1
        if point < 0x80:
            out[n] = point
            n += 1
        elif point < 0x800:
            out[n] = 0xC0 | (point >> 6)
            out[n + 1] = 0x80 | (point & 63)
            n += 2
        elif point < 0x10000:
            out[n] = 0xE0 | (point >> 12)
            out[n + 1] = 0x80 | ((point >> 6) & 63)
            out[n + 2] = 0x80 | (point & 63)
            n += 3
        else:
            out[n] = 0xF0 | (point >> 18)
            out[n + 1] = 0x80 | ((point >> 12) & 63)
            out[n + 2] = 0x80 | ((point >> 6) & 63)
            out[n + 3] = 0x80 | (point & 63)
            n += 4
    return n


cdef inline uint8_t plain_escape(uint8_t c) noexcept nogil:
    """The character of a short escape."""
    if c == 110:
        return 10
    if c == 116:
        return 9
    if c == 114:
        return 13
    if c == 98:
        return 8
    if c == 102:
        return 12
    return c


cdef bint push(Hashes* hashes, uint64_t value) noexcept nogil:
    """Append; False if there is no memory."""
    cdef uint64_t* data
    if hashes.size == hashes.capacity:
        data = <uint64_t*>realloc(hashes.data, <size_t>hashes.capacity * 2 * sizeof(uint64_t))
        if data == NULL:
            return False
        hashes.data = data
        hashes.capacity *= 2
    hashes.data[hashes.size] = value
    hashes.size += 1
    return True


@cython.final
cdef class JsonChecker:
    """Checks JSON texts under one set of limits.

    Parameters
    ----------
    depth
        levels, at most 1,024.
    members
        members of an object, items of an array.
    arrays
        items of arrays that are the value of a member with this name.
    """

    cdef uint32_t depth, members
    cdef list names
    cdef list limits

    def __init__(self, int depth, int members, dict arrays):
        if not 0 < depth <= MAX_DEPTH or members < 1:
            raise ValueError("depth is 1 to 1,024, members at least 1")
        self.depth, self.members = depth, members
        self.names = [name.encode() for name in arrays]
        self.limits = [int(limit) for limit in arrays.values()]
        if any(limit < 1 for limit in self.limits):
            raise ValueError("an array limit is at least 1")

    def is_sound(self, bytes body):
        """Return True if a text that orjson accepts has no fault; False if it may have one."""
        cdef Hashes hashes
        cdef bint sound
        hashes.capacity = 256
        hashes.size = 0
        hashes.data = <uint64_t*>malloc(hashes.capacity * sizeof(uint64_t))
        if hashes.data == NULL:
            raise MemoryError
        try:
            sound = self.scan(<const uint8_t*><const char*>body, len(body), &hashes)
        finally:
            free(hashes.data)
        return sound

    cdef bint scan(self, const uint8_t* text, Py_ssize_t size, Hashes* hashes) except? True:
        # INVARIANT: True only if no limit is exceeded and no two keys of an object have one hash, so no two are equal.
        # SAFETY: every read is below `size`; `depth` is at most the number of frames.
        cdef Frame[MAX_DEPTH] frames
        cdef Frame* top = NULL
        cdef uint32_t depth = 0
        cdef Py_ssize_t i = 0, start, key = 0, key_size = 0
        cdef uint8_t c
        cdef bint expects_key = False, has_escape
        cdef bytes decoded
        cdef Py_ssize_t decoded_size
        while i < size:
            c = text[i]
            i += 1
            if c == 34:
                start = i
                has_escape = False
                i = next_special(text, i, size)
                while i < size and text[i] == 92:
                    has_escape = True
                    i = next_special(text, i + 2, size)
                if i >= size:
                    return False
                if expects_key:
                    expects_key = False
                    top.count += 1
                    if top.count > top.limit:
                        return False
                    key, key_size = start, i - start
                    if has_escape:
                        decoded = self.decode(text + start, key_size)
                        if decoded is None or (self.names and decoded in self.names):
                            return False
                        decoded_size = len(decoded)
                        key_size = 0
                        if not push(hashes, hash_bytes(<const uint8_t*><const char*>decoded, decoded_size)):
                            raise MemoryError
                    elif not push(hashes, hash_bytes(text + start, key_size)):
                        raise MemoryError
                i += 1
            elif c == 44:
                if top == NULL:
                    return False
                if top.is_object:
                    expects_key = True
                else:
                    top.count += 1
                    if top.count >= top.limit:
                        return False
            elif c == 123 or c == 91:
                if depth >= self.depth:
                    return False
                frames[depth].is_object = c == 123
                frames[depth].first = hashes.size
                frames[depth].count = 0
                frames[depth].limit = self.members
                if c == 91 and top != NULL and top.is_object and self.names and key_size:
                    frames[depth].limit = self.limit_of(text + key, key_size)
                expects_key = c == 123
                top = &frames[depth]
                depth += 1
            elif c == 125 or c == 93:
                if top == NULL:
                    return False
                if top.is_object:
                    if top.count > 1 and has_equal(hashes.data + top.first, hashes.size - top.first):
                        return False
                    hashes.size = top.first
                expects_key = False
                depth -= 1
                top = &frames[depth - 1] if depth else NULL
        return True

    cdef uint32_t limit_of(self, const uint8_t* name, Py_ssize_t size):
        cdef bytes each
        cdef Py_ssize_t n
        for i in range(len(self.names)):
            each = self.names[i]
            n = len(each)
            if n == size and memcmp(<const char*>each, name, size) == 0:
                return self.limits[i]
        return self.members

    cdef bytes decode(self, const uint8_t* text, Py_ssize_t size):
        """The UTF-8 of an escaped string; None if it is not valid."""
        cdef uint8_t* out = <uint8_t*>malloc(size + 1)
        cdef Py_ssize_t n
        if out == NULL:
            raise MemoryError
        try:
            n = unescape(text, size, out)
            return None if n < 0 else (<char*>out)[:n]
        finally:
            free(out)
