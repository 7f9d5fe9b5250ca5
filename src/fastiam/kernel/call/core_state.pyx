"""What single calls share: the tables, workspaces, unknown keys and the context of a call. A part of `_core`."""


cdef class _Declared:
    """What a call declares unknown (6.11): folded names and prefixes, and for each key of the tables how it is declared."""

    cdef frozenset unknown
    cdef object by_key                               # bytes, one of DECLARED_* per key
    cdef const uint8_t* keys
    cdef uint64_t generation
    cdef uint32_t n_keys
    cdef bint tags                                   # some request tag, and with it `aws:TagKeys`

    def __cinit__(self, frozenset unknown):
        self.unknown = unknown
        self.tags = any(
            item.startswith(_REQUEST_TAG) or (item.endswith("*") and _REQUEST_TAG.startswith(item.removesuffix("*"))) for item in unknown
        )
        self.n_keys = 0

    cdef int fit(self, Tables tables) except -1:
        """See that every key of the tables has its byte."""
        while self.keys == NULL or self.n_keys != tables.t.n_keys or self.generation != tables.generation:
            self._fit(tables, tables.t.n_keys, tables.generation)
        return 0

    cdef int _fit(self, Tables tables, uint32_t n_keys, uint64_t generation) except -1:
        cdef const Key* k
        cdef uint32_t i
        names = {item.encode() for item in self.unknown}
        starts = tuple(item.removesuffix("*").encode() for item in self.unknown if item.endswith("*"))
        by_key = bytearray(n_keys + 1)
        for i in range(n_keys):
            if i >= tables.t.n_keys:                     # dropped meanwhile: this is done again
                break
            k = &tables.t.keys[i]
            name = tables.t.pool[k.text:k.text + k.size]
            if name in names:
                by_key[i] = <int>DECLARED_BY_NAME
            elif name.startswith(starts):
                by_key[i] = <int>DECLARED_BY_PREFIX
        self.by_key = bytes(by_key)
        self.keys = <const uint8_t*><const char*>self.by_key
        self.n_keys = n_keys
        self.generation = generation
        return 0


cdef inline Workspace* take(_CoreState self) except NULL:
    """A workspace that no other call works with; its frame is clear."""
    cdef Workspace* w = self.free
    if w == NULL:
        return new_workspace()
    self.free = w.next
    return w


cdef inline void give(_CoreState self, Workspace* w) noexcept:
    clear(&w.frame)
    w.next = self.free
    self.free = w


cdef inline bint is_ready(_CoreState self, const Workspace* w) noexcept:
    """Whether requests can be decided on the tables as they are, and with what `w` has cached of them."""
    if self.always_general_path or self.grew or w.epoch != self.epoch or self.keys_known != self.names.t.key_changes:
        return False
    if self.generation != self.tables.generation or self.names.generation != self.tables.generation:
        return False
    return self.names.seen == self.tables.version


