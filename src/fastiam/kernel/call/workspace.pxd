"""Workspace of single calls: scratch space, and caches from one call to the next. Header only.

A workspace caches objects that programs pass repeatedly: names of keys and actions, which are usually literals, and principals. The key is the
address of the object. A cache entry holds a reference to it, so that no other object can reuse the address. Other objects are found by value.
"""
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastiam.kernel.base.text cimport mix
from fastiam.kernel.call.pair_cache cimport PairCache, clear_pair_cache
from fastiam.kernel.call.pointer_cache cimport PointerCacheEntry, POINTER_CACHE_SIZE, clear_pointers, hold
from fastiam.kernel.decide.scratch cimport Frame, empty_frame
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.conditions cimport BROAD, STRICT
from fastiam.kernel.model.decision cimport RawDecision
from fastiam.kernel.model.ids cimport NONE


cdef enum:
    N_KEYS = 256               # slots of the caches, powers of two
    N_NAMES = 128
    N_SESSIONS = 1024          # by address only: a session that is not cached takes the general path
    N_DECISIONS = 256
    MAX_CONTEXT_ITEMS = 8      # keys of a context that are prefetched together
    ADMIT_ONE_IN = 16          # of so many objects that were not cached one replaces another


cdef struct CachedObject:      # an object that callers pass again
    PyObject* object           # owned; NULL: none
    int64_t number             # of the key, with flags (NOT_READ: nothing reads it), the action name, or the principal


cdef struct CachedDecision:
    uint64_t key               # `decision_key`
    PyObject* decision         # owned; NULL: none


cdef struct Workspace:         # what a single call works with, and what is cached from one to the next
    Frame frame
    Call call                  # of plain calls: zero, except for what they set
    uint64_t epoch             # `Core.epoch` of what is cached
    uint32_t n_new             # objects that were not cached
    uint32_t n_admissions      # requests of cached principals, which might be stored in the pointer cache
    # memos by the object that is passed; dropped with the tables (`epoch`), in part when others come
    CachedObject keys[N_KEYS]
    CachedObject* recent_keys[MAX_CONTEXT_ITEMS]  # of these, the slots of the names of the last context, which mostly has the same ones
    CachedObject actions[N_NAMES]
    CachedObject principals[N_NAMES]
    CachedObject sessions[N_SESSIONS]
    # memo by what a `Decision` says; dropped as these; gives 1.35 times for calls that repeat
    CachedDecision decisions[N_DECISIONS]
    # memo by the objects of principal and action (`pointer_cache`); dropped as these; gives 6 to 9 % of `is_allowed`
    PointerCacheEntry pointer_cache[POINTER_CACHE_SIZE]
    # memo by the names of principal and action (`pair_cache`); dropped as these; 1.3 times for new texts of 50,000 roles
    PairCache pair_cache
    Workspace* next


cdef inline Workspace* new_workspace() except NULL:
    cdef Workspace* w = <Workspace*>calloc(1, sizeof(Workspace))
    if w == NULL:
        raise MemoryError()
    w.call.s = &w.frame.s
    w.call.accept[0] = STRICT
    w.call.accept[1] = BROAD
    return w


cdef inline void clear_object_cache(CachedObject* known, int n):
    cdef int i
    for i in range(n):
        Py_XDECREF(known[i].object)
        known[i].object = NULL


cdef inline void clear_workspace(Workspace* w):
    """Clear what is cached."""
    cdef int i
    clear_object_cache(w.keys, N_KEYS)
    clear_object_cache(w.actions, N_NAMES)
    clear_object_cache(w.principals, N_NAMES)
    clear_object_cache(w.sessions, N_SESSIONS)
    for i in range(<int>N_DECISIONS):
        Py_XDECREF(w.decisions[i].decision)
        w.decisions[i].decision = NULL
    for i in range(<int>POINTER_CACHE_SIZE):
        clear_pointers(&w.pointer_cache[i])
    clear_pair_cache(&w.pair_cache)


cdef inline void free_workspace(Workspace* w):
    clear_workspace(w)
    empty_frame(&w.frame)
    free(w)


cdef inline CachedObject* cached_object_slot(CachedObject* known, uint32_t n, PyObject* what) noexcept:
    """The slot of an object, if it is cached."""
    return &known[(<uint64_t><size_t>what * <uint64_t>0x9E3779B97F4A7C15ULL >> 40) & (n - 1)]


cdef inline void cache_number(Workspace* w, CachedObject* slot, PyObject* text, int64_t number) noexcept:
    """Cache a text, seldom instead of another: a million different ones are not worth the work."""
    w.n_new += 1
    if slot.object != NULL and w.n_new % ADMIT_ONE_IN:
        return
    hold(text)
    Py_XDECREF(slot.object)                              # a text: nothing runs
    slot.object = text
    slot.number = number


cdef inline void cache_session(Workspace* w, object session, int64_t number):
    """Cache a session. May run code of one that is evicted for it."""
    cdef CachedObject* slot = cached_object_slot(w.sessions, N_SESSIONS, <PyObject*>session)
    cdef PyObject* other = slot.object
    if other != <PyObject*>session:
        Py_INCREF(session)
        slot.object = <PyObject*>session
        slot.number = number
        Py_XDECREF(other)


# -- answers ---------------------------------------------------------------------------------------------------------------

cdef inline uint64_t decision_key(const Call* c, const RawDecision* a, bint indeterminate) noexcept nogil:
    """All that a `Decision` contains, except for the deciding keys."""
    cdef uint64_t occurrence = NONE if a.entry == NULL else a.entry.occurrence
    cdef uint32_t level = 0 if a.entry == NULL else a.entry.level
    return (
        (occurrence << 32) | (level << 24) | (<uint32_t>a.outcome << 20) | (<uint32_t>a.layer << 16) | (<uint32_t>a.reason << 8)
        | (<uint32_t>indeterminate << 2) | (<uint32_t>c.assumed_owner << 1) | c.owner_override
    )


cdef inline CachedDecision* decision_slot(Workspace* w, uint64_t key) noexcept nogil:
    """Where the decision with this key is kept, if it is."""
    return &w.decisions[mix(key) & (N_DECISIONS - 1)]


cdef inline void cache_decision(CachedDecision* slot, uint64_t key, object decision):
    cdef PyObject* other = slot.decision
    Py_INCREF(decision)
    slot.key = key
    slot.decision = <PyObject*>decision
    Py_XDECREF(other)
