"""`Names`: principals, resources, accounts and endpoints of one engine, by name.

Tables contain policies, and all engines that come from one another through `updated` share them. Names contain the state of one directory: ids of
table entries. A fork copies the names and shares everything else. When run-time entries are evicted, names are truncated before the next read.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastiam.kernel.base.invariants cimport narrow32
from fastiam.kernel.model.ids cimport NONE
from fastiam.kernel.model.keys cimport Constant, Key
from fastiam.kernel.model.principals cimport KIND_FED, KIND_USER, Principal
from fastiam.kernel.model.resources cimport Account, Endpoint, MAX_PREFIX_CUTS, START_AT
from fastiam.kernel.model.string_table cimport PoolText, StringSlot, StringTable, hashed_name, table_hash
from fastiam.kernel.model.tables cimport TablesC
from fastiam.kernel.plan.tables cimport Tables
from fastiam.kernel.storage.vectors cimport NameTable, Vector, bytes_of, free_items


cdef enum:
    UNSEEN = 0xFFFFFFFFFFFFFFFF
    TEMPLATE_CAPACITY = 250    # bytes that an entry of `templates` takes, about


cdef bint may_end_principal(bytes text):
    """Whether a text is there, of printable ASCII alone, without a blank at its end (N3)."""
    cdef uint8_t c = 32
    for c in text:
        if not 32 <= c <= 126:
            return False
    return c != 32


def provider_key(str name, str action):
    """What a federated provider is known by: its name and an action of federation (N3). No text holds the byte between the two, so that
    no principal has this name."""
    return name.encode() + b"\xff" + action.lower().encode()


cdef bytes start_key(str start):
    """What all resources are known by whose ARNs begin so and that have no record of their own (6.10), None where `find_prefix_record` would not
    be read that far. Without its `arn`, so that it is not an ARN."""
    cdef str last = start.split(":", 5)[5] if start else ""
    return start[START_AT:].encode() if 0 < last.count("/") + last.count(":") <= MAX_PREFIX_CUTS else None


cdef class _Template:
    """The arguments of `add_template`."""


cdef class Names:
    """Who and what an engine knows by name.

    Thread-safety: methods are called with the lock of the compiler; kernels read what `view` or `enter` lends them.
    """

    def __cinit__(self, Tables tables):
        cdef int i
        self.tables = tables
        self.generation = tables.generation
        self.seen = UNSEEN
        self.templates = {}
        for i in range(N_LISTS):
            self._list(i).item = 4
        for i in range(N_TABLES):
            self._table(i).slots.item = sizeof(StringSlot)
            self._table(i).texts.item = sizeof(PoolText)
        self.accounts.item = sizeof(Account)
        self.endpoints.item = sizeof(Endpoint)

    def __dealloc__(self):
        cdef int i
        for i in range(N_LISTS):
            if not self._list(i).is_mapped:
                free_items(self._list(i).data)
        for i in range(N_TABLES):
            if not self._table(i).slots.is_mapped:
                free_items(self._table(i).slots.data)

    cdef NameTable* _table(self, int i):
        cdef NameTable* all[N_TABLES]
        all[0] = &self.principals
        all[1] = &self.records
        all[2] = &self.facts
        all[3] = &self.account_ids
        all[4] = &self.endpoint_ids
        all[5] = &self.services
        return all[i]

    cdef Vector* _list(self, int i):
        if i == 0:
            return &self.accounts
        if i == 1:
            return &self.endpoints
        return &self._table((i - 2) // 2).values if i & 1 else &self._table((i - 2) // 2).texts

    # -- reading -------------------------------------------------------------------------------------------------------

    cdef int sync(self) except -1:
        """Write addresses and counts into `t`, which kernels copy."""
        cdef TablesC* t = &self.t
        if self.generation != self.tables.generation:
            self._cut()
        self.tables.sync()
        t[0] = self.tables.t
        t.accounts = <const Account*>self.accounts.data
        t.endpoints = <const Endpoint*>self.endpoints.data
        t.n_accounts = self.accounts.n
        t.n_endpoints = self.endpoints.n
        t.has_endpoints = self.has_endpoints
        t.denies_unknown_owner = self.denies_unknown_owner
        self.tables._publish_table(&self.principals, &t.principal_names)
        self.tables._publish_table(&self.records, &t.record_names)
        self.tables._publish_table(&self.facts, &t.fact_names)
        self.tables._publish_table(&self.account_ids, &t.account_names)
        self.tables._publish_table(&self.endpoint_ids, &t.endpoint_names)
        self.tables._publish_table(&self.services, &t.services)
        self.seen = self.tables.version
        return 0

    cdef int enter(self, TablesC* snapshot) except -1:
        """A batch begins to read: what `snapshot` points to stays where it is until the tables are left."""
        self.sync()
        snapshot[0] = self.t
        self.tables.readers += 1
        return 0

    cdef int _cut(self) except -1:
        """Clear what requests have added: the tables have."""
        cdef NameTable* names
        cdef bint late[N_TABLES]
        cdef int i
        memset(late, 0, sizeof(late))
        self.generation = self.tables.generation
        self.templates = {}
        self.template_bytes = 0
        if not self.is_frozen:
            return 0
        for i in range(N_TABLES):
            names = self._table(i)
            if names.texts.n > names.texts.mark:
                late[i] = True
        for i in range(N_LISTS):
            self.tables._cut(self._list(i))
        for i in range(N_TABLES):
            if late[i]:
                self.tables._make_slots(self._table(i), self._table(i).slots.capacity)
        return 0

    def find_principal(self, bytes text):
        """The principal of a name, or None."""
        view(self)
        found = self.tables._find(&self.principals, text)
        return None if found == NONE else found

    def find_service(self, bytes text):
        """How records of a service are found, or None."""
        view(self)
        found = self.tables._find(&self.services, text)
        return None if found == NONE else found

    def find_account(self, bytes id):
        """The index of an account, or NONE."""
        view(self)
        return self.tables._find(&self.account_ids, id)

    def has_fact(self, bytes text, str start=""):
        """Whether the result of the directory is cached where `fact` would cache it."""
        view(self)
        return self.tables._find(&self.facts, start_key(start) or text) != NONE

    def size_bytes(self):
        """The memory of the names."""
        cdef uint64_t total = self.template_bytes
        cdef int i
        for i in range(N_LISTS):
            total += bytes_of(self._list(i))
        for i in range(N_TABLES):
            total += bytes_of(&self._table(i).slots)
        return total

    def cache_bytes_used(self):
        """The memory that names of requests take."""
        return self.size_bytes() - self.frozen_bytes

    def counts(self):
        """How many there are of each."""
        return {"named_principals": self.principals.texts.n, "accounts": self.accounts.n, "cached_names": self.facts.texts.n}

    # -- writing -------------------------------------------------------------------------------------------------------

    cdef uint32_t _entry_of(self, const NameTable* names, bytes text) except? 0xFFFFFFFE:
        """Where a text is entered, or NONE."""
        cdef StringTable table
        view(self)                                       # it may cut tables back
        self.tables._publish_table(names, &table)
        return hashed_name(&table, <const uint8_t*>self.tables.pool.data, text, len(text), table_hash(text, len(text), self.tables.t.seed))

    cdef int _append_name(self, NameTable* names, bytes text, uint32_t value) except -1:
        """Enter a text, or give it another value."""
        cdef uint32_t at = self._entry_of(names, text)
        self.seen = UNSEEN
        if at == NONE:
            return self.tables._name(names, text, value)
        (<uint32_t*>names.values.data)[at] = value
        return 0

    def principal(self, bytes text, uint32_t principal):
        """Let a principal be found by its ARN or name."""
        self._append_name(&self.principals, text, principal)

    def add_template(self, bytes start, uint32_t base, bytes role, list template_keys):
        """Let `enter_from_template` enter names that begin so, up to the last slash, as principals like `base`.

        `role` precedes what follows the slash in the symbol of the principal's role; None where `base` has that symbol. `template_keys` are
        constants that differ, each (key, before, certainty): a text before what follows the slash, or None for the whole name.
        """
        cdef _Template templates = _Template()
        cdef TemplateKey* v
        templates.base, templates.role = base, role
        for key, before, certainty in template_keys:
            v = &templates.template_keys[templates.n_template_keys]     # INVARIANT: they are MAX_TEMPLATE_KEYS at most (`PrincipalTemplate`)
            v[0] = TemplateKey(key, PoolText(0, NONE), certainty)
            if before is not None:
                v.before = PoolText(self.tables._text(before), narrow32(len(<bytes>before)))
            self.tables._check_key(v.key)
            (<Key*>self.tables.keys.data)[v.key].is_template_key = True
            templates.n_template_keys += 1
        if start not in self.templates:
            self.template_bytes += TEMPLATE_CAPACITY + <uint64_t>len(start)
        self.templates[start] = templates

    cpdef bint enter_from_template(self, bytes name) except -1:
        """Enter a name, unless it is there; False where its template is not known.

        INVARIANT: the role of each principal of a directory has its symbol, so that no record has a symbol that is not there.
        """
        cdef Py_ssize_t end = name.rfind(b"/") + 1
        cdef bytes last = name[end:], role = None
        cdef _Template templates
        if self.generation != self.tables.generation:    # PERF: a view for each name would be dear
            self._cut()
        if self.tables._find(&self.principals, name) != NONE:
            return True
        templates = self.templates.get(name[:end])
        if templates is None or not may_end_principal(last):
            return False
        if templates.role is not None:
            role = templates.role + last
            if self.tables._find(&self.tables.symbols, role) != NONE:
                return False
        self._enter_from_template(templates, name, last, role)
        return True

    cdef int _enter_from_template(self, _Template templates, bytes name, bytes last, bytes role) except -1:
        cdef Tables t = self.tables
        cdef PoolText text = PoolText(t._text(name), narrow32(len(name)))
        cdef Principal p = (<const Principal*>t.principals.data)[templates.base]
        p.names = templates.base + 1                         # INVARIANT: it has no names: neither services nor providers have templates
        if role is not None:
            p.role = t._symbol(role)
        elif p.kind == KIND_USER:
            p.user_arn = self._symbol_at(text, name)
        elif p.kind == KIND_FED:
            p.federated_arn = self._symbol_at(text, name)
        else:
            p.session_arn = self._symbol_at(text, name)
        self._fill_template_keys(&p, templates, text, last)
        (<Principal*>t._push(&t.principals))[0] = p
        self.seen = UNSEEN
        return t._name_at(&self.principals, text, t.principals.n - 1)

    cdef uint32_t _symbol_at(self, PoolText text, bytes name) except? 0xFFFFFFFE:
        """The word of a name that lies in the pool already."""
        cdef uint32_t found = self.tables._find(&self.tables.symbols, name)
        if found == NONE:
            found = self.tables.symbols.texts.n
            self.tables._name_at(&self.tables.symbols, text, found)
        return found

    cdef int _fill_template_keys(self, Principal* p, _Template templates, PoolText name, bytes last) except -1:
        """Constants of its own for a principal that is like another one."""
        cdef Tables t = self.tables
        cdef uint32_t first = t.constants.n, n = p.n_constants, i, k
        cdef Constant* at = <Constant*>t._push(&t.constants, n + templates.n_template_keys)
        cdef const TemplateKey* v
        memcpy(at, <const Constant*>t.constants.data + p.constants, n * sizeof(Constant))
        for k in range(templates.n_template_keys):
            v = &templates.template_keys[k]
            (<PoolText*>t._push(&t.const_texts))[0] = name if v.before.size == NONE else self._joined(v.before, last)
            i = 0
            while i < n and at[i].key != v.key:
                i += 1
            at[i] = Constant(v.key, t.const_texts.n - 1, 1, 0, v.certainty)
            n = max(n, i + 1)
        t.constants.n = first + n
        p.constants, p.n_constants = first, n
        return 0

    cdef PoolText _joined(self, PoolText before, bytes last) except *:
        """A text of the pool and another one behind it, in the pool."""
        cdef uint32_t start = self.tables.pool.n, size = narrow32(before.size + len(last))
        cdef char* at = self.tables._push(&self.tables.pool, size)
        memcpy(at, self.tables.pool.data + before.text, before.size)
        memcpy(at + before.size, <const char*>last, len(last))
        return PoolText(start, size)

    def record(self, bytes text, uint32_t record):
        """Let a record be found by its ARN; NONE takes it away."""
        self._append_name(&self.records, text, record)

    def fact(self, bytes text, uint32_t record, str start=""):
        """Cache the result of the directory for an ARN of MODE_FACTS; for all that begin with `start`, if that is given, unless they have a
        record of their own."""
        self._append_name(&self.facts, start_key(start) or text, record)

    cdef int _remove_name(self, NameTable* names, bytes text) except -1:
        """Let nothing be found by a text: what was entered is no longer a name, and what requests add is another one."""
        cdef uint32_t at = self._entry_of(names, text)
        self.seen = UNSEEN
        if at != NONE:
            (<PoolText*>names.texts.data)[at] = PoolText(0, 0)
            (<uint32_t*>names.values.data)[at] = NONE
        return 0

    def no_principal(self, bytes text):
        """Let the directory be asked for who has this name."""
        self._remove_name(&self.principals, text)

    def no_fact(self, bytes text):
        """Let it be asked for this ARN."""
        self._remove_name(&self.facts, text)

    def service(self, bytes text, uint32_t mode):
        """Say how records of a service are found."""
        self._append_name(&self.services, text, mode)

    def account(self, bytes id, *, rcp_set, org, org_paths):
        """An account as an owner of resources; `org` and `org_paths` are constants."""
        cdef uint32_t at = self.find_account(id)
        cdef Account* a
        if at == NONE:
            at = self.accounts.n
            self.tables._push(&self.accounts)
            self._append_name(&self.account_ids, id, at)
        a = <Account*>self.accounts.data + at
        a[0] = Account(self.tables.symbol(id), rcp_set, org, org_paths)
        self.seen = UNSEEN

    def endpoint(self, bytes id, *, uint32_t policy_set, is_gateway, list constants):
        """A VPC endpoint; its number."""
        cdef uint32_t fixed = self.tables._constants(constants, False)
        cdef Endpoint* e = <Endpoint*>self.tables._push(&self.endpoints)
        e[0] = Endpoint(policy_set, fixed, narrow32(len(constants)), is_gateway)
        self._append_name(&self.endpoint_ids, id, self.endpoints.n - 1)
        return self.endpoints.n - 1

    def no_endpoint(self, bytes id):
        """Take an endpoint away."""
        self._append_name(&self.endpoint_ids, id, NONE)

    def judge_endpoints(self, bint has_policies):
        """Whether an unknown endpoint leaves its layer undetermined (D40)."""
        self.has_endpoints = has_policies
        self.seen = UNSEEN

    def deny_unknown_owner(self):
        """Deny requests on ARNs whose owner is unknown (D23)."""
        self.denies_unknown_owner = True
        self.seen = UNSEEN

    def freeze(self):
        """End of compilation: what comes later can be cut off."""
        cdef int i
        self.is_frozen = True
        for i in range(N_LISTS):
            self.tables._mark(self._list(i))
        self.frozen_bytes = self.size_bytes()

    cdef int _copy(self, Vector* to, const Vector* source, uint32_t n) except -1:
        if n:
            self.tables._resize(to, n)
            memcpy(to.data, source.data, <size_t>n * to.item)
            to.n = to.mark = n
        return 0

    cdef int _copy_slots(self, NameTable* to, const NameTable* source) except -1:
        """The slots of the texts that were copied.

        INVARIANT: those were entered before all others, so that none of them is behind one that is cleared.
        """
        cdef StringSlot* slots
        cdef uint32_t i, at, mask = source.slots.capacity - 1
        if source.slots.capacity == 0:
            return 0
        self.tables._resize(&to.slots, source.slots.capacity)
        memcpy(to.slots.data, source.slots.data, <size_t>source.slots.capacity * sizeof(StringSlot))
        slots = <StringSlot*>to.slots.data
        for i in range(to.texts.n, source.texts.n):
            at = (self.tables._hash((<const PoolText*>source.texts.data)[i]) >> 1) & mask
            while slots[at].hash == 0 or slots[at].value != i:
                at = (at + 1) & mask
            slots[at] = StringSlot(0, 0)
        return 0

    def fork(self):
        """Names of their own, equal to the compiled ones of these; the tables are shared."""
        cdef Names fork = Names(self.tables)
        cdef int i
        view(self)
        for i in range(N_LISTS):
            fork._copy(fork._list(i), self._list(i), self._list(i).mark)
        for i in range(N_TABLES):
            fork._copy_slots(fork._table(i), self._table(i))
        fork.has_endpoints = self.has_endpoints
        fork.denies_unknown_owner = self.denies_unknown_owner
        return fork
