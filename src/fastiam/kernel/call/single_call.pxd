"""Fast path of single calls, on the Python objects of the call. Header only.

Invariant: the result equals that of `Core._decide`, or is UNSETTLED, and then the general path decides and raises. Values of other types than
str, bool, number, datetime, None or lists of these, keys in two spellings, and new names or plans take the general path. No Python code runs
here, so nothing changes between lookup and decision, and nothing is allocated that outlives the call.
"""
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t

from fastiam.kernel.base.text cimport Text, prefetch
from fastiam.kernel.call.context_values cimport NOT_PLAIN, put_items, value_text
from fastiam.kernel.call.fast_request cimport NOT_LOOKED_UP, decide_usual, is_usual
from fastiam.kernel.call.pair_cache cimport MANY_PRINCIPALS, Meeting, ask_meeting, ask_met, find_meeting, is_of, keep_meeting
from fastiam.kernel.call.pointer_cache cimport Habit, habit_place, is_habit, keep_habit
from fastiam.kernel.call.workspace cimport Known, N_KEYS, N_NAMES, N_PAIRS, N_SESSIONS, SELDOM, Workspace, place_of, remember
from fastiam.kernel.decide.combine cimport action_key, cut_resource
from fastiam.kernel.decide.scratch cimport Frame, text_of
from fastiam.kernel.model.call cimport Call, Slot, TAG_AT
from fastiam.kernel.model.decision cimport Answer, DONE
from fastiam.kernel.model.plan_lookup cimport find_plan, grid_cell
from fastiam.kernel.model.string_table cimport ask_name, ask_slot, ask_text, hashed_name, table_find, table_hash
from fastiam.kernel.model.tables cimport *


cdef enum:
    UNSETTLED = -1             # the long way decides, or raises
    NOT_MET = -2               # a key whose name was not met yet
    KEY_NUMBER = 0xFFFFFFFF    # of what is remembered of a key
    KEY_IS_MULTI = 0x100000000
    KEY_IS_CHECKED = 0x200000000  # it may contradict the directory (K1)
    KEY_IS_TAG = 0x400000000   # it is an `aws:RequestTag/`
    KEY_IS_SINGLE = 0x800000000


cdef extern from *:
    """
    #define fastiam_dict_keys(dict) ((const char*)((PyDictObject*)(dict))->ma_keys)   /* only asked for, never read */
    """
    # PERF: pointers, since Cython counts a reference to whatever is cast to an object, which writes to memory that is only read
    const char* fastiam_dict_keys(PyObject* dict) noexcept
    bint PyUnicode_CheckExact(PyObject* o) noexcept
    bint PyDict_CheckExact(PyObject* o) noexcept
    Py_ssize_t PyDict_GET_SIZE(PyObject* dict) noexcept
    bint PyDict_Next(PyObject* dict, Py_ssize_t* at, PyObject** key, PyObject** value) noexcept
    PyObject* PyDict_GetItemWithError(PyObject* dict, PyObject* key) noexcept
    long long PyLong_AsLongLong(PyObject* o) noexcept
    PyObject* Py_None


cdef struct Asked:             # who asks, while it is looked for
    Text text
    uint32_t hash
    uint32_t name              # where its name seems to stand; NONE: nobody knows yet
    uint32_t guess             # the number that it seems to have
    uint32_t found             # NONE: not yet


cdef struct Pairs:             # some keys of a context with their values
    PyObject* names[N_PAIRS]   # borrowed
    PyObject* values[N_PAIRS]
    int n
    Py_ssize_t left            # how many come after them
    Py_ssize_t next            # where `PyDict_Next` goes on


# -- what the objects of a request stand for -------------------------------------------------------------------------------

