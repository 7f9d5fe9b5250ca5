"""What a thread needs while it decides: scratch space that is reused from call to call. Header only."""
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from fastiam._call cimport Scratch, Slot
from fastiam._columns cimport Text
from fastiam._types cimport TablesC


cdef struct Frame:
    Scratch s
    Slot* slots
    Text* texts
    int32_t n_slots
    int32_t n_texts
    int32_t slot_room
    int32_t text_room
    Frame* next


cdef inline Frame* new_frame() except NULL:
    cdef Frame* f = <Frame*>calloc(1, sizeof(Frame))
    if f == NULL:
        raise MemoryError()
    return f


cdef inline void forget_truths(Scratch* s) noexcept nogil:
    """The codes of columns mean other values from now on."""
    cdef uint32_t i
    if s.truth_bytes:
        for i in range(s.n_truths):
            free(s.truths[i])
            s.truths[i] = NULL
    s.truth_bytes = 0


cdef inline int fit_truths(Frame* f, const TablesC* t) except -1:
    """Room for the truths of every atom, forgotten."""
    forget_truths(&f.s)
    if f.s.n_truths < t.n_atoms or f.s.truths == NULL:
        free(f.s.truths)
        f.s.n_truths = t.n_atoms + (t.n_atoms >> 1) + 16
        f.s.truths = <uint8_t**>calloc(f.s.n_truths, sizeof(uint8_t*))
        if f.s.truths == NULL:
            f.s.n_truths = 0
            raise MemoryError()
    return 0


cdef inline void free_frame(Frame* f):
    cdef int i
    forget_truths(&f.s)
    free(f.s.truths)
    free(f.s.memo)
    free(f.s.sources)
    free(f.s.touched)
    free(f.s.touched_row)
    free(f.s.matters)
    for i in range(2):
        free(f.s.texts[i])
        free(f.s.expanded[i].data)
        free(f.s.folded[i].data)
    free(f.slots)
    free(f.texts)
    free(f)


cdef inline int fit(Frame* f, const TablesC* t) except -1:
    """Room for every atom and key there is."""
    cdef uint32_t i
    if f.s.n_memo < t.n_atoms or f.s.memo == NULL:
        free(f.s.memo)
        f.s.n_memo = t.n_atoms + (t.n_atoms >> 1) + 16
        f.s.memo = <uint32_t*>calloc(f.s.n_memo, 4)
        f.s.stamp = 0
        if f.s.memo == NULL:
            f.s.n_memo = 0
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


cdef inline void next_stamp(Scratch* s) noexcept nogil:
    s.stamp += 1
    if s.stamp >> 30:
        memset(s.memo, 0, <size_t>s.n_memo * 4)
        s.stamp = 1


cdef inline int utf8_of(str text, Text* out) except -1:
    """The UTF-8 of a string, borrowed from it; False where it has none (a lone surrogate)."""
    cdef Py_ssize_t size
    try:
        out.data = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        return False
    out.size = size
    return True
