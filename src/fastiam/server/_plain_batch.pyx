"""AuthZEN evaluations in their usual forms: their requests from the bytes of the body, and the bodies of the answers (G220).

Entities and contexts that were read before are found by their text, so that they are neither parsed nor mapped again.
`protocols/authzen/reading.py` defines what a request means. What is not read here is left to it, entity by entity and item by
item, also an object that has a name twice, as `strict_json._checker` finds it.

msgspec and orjson with plain Python in place of this module take 1.1 times the CPU for one evaluation, 1.3 to 1.5 times for 100
items in full, and 1.6 to 2.2 times for 100 and 1,000 items with defaults.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset, strncmp

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8

from orjson import JSONDecodeError, loads

from fastiam.strict_json._checker cimport has_equal, hash_bytes

cdef enum:
    MAX_MEMBERS = 16  # of an object that is read here
    MAX_DIGITS = 15  # of an integer that is read here: each of them is exact
    MAX_TEXT = 320  # bytes of an entity that is cached by its text
    N_SETS = 4096  # a power of two
    SET_SIZE = 4  # entities of a set; one more replaces one of them
    FEW = 64  # items that the first array has room for

cdef enum:  # members of an item, and of the body
    SUBJECT = 0
    ACTION = 1
    RESOURCE = 2
    CONTEXT = 3
    N_PARTS = 4
    ITEMS = 4
    OTHER = 5

cdef object EXACT = 10 ** 15  # integers below it are exact

cdef struct Slot:
    uint64_t hash
    PyObject* known  # `Known`

cdef struct Item:
    PyObject* parts[N_PARTS]  # `Known`; NULL: the default one
    PyObject* action  # the name of the IAM action; NULL: the item is not read here


cdef inline object member(dict mapped, object key):
    """The value of a key; None if there is none."""
    cdef PyObject* found = PyDict_GetItemWithError(mapped, key)
    return None if found is NULL else <object>found


cdef inline bint is_id(str text, Py_ssize_t limit):
    """Whether a text is certainly a right id or type."""
    return 0 < len(text) <= limit and text.isprintable()


cdef inline const uint8_t* skip_space(const uint8_t* p) noexcept nogil:
    while p[0] == 32 or p[0] == 10 or p[0] == 13 or p[0] == 9:
        p += 1
    return p


cdef const uint8_t* skip_value(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Behind a value, if the text is valid JSON."""
    cdef Py_ssize_t depth = 0
    while p < end:
        if p[0] == 34:
            p += 1
            while p < end and p[0] != 34:
                p += 2 if p[0] == 92 else 1
        elif p[0] == 123 or p[0] == 91:
            depth += 1
        elif p[0] == 125 or p[0] == 93:
            depth -= 1
            if depth < 0:  # ends what a number or literal is in
                return p
        elif p[0] == 44 and depth == 0:
            return p
        p += 1
        if depth == 0 and (p[-1] == 34 or p[-1] == 125 or p[-1] == 93):
            break
    return min(p, end)


cdef int part_of(const uint8_t** at) noexcept nogil:
    """Read the name of a member and its colon; -1 for one that is not valid, or has an escape. Moves to the value."""
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
    elif text[0] == 34:
        part, size = OTHER, 1
        while at[0][size] >= 32 and at[0][size] != 34 and at[0][size] != 92:
            size += 1
        if at[0][size] != 34:
            return -1
        size += 1
    else:
        return -1
    p = skip_space(at[0] + size)
    if p[0] != 58:
        return -1
    at[0] = skip_space(p + 1)
    return part


cdef str read_string(const uint8_t** at, const uint8_t* end):
    """Read a string, and move behind it; None for what is not JSON in UTF-8."""
    cdef const uint8_t* first = at[0] + 1
    cdef const uint8_t* p = first
    if at[0][0] != 34:
        return None
    while p[0] >= 32 and p[0] != 34 and p[0] != 92:  # a control character, also the null byte at the end, ends it
        p += 1
    if p[0] == 92:
        p = skip_value(at[0], end)
        try:
            text = loads(at[0][:p - at[0]])
        except JSONDecodeError:
            return None
        at[0] = p
        return text
    if p[0] != 34:
        return None
    at[0] = p + 1
    try:
        return PyUnicode_DecodeUTF8(<const char*>first, p - first, NULL)
    except UnicodeDecodeError:
        return None