cdef inline int64_t key_number(Workspace* w, const TablesC* t, PyObject* key_ids, PyObject* name) noexcept:
    """The number of a key by its name, beside what is asked of it (`KEY_IS_*`); NOT_READ, NOT_READ_ONE, or NOT_MET where the name was not met yet."""
    cdef PyObject* found
    cdef int64_t number
    if not PyUnicode_CheckExact(name):
        return NOT_MET
    found = PyDict_GetItemWithError(key_ids, name)
    if found == NULL:
        return NOT_MET
    number = PyLong_AsLongLong(found)
    if number >= 0:
        if t.keys[number].is_multi:
            number |= KEY_IS_MULTI
        if t.keys[number & KEY_NUMBER].is_single:
            number |= KEY_IS_SINGLE
        if t.keys[number & KEY_NUMBER].is_checked:
            number |= KEY_IS_CHECKED
        if t.keys[number & KEY_NUMBER].tag:
            number |= KEY_IS_TAG
    remember(w, place_of(w.keys, N_KEYS, name), name, number)
    return number


cdef inline void gather(PyObject* context, Pairs* pairs) noexcept:
    """The next keys and values of a context; none is waited for before the memory of all is asked for."""
    cdef int n = 0, most = <int>min(pairs.left, <Py_ssize_t>N_PAIRS)   # so that no call has to say that there are no more
    while n < most and PyDict_Next(context, &pairs.next, &pairs.names[n], &pairs.values[n]):
        prefetch(pairs.values[n])
        prefetch(<const char*>pairs.values[n] + 56)
        n += 1
    pairs.n = n
    pairs.left -= n


cdef inline bint read_pairs(Workspace* w, const TablesC* t, PyObject* key_ids, const Pairs* pairs, bint* checked) noexcept:
    """Put some keys of a context into slots; False where one is not plain."""
    cdef Frame* f = &w.frame
    cdef int32_t n = f.n_slots, n_items                  # INVARIANT: as many texts; those of lists lie behind them
    cdef Known* place
    cdef PyObject* name
    cdef int64_t key, number
    cdef Slot* slot
    cdef Text tag
    cdef int i
    if n + pairs.n > f.slot_room or n + pairs.n > f.text_room - f.n_items or f.s.n_sources < t.n_keys:
        return False
    for i in range(pairs.n):
        name = pairs.names[i]
        place = w.lately[i]
        if place == NULL or place.object != name:
            place = w.lately[i] = place_of(w.keys, N_KEYS, name)
        key = place.number if place.object == name else key_number(w, t, key_ids, name)
        n_items = 0
        if not value_text(pairs.values[i], &f.texts[n]):
            n_items = put_items(f, pairs.values[i], n, n + pairs.n + pairs.left, key == NOT_READ or not key & KEY_IS_SINGLE)
            if n_items == NOT_PLAIN:
                return False
        if key < 0:
            if key == NOT_MET:
                return False
            continue
        number = key & KEY_NUMBER
        if f.s.sources[number] >= 0:
            return False
        slot = &f.slots[n]
        slot.key = <uint32_t>number
        slot.first = n
        slot.n = 1
        slot.is_multi = key & KEY_IS_MULTI != 0
        slot.is_conflict = False
        slot.tag.data = NULL
        if n_items > 0:
            slot.first = f.text_room - f.n_items
            slot.n = n_items
            slot.is_multi = key & KEY_IS_SINGLE == 0
        elif n_items:                                    # NO_VALUE: no tag, and nothing to check
            slot.n = 0
            key = number
        if key & (KEY_IS_TAG | KEY_IS_CHECKED):
            if key & KEY_IS_CHECKED:
                checked[0] = False
            if key & KEY_IS_TAG:
                if not text_of(name, &tag):
                    return False
                slot.tag = Text(tag.data + TAG_AT, tag.size - TAG_AT)
        f.s.sources[number] = n
        n += 1
        f.n_slots = n                                    # whatever is in a source is cleared by it
        f.n_texts = n
    return True


cdef inline bint read_context(
    Workspace* w, const TablesC* t, PyObject* key_ids, PyObject* context, Pairs* pairs, bint* checked
) noexcept:
    """Put a context, of which the first pairs are gathered, into slots; `checked` is cleared where a key is among them that may
    contradict the directory (K1)."""
    while True:
        if not read_pairs(w, t, key_ids, pairs, checked):
            return False
        if pairs.left <= 0 or pairs.n == 0:
            return True
        gather(context, pairs)


