"""Numbers and instants of a column as canonical texts (C24): once for each distinct value, or for each row if that is faster.

The texts equal those of `fastiam.model.request.canonical_text`; tests compare them. Integers are decimal. Floats are the shortest decimal
without exponent. Instants are `YYYY-MM-DDTHH:MM:SSZ`, with a fraction only if there is one. A float of 16 or 32 bits is the shortest decimal
that parses to this float: a Float32 of 0.1 is `0.1`.
"""

ABSENT_HINT = "where the key is absent, use None, an Arrow null or a masked array"   # of floats that are no number
cdef int64_t FIRST_SECOND = -62135596800    # 0001-01-01T00:00:00Z
cdef int64_t LAST_SECOND = 253402300799     # 9999-12-31T23:59:59Z
cdef int64_t EXACT = 1 << 53                # integers below are exact as floats

cdef enum:
    WIDEST = 32                       # bytes a text may take
    BLOCK = 1 << 16                   # floats that are widened together

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def canonical_column(values, unit, column):
    """Codes and texts of a plain column: `(codes, offsets, data, bad)`.

    `values` is int64, uint64 or float64, C-contiguous; `unit` is a key of `PER_SECOND` for instants, else "".
    Text `codes[i]` (uint32) is `data[offsets[c]:offsets[c + 1]]`; without codes (None), row `i` has text `i`. `bad` maps texts
    that are none to a message.
    """
    codes, firsts = distinct(values, may_give_up=values.dtype != np.float64)   # to write a float takes longer than to look for it
    return codes, *canonical_texts(values if codes is None else values[firsts], unit, column)


def widened(values):
    """Numbers as int64, uint64 or float64; a shorter float becomes the float64 with the same shortest decimal."""
    if values.dtype.kind != "f" or values.dtype.itemsize == 8:
        return values.astype({"b": np.int64, "i": np.int64, "u": np.uint64, "f": np.float64}[values.dtype.kind])
    wide = np.empty(len(values), np.float64)
    for start in range(0, len(values), BLOCK):           # the texts take 128 bytes each
        part = values[start : start + BLOCK]
        codes, firsts = distinct(part.astype(np.float64))
        wide[start : start + BLOCK] = part[firsts].astype(str).astype(np.float64)[codes]
    return wide


def canonical_texts(values, unit, column):
    """One text for each value: `(offsets, data, bad)`, as in `canonical_column`."""
    offsets = np.zeros(len(values) + 1, np.int64)
    data = np.empty(WIDEST * len(values), np.uint8)      # what is not written takes no memory
    bad = {}
    if not len(values):
        return offsets, data, bad
    if values.dtype == np.float64:
        special = _write_floats(values, offsets, data, column, bad)
        if special:                  # with an exponent, and so perhaps long
            return offsets, _with_special(special, offsets, data), bad
    elif unit:
        for i in _write_instants(values, PER_SECOND[unit], offsets, data):
            bad[i] = f"`{values[i]}` {unit} since 1970 is outside the years 1 to 9999"
    elif values.dtype == np.uint64:
        _write_integers[uint64_t](values, offsets, data)
    else:
        _write_integers[int64_t](values, offsets, data)
    return offsets, data[: offsets[len(values)]], bad


def distinct(values, may_give_up=False):
    """`(codes, firsts)`: a uint32 code for each value, and for each code the row where it came first. Or, if it may give up,
    `(None, None)` where most of the first values differ.

    Values are distinguished by their 64 bits, so that `-0.0` and every NaN keep their own text.
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
        if may_give_up and 2 * n_found > row:
            return None, None
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

ctypedef fused Whole:
    int64_t
    uint64_t


cdef int _write_integers(const Whole[::1] values, int64_t[::1] offsets, unsigned char[::1] data) except -1:
    cdef char* start = <char*>&data[0]
    cdef char* p = start
    cdef int64_t i
    with nogil:
        for i in range(values.shape[0]):
            p = put_natural(p, values[i]) if Whole is uint64_t else put_integer(p, values[i])
            offsets[i + 1] = p - start
    return 0


def _write_instants(const int64_t[::1] values, int64_t per_second, int64_t[::1] offsets, unsigned char[::1] data):
    """Write instants; the indices of those that have no text."""
    cdef char* start = <char*>&data[0]
    cdef char* p = start
    cdef char day[DAY]
    cdef int64_t i, seconds, rest, days, known = LAST_SECOND       # no day
    bad = []
    for i in range(values.shape[0]):
        seconds = values[i] // per_second
        rest = values[i] - seconds * per_second
        if rest < 0:                # C divides towards zero, time runs from below
            seconds -= 1
            rest += per_second
        if FIRST_SECOND <= seconds <= LAST_SECOND:
            days = day_of(seconds)
            if days != known:       # PERF: of a log, most are of the same day as the one before
                put_day_of(day, days)
                known = days
            memcpy(p, day, DAY)
            p = put_time_of(p + DAY, <uint32_t>(seconds - days * 86400), <uint32_t>(rest * (1000000000 // per_second)))
        else:
            bad.append(i)
        offsets[i + 1] = p - start
    return bad


def _write_floats(const double[::1] values, int64_t[::1] offsets, unsigned char[::1] data, column, dict bad):
    """Write floats; those that Python has to write, as `{index: text}`, are left out, and what has no text is put into `bad`."""
    cdef char* start = <char*>&data[0]
    cdef char* p = start
    cdef char* end
    cdef int64_t i
    cdef double value
    special = {}
    for i in range(values.shape[0]):
        value = values[i]
        if -EXACT < value < EXACT and value == <double><int64_t>value and value != 0:
            end = put_integer(p, <int64_t>value)
        else:
            end = put_float(p, value)
        if end == p:
            try:
                special[i] = canonical_text(value, column).encode()
            except RequestValueError as error:
                bad[i] = error.message
        p = end
        offsets[i + 1] = p - start
    return special


def _with_special(special, offsets, data):
    """The texts with those that were left out; the offsets are moved in place."""
    pieces, at = [], 0
    longer = np.zeros_like(offsets)
    for i, text in special.items():
        pieces += (data[at : offsets[i]], text)
        at = offsets[i]
        longer[i + 1] = len(text)
    pieces.append(data[at : offsets[-1]])
    offsets += longer.cumsum()
    return np.frombuffer(b"".join(pieces), np.uint8)
