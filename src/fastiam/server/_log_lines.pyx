"""Lines of the decision log for decisions of the usual form, written without values of Python in between (G219).

`DecisionLog` defines what a line contains. A line of this module has the same bytes, or is left to it.

orjson or msgspec with plain Python take 2.6 times the CPU for a line, 4.8 us where this module takes 1.8: G219 allows 3 us.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.datetime cimport PyDateTime_Check, datetime_day, datetime_hour, datetime_microsecond, datetime_minute
from cpython.datetime cimport datetime_month, datetime_second, datetime_year, import_datetime
from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy, strlen

from fastiam.kernel.base.format cimport put_natural, put_pair


cdef extern from *:
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    void* PyUnicode_DATA(object text) noexcept

import_datetime()

cdef enum:
    SIZE = 8192     # bytes of a line
    SPARE = 512     # of them for what is not text of a request
    MAX_TEXT = 2048
    MAX_MEMBERS = 100
    CACHED = 1024


cdef struct Line:
    char* at
    char* end


cdef inline void put_literal(Line* line, const char* literal) noexcept:
    """Append a literal. PERF: the compiler knows its length."""
    cdef size_t size = strlen(literal)
    memcpy(line.at, literal, size)
    line.at += size


cdef inline bint put_bytes(Line* line, bytes piece) noexcept:
    """Append; False if the line is too long."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(piece)
    if size > line.end - line.at:
        return False
    memcpy(line.at, PyBytes_AS_STRING(piece), size)
    line.at += size
    return True


cdef bint put_text(Line* line, object text) noexcept:
    """Append a JSON string; False for anything but a short text of printable ASCII without quotes and backslashes."""
    cdef Py_ssize_t size, i
    cdef const uint8_t* data
    cdef uint8_t bad = 0
    if type(text) is not str or not PyUnicode_IS_COMPACT_ASCII(text):
        return False
    size, data = len(<str>text), <const uint8_t*>PyUnicode_DATA(text)
    if size > MAX_TEXT or size + 2 > line.end - line.at:
        return False
    for i in range(size):  # PERF: without a branch, so that the compiler checks many bytes at a time
        bad |= (data[i] < 32) | (data[i] == 34) | (data[i] == 92) | (data[i] == 127)
    if bad:
        return False
    line.at[0] = 34
    memcpy(line.at + 1, data, size)
    line.at[size + 1] = 34
    line.at += size + 2
    return True


cdef inline bint put_text_or_null(Line* line, object text) noexcept:
    if text is None:
        put_literal(line, b"null")
        return True
    return put_text(line, text)


cdef inline object cached(dict found, object key):
    cdef PyObject* value = PyDict_GetItemWithError(found, key)
    return None if value is NULL else <object>value


cdef inline void put_pairs(char* at, int value, int digits) noexcept nogil:
    """The last digits of a number, an even count of them."""
    while digits > 0:
        digits -= 2
        put_pair(at + digits, value % 100)
        value //= 100


cdef void put_instant(Line* line, object now) noexcept:
    """`YYYY-MM-DDThh:mm:ss.ffffffZ`."""
    cdef char* at = line.at
    put_literal(line, b"0000-00-00T00:00:00.000000Z")
    put_pairs(at, datetime_year(now), 4)
    put_pairs(at + 5, datetime_month(now), 2)
    put_pairs(at + 8, datetime_day(now), 2)
    put_pairs(at + 11, datetime_hour(now), 2)
    put_pairs(at + 14, datetime_minute(now), 2)
    put_pairs(at + 17, datetime_second(now), 2)
    put_pairs(at + 20, datetime_microsecond(now), 6)


cdef inline bint is_equal(bytes name, const char* literal) noexcept:
    cdef size_t size = strlen(literal)
    return <size_t>PyBytes_GET_SIZE(name) == size and memcmp(PyBytes_AS_STRING(name), literal, size) == 0


cdef bint has_field(tuple headers):
    """Whether a line has members for fields of the request."""
    cdef bytes name
    for field in headers:
        name = <bytes>(<tuple>field)[0]
        if is_equal(name, b"traceparent") or is_equal(name, b"x-request-id"):
            return True
    return False


