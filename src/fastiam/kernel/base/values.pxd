"""Parsers for values of conditions: numbers, dates, addresses, base64, booleans (spec 4.4, 4.5). Header only.

Each parser accepts exactly its grammar. Any other text is unparsable, and the caller makes it `U`.
"""
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from fastiam.kernel.base.text cimport load8_big, lower


cdef extern from *:
    """
    #ifdef _WIN32
    #include <winsock2.h>
    #include <ws2tcpip.h>
    #else
    #include <arpa/inet.h>
    #include <sys/socket.h>
    #endif
    #define FASTIAM_V4 "\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\xff\\xff"
    """
    int AF_INET6
    const char* V4 "FASTIAM_V4"  # how an IPv4 address starts
    int inet_pton(int family, const char* text, void* out) nogil


cdef inline bint is_digit(uint8_t c) noexcept nogil:
    return 48 <= c <= 57


# -- numbers: compared as digit strings, so that nothing is ever rounded (C30) ------------------------------------

cdef struct Decimal:
    const uint8_t* whole       # without leading zeros
    const uint8_t* fraction    # without trailing zeros
    int64_t n_whole
    int64_t n_fraction
    bint is_negative           # never of zero


cdef inline bint read_decimal(const uint8_t* p, int64_t size, Decimal* out) noexcept nogil:
    """`-?[0-9]+(\\.[0-9]+)?` and nothing else."""
    cdef int64_t i = 0
    cdef int64_t start
    out.is_negative = size > 0 and p[0] == 45
    if out.is_negative:
        i = 1
    start = i
    while i < size and is_digit(p[i]):
        i += 1
    if i == start:
        return False
    out.n_whole = i - start
    out.whole = p + start
    out.n_fraction = 0
    out.fraction = p + i
    if i < size:
        if p[i] != 46 or i + 1 == size:
            return False
        start = i + 1
        i = start
        while i < size and is_digit(p[i]):
            i += 1
        if i != size:
            return False
        out.fraction = p + start
        out.n_fraction = size - start
    while out.n_whole > 0 and out.whole[0] == 48:
        out.whole += 1
        out.n_whole -= 1
    while out.n_fraction > 0 and out.fraction[out.n_fraction - 1] == 48:
        out.n_fraction -= 1
    if out.n_whole == 0 and out.n_fraction == 0:
        out.is_negative = False
    return True


cdef inline int compare_magnitude(const Decimal* a, const Decimal* b) noexcept nogil:
    cdef int order
    cdef int64_t shared
    if a.n_whole != b.n_whole:
        return -1 if a.n_whole < b.n_whole else 1
    order = memcmp(a.whole, b.whole, <size_t>a.n_whole)
    if order != 0:
        return order
    shared = min(a.n_fraction, b.n_fraction)
    order = memcmp(a.fraction, b.fraction, <size_t>shared)
    if order != 0:
        return order
    return (a.n_fraction > b.n_fraction) - (a.n_fraction < b.n_fraction)


cdef inline int compare_decimals(const Decimal* a, const Decimal* b) noexcept nogil:
    """Below, equal to or above zero as `a` is below, equal to or above `b`."""
    if a.is_negative != b.is_negative:
        return -1 if a.is_negative else 1
    return compare_magnitude(b, a) if a.is_negative else compare_magnitude(a, b)


# -- dates (C40 to C43) ---------------------------------------------------------------------------------------------

cdef struct Instant:
    int64_t seconds
    int32_t nanos


cdef inline int two_digits(const uint8_t* p) noexcept nogil:
    return (p[0] - 48) * 10 + p[1] - 48 if is_digit(p[0]) and is_digit(p[1]) else -1


cdef inline int64_t days_before(int64_t year, int month, int day) noexcept nogil:
    """Days from 1970-01-01 in the proleptic Gregorian calendar (years counted from March)."""
    cdef int64_t y = year - (month <= 2)
    cdef int64_t era = (y if y >= 0 else y - 399) // 400
    cdef int64_t in_era = y - era * 400
    cdef int64_t in_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + in_era * 365 + in_era // 4 - in_era // 100 + in_year - 719468