cdef class _CoreState:
    """The compiled tables, what calls keep of them, and the context of a single call."""

    cdef readonly Names names
    cdef readonly object resolver                    # of misses (`engine.resolving`)
    cdef object lock                                 # of the builders of the tables
    cdef Tables tables
    cdef uint64_t generation                         # of the tables, when the caches below were last cleared
    cdef uint64_t epoch                              # grows when the caches below are cleared
    cdef Workspace* free                             # workspaces that no call uses
    cdef dict key_ids
    cdef dict session_ids                            # `id` of a session -> (id of its principal, the session)
    cdef dict session_by_content                     # content key -> the session that represents equal ones
    cdef dict decisions
    cdef dict defaults
    cdef list principal_states                       # states that batches left (`kernel/batch/resolve.pyx`)
    cdef bint has_many_misses                        # the last chunk of rows had many misses (`kernel/batch/resolve.pyx`)
    cdef dict declared
    cdef uint32_t keys_known
    cdef bint grew
    cdef uint32_t n_misses                           # since the size of the run-time cache was last compared with its bound
    cdef uint64_t n_resizes                          # of the tables, when a plan was last built for a single call
    cdef bint always_general_path                    # every call takes the general path

    def __cinit__(self, *parts, **others):
        """A core over the names and tables of a resolver, which are frozen."""
        if others or len(parts) != 1 or type(getattr(parts[0], "names", None)) is not Names:
            raise TypeError("an engine comes out of `Directory.compile()` or `Engine.load(path)`")
        self.resolver = parts[0]
        self.names = self.resolver.names
        self.lock = self.resolver.lock
        self.defaults = self.resolver.defaults           # values by folded key for what a request does not give
        self.always_general_path = len(self.defaults) > 0
        self.tables = self.names.tables
        self.generation = self.tables.generation
        self.key_ids = {}
        self.session_ids = {}
        self.session_by_content = {}
        self.decisions = {}
        self.declared = {}
        self.principal_states = []
        self.has_many_misses = True

    def __dealloc__(self):
        cdef Workspace* w = self.free
        cdef Workspace* after
        while w != NULL:
            after = w.next
            free_workspace(w)
            w = after

    cdef int _refresh(self) except -1:
        """Clear numbers that were dropped, since another engine that shares the tables may have dropped them; and what is known of keys,
        where a session has brought some, or is the first to carry one."""
        view(self.names)
        if self.generation != self.tables.generation:
            self.generation = self.tables.generation
            self.epoch += 1
            self.key_ids = {}
            self.session_ids = {}
            self.session_by_content = {}
            self.decisions = {}
            self.principal_states = []
            self.has_many_misses = True
        if self.keys_known != self.tables.t.key_changes:
            self.keys_known = self.tables.t.key_changes
            self.epoch += 1
            self.key_ids = {}
        return 0

    def _runtime_cache_bytes(self):
        """The size in bytes of the pair caches, and of the principal states of batches."""
        cdef const Workspace* w = self.free
        cdef uint64_t total = 0
        while w != NULL:
            total += pair_cache_bytes(&w.pair_cache)
            w = w.next
        return total + sum(principal_states.nbytes for principal_states in self.principal_states)

    # -- the context of a single call ---------------------------------------------------------------------------------------------

    cdef int64_t _key(self, str name) except -2:
        cdef uint64_t generation
        if self.keys_known != self.tables.t.key_changes:     # a session has brought keys: what nothing read may be read now
            self._refresh()
        found = self.key_ids.get(name)
        while found is None:
            generation = self.tables.generation
            found = self.resolver.key_id(name)
            self.grew = True
            self.tables.sync()
            if generation != self.tables.generation:     # another thread has dropped what was found
                found = None
            elif len(self.key_ids) < 100_000:        # hostile spellings must not grow it without bound
                self.key_ids[name] = found
        return found

    cdef int _room(self, Frame* f, int32_t texts) except -1:
        if f.n_context_entries == f.entry_capacity:
            f.entry_capacity = 2 * f.entry_capacity + 16
            f.context_entries = <ContextEntry*>realloc(f.context_entries, f.entry_capacity * sizeof(ContextEntry))
        if f.n_texts + texts >= f.text_capacity:
            f.text_capacity = 2 * (f.n_texts + texts) + 16
            f.texts = <Text*>realloc(f.texts, f.text_capacity * sizeof(Text))
        if f.context_entries == NULL or f.texts == NULL:
            f.entry_capacity = f.text_capacity = 0
            raise MemoryError()
        return 0

    cdef int _add_context_entry(self, Frame* f, uint32_t key, str name, tuple values, bint is_multi, bint is_conflict) except -1:
        cdef ContextEntry* s
        cdef Text spelled
        if len(values) > MAX_TEXTS - f.n_texts:
            raise LimitError(f"a request has more than {MAX_TEXTS} values of condition keys")
        self._room(f, narrow_int32(len(values)))         # no value: the caller says that the key is absent
        s = &f.context_entries[f.n_context_entries]
        s[0] = ContextEntry(key, f.n_texts, narrow_int32(len(values)), is_multi, is_conflict, Text(NULL, 0))
        for value in values:
            utf8_of(value, &f.texts[f.n_texts])
            f.n_texts += 1
        if self.tables.t.keys[key].tag and len(values):
            utf8_of(name, &spelled)
            s.tag = Text(spelled.data + TAG_AT, spelled.size - TAG_AT)
        f.s.sources[key] = f.n_context_entries
        f.n_context_entries += 1
        return 0

    cdef int _add_values(self, Frame* f, object context) except -1:
        """A context of `ContextValue`s by folded key."""
        cdef int64_t key
        for folded, value in context.items():
            key = self._key(folded)
            if key >= 0:
                if key >= self.tables.t.n_keys:  # dropped meanwhile: the call is made again
                    return 0
                fit_frame(f, &self.tables.t)
                self._add_context_entry(f, <uint32_t>key, value.name or folded, value.values, value.multi, value.conflict)
        return 0

    cdef int _add_context(self, Frame* f, object context, list keep) except -1:
        """A caller's context; `keep` holds what the slots borrow from."""
        cdef int64_t key
        cdef Text text
        cdef const Key* k
        for name, value in context.items():
            if type(name) is not str:
                name = check_key(name)
            keep.append(name)                            # SAFETY: the code of a later value may take both out of the mapping
            keep.append(value)
            key = self._key(<str>name)
            if type(value) is str:
                if not utf8_of(<str>value, &text):
                    read_value(name, value)              # raises: a lone surrogate
                if key < 0:
                    continue
                if key >= self.tables.t.n_keys:  # dropped meanwhile: the call is made again
                    return 0
                fit_frame(f, &self.tables.t)
                if f.s.sources[key] >= 0:
                    return self._restart(f, context, keep)
                k = &self.tables.t.keys[key]
                self._add_context_entry(f, <uint32_t>key, <str>name, (value,), k.is_multi, False)
                continue
            read = read_value(name, value)
            if key < 0:
                continue
            if read is None:
                read = _ABSENT
            keep.append(read)
            if key >= self.tables.t.n_keys:  # dropped meanwhile: the call is made again
                return 0
            fit_frame(f, &self.tables.t)
            if f.s.sources[key] >= 0:
                return self._restart(f, context, keep)
            self._add_context_entry(f, <uint32_t>key, <str>name, read.values, read.multi, False)
        return 0

    cdef int _add_defaults(self, Frame* f, _Declared declared) except -1:
        cdef int64_t key
        for folded, value in self.defaults.items():
            if declared is not None and is_declared_name(declared.unknown, folded):
                continue                                 # no default fills an unknown key (D71)
            key = self._key(folded)
            if key >= self.tables.t.n_keys:  # dropped meanwhile: the call is made again
                return 0
            fit_frame(f, &self.tables.t)
            if f.s.sources[key] < 0:
                self._add_context_entry(f, <uint32_t>key, value.name or folded, value.values, value.multi, value.conflict)
        return 0

    cdef int _restart(self, Frame* f, object context, list keep) except -1:
        """Two spellings of one key: read the whole context again, joined (C6)."""
        clear(f)
        joined = read_context(context)
        for folded in absent_keys(context):
            joined.setdefault(folded, _ABSENT)
        keep.append(joined)
        return self._add_values(f, joined)