@cython.final
cdef class LineWriter:
    """Writes lines of single decisions.

    Parameters
    ----------
    read_source
        path, name of the client and generation -> members from `labels` to `bundles`, as bytes without braces.
    read_reason
        decision -> members from `outcome`, as bytes without braces.
    read_name
        name of a member of the context -> it as a JSON string; None if the member is not logged as it is.
    """

    cdef object read_source, read_reason, read_name
    cdef dict sources, reasons, names

    def __init__(self, read_source, read_reason, read_name):
        self.read_source, self.read_reason, self.read_name = read_source, read_reason, read_name
        self.sources, self.reasons, self.names = {}, {}, {}

    def write(self, record, str decision_id not None, str client not None, tuple headers not None, now, long long elapsed_ns):
        """The line of a `DecisionRecord`; None if it is not of the usual form."""
        cdef char[SIZE] buffer
        cdef Line line
        cdef bytes source, reason
        decision, result, context = record.decision, record.result, record.context
        if (
            decision is None or record.error is not None or type(result) is not bool or type(context) is not dict
            or elapsed_ns < 0 or not PyDateTime_Check(now) or has_field(headers)
        ):
            return None
        source = self.source(record.path, client, record.generation)
        reason = self.reason(decision)
        if reason is None:
            return None
        line.at, line.end = buffer, buffer + SIZE - SPARE
        put_literal(&line, b'{"decision_id":')
        if not put_text(&line, decision_id):
            return None
        put_literal(&line, b',"timestamp":"')
        put_instant(&line, now)
        put_literal(&line, b'",')
        if not put_bytes(&line, source):
            return None
        put_literal(&line, b',"input":{"principal":')
        if not put_text_or_null(&line, record.principal):
            return None
        if record.sent_id is not None:
            put_literal(&line, b',"subject":')
            if not put_text(&line, record.sent_id):
                return None
        put_literal(&line, b',"action":')
        if not put_text_or_null(&line, record.action):
            return None
        put_literal(&line, b',"resource":')
        if not put_text_or_null(&line, record.resource):
            return None
        put_literal(&line, b',"context":{')
        if not self.put_context(&line, <dict>context):
            return None
        put_literal(&line, b'}},"result":')
        if result:
            put_literal(&line, b"true,")
        else:
            put_literal(&line, b"false,")
        if not put_bytes(&line, reason):
            return None
        put_literal(&line, b',"metrics":{"timer_server_handler_ns":')
        line.at = put_natural(line.at, elapsed_ns)
        put_literal(&line, b"}}\n")
        return PyBytes_FromStringAndSize(buffer, line.at - buffer)

    cdef bint put_context(self, Line* line, dict context) except -1:
        # SAFETY: `line` has SPARE bytes after its end; what is written without a check below is at most 7 of them.
        cdef bint is_first = True
        cdef bytes name
        if len(context) > MAX_MEMBERS:
            return False
        for key, value in context.items():
            name = self.name(key)
            if name is None:
                return False
            if not is_first:
                line.at[0] = 44
                line.at += 1
            is_first = False
            if not put_bytes(line, name):
                return False
            line.at[0] = 58
            line.at += 1
            if value is True:
                put_literal(line, b"true")
            elif value is False:
                put_literal(line, b"false")
            elif not put_text(line, value):
                return False
        return True

    cdef bytes source(self, object path, str client, object generation):
        key = (path, client, generation)
        found = cached(self.sources, key)
        if found is None:
            found = self.read_source(path, client, generation)
            self.add(self.sources, key, found)
        return <bytes>found

    cdef bytes reason(self, object decision):
        """None for a decision that is not cached."""
        number = <Py_ssize_t><PyObject*>decision
        found = cached(self.reasons, number)
        if found is None:
            if decision.depends_on:  # each one is an object of its own
                return None
            found = (self.read_reason(decision), decision)  # holds the decision, so that no other one gets its id
            self.add(self.reasons, number, found)
        return <bytes>(<tuple>found)[0]

    cdef bytes name(self, object key):
        found = cached(self.names, key)
        if found is None:
            found = self.read_name(key)
            if found is not None:
                self.add(self.names, key, found)
        return <bytes>found

    cdef object add(self, dict cache, object key, object value):
        if len(cache) >= CACHED:
            cache.clear()
        cache[key] = value
