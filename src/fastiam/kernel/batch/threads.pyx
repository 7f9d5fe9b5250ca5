"""State of the threads of a batch, and the part of it that the next batch uses."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from fastiam.kernel.decide.blocks cimport Block, MAX_LINES, NameMemoLine, NameMemo, LookupCaches, ThreadState
from fastiam.kernel.decide.column_checks cimport AGREED_BITS
from fastiam.kernel.decide.scratch cimport fit as fit_frame, free_frame, new_frame
from fastiam.kernel.eval.key_columns cimport free_text_codes
from fastiam.kernel.eval.memo cimport MIN_MEMO, MAX_MEMO, variables_are_principal_keys, rehash_memo, reads_template_key
from fastiam.kernel.model.call cimport (
    AtomMemo, ContextColumn, HAS_ORG_LIMITS, KeyCount, KnownFalse, LACK_ALWAYS, LACK_BY_ROW, LACK_NONE, N_KNOWN_FALSE, N_REGIONS, PS_LOADED,
    PrincipalState, Region, Scratch, SetCount,
)
from fastiam.kernel.model.conditions cimport ATOM_FIXED, ATOM_U, Atom, F
from fastiam.kernel.model.ids cimport NONE, members_of
from fastiam.kernel.model.keys cimport KEY_PRINCIPAL, KEY_REGION, Key, OF_OWNER, has_trait
from fastiam.kernel.model.plan cimport PATH_GENERAL
from fastiam.kernel.model.string_table cimport PoolText
from fastiam.kernel.model.tables cimport TablesC


cdef enum:
    MANY = 512                 # rows: for fewer, keeping truths costs more than it spares
    MAX_UNUSED = 4             # `_PrincipalStates` that batches leave, and blocks


cdef Block* spare_blocks[MAX_UNUSED]
cdef int n_spare_blocks = 0


cdef Block* take_block() except NULL:
    """A block that an earlier batch has left, or a new one: a block keeps nothing from one block of rows to the next, but takes longer to clear
    than a few rows to be decided."""
    global n_spare_blocks
    cdef Block* block
    if n_spare_blocks:
        n_spare_blocks -= 1
        return spare_blocks[n_spare_blocks]
    block = <Block*>calloc(1, sizeof(Block))
    if block == NULL:
        raise MemoryError()
    block.nothing.account = block.nothing.policy_set = block.nothing.arn = NONE
    return block


cdef void leave_block(Block* block):
    """Leave a block, or NULL, to the next batch."""
    global n_spare_blocks
    if block == NULL or n_spare_blocks == MAX_UNUSED:
        free(block)
        return
    spare_blocks[n_spare_blocks] = block
    n_spare_blocks += 1


cdef class _PrincipalStates:
    """What there is to know about principals for batches whose columns give the same keys: a batch fills it in, the next one takes it over."""

    cdef void* memory
    cdef PrincipalState* at                              # from a new cache line on: two of them take one
    cdef uint32_t* template_ids                          # as `Scratch` has it
    cdef PoolText* fixed                                 # as `Scratch` has them
    cdef uint64_t* agreed                                # the same
    cdef uint64_t agreed_epoch                           # of the range of rows at hand
    cdef int32_t* cell_of                                # the same
    cdef uint32_t n_fixed
    cdef list cells                                      # `cell_of`
    cdef KnownFalse* known_false_table                   # as `Scratch` has them
    cdef uint64_t* known_false_by_owner                  # the same
    cdef uint32_t n_owned
    cdef uint32_t n
    cdef uint64_t generation
    cdef list keys
    cdef uint8_t limited
    cdef LookupCaches* seen
    cdef uint64_t* truth_memo                            # truths, as `Scratch` has them
    cdef uint32_t n_truth_memo
    cdef Region regions[N_REGIONS]
    cdef uint64_t known_false_by_region[N_REGIONS + 1]   # as `Scratch` has them
    cdef uint32_t memo_epoch

    def __cinit__(self, uint32_t n, uint32_t n_owned, uint64_t generation, list keys, list cells, uint8_t limited):
        cdef Py_ssize_t k
        self.memory = calloc(<size_t>n + 2, sizeof(PrincipalState))
        if self.memory == NULL:
            raise MemoryError()
        self.at = <PrincipalState*>((<uintptr_t>self.memory + 63) & ~<uintptr_t>63)
        self.template_ids = <uint32_t*>calloc(n, sizeof(uint32_t))
        self.known_false_table = <KnownFalse*>calloc(N_KNOWN_FALSE, sizeof(KnownFalse))
        self.known_false_by_owner = <uint64_t*>calloc(n_owned, sizeof(uint64_t))
        self.seen = <LookupCaches*>calloc(1, sizeof(LookupCaches))
        if self.template_ids == NULL or self.known_false_table == NULL or self.known_false_by_owner == NULL or self.seen == NULL:
            raise MemoryError()
        self.n_fixed = len(cells) - cells.count(-1)
        # each text is written before it is read
        self.fixed = <PoolText*>malloc(<size_t>n * self.n_fixed * sizeof(PoolText) + 1)
        self.cell_of = <int32_t*>malloc((len(cells) + 1) * sizeof(int32_t))
        self.agreed = <uint64_t*>calloc(<size_t>n * self.n_fixed + 1, sizeof(uint64_t))
        if self.fixed == NULL or self.agreed == NULL or self.cell_of == NULL:
            raise MemoryError()
        for k in range(len(cells)):
            self.cell_of[k] = cells[k]
        self.n_owned = n_owned
        self.n, self.generation, self.keys, self.cells, self.limited = n, generation, keys, cells, limited
        self.at[n - 1].flags = PS_LOADED                 # no principal
        self.at[n - 1].path = PATH_GENERAL

    def __dealloc__(self):
        free(self.memory)
        free(self.template_ids)
        free(self.fixed)
        free(self.agreed)
        free(self.cell_of)
        free(self.known_false_table)
        free(self.known_false_by_owner)
        free(self.seen)
        free(self.truth_memo)

    @property
    def nbytes(self):
        """The memory that this takes."""
        return (
            self.n * (sizeof(PrincipalState) + sizeof(uint32_t) + self.n_fixed * (sizeof(PoolText) + sizeof(uint64_t)))
            + N_KNOWN_FALSE * sizeof(KnownFalse) + (self.n_owned + self.n_truth_memo) * sizeof(uint64_t)
            + sizeof(self.regions) + sizeof(self.known_false_by_region) + sizeof(LookupCaches)
        )

    cdef int grow_capacity(self, uint64_t n_rows, uint64_t n_records) except -1:
        """Reserve the memo for so many rows."""
        cdef uint32_t room = MIN_MEMO
        while room < MAX_MEMO and room < 2 * n_rows and room < 8 * (self.n + n_records):
            room *= 2
        return self._grow(room) if room > self.n_truth_memo else 0

    cdef int _grow(self, uint32_t room) except -1:
        cdef uint64_t* truth_memo = <uint64_t*>calloc(room, sizeof(uint64_t))
        if truth_memo == NULL:
            raise MemoryError()
        rehash_memo(self.truth_memo, self.n_truth_memo, truth_memo, room - 1)
        free(self.truth_memo)
        self.truth_memo, self.n_truth_memo = truth_memo, room
        return 0

    cdef int grow_memo(self, Scratch* s) except -1:
        """Double the memo, where many truths were evicted for lack of capacity."""
        if s.n_evicted > self.n_truth_memo >> 3 and self.n_truth_memo < MAX_MEMO:
            self._grow(2 * self.n_truth_memo)
            s.truth_memo, s.truth_memo_mask, s.n_evicted = self.truth_memo, self.n_truth_memo - 1, 0
        return 0

    cdef bint fits(self, uint32_t n_principals, uint64_t generation, list keys, list cells):
        """Whether numbers mean the same as when this was filled in."""
        return self.n > n_principals and self.generation == generation and self.keys == keys and self.cells == cells


cdef int reserve_counts(ThreadState* thread_state, uint32_t n_keys) except -1:
    """Room to count rows under so many keys."""
    cdef Scratch* s = &thread_state.frame.s
    cdef uint32_t room = n_keys + (n_keys >> 2) + 16
    cdef KeyCount* counts
    if n_keys <= thread_state.n_counted:
        return 0
    counts = <KeyCount*>realloc(s.key_counts, room * sizeof(KeyCount))
    if counts == NULL:
        raise MemoryError()
    s.key_counts = counts
    memset(counts + thread_state.n_counted, 0, (room - thread_state.n_counted) * sizeof(KeyCount))
    thread_state.n_counted = room
    return 0


cdef bint find_lacking(Scratch* s, const TablesC* t, bint has_unknown) except -1:
    """Find the keys that plans read and no column supplies; whether there are any. Of those declared unknown, none is always lacking."""
    cdef const Key* k
    cdef uint32_t key, room
    cdef uint8_t lack
    cdef bint found = False
    for key in range(min(t.n_read, t.n_keys)):
        lack = LACK_NONE
        if t.is_read[key] and s.sources[key] < 0:
            k = &t.keys[key]
            is_of_row = has_unknown or not has_trait(k, OF_NOTHING) or k.is_principal_fixed or k.is_template_key
            lack = LACK_BY_ROW if is_of_row else LACK_ALWAYS
            found = True
        s.key_counts[key].lack = lack
    if t.n_read_sets > s.n_set_counts:
        room = t.n_read_sets + (t.n_read_sets >> 2) + 64
        free(s.set_counts)
        free(s.counted_sets)
        s.n_set_counts = 0
        s.set_counts = <SetCount*>calloc(room, sizeof(SetCount))
        s.counted_sets = <uint32_t*>malloc(room * sizeof(uint32_t))
        if s.set_counts == NULL or s.counted_sets == NULL:
            raise MemoryError()
        s.n_set_counts = room
    return found


cdef int reserve_names(NameMemo* memo, int64_t n) except -1:
    """Reserve lines for so many names, and clear them; each cache line holds those of one."""
    cdef uint32_t room = 64
    while room < MAX_LINES and room < n:
        room *= 2
    free(memo.memory)
    memo.memory = calloc(room + 1, sizeof(NameMemoLine))
    if memo.memory == NULL:
        raise MemoryError()
    memo.lines = <NameMemoLine*>((<uintptr_t>memo.memory + 63) & ~<uintptr_t>63)
    memo.mask = room - 1
    return 0


cdef int reserve_deferred(ThreadState* thread_state, int64_t n) except -1:
    """Room for so many rows more that need the GIL."""
    cdef int64_t* grown
    if thread_state.n_deferred + n > thread_state.room:
        grown = <int64_t*>realloc(thread_state.deferred_rows, <size_t>(2 * (thread_state.n_deferred + n)) * 8)
        if grown == NULL:
            raise MemoryError()
        thread_state.deferred_rows = grown
        thread_state.room = 2 * (thread_state.n_deferred + n)
    return 0


cdef bint has_rcps(const TablesC* t):
    cdef uint32_t i
    for i in range(t.n_accounts):
        if t.accounts[i].rcp_set != NONE:
            return True
    return False


cdef list checked_cells(const TablesC* t, list keys):
    """For each column of keys, the cell in which a principal has what it fixes of them; -1: more than the principal determines what contradicts."""
    cdef const Key* k
    cells = []
    n = 0
    for number in keys:
        if number < 0:
            continue
        k = t.keys + <uint32_t>number
        is_of_principal = k.is_checked and not k.is_resource_tag and not has_trait(k, OF_OWNER)
        cells.append(n if is_of_principal else -1)
        n += is_of_principal
    return cells


cdef class _ThreadStates:
    """A side for each thread of a batch."""

    cdef ThreadState of[64]
    cdef int n
    cdef int n_columns                                   # of context, that there is room for
    cdef list principal_states                           # of each side, `_PrincipalStates`

    def __cinit__(self, int n_columns):
        self.n = 0
        self.n_columns = n_columns
        self.principal_states = []

    def __dealloc__(self):
        cdef ThreadState* thread_state
        cdef int i, k
        for i in range(self.n):
            thread_state = &self.of[i]
            free_frame(thread_state.frame)
            free(thread_state.deferred_rows)
            if thread_state.columns != NULL:
                for k in range(self.n_columns):
                    free_text_codes(thread_state.columns[k].texts)
                    free(thread_state.columns[k].known_false)
                    free(thread_state.columns[k].endpoints)
            free(thread_state.columns)
            free(thread_state.deciding_keys)
            leave_block(thread_state.block)
            free(thread_state.memos[0].memory)
            free(thread_state.memos[1].memory)

    cdef ThreadState* thread_state(self, int number) except NULL:
        """What the thread with this number has."""
        cdef ThreadState* thread_state
        while self.n <= number:
            thread_state = &self.of[self.n]
            memset(thread_state, 0, sizeof(ThreadState))
            thread_state.frame = new_frame()
            thread_state.number = self.n
            self.n += 1
            self.principal_states.append(None)
            thread_state.block = take_block()
            thread_state.columns = <ContextColumn*>calloc(self.n_columns + 1, sizeof(ContextColumn))
            if thread_state.columns == NULL:
                raise MemoryError()
        return &self.of[number]

    cdef int fit(self, ThreadState* thread_state, const TablesC* t) except -1:
        """Make room for the tables as they are."""
        fit_frame(thread_state.frame, t)
        return reserve_counts(thread_state, t.n_keys)

    cdef int reserve_filters(self, ThreadState* thread_state, const TablesC* t, bint must_evict) except -1:
        """Room to know by the codes of columns which conditions of denies do not hold; what is kept of their truths counts."""
        cdef int32_t at
        for at in range(self.n_columns * must_evict):
            free(thread_state.columns[at].known_false)
            thread_state.columns[at].known_false = NULL
            thread_state.columns[at].prunable_bits = 0
        if must_evict:
            thread_state.n_filtered = 0
        while thread_state.n_filtered < t.n_filter_conditions:
            self._fit_filter_bit(thread_state, t, t.filter_conditions[thread_state.n_filtered], <uint64_t>1 << thread_state.n_filtered)
            thread_state.n_filtered += 1
        return 0

    cdef void clear_agreed(self, ThreadState* thread_state):
        """Clear which codes of columns agree with what principals fix: other dictionaries may be at hand."""
        cdef _PrincipalStates principal_states = self.principal_states[thread_state.number]
        principal_states.agreed_epoch += 1
        if principal_states.agreed_epoch >> (64 - AGREED_BITS):
            principal_states.agreed_epoch = 1
            memset(principal_states.agreed, 0, <size_t>principal_states.n * principal_states.n_fixed * sizeof(uint64_t))
        thread_state.frame.s.agreed, thread_state.frame.s.agreed_epoch = principal_states.agreed, principal_states.agreed_epoch << AGREED_BITS

    cdef void find_template_bits(self, ThreadState* thread_state, const TablesC* t):
        """Which filter bits depend on what varies among principals of one template. The states may come from a batch before, so that each
        batch asks, however small it is."""
        cdef const uint32_t* ids
        cdef uint32_t i, k, n, only
        thread_state.frame.s.template_bits = 0
        for i in range(t.n_filter_conditions):
            ids = members_of(t.filter_conditions[i], t.condition_lists, t.atom_lists, &only, &n)
            for k in range(n):
                if reads_template_key(t, &t.atoms[ids[k]]):
                    thread_state.frame.s.template_bits |= <uint64_t>1 << i

    cdef int _fit_filter_bit(self, ThreadState* thread_state, const TablesC* t, uint32_t conditions, uint64_t bit) except -1:
        """Let the bit of a block not hold where one of its conditions is known not to."""
        cdef const Atom* atom
        cdef const Key* key
        cdef uint32_t i, n, only
        cdef const uint32_t* ids = members_of(conditions, t.condition_lists, t.atom_lists, &only, &n)
        cdef int32_t at
        for i in range(n):
            if ids[i] >= thread_state.frame.s.n_atom_memo:  # it came with an update, beside this batch
                return 0
            atom = &t.atoms[ids[i]]
            key = &t.keys[atom.key]
            at = thread_state.frame.s.sources[atom.key]
            if atom.flags & ATOM_U or key.is_resource_tag or not variables_are_principal_keys(t, atom):
                return 0
            if at >= 0 and atom.flags & ATOM_FIXED and thread_state.columns[at].has_code_memo:
                self._fit_column(&thread_state.columns[at], &thread_state.frame.s.atom_memo[ids[i]], bit)
            elif at < 0 and (has_trait(key, 1 << KEY_PRINCIPAL | OF_OWNER) or (key.source == KEY_REGION and atom.flags & ATOM_FIXED)):
                thread_state.frame.s.atom_memo[ids[i]].filter_bits |= bit
        return 0

    cdef int _fit_column(self, ContextColumn* column, AtomMemo* atom_memo, uint64_t bit) except -1:
        """The same, of a condition that a column determines; its memoized truths count."""
        cdef int64_t code
        if column.known_false == NULL:
            column.known_false = <uint64_t*>calloc(<size_t>column.n_codes + 2, sizeof(uint64_t))
            if column.known_false == NULL:
                raise MemoryError()
        column.prunable_bits |= bit
        atom_memo.filter_bits |= bit
        for code in range((column.n_codes + 1) * (atom_memo.truths != NULL)):
            if atom_memo.truths[code] == F + 1:
                column.known_false[code] |= bit
        return 0

    cdef int fit_endpoints(self, ContextColumn* column, bint must_evict) except -1:
        """Room to know by the codes of a dictionary which endpoints they name."""
        if must_evict or column.has_texts or not column.has_code_memo:
            free(column.endpoints)
            column.endpoints = NULL
        if column.endpoints == NULL and column.has_code_memo and not column.has_texts:
            column.endpoints = <uint32_t*>calloc(<size_t>column.n_codes + 2, sizeof(uint32_t))
            if column.endpoints == NULL:
                raise MemoryError()
        return 0

    cdef int load_principal_states(
        self, ThreadState* thread_state, const TablesC* t, uint64_t generation, list keys, int64_t n_rows, int64_t n_session_names, list left
    ) except -1:
        """Begin to know principals and names, or go on with what fits; what an earlier batch `left` about principals is taken over."""
        cdef _PrincipalStates principal_states = self.principal_states[thread_state.number]
        cdef uint32_t n = t.n_principals
        cdef list cells = checked_cells(t, keys)
        thread_state.frame.s.n_owned = 0
        if principal_states is not None and principal_states.fits(n, generation, keys, cells):
            principal_states.grow_memo(&thread_state.frame.s)
            thread_state.frame.s.n_owned = principal_states.n_owned
            return 0
        reserve_names(&thread_state.memos[0], min(n_rows, t.principal_names.n + n_session_names))
        reserve_names(&thread_state.memos[1], min(n_rows, <int64_t>t.action_names.n))
        principal_states = None
        for one in left:
            if (<_PrincipalStates>one).fits(n, generation, keys, cells):
                principal_states = one
                left.remove(one)
                break
        if principal_states is None:
            principal_states = _PrincipalStates(n + (n >> 3) + 64, t.n_accounts + 1, generation, keys, cells, has_rcps(t) * HAS_ORG_LIMITS)
        if n_rows >= MANY:
            principal_states.grow_capacity(<uint64_t>n_rows, t.n_records)
        thread_state.frame.s.n_evicted = 0
        self.principal_states[thread_state.number] = principal_states
        thread_state.frame.s.n_owned = principal_states.n_owned
        thread_state.principal_states, thread_state.n_principal_states = principal_states.at, principal_states.n
        thread_state.limited, thread_state.seen = principal_states.limited, principal_states.seen
        thread_state.pruning_pays = False
        thread_state.frame.s.principal_states, thread_state.frame.s.template_ids = principal_states.at, principal_states.template_ids
        thread_state.frame.s.fixed, thread_state.frame.s.n_fixed = principal_states.fixed, principal_states.n_fixed
        thread_state.frame.s.cell_of = principal_states.cell_of
        thread_state.frame.s.known_false_table = principal_states.known_false_table
        thread_state.frame.s.known_false_by_owner = principal_states.known_false_by_owner
        thread_state.frame.s.regions, thread_state.frame.s.known_false_by_region = principal_states.regions, principal_states.known_false_by_region
        thread_state.frame.s.truth_memo, thread_state.frame.s.truth_memo_mask = principal_states.truth_memo, principal_states.n_truth_memo - 1
        thread_state.frame.s.memo_epoch = principal_states.memo_epoch
        return 0

    cdef void give_back(self, list left):
        """Leave what is known about principals to the next batch, in place of what is older."""
        cdef _PrincipalStates principal_states
        cdef int i
        for i in range(self.n):
            principal_states = self.principal_states[i]
            if principal_states is not None:
                principal_states.limited = self.of[i].limited
                principal_states.memo_epoch = self.of[i].frame.s.memo_epoch
                self.of[i].frame.s.truth_memo = NULL
                left.insert(0, principal_states)
        self.principal_states = [None] * len(self.principal_states)
        del left[MAX_UNUSED:]

    cdef int take_missing_keys(self, uint32_t n_keys, list names, dict missing_keys) except -1:
        """Add the rows whose plans read keys which no column supplied, by the name of the key; the counts start from 0 again."""
        cdef KeyCount* counts
        cdef uint32_t key
        cdef int i
        for i in range(self.n):
            counts = self.of[i].frame.s.key_counts
            for key in range(min(self.of[i].n_counted, n_keys)):
                if counts[key].n_rows:
                    missing_keys[names[key]] = missing_keys.get(names[key], 0) + counts[key].n_rows
                    counts[key].n_rows = 0
        return 0

    cdef list take_deferred(self):
        """The rows that need the GIL, in their order."""
        cdef int64_t k
        cdef int i
        rows = []
        for i in range(self.n):
            rows += [self.of[i].deferred_rows[k] for k in range(self.of[i].n_deferred)]
            self.of[i].n_deferred = 0
        return sorted(rows)
