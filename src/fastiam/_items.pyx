"""Values of a context of a single call that are neither text nor bool: ints, lists, tuples."""
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, uint64_t

from fastiam._columns cimport Text
from fastiam._frame cimport DIGITS, MOST_DIGITS, Frame


cdef extern from *:
    # PERF: pointers, as in `_single`
    long long PyLong_AsLongLongAndOverflow(PyObject* o, int* overflow) noexcept
    bint PyLong_CheckExact(PyObject* o) noexcept
    bint PyList_CheckExact(PyObject* o) noexcept
    bint PyTuple_CheckExact(PyObject* o) noexcept
    Py_ssize_t PyList_GET_SIZE(PyObject* o) noexcept
    Py_ssize_t PyTuple_GET_SIZE(PyObject* o) noexcept
    PyObject* PyList_GET_ITEM(PyObject* o, Py_ssize_t i) noexcept
    PyObject* PyTuple_GET_ITEM(PyObject* o, Py_ssize_t i) noexcept


cdef bint number_text(Frame* f, PyObject* value, Text* out) noexcept:
    """The digits of an int of usual size, kept in the frame; few of them."""
    cdef int overflow
    cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef uint64_t left = <uint64_t>number if number >= 0 else 0 - <uint64_t>number
    cdef char* end
    cdef char* p
    if overflow or f.n_digits == MOST_DIGITS:
        return False
    p = end = &f.digits[f.n_digits][DIGITS]
    f.n_digits += 1
    while True:
        p -= 1
        p[0] = <char>(48 + left % 10)
        left //= 10
        if left == 0:
            break
    if number < 0:
        p -= 1
        p[0] = 45                                        # "-"
    out[0] = Text(p, end - p)
    return True


cdef bint item_text(Frame* f, PyObject* value, Text* out) noexcept:
    """The text of a value that is text, a bool or an int."""
    return number_text(f, value, out) if PyLong_CheckExact(value) else value_text(value, out)


cdef int32_t put_items(Frame* f, PyObject* value, int32_t at, Py_ssize_t taken, bint may_be_many) noexcept:
    """Put the text of an int into a frame at its place, or those of a list or tuple behind all others; as many as `taken` have other uses.
    How many stand behind them, or NOT_PLAIN."""
    cdef bint is_list = PyList_CheckExact(value)
    cdef Py_ssize_t n, i, first
    if not is_list and not PyTuple_CheckExact(value):
        return 0 if PyLong_CheckExact(value) and number_text(f, value, &f.texts[at]) else NOT_PLAIN
    n = PyList_GET_SIZE(value) if is_list else PyTuple_GET_SIZE(value)
    first = f.text_room - f.n_items - n
    if n == 0 or first < taken or (n > 1 and not may_be_many):
        return NOT_PLAIN
    for i in range(n):
        if not item_text(f, PyList_GET_ITEM(value, i) if is_list else PyTuple_GET_ITEM(value, i), &f.texts[first + i]):
            return NOT_PLAIN
    f.n_items += <int32_t>n
    return <int32_t>n
