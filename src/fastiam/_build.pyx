"""`Tables`: the arrays that a decision reads, and how they grow.

Law: what a running batch may read never moves and never changes. Arrays only grow; when one must move, the old memory
is retired and freed once no batch runs. A batch works on a copy of `TablesC`, so what is added meanwhile lies beyond its
counts. Cells and name slots are published last, in one store.

Policies, principals and the like are added while an engine is compiled, and then frozen. What requests bring later (rows,
action names, sessions) is a bounded cache beside them: `drop` takes everything back to the frozen state.
"""
from cython cimport no_gc_clear
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fastiam._columns cimport Text
from fastiam._decide cimport LAYER_RCP, LAYER_RESOURCE, cell_key, fields_hash, gram_hash, shape_hash
from fastiam._glob cimport glob
from fastiam._bytes cimport hash_bytes, mix, table_find
from fastiam._patterns cimport read_crossing, read_pattern
from fastiam._types cimport *
from fastiam._values cimport Instant, base64_size, read_address, read_instant

from fastiam.errors import LimitError


cdef extern from *:
    """
    #if defined(_MSC_VER)
    #define fastiam_publish(p, v) (*(volatile unsigned long long*)(p) = (v))
    #else
    #define fastiam_publish(p, v) __atomic_store_n((unsigned long long*)(p), (unsigned long long)(v), __ATOMIC_RELEASE)
    #endif
    """
    void fastiam_publish(void* p, uint64_t v) nogil


cdef enum:
    LIMIT = 0xFFFFFFF0
    N_VECTORS = 50
    N_COMPILED = 28            # vectors that `drop` cuts back to where `freeze` left them
    N_KEPT = 41                # and those that it cuts back to nothing
    N_LATE = 48                # what lies before is for rows and names of actions alone
    MOST_RUNS = 0xFFFF         # of a row
    MOST_GRID = 1 << 24        # cells of the grid


cdef list VECTOR_NAMES = (
    "pool patterns pattern_lists resource_elements variables values atoms atom_lists condition_lists keys constants const_texts tokens"
    " principal_elements word_lists words principals records bodies action_lists policies policy_bodies stacks segments stack_policies"
    " folds_from folds_to word_values classes class_patterns name_classes entries runs indexes shapes index_slots index_lists"
    " action_names action_values rows grid action_slots cells row_slots stamps scratch_denies scratch_allows scratch_runs word_slots"
    " stack_slots"
).split()  # in the order of `Tables._vector`


cdef uint64_t room_for(uint64_t n):
    """The power of two that is larger."""
    cdef uint64_t room = 16
    while room <= n:
        room *= 2
    return room


def glob_matches(bytes pattern, bytes text):
    """Whether an encoded pattern matches a text (P1, P2)."""
    return glob(pattern, <const uint8_t*>pattern + len(pattern), text, <const uint8_t*>text + len(text))


def parse_instant(bytes text):
    """Seconds and nanoseconds of a date, or None (C40 to C43)."""
    cdef Instant out
    return (out.seconds, out.nanos) if read_instant(text, len(text), &out) else None


def parse_address(bytes text):
    """The 16 bytes of an address, IPv4 as `::ffff:a.b.c.d`, or None (C50, C51)."""
    cdef uint8_t out[16]
    return bytes(out[:16]) if read_address(text, len(text), out) else None


def is_base64(bytes text):
    """Whether the text is standard base64 with padding (C32)."""
    return base64_size(text, len(text)) >= 0


