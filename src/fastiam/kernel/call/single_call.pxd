"""Fast path of single calls, on the Python objects of the call. Header only.

Invariant: the result equals that of `Core._decide`, or is NEEDS_GENERAL_PATH: then the general path decides and raises. Values of other types than
str, bool, number, datetime, None or lists of these, keys in two spellings, and new names or plans take the general path. No Python code runs
here, so nothing changes between lookup and decision, and nothing is allocated that outlives the call.
"""
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t

from fastiam.kernel.base.text cimport Text, prefetch
from fastiam.kernel.call.context_values cimport NOT_PLAIN, put_items, python_text
from fastiam.kernel.call.fast_request cimport NOT_LOOKED_UP, decide_fast_request, is_fast_request
from fastiam.kernel.call.pair_cache cimport MIN_PAIR_CACHE_PRINCIPALS, PairCacheEntry, prefetch_pair_slot, prefetch_pair, find_pair, is_of, store_pair
from fastiam.kernel.call.pointer_cache cimport PointerCacheEntry, pointer_cache_slot, pointer_cache_hit, store_pointers
from fastiam.kernel.call.workspace cimport (
    CachedObject, N_KEYS, N_NAMES, MAX_CONTEXT_ITEMS, N_SESSIONS, ADMIT_ONE_IN, Workspace, cached_object_slot, cache_number,
)
from fastiam.kernel.decide.combine cimport action_key, cut_resource
from fastiam.kernel.decide.scratch cimport Frame, text_of
from fastiam.kernel.model.call cimport Call, ContextEntry, TAG_AT
from fastiam.kernel.model.decision cimport RawDecision, DONE
from fastiam.kernel.model.plan_lookup cimport find_plan, grid_cell
from fastiam.kernel.model.string_table cimport touch_name, prefetch_slot, touch_text, hashed_name, table_find, table_hash
from fastiam.kernel.model.tables cimport *


cdef enum:
    NEEDS_GENERAL_PATH = -1    # the general path decides, or raises
    KEY_NOT_CACHED = -2        # a key whose name is not cached yet
    KEY_NUMBER = 0xFFFFFFFF    # of what is cached of a key
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


cdef struct NameLookup:        # the principal, while it is looked up
    Text text
    uint32_t hash
    uint32_t name              # its probable entry in the names; NONE: not known yet
    uint32_t guess             # the number that it seems to have
    uint32_t found             # NONE: not yet


cdef struct ContextItems:      # some keys of a context with their values
    PyObject* names[MAX_CONTEXT_ITEMS]  # borrowed
    PyObject* values[MAX_CONTEXT_ITEMS]
    int n
    Py_ssize_t left            # how many come after them
    Py_ssize_t next            # where `PyDict_Next` goes on


# -- what the objects of a request stand for -------------------------------------------------------------------------------

cdef inline int64_t key_number(Workspace* w, const TablesC* t, PyObject* key_ids, PyObject* name) noexcept:
    """The number of a key by its name, with what is required of it (`KEY_IS_*`); NOT_READ, NOT_READ_ONE, or KEY_NOT_CACHED where the name is new."""
    cdef PyObject* found
    cdef int64_t number
    if not PyUnicode_CheckExact(name):
        return KEY_NOT_CACHED
    found = PyDict_GetItemWithError(key_ids, name)
    if found == NULL:
        return KEY_NOT_CACHED
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
    cache_number(w, cached_object_slot(w.keys, N_KEYS, name), name, number)
    return number


cdef inline void collect_items(PyObject* context, ContextItems* pairs) noexcept:
    """The next keys and values of a context; none is waited for before the memory of all is asked for."""
    cdef int n = 0, most = <int>min(pairs.left, <Py_ssize_t>MAX_CONTEXT_ITEMS)  # so that no call has to say that there are no more
    while n < most and PyDict_Next(context, &pairs.next, &pairs.names[n], &pairs.values[n]):
        prefetch(pairs.values[n])
        prefetch(<const char*>pairs.values[n] + 56)
        n += 1
    pairs.n = n
    pairs.left -= n