cdef inline bint find_action(Workspace* w, const TablesC* t, PyObject* action, uint32_t* number) noexcept:
    """The number of an action's name; False where it was not met yet."""
    cdef Known* place = place_of(w.actions, N_NAMES, action)
    cdef Text text
    if place.object == action:
        number[0] = <uint32_t>place.number
        return True
    if not PyUnicode_CheckExact(action) or not text_of(action, &text):
        return False
    number[0] = table_find(&t.action_names, t.pool, text.data, text.size, t.seed)
    if number[0] == NONE:
        return False
    remember(w, place, action, number[0])
    return True


cdef inline bint put_action(const TablesC* t, uint32_t number, Call* c) noexcept:
    """Put an action into the call; False where the long way must look who asks."""
    c.t = t
    c.action_name = number
    c.action_class = t.name_classes[number]
    c.action = &t.classes[c.action_class]
    return not c.action.flags & ACT_FEDERATION           # N3: the same text may stand for another caller there


cdef inline void ask_caller(PyObject* principal, PyObject* action) noexcept:
    """Ask for the memory of what a request holds, all at once: where every request is new, none of it is near."""
    prefetch(<const char*>principal)
    prefetch(<const char*>principal + 64)
    prefetch(<const char*>principal + 96)
    prefetch(<const char*>action)
    prefetch(<const char*>action + 56)


cdef inline void ask_asked(PyObject* resource, PyObject* context) noexcept:
    """The same of what else it holds."""
    prefetch(<const char*>resource)
    prefetch(<const char*>resource + 64)
    prefetch(<const char*>resource + 128)
    prefetch(<const char*>context)
    prefetch(<const char*>context + 40)


cdef inline bint ask_context(PyObject* context, Pairs* pairs) noexcept:
    """The same for the keys of a context; False where it is no plain one."""
    cdef const char* keys
    pairs.n = 0
    pairs.left = 0
    pairs.next = 0
    if context == Py_None:
        return True
    if not PyDict_CheckExact(context):
        return False
    pairs.left = PyDict_GET_SIZE(context)
    keys = fastiam_dict_keys(context)
    prefetch(keys)
    prefetch(keys + 64)
    prefetch(keys + 128)
    return True


cdef inline bint ask_principal(Workspace* w, const TablesC* t, PyObject* principal, Asked* who) noexcept:
    """Begin to look for who asks. The steps from here to `find_principal` ask for memory that the next one reads, so that other things
    can be done meanwhile; False where the long way must look."""
    cdef bint is_text = PyUnicode_CheckExact(principal)
    cdef Known* place = place_of(w.principals, N_NAMES, principal) if is_text else place_of(w.sessions, N_SESSIONS, principal)
    who.name = who.guess = who.found = NONE
    if place.object == principal:
        who.found = who.guess = <uint32_t>place.number
        return True
    if not is_text or not text_of(principal, &who.text):
        return False
    who.hash = table_hash(who.text.data, who.text.size, t.seed)
    ask_slot(&t.principal_names, who.hash)
    return True


cdef inline void ask_principal_name(const TablesC* t, Asked* who) noexcept:
    if who.found == NONE:
        who.name = ask_name(&t.principal_names, who.hash)


cdef inline void ask_principal_text(const TablesC* t, Asked* who) noexcept:
    """And for the record of who it seems to be."""
    if who.name != NONE:
        who.guess = ask_text(&t.principal_names, t.pool, who.name)
    if who.guess != NONE:
        prefetch(&t.principals[who.guess])
        prefetch(<const char*>&t.principals[who.guess] + 64)


cdef inline void ask_own_place(const TablesC* t, const Asked* who, uint32_t action_class) noexcept:
    """And for where the grid has its own row."""
    if who.guess < t.n_principals:
        prefetch(grid_cell(t, t.principals[who.guess].principal_set, action_class))


