"""Context values of a single call that are neither text nor bool: numbers, dates in UTC, lists, tuples."""
from cpython.datetime cimport import_datetime
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t

from fastiam.kernel.base.format cimport put_day, put_float, put_integer, put_time
from fastiam.kernel.base.invariants cimport narrow_int32
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.decide.scratch cimport Frame, MAX_DIGITS


cdef extern from *:
    # PERF: pointers, as in `kernel.call.single_call`
    long long PyLong_AsLongLongAndOverflow(PyObject* o, int* overflow) noexcept
    bint PyLong_CheckExact(PyObject* o) noexcept
    bint PyList_CheckExact(PyObject* o) noexcept
    bint PyTuple_CheckExact(PyObject* o) noexcept
    Py_ssize_t PyList_GET_SIZE(PyObject* o) noexcept
    Py_ssize_t PyTuple_GET_SIZE(PyObject* o) noexcept
    PyObject* PyList_GET_ITEM(PyObject* o, Py_ssize_t i) noexcept
    PyObject* PyTuple_GET_ITEM(PyObject* o, Py_ssize_t i) noexcept
    bint PyFloat_CheckExact(PyObject* o) noexcept
    double PyFloat_AS_DOUBLE(PyObject* o) noexcept
    PyObject* Py_None

cdef extern from "datetime.h":
    bint PyDateTime_CheckExact(PyObject* o) noexcept
    PyObject* PyDateTime_DATE_GET_TZINFO(PyObject* o) noexcept
    PyObject* PyDateTime_TimeZone_UTC
    int PyDateTime_GET_YEAR(PyObject* o) noexcept
    int PyDateTime_GET_MONTH(PyObject* o) noexcept
    int PyDateTime_GET_DAY(PyObject* o) noexcept
    int PyDateTime_DATE_GET_HOUR(PyObject* o) noexcept
    int PyDateTime_DATE_GET_MINUTE(PyObject* o) noexcept
    int PyDateTime_DATE_GET_SECOND(PyObject* o) noexcept
    int PyDateTime_DATE_GET_MICROSECOND(PyObject* o) noexcept


import_datetime()


cdef bint number_text(Frame* f, PyObject* value, Text* out) noexcept:
    """The digits of an int of usual size, kept in the frame; few of them."""
    cdef int overflow
    cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef char* text = &f.digits[f.n_digits][0]
    if overflow or f.n_digits == MAX_DIGITS:
        return False
    f.n_digits += 1
    out[0] = Text(text, put_integer(text, number) - text)
    return True


cdef bint float_text(Frame* f, PyObject* value, Text* out) noexcept:
    """The shortest digits of a float, where these need no exponent; as `number_text`."""
    cdef char* text = &f.digits[f.n_digits][0]
    if f.n_digits == MAX_DIGITS:
        return False
    out[0] = Text(text, put_float(text, PyFloat_AS_DOUBLE(value)) - text)
    f.n_digits += 1
    return out.size > 0


cdef bint date_text(Frame* f, PyObject* value, Text* out) noexcept:
    """A date as the reference writes it, where it is one of UTC; as `number_text`."""
    cdef char* text = &f.digits[f.n_digits][0]
    cdef char* p
    if f.n_digits == MAX_DIGITS or PyDateTime_DATE_GET_TZINFO(value) != PyDateTime_TimeZone_UTC:
        return False
    f.n_digits += 1
    p = put_day(text, PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value))
    p = put_time(
        p, PyDateTime_DATE_GET_HOUR(value), PyDateTime_DATE_GET_MINUTE(value), PyDateTime_DATE_GET_SECOND(value),
        1000 * PyDateTime_DATE_GET_MICROSECOND(value),
    )
    out[0] = Text(text, p - text)
    return True


cdef bint item_text(Frame* f, PyObject* value, Text* out) noexcept:
    """The text of a value that is text, a bool, a number or a date."""
    if PyLong_CheckExact(value):
        return number_text(f, value, out)
    if PyFloat_CheckExact(value):
        return float_text(f, value, out)
    if PyDateTime_CheckExact(value):
        return date_text(f, value, out)
    return python_text(value, out)


cdef int32_t put_items(Frame* f, PyObject* value, int32_t at, Py_ssize_t taken, bint may_be_many) noexcept:
    """Put the text of a number or a date into a frame at its place, or those of a list or tuple behind all others; as many as `taken` have
    other uses. How many follow them, NO_VALUE of None, or NOT_PLAIN."""
    cdef bint is_list = PyList_CheckExact(value)
    cdef Py_ssize_t n, i, first
    if value == Py_None:
        return NO_VALUE
    if not is_list and not PyTuple_CheckExact(value):
        return 0 if item_text(f, value, &f.texts[at]) else NOT_PLAIN
    n = PyList_GET_SIZE(value) if is_list else PyTuple_GET_SIZE(value)
    first = f.text_capacity - f.n_items - n
    if n == 0 or first < taken or (n > 1 and not may_be_many):
        return NOT_PLAIN
    for i in range(n):
        if not item_text(f, PyList_GET_ITEM(value, i) if is_list else PyTuple_GET_ITEM(value, i), &f.texts[first + i]):
            return NOT_PLAIN
    f.n_items += narrow_int32(n)
    return narrow_int32(n)
