"""The doors of the engine: one request, or columns of requests.

A call is attempted on the tables as they are. Where something is not there yet (a row, the name of an action, a principal), the
attempt ends with a status, Python code settles it, and the call is attempted again: no attempt runs Python code, so none can be
interrupted half-way by another thread.
"""
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from fastiam._build cimport Tables
from fastiam._call cimport ENDPOINT_KNOWN, ENDPOINT_NONE, ENDPOINT_UNKNOWN, Call, ContextColumn, Fetched, Scratch, Slot, given
from fastiam._columns cimport Column, Text, item_code, item_text, row_items
from fastiam._decide cimport (
    ALLOW, BAD_CONTEXT, BAD_OWNER, BAD_RESOURCE, DONE, MISSING, NO_ACTION, NO_FACTS, NO_PRINCIPAL, REASON_NONE, UNCHECKED, Answer,
    cut_resource, decide, is_indeterminate,
)
from fastiam._ingest cimport TextColumn
from fastiam._locate cimport locate_endpoint, locate_resource, may_contradict, use_record
from fastiam._bytes cimport mix, table_find
from fastiam._types cimport *

import numpy as np

from fastiam.errors import RequestValueError
from fastiam.request import ContextValue, check_action, check_resource, epoch_seconds, read_context, read_value


cdef enum:
    ERROR_OUTCOME = 255
    CHUNK = 65536              # rows between two settlements
    TAG_AT = 15                # len("aws:RequestTag/")


# -- what a thread needs while it decides --------------------------------------------------------------------------------

cdef struct Frame:
    Scratch s
    Slot* slots
    Text* texts
    int32_t n_slots
    int32_t n_texts
    int32_t slot_room
    int32_t text_room
    Frame* next


cdef Frame* new_frame() except NULL:
    cdef Frame* f = <Frame*>calloc(1, sizeof(Frame))
    if f == NULL:
        raise MemoryError()
    return f


cdef void free_frame(Frame* f):
    cdef int i
    free(f.s.memo)
    free(f.s.sources)
    free(f.s.touched)
    free(f.s.touched_row)
    for i in range(2):
        free(f.s.texts[i])
        free(f.s.expanded[i].data)
        free(f.s.folded[i].data)
    free(f.slots)
    free(f.texts)
    free(f)


cdef int fit(Frame* f, const TablesC* t) except -1:
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


cdef int count_touched(Frame* f, uint32_t n_keys) except -1:
    """Begin to count the rows that read keys which nobody supplies."""
    f.s.touched = <int64_t*>calloc(n_keys + 1, 8)
    f.s.touched_row = <int64_t*>malloc((n_keys + 1) * 8)
    if f.s.touched == NULL or f.s.touched_row == NULL:
        raise MemoryError()
    memset(f.s.touched_row, 0xFF, (n_keys + 1) * 8)
    return 0


cdef inline void next_stamp(Scratch* s) noexcept nogil:
    s.stamp += 1
    if s.stamp >> 30:
        memset(s.memo, 0, <size_t>s.n_memo * 4)
        s.stamp = 1


cdef int utf8_of(str text, Text* out) except -1:
    """The UTF-8 of a string, borrowed from it; False where it has none (a lone surrogate)."""
    cdef Py_ssize_t size
    try:
        out.data = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        return False
    out.size = size
    return True


# -- an attempt -------------------------------------------------------------------------------------------------------------

cdef inline int attempt(Call* c, Answer* a, const Text* owner, bint checked) noexcept nogil:
    """Locate and decide. `c` has principal, action, resource and context."""
    cdef uint32_t i
    cdef int status
    if not cut_resource(c):
        return BAD_RESOURCE
    next_stamp(c.s)
    status = locate_resource(c, owner)
    if status != DONE:
        return status
    locate_endpoint(c)
    if not checked and c.principal.flags & P_KNOWN:
        if c.columns != NULL:
            for i in range(<uint32_t>c.n_columns):
                if c.t.keys[c.columns[i].key].is_checked and may_contradict(c, c.columns[i].key):
                    return UNCHECKED
        else:
            for i in range(<uint32_t>c.n_slots):
                if c.t.keys[c.slots[i].key].is_checked and may_contradict(c, c.slots[i].key):
                    return UNCHECKED
    elif not checked:
        checked = True
    return decide(c, a)


