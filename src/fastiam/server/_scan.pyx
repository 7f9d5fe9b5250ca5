"""Work on bytes for each request: the header fields that the edge reads (1.6), ids."""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp

from cpython.unicode cimport PyUnicode_DecodeASCII


def scan_header(list fields):
    """Read what the edge needs of a header.

    Returns
    -------
    size
        bytes of all names and values with their separators.
    longest
        bytes of the longest value.
    host, authorization, length, encoding, is_chunked, request_id
        the value of the last such field, or None; `is_chunked`: whether there is a `transfer-encoding`.
    twice
        bits of the fields that occur more than once: 1 host, 2 authorization, 4 length, 8 encoding, 16 chunked, 32 request id.
    """
    cdef Py_ssize_t size = 0, longest = 0, n, m
    cdef bytes name, value
    cdef const char* text
    cdef int twice = 0
    cdef bint is_chunked = False
    host = authorization = length = encoding = request_id = None
    for pair in fields:
        name, value = pair
        n, m = len(name), len(value)
        size += n + m + 4
        if m > longest:
            longest = m
        text = name
        if n == 4:
            if memcmp(text, b"host", 4) == 0:
                twice |= host is not None
                host = value
        elif n == 13:
            if memcmp(text, b"authorization", 13) == 0:
                twice |= (authorization is not None) << 1
                authorization = value
        elif n == 14:
            if memcmp(text, b"content-length", 14) == 0:
                twice |= (length is not None) << 2
                length = value
        elif n == 16:
            if memcmp(text, b"content-encoding", 16) == 0:
                twice |= (encoding is not None) << 3
                encoding = value
        elif n == 17:
            if memcmp(text, b"transfer-encoding", 17) == 0:
                twice |= is_chunked << 4
                is_chunked = True
        elif n == 12:
            if memcmp(text, b"x-request-id", 12) == 0:
                twice |= (request_id is not None) << 5
                request_id = value
    return size, longest, host, authorization, length, encoding, is_chunked, request_id, twice


def format_uuid7(uint64_t milliseconds, bytes random not None, Py_ssize_t at):
    """The text of a UUID of version 7 (RFC 9562).

    Parameters
    ----------
    milliseconds
        since 1970, below 2^48.
    random, at
        ten random bytes from there.
    """
    cdef char[36] text
    cdef uint8_t[16] value
    cdef const char* digits = b"0123456789abcdef"
    cdef int i, n = 0
    cdef const uint8_t* source = <const uint8_t*><const char*>random
    if at < 0 or at + 10 > len(random):
        raise ValueError("ten random bytes are needed")
    for i in range(6):
        value[i] = (milliseconds >> (40 - 8 * i)) & 255
    for i in range(10):
        value[6 + i] = source[at + i]
    value[6] = 0x70 | (value[6] & 15)
    value[8] = 0x80 | (value[8] & 63)
    for i in range(16):
        if i == 4 or i == 6 or i == 8 or i == 10:
            text[n] = 45
            n += 1
        text[n] = digits[value[i] >> 4]
        text[n + 1] = digits[value[i] & 15]
        n += 2
    return PyUnicode_DecodeASCII(text, 36, NULL)