cdef inline int month_days(int64_t year, int month) noexcept nogil:
    if month == 2:
        return 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline bint read_epoch(const uint8_t* p, int64_t size, Instant* out) noexcept nogil:
    """`[+-]?[0-9]+` within int64, but never exactly four digits without a sign (C41)."""
    cdef bint has_sign = size > 0 and (p[0] == 43 or p[0] == 45)
    cdef bint negative = size > 0 and p[0] == 45
    cdef int64_t i = 1 if has_sign else 0
    cdef int64_t value = 0
    cdef int digit
    if i == size or (size == 4 and not has_sign):
        return False
    while i < size:
        if not is_digit(p[i]):
            return False
        digit = p[i] - 48
        # beyond int64 there is no instant (C43); cdivision cuts towards zero
        if negative:
            if value < (INT64_MIN + digit) // 10:
                return False
            value = value * 10 - digit
        else:
            if value > (INT64_MAX - digit) // 10:
                return False
            value = value * 10 + digit
        i += 1
    out.seconds = value
    out.nanos = 0
    return True


cdef inline bint read_zone(const uint8_t* p, int64_t size, int64_t* offset) noexcept nogil:
    """`Z` or `+hh:mm`, the rest of the text; the offset is in seconds."""
    cdef int hours, minutes
    offset[0] = 0
    if size == 1:
        return p[0] == 90
    if size != 6 or (p[0] != 43 and p[0] != 45) or p[3] != 58:
        return False
    hours = two_digits(p + 1)
    minutes = two_digits(p + 4)
    if not 0 <= hours <= 23 or not 0 <= minutes <= 59:
        return False
    offset[0] = (hours * 60 + minutes) * 60
    if p[0] == 45:
        offset[0] = -offset[0]
    return True


cdef inline bint read_time(const uint8_t* p, int64_t size, int64_t midnight, Instant* out) noexcept nogil:
    """What follows the `T`: `hh:mm[:ss[.fraction]]zone`."""
    cdef int hour, minute, second = 0
    cdef int64_t i = 5, offset
    cdef int32_t scale = 100000000
    out.nanos = 0
    if size < 6 or p[2] != 58:
        return False
    hour = two_digits(p)
    minute = two_digits(p + 3)
    if size >= 8 and p[5] == 58:
        second = two_digits(p + 6)
        i = 8
        if size > 8 and p[8] == 46:
            i = 9
            while i < size and is_digit(p[i]):
                out.nanos += (p[i] - 48) * scale     # further digits are cut: their scale is 0
                scale //= 10
                i += 1
            if i == 9:
                return False
    if not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59:
        return False
    if not read_zone(p + i, size - i, &offset):
        return False
    out.seconds = midnight + (hour * 60 + minute) * 60 + second - offset
    return True


cdef inline bint read_instant(const uint8_t* p, int64_t size, Instant* out) noexcept nogil:
    """A date of the W3C profile, or epoch seconds."""
    cdef int64_t year
    cdef int month, day = 1
    if size < 7 or p[4] != 45 or not is_digit(p[0]):
        return read_epoch(p, size, out)
    if two_digits(p) < 0 or two_digits(p + 2) < 0:
        return False
    year = two_digits(p) * 100 + two_digits(p + 2)
    month = two_digits(p + 5)
    if not 1 <= month <= 12:
        return False
    if size > 7:
        if size < 10 or p[7] != 45:
            return False
        day = two_digits(p + 8)
        if not 1 <= day <= month_days(year, month):
            return False
    out.seconds = days_before(year, month, day) * 86400
    out.nanos = 0
    if size <= 10:
        return size == 7 or size == 10
    return p[10] == 84 and read_time(p + 11, size - 11, out.seconds, out)


cdef inline int compare_instants(const Instant* a, const Instant* b) noexcept nogil:
    if a.seconds != b.seconds:
        return -1 if a.seconds < b.seconds else 1
    return (a.nanos > b.nanos) - (a.nanos < b.nanos)


# -- addresses (C50 to C53): all as 16 bytes, IPv4 as ::ffff:a.b.c.d ---------------------------------------------------