cdef inline bint find_principal(Workspace* w, const TablesC* t, PyObject* principal, Asked* who) noexcept:
    """The number of who asks; False where nobody is found."""
    if who.found == NONE:
        who.name = hashed_name(&t.principal_names, t.pool, who.text.data, who.text.size, who.hash)
        if who.name != NONE:
            who.found = t.principal_names.values[who.name]
        if who.found == NONE:
            return False
        remember(w, place_of(w.principals, N_NAMES, principal), principal, who.found)
    return True


cdef inline bint put_resource(Call* c, PyObject* resource) noexcept:
    """Put a resource into the call, and find its fields; False where it is not plain."""
    return PyUnicode_CheckExact(resource) and text_of(resource, &c.resource) and cut_resource(c)


cdef inline int decide_found(
    Workspace* w, Answer* a, const TablesC* t, uint32_t who, PyObject* owner, bint checked, Range own, int64_t now, bint reasons
) noexcept:
    """Decide a request whose action and resource stand in `w.call`, and its context in slots; `own` as in `decide_usual`.

    A status of `kernel.decide.combine`, or UNSETTLED.
    """
    cdef Call* c = &w.call
    cdef Frame* f = &w.frame
    cdef Text owner_text = Text(NULL, 0)
    cdef int status
    if f.s.n_memo < t.n_atoms:
        return UNSETTLED
    if owner != Py_None and (not PyUnicode_CheckExact(owner) or not text_of(owner, &owner_text)):
        return UNSETTLED
    c.principal = &t.principals[who]
    c.now = now
    c.reasons = reasons
    c.slots = f.slots
    c.slot_texts = f.texts
    c.n_slots = f.n_slots
    status = decide_usual(c, a, &owner_text, checked, own)
    if f.s.failed:                                       # out of memory: the long way says so
        f.s.failed = 0
        return UNSETTLED
    return status


# -- one request -----------------------------------------------------------------------------------------------------------

cdef inline bint prepare(Workspace* w, const TablesC* t, PyObject* resource, PyObject* context, Asked* who, Pairs* pairs) noexcept:
    """Take resource and context, and meanwhile find what hangs on the name, link by link. False where something is not plain."""
    ask_principal_name(t, who)
    if not put_resource(&w.call, resource):
        return False
    ask_principal_text(t, who)
    if context != Py_None:
        gather(context, pairs)
    ask_own_place(t, who, w.call.action_class)
    return True


cdef inline bint prepare_met(
    Workspace* w, const TablesC* t, PyObject* resource, PyObject* context, Asked* who, Pairs* pairs, const Meeting** met
) noexcept:
    """`prepare`, where who asks may have met the action."""
    ask_meeting(&w.meetings, who.hash, w.call.action_name)
    if not put_resource(&w.call, resource):
        return False
    if context != Py_None:
        gather(context, pairs)
    met[0] = find_meeting(&w.meetings, who.hash, w.call.action_name)
    if met[0] != NULL:
        ask_met(met[0], t)
    else:                                                # one after the other: nothing is left to do meanwhile
        ask_principal_name(t, who)
        ask_principal_text(t, who)
        ask_own_place(t, who, w.call.action_class)
    return True


cdef inline void keep_met(Workspace* w, const TablesC* t, const Asked* who) noexcept:
    """Keep that who asks has met the action of the call, if it is usual."""
    cdef uint32_t policy_set = t.principals[who.found].principal_set
    if not is_usual(&t.principals[who.found], w.call.action):
        return
    keep_meeting(
        &w.meetings, t, who.hash, w.call.action_name, who.found, t.principal_names.texts[who.name],
        find_plan(t, policy_set, action_key(&w.call, policy_set)),
    )


