"""Workspace of single calls: scratch space, and caches from one call to the next. Header only.

A workspace caches objects that programs pass repeatedly: names of keys and actions, which are usually literals, and principals. The key is the
address of the object. A cache entry holds a reference to it, so that no other object can reuse the address. Other objects are found by value.
"""
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastiam.kernel.base.text cimport mix
from fastiam.kernel.call.pair_cache cimport Meetings, forget_meetings
from fastiam.kernel.call.pointer_cache cimport Habit, N_HABITS, forget_habit, hold
from fastiam.kernel.decide.scratch cimport Frame, empty_frame
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.conditions cimport BROAD, STRICT
from fastiam.kernel.model.decision cimport Answer
from fastiam.kernel.model.ids cimport NONE


cdef enum:
    N_KEYS = 256               # places for what is remembered, powers of two
    N_NAMES = 128
    N_SESSIONS = 1024          # told by where they lie alone: one that is not remembered goes the long way
    N_DECISIONS = 256
    N_PAIRS = 8                # keys of a context that are looked at together
    SELDOM = 16                # of so many objects that were not remembered one is put in the place of another


cdef struct Known:             # an object that callers pass again
    PyObject* object           # owned; NULL: none
    int64_t number             # of the key, with flags (NOT_READ: nothing reads it), the action name, or the principal


cdef struct Told:
    uint64_t key               # `answer_key`
    PyObject* decision         # owned; NULL: none


cdef struct Workspace:         # what a single call works with, and what is remembered from one to the next
    Frame frame
    Call call                  # of plain calls: zero but for what they set
    uint64_t epoch             # `Core.epoch` of what is remembered
    uint32_t n_new             # objects that were not remembered
    uint32_t n_asked           # requests of a caller who is, and might have a habit
    # memos by the object that is passed; dropped with the tables (`epoch`), in part when others are met
    Known keys[N_KEYS]
    Known* lately[N_PAIRS]     # of these, where the names of the last context lie: it mostly has the same ones
    Known actions[N_NAMES]
    Known principals[N_NAMES]
    Known sessions[N_SESSIONS]
    # memo by what a `Decision` says; dropped as these; gives 1.35 times for calls that repeat
    Told decisions[N_DECISIONS]
    # memo by the objects of principal and action (`pointer_cache`); dropped as these; gives 6 to 9 % of `is_allowed`
    Habit habits[N_HABITS]
    # memo by the names of principal and action (`pair_cache`); dropped as these; 1.3 times for new texts of 50,000 roles
    Meetings meetings
    Workspace* next


cdef inline Workspace* new_workspace() except NULL:
    cdef Workspace* w = <Workspace*>calloc(1, sizeof(Workspace))
    if w == NULL:
        raise MemoryError()
    w.call.s = &w.frame.s
    w.call.accept[0] = STRICT
    w.call.accept[1] = BROAD
    return w


cdef inline void forget_objects(Known* known, int n):
    cdef int i
    for i in range(n):
        Py_XDECREF(known[i].object)
        known[i].object = NULL


cdef inline void forget(Workspace* w):
    """Let go of what is remembered."""
    cdef int i
    forget_objects(w.keys, N_KEYS)
    forget_objects(w.actions, N_NAMES)
    forget_objects(w.principals, N_NAMES)
    forget_objects(w.sessions, N_SESSIONS)
    for i in range(<int>N_DECISIONS):
        Py_XDECREF(w.decisions[i].decision)
        w.decisions[i].decision = NULL
    for i in range(<int>N_HABITS):
        forget_habit(&w.habits[i])
    forget_meetings(&w.meetings)


cdef inline void free_workspace(Workspace* w):
    forget(w)
    empty_frame(&w.frame)
    free(w)


cdef inline Known* place_of(Known* known, uint32_t n, PyObject* what) noexcept:
    """Where an object is remembered, if it is."""
    return &known[(<uint64_t><size_t>what * <uint64_t>0x9E3779B97F4A7C15ULL >> 40) & (n - 1)]


cdef inline void remember(Workspace* w, Known* place, PyObject* text, int64_t number) noexcept:
    """Remember a text, seldom in the place of another: a million different ones are not worth the work."""
    w.n_new += 1
    if place.object != NULL and w.n_new % SELDOM:
        return
    hold(text)
    Py_XDECREF(place.object)                             # a text: nothing runs
    place.object = text
    place.number = number


cdef inline void remember_session(Workspace* w, object session, int64_t number):
    """Remember a session. May run code of one that is forgotten for it."""
    cdef Known* place = place_of(w.sessions, N_SESSIONS, <PyObject*>session)
    cdef PyObject* other = place.object
    if other != <PyObject*>session:
        Py_INCREF(session)
        place.object = <PyObject*>session
        place.number = number
        Py_XDECREF(other)


# -- answers ---------------------------------------------------------------------------------------------------------------

cdef inline uint64_t answer_key(const Call* c, const Answer* a, bint indeterminate) noexcept nogil:
    """All that a `Decision` says, but for the unknown keys that matter."""
    cdef uint64_t occurrence = NONE if a.entry == NULL else a.entry.occurrence
    cdef uint32_t level = 0 if a.entry == NULL else a.entry.level
    return (
        (occurrence << 32) | (level << 24) | (<uint32_t>a.outcome << 20) | (<uint32_t>a.layer << 16) | (<uint32_t>a.reason << 8)
        | (<uint32_t>indeterminate << 2) | (<uint32_t>c.assumed_owner << 1) | c.owner_override
    )


cdef inline Told* told_place(Workspace* w, uint64_t key) noexcept nogil:
    """Where the decision with this key is kept, if it is."""
    return &w.decisions[mix(key) & (N_DECISIONS - 1)]


cdef inline void keep_decision(Told* place, uint64_t key, object decision):
    cdef PyObject* other = place.decision
    Py_INCREF(decision)
    place.key = key
    place.decision = <PyObject*>decision
    Py_XDECREF(other)