cdef inline bint read_pairs(Workspace* w, const TablesC* t, PyObject* key_ids, const ContextItems* pairs, bint* checked) noexcept:
    """Put some keys of a context into slots; False where one is not plain."""
    cdef Frame* f = &w.frame
    cdef int32_t n = f.n_context_entries, n_items        # INVARIANT: as many texts; those of lists follow them
    cdef CachedObject* object_slot
    cdef PyObject* name
    cdef int64_t key, number
    cdef ContextEntry* slot
    cdef Text tag
    cdef int i
    if n + pairs.n > f.entry_capacity or n + pairs.n > f.text_capacity - f.n_items or f.s.n_sources < t.n_keys:
        return False
    for i in range(pairs.n):
        name = pairs.names[i]
        object_slot = w.recent_keys[i]
        if object_slot == NULL or object_slot.object != name:
            object_slot = w.recent_keys[i] = cached_object_slot(w.keys, N_KEYS, name)
        key = object_slot.number if object_slot.object == name else key_number(w, t, key_ids, name)
        n_items = 0
        if not python_text(pairs.values[i], &f.texts[n]):
            n_items = put_items(f, pairs.values[i], n, n + pairs.n + pairs.left, key == NOT_READ or not key & KEY_IS_SINGLE)
            if n_items == NOT_PLAIN:
                return False
        if key < 0:
            if key == KEY_NOT_CACHED:
                return False
            continue
        number = key & KEY_NUMBER
        if f.s.sources[number] >= 0:
            return False
        slot = &f.context_entries[n]
        slot.key = <uint32_t>number
        slot.first = n
        slot.n = 1
        slot.is_multi = key & KEY_IS_MULTI != 0
        slot.is_conflict = False
        slot.tag.data = NULL
        if n_items > 0:
            slot.first = f.text_capacity - f.n_items
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
        f.n_context_entries = n                          # everything that is in a source is cleared by it
        f.n_texts = n
    return True


cdef inline bint read_context(
    Workspace* w, const TablesC* t, PyObject* key_ids, PyObject* context, ContextItems* pairs, bint* checked
) noexcept:
    """Put a context, of which the first pairs are gathered, into slots; `checked` is cleared where a key is among them that may
    contradict the directory (K1)."""
    while True:
        if not read_pairs(w, t, key_ids, pairs, checked):
            return False
        if pairs.left <= 0 or pairs.n == 0:
            return True
        collect_items(context, pairs)


cdef inline bint find_action(Workspace* w, const TablesC* t, PyObject* action, uint32_t* number) noexcept:
    """The number of an action's name; False where it is new."""
    cdef CachedObject* slot = cached_object_slot(w.actions, N_NAMES, action)
    cdef Text text
    if slot.object == action:
        number[0] = <uint32_t>slot.number
        return True
    if not PyUnicode_CheckExact(action) or not text_of(action, &text):
        return False
    number[0] = table_find(&t.action_names, t.pool, text.data, text.size, t.seed)
    if number[0] == NONE:
        return False
    cache_number(w, slot, action, number[0])
    return True


cdef inline bint put_action(const TablesC* t, uint32_t number, Call* c) noexcept:
    """Put an action into the call; False where the general path must look it up."""
    c.t = t
    c.action_name = number
    c.action_class = t.name_classes[number]
    c.action = &t.classes[c.action_class]
    return not c.action.flags & ACT_FEDERATION           # N3: the same text may stand for another caller there


cdef inline void prefetch_principal(PyObject* principal, PyObject* action) noexcept:
    """Ask for the memory of what a request holds, all at once: where every request is new, none of it is near."""
    prefetch(<const char*>principal)
    prefetch(<const char*>principal + 64)
    prefetch(<const char*>principal + 96)
    prefetch(<const char*>action)
    prefetch(<const char*>action + 56)


cdef inline void prefetch_lookup(PyObject* resource, PyObject* context) noexcept:
    """The same of what else it holds."""
    prefetch(<const char*>resource)
    prefetch(<const char*>resource + 64)
    prefetch(<const char*>resource + 128)
    prefetch(<const char*>context)
    prefetch(<const char*>context + 40)


cdef inline bint prefetch_context(PyObject* context, ContextItems* pairs) noexcept:
    """The same for the keys of a context; False where it is not a plain one."""
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


cdef inline bint lookup_principal(Workspace* w, const TablesC* t, PyObject* principal, NameLookup* lookup) noexcept:
    """Begin the lookup of the principal. The steps from here to `find_principal` prefetch the memory that the next one reads, so that other
    work can be done at the same time; False where the general path must look it up."""
    cdef bint is_text = PyUnicode_CheckExact(principal)
    cdef CachedObject* slot = cached_object_slot(
        &w.principals[0] if is_text else &w.sessions[0], N_NAMES if is_text else N_SESSIONS, principal
    )
    lookup.name = lookup.guess = lookup.found = NONE
    if slot.object == principal:
        lookup.found = lookup.guess = <uint32_t>slot.number
        return True
    if not is_text or not text_of(principal, &lookup.text):
        return False
    lookup.hash = table_hash(lookup.text.data, lookup.text.size, t.seed)
    prefetch_slot(&t.principal_names, lookup.hash)
    return True


cdef inline void touch_principal_name(const TablesC* t, NameLookup* lookup) noexcept:
    if lookup.found == NONE:
        lookup.name = touch_name(&t.principal_names, lookup.hash)


