"""The usual single call, decided on the objects as they come. Header only.

Law: it is decided as `Core._decide` would, or not at all. Whatever is not plain (another type than text or a bool, two spellings of
a key, a name or a row that is met for the first time) is UNSETTLED: the long way settles it, and raises where there is something
to raise. No Python code runs here, so that nothing can come between looking up and deciding, and nothing is allocated.

A workspace remembers objects that callers pass again: the names of keys and actions, which usually are the same literals of a
program in every call, and callers. They are told by where they lie, and kept alive meanwhile, so that nothing else can lie there.
What is not remembered is found by what it says.
"""
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastiam._attempt cimport attempt
from fastiam._bytes cimport mix, table_find
from fastiam._call cimport Call, Slot
from fastiam._columns cimport Text
from fastiam._decide cimport Answer
from fastiam._frame cimport Frame, clear, empty_frame, text_of
from fastiam._types cimport *


cdef enum:
    UNSETTLED = -1             # the long way decides, or raises
    TAG_AT = 15                # len("aws:RequestTag/")
    N_KEYS = 256               # places for what is remembered, powers of two
    N_NAMES = 128
    N_DECISIONS = 256
    SELDOM = 16                # of so many objects that were not remembered one is put in the place of another


cdef extern from *:
    bint PyUnicode_CheckExact(object o) noexcept
    bint PyDict_CheckExact(object o) noexcept
    bint PyDict_Next(object dict, Py_ssize_t* at, PyObject** key, PyObject** value) noexcept
    PyObject* PyDict_GetItemWithError(object dict, object key) noexcept
    long long PyLong_AsLongLong(object o) noexcept


cdef struct Known:             # an object that callers pass again
    PyObject* object           # owned; NULL: none
    int64_t number             # of the key (-1: nothing reads it), the action name, or the principal


cdef struct Told:
    uint64_t key               # `answer_key`
    PyObject* decision         # owned; NULL: none


cdef struct Workspace:         # what a single call works with, and what is remembered from one to the next
    Frame frame
    Call call                  # of plain calls: zero but for what they set
    uint64_t epoch             # `Core.epoch` of what is remembered
    uint32_t n_new             # objects that were not remembered
    Known keys[N_KEYS]
    Known actions[N_NAMES]
    Known principals[N_NAMES]
    Known sessions[N_NAMES]
    Told decisions[N_DECISIONS]
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
    forget_objects(w.sessions, N_NAMES)
    for i in range(<int>N_DECISIONS):
        Py_XDECREF(w.decisions[i].decision)
        w.decisions[i].decision = NULL


cdef inline void free_workspace(Workspace* w):
    forget(w)
    empty_frame(&w.frame)
    free(w)


cdef inline Known* place_of(Known* known, uint32_t n, object what) noexcept:
    """Where an object is remembered, if it is."""
    return &known[(<uint64_t><size_t><PyObject*>what * <uint64_t>0x9E3779B97F4A7C15ULL >> 40) & (n - 1)]


cdef inline void remember(Workspace* w, Known* place, str text, int64_t number) noexcept:
    """Remember a text, seldom in the place of another: a million different ones are not worth the work."""
    w.n_new += 1
    if place.object != NULL and w.n_new % SELDOM:
        return
    Py_INCREF(text)
    Py_XDECREF(place.object)                             # a text: nothing runs
    place.object = <PyObject*>text
    place.number = number


cdef inline void remember_session(Workspace* w, object session, int64_t number):
    """Remember a session. May run code of one that is forgotten for it."""
    cdef Known* place = place_of(w.sessions, N_NAMES, session)
    cdef PyObject* other = place.object
    if other != <PyObject*>session:
        Py_INCREF(session)
        place.object = <PyObject*>session
        place.number = number
        Py_XDECREF(other)


# -- what the objects of a request stand for -------------------------------------------------------------------------------

cdef inline int64_t key_number(Workspace* w, dict key_numbers, object name) noexcept:
    """The number of a key by its name, -1 where nothing reads it; UNSETTLED - 1 where the name was not met yet."""
    cdef Known* place = place_of(w.keys, N_KEYS, name)
    cdef PyObject* found
    if place.object == <PyObject*>name:
        return place.number
    if not PyUnicode_CheckExact(name):
        return UNSETTLED - 1
    found = PyDict_GetItemWithError(key_numbers, name)
    if found == NULL:
        return UNSETTLED - 1
    remember(w, place, <str>name, PyLong_AsLongLong(<object>found))
    return PyLong_AsLongLong(<object>found)


