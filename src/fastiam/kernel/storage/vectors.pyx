"""`Vectors`: the arrays that a decision reads, and their growth.

Invariant: memory that a running batch may read never moves and never changes. Arrays only grow. If one must move, the old memory is retired, and
freed once no batch runs. A batch works on a copy of `TablesC`, so new entries are beyond its counts. Cells and slots of names are published
last, in one store.
"""
from cython cimport no_gc_clear
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from fastiam.kernel.base.invariants cimport narrow32
from fastiam.kernel.model.string_table cimport table_find, table_hash
from fastiam.kernel.model.tables cimport *

from fastiam.errors import LimitError


cdef TablesC FIELDS            # stands for one, where fields are named
cdef enum:
    UNPUBLISHED = 0            # kernels do not read it, or by a table of names
    MAX_VECTORS = 128

# Every vector once, in the order in which `kernel/storage/vectors.pxd` declares them: name, bytes of an item, what becomes of it, and the
# field of `TablesC` that gets its address.
cdef list VECTORS = [
    ("pool", 1, COMPILED, <size_t>&FIELDS.pool),
    ("patterns", sizeof(Pattern), COMPILED, <size_t>&FIELDS.patterns),
    ("pattern_lists", 4, COMPILED, <size_t>&FIELDS.pattern_lists),
    ("resource_elements", sizeof(Range), COMPILED, <size_t>&FIELDS.resource_elements),
    ("variables", sizeof(Variable), COMPILED, <size_t>&FIELDS.variables),
    ("values", sizeof(Value), COMPILED, <size_t>&FIELDS.values),
    ("atoms", sizeof(Atom), COMPILED, <size_t>&FIELDS.atoms),
    ("atom_lists", 4, COMPILED, <size_t>&FIELDS.atom_lists),
    ("condition_lists", sizeof(Range), COMPILED, <size_t>&FIELDS.condition_lists),
    ("keys", sizeof(Key), COMPILED, <size_t>&FIELDS.keys),
    ("constants", sizeof(Constant), COMPILED, <size_t>&FIELDS.constants),
    ("const_texts", sizeof(PoolText), COMPILED, <size_t>&FIELDS.const_texts),
    ("tokens", sizeof(PrincipalToken), COMPILED, <size_t>&FIELDS.tokens),
    ("principal_elements", sizeof(Range), COMPILED, <size_t>&FIELDS.principal_elements),
    ("symbol_lists", 4, COMPILED, <size_t>&FIELDS.symbol_lists),
    ("principals", sizeof(Principal), COMPILED, <size_t>&FIELDS.principals),
    ("records", sizeof(ResourceRecord), COMPILED, <size_t>&FIELDS.records),
    ("bodies", sizeof(StatementBody), COMPILED, UNPUBLISHED),
    ("action_lists", 4, COMPILED, UNPUBLISHED),
    ("policies", sizeof(Range), COMPILED, UNPUBLISHED),
    ("policy_bodies", 4, COMPILED, UNPUBLISHED),
    ("policy_sets", sizeof(PolicySet), COMPILED, UNPUBLISHED),
    ("layer_levels", sizeof(LayerLevel), COMPILED, UNPUBLISHED),
    ("set_policies", 4, COMPILED, UNPUBLISHED),
    ("folds_from", 4, COMPILED, <size_t>&FIELDS.fold_from),
    ("folds_to", 4, COMPILED, <size_t>&FIELDS.fold_to),
    ("symbol_slots", sizeof(StringSlot), LOOKUP, UNPUBLISHED),
    ("symbols", sizeof(PoolText), COMPILED, <size_t>&FIELDS.symbols),
    ("symbol_values", 4, COMPILED, UNPUBLISHED),
    ("policy_set_slots", sizeof(StringSlot), LOOKUP, UNPUBLISHED),
    ("classes", sizeof(ActionClass), CACHE, <size_t>&FIELDS.classes),
    ("class_patterns", 4, CACHE, UNPUBLISHED),
    ("name_classes", 4, CACHE, <size_t>&FIELDS.name_classes),
    ("action_slots", sizeof(StringSlot), WORK, UNPUBLISHED),
    ("action_names", sizeof(PoolText), CACHE, UNPUBLISHED),
    ("action_values", 4, CACHE, UNPUBLISHED),
    ("entries", sizeof(StatementEntry), CACHE, <size_t>&FIELDS.entries),
    ("runs", sizeof(StatementRun), CACHE, <size_t>&FIELDS.runs),
    ("indexes", sizeof(Index), CACHE, <size_t>&FIELDS.indexes),
    ("shapes", sizeof(TermShape), CACHE, <size_t>&FIELDS.shapes),
    ("index_items", sizeof(IndexItem), CACHE, <size_t>&FIELDS.index_items),
    ("index_slots", sizeof(PostingSlot), CACHE, <size_t>&FIELDS.index_slots),
    ("index_lists", 4, CACHE, <size_t>&FIELDS.index_lists),
    ("index_splits", sizeof(ConditionSplit), CACHE, <size_t>&FIELDS.index_splits),
    ("index_filters", 8, CACHE, <size_t>&FIELDS.index_filters),
    ("terms", 8, CACHE, UNPUBLISHED),
    ("pattern_terms", sizeof(Range), CACHE, UNPUBLISHED),
    ("plans", sizeof(Plan), CACHE, <size_t>&FIELDS.cells.plans),
    ("grid", 4, CACHE, <size_t>&FIELDS.cells.grid),
    ("match_ops", sizeof(MatchOp), CACHE, <size_t>&FIELDS.match_ops),
    ("deny_filters", 8, CACHE, <size_t>&FIELDS.deny_filters),
    ("filter_conditions", 4, CACHE, <size_t>&FIELDS.filter_conditions),
    ("plan_reads", 4, CACHE, <size_t>&FIELDS.plan_reads),
    ("read_sets", sizeof(Range), CACHE, <size_t>&FIELDS.read_sets),
    ("read_keys", 4, CACHE, <size_t>&FIELDS.read_keys),
    ("is_read", 1, CACHE, <size_t>&FIELDS.is_read),
    ("cells", sizeof(PlanCell), WORK, <size_t>&FIELDS.cells.cells),
    ("plan_slots", sizeof(StringSlot), WORK, UNPUBLISHED),
    ("stamps", 4, WORK, UNPUBLISHED),
    ("scratch_denies", sizeof(StatementEntry), WORK, UNPUBLISHED),
    ("scratch_allows", sizeof(StatementEntry), WORK, UNPUBLISHED),
    ("scratch_runs", sizeof(StatementRun), WORK, UNPUBLISHED),
    ("scratch_reads", 4, WORK, UNPUBLISHED),
    ("draft_patterns", sizeof(DraftPattern), WORK, UNPUBLISHED),
    ("term_counts", sizeof(TermCount), WORK, UNPUBLISHED),
    ("placed", 8, WORK, UNPUBLISHED),
]
cdef int N_VECTORS = len(VECTORS)