cdef class Core:
    """Tables with their doors. `Engine` adds what Python settles:

    `_settle_principal(name, action)`, `_settle_session(session)`, `_settle_facts(arn)`: enter what an attempt missed;
    `_settle_key(name)`: the number of a context key by any spelling, -1 if nothing reads it;
    `_settle_check(principal, action, resource, context, resource_account)`: raise where K1, D23 or the grammar is broken;
    `_settle_limits()`: drop the cache where it is full;
    `_statement(occurrence, layer, level)`: the `StatementRef` of an entry; `_decision(...)`: a `Decision`.
    """

    cdef readonly Tables tables
    cdef Frame* frames
    cdef dict key_numbers
    cdef dict session_numbers
    cdef dict decisions
    cdef dict defaults
    cdef Call loose
    cdef readonly bint is_loose

    def __cinit__(self, *args, **kwargs):
        self.key_numbers = {}
        self.session_numbers = {}
        self.decisions = {}
        self.defaults = {}

    def __dealloc__(self):
        cdef Frame* f = self.frames
        cdef Frame* after
        while f != NULL:
            after = f.next
            free_frame(f)
            f = after

    def _use(self, Tables tables):
        """Take the tables, once they are frozen."""
        self.tables = tables

    def _set_defaults(self, dict defaults):
        """Values by folded key for what a request does not give."""
        self.defaults = defaults

    def _forget(self):
        """Drop what requests brought: rows, names, sessions."""
        self.tables.drop()
        self.key_numbers = {}
        self.session_numbers = {}
        self.decisions = {}

    def _loosen(self, uint32_t record, *, owner, bint assumed_owner, bint owner_override, bint unknown_owner, rcp_stack, partition, endpoint):
        """Decide over profiles as they are: one principal, one resource, an endpoint (None, or its number, -1 for unknown)."""
        cdef Call* c = &self.loose
        cdef const PoolText* word
        self.is_loose = True
        memset(c, 0, sizeof(Call))
        c.t = &self.tables.t
        c.resource = Text(b"*", 1)
        c.is_loose = True
        c.is_star = True
        use_record(c, record)
        c.owner_known = owner is not None
        if owner is not None:
            word = &self.tables.t.words[<uint32_t>owner]
            c.owner = Text(<const char*>self.tables.t.pool + word.text, word.size)
        c.assumed_owner = assumed_owner
        c.owner_override = owner_override
        c.unknown_owner = unknown_owner
        c.rcp_stack = rcp_stack
        c.partition = partition
        c.account = NONE
        c.endpoint_state = ENDPOINT_NONE
        if endpoint is not None:
            c.endpoint_state = ENDPOINT_UNKNOWN if endpoint < 0 else ENDPOINT_KNOWN
            if endpoint >= 0:
                c.endpoint = &self.tables.t.endpoints[<uint32_t>endpoint]

    cdef Frame* _take(self) except NULL:
        cdef Frame* f = self.frames
        if f == NULL:
            return new_frame()
        self.frames = f.next
        return f

    cdef void _give(self, Frame* f):
        f.next = self.frames
        self.frames = f

    # -- the context of a single call ---------------------------------------------------------------------------------------------

    cdef int64_t _key(self, str name) except -2:
        found = self.key_numbers.get(name)
        if found is None:
            found = self._settle_key(name)
            if len(self.key_numbers) < 100_000:          # hostile spellings must not grow it without bound
                self.key_numbers[name] = found
        return found

    cdef int _room(self, Frame* f, int32_t texts) except -1:
        if f.n_slots == f.slot_room:
            f.slot_room = 2 * f.slot_room + 16
            f.slots = <Slot*>realloc(f.slots, f.slot_room * sizeof(Slot))
        if f.n_texts + texts > f.text_room:
            f.text_room = 2 * (f.n_texts + texts) + 16
            f.texts = <Text*>realloc(f.texts, f.text_room * sizeof(Text))
        if f.slots == NULL or f.texts == NULL:
            f.slot_room = f.text_room = 0
            raise MemoryError()
        return 0

    cdef int _add_slot(self, Frame* f, uint32_t key, str name, tuple values, bint is_multi, bint is_conflict) except -1:
        cdef Slot* s
        cdef Text spelled
        self._room(f, <int32_t>len(values))
        s = &f.slots[f.n_slots]
        s[0] = Slot(key, f.n_texts, <int32_t>len(values), is_multi, is_conflict, Text(NULL, 0))
        for value in values:
            utf8_of(value, &f.texts[f.n_texts])
            f.n_texts += 1
        if self.tables.t.keys[key].tag:
            utf8_of(name, &spelled)
            s.tag = Text(spelled.data + TAG_AT, spelled.size - TAG_AT)
        f.s.sources[key] = f.n_slots
        f.n_slots += 1
        return 0

    cdef int _add_values(self, Frame* f, object context) except -1:
        """A context of `ContextValue`s by folded key."""
        cdef int64_t key
        for folded, value in context.items():
            key = self._key(folded)
            if key >= 0:
                fit(f, &self.tables.t)
                self._add_slot(f, <uint32_t>key, value.name or folded, value.values, value.multi, value.conflict)
        return 0

    cdef int _add_context(self, Frame* f, object context, list keep) except -1:
        """A caller's context; `keep` holds what the slots borrow from and the caller does not own."""
        cdef int64_t key
        cdef Text text
        cdef const Key* k
        for name, value in context.items():
            if type(name) is not str:
                read_context(context)                    # raises
            key = self._key(<str>name)
            if type(value) is str:
                if not utf8_of(<str>value, &text):
                    read_value(name, value)              # raises: a lone surrogate
                if key < 0:
                    continue
                fit(f, &self.tables.t)
                if f.s.sources[key] >= 0:
                    return self._restart(f, context, keep)
                k = &self.tables.t.keys[key]
                self._add_slot(f, <uint32_t>key, <str>name, (value,), k.is_multi, False)
                continue
            read = read_value(name, value)
            if read is None or key < 0:
                continue
            keep.append(read)
            fit(f, &self.tables.t)
            if f.s.sources[key] >= 0:
                return self._restart(f, context, keep)
            self._add_slot(f, <uint32_t>key, <str>name, read.values, read.multi, False)
        return 0

    cdef int _add_defaults(self, Frame* f) except -1:
        cdef int64_t key
        for folded, value in self.defaults.items():
            key = self._key(folded)
            fit(f, &self.tables.t)
            if f.s.sources[key] < 0:
                self._add_slot(f, <uint32_t>key, value.name or folded, value.values, value.multi, value.conflict)
        return 0

    cdef int _restart(self, Frame* f, object context, list keep) except -1:
        """Two spellings of one key: read the whole context again, joined (C6)."""
        self._clear(f)
        joined = read_context(context)
        keep.append(joined)
        return self._add_values(f, joined)

    cdef void _clear(self, Frame* f):
        cdef int32_t i
        for i in range(f.n_slots):
            f.s.sources[f.slots[i].key] = -1
        f.n_slots = 0
        f.n_texts = 0

    # -- one request --------------------------------------------------------------------------------------------------------------------

    cdef int _principal_number(self, object principal, str action, Call* c) except -1:
        """Find who asks in the tables; False where the directory must be asked first."""
        cdef Text name
        cdef uint32_t found = NONE
        if type(principal) is str:
            if not utf8_of(<str>principal, &name):
                raise RequestValueError("a principal holds a lone surrogate and is no valid text", column="principal")
            if c.action.flags & ACT_FEDERATION and not (name.size > 4 and name.data[3] == 58):
                key = (<str>principal).encode() + b"\0" + action.lower().encode()     # N3: a provider here, a service elsewhere
                found = table_find(&self.tables.t.principal_names, self.tables.t.pool, key, len(key), self.tables.t.seed)
            else:
                found = table_find(&self.tables.t.principal_names, self.tables.t.pool, name.data, name.size, self.tables.t.seed)
            if found == NONE:
                self._settle_principal(principal, action)
                return False
        else:
            number = self.session_numbers.get(id(principal))
            if number is None:
                self.session_numbers[id(principal)] = (self._settle_session(principal), principal)
                return False
            found = number[0]
        c.principal = &self.tables.t.principals[found]
        return True

    cdef int _action_number(self, str action, Call* c) except -1:
        cdef Text text
        cdef uint32_t name
        if not utf8_of(action, &text):
            check_action(action)                         # raises
        name = table_find(&self.tables.t.action_names, self.tables.t.pool, text.data, text.size, self.tables.t.seed)
        if name == NONE:
            check_action(action)
            self.tables.find_action(text.data[:text.size], &name)
        c.action_name = name
        c.action_class = self.tables.t.name_classes[name]
        c.action = &self.tables.t.classes[c.action_class]
        return 0

    cdef int _settle(self, int status, Call* c, Answer* a, tuple request, bint* checked) except -1:
        """Make ready for another attempt, or raise."""
        if status == MISSING:
            self._settle_limits()
            self.tables.make_row(a.missing, c.action_class, c.action_name)
        elif status == NO_FACTS:
            self._settle_facts(request[2])
        elif status == UNCHECKED:
            self._settle_check(*request)
            checked[0] = True
        else:
            check_resource(request[2])
            self._settle_check(*request)
            raise RequestValueError("the request cannot be read", column="resource")
        return 0

    cdef int _decide(
        self, Frame* f, Call* c, Answer* a, object principal, object action, object resource, object context, object owner, object now,
        bint reasons, list keep,
    ) except -1:
        """Decide one request; `f` holds the context."""
        cdef Text owner_text = Text(NULL, 0)
        cdef bint checked = self.is_loose
        cdef uint64_t generation
        cdef int status = NO_ACTION
        if type(action) is not str:
            check_action(action)
        if type(resource) is not str:
            check_resource(resource)
        if owner is not None and (type(owner) is not str or not utf8_of(owner, &owner_text)):
            raise RequestValueError("`resource_account` must be text", column="resource_account")
        memset(c, 0, sizeof(Call))
        while True:
            generation = self.tables.generation
            if self.is_loose:
                c[0] = self.loose
            c.now = epoch_seconds(now) if now is None or type(now) is not int else now
            c.reasons = reasons
            c.accept[0] = STRICT
            c.accept[1] = BROAD
            self._clear(f)
            fit(f, &self.tables.t)
            if context is not None:
                if self.is_loose:
                    self._add_values(f, context)
                else:
                    self._add_context(f, context, keep)
            if self.defaults:
                self._add_defaults(f)
            self._action_number(<str>action, c)
            if not self._principal_number(principal, <str>action, c):
                continue
            if not utf8_of(<str>resource, &c.resource):
                check_resource(resource)                 # raises
            if generation != self.tables.generation:
                continue
            # from here to the end of the attempt no Python code runs
            c.t = &self.tables.t
            c.action = &c.t.classes[c.action_class]
            fit(f, c.t)
            c.s = &f.s
            c.slots = f.slots
            c.slot_texts = f.texts
            c.n_slots = f.n_slots
            if self.is_loose:
                status = BAD_RESOURCE
                if cut_resource(c):
                    next_stamp(c.s)
                    status = decide(c, a)
            else:
                status = attempt(c, a, &owner_text, checked)
            if f.s.failed:
                f.s.failed = 0
                raise MemoryError()
            if status == DONE:
                return 0
            self._settle(status, c, a, (principal, action, resource, context, owner), &checked)

    def is_allowed(self, principal, action, resource, context=None, *, resource_account=None, now=None):
        """Whether one request is authorised.

        Parameters
        ----------
        principal : an ARN, a service name, `*` for an unsigned caller, or a `Session`.
        action : one literal `service:Name`, in any case.
        resource : an ARN, or `*` for actions without one.
        context : mapping of condition keys to values: text, bool, int, float, aware datetime, bytes, or a list of these.
        resource_account : the owner of the resource, where the caller knows it (D23).
        now : aware datetime; the clock where it is None (K5).

        Raises
        ------
        RequestValueError: a value cannot be read, or contradicts the directory (K1, D23).
        """
        cdef Frame* f = self._take()
        cdef Call c
        cdef Answer a
        cdef list keep = []
        try:
            self._decide(f, &c, &a, principal, action, resource, context, resource_account, now, False, keep)
            return a.outcome == ALLOW
        finally:
            self._clear(f)
            self._give(f)

    def decide(self, principal, action, resource, context=None, *, resource_account=None, now=None):
        """The `Decision` on one request: outcome, layer, statement. Arguments and errors as `is_allowed`."""
        cdef Frame* f = self._take()
        cdef Call c
        cdef Answer a
        cdef list keep = []
        cdef bint indeterminate
        cdef uint64_t key
        cdef uint32_t occurrence, level
        try:
            while True:
                self._decide(f, &c, &a, principal, action, resource, context, resource_account, now, True, keep)
                indeterminate = is_indeterminate(&c, &a)
                occurrence = NONE if a.entry == NULL else a.entry.occurrence
                level = 0 if a.entry == NULL else a.entry.level
                key = (
                    (<uint64_t>occurrence << 32) | (level << 24) | (<uint32_t>a.outcome << 20) | (<uint32_t>a.layer << 16)
                    | (<uint32_t>a.reason << 8) | (<uint32_t>indeterminate << 2) | (<uint32_t>c.assumed_owner << 1) | c.owner_override
                )
                found = self.decisions.get(key)
                if found is None:
                    found = self._decision(
                        a.outcome, a.layer, a.reason, None if occurrence == NONE else occurrence, level, indeterminate,
                        bool(c.assumed_owner), bool(c.owner_override),
                    )
                    if len(self.decisions) > 200_000:
                        self.decisions = {}
                    self.decisions[key] = found
                return found
        finally:
            self._clear(f)
            self._give(f)