cdef inline void prefetch_principal_text(const TablesC* t, NameLookup* lookup) noexcept:
    """And for the record of who it seems to be."""
    if lookup.name != NONE:
        lookup.guess = touch_text(&t.principal_names, t.pool, lookup.name)
    if lookup.guess != NONE:
        prefetch(&t.principals[lookup.guess])
        prefetch(<const char*>&t.principals[lookup.guess] + 64)


cdef inline void prefetch_principal_plan(const TablesC* t, const NameLookup* lookup, uint32_t action_class) noexcept:
    """And the cell of its plan in the grid."""
    if lookup.guess < t.n_principals:
        prefetch(grid_cell(t, t.principals[lookup.guess].principal_set, action_class))


cdef inline bint find_principal(Workspace* w, const TablesC* t, PyObject* principal, NameLookup* lookup) noexcept:
    """The number of the principal; False where there is none."""
    if lookup.found == NONE:
        lookup.name = hashed_name(&t.principal_names, t.pool, lookup.text.data, lookup.text.size, lookup.hash)
        if lookup.name != NONE:
            lookup.found = t.principal_names.values[lookup.name]
        if lookup.found == NONE:
            return False
        cache_number(w, cached_object_slot(w.principals, N_NAMES, principal), principal, lookup.found)
    return True


cdef inline bint set_call_resource(Call* c, PyObject* resource) noexcept:
    """Put a resource into the call, and find its fields; False where it is not plain."""
    return PyUnicode_CheckExact(resource) and text_of(resource, &c.resource) and cut_resource(c)


cdef inline int decide_found(
    Workspace* w, RawDecision* a, const TablesC* t, uint32_t principal_id, PyObject* owner, bint checked, Range own, int64_t now, bint reasons
) noexcept:
    """Decide a request whose action and resource are in `w.call`, and its context in context entries; `own` as in `decide_fast_request`.

    A status of `kernel.decide.combine`, or NEEDS_GENERAL_PATH.
    """
    cdef Call* c = &w.call
    cdef Frame* f = &w.frame
    cdef Text owner_text = Text(NULL, 0)
    cdef int status
    if f.s.n_call_truths < t.n_atoms:
        return NEEDS_GENERAL_PATH
    if owner != Py_None and (not PyUnicode_CheckExact(owner) or not text_of(owner, &owner_text)):
        return NEEDS_GENERAL_PATH
    c.principal = &t.principals[principal_id]
    c.now = now
    c.reasons = reasons
    c.context_entries = f.context_entries
    c.entry_texts = f.texts
    c.n_context_entries = f.n_context_entries
    status = decide_fast_request(c, a, &owner_text, checked, own)
    if f.s.failed:                                       # out of memory: the general path reports it
        f.s.failed = 0
        return NEEDS_GENERAL_PATH
    return status


# -- one request -----------------------------------------------------------------------------------------------------------

cdef inline bint prepare(Workspace* w, const TablesC* t, PyObject* resource, PyObject* context, NameLookup* lookup, ContextItems* pairs) noexcept:
    """Read resource and context, and at the same time follow the links from the name, one by one. False where something is not plain."""
    touch_principal_name(t, lookup)
    if not set_call_resource(&w.call, resource):
        return False
    prefetch_principal_text(t, lookup)
    if context != Py_None:
        collect_items(context, pairs)
    prefetch_principal_plan(t, lookup, w.call.action_class)
    return True


cdef inline bint prepare_from_pair_cache(
    Workspace* w, const TablesC* t, PyObject* resource, PyObject* context, NameLookup* lookup, ContextItems* pairs, const PairCacheEntry** pair
) noexcept:
    """`prepare`, where the pair of principal and action may be cached."""
    prefetch_pair_slot(&w.pair_cache, lookup.hash, w.call.action_name)
    if not set_call_resource(&w.call, resource):
        return False
    if context != Py_None:
        collect_items(context, pairs)
    pair[0] = find_pair(&w.pair_cache, lookup.hash, w.call.action_name)
    if pair[0] != NULL:
        prefetch_pair(pair[0], t)
    else:                                                # one after the other: nothing is left to do meanwhile
        touch_principal_name(t, lookup)
        prefetch_principal_text(t, lookup)
        prefetch_principal_plan(t, lookup, w.call.action_class)
    return True


cdef inline void store_in_pair_cache(Workspace* w, const TablesC* t, const NameLookup* lookup) noexcept:
    """Store the pair of the principal and the action of the call, if it takes the fast path."""
    cdef uint32_t policy_set = t.principals[lookup.found].principal_set
    if not is_fast_request(&t.principals[lookup.found], w.call.action):
        return
    store_pair(
        &w.pair_cache, t, lookup.hash, w.call.action_name, lookup.found, t.principal_names.texts[lookup.name],
        find_plan(t, policy_set, action_key(&w.call, policy_set)),
    )