@no_gc_clear  # `__dealloc__` reads the list of retired memory
cdef class Tables:
    """What the policies of one or more engines say.

    Thread-safety: methods are called with the GIL held; kernels read a snapshot (`Names.enter`, `leave`).
    """

    def __cinit__(self, *, uint64_t seed=0, uint32_t index_from=12):
        self.index_from = index_from
        self.retired = []
        self.texts = {}
        self.class_ids = {}
        self.pattern_texts = []
        self.t.seed = seed
        self.t.n_indexed_stacks = LIMIT
        self._shape()
        self._resize(&self.pool, 64)                     # an empty text lies somewhere, too
        self._cells(64)
        self._slot_stacks(16)

    def __dealloc__(self):
        cdef Vector* v
        cdef int i
        for i in range(N_VECTORS):
            v = self._vector(i)
            free(v.data)
        for address in self.retired:
            free(<void*><uintptr_t>address)

    # -- memory --------------------------------------------------------------------------------------------------------

    cdef Vector* _vector(self, int i):
        """All vectors, by number."""
        cdef Vector* all[N_VECTORS]
        all[0] = &self.pool
        all[1] = &self.patterns
        all[2] = &self.pattern_lists
        all[3] = &self.resource_elements
        all[4] = &self.variables
        all[5] = &self.values
        all[6] = &self.atoms
        all[7] = &self.atom_lists
        all[8] = &self.condition_lists
        all[9] = &self.keys
        all[10] = &self.constants
        all[11] = &self.const_texts
        all[12] = &self.tokens
        all[13] = &self.principal_elements
        all[14] = &self.word_lists
        all[15] = &self.words.texts
        all[16] = &self.principals
        all[17] = &self.records
        all[18] = &self.bodies
        all[19] = &self.action_lists
        all[20] = &self.policies
        all[21] = &self.policy_bodies
        all[22] = &self.stacks
        all[23] = &self.segments
        all[24] = &self.stack_policies
        all[25] = &self.folds_from
        all[26] = &self.folds_to
        all[27] = &self.words.values
        # from here: of requests alone, taken back to nothing
        all[28] = &self.classes
        all[29] = &self.class_patterns
        all[30] = &self.name_classes
        all[31] = &self.entries
        all[32] = &self.runs
        all[33] = &self.indexes
        all[34] = &self.shapes
        all[35] = &self.index_slots
        all[36] = &self.index_lists
        all[37] = &self.action_names.texts
        all[38] = &self.action_names.values
        all[39] = &self.rows
        all[40] = &self.grid
        # from here: not taken back by length, but made anew
        all[41] = &self.action_names.slots
        all[42] = &self.cells
        all[43] = &self.row_slots
        all[44] = &self.stamps
        all[45] = &self.scratch_denies
        all[46] = &self.scratch_allows
        all[47] = &self.scratch_runs
        all[48] = &self.words.slots
        all[49] = &self.stack_slots
        return all[i]

    cdef void _shape(self):
        """The size of an item of each vector."""
        cdef int i
        for i in range(N_VECTORS):
            self._vector(i).item = 4
        self.pool.item = 1
        self.patterns.item = sizeof(Pattern)
        self.resource_elements.item = self.condition_lists.item = self.principal_elements.item = self.policies.item = sizeof(Range)
        self.variables.item = sizeof(Variable)
        self.values.item = sizeof(Value)
        self.atoms.item = sizeof(Atom)
        self.keys.item = sizeof(Key)
        self.constants.item = sizeof(Constant)
        self.const_texts.item = self.words.texts.item = self.action_names.texts.item = sizeof(PoolText)
        self.tokens.item = sizeof(PrincipalToken)
        self.principals.item = sizeof(Principal)
        self.records.item = sizeof(Record)
        self.classes.item = sizeof(ActionClass)
        self.bodies.item = sizeof(Body)
        self.stacks.item = sizeof(Stack)
        self.segments.item = sizeof(Segment)
        self.entries.item = self.scratch_denies.item = self.scratch_allows.item = sizeof(Entry)
        self.runs.item = sizeof(Run)
        self.indexes.item = sizeof(Index)
        self.shapes.item = sizeof(Shape)
        self.index_slots.item = sizeof(IndexSlot)
        self.action_names.slots.item = self.words.slots.item = self.stack_slots.item = sizeof(StringSlot)
        self.cells.item = sizeof(Cell)
        self.rows.item = sizeof(Row)
        self.row_slots.item = sizeof(StringSlot)
        self.scratch_runs.item = sizeof(Run)

    cdef int _release(self, void* data) except -1:
        """Free memory, or keep it until no batch runs."""
        if data == NULL:
            return 0
        if self.readers:
            self.retired.append(<uintptr_t>data)
        else:
            free(data)
        return 0

    cdef int _resize(self, Vector* v, uint64_t capacity) except -1:
        cdef char* data
        if capacity > LIMIT:
            raise LimitError(f"a table of the engine is full, the limit is {LIMIT} items")
        data = <char*>calloc(<size_t>capacity + 1, v.item)
        if data == NULL:
            raise MemoryError()
        if v.n:
            memcpy(data, v.data, <size_t>v.n * v.item)
        self._release(v.data)
        v.data = data
        v.capacity = <uint32_t>capacity
        self.sync()                                      # another thread may decide before the builder is done
        return 0

    cdef char* _push(self, Vector* v, uint32_t n=1) except NULL:
        """Room for `n` more items; the address of the first."""
        cdef uint64_t needed = <uint64_t>v.n + n, room
        cdef char* at
        if needed > v.capacity or v.data == NULL:
            # what is beside the compiled part doubles; that part itself is as large as it will be
            room = (needed - v.mark) * 2 + 16384 // v.item if v.mark else <uint64_t>v.capacity * 3 // 2
            self._resize(v, max(needed, max(<uint64_t>8, min(<uint64_t>LIMIT, v.mark + room))))
        at = v.data + <size_t>v.n * v.item
        v.n = <uint32_t>needed
        return at

    cdef uint32_t _number(self, Vector* v, uint32_t value) except? 0xFFFFFFFE:
        """Append a number to a list; its index."""
        (<uint32_t*>self._push(v))[0] = value
        return v.n - 1

    cdef uint32_t _numbers(self, Vector* v, list values) except? 0xFFFFFFFE:
        cdef uint32_t first = v.n
        for value in values:
            self._number(v, value)
        return first

    cdef uint32_t _text(self, bytes text) except? 0xFFFFFFFE:
        """Append bytes to the pool; where they start."""
        cdef uint32_t start = self.pool.n
        cdef const char* data = text
        if len(text):
            memcpy(self._push(&self.pool, <uint32_t>len(text)), data, len(text))
        return start

    cdef uint32_t _shared(self, bytes text) except? 0xFFFFFFFE:
        """Where a text lies in the pool; while an engine is compiled, equal texts lie there once."""
        if self.texts is None:
            return self._text(text)
        found = self.texts.get(text)
        if found is None:
            found = self.texts[text] = self._text(text)
        return found

    cdef void _lend(self, NameTable* names, StringTable* table):
        table.slots = <const StringSlot*>names.slots.data
        table.texts = <const PoolText*>names.texts.data
        table.values = <const uint32_t*>names.values.data
        table.mask = names.slots.capacity - 1
        table.n = names.texts.n

    cdef void sync(self):
        """Write the addresses and counts into `t`, which kernels copy."""
        cdef TablesC* t = &self.t
        t.pool = <const uint8_t*>self.pool.data
        t.patterns = <const Pattern*>self.patterns.data
        t.pattern_lists = <const uint32_t*>self.pattern_lists.data
        t.resource_elements = <const Range*>self.resource_elements.data
        t.variables = <const Variable*>self.variables.data
        t.values = <const Value*>self.values.data
        t.atoms = <const Atom*>self.atoms.data
        t.atom_lists = <const uint32_t*>self.atom_lists.data
        t.condition_lists = <const Range*>self.condition_lists.data
        t.keys = <const Key*>self.keys.data
        t.constants = <const Constant*>self.constants.data
        t.const_texts = <const PoolText*>self.const_texts.data
        t.tokens = <const PrincipalToken*>self.tokens.data
        t.principal_elements = <const Range*>self.principal_elements.data
        t.word_lists = <const uint32_t*>self.word_lists.data
        t.words = <const PoolText*>self.words.texts.data
        t.principals = <const Principal*>self.principals.data
        t.records = <const Record*>self.records.data
        t.classes = <const ActionClass*>self.classes.data
        t.name_classes = <const uint32_t*>self.name_classes.data
        t.entries = <const Entry*>self.entries.data
        t.runs = <const Run*>self.runs.data
        t.indexes = <const Index*>self.indexes.data
        t.shapes = <const Shape*>self.shapes.data
        t.index_slots = <const IndexSlot*>self.index_slots.data
        t.index_lists = <const uint32_t*>self.index_lists.data
        t.fold_from = <const uint32_t*>self.folds_from.data
        t.fold_to = <const uint32_t*>self.folds_to.data
        t.n_folds = self.folds_from.n
        t.n_atoms = self.atoms.n
        t.n_keys = self.keys.n
        t.n_principals = self.principals.n
        t.n_records = self.records.n
        t.n_classes = self.classes.n
        t.n_runs = self.runs.n
        t.n_entries = self.entries.n
        t.n_patterns = self.patterns.n
        self._lend(&self.action_names, &t.action_names)
        t.cells.cells = <const Cell*>self.cells.data
        t.cells.mask = self.cells.capacity - 1
        t.cells.rows = <const Row*>self.rows.data
        t.cells.n_rows = self.rows.n
        t.cells.grid = <const uint32_t*>self.grid.data
        t.cells.n_stacks = 0 if t.n_indexed_stacks == LIMIT else t.n_indexed_stacks
        t.cells.n_classes = 0 if t.cells.n_stacks == 0 else self.grid.n // t.cells.n_stacks
        self.version += 1

    cdef void leave(self):
        """A batch that `Names.enter` let in has read."""
        self.readers -= 1
        if self.readers == 0 and self.retired:
            for address in self.retired:
                free(<void*><uintptr_t>address)
            self.retired = []

    # -- names -----------------------------------------------------------------------------------------------------------

    cdef int _place(self, Vector* slots, uint32_t h, uint32_t value) except -1:
        cdef StringSlot* s = <StringSlot*>slots.data
        cdef uint32_t mask = slots.capacity - 1
        cdef uint32_t at = (h >> 1) & mask
        while s[at].hash != 0:
            at = (at + 1) & mask
        fastiam_publish(&s[at], (<uint64_t>value << 32) | h)
        return 0

    cdef int _make_slots(self, NameTable* names, uint64_t capacity) except -1:
        """Slots for the texts there are, in memory of their own."""
        cdef Vector fresh
        cdef const PoolText* texts = <const PoolText*>names.texts.data
        cdef uint32_t i
        memset(&fresh, 0, sizeof(Vector))
        fresh.item = sizeof(StringSlot)
        self._resize(&fresh, capacity)
        for i in range(names.texts.n):
            self._place(&fresh, self._hash(texts[i]), i)
        self._release(names.slots.data)
        names.slots = fresh
        self.sync()
        return 0

    cdef uint32_t _hash(self, PoolText text):
        return <uint32_t>hash_bytes(self.pool.data + text.text, text.size, self.t.seed) | 1

    cdef int _name(self, NameTable* names, bytes text, uint32_t value) except -1:
        """Enter a text that is not there yet."""
        cdef PoolText* at
        cdef uint32_t start = self._shared(text)
        at = <PoolText*>self._push(&names.texts)
        at[0] = PoolText(start, <uint32_t>len(text))
        self._number(&names.values, value)
        if names.texts.n * 2 > names.slots.capacity:
            self._make_slots(names, max(<uint64_t>16, <uint64_t>names.slots.capacity * 2))
        else:
            self._place(&names.slots, self._hash(at[0]), names.texts.n - 1)
        return 0

    cdef uint32_t _find(self, NameTable* names, bytes text) except? 0xFFFFFFFE:
        cdef StringTable table
        self._lend(names, &table)
        return table_find(&table, <const uint8_t*>self.pool.data, text, len(text), self.t.seed)

    # -- words, keys, constants ---------------------------------------------------------------------------------------------

    def word(self, bytes text):
        """A small number for a text that is compared as a whole."""
        return self._word(text)

    cdef uint32_t _word(self, text) except? 0xFFFFFFFE:
        """The word of a text, NONE for None; policies may hold lone surrogates (V39)."""
        cdef bytes data
        cdef uint32_t found
        if text is None:
            return NONE
        data = (<str>text).encode("utf-8", "surrogatepass") if type(text) is str else text
        found = self._find(&self.words, data)
        if found == NONE:
            found = self.words.texts.n
            self._name(&self.words, data, found)
        return found

    def word_list(self, list words):
        """Consecutive words; the index of the first."""
        return self._numbers(&self.word_lists, words)

    def key(self, bytes name, *, source, other, tag, is_multi, is_resource_tag, is_principal_tag, is_session_entry, is_checked):
        """Enter a context key by its folded name."""
        cdef uint32_t start = self._text(name)
        cdef Key* k = <Key*>self._push(&self.keys)
        k[0] = Key(
            start, <uint32_t>len(name), other, tag, source, is_multi, is_resource_tag, is_checked, is_principal_tag, is_session_entry
        )
        return self.keys.n - 1

    def set_default(self, uint32_t key, uint32_t constant):
        """Give a key that nothing else sets a constant value."""
        cdef Key* k = <Key*>self.keys.data + key
        k.source = KEY_DEFAULT
        k.other = constant

    def special_keys(
        self, uint32_t called_via, uint32_t source_account, uint32_t source_vpce, uint32_t service_names, uint32_t time, uint32_t epoch,
        uint32_t user_id, uint32_t assumed_root,
    ):
        """Tell the keys that a rule names."""
        self.t.key_called_via = called_via
        self.t.key_source_account = source_account
        self.t.key_source_vpce = source_vpce
        self.t.key_service_names = service_names
        self.t.key_time = time
        self.t.key_epoch = epoch
        self.t.key_user_id = user_id
        self.t.key_assumed_root = assumed_root

    def constants_of(self, list constants):
        """Consecutive constants, each (key, texts, is_multi, is_conflict, is_open); the index of the first."""
        return self._constants(constants, False)

    cdef uint32_t _constants(self, list constants, bint check) except? 0xFFFFFFFE:
        """With `check` callers may not contradict the keys (K1)."""
        cdef uint32_t first = self.constants.n, start
        cdef Constant* at
        cdef PoolText* piece
        cdef bytes data
        for key, texts, is_multi, is_conflict, is_open in constants:
            found = None if self.texts is None else self.texts.get(texts)
            if found is None:
                found = self.const_texts.n
                for one in <tuple>texts:
                    data = (<str>one).encode("utf-8", "surrogatepass")
                    start = self._shared(data)
                    piece = <PoolText*>self._push(&self.const_texts)
                    piece[0] = PoolText(start, <uint32_t>len(data))
                if self.texts is not None:
                    self.texts[texts] = found
            at = <Constant*>self._push(&self.constants)
            at[0] = Constant(key, found, <int32_t>len(<tuple>texts), is_multi, is_conflict, is_open)
            if check:
                (<Key*>self.keys.data)[<uint32_t>key].is_checked = True
        return first

    def folds(self, list pairs):
        """The characters beyond ASCII that simple folding changes, sorted."""
        for a, b in pairs:
            self._number(&self.folds_from, a)
            self._number(&self.folds_to, b)

    # -- patterns and conditions ---------------------------------------------------------------------------------------------

    def variable(self, uint32_t key, default):
        """A variable by its key, with its default text or None."""
        cdef uint32_t start = NONE if default is None else self._text(default)
        cdef Variable* v = <Variable*>self._push(&self.variables)
        v[0] = Variable(key, start, 0 if default is None else <uint32_t>len(default))
        return self.variables.n - 1

    def pattern(self, int kind, int flags):
        """A resource pattern without a text."""
        cdef Pattern p
        memset(&p, 0, sizeof(Pattern))
        p.kind = kind
        p.flags = flags
        p.crossing = NONE
        return self._pattern(&p)

    def resource_pattern(self, list fields):
        """The pattern of an entry by its two to six encoded fields, the first of which is `arn`."""
        cdef Pattern p, crossing
        cdef int64_t colons[5]
        cdef int64_t size
        cdef int i, n = <int>len(fields)
        cdef bytes text = b":".join(fields + [b"\xfe"] * (6 - n))
        colons[0] = 3
        for i in range(1, 5):
            colons[i] = colons[i - 1] + 1 + (len(<bytes>fields[i]) if i < n else 1)
        memset(&p, 0, sizeof(Pattern))
        memset(&crossing, 0, sizeof(Pattern))
        read_pattern(text, len(text), colons, n, &p)
        size = read_crossing(text, len(text), colons, n, &crossing)
        p.crossing = crossing.crossing = NONE
        if p.kind != PATTERN_NEVER:
            p.text = crossing.text = self._shared(text)
            p.size = <uint32_t>len(text)
        if size >= 0:
            crossing.size = <uint32_t>size
            p.crossing = self._pattern(&crossing)
        return self._pattern(&p)

    cdef uint32_t _pattern(self, const Pattern* p) except? 0xFFFFFFFE:
        (<Pattern*>self._push(&self.patterns))[0] = p[0]
        return self.patterns.n - 1

    cdef uint32_t _range(self, Vector* ranges, Vector* items, list numbers) except? 0xFFFFFFFE:
        cdef uint32_t first = self._numbers(items, numbers)
        cdef Range* at = <Range*>self._push(ranges)
        at[0] = Range(first, <uint32_t>len(numbers))
        return ranges.n - 1

    def resource_element(self, list patterns):
        """The patterns of a `Resource` or `NotResource` element."""
        if len(patterns) == 1:
            return <uint32_t>ONE | <uint32_t>patterns[0]
        return self._range(&self.resource_elements, &self.pattern_lists, patterns)

    def condition_list(self, list atoms):
        """The atoms of a condition block."""
        if len(atoms) == 1:
            return <uint32_t>ONE | <uint32_t>atoms[0]
        return self._range(&self.condition_lists, &self.atom_lists, atoms)

    def atom(self, int op, int relation, int qualifier, int flags, uint32_t key, list values):
        """An atom with its values, each (text, number, nanos, is_u, has_slots, has_tokens, unresolved, address)."""
        cdef uint32_t first = self.values.n, start
        cdef Value* v
        cdef Atom* a
        for text, number, nanos, is_u, has_slots, has_tokens, unresolved, address in values:
            start = self._text(text)
            v = <Value*>self._push(&self.values)
            v.text = start
            v.size = <uint32_t>len(text)
            v.number = number
            v.nanos = nanos
            v.is_u = is_u
            v.has_slots = has_slots
            v.has_tokens = has_tokens
            v.unresolved = unresolved
            memcpy(v.address, <const char*>(<bytes>address), 16)
        if not any([value[4] for value in values]):      # has_slots
            flags |= ATOM_FIXED
        a = <Atom*>self._push(&self.atoms)
        a[0] = Atom(key, first, <uint32_t>len(values), op, relation, qualifier, flags)
        return self.atoms.n - 1

    def principal_element(self, list tokens):
        """The entries of a principal element, each (form, value, other, third)."""
        cdef uint32_t first = self.tokens.n
        cdef PrincipalToken* k
        cdef Range* at
        for form, value, other, third in tokens:
            k = <PrincipalToken*>self._push(&self.tokens)
            k[0] = PrincipalToken(value, other, third, form)
        at = <Range*>self._push(&self.principal_elements)
        at[0] = Range(first, <uint32_t>len(tokens))
        return self.principal_elements.n - 1

    # -- policies -------------------------------------------------------------------------------------------------------------

    def action_pattern(self, parts):
        """Number an action pattern: (prefix, name), encoded and in lower case, or None for one that matches every action."""
        self.pattern_texts.append(parts)
        return len(self.pattern_texts) - 1

    def action_list(self, list actions):
        """The action patterns of an element; the index of the first."""
        return self._numbers(&self.action_lists, actions)

    def body(self, int flags, uint32_t first_action, uint32_t n_actions, uint32_t resources, uint32_t conditions, uint32_t principals):
        """A statement without its name."""
        cdef Body* b = <Body*>self._push(&self.bodies)
        b[0] = Body(first_action, n_actions, resources, conditions, principals, flags)
        return self.bodies.n - 1

    def policy(self, list bodies):
        """A policy: its statements in order. Occurrence `o` of statement `i` is the index of the policy's first body plus `i`."""
        return self._range(&self.policies, &self.policy_bodies, bodies)

    def first_occurrence(self, uint32_t policy):
        """The occurrence of the first statement of a policy."""
        return (<Range*>self.policies.data)[policy].first

    def stack(self, tuple segments):
        """Layers that are decided together, each (layer, level, policies); equal ones are one."""
        cdef uint32_t first = self.segments.n, listed = self.stack_policies.n, policies, at, mask
        cdef uint32_t new = self.stacks.n, h
        cdef Segment* s
        cdef const StringSlot* slots
        for layer, level, members in segments:
            policies = self._numbers(&self.stack_policies, list(members))
            s = <Segment*>self._push(&self.segments)
            s[0] = Segment(policies, <uint32_t>len(members), layer, level)
        (<Stack*>self._push(&self.stacks))[0] = Stack(first, <uint32_t>len(segments))
        h = self._stack_hash(new)
        slots = <const StringSlot*>self.stack_slots.data
        mask = self.stack_slots.capacity - 1
        at = (h >> 1) & mask
        while slots[at].hash != 0:
            if slots[at].hash == h and self._same_stack(slots[at].value, new):
                self.stacks.n, self.segments.n, self.stack_policies.n = new, first, listed
                return slots[at].value
            at = (at + 1) & mask
        if self.stacks.n * 4 > <uint64_t>self.stack_slots.capacity * 3:
            self._slot_stacks(self.stack_slots.capacity * 2)
        else:
            self._place(&self.stack_slots, h, new)
        return new

    cdef int _slot_stacks(self, uint64_t capacity) except -1:
        """Slots for the stacks there are."""
        cdef uint32_t i
        self.stack_slots.n = 0
        self._resize(&self.stack_slots, capacity)
        for i in range(self.stacks.n):
            self._place(&self.stack_slots, self._stack_hash(i), i)
        return 0

    cdef uint32_t _stack_hash(self, uint32_t stack):
        cdef Stack s = (<Stack*>self.stacks.data)[stack]
        cdef const Segment* g = <Segment*>self.segments.data + s.first
        cdef uint64_t h = s.n
        cdef uint32_t i
        for i in range(s.n):
            h = mix(h ^ (<uint64_t>g[i].layer << 40 | <uint64_t>g[i].level << 32 | g[i].n))
            h = hash_bytes(<const char*>(<uint32_t*>self.stack_policies.data + g[i].first), <int64_t>g[i].n * 4, h)
        return <uint32_t>h | 1

    cdef bint _same_stack(self, uint32_t a, uint32_t b):
        cdef Stack s = (<Stack*>self.stacks.data)[a], o = (<Stack*>self.stacks.data)[b]
        cdef const Segment* g = <Segment*>self.segments.data + s.first
        cdef const Segment* k = <Segment*>self.segments.data + o.first
        cdef const uint32_t* policies = <uint32_t*>self.stack_policies.data
        cdef uint32_t i
        if s.n != o.n:
            return False
        for i in range(s.n):
            if g[i].n != k[i].n or g[i].layer != k[i].layer or g[i].level != k[i].level:
                return False
            if g[i].n and memcmp(policies + g[i].first, policies + k[i].first, <size_t>g[i].n * 4) != 0:
                return False
        return True

    # -- who and what -----------------------------------------------------------------------------------------------------------

    def principal(
        self, *, int kind, int flags, int credential, account, partition, uint32_t account_index, user_arn, role, session_arn,
        federated_arn, unique_id, canonical_id, uint32_t own_stack, uint32_t scp_stack, tuple names, list constants, uint32_t absent,
        uint32_t n_absent, mfa_at,
    ):
        """A principal; texts are None where there is none."""
        cdef uint32_t fixed = self._constants(constants, True), listed = self.word_lists.n
        cdef Principal k
        cdef Principal* p
        memset(&k, 0, sizeof(Principal))
        for name in names:
            self._number(&self.word_lists, self._word(name))
        k.kind = kind
        k.flags = flags
        k.credential = credential
        k.account = self._word(account)
        k.partition = self._word(partition)
        k.account_index = account_index
        if account is not None:
            name = (<str>account).encode("utf-8", "surrogatepass")
            memcpy(k.account_id, <const char*>(<bytes>name), min(12, len(name)))
        k.user_arn = self._word(user_arn)
        k.role = self._word(role)
        k.session_arn = self._word(session_arn)
        k.federated_arn = self._word(federated_arn)
        k.unique_id = self._word(unique_id)
        k.canonical_id = self._word(canonical_id)
        k.own_stack = own_stack
        k.scp_stack = scp_stack
        k.names = listed
        k.n_names = <uint16_t>len(names)
        k.constants = fixed
        k.n_constants = <uint16_t>len(constants)
        k.absent = absent
        k.n_absent = n_absent
        k.mfa_at = INT64_MIN if mfa_at is None else mfa_at
        p = <Principal*>self._push(&self.principals)
        p[0] = k
        return self.principals.n - 1

    def record(self, *, account, stack, list constants, arn, int flags):
        """What is stored about a resource."""
        cdef uint32_t fixed = self._constants(constants, False)
        cdef uint32_t start = NONE if arn is None else self._text(arn)
        cdef uint32_t owner = self._word(account)
        cdef Record* r = <Record*>self._push(&self.records)
        r[0] = Record(owner, stack, fixed, <uint32_t>len(constants), start, 0 if arn is None else <uint32_t>len(arn), flags)
        return self.records.n - 1

    # -- freeze and drop ----------------------------------------------------------------------------------------------------------

    def match(self, match_actions):
        """`match_actions(name)` gives the numbers of the action patterns so far that match, and the flags of an action.

        Stacks so far are found by action class; rows of later ones go by the name of the action.
        """
        self.match_actions = match_actions
        self.n_matched = len(self.pattern_texts)
        self.t.n_indexed_stacks = self.stacks.n

    def freeze(self):
        """End of compilation: what is there now stays."""
        cdef int i
        self.n_patterns = len(self.pattern_texts)
        for i in range(N_COMPILED):
            self._mark(self._vector(i))
        self.texts = None
        self.sync()

    cdef int _mark(self, Vector* v) except -1:
        """What is in a vector now stays; the first time, nothing but that."""
        cdef bint first = v.mark == 0
        v.mark = v.n
        if first and <uint64_t>(v.capacity - v.n) * v.item > 4096:
            self._resize(v, v.n)
        return 0

    def drop(self):
        """Forget everything that requests brought since `freeze`."""
        cdef Vector* v
        cdef int i
        for i in range(N_KEPT):
            v = self._vector(i)
            if v.n > v.mark:
                v.n = v.mark
                self._resize(v, max(<uint64_t>8, <uint64_t>v.n))
        self._make_slots(&self.action_names, 16)
        self._make_slots(&self.words, room_for(self.words.texts.n * <uint64_t>2))
        self._slot_stacks(room_for(self.stacks.n * <uint64_t>4 // 3))
        del self.pattern_texts[self.n_patterns:]
        self.class_ids = {}
        self._cells(64)
        self.generation += 1
        self.sync()

    def sizes(self):
        """Counts and bytes, by table."""
        cdef int i
        cdef uint64_t total = 0, rows = 0
        for i in range(N_VECTORS):
            total += <uint64_t>self._vector(i).capacity * self._vector(i).item
            if N_COMPILED <= i < N_LATE:
                rows += <uint64_t>self._vector(i).capacity * self._vector(i).item
        return {
            "bytes": total,
            "row_bytes": rows,
            "statements": self.policy_bodies.n,
            "bodies": self.bodies.n,
            "policies": self.policies.n,
            "stacks": self.stacks.n,
            "principals": self.principals.n,
            "resources": self.records.n,
            "patterns": self.patterns.n,
            "conditions": self.atoms.n,
            "action_patterns": len(self.pattern_texts),
            "action_classes": self.classes.n,
            "action_names": self.action_names.texts.n,
            "rows": self.n_cells,
            "distinct_rows": self.rows.n,
            "row_entries": self.entries.n,
            "indexed_runs": self.indexes.n,
            "generation": self.generation,
            "table_bytes": {name: <uint64_t>self._vector(i).capacity * self._vector(i).item for i, name in enumerate(VECTOR_NAMES)},
        }

    # -- actions ---------------------------------------------------------------------------------------------------------------------

    cdef uint32_t find_action(self, bytes action, uint32_t* name) except? 0xFFFFFFFE:
        """The class of an action, and the number of its name; enters what is new."""
        cdef uint32_t found = self._find(&self.action_names, action)
        cdef ActionClass* k
        cdef uint32_t first
        if found != NONE:
            name[0] = found
            return (<uint32_t*>self.name_classes.data)[found]
        key = self.match_actions(action)
        number = self.class_ids.get(key)
        if number is None:
            first = self._numbers(&self.class_patterns, list(key[0]))
            k = <ActionClass*>self._push(&self.classes)
            k[0] = ActionClass(key[1], first, <uint32_t>len(key[0]))
            number = self.classes.n - 1
            self.class_ids[key] = number
        name[0] = self.name_classes.n
        self._number(&self.name_classes, number)
        self._name(&self.action_names, action, name[0])
        self.sync()
        return number

    # -- rows --------------------------------------------------------------------------------------------------------------------------

    cdef int _cells(self, uint64_t capacity) except -1:
        """An empty table of cells, and no rows."""
        cdef Vector fresh
        memset(&fresh, 0, sizeof(Vector))
        fresh.item = sizeof(Cell)
        self._resize(&fresh, capacity)
        self._release(self.cells.data)
        self.cells = fresh
        self.n_cells = 0
        self.n_hashed = 0
        fresh.data = NULL
        fresh.n = 0
        fresh.item = sizeof(StringSlot)
        self._resize(&fresh, 64)
        self._release(self.row_slots.data)
        self.row_slots = fresh
        self.sync()
        return 0

    cdef int _enter_cell(self, uint32_t stack, uint32_t action, uint32_t number) except -1:
        """Let a cell be found: in the grid, or by hash where the grid would become too large."""
        cdef uint64_t needed
        self.n_cells += 1
        if stack < self.t.n_indexed_stacks < LIMIT and action < <uint32_t>BY_NAME:
            needed = (<uint64_t>action + 1) * self.t.n_indexed_stacks
            if not action & <uint32_t>WHOLE and needed <= MOST_GRID:
                if needed > self.grid.n:
                    self._push(&self.grid, <uint32_t>(needed - self.grid.n))
                self.sync()                              # the row is there before its number is
                (<uint32_t*>self.grid.data)[<size_t>action * self.t.n_indexed_stacks + stack] = number
                return 0
        return self._enter_hashed(cell_key(stack, action), number)

    cdef int _enter_hashed(self, uint64_t key, uint64_t number) except -1:
        cdef Cell* old
        cdef Cell* cells
        cdef uint32_t i, n, at
        cdef Vector before
        if self.n_hashed * 2 >= self.cells.capacity:
            before = self.cells
            memset(&self.cells, 0, sizeof(Vector))
            self.cells.item = sizeof(Cell)
            self._resize(&self.cells, <uint64_t>before.capacity * 2)
            old = <Cell*>before.data
            n = before.capacity
            self.n_hashed = 0
            for i in range(n):
                if old[i].key != 0:
                    self._enter_hashed(old[i].key, old[i].row)
            self._release(before.data)
        cells = <Cell*>self.cells.data
        at = <uint32_t>mix(key) & (self.cells.capacity - 1)
        while cells[at].key != 0:
            at = (at + 1) & (self.cells.capacity - 1)
        cells[at].row = number
        fastiam_publish(&cells[at].key, key)
        self.n_hashed += 1
        return 0

    cdef int _stamp(self, uint32_t action_class) except -1:
        """Mark the action patterns of a class."""
        cdef ActionClass k = (<ActionClass*>self.classes.data)[action_class]
        cdef uint32_t* patterns = <uint32_t*>self.class_patterns.data
        cdef uint32_t i
        if self.stamps.capacity < len(self.pattern_texts):
            self._resize(&self.stamps, len(self.pattern_texts) + 64)
        self.stamp += 1
        if self.stamp == 0:
            memset(self.stamps.data, 0, <size_t>self.stamps.capacity * 4)
            self.stamp = 1
        for i in range(k.n):
            (<uint32_t*>self.stamps.data)[patterns[k.first + i]] = self.stamp
        return 0

    cdef int _stamp_name(self, uint32_t name) except -1:
        """Mark all action patterns that match a name: those of its class, and those that no class knows."""
        cdef PoolText text = (<PoolText*>self.action_names.texts.data)[name]
        cdef bytes action = self.pool.data[text.text:text.text + text.size].lower()
        cdef const uint8_t* t = action
        cdef int64_t n = len(action), colon = action.index(b":"), i
        cdef bytes prefix, rest
        self._stamp((<uint32_t*>self.name_classes.data)[name])
        for i in range(self.n_matched, len(self.pattern_texts)):
            parts = self.pattern_texts[i]
            if parts is None:
                (<uint32_t*>self.stamps.data)[i] = self.stamp
                continue
            prefix, rest = parts
            if glob(prefix, <const uint8_t*>prefix + len(prefix), t, t + colon):
                if glob(rest, <const uint8_t*>rest + len(rest), t + colon + 1, t + n):
                    (<uint32_t*>self.stamps.data)[i] = self.stamp
        return 0

    cdef int _action_truth(self, const Body* b):
        """T, F or U of the action element of a statement, for the marked patterns (A3 to A5)."""
        cdef const uint32_t* actions = <uint32_t*>self.action_lists.data + b.actions
        cdef const uint32_t* stamps = <uint32_t*>self.stamps.data
        cdef uint32_t i
        cdef int found = U if b.flags & BODY_ACTION_U else F
        if b.flags & BODY_NO_ACTION:
            return T
        for i in range(b.n_actions):
            if stamps[actions[i]] == self.stamp:
                found = T
                break
        return 1 - found if b.flags & BODY_NOT_ACTION and found != U else found

    cdef int _collect(self, Segment s) except -1:
        """The statements of a segment that can apply, into the two scratch lists."""
        cdef const uint32_t* members = <uint32_t*>self.stack_policies.data + s.first
        cdef Range policy
        cdef Body b
        cdef Entry* e
        cdef uint32_t i, j
        cdef int truth
        for i in range(s.n):
            policy = (<Range*>self.policies.data)[members[i]]
            for j in range(policy.n):
                b = (<Body*>self.bodies.data)[(<uint32_t*>self.policy_bodies.data)[policy.first + j]]
                if s.layer == LAYER_RCP and not b.flags & BODY_DENY:
                    continue                             # D13
                truth = self._action_truth(&b)
                if truth == F:
                    continue
                e = <Entry*>self._push(&self.scratch_denies if b.flags & BODY_DENY else &self.scratch_allows)
                e.occurrence = policy.first + j
                e.resources = b.resources
                e.conditions = b.conditions
                e.principals = b.principals
                e.level = s.level
                e.layer = s.layer
                e.flags = 0
                if b.flags & BODY_NOT_RESOURCE:
                    e.flags |= ENTRY_NOT_RESOURCE
                if b.flags & BODY_NOT_PRINCIPAL:
                    e.flags |= ENTRY_NOT_PRINCIPAL
                if b.flags & BODY_U or truth == U:
                    e.flags |= ENTRY_U
                if b.flags & BODY_DENY:
                    e.flags |= ENTRY_DENY
        return 0

    cdef int _close_run(self, Vector* scratch, uint32_t first, uint8_t layer, uint8_t level, bint whole) except -1:
        """Make what a scratch list holds from `first` on a run; what follows an entry that always counts is left out, unless it is
        to be `whole`."""
        cdef const Entry* e = <Entry*>scratch.data
        cdef uint32_t i, n = scratch.n
        cdef uint8_t flags = 0
        cdef Run* run
        for i in range(first, scratch.n):
            # a later grant of a resource policy may match in a class that decides more (6.5)
            if whole or (e[i].layer == LAYER_RESOURCE and not e[i].flags & ENTRY_DENY):
                continue
            if e[i].resources == NONE and e[i].conditions == NONE and e[i].principals == NONE and not e[i].flags & ENTRY_U:
                flags = RUN_ALL if i + 1 == scratch.n else RUN_ALL | RUN_CUT
                n = i + 1
                break
        scratch.n = n
        run = <Run*>self._push(&self.scratch_runs)
        run.first = first                                # one by one: what lies between them must stay zero, for rows are hashed
        run.n = n - first
        run.index = NONE
        run.layer = layer
        run.level = level
        run.flags = flags
        return 0

    cdef int make_row(self, uint32_t stack, uint32_t action_class, uint32_t action_name, uint32_t flag) except -1:
        """Build the row of a cell: the denies of all segments, then the allows of each; `flag` is WHOLE or 0."""
        cdef Stack s = (<Stack*>self.stacks.data)[stack]
        cdef Segment* segments = <Segment*>self.segments.data + s.first
        cdef uint32_t i, first
        cdef bint late = stack >= self.t.n_indexed_stacks
        if s.n >= MOST_RUNS:
            raise LimitError(f"a path of {s.n} levels is too long, the limit is {MOST_RUNS - 1}")
        if late:
            self._stamp_name(action_name)
        else:
            self._stamp(action_class)
        self.scratch_denies.n = self.scratch_allows.n = self.scratch_runs.n = 0
        for i in range(s.n):
            first = self.scratch_allows.n
            self._collect(segments[i])
            if segments[i].layer != LAYER_RCP:
                self._close_run(&self.scratch_allows, first, segments[i].layer, segments[i].level, flag != 0)
        self._close_run(&self.scratch_denies, 0, 0, 0, flag != 0)
        self._enter_cell(stack, (action_name | BY_NAME if late else action_class) | flag, self._row_number(flag != 0))
        self.sync()
        return 0

    # -- equal rows exist once ---------------------------------------------------------------------------------------------------

    cdef uint32_t _row_number(self, bint whole) except? 0xFFFFFFFE:
        """The number of the row that the scratch lists hold, which is new or known."""
        cdef StringSlot* slots = <StringSlot*>self.row_slots.data
        cdef uint64_t h
        cdef uint32_t at
        h = hash_bytes(self.scratch_denies.data, <int64_t>self.scratch_denies.n * <int64_t>sizeof(Entry), self.t.seed)
        h = hash_bytes(self.scratch_allows.data, <int64_t>self.scratch_allows.n * <int64_t>sizeof(Entry), h)
        h = hash_bytes(self.scratch_runs.data, <int64_t>self.scratch_runs.n * <int64_t>sizeof(Run), h)
        at = (<uint32_t>h >> 1) & (self.row_slots.capacity - 1)
        while slots[at].hash != 0:
            if slots[at].hash == <uint32_t>h | 1 and self._is_row(slots[at].value - 1):
                return slots[at].value
            at = (at + 1) & (self.row_slots.capacity - 1)
        self._add_row(whole)
        slots[at] = StringSlot(<uint32_t>h | 1, self.rows.n)
        if self.rows.n * 2 > self.row_slots.capacity:
            self._grow_row_slots()
        return self.rows.n

    cdef int _grow_row_slots(self) except -1:
        cdef Vector before = self.row_slots
        cdef StringSlot* old = <StringSlot*>before.data
        cdef StringSlot* slots
        cdef uint32_t i, at
        memset(&self.row_slots, 0, sizeof(Vector))
        self.row_slots.item = sizeof(StringSlot)
        self._resize(&self.row_slots, <uint64_t>before.capacity * 2)
        slots = <StringSlot*>self.row_slots.data
        for i in range(before.capacity):
            if old[i].hash != 0:
                at = (old[i].hash >> 1) & (self.row_slots.capacity - 1)
                while slots[at].hash != 0:
                    at = (at + 1) & (self.row_slots.capacity - 1)
                slots[at] = old[i]
        free(before.data)
        return 0

    cdef const Entry* _scratch_of(self, uint32_t i):
        """The entries of a scratch run, of which the denies come first in a row and last in the list."""
        cdef const Run* run = <Run*>self.scratch_runs.data + (self.scratch_runs.n - 1 if i == 0 else i - 1)
        return <Entry*>(self.scratch_denies.data if i == 0 else self.scratch_allows.data) + run.first

    cdef bint _is_row(self, uint32_t number):
        """Whether a row is the one that the scratch lists hold."""
        cdef Row row = (<Row*>self.rows.data)[number]
        cdef const Run* run
        cdef const Run* other
        cdef uint32_t i
        if row.n != self.scratch_runs.n:
            return False
        for i in range(row.n):
            run = <Run*>self.runs.data + row.first + i
            other = <Run*>self.scratch_runs.data + (self.scratch_runs.n - 1 if i == 0 else i - 1)
            if run.n != other.n or run.layer != other.layer or run.level != other.level or run.flags != other.flags:
                return False
            if run.n and memcmp(<Entry*>self.entries.data + run.first, self._scratch_of(i), <size_t>run.n * sizeof(Entry)) != 0:
                return False
        return True

    cdef int _add_row(self, bint whole) except -1:
        """Append the row that the scratch lists hold; nobody sees it before its number is in a cell."""
        cdef uint32_t first = self.runs.n, i, at
        cdef Run run
        cdef Row* row
        for i in range(self.scratch_runs.n):
            run = (<Run*>self.scratch_runs.data)[self.scratch_runs.n - 1 if i == 0 else i - 1]
            at = self.entries.n
            if run.n:
                memcpy(self._push(&self.entries, run.n), self._scratch_of(i), <size_t>run.n * sizeof(Entry))
            run.first = at
            run.index = self._index(at, run.n) if run.n >= self.index_from and not whole else NONE
            (<Run*>self._push(&self.runs))[0] = run
        row = <Row*>self._push(&self.rows)
        row[0] = self._flags_of(first, self.runs.n - first)
        return 0

    cdef Row _flags_of(self, uint32_t first, uint32_t n):
        """A row, with what can be told of it at once."""
        cdef const Run* runs = <const Run*>self.runs.data + first
        cdef const Entry* e = <const Entry*>self.entries.data + (runs[1].first if n > 1 else 0)
        cdef const Pattern* p
        cdef uint32_t i
        cdef Row row = Row(first, <uint16_t>n, ROW_PASSES if n > 1 else 0, NONE)
        if runs[0].n:
            row.flags |= ROW_DENIES
        for i in range(1, n):
            if not runs[i].flags & RUN_ALL:
                row.flags &= ~ROW_PASSES
        if n > 1 and runs[1].n:
            row.flags |= ROW_GRANTS
            if runs[1].flags & RUN_ALL:
                row.flags |= ROW_GRANTS_ALL
        if n > 1 and runs[0].n == 0 and runs[1].n == 1 and e.flags == 0 and e.conditions == NONE and e.principals == NONE:
            if e.resources != NONE and e.resources & ONE:
                p = <const Pattern*>self.patterns.data + (e.resources ^ ONE)
                if p.flags == 0 and p.kind <= PATTERN_FIELDS:
                    row.only = e.resources ^ ONE
        return row

    # -- indexes of long runs ---------------------------------------------------------------------------------------------------------------

    cdef object _shape_of(self, const Pattern* p):
        """(fixed, kind, size, piece) under which a pattern is found; of SHAPE_GRAM, all pieces that could serve.

        None where no hash finds it.
        """
        cdef const uint8_t* text = <uint8_t*>self.pool.data + p.text
        cdef int64_t tail = p.colons[4] + 1, n = p.size - tail, i, prefix = 0
        cdef int fixed = 3
        if p.kind == PATTERN_ANY or p.colons[4] == 0 or p.kind == PATTERN_UNRESOLVED:
            return None
        if p.kind == PATTERN_FIELDS or p.kind == PATTERN_SLOTS:
            if p.literal_fields & 3 != 3:
                return self._grams_of(text + tail, n)
            fixed = 0
            for i in range(2):
                if p.literal_fields & (4 << i):
                    fixed |= 1 << i
                elif p.colons[3 + i] - p.colons[2 + i] != 2 or text[p.colons[2 + i] + 1] != TOKEN_STAR:
                    return self._grams_of(text + tail, n)
        while prefix < n and text[tail + prefix] < TOKEN_SLOT:
            prefix += 1
        if prefix == n:
            return fixed, SHAPE_EXACT, 0, text[tail:tail + n]
        if prefix:
            return fixed, SHAPE_PREFIX, prefix, text[tail:tail + prefix]
        if p.kind == PATTERN_SLOTS:
            return self._grams_of(text + tail, n)
        i = n
        while i > 0 and text[tail + i - 1] < TOKEN_SLOT:
            i -= 1
        return self._grams_of(text + tail, n) if i == n else (fixed, SHAPE_SUFFIX, n - i, text[tail + i:tail + n])

    cdef object _grams_of(self, const uint8_t* tail, int64_t n):
        """Every eight bytes in a row, else every four, of the literal parts of a field 6; None where there are none."""
        cdef int64_t at = 0, start, size
        cdef list parts = []
        while at < n:
            start = at
            while at < n and tail[at] < TOKEN_SLOT:
                at += 1
            if at > start:
                parts.append(tail[start:at])
            if at < n:
                at += 5 if tail[at] == TOKEN_SLOT else 1
        for size in (8, 4):
            grams = [part[i:i + size] for part in parts for i in range(len(part) - size + 1)]
            if grams:
                return 0, SHAPE_GRAM, size, grams
        return None

    cdef object _hash_of(self, const Pattern* p, found):
        cdef const char* text = self.pool.data + p.text
        cdef Shape shape
        cdef bytes piece = found[3]
        cdef uint64_t base
        shape = Shape(found[2], found[1], found[0])
        base = fields_hash(
            text + 4, p.colons[2] - 4, Text(text + p.colons[2] + 1, p.colons[3] - p.colons[2] - 1),
            Text(text + p.colons[3] + 1, p.colons[4] - p.colons[3] - 1), shape.fixed, self.t.seed,
        )
        return <uint32_t>shape_hash(base, hash_bytes(piece, len(piece), self.t.seed), &shape) | 1

    cdef object _sort_entry(self, uint32_t position, const Entry* e, list found, list always, list crossing):
        """Add (position, shape, hash) of every pattern of an entry to `found`, or the entry to the list that is always looked at."""
        cdef Range element
        cdef const Pattern* p
        cdef const uint32_t* members
        cdef uint32_t i, only
        if e.resources == NONE or e.flags & ENTRY_NOT_RESOURCE:
            always.append(position)
            return
        only = e.resources ^ ONE
        element = Range(0, 1) if e.resources & ONE else (<Range*>self.resource_elements.data)[e.resources]
        members = &only if e.resources & ONE else <uint32_t*>self.pattern_lists.data + element.first
        own = []
        for i in range(element.n):
            p = <Pattern*>self.patterns.data + members[i]
            if p.crossing != NONE:
                if (<Pattern*>self.patterns.data)[p.crossing].colons[4] == 0:
                    always.append(position)              # a short pattern may cross in any resource
                    return
                if not crossing or crossing[len(crossing) - 1] != position:
                    crossing.append(position)
            if p.kind == PATTERN_NEVER:
                continue
            shape = self._shape_of(p)
            if shape is None:
                always.append(position)
                return
            own.append((position, shape, None if shape[1] == SHAPE_GRAM else self._hash_of(p, shape)))
        found += own

    cdef uint32_t _index(self, uint32_t first, uint32_t n) except? 0xFFFFFFFE:
        """The index of a run of entries."""
        cdef dict hashed = {}
        cdef set shapes = set()
        cdef list always = [], crossing = [], found = []
        cdef bytes gram
        cdef uint32_t i, start, mask = 1, at
        cdef IndexSlot* slots
        cdef Shape* shape
        cdef Index* index
        for i in range(n):
            self._sort_entry(i, <Entry*>self.entries.data + first + i, found, always, crossing)
        counts = {}
        for _, by, h in found:
            if h is None:
                for piece in set(by[3]):
                    counts[piece] = counts.get(piece, 0) + 1
        for position, by, h in found:
            if h is None:                                # of a pattern's grams, the one that fewest others have
                gram = min(by[3], key=counts.__getitem__)
                h = gram_hash(gram, <uint16_t>len(gram))
            shapes.add((by[1], by[2], by[0]))
            places = hashed.setdefault(h, [])
            if not places or places[len(places) - 1] != position:
                places.append(position)
        while mask < 2 * len(hashed):
            mask *= 2
        start = self.index_slots.n
        self._push(&self.index_slots, mask)
        for h, places in hashed.items():
            at = (<uint32_t>h >> 1) & (mask - 1)
            slots = <IndexSlot*>self.index_slots.data + start
            while slots[at].hash != 0:
                at = (at + 1) & (mask - 1)
            slots[at] = IndexSlot(h, self._numbers(&self.index_lists, places), <uint32_t>len(places))
        for kind, size, fixed in sorted(shapes):
            shape = <Shape*>self._push(&self.shapes)
            shape[0] = Shape(size, kind, fixed)
        index = <Index*>self._push(&self.indexes)
        index.first_shape = self.shapes.n - <uint32_t>len(shapes)
        index.n_shapes = <uint32_t>len(shapes)
        index.first_slot = start
        index.mask = mask - 1
        index.always = self._numbers(&self.index_lists, always)
        index.n_always = <uint32_t>len(always)
        index.crossing = self._numbers(&self.index_lists, crossing)
        index.n_crossing = <uint32_t>len(crossing)
        return self.indexes.n - 1
