"""AuthZEN batches of items that state nothing but ids: their requests from the bytes of the body (G220).

Entities and contexts that were read before are found by their text, so that they are neither parsed nor mapped again.
Whether a name is in one object twice, `strict_json._checker` says; a body with such an object is left to `strict_json`, as any
other body that the grammar here does not accept.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memchr, memcmp, memset, strncmp

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8

from fastiam.strict_json._checker cimport has_equal, hash_bytes
from fastiam.server._items cimport MAX_MEMBERS, PlainItems, entity, member

cdef enum:
    MAX_TEXT = 320  # bytes of an entity that is cached by its text
    N_SETS = 4096  # a power of two
    SET_SIZE = 4  # entities of a set; one more replaces one of them
    FEW = 64  # items that the first array has room for

cdef enum:  # parts of an item, and its position in the body
    SUBJECT = 0
    ACTION = 1
    RESOURCE = 2
    CONTEXT = 3
    ITEMS = 4

cdef struct Slot:
    uint64_t hash
    PyObject* known  # `Known`

cdef struct Item:
    PyObject* parts[4]  # `Known`; NULL: the default one
    PyObject* action  # the name of the IAM action


cdef inline const uint8_t* skip_space(const uint8_t* p) noexcept nogil:
    while p[0] == 32 or p[0] == 10 or p[0] == 13 or p[0] == 9:
        p += 1
    return p


cdef inline int part_of(const uint8_t** at) noexcept nogil:
    """Read the name of a member and its colon; -1 if it names no part. Moves to the value."""
    # SAFETY: `strncmp` ends at the null byte that ends a bytes object
    cdef const char* text = <const char*>at[0]
    cdef const uint8_t* p
    cdef int part, size
    if strncmp(text, b'"resource"', 10) == 0:
        part, size = RESOURCE, 10
    elif strncmp(text, b'"subject"', 9) == 0:
        part, size = SUBJECT, 9
    elif strncmp(text, b'"action"', 8) == 0:
        part, size = ACTION, 8
    elif strncmp(text, b'"context"', 9) == 0:
        part, size = CONTEXT, 9
    elif strncmp(text, b'"evaluations"', 13) == 0:
        part, size = ITEMS, 13
    else:
        return -1
    p = skip_space(at[0] + size)
    if p[0] != 58:
        return -1
    at[0] = skip_space(p + 1)
    return part


cdef str read_string(const uint8_t** at):
    """Read a string without escapes, and move behind it; None for another one, and for what is not JSON in UTF-8."""
    cdef const uint8_t* first = at[0] + 1
    cdef const uint8_t* p = first
    if at[0][0] != 34:
        return None
    while p[0] >= 32 and p[0] != 34 and p[0] != 92:  # a control character, also the null byte at the end, ends it
        p += 1
    if p[0] != 34:
        return None
    at[0] = p + 1
    try:
        return PyUnicode_DecodeUTF8(<const char*>first, p - first, NULL)
    except UnicodeDecodeError:
        return None


cdef dict read_object(const uint8_t** at):
    """Read an object of few texts and bools, and move behind it; None for another one, and for what is not JSON."""
    cdef const uint8_t* p = skip_space(at[0] + 1)
    cdef const uint8_t* first
    cdef uint64_t[MAX_MEMBERS] hashes
    cdef uint32_t count = 0
    cdef dict read = {}
    cdef str name
    if at[0][0] != 123:
        return None
    if p[0] == 125:
        at[0] = p + 1
        return read
    while count < MAX_MEMBERS:
        first = p + 1
        name = read_string(&p)
        if name is None:
            return None
        hashes[count] = hash_bytes(first, p - 1 - first)
        count += 1
        p = skip_space(p)
        if p[0] != 58:
            return None
        p = skip_space(p + 1)
        if strncmp(<const char*>p, b"true", 4) == 0:
            value, p = True, p + 4
        elif strncmp(<const char*>p, b"false", 5) == 0:
            value, p = False, p + 5
        else:
            value = read_string(&p)
            if value is None:
                return None
        read[name] = value
        p = skip_space(p)
        if p[0] == 125:
            at[0] = p + 1
            return None if has_equal(hashes, count) else read
        if p[0] != 44:
            return None
        p = skip_space(p + 1)
    return None


@cython.final
@cython.no_gc  # nothing of it points back to it
cdef class Known:
    """An entity or context as sent, and what it is for the engine.

    Attributes
    ----------
    text
        as sent.
    value
        principal, name of an action, ARN or context.
    prefix
        of a resource: of the actions on its type. Of an action: the one that `action` is for.
    action
        of an action: the name of the IAM action for `prefix`; None: there is none yet.
    """

    cdef int part
    cdef uint64_t hash
    cdef bytes text
    cdef object value, prefix, action


@cython.final
cdef class PlainBatch:
    """The requests of a body."""

    cdef Item* items
    cdef Py_ssize_t size, capacity
    cdef PyObject* defaults[4]

    def __dealloc__(self):
        cdef Py_ssize_t i
        cdef int part
        for part in range(4):
            Py_XDECREF(self.defaults[part])
        for i in range(self.size):
            for part in range(4):
                Py_XDECREF(self.items[i].parts[part])
            Py_XDECREF(self.items[i].action)
        free(self.items)

    def __len__(self):
        return self.size

    def requests(self, Py_ssize_t start, Py_ssize_t stop):
        """The requests from an item to another one, as `Engine.decide_each` takes them."""
        cdef list found = []
        cdef Py_ssize_t i
        cdef Item* item
        for i in range(max(start, 0), min(stop, self.size)):
            item = &self.items[i]
            found.append(
                (self.part(item, SUBJECT).value, <object>item.action, self.part(item, RESOURCE).value, self.part(item, CONTEXT).value)
            )
        return found

    cdef inline Known part(self, Item* item, int part):
        cdef PyObject* found = item.parts[part]
        return <Known>(self.defaults[part] if found is NULL else found)

    cdef Item* add(self) except NULL:
        """An empty item."""
        cdef Item* items
        cdef Py_ssize_t capacity
        if self.size == self.capacity:
            capacity = self.capacity * 2 or FEW
            items = <Item*>realloc(self.items, capacity * sizeof(Item))
            if items is NULL:
                raise MemoryError
            self.items, self.capacity = items, capacity
        items = &self.items[self.size]
        memset(items, 0, sizeof(Item))
        self.size += 1
        return items

    cdef bint resolve(self, dict actions) except -1:
        """Find the IAM actions. False if an item lacks an entity, or an action was not mapped before."""
        cdef Py_ssize_t i
        cdef Item* item
        cdef Known action, resource
        cdef int part
        for i in range(self.size):
            item = &self.items[i]
            for part in range(4):
                if item.parts[part] is NULL and self.defaults[part] is NULL:
                    return False
            action, resource = self.part(item, ACTION), self.part(item, RESOURCE)
            if action.action is None or action.prefix is not resource.prefix:
                found = member(actions, (action.value, resource.prefix))
                if found is None:
                    return False
                action.prefix, action.action = resource.prefix, found
            item.action = reference(action.action)
        return True


cdef inline PyObject* reference(object value):
    """The address of an object, with a reference of its own."""
    Py_INCREF(value)
    return <PyObject*>value


@cython.final
cdef class PlainReader:
    """Reads bodies with cached entities.

    Parameters
    ----------
    items
        maps entities that were not read before.
    keys
        the condition keys that members of a context state, where the identity may state any.
    max_action
        characters of the name of an action.
    """

    cdef PlainItems items
    cdef dict keys
    cdef Py_ssize_t max_action
    cdef Slot* slots
    cdef uint32_t replaced

    def __cinit__(self):
        self.slots = <Slot*>calloc(N_SETS * SET_SIZE, sizeof(Slot))
        if self.slots is NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self.slots is not NULL:
            for i in range(N_SETS * SET_SIZE):
                Py_XDECREF(self.slots[i].known)
            free(self.slots)

    def __init__(self, PlainItems items not None, dict keys not None, Py_ssize_t max_action):
        self.items, self.keys, self.max_action = items, keys, max_action

    def read(self, bytes body not None, Py_ssize_t most, dict keys not None, map_subject, map_resource):
        """The requests of a body whose entities have no properties.

        Parameters
        ----------
        most
            items of the body; 0: it is one evaluation, without items.
        keys, map_subject, map_resource
            as in `PlainItems.map`.

        Returns
        -------
        PlainBatch
            None for another body, for any fault, and for an action or condition key that was not mapped before.
        """
        # INVARIANT: only bytes that the grammar here accepts are passed, so what is returned is of valid JSON without duplicate
        # names: an object of parts, whose values are texts and bools, and nothing behind it.
        # SAFETY: a read behind the last byte gives the null byte that ends every bytes object, which no rule accepts.
        cdef PlainBatch batch = PlainBatch.__new__(PlainBatch)
        cdef const uint8_t* p = skip_space(<const uint8_t*>PyBytes_AS_STRING(body))
        cdef const uint8_t* end = <const uint8_t*>PyBytes_AS_STRING(body) + PyBytes_GET_SIZE(body)
        cdef Known known
        if not self.read_parts(batch, batch.defaults, most, &p, end, keys, map_subject, map_resource) or skip_space(p) != end:
            return None
        if batch.defaults[CONTEXT] is NULL:
            known = Known.__new__(Known)
            known.value = {}
            batch.defaults[CONTEXT] = reference(known)
        if most == 0:
            batch.add()
        return batch if batch.size and batch.resolve(self.items.actions) else None

    cdef bint read_parts(
        self, PlainBatch batch, PyObject** parts, Py_ssize_t most, const uint8_t** at, const uint8_t* end, dict keys,
        object map_subject, object map_resource
    ) except -1:
        """Read the body or an item, and move behind it. False if `read` gives None. `most` is 0 where no items may be."""
        cdef const uint8_t* p = at[0]
        cdef int part
        cdef Known known
        if p[0] != 123:
            return False
        p = skip_space(p + 1)
        if p[0] != 125:
            while True:
                part = part_of(&p)
                if part == ITEMS:
                    if most == 0 or batch.size or not self.read_items(batch, &p, end, most, keys, map_subject, map_resource):
                        return False
                elif part < 0 or parts[part] is not NULL:
                    return False
                else:
                    known = self.known(part, &p, end, keys, map_subject, map_resource)
                    if known is None:
                        return False
                    parts[part] = reference(known)
                p = skip_space(p)
                if p[0] != 44:
                    break
                p = skip_space(p + 1)
            if p[0] != 125:
                return False
        at[0] = p + 1
        return True

    cdef bint read_items(
        self, PlainBatch batch, const uint8_t** at, const uint8_t* end, Py_ssize_t most, dict keys, object map_subject,
        object map_resource
    ) except -1:
        """Read the array of items, and move behind it. False if `read` gives None."""
        cdef const uint8_t* p = at[0]
        if p[0] != 91:
            return False
        while True:
            p = skip_space(p + 1)
            if batch.size == most or not self.read_parts(batch, batch.add().parts, 0, &p, end, keys, map_subject, map_resource):
                return False
            p = skip_space(p)
            if p[0] != 44:
                break
        if p[0] != 93:
            return False
        at[0] = p + 1
        return True

    cdef Known known(self, int part, const uint8_t** at, const uint8_t* end, dict keys, object map_subject, object map_resource):
        """Read an entity or context, and move behind it; None if `read` gives None."""
        cdef const uint8_t* text = at[0]
        cdef const uint8_t* stop
        cdef bint is_cached = part != CONTEXT or keys is self.keys  # who may state no key has no context from the cache
        cdef uint64_t hashed = 0
        cdef Py_ssize_t size = 0
        cdef Slot* slots = NULL
        cdef PyObject* found
        cdef Known known
        cdef int i
        if text[0] != 123:
            return None
        if is_cached:
            # PERF: a known text that starts here is the whole object, so the rest of the text is not scanned
            stop = <const uint8_t*>memchr(text, 125, end - text)
            if stop is NULL:
                return None
            size = stop - text + 1
            if size <= MAX_TEXT:
                hashed = hash_bytes(text, size)
                slots = &self.slots[(hashed & (N_SETS - 1)) * SET_SIZE]
                for i in range(SET_SIZE):
                    found = slots[i].known
                    if found is not NULL and slots[i].hash == hashed and (<Known>found).part == part:
                        if PyBytes_GET_SIZE((<Known>found).text) == size:
                            if memcmp(PyBytes_AS_STRING((<Known>found).text), text, size) == 0:
                                at[0] = text + size
                                return <Known>found
        known = self.new_known(part, at, keys, map_subject, map_resource)
        if known is not None and slots is not NULL and at[0] - text == size:
            known.text = text[:size]
            self.keep(known, slots, hashed)
        return known

    cdef void keep(self, Known known, Slot* slots, uint64_t hashed):
        """Put what was read into its set."""
        cdef int i, position = -1
        cdef PyObject* old
        for i in range(SET_SIZE):
            if slots[i].known is NULL:
                position = i
                break
        if position < 0:
            self.replaced += 1
            position = self.replaced % SET_SIZE
        old = slots[position].known
        slots[position] = Slot(hashed, reference(known))
        Py_XDECREF(old)

    cdef Known new_known(self, int part, const uint8_t** at, dict keys, object map_subject, object map_resource):
        cdef dict raw = read_object(at)
        cdef Known known
        value = prefix = None
        if raw is None:
            return None
        if part == SUBJECT:
            mapped = entity(self.items.subjects, raw, map_subject, self.items.subject_type, self.items.max_id)
            if mapped is not None:
                value = mapped.principal
        elif part == ACTION:
            if len(raw) == 1:
                value = member(raw, "name")
                # checked here, because a default action that no item uses is not mapped
                if type(value) is not str or not 0 < len(<str>value) <= self.max_action:
                    value = None
        elif part == RESOURCE:
            mapped = entity(self.items.resources, raw, map_resource, self.items.resource_type, self.items.max_id)
            if mapped is not None:
                value = mapped.arn
                prefix = None if mapped.type is None else mapped.type.action_prefix
        else:
            value = self.items.read_context(raw, keys)
        if value is None:
            return None
        known = Known.__new__(Known)
        known.part, known.value, known.prefix = part, value, prefix
        return known