cdef inline void store_in_pointer_cache(Workspace* w, const TablesC* t, PyObject* principal, PyObject* action, uint32_t number) noexcept:
    """Store a text and an action that are cached, if the principal takes the fast path and its plan has a program; rarely over another. Not of a
    session: whatever one lets go of may run code."""
    cdef const Principal* p = &t.principals[number]
    cdef PointerCacheEntry* slot = pointer_cache_slot(w.pointer_cache, principal, action)
    cdef const Plan* own
    w.n_admissions += 1
    if not PyUnicode_CheckExact(principal) or (slot.principal != NULL and w.n_admissions % ADMIT_ONE_IN) or not is_fast_request(p, w.call.action):
        return
    own = find_plan(t, p.principal_set, action_key(&w.call, p.principal_set))
    if own.flags & PLAN_HAS_PROGRAM and cached_object_slot(w.actions, N_NAMES, action).object == action:
        store_pointers(slot, principal, action, number, w.call.action_name, Range(own.program, own.n_ops))


cdef inline bint prepare_from_pointer_cache(
    Workspace* w, const TablesC* t, const PointerCacheEntry* entry, PyObject* resource, PyObject* context, NameLookup* lookup, ContextItems* pairs
) noexcept:
    """`prepare`, for a pair of objects that is cached."""
    lookup.found = entry.number
    if not prefetch_context(context, pairs) or not put_action(t, entry.name, &w.call) or not set_call_resource(&w.call, resource):
        return False
    if context != Py_None:
        collect_items(context, pairs)
    return True


cdef inline bint prepare_from_name(
    Workspace* w, const TablesC* t, PyObject* principal, PyObject* action, PyObject* resource, PyObject* context, NameLookup* lookup,
    ContextItems* pairs, const PairCacheEntry** pair,
) noexcept:
    """Find the action, and begin the lookup of the principal; `prepare` what else there is. False where the general path must look it up."""
    cdef uint32_t number
    if not lookup_principal(w, t, principal, lookup) or not prefetch_context(context, pairs):
        return False
    if not find_action(w, t, action, &number) or not put_action(t, number, &w.call):
        return False
    if lookup.found != NONE or w.pair_cache.entries == NULL:
        return prepare(w, t, resource, context, lookup, pairs)
    return prepare_from_pair_cache(w, t, resource, context, lookup, pairs, pair)


cdef inline bint resolve_principal(
    Workspace* w, const TablesC* t, PyObject* principal, const PairCacheEntry* pair, NameLookup* lookup, Range* own
) noexcept:
    """Find the principal; `own` gets the ops of its plan where the pair is cached. False where there is no principal."""
    if pair != NULL and is_of(pair, t, &lookup.text):
        lookup.found = pair.principal
        own[0] = Range(pair.program, pair.n_ops)
        cache_number(w, cached_object_slot(w.principals, N_NAMES, principal), principal, lookup.found)
        return True
    if not find_principal(w, t, principal, lookup):
        return False
    if lookup.name != NONE and t.n_principals >= MIN_PAIR_CACHE_PRINCIPALS:
        store_in_pair_cache(w, t, lookup)
    return True


cdef inline int decide_single_fast(
    Workspace* w, RawDecision* a, const TablesC* t, PyObject* key_ids, PyObject* principal, PyObject* action, PyObject* resource,
    PyObject* context, PyObject* owner, int64_t now, bint reasons,
) noexcept:
    """A status of `kernel.decide.combine`, or NEEDS_GENERAL_PATH. The context entries of `w` must be cleared afterwards.

    PERF: of a new request nothing is near; the order is such that what is waited for was asked for some steps before.
    """
    cdef const PointerCacheEntry* entry = pointer_cache_slot(w.pointer_cache, principal, action)
    cdef NameLookup lookup
    cdef ContextItems pairs
    cdef Range own = Range(0, NOT_LOOKED_UP)
    cdef const PairCacheEntry* pair = NULL
    cdef bint checked = True, is_known = False
    cdef int status
    prefetch_principal(principal, action)
    prefetch_lookup(resource, context)
    if pointer_cache_hit(entry, principal, action):
        own = entry.own
        if not prepare_from_pointer_cache(w, t, entry, resource, context, &lookup, &pairs):
            return NEEDS_GENERAL_PATH
    elif prepare_from_name(w, t, principal, action, resource, context, &lookup, &pairs, &pair):
        is_known = lookup.found != NONE
    else:
        return NEEDS_GENERAL_PATH
    if not read_context(w, t, key_ids, context, &pairs, &checked):
        return NEEDS_GENERAL_PATH
    if own.n == NOT_LOOKED_UP and not resolve_principal(w, t, principal, pair, &lookup, &own):
        return NEEDS_GENERAL_PATH
    status = decide_found(w, a, t, lookup.found, owner, checked, own, now, reasons)
    if is_known and status == DONE:
        store_in_pointer_cache(w, t, principal, action, lookup.found)
    return status