cdef struct Published:         # a vector whose address kernels read
    int vector
    size_t offset              # in `TablesC`


cdef Published published[MAX_VECTORS]
cdef int n_published = 0, number
cdef object field
for number, (_, _, _, field) in enumerate(VECTORS):
    if field != UNPUBLISHED:
        published[n_published] = Published(number, <size_t>field - <size_t>&FIELDS)
        n_published += 1


@no_gc_clear  # `__dealloc__` reads the list of retired memory
cdef class Vectors:
    """All arrays of the tables, and the texts in them.

    Thread-safety: the caller of a method has the GIL; kernels read a snapshot (`Names.enter`, `leave`).
    """

    def __cinit__(self, *, uint64_t seed=0, uint32_t index_from=8):
        cdef Vector* v
        # INVARIANT: vectors are adjacent, and each has its line in `VECTORS`
        if <char*>&self.end_of_vectors - <char*>&self.pool != <Py_ssize_t>(len(VECTORS) * sizeof(Vector)):
            raise SystemError("a vector is missing in `VECTORS`")
        for i, (_, item, role, _) in enumerate(VECTORS):
            v = self._vector(i)
            v.item = item
            v.role = role
        self.index_from = max(index_from, 1)
        self.retired = []
        self.texts = {}
        self.shared = {}
        self.t.seed = seed
        self.t.n_indexed_sets = LIMIT
        self._resize(&self.pool, 64)                     # an empty text has an address, too

    def __dealloc__(self):
        cdef int i
        for i in range(N_VECTORS):
            if not self._vector(i).is_mapped:
                free_items(self._vector(i).data)
        for address in self.retired:
            free_items(<void*><uintptr_t>address)
        if self.region != NULL:
            fastiam_unmap(self.region, self.region_size)

    # -- memory --------------------------------------------------------------------------------------------------------

    cdef Vector* _vector(self, int i):
        """A vector by its place in `VECTORS`."""
        return <Vector*>(<char*>&self.pool + <size_t>i * sizeof(Vector))

    cdef list _vectors(self):
        """The name of every vector, in the order of `_vector`."""
        return [name for name, *_ in VECTORS]

    def total_bytes(self):
        """The memory of all of them."""
        cdef uint64_t total = 0
        cdef int i
        for i in range(N_VECTORS):
            total += bytes_of(self._vector(i))
        return total

    cdef int _release(self, void* data) except -1:
        """Free memory, or keep it until no batch runs. What is mapped stays as long as the tables."""
        if data == NULL or self.region <= <char*>data < self.region + self.region_size:
            return 0
        if self.readers:
            self.retired.append(<uintptr_t>data)
        else:
            free_items(data)
        return 0

    cdef int _resize(self, Vector* v, uint64_t capacity) except -1:
        cdef char* data
        if capacity > LIMIT:
            raise LimitError(f"a table of the engine is full, the limit is {LIMIT} items")
        data = new_items(<size_t>capacity + 1, v.item)
        if data == NULL:
            raise MemoryError()
        if v.n:
            memcpy(data, v.data, <size_t>v.n * v.item)
        self._release(v.data)
        v.data = data
        v.is_mapped = False
        v.capacity = narrow32(capacity)
        self.n_resizes += 1
        self.sync()                                      # another thread may decide before the builder is done
        return 0

    cdef int _release_memory(self, Vector* v) except -1:
        """Release what one large thing has needed while it was made."""
        if v.capacity > MAX_RETAINED:
            self._release(v.data)
            v[0] = emptied(v)
        return 0

    cdef int _cut(self, Vector* v) except -1:
        """Take a vector back to what is compiled. What is behind it is zero again, and elsewhere if a batch may read it."""
        if v.n > v.mark:
            if v.is_mapped and not self.readers:
                memset(v.data + <size_t>v.mark * v.item, 0, <size_t>(v.n - v.mark) * v.item)
                v.n = v.mark
            else:
                v.n = v.mark
                self._resize(v, max(<uint64_t>8, <uint64_t>v.n))
        return 0

    cdef char* _push(self, Vector* v, uint64_t n=1) except NULL:
        """Room for `n` more items; the address of the first."""
        cdef uint64_t needed = <uint64_t>v.n + n, room
        cdef char* at
        if needed > v.capacity or v.data == NULL:
            # what is beside the compiled part doubles; that part itself is as large as it will be
            room = (needed - v.mark) * 2 + 16384 // v.item if v.mark else <uint64_t>v.capacity * 3 // 2
            self._resize(v, max(needed, max(<uint64_t>8, min(<uint64_t>LIMIT, v.mark + room))))
        at = v.data + <size_t>v.n * v.item
        v.n = narrow32(needed)
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
            memcpy(self._push(&self.pool, len(text)), data, len(text))
        return start

    cdef uint32_t _shared(self, bytes text) except? 0xFFFFFFFE:
        """The position of a text in the pool; while an engine is compiled, equal texts are stored once."""
        if self.texts is None:
            return self._text(text)
        found = self.texts.get(text)
        if found is None:
            found = self.texts[text] = self._text(text)
        return found

    cdef void _publish_table(self, const NameTable* names, StringTable* table):
        table.slots = <const StringSlot*>names.slots.data
        table.texts = <const PoolText*>names.texts.data
        table.values = <const uint32_t*>names.values.data
        table.mask = names.slots.capacity - 1
        table.n = names.texts.n

    cdef void sync(self):
        """Write the addresses and counts into `t`, which kernels copy."""
        cdef TablesC* t = &self.t
        cdef int i
        for i in range(n_published):
            (<char**>(<char*>t + published[i].offset))[0] = self._vector(published[i].vector).data
        t.n_filter_conditions = self.filter_conditions.n
        t.n_read_sets = self.read_sets.n
        t.n_read = self.is_read.n
        t.n_folds = self.folds_from.n
        t.n_atoms = self.atoms.n
        t.n_keys = self.keys.n
        t.key_changes = self.keys.n + self.n_checked
        t.n_principals = self.principals.n
        t.n_records = self.records.n
        while t.n_classes < self.classes.n:
            t.actions |= t.classes[t.n_classes].flags
            t.n_classes += 1
        t.n_classes = self.classes.n
        t.n_entries = self.entries.n
        t.n_patterns = self.patterns.n
        self._publish_table(&self.action_names, &t.action_names)
        t.cells.mask = self.cells.capacity - 1
        t.cells.n_plans = self.plans.n
        t.cells.n_policy_sets = 0 if t.n_indexed_sets == LIMIT else t.n_indexed_sets
        t.cells.n_classes = 0 if t.cells.n_policy_sets == 0 else self.grid.n // t.cells.n_policy_sets
        self.version += 1

    cdef void leave(self):
        """A batch that `Names.enter` let in has read."""
        self.readers -= 1
        if self.readers == 0 and self.retired:
            for address in self.retired:
                free_items(<void*><uintptr_t>address)
            self.retired = []

    # -- names -----------------------------------------------------------------------------------------------------------

    cdef int _insert_slot(self, Vector* slots, uint32_t h, uint32_t value) except -1:
        cdef StringSlot* s = <StringSlot*>slots.data
        cdef uint32_t mask = slots.capacity - 1
        cdef uint32_t at = (h >> 1) & mask
        while s[at].hash != 0:
            at = (at + 1) & mask
        fastiam_publish(&s[at], (<uint64_t>value << 32) | h)
        return 0

    cdef int _make_slots(self, NameTable* names, uint64_t capacity) except -1:
        """Slots for the texts there are, in memory of their own."""
        cdef Vector fresh = emptied(&names.slots)
        cdef const PoolText* texts = <const PoolText*>names.texts.data
        cdef uint32_t i
        self._resize(&fresh, capacity)
        for i in range(names.texts.n):
            self._insert_slot(&fresh, self._hash(texts[i]), i)
        self._release(names.slots.data)
        names.slots = fresh
        self.sync()
        return 0

    cdef uint32_t _hash(self, PoolText text):
        return table_hash(self.pool.data + text.text, text.size, self.t.seed)

    cdef int _name(self, NameTable* names, bytes text, uint32_t value) except -1:
        """Enter a text that is not there yet."""
        return self._name_at(names, PoolText(self._shared(text), narrow32(len(text))), value)

    cdef int _name_at(self, NameTable* names, PoolText text, uint32_t value) except -1:
        """The same for a text that lies in the pool."""
        cdef uint64_t n = <uint64_t>names.texts.n + 1
        cdef uint64_t needed = slots_for(n if names == &self.symbols else n * 8 // 5)  # of what requests search, half the slots are empty
        if needed > names.slots.capacity:                # before there is a text: none is without a slot where memory ends
            self._make_slots(names, needed)
        self._number(&names.values, value)
        try:
            (<PoolText*>self._push(&names.texts))[0] = text
        except BaseException:
            names.values.n -= 1
            raise
        self._insert_slot(&names.slots, self._hash(text), names.texts.n - 1)
        return 0

    cdef uint32_t _find(self, NameTable* names, bytes text) except? 0xFFFFFFFE:
        cdef StringTable table
        self._publish_table(names, &table)
        return table_find(&table, <const uint8_t*>self.pool.data, text, len(text), self.t.seed)