cdef inline bint value_text(object value, Text* out) noexcept:
    """The text of a value that is text or a bool."""
    if PyUnicode_CheckExact(value):
        return text_of(value, out)
    if value is True:
        out[0] = Text(b"true", 4)
        return True
    if value is False:
        out[0] = Text(b"false", 5)
        return True
    return False


cdef inline bint read_context(Workspace* w, const TablesC* t, dict key_numbers, object context, bint* checked) noexcept:
    """Put a context into slots; `checked` is cleared where a key is among them that may contradict the directory (K1)."""
    cdef Frame* f = &w.frame
    cdef Py_ssize_t at = 0
    cdef PyObject* name
    cdef PyObject* value
    cdef const Key* k
    cdef int64_t key
    cdef Text text
    cdef Text tag
    while PyDict_Next(context, &at, &name, &value):
        key = key_number(w, key_numbers, <object>name)
        if key < -1 or not value_text(<object>value, &text):
            return False
        if key < 0:
            continue
        if f.n_slots == f.slot_room or f.n_texts == f.text_room or f.s.sources[key] >= 0:
            return False
        k = &t.keys[key]
        tag = Text(NULL, 0)
        if k.tag:
            if not text_of(<object>name, &tag):
                return False
            tag = Text(tag.data + TAG_AT, tag.size - TAG_AT)
        if k.is_checked:
            checked[0] = False
        f.texts[f.n_texts] = text
        f.slots[f.n_slots] = Slot(<uint32_t>key, f.n_texts, 1, k.is_multi, False, tag)
        f.s.sources[key] = f.n_slots
        f.n_slots += 1
        f.n_texts += 1
    return True


cdef inline bint read_action(Workspace* w, const TablesC* t, object action, Call* c) noexcept:
    cdef Known* place = place_of(w.actions, N_NAMES, action)
    cdef Text text
    if place.object == <PyObject*>action:
        c.action_name = <uint32_t>place.number
    else:
        if not PyUnicode_CheckExact(action) or not text_of(action, &text):
            return False
        c.action_name = table_find(&t.action_names, t.pool, text.data, text.size, t.seed)
        if c.action_name == NONE:
            return False
        remember(w, place, <str>action, c.action_name)
    c.action_class = t.name_classes[c.action_name]
    c.action = &t.classes[c.action_class]
    return not c.action.flags & ACT_FEDERATION           # N3: the same text may stand for another caller there


cdef inline bint read_principal(Workspace* w, const TablesC* t, object principal, Call* c) noexcept:
    cdef bint is_text = PyUnicode_CheckExact(principal)
    cdef Known* place = place_of(&w.principals[0] if is_text else &w.sessions[0], N_NAMES, principal)
    cdef uint32_t found
    cdef Text text
    if place.object == <PyObject*>principal:
        c.principal = &t.principals[place.number]
        return True
    if not is_text or not text_of(principal, &text):
        return False
    found = table_find(&t.principal_names, t.pool, text.data, text.size, t.seed)
    if found == NONE:
        return False
    remember(w, place, <str>principal, found)
    c.principal = &t.principals[found]
    return True


cdef inline int decide_plain(
    Workspace* w, Answer* a, const TablesC* t, dict key_numbers, object principal, object action, object resource, object context,
    object owner, int64_t now, bint reasons,
) noexcept:
    """A status of `_decide`, or UNSETTLED. The slots of `w` must be cleared afterwards."""
    cdef Call* c = &w.call
    cdef Frame* f = &w.frame
    cdef Text owner_text = Text(NULL, 0)
    cdef bint checked = True
    cdef int status
    if f.s.n_memo < t.n_atoms or f.s.n_sources < t.n_keys:
        return UNSETTLED
    if not PyUnicode_CheckExact(resource) or not text_of(resource, &c.resource):
        return UNSETTLED
    if owner is not None and (not PyUnicode_CheckExact(owner) or not text_of(owner, &owner_text)):
        return UNSETTLED
    if not read_action(w, t, action, c) or not read_principal(w, t, principal, c):
        return UNSETTLED
    if context is not None:
        if not PyDict_CheckExact(context) or not read_context(w, t, key_numbers, context, &checked):
            return UNSETTLED
    c.t = t
    c.now = now
    c.reasons = reasons
    c.slots = f.slots
    c.slot_texts = f.texts
    c.n_slots = f.n_slots
    status = attempt(c, a, &owner_text, checked)
    if f.s.failed:                                       # out of memory: the long way says so
        f.s.failed = 0
        return UNSETTLED
    return status


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
