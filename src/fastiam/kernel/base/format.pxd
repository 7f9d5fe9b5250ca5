"""Numbers and instants as canonical text (C24). Each function returns the end of the text that it wrote. Header only."""
from cpython.exc cimport PyErr_Clear
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, strlen, strpbrk


cdef extern from *:
    """
    static const char fastiam_pairs[] =  /* PERF: of two digits at a time, half the divisions */
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    """
    const char* PAIRS "fastiam_pairs"
    char* PyOS_double_to_string(double value, char form, int precision, int flags, int* kind) noexcept


cdef enum:
    MAX_UINT64_DIGITS = 20     # digits of 64 bits
    MAX_FLOAT = 24             # `-0.00012345678901234567`
    DAY = 11                   # `YYYY-MM-DDT`


cdef inline char* put_pair(char* p, uint32_t value) noexcept nogil:
    """INVARIANT: value < 100."""
    memcpy(p, PAIRS + 2 * value, 2)
    return p + 2


cdef inline char* put_natural(char* p, uint64_t value) noexcept nogil:
    cdef char digits[MAX_UINT64_DIGITS]
    cdef int at = MAX_UINT64_DIGITS
    while value >= 10:
        at -= 2
        put_pair(&digits[at], <uint32_t>(value % 100))
        value //= 100
    if value or at == MAX_UINT64_DIGITS:
        at -= 1
        digits[at] = <char>(c'0' + value)
    memcpy(p, &digits[at], MAX_UINT64_DIGITS - at)
    return p + MAX_UINT64_DIGITS - at


cdef inline char* put_integer(char* p, int64_t value) noexcept nogil:
    if value >= 0:
        return put_natural(p, <uint64_t>value)
    p[0] = c'-'
    return put_natural(p + 1, 0 - <uint64_t>value)


cdef inline char* put_float(char* p, double value) noexcept:
    """The shortest digits of a float, MAX_FLOAT bytes at most; nothing where they need an exponent, or are none.

    Nor where memory ends, which is not an error here: the caller that gets nothing lets Python write the float, and that raises.
    """
    cdef char* digits = PyOS_double_to_string(value, c'r', 0, 0, NULL)
    cdef size_t size
    if digits == NULL:
        PyErr_Clear()
        return p
    size = strlen(digits)
    if size <= MAX_FLOAT and strpbrk(digits, b"en") == NULL:     # nor "inf", "nan"
        memcpy(p, digits, size)
        p += size
    PyMem_Free(digits)
    return p


cdef inline char* put_day(char* p, uint32_t year, uint32_t month, uint32_t day) noexcept nogil:
    """`YYYY-MM-DDT`."""
    p = put_pair(put_pair(p, year // 100), year % 100)
    p[0] = c'-'
    p = put_pair(p + 1, month)
    p[0] = c'-'
    p = put_pair(p + 1, day)
    p[0] = c'T'
    return p + 1


cdef inline char* put_time(char* p, uint32_t hour, uint32_t minute, uint32_t second, uint32_t nanos) noexcept nogil:
    """`HH:MM:SSZ`, with a fraction of 6 or 9 digits where there is one."""
    cdef uint32_t micros = nanos // 1000
    p = put_pair(p, hour)
    p[0] = c':'
    p = put_pair(p + 1, minute)
    p[0] = c':'
    p = put_pair(p + 1, second)
    if nanos:
        p[0] = c'.'
        p = put_pair(put_pair(put_pair(p + 1, micros // 10000), micros // 100 % 100), micros % 100)
        nanos -= 1000 * micros
        if nanos:
            p[0] = <char>(c'0' + nanos // 100)
            p = put_pair(p + 1, nanos % 100)
    p[0] = c'Z'
    return p + 1


cdef inline int64_t day_of(int64_t seconds) noexcept nogil:
    """The days from 1970 to the day of an instant."""
    cdef int64_t days = seconds // 86400
    return days - (days * 86400 > seconds)               # C divides towards zero, time runs from below


cdef inline char* put_day_of(char* p, int64_t days) noexcept nogil:
    """The day that is so many days after the first of 1970, in the years 0 to 9999."""
    # Years begin in March here, so that the leap day is the last one; 146,097 days make 400 years.
    cdef int64_t shifted = days + 719468
    cdef int64_t era = (shifted if shifted >= 0 else shifted - 146096) // 146097
    cdef int64_t day = shifted - era * 146097
    cdef int64_t year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    cdef int64_t in_year = day - (365 * year + year // 4 - year // 100)
    cdef int64_t month = (5 * in_year + 2) // 153
    cdef int64_t in_month = in_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return put_day(p, <uint32_t>(year + era * 400 + (1 if month <= 2 else 0)), <uint32_t>month, <uint32_t>in_month)


cdef inline char* put_time_of(char* p, uint32_t in_day, uint32_t nanos) noexcept nogil:
    """The time of so many seconds since midnight."""
    return put_time(p, in_day // 3600, in_day // 60 % 60, in_day % 60, nanos)
