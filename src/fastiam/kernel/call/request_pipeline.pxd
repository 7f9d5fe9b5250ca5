"""Software pipelining of a list of requests. Header only.

While one request is decided, the memory that later requests need is prefetched. Each request passes several stages, and each stage prefetches
what the next one reads. Invariant: a lookup is valid until Python code runs; after that, `stop` flushes the pipeline.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t

from fastiam.kernel.base.text cimport prefetch
from fastiam.kernel.call.fast_request cimport NOT_LOOKED_UP, flats_of, is_usual
from fastiam.kernel.call.single_call cimport (
    Asked, Pairs, UNSETTLED, ask_asked, ask_caller, ask_context, ask_own_place, ask_principal, ask_principal_name, ask_principal_text, decide_found,
    decide_plain, find_action, find_principal, gather, put_action, put_resource, read_context,
)
from fastiam.kernel.call.workspace cimport Workspace
from fastiam.kernel.model.decision cimport Answer
from fastiam.kernel.model.plan_lookup cimport find_plan
from fastiam.kernel.model.tables cimport *


cdef enum:
    N_AHEAD = 32               # places for requests that are looked at, a power of two
    CALM = 8                   # plain requests after one that was not, before others are looked at again
    BREATH = 4096              # requests after which other threads, and signals, have their turn


cdef enum Stage:               # how many requests before its turn one passes it
    AT_ROW = 24
    AT_PARTS = 20
    AT_TEXTS = 16
    AT_NUMBERS = 12
    AT_NAME = 9
    AT_PLACE = 6
    AT_POLICIES = 4
    AT_FLATS = 2
    AT_PATTERNS = 1


cdef extern from *:
    """
    #define fastiam_length(rows) Py_SIZE(rows)
    static inline PyObject* fastiam_item(PyObject* rows, Py_ssize_t i) {   /* of a list or tuple; borrowed */
        return PyList_CheckExact(rows) ? PyList_GET_ITEM(rows, i) : PyTuple_GET_ITEM(rows, i);
    }
    """
    Py_ssize_t length_of "fastiam_length" (PyObject* rows) noexcept
    PyObject* item_of "fastiam_item" (PyObject* rows, Py_ssize_t i) noexcept
    PyObject* Py_None
    bint PyTuple_Check(PyObject* o) noexcept
    PyObject* PyTuple_GET_ITEM(PyObject* row, Py_ssize_t i) noexcept


cdef struct Looked:            # a request that was looked at
    PyObject* row              # borrowed; NULL: the list ends before
    PyObject* parts[4]         # borrowed: principal, action, resource, context
    Asked who
    Pairs pairs                # of the context
    uint32_t action_name
    bint is_plain              # else the long way decides
    const Row* own             # NULL: not looked up, for who asks is not usual, or the row is not by class


cdef struct Ahead:
    Looked looked[N_AHEAD]
    bint is_looking
    int calm                   # plain requests since the last one that was not


cdef inline int breathe() except -1:
    """Let signals and other threads have their turn."""
    PyErr_CheckSignals()
    with nogil:
        pass
    return 0


cdef inline void stop(Ahead* ahead) noexcept:
    """Forget what was looked up: Python code may have run."""
    ahead.is_looking = False


cdef inline Looked* place_at(Ahead* ahead, Py_ssize_t i) noexcept:
    return &ahead.looked[i & (N_AHEAD - 1)]


# -- the stages ---------------------------------------------------------------------------------------------------------------

cdef inline void look_at_row(Looked* one, PyObject* rows, Py_ssize_t i) noexcept:
    """The list may end before."""
    cdef PyObject* row
    one.row = NULL
    if i >= length_of(rows):
        return
    one.row = row = item_of(rows, i)
    prefetch(row)
    prefetch(<const char*>row + 48)


cdef inline bint take_parts(Looked* one) noexcept:
    """The parts of a request; False if it is none."""
    cdef Py_ssize_t i, n
    if one.row == NULL or not PyTuple_Check(one.row):
        return False
    n = length_of(one.row)
    if n != 3 and n != 4:
        return False
    one.parts[3] = Py_None
    for i in range(n):
        one.parts[i] = PyTuple_GET_ITEM(one.row, i)
    return True


cdef inline void look_at_parts(Looked* one) noexcept:
    one.action_name = NONE
    one.own = NULL
    one.is_plain = take_parts(one)
    if one.is_plain:
        ask_caller(one.parts[0], one.parts[1])
        ask_asked(one.parts[2], one.parts[3])


cdef inline void look_at_texts(Looked* one, Workspace* w, const TablesC* t) noexcept:
    if one.is_plain:
        one.is_plain = ask_principal(w, t, one.parts[0], &one.who) and ask_context(one.parts[3], &one.pairs)


cdef inline void look_at_numbers(Looked* one, Workspace* w, const TablesC* t) noexcept:
    if not one.is_plain:
        return
    ask_principal_name(t, &one.who)
    if one.parts[3] != Py_None:
        gather(one.parts[3], &one.pairs)
    one.is_plain = find_action(w, t, one.parts[1], &one.action_name)


cdef inline void look_at_name(Looked* one, const TablesC* t) noexcept:
    if one.is_plain:
        ask_principal_text(t, &one.who)


cdef inline void look_at_place(Looked* one, Workspace* w, const TablesC* t) noexcept:
    if one.is_plain:
        one.is_plain = find_principal(w, t, one.parts[0], &one.who)
        ask_own_place(t, &one.who, t.name_classes[one.action_name])


cdef inline void look_at_policies(Looked* one, const TablesC* t) noexcept:
    cdef const Principal* p
    cdef uint32_t action
    if one.is_plain:
        p = &t.principals[one.who.found]
        action = t.name_classes[one.action_name]
        if p.principal_set < t.n_indexed_sets and is_usual(p, &t.classes[action]):
            one.own = find_plan(t, p.principal_set, action)
            prefetch(one.own)


cdef inline void look_at_flats(Looked* one, const TablesC* t) noexcept:
    if one.own != NULL and one.own.flags & ROW_FLAT:
        prefetch(&t.flats[one.own.flat])
        prefetch(&t.flats[one.own.flat + 2])


cdef inline void look_at_patterns(Looked* one, const TablesC* t) noexcept:
    if one.own != NULL and one.own.flags & ROW_FLAT and one.own.n_flats:
        prefetch(t.pool + t.flats[one.own.flat].text)


cdef inline void pass_stages(Ahead* ahead, Workspace* w, const TablesC* t, PyObject* rows, Py_ssize_t i) noexcept:
    """What is done ahead while request `i` has its turn."""
    look_at_row(place_at(ahead, i + AT_ROW), rows, i + AT_ROW)
    look_at_parts(place_at(ahead, i + AT_PARTS))
    look_at_texts(place_at(ahead, i + AT_TEXTS), w, t)
    look_at_numbers(place_at(ahead, i + AT_NUMBERS), w, t)
    look_at_name(place_at(ahead, i + AT_NAME), t)
    look_at_place(place_at(ahead, i + AT_PLACE), w, t)
    look_at_policies(place_at(ahead, i + AT_POLICIES), t)
    look_at_flats(place_at(ahead, i + AT_FLATS), t)
    look_at_patterns(place_at(ahead, i + AT_PATTERNS), t)


cdef inline void begin(Ahead* ahead, Workspace* w, const TablesC* t, PyObject* rows, Py_ssize_t i) noexcept:
    """Look at the requests from `i` on."""
    cdef Py_ssize_t k
    ahead.is_looking = True
    for k in range(i, i + AT_ROW):
        look_at_row(place_at(ahead, k), rows, k)
    for k in range(i, i + AT_PARTS):
        look_at_parts(place_at(ahead, k))
    for k in range(i, i + AT_TEXTS):
        look_at_texts(place_at(ahead, k), w, t)
    for k in range(i, i + AT_NUMBERS):
        look_at_numbers(place_at(ahead, k), w, t)
    for k in range(i, i + AT_NAME):
        look_at_name(place_at(ahead, k), t)
    for k in range(i, i + AT_PLACE):
        look_at_place(place_at(ahead, k), w, t)
    for k in range(i, i + AT_POLICIES):
        look_at_policies(place_at(ahead, k), t)
    for k in range(i, i + AT_FLATS):
        look_at_flats(place_at(ahead, k), t)
    for k in range(i, i + AT_PATTERNS):
        look_at_patterns(place_at(ahead, k), t)


# -- the turn of a request ------------------------------------------------------------------------------------------------------

cdef inline int decide_looked(
    Ahead* ahead, Workspace* w, Answer* a, const TablesC* t, PyObject* key_ids, Py_ssize_t i, int64_t now, bint reasons
) noexcept:
    """Decide a request that has passed the stages. A status of `kernel.decide.combine`, or UNSETTLED."""
    cdef Looked* one = place_at(ahead, i)
    cdef Range own = Range(0, NOT_LOOKED_UP)
    cdef bint checked = True
    if not one.is_plain or not put_action(t, one.action_name, &w.call) or not put_resource(&w.call, one.parts[2]):
        return UNSETTLED
    if not read_context(w, t, key_ids, one.parts[3], &one.pairs, &checked):
        return UNSETTLED
    if one.own != NULL:
        own = flats_of(one.own)
    return decide_found(w, a, t, one.who.found, Py_None, checked, own, now, reasons)


cdef inline int decide_item(
    Ahead* ahead, Workspace* w, Answer* a, const TablesC* t, PyObject* key_ids, PyObject* rows, Py_ssize_t i, int64_t now, bint reasons
) noexcept:
    """Decide a request of a list on the tables as they are. A status of `kernel.decide.combine`, or UNSETTLED."""
    cdef Looked alone
    if not ahead.is_looking and ahead.calm >= CALM:
        begin(ahead, w, t, rows, i)
    if ahead.is_looking:
        pass_stages(ahead, w, t, rows, i)
        return decide_looked(ahead, w, a, t, key_ids, i, now, reasons)
    ahead.calm += 1
    alone.row = item_of(rows, i)
    if not take_parts(&alone):
        return UNSETTLED
    return decide_plain(
        w, a, t, key_ids, alone.parts[0], alone.parts[1], alone.parts[2], alone.parts[3], Py_None, now, reasons
    )
