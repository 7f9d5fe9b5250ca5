"""Numbers and instants of a column as canonical texts (C24), each distinct value once.

The texts are those of `fastiam.request.canonical_text`, which the tests compare: integers in decimal, floats as the
shortest decimal without exponent, instants as `YYYY-MM-DDTHH:MM:SSZ` with a fraction only where there is one.
A float of 32 bits has the value it has, so it is written as the equal float of 64 bits.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy as np

from fastiam.errors import RequestValueError
from fastiam.request import canonical_text

cdef enum:
    WIDEST = 32                       # bytes a text may take: 30 for an instant with nanoseconds

cdef int64_t FIRST_SECOND = -62135596800    # 0001-01-01T00:00:00Z
cdef int64_t LAST_SECOND = 253402300799     # 9999-12-31T23:59:59Z
cdef int64_t EXACT = 1 << 53                # integers below are exact as floats

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def canonical_column(values, unit, column):
    """Codes and texts of a plain column: `(codes, offsets, data, bad)`.

    `values` is int64, uint64 or float64, C-contiguous; `unit` is a key of `PER_SECOND` for instants, else "".
    Text `codes[i]` (uint32) is `data[offsets[c]:offsets[c + 1]]`. `bad` maps codes without a text to a message.
    """
    codes, firsts = distinct(values)
    return codes, *canonical_texts(values[firsts], unit, column)


def canonical_texts(values, unit, column):
    """One text for each value: `(offsets, data, bad)`, as in `canonical_column`."""
    offsets = np.zeros(len(values) + 1, np.int64)
    if values.dtype == np.float64:
        return _floats(values, offsets, column)
    data = np.empty(WIDEST * len(values), np.uint8)
    bad = {}
    if not len(values):
        return offsets, data, bad
    if unit:
        for i in _write_instants(values, PER_SECOND[unit], offsets, data):
            bad[i] = f"`{values[i]}` {unit} since 1970 lie outside the years 1 to 9999"
    elif values.dtype == np.uint64:
        _write_naturals(values, offsets, data)
    else:
        _write_integers(values, offsets, data)
    return offsets, data[: offsets[len(values)]].copy(), bad


def distinct(values):
    """`(codes, firsts)`: a uint32 code for each value, and for each code the row where it came first.

    Values are told apart by their 64 bits, so that `-0.0` and every NaN keep their own text.
    """
    codes = np.empty(len(values), np.uint32)
    firsts = np.empty(len(values), np.int64)
    if not len(values):
        return codes, firsts
    slots = np.zeros(2048, np.uint32)
    bits = values.view(np.uint64)
    row, n_found = 0, 0
    while True:
        row, n_found = _code(bits, codes, firsts, slots, row, n_found)
        if row == len(values):
            return codes, firsts[:n_found].copy()
        slots = np.zeros(4 * len(slots), np.uint32)
        _refill(bits, firsts, slots, n_found)


cdef inline uint64_t _mix(uint64_t x) noexcept nogil:
    x ^= x >> 32
    x *= 0x9E3779B97F4A7C15ULL
    x ^= x >> 29
    x *= 0xBF58476D1CE4E5B9ULL
    return x ^ (x >> 32)


def _code(const uint64_t[::1] bits, uint32_t[::1] codes, int64_t[::1] firsts, uint32_t[::1] slots, int64_t row, uint32_t n_found):
    """Code rows from `row` on until all are done or the table is half full."""
    # slots: code + 1, or 0 for a free slot; its length is a power of two
    cdef uint64_t mask = <uint64_t>slots.shape[0] - 1
    cdef uint32_t limit = <uint32_t>(slots.shape[0] // 2)
    cdef uint64_t at
    with nogil:
        while row < bits.shape[0]:
            at = _mix(bits[row]) & mask
            while slots[at] != 0 and bits[firsts[slots[at] - 1]] != bits[row]:
                at = (at + 1) & mask
            if slots[at] == 0:
                if n_found == limit:
                    break
                firsts[n_found] = row
                n_found += 1
                slots[at] = n_found
            codes[row] = slots[at] - 1
            row += 1
    return row, n_found


def _refill(const uint64_t[::1] bits, const int64_t[::1] firsts, uint32_t[::1] slots, uint32_t n_found):
    """Put the known values into a larger table."""
    cdef uint64_t mask = <uint64_t>slots.shape[0] - 1
    cdef uint64_t at
    cdef uint32_t code
    with nogil:
        for code in range(n_found):
            at = _mix(bits[firsts[code]]) & mask
            while slots[at] != 0:
                at = (at + 1) & mask
            slots[at] = code + 1


# -- writing ----------------------------------------------------------------------------------------------------

cdef inline int64_t _natural(char* out, uint64_t value) noexcept nogil:
    """Write a number in decimal; the bytes written, at most 20."""
    cdef char digits[20]
    cdef int n = 0
    while True:
        digits[19 - n] = <char>(c'0' + value % 10)
        value //= 10
        n += 1
        if value == 0:
            break
    memcpy(out, digits + 20 - n, n)
    return n


cdef inline int64_t _integer(char* out, int64_t value) noexcept nogil:
    if value >= 0:
        return _natural(out, <uint64_t>value)
    out[0] = c'-'
    return 1 + _natural(out + 1, 0 - <uint64_t>value)


cdef inline void _padded(char* out, int64_t value, int width) noexcept nogil:
    cdef int i
    for i in range(width - 1, -1, -1):
        out[i] = <char>(c'0' + value % 10)
        value //= 10


cdef void _date(char* out, int64_t days) noexcept nogil:
    """Write `YYYY-MM-DD` for a count of days since 1970, in the years 1 to 9999."""
    # Years begin in March here, so that the leap day is the last one; 146,097 days make 400 years.
    cdef int64_t shifted = days + 719468
    cdef int64_t era = shifted // 146097
    cdef int64_t day = shifted - era * 146097
    cdef int64_t year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    cdef int64_t in_year = day - (365 * year + year // 4 - year // 100)
    cdef int64_t month = (5 * in_year + 2) // 153
    cdef int64_t in_month = in_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    _padded(out, year + era * 400 + (1 if month <= 2 else 0), 4)
    out[4] = c'-'
    _padded(out + 5, month, 2)
    out[7] = c'-'
    _padded(out + 8, in_month, 2)


cdef int64_t _instant(char* out, int64_t seconds, int64_t nanos) noexcept nogil:
    """Write an instant in the years 1 to 9999; the bytes written."""
    # 719,162 days lie between year 1 and 1970: the division below is of a natural number
    cdef int64_t days = (seconds - FIRST_SECOND) // 86400 - 719162
    cdef int64_t in_day = seconds - days * 86400
    cdef int digits = 0 if nanos == 0 else 6 if nanos % 1000 == 0 else 9
    _date(out, days)
    out[10] = c'T'
    _padded(out + 11, in_day // 3600, 2)
    out[13] = c':'
    _padded(out + 14, in_day // 60 % 60, 2)
    out[16] = c':'
    _padded(out + 17, in_day % 60, 2)
    if digits:
        out[19] = c'.'
        _padded(out + 20, nanos if digits == 9 else nanos // 1000, digits)
        digits += 1
    out[19 + digits] = c'Z'
    return 20 + digits


def _write_naturals(const uint64_t[::1] values, int64_t[::1] offsets, unsigned char[::1] data):
    cdef int64_t i
    with nogil:
        for i in range(values.shape[0]):
            offsets[i + 1] = offsets[i] + _natural(<char*>&data[0] + offsets[i], values[i])


def _write_integers(const int64_t[::1] values, int64_t[::1] offsets, unsigned char[::1] data):
    cdef int64_t i
    with nogil:
        for i in range(values.shape[0]):
            offsets[i + 1] = offsets[i] + _integer(<char*>&data[0] + offsets[i], values[i])


def _write_instants(const int64_t[::1] values, int64_t per_second, int64_t[::1] offsets, unsigned char[::1] data):
    """Write instants; the indices of those that have no text."""
    cdef int64_t i, seconds, rest
    bad = []
    for i in range(values.shape[0]):
        seconds = values[i] // per_second
        rest = values[i] - seconds * per_second
        if rest < 0:                # C divides towards zero, time runs from below
            seconds -= 1
            rest += per_second
        offsets[i + 1] = offsets[i]
        if FIRST_SECOND <= seconds <= LAST_SECOND:
            offsets[i + 1] += _instant(<char*>&data[0] + offsets[i], seconds, rest * (1000000000 // per_second))
        else:
            bad.append(i)
    return bad


def _floats(const double[::1] values, offsets, column):
    """Texts of floats. Whole numbers are written here, the rest by Python: the shortest decimal is its business."""
    cdef int64_t i
    cdef double value
    cdef char out[WIDEST]
    cdef list texts = []
    cdef dict bad = {}
    for i in range(values.shape[0]):
        value = values[i]
        if -EXACT < value < EXACT and value == <double><int64_t>value and value != 0:
            texts.append(out[: _integer(out, <int64_t>value)])
            continue
        try:
            texts.append(canonical_text(value, column).encode())
        except RequestValueError as error:
            texts.append(b"")
            bad[i] = error.message
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    return offsets, np.frombuffer(b"".join(texts), np.uint8), bad
