"""Context values of a single call as texts, converted from Python objects."""
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t

from fastiam.kernel.base.text cimport Text
from fastiam.kernel.decide.scratch cimport Frame, text_of


cdef extern from *:
    bint PyUnicode_CheckExact(PyObject* o) noexcept
    PyObject* Py_True
    PyObject* Py_False


cdef enum:
    NOT_PLAIN = -1             # the general path reads it, or raises
    NO_VALUE = -2              # the caller says that the key is absent


cdef inline bint python_text(PyObject* value, Text* out) noexcept:
    """The text of a value that is text or a bool."""
    if PyUnicode_CheckExact(value):
        return text_of(value, out)
    if value == Py_True:
        out[0] = Text(b"true", 4)
        return True
    if value == Py_False:
        out[0] = Text(b"false", 5)
        return True
    return False


# PERF: in a module of its own, so that no compiler takes what few calls need into the loop that all run through: 30 instructions
cdef int32_t put_items(Frame* f, PyObject* value, int32_t at, Py_ssize_t taken, bint may_be_many) noexcept
