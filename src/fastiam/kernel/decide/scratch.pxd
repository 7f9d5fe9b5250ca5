"""Scratch space of a thread, reused from call to call. Header only."""
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from fastiam.kernel.base.text cimport Text
from fastiam.kernel.eval.memo cimport invalidate_memo
from fastiam.kernel.model.call cimport AtomMemo, Scratch, ContextEntry
from fastiam.kernel.model.tables cimport TablesC


cdef extern from *:
    """
    /* the text of a string whose characters are all ASCII, else NULL: such strings are their own UTF-8 */
    static inline const char* fastiam_ascii(PyObject* text, Py_ssize_t* size) {
        if (!PyUnicode_IS_COMPACT_ASCII(text)) return NULL;
        *size = PyUnicode_GET_LENGTH(text);
        return (const char*)PyUnicode_1BYTE_DATA(text);
    }
    """
    const char* fastiam_ascii(PyObject* text, Py_ssize_t* size) noexcept
    const char* PyUnicode_AsUTF8AndSize(PyObject* text, Py_ssize_t* size) noexcept


cdef enum:
    DIGITS = 28                # room for those of an int or float with its sign, or of a date
    MAX_DIGITS = 8             # of these, in the context of a usual call


cdef struct Frame:
    Scratch s
    ContextEntry* context_entries
    Text* texts
    int32_t n_context_entries
    int32_t n_texts
    int32_t entry_capacity
    int32_t text_capacity
    int32_t n_items            # texts of lists, at the end of that room
    int32_t n_digits
    char digits[MAX_DIGITS][DIGITS]    # of numbers and dates in the context of a call


cdef inline Frame* new_frame() except NULL:
    cdef Frame* f = <Frame*>calloc(1, sizeof(Frame))
    if f == NULL:
        raise MemoryError()
    return f


cdef inline void free_atom_memo(Scratch* s) noexcept nogil:
    """The codes of columns mean other values from now on."""
    cdef uint32_t i
    for i in range(s.n_atom_memo):
        free(s.atom_memo[i].truths)
        s.atom_memo[i].truths = NULL
        s.atom_memo[i].dependencies = 0
        s.atom_memo[i].filter_bits = 0                   # bits are given anew when the tables are dropped
    s.atom_memo_bytes = 0


cdef inline int reserve_truths(Frame* f, const TablesC* t) except -1:
    """Reserve the truths of every atom, and clear them."""
    invalidate_memo(&f.s)
    free_atom_memo(&f.s)
    if f.s.n_atom_memo < t.n_atoms or f.s.atom_memo == NULL:
        free(f.s.atom_memo)
        f.s.n_atom_memo = t.n_atoms + (t.n_atoms >> 1) + 16
        f.s.atom_memo = <AtomMemo*>calloc(f.s.n_atom_memo, sizeof(AtomMemo))
        if f.s.atom_memo == NULL:
            f.s.n_atom_memo = 0
            raise MemoryError()
    return 0


cdef inline void empty_frame(Frame* f):
    """Free what a frame holds."""
    cdef int i
    if f.s.atom_memo != NULL:
        free_atom_memo(&f.s)
    free(f.s.atom_memo)
    free(f.s.call_truths)
    free(f.s.sources)
    free(f.s.key_counts)
    free(f.s.set_counts)
    free(f.s.counted_sets)
    free(f.s.deciding_keys)
    for i in range(2):
        free(f.s.texts[i])
        free(f.s.expanded[i].data)
        free(f.s.folded[i].data)
    free(f.context_entries)
    free(f.texts)


cdef inline void free_frame(Frame* f):
    empty_frame(f)
    free(f)


cdef inline int fit(Frame* f, const TablesC* t) except -1:
    """Room for every atom and key there is."""
    cdef uint32_t i
    if f.s.n_call_truths < t.n_atoms or f.s.call_truths == NULL:
        free(f.s.call_truths)
        f.s.n_call_truths = t.n_atoms + (t.n_atoms >> 1) + 16
        f.s.call_truths = <uint32_t*>calloc(f.s.n_call_truths, 4)
        f.s.stamp = 0
        if f.s.call_truths == NULL:
            f.s.n_call_truths = 0
            raise MemoryError()
    if f.s.n_sources < t.n_keys or f.s.sources == NULL:
        free(f.s.sources)
        f.s.n_sources = t.n_keys + (t.n_keys >> 1) + 16
        f.s.sources = <int32_t*>malloc(f.s.n_sources * 4)
        if f.s.sources == NULL:
            f.s.n_sources = 0
            raise MemoryError()
        for i in range(f.s.n_sources):
            f.s.sources[i] = -1
    return 0


cdef inline void clear(Frame* f) noexcept nogil:
    """Clear the context of a call."""
    cdef int32_t i
    for i in range(f.n_context_entries):
        f.s.sources[f.context_entries[i].key] = -1
    f.n_context_entries = 0
    f.n_texts = 0
    f.n_items = 0
    f.n_digits = 0


cdef inline void next_stamp(Scratch* s) noexcept nogil:
    s.stamp += 1
    if s.stamp >> 30:
        memset(s.call_truths, 0, <size_t>s.n_call_truths * 4)
        s.stamp = 1


cdef inline bint text_of(PyObject* text, Text* out) noexcept:
    """The UTF-8 of a string, borrowed from it; False where it has none (a lone surrogate), or there is no memory for it."""
    cdef Py_ssize_t size
    out.data = fastiam_ascii(text, &size)
    if out.data == NULL:
        out.data = PyUnicode_AsUTF8AndSize(text, &size)
        if out.data == NULL:
            PyErr_Clear()
            return False
    out.size = size
    return True


cdef inline int utf8_of(str text, Text* out) except -1:
    """As `text_of`, but raises where there is no memory."""
    cdef Py_ssize_t size
    out.data = fastiam_ascii(<PyObject*>text, &size)
    if out.data == NULL:
        out.data = PyUnicode_AsUTF8AndSize(<PyObject*>text, &size)
        if out.data == NULL:
            if not PyErr_ExceptionMatches(UnicodeEncodeError):
                return -1
            PyErr_Clear()
            return False
    out.size = size
    return True