cdef inline void keep_known(Workspace* w, const TablesC* t, PyObject* principal, PyObject* action, uint32_t number) noexcept:
    """Keep the habit of a text and an action that are remembered, if it is usual and its own row flat; seldom instead of another. Not of a
    session: whatever one lets go of may run code."""
    cdef const Principal* p = &t.principals[number]
    cdef Habit* place = habit_place(w.habits, principal, action)
    cdef const Row* own
    w.n_asked += 1
    if not PyUnicode_CheckExact(principal) or (place.principal != NULL and w.n_asked % SELDOM) or not is_usual(p, w.call.action):
        return
    own = find_plan(t, p.principal_set, action_key(&w.call, p.principal_set))
    if own.flags & ROW_FLAT and place_of(w.actions, N_NAMES, action).object == action:
        keep_habit(place, principal, action, number, w.call.action_name, Range(own.flat, own.n_flats))


cdef inline bint prepare_habit(
    Workspace* w, const TablesC* t, const Habit* habit, PyObject* resource, PyObject* context, Asked* who, Pairs* pairs
) noexcept:
    """`prepare`, for who has asked for the action before."""
    who.found = habit.number
    if not ask_context(context, pairs) or not put_action(t, habit.name, &w.call) or not put_resource(&w.call, resource):
        return False
    if context != Py_None:
        gather(context, pairs)
    return True


cdef inline bint prepare_known(
    Workspace* w, const TablesC* t, PyObject* principal, PyObject* action, PyObject* resource, PyObject* context, Asked* who, Pairs* pairs,
    const Meeting** met,
) noexcept:
    """Find the action, and begin to look for who asks; `prepare` what else there is. False where the long way must look."""
    cdef uint32_t number
    if not ask_principal(w, t, principal, who) or not ask_context(context, pairs):
        return False
    if not find_action(w, t, action, &number) or not put_action(t, number, &w.call):
        return False
    if who.found != NONE or w.meetings.places == NULL:
        return prepare(w, t, resource, context, who, pairs)
    return prepare_met(w, t, resource, context, who, pairs, met)


cdef inline bint settle_principal(Workspace* w, const TablesC* t, PyObject* principal, const Meeting* met, Asked* who, Range* own) noexcept:
    """Find who asks; `own` gets the flats of the own row where the two have met. False where nobody is found."""
    if met != NULL and is_of(met, t, &who.text):
        who.found = met.principal
        own[0] = Range(met.flat, met.n_flats)
        remember(w, place_of(w.principals, N_NAMES, principal), principal, who.found)
        return True
    if not find_principal(w, t, principal, who):
        return False
    if who.name != NONE and t.n_principals >= MANY_PRINCIPALS:
        keep_met(w, t, who)
    return True


cdef inline int decide_plain(
    Workspace* w, Answer* a, const TablesC* t, PyObject* key_ids, PyObject* principal, PyObject* action, PyObject* resource,
    PyObject* context, PyObject* owner, int64_t now, bint reasons,
) noexcept:
    """A status of `kernel.decide.combine`, or UNSETTLED. The slots of `w` must be cleared afterwards.

    PERF: of a new request nothing is near; the order is such that what is waited for was asked for some steps before.
    """
    cdef const Habit* habit = habit_place(w.habits, principal, action)
    cdef Asked who
    cdef Pairs pairs
    cdef Range own = Range(0, NOT_LOOKED_UP)
    cdef const Meeting* met = NULL
    cdef bint checked = True, is_known = False
    cdef int status
    ask_caller(principal, action)
    ask_asked(resource, context)
    if is_habit(habit, principal, action):
        own = habit.own
        if not prepare_habit(w, t, habit, resource, context, &who, &pairs):
            return UNSETTLED
    elif prepare_known(w, t, principal, action, resource, context, &who, &pairs, &met):
        is_known = who.found != NONE
    else:
        return UNSETTLED
    if not read_context(w, t, key_ids, context, &pairs, &checked):
        return UNSETTLED
    if own.n == NOT_LOOKED_UP and not settle_principal(w, t, principal, met, &who, &own):
        return UNSETTLED
    status = decide_found(w, a, t, who.found, owner, checked, own, now, reasons)
    if is_known and status == DONE:
        keep_known(w, t, principal, action, who.found)
    return status