cdef object read_integer(const uint8_t** at):
    """Read an integer of few digits, and move behind it; None for another number."""
    cdef const uint8_t* p = at[0]
    cdef long long value = 0
    while 48 <= p[0] <= 57 and p - at[0] < MAX_DIGITS:
        value = value * 10 + (p[0] - 48)
        p += 1
    if p == at[0] or (at[0][0] == 48 and p - at[0] > 1) or 48 <= p[0] <= 57 or p[0] == 46 or (p[0] | 32) == 101:
        return None
    at[0] = p
    return value


cdef dict read_object(const uint8_t** at, const uint8_t* end, bint has_properties):
    """Read an object of few texts, bools, nulls and integers, and move behind it; None for another one, and for what is not JSON.

    With `has_properties` it may have such an object as its member `properties`.
    """
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
        name = read_string(&p, end)
        if name is None or memchr(first, 92, p - first) is not NULL:  # an escape: other bytes may be the same name
            return None
        hashes[count] = hash_bytes(first, p - 1 - first)
        count += 1
        p = skip_space(p)
        if p[0] != 58:
            return None
        p = skip_space(p + 1)
        if p[0] == 34:
            value = read_string(&p, end)
            if value is None:
                return None
        elif p[0] == 123:
            value = read_object(&p, end, False) if has_properties and name == "properties" else None
            if value is None:
                return None
        elif strncmp(<const char*>p, b"true", 4) == 0:
            value, p = True, p + 4
        elif strncmp(<const char*>p, b"false", 5) == 0:
            value, p = False, p + 5
        elif strncmp(<const char*>p, b"null", 4) == 0:
            value, p = None, p + 4
        else:
            value = read_integer(&p)
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
        principal, name of an action, ARN or context; None: it is not read here.
    prefix
        of a resource: of the actions on its type. Of an action: the one that `action` is for.
    action
        of an action: the name of the IAM action for `prefix`; None: there is none yet.
    stated
        what the properties of an entity state as keys of the context; None: nothing.
    ignored
        paths of what is not used; None: all is used.
    """

    cdef int part
    cdef bytes text
    cdef object value, prefix, action
    cdef dict stated
    cdef tuple ignored


@cython.final
cdef class PlainBatch:
    """The requests of a body.

    Attributes
    ----------
    missing
        numbers of the items that were not read.
    is_whole
        whether all of the body was read, so that it is valid JSON without duplicate names.
    """

    cdef Item* items
    cdef Py_ssize_t size, capacity, most
    cdef PyObject* defaults[N_PARTS]
    cdef bint is_checked, has_stated, has_ignored
    cdef dict keys, tag_keys
    cdef object stored_tags, reader
    cdef readonly list missing

    def __cinit__(self):
        self.missing, self.is_checked = [], True

    def __dealloc__(self):
        cdef Py_ssize_t i
        cdef int part
        for part in range(N_PARTS):
            Py_XDECREF(self.defaults[part])
        for i in range(self.size):
            for part in range(N_PARTS):
                Py_XDECREF(self.items[i].parts[part])
            Py_XDECREF(self.items[i].action)
        free(self.items)

    def __len__(self):
        return self.size

    @property
    def is_whole(self):
        return self.is_checked and not self.missing

    def requests(self, Py_ssize_t start, Py_ssize_t stop):
        """The requests from an item to another one, as `Engine.decide_each` takes them; None for one that was not read."""
        cdef list found = []
        cdef Py_ssize_t i
        cdef Item* item
        cdef dict context
        cdef int part
        for i in range(max(start, 0), min(stop, self.size)):
            item = &self.items[i]
            if item.action is NULL:
                found.append(None)
                continue
            context = <dict>self.part(item, CONTEXT).value
            if self.has_stated:
                for part in (RESOURCE, ACTION, SUBJECT):
                    if self.part(item, part).stated is not None:
                        context = {**self.part(item, part).stated, **context}
            found.append((self.part(item, SUBJECT).value, <object>item.action, self.part(item, RESOURCE).value, context))
        return found

    def ignored(self):
        """For each item, the paths of what it states and is not used; None if all items use all."""
        cdef list found = []
        cdef Py_ssize_t i
        cdef int part
        cdef Item* item
        cdef tuple paths, of_part
        if not self.has_ignored:
            return None
        for i in range(self.size):
            paths, item = None, &self.items[i]
            if item.action is not NULL:
                for part in range(N_PARTS):
                    of_part = self.part(item, part).ignored
                    if of_part is not None:
                        paths = of_part if paths is None else paths + of_part
            found.append(paths)
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

    cdef object resolve(self, dict actions):
        """Find the IAM actions. An item is missing if it lacks an entity, one was not read, or its action is new."""
        cdef Py_ssize_t i
        cdef Item* item
        cdef Known action, resource
        cdef PyObject* found
        cdef int part
        for i in range(self.size):
            item = &self.items[i]
            for part in range(N_PARTS):
                found = self.defaults[part] if item.parts[part] is NULL else item.parts[part]
                if found is NULL or (<Known>found).value is None:
                    self.missing.append(i)
                    break
            else:
                action, resource = self.part(item, ACTION), self.part(item, RESOURCE)
                if action.action is None or action.prefix is not resource.prefix:
                    name = member(actions, (action.value, resource.prefix))
                    if name is None:
                        self.missing.append(i)
                        continue
                    action.prefix, action.action = resource.prefix, name
                item.action = reference(action.action)


cdef dict parsed(bytes text):
    """An object of any JSON; None for another value, and for what is not JSON."""
    try:
        value = loads(text)
    except JSONDecodeError:
        return None
    return value if type(value) is dict else None


cdef inline PyObject* reference(object value):
    """The address of an object, with a reference of its own."""
    Py_INCREF(value)
    return <PyObject*>value


cdef inline object prefix_of(object resource):
    return None if resource.type is None else resource.type.action_prefix


cdef Known MISSING = Known.__new__(Known)
cdef Known NO_CONTEXT = Known.__new__(Known)
NO_CONTEXT.value = {}


@cython.final
cdef class PlainReader:
    """Reads bodies with cached entities.

    Parameters
    ----------
    subjects, resources
        entities without properties by type and id.
    subject_type, resource_type
        their classes.
    actions
        IAM actions by name and prefix of the type of the resource.
    keys
        the condition keys that members of a context state, where the identity may state any.
    stated, unused
        `Key.kind` of the keys that are stated, and of those that never are.
    max_id, max_action, max_value
        characters of an id, of the name of an action and of a value.
    """

    cdef dict subjects, resources, actions, keys
    cdef object subject_type, resource_type, stated, unused
    cdef Py_ssize_t max_id, max_action, max_value
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

    def __init__(
        self, dict subjects not None, dict resources not None, dict actions not None, dict keys not None, subject_type,
        resource_type, stated, unused, Py_ssize_t max_id, Py_ssize_t max_action, Py_ssize_t max_value
    ):
        self.subjects, self.resources, self.actions, self.keys = subjects, resources, actions, keys
        self.subject_type, self.resource_type, self.stated, self.unused = subject_type, resource_type, stated, unused
        self.max_id, self.max_action, self.max_value = max_id, max_action, max_value

    def read(self, bytes body not None, Py_ssize_t most, dict keys not None, dict tag_keys, stored_tags, reader):
        """The requests of a body.

        Parameters
        ----------
        most
            items of the body; 0: it is one evaluation, without items.
        keys
            the condition keys that members of a context state.
        tag_keys
            the condition keys that properties of a resource state as its tags; None: none may be stated.
        stored_tags
            gives the folded `aws:ResourceTag/*` keys of the record of an ARN.
        reader
            maps entities and contexts as sent (`subject`, `action`, `resource`, `context`), or a type and id (`plain_subject`,
            `plain_resource`). They return an exception for a fault.

        Returns
        -------
        PlainBatch
            None for a body without items, and for any fault of its form that was found. If it is not whole, the body is to be
            parsed and checked, too.
        """
        # INVARIANT: if the batch is whole, its bytes are of the grammar here, so they are valid JSON without duplicate names: an
        # object of parts, whose values are texts, bools, nulls and integers, and nothing behind it. If it is not, what was read
        # is what the text means if it is valid: no part was skipped whose name might be that of another one.
        # SAFETY: a read behind the last byte gives the null byte that ends every bytes object, which no rule accepts.
        cdef PlainBatch batch = PlainBatch.__new__(PlainBatch)
        cdef const uint8_t* p = skip_space(<const uint8_t*>PyBytes_AS_STRING(body))
        cdef const uint8_t* end = <const uint8_t*>PyBytes_AS_STRING(body) + PyBytes_GET_SIZE(body)
        batch.most, batch.keys, batch.tag_keys, batch.stored_tags, batch.reader = most, keys, tag_keys, stored_tags, reader
        if not self.read_parts(batch, batch.defaults, True, &p, end) or skip_space(p) != end:
            return None
        if batch.defaults[CONTEXT] is NULL:
            batch.defaults[CONTEXT] = reference(NO_CONTEXT)
        if most == 0:
            batch.add()
        batch.resolve(self.actions)
        return batch if batch.size else None

    cdef bint read_parts(
        self, PlainBatch batch, PyObject** parts, bint is_body, const uint8_t** at, const uint8_t* end
    ) except -1:
        """Read the body or an item, and move behind it. False if `read` gives None."""
        cdef const uint8_t* p = at[0]
        cdef int part, seen = 0
        if p[0] != 123:
            return False
        p = skip_space(p + 1)
        if p[0] != 125:
            while True:
                part = part_of(&p)
                if part < 0 or (part != OTHER and seen & (1 << part)):
                    return False
                seen |= 1 << part
                if part == ITEMS and is_body and batch.most:
                    if not self.read_items(batch, &p, end):
                        return False
                elif part >= N_PARTS:
                    p, batch.is_checked = skip_value(p, end), False
                elif strncmp(<const char*>p, b"null", 4) == 0:
                    p += 4
                else:
                    parts[part] = reference(self.known(batch, part, &p, end))
                p = skip_space(p)
                if p[0] != 44:
                    break
                p = skip_space(p + 1)
            if p[0] != 125:
                return False
        at[0] = p + 1
        return True

    cdef bint read_items(self, PlainBatch batch, const uint8_t** at, const uint8_t* end) except -1:
        """Read the array of items, and move behind it. False if `read` gives None."""
        cdef const uint8_t* p = at[0]
        cdef PyObject** parts
        if p[0] != 91:
            return False
        while True:
            p = skip_space(p + 1)
            if batch.size == batch.most:
                return False
            parts = batch.add().parts
            if p[0] == 123:
                if not self.read_parts(batch, parts, False, &p, end):
                    return False
            elif p[0] == 93 or p[0] == 44:
                return False
            else:
                parts[SUBJECT], p, batch.is_checked = reference(MISSING), skip_value(p, end), False
            p = skip_space(p)
            if p[0] != 44:
                break
        if p[0] != 93:
            return False
        at[0] = p + 1
        return True

    cdef Known known(self, PlainBatch batch, int part, const uint8_t** at, const uint8_t* end):
        """Read an entity or context, and move behind it."""
        cdef const uint8_t* text = at[0]
        cdef const uint8_t* stop
        cdef bint is_cached = part != CONTEXT or batch.keys is self.keys  # who may state no key has no context from the cache
        cdef uint64_t hashed = 0
        cdef Py_ssize_t size = 0
        cdef Slot* slots = NULL
        cdef PyObject* found
        cdef Known known
        cdef dict raw
        cdef int i
        if is_cached and text[0] == 123:
            # PERF: a known text that starts here is the whole object, so the rest of the text is not scanned
            stop = <const uint8_t*>memchr(text, 125, end - text)
            size = 0 if stop is NULL else stop - text + 1
            if 0 < size <= MAX_TEXT:
                hashed = hash_bytes(text, size)
                slots = &self.slots[(hashed & (N_SETS - 1)) * SET_SIZE]
                for i in range(SET_SIZE):
                    found = slots[i].known
                    if found is not NULL and slots[i].hash == hashed and (<Known>found).part == part:
                        if PyBytes_GET_SIZE((<Known>found).text) == size:
                            if memcmp(PyBytes_AS_STRING((<Known>found).text), text, size) == 0:
                                at[0] = text + size
                                batch.has_ignored |= (<Known>found).ignored is not None
                                return <Known>found
        raw = read_object(at, end, part != CONTEXT)
        if raw is None:
            at[0], batch.is_checked, slots = skip_value(text, end), False, NULL
            raw = parsed(text[:at[0] - text])  # it may have a name twice, so it is not cached
        known = None if raw is None else self.new_known(batch, part, raw)
        if known is not None and slots is not NULL and at[0] - text == size:
            known.text = text[:size]
            self.keep(known, slots, hashed)
        elif known is None:
            known = MISSING if raw is None else self.general(batch, part, raw)
        if known is MISSING:
            batch.is_checked = False  # also a default entity that no item uses has a right form
        batch.has_ignored |= known.ignored is not None
        batch.has_stated |= known.stated is not None
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

    # -- what was read ------------------------------------------------------------------------------------------------

    cdef Known new_known(self, PlainBatch batch, int part, dict raw):
        """An entity or context of a usual form, which means the same for each identity; None for another one."""
        cdef Known known = Known.__new__(Known)
        known.part = part
        if part == CONTEXT:
            return known if self.read_context(batch, known, raw) else None
        properties = member(raw, "properties")
        if type(properties) is not dict and properties is not None:
            return None
        if part == RESOURCE:
            mapped = self.entity(self.resources, raw, self.resource_type, batch.reader.plain_resource)
            if mapped is not None and (not properties or self.read_tags(batch, known, properties, mapped.arn)):
                known.value, known.prefix = mapped.arn, prefix_of(mapped)
        elif not properties and part == SUBJECT:
            mapped = self.entity(self.subjects, raw, self.subject_type, batch.reader.plain_subject)
            known.value = None if mapped is None else mapped.principal
        elif not properties:
            value = member(raw, "name")
            # checked here, because a default action that no item uses is not mapped
            known.value = value if type(value) is str and 0 < len(<str>value) <= self.max_action else None
        return None if known.value is None else known

    cdef Known general(self, PlainBatch batch, int part, dict raw):
        """An entity or context of any form, as the identity may state it. `MISSING`: a fault, or not keys of a context alone."""
        cdef Known known = Known.__new__(Known)
        reader, known.part = batch.reader, part
        if part == CONTEXT:
            facts = reader.context(raw)
            if isinstance(facts, Exception) or not facts.is_plain:
                return MISSING
            known.value = facts.context
        else:
            mapped = reader.subject(raw) if part == SUBJECT else reader.resource(raw) if part == RESOURCE else reader.action(raw)
            if isinstance(mapped, Exception) or not mapped.facts.is_plain or (part == RESOURCE and mapped.owner is not None):
                return MISSING
            facts = mapped.facts
            known.stated = facts.context or None
            known.value = mapped.principal if part == SUBJECT else mapped.arn if part == RESOURCE else mapped.name
            known.prefix = prefix_of(mapped) if part == RESOURCE else None
        known.ignored = tuple(facts.ignored) or None
        return known

    cdef object entity(self, dict mapped, dict raw, object kind, object map_new):
        """The entity of a type and id: mapped before, or mapped now; None for another form, and for a fault."""
        cdef PyObject* found
        type_name, id_ = member(raw, "type"), member(raw, "id")
        if type(type_name) is not str or type(id_) is not str:
            return None
        found = PyDict_GetItemWithError(mapped, (type_name, id_))
        if found is not NULL:
            return <object>found
        if not is_id(<str>type_name, self.max_id) or not is_id(<str>id_, self.max_id):
            return None
        made = map_new(type_name, id_)
        return made if type(made) is kind else None

    cdef bint read_tags(self, PlainBatch batch, Known known, dict raw, object arn) except -1:
        """The properties of a resource as its tags; False if they are not all known keys with a text or a bool, or it has one."""
        cdef dict stated = {}
        cdef list read = []
        cdef tuple key
        if batch.tag_keys is None:
            return False
        stored = batch.stored_tags(arn)
        for name, value in raw.items():
            known_key = member(batch.tag_keys, name)
            if known_key is None:
                return False
            key = <tuple>known_key  # `Key`: name, folded, kind, info, read
            if key[1] in read or key[1] in stored:
                return False
            read.append(key[1])
            if type(value) is str:
                if len(<str>value) > self.max_value:
                    return False
            elif type(value) is bool:
                value = "true" if value else "false"
            else:
                return False
            stated[key[0]] = value
        known.stated = stated
        return True

    cdef bint read_context(self, PlainBatch batch, Known known, dict raw) except -1:
        """The context for the engine; False if its members are not all known keys with a text or a bool, or never used."""
        cdef list read = [], ignored = []
        cdef dict stated = {}
        cdef tuple key
        cdef PyObject* found
        for name, value in raw.items():
            found = PyDict_GetItemWithError(batch.keys, name)
            if found is NULL or (type(value) is str and len(<str>value) > self.max_value):
                return False
            key = <tuple><object>found  # `Key`: name, folded, kind, info, read
            if key[2] is self.unused:
                if type(value) not in (str, bool) and (type(value) is not int or not -EXACT < value < EXACT):
                    return False
                ignored.append(key[0])
                continue
            if key[2] is not self.stated or key[1] in read:  # stated twice
                return False
            if type(value) is str:
                text = value
            elif type(value) is bool:
                text = "true" if value else "false"
            else:
                return False
            if key[4] is not None and key[4](text) is None:
                return False
            read.append(key[1])
            stated[key[0]] = value
        known.value, known.ignored = stated, tuple(ignored) if ignored else None
        return True


def write_cached(list decisions not None, list endings, dict cached not None, Py_ssize_t most):
    """What to write of decisions whose answers are cached.

    Parameters
    ----------
    endings
        what follows the head of an answer in place of its end; None: none has such an ending.
    cached
        answers `(decision, head, body, is_allowed, key)` by the `id` of their decisions; equal keys are one object.
    most
        denied items that are returned.

    Returns
    -------
    tuple
        the bodies with commas between them, counts by key, and the first denied items. None if one is not cached.
    """
    cdef list denied = [], answers = []
    cdef dict counts = {}
    cdef tuple answer = None
    cdef object last = None, decision = None
    cdef Py_ssize_t i, same = 0, size = 0, n = len(decisions)
    cdef PyObject** pieces = <PyObject**>malloc((2 * n + 1) * sizeof(PyObject*))
    cdef bytes whole
    cdef char* at
    if pieces is NULL:
        raise MemoryError
    try:
        for i in range(n):
            if answer is None or decisions[i] is not decision:
                decision = decisions[i]
                answer = <tuple>at_id(cached, decision)
                if answer is None:
                    return None
                answers.append(answer)  # another thread may empty `cached`
                if answer[4] is not last:
                    if same:
                        counts[last] = counts.get(last, 0) + same
                    last, same = answer[4], 0
            ending = None if endings is None else endings[i]
            pieces[2 * i] = <PyObject*>answer[2] if ending is None else <PyObject*>answer[1]
            pieces[2 * i + 1] = NULL if ending is None else <PyObject*>ending
            size += put_piece(NULL, pieces[2 * i]) + put_piece(NULL, pieces[2 * i + 1]) + 1
            same += 1
            if answer[3] is not True and len(denied) < most:
                denied.append(i)
        if same:
            counts[last] = counts.get(last, 0) + same
        # SAFETY: `answers` and `endings` have the pieces
        whole = PyBytes_FromStringAndSize(NULL, max(size - 1, 0))
        at = PyBytes_AS_STRING(whole)
        for i in range(n):
            if i:
                at[0] = 44
                at += 1
            at += put_piece(at, pieces[2 * i])
            at += put_piece(at, pieces[2 * i + 1])
    finally:
        free(pieces)
    return whole, counts, denied


cdef inline Py_ssize_t put_piece(char* at, PyObject* piece) noexcept:
    """Copy some bytes, if there are any, unless `at` is NULL. Returns their size."""
    if piece is NULL:
        return 0
    if at is not NULL:
        memcpy(at, PyBytes_AS_STRING(<bytes>piece), PyBytes_GET_SIZE(<bytes>piece))
    return PyBytes_GET_SIZE(<bytes>piece)


cdef inline object at_id(dict cached, object decision):
    cdef PyObject* found = PyDict_GetItemWithError(cached, <Py_ssize_t><PyObject*>decision)
    return None if found is NULL else <object>found