cdef inline bint read_v4(const uint8_t* p, int64_t size, uint8_t* out) noexcept nogil:
    """Four numbers up to 255, without leading zeros (C51)."""
    cdef int64_t i = 0, start
    cdef int part, number
    for part in range(4):
        if part:
            if i >= size or p[i] != 46:
                return False
            i += 1
        start = i
        number = 0
        while i < size and is_digit(p[i]) and i - start < 3:
            number = number * 10 + p[i] - 48
            i += 1
        if i == start or number > 255 or (p[start] == 48 and i - start > 1):
            return False
        out[part] = <uint8_t>number
    return i == size


cdef inline bint read_address(const uint8_t* p, int64_t size, uint8_t* out) noexcept nogil:
    cdef char text[48]
    memcpy(out, V4, 12)
    if read_v4(p, size, out + 12):
        return True
    if size < 2 or size > 45 or memchr(p, 0, <size_t>size) != NULL:
        return False
    memcpy(text, p, <size_t>size)
    text[size] = 0
    return inet_pton(AF_INET6, text, out) == 1


cdef inline bint is_v4(const uint8_t* address) noexcept nogil:
    return memcmp(address, V4, 12) == 0


cdef inline bint in_range(const uint8_t* address, const uint8_t* base, int64_t prefix) noexcept nogil:
    """Whether the first `prefix` bits (of 128) agree; an IPv4 address is in no IPv6 range (C52)."""
    cdef int64_t whole = prefix >> 3
    cdef uint8_t mask
    if is_v4(address) != (prefix >= 96 and is_v4(base)):
        return False
    if memcmp(address, base, <size_t>whole) != 0:
        return False
    if prefix & 7 == 0:
        return True
    mask = <uint8_t>(0xFF << (8 - (prefix & 7)))
    return (address[whole] & mask) == (base[whole] & mask)


cdef inline bint is_before(const uint8_t* address, const uint8_t* base) noexcept nogil:
    cdef uint64_t a = load8_big(address), b = load8_big(base)
    return load8_big(address + 8) < load8_big(base + 8) if a == b else a < b


# -- base64 and booleans -------------------------------------------------------------------------------------------

cdef inline int sextet(uint8_t c) noexcept nogil:
    if 65 <= c <= 90:
        return c - 65
    if 97 <= c <= 122:
        return c - 71
    if is_digit(c):
        return c + 4
    return 62 if c == 43 else 63 if c == 47 else -1


cdef inline int64_t base64_size(const uint8_t* p, int64_t size) noexcept nogil:
    """How many bytes standard base64 with padding stands for, or -1 if it is none (C32)."""
    cdef int64_t i, n = size
    if size % 4 != 0:
        return -1
    if size == 0:
        return 0
    if p[size - 1] == 61:
        n -= 1
        if p[size - 2] == 61:
            n -= 1
    for i in range(n):
        if sextet(p[i]) < 0:
            return -1
    return n * 3 // 4


cdef inline uint8_t base64_byte(const uint8_t* p, int64_t i) noexcept nogil:
    """Byte `i` of what valid base64 stands for."""
    cdef int64_t group = i // 3 * 4
    cdef int64_t part = i % 3
    return <uint8_t>((sextet(p[group + part]) << (2 + 2 * part)) | (sextet(p[group + part + 1]) >> (4 - 2 * part)))


cdef inline int compare_base64(const uint8_t* p, int64_t n, const uint8_t* q, int64_t m) noexcept nogil:
    """Which of two valid base64 texts stands for fewer bytes, or for smaller ones; `n` and `m` are the counts of bytes."""
    cdef int64_t i
    if n != m:
        return -1 if n < m else 1
    for i in range(n):
        if base64_byte(p, i) != base64_byte(q, i):
            return -1 if base64_byte(p, i) < base64_byte(q, i) else 1
    return 0


cdef inline int read_bool(const uint8_t* p, int64_t size) noexcept nogil:
    """1 for `true`, 0 for `false` in any case, -1 for anything else (C31)."""
    if size == 4 and lower(p[0]) == 116 and lower(p[1]) == 114 and lower(p[2]) == 117 and lower(p[3]) == 101:
        return 1
    if size == 5 and lower(p[0]) == 102 and lower(p[1]) == 97 and lower(p[2]) == 108 and lower(p[3]) == 115 and lower(p[4]) == 101:
        return 0
    return -1
