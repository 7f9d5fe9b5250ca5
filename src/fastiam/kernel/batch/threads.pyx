"""State of the threads of a batch, and the part of it that the next batch uses."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from fastiam.kernel.decide.blocks cimport Block, MOST_LINES, NameLine, NameMemo, Seen, Side
from fastiam.kernel.decide.column_checks cimport AGREED_BITS
from fastiam.kernel.decide.scratch cimport fit as fit_frame, free_frame, new_frame
from fastiam.kernel.eval.key_columns cimport free_text_codes
from fastiam.kernel.eval.memo cimport LEAST_TOLD, MOST_TOLD, asks_who_alone, is_of_owner, move_told, reads_what_varies
from fastiam.kernel.model.call cimport CALLER_KNOWN, Caller, ContextColumn, Kept, N_NEVERS, Never, SIFTED, Scratch, is_supplied
from fastiam.kernel.model.conditions cimport ATOM_FIXED, ATOM_U, Atom, F
from fastiam.kernel.model.ids cimport NONE, ONE, Range
from fastiam.kernel.model.keys cimport KEY_PRINCIPAL, KEY_REGION, Key
from fastiam.kernel.model.missing_keys cimport TouchedRows
from fastiam.kernel.model.plan cimport WAY_FAR
from fastiam.kernel.model.string_table cimport PoolText
from fastiam.kernel.model.tables cimport TablesC


cdef enum:
    MOST_SPARE = 4             # `_Callers` that batches leave, and blocks


cdef Block* spare_blocks[MOST_SPARE]
cdef int n_spare_blocks = 0


cdef Block* take_block() except NULL:
    """A block that an earlier batch has left, or a new one: they say nothing from one block of rows to the next, but take longer to be cleared
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
    if block == NULL or n_spare_blocks == MOST_SPARE:
        free(block)
        return
    spare_blocks[n_spare_blocks] = block
    n_spare_blocks += 1


cdef class _Callers:
    """What there is to know about principals for batches whose columns give the same keys: a batch fills it in, the next one takes it over."""

    def __cinit__(self, uint32_t n, uint32_t n_owned, uint64_t generation, list keys, list cells, uint8_t limited):
        cdef Py_ssize_t k
        self.memory = calloc(<size_t>n + 2, sizeof(Caller))
        if self.memory == NULL:
            raise MemoryError()
        self.at = <Caller*>((<uintptr_t>self.memory + 63) & ~<uintptr_t>63)
        self.kin = <uint32_t*>calloc(n, sizeof(uint32_t))
        self.nevers = <Never*>calloc(N_NEVERS, sizeof(Never))
        self.never_owned = <uint64_t*>calloc(n_owned, sizeof(uint64_t))
        self.seen = <Seen*>calloc(1, sizeof(Seen))
        if self.kin == NULL or self.nevers == NULL or self.never_owned == NULL or self.seen == NULL:
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
        self.at[n - 1].flags = CALLER_KNOWN              # nobody
        self.at[n - 1].way = WAY_FAR

    def __dealloc__(self):
        free(self.memory)
        free(self.kin)
        free(self.fixed)
        free(self.agreed)
        free(self.cell_of)
        free(self.nevers)
        free(self.never_owned)
        free(self.seen)
        free(self.told)

    @property
    def nbytes(self):
        """The memory that this takes."""
        return (
            self.n * (sizeof(Caller) + sizeof(uint32_t) + self.n_fixed * (sizeof(PoolText) + sizeof(uint64_t))) + N_NEVERS * sizeof(Never)
            + (self.n_owned + self.n_told) * sizeof(uint64_t) + sizeof(self.regions) + sizeof(self.never_regions) + sizeof(Seen)
        )

    cdef int make_room(self, uint64_t n_rows, uint64_t n_records) except -1:
        """Room to tell so many rows truths."""
        cdef uint32_t room = LEAST_TOLD
        while room < MOST_TOLD and room < 2 * n_rows and room < 8 * (self.n + n_records):
            room *= 2
        return self._grow(room) if room > self.n_told else 0

    cdef int _grow(self, uint32_t room) except -1:
        cdef uint64_t* told = <uint64_t*>calloc(room, sizeof(uint64_t))
        if told == NULL:
            raise MemoryError()
        move_told(self.told, self.n_told, told, room - 1)
        free(self.told)
        self.told, self.n_told = told, room
        return 0

    cdef int fit_crowd(self, Scratch* s) except -1:
        """Twice the room, where many truths were forgotten for want of it."""
        if s.n_crowded > self.n_told >> 3 and self.n_told < MOST_TOLD:
            self._grow(2 * self.n_told)
            s.told, s.told_mask, s.n_crowded = self.told, self.n_told - 1, 0
        return 0

    cdef bint fits(self, uint32_t n_principals, uint64_t generation, list keys, list cells):
        """Whether numbers mean the same as when this was filled in."""
        return self.n > n_principals and self.generation == generation and self.keys == keys and self.cells == cells


cdef int count_touched(Side* side, uint32_t n_keys) except -1:
    """Room to count the rows that read keys which nobody supplies; other calls may have brought keys since the last pass."""
    cdef Scratch* s = &side.frame.s
    cdef uint32_t room = n_keys + (n_keys >> 1) + 64
    cdef int64_t* counts
    cdef TouchedRows* rows
    if n_keys <= side.n_counted:
        return 0
    counts = <int64_t*>realloc(s.touched, <size_t>room * 8)
    if counts == NULL:
        raise MemoryError()
    s.touched = counts
    rows = <TouchedRows*>calloc(room, sizeof(TouchedRows))
    if rows == NULL:
        raise MemoryError()
    if side.n_counted:
        memcpy(rows, s.touched_rows, <size_t>side.n_counted * sizeof(TouchedRows))
    free(s.touched_rows)
    s.touched_rows = rows
    memset(counts + side.n_counted, 0, <size_t>(room - side.n_counted) * 8)
    side.n_counted = room
    return 0


cdef int room_for_names(NameMemo* memo, int64_t n) except -1:
    """Room for so many names, forgotten; each cache line holds those of one."""
    cdef uint32_t room = 64
    while room < MOST_LINES and room < n:
        room *= 2
    free(memo.memory)
    memo.memory = calloc(room + 1, sizeof(NameLine))
    if memo.memory == NULL:
        raise MemoryError()
    memo.lines = <NameLine*>((<uintptr_t>memo.memory + 63) & ~<uintptr_t>63)
    memo.mask = room - 1
    return 0


cdef int reserve_slow(Side* side, int64_t n) except -1:
    """Room for so many rows more that need the GIL."""
    cdef int64_t* grown
    if side.n_slow + n > side.room:
        grown = <int64_t*>realloc(side.slow, <size_t>(2 * (side.n_slow + n)) * 8)
        if grown == NULL:
            raise MemoryError()
        side.slow = grown
        side.room = 2 * (side.n_slow + n)
    return 0


cdef bint has_rcps(const TablesC* t):
    cdef uint32_t i
    for i in range(t.n_accounts):
        if t.accounts[i].rcp_set != NONE:
            return True
    return False


cdef list checked_cells(const TablesC* t, list keys):
    """Of each column of keys, at which place a principal has what it fixes of them; -1: more than the principal tells what contradicts."""
    cdef const Key* k
    cells = []
    n = 0
    for number in keys:
        if number < 0:
            continue
        k = t.keys + <uint32_t>number
        is_of_principal = k.is_checked and not k.is_resource_tag and not is_of_owner(k)
        cells.append(n if is_of_principal else -1)
        n += is_of_principal
    return cells


cdef class _Sides:
    """A side for each thread of a batch."""

    def __cinit__(self, int n_columns):
        self.n = 0
        self.n_columns = n_columns
        self.callers = []

    def __dealloc__(self):
        cdef Side* side
        cdef int i, k
        for i in range(self.n):
            side = &self.of[i]
            free_frame(side.frame)
            free(side.slow)
            if side.columns != NULL:
                for k in range(self.n_columns):
                    free_text_codes(side.columns[k].texts)
                    free(side.columns[k].never)
                    free(side.columns[k].endpoints)
            free(side.columns)
            free(side.matters)
            leave_block(side.block)
            free(side.memos[0].memory)
            free(side.memos[1].memory)

    cdef Side* side(self, int number) except NULL:
        """What the thread with this number has."""
        cdef Side* side
        while self.n <= number:
            side = &self.of[self.n]
            memset(side, 0, sizeof(Side))
            side.frame = new_frame()
            side.number = self.n
            self.n += 1
            self.callers.append(None)
            side.block = take_block()
            side.columns = <ContextColumn*>calloc(self.n_columns + 1, sizeof(ContextColumn))
            if side.columns == NULL:
                raise MemoryError()
        return &self.of[number]

    cdef int fit(self, Side* side, const TablesC* t) except -1:
        """Make room for the tables as they are."""
        fit_frame(side.frame, t)
        return count_touched(side, t.n_keys)

    cdef int fit_sieves(self, Side* side, const TablesC* t, bint are_forgotten) except -1:
        """Room to know by the codes of columns which conditions of denies do not hold; what is kept of their truths counts."""
        cdef int32_t at
        for at in range(self.n_columns * are_forgotten):
            free(side.columns[at].never)
            side.columns[at].never = NULL
            side.columns[at].never_bits = 0
        if are_forgotten:
            side.n_sieved = 0
        while side.n_sieved < t.n_sieve_blocks:
            self._fit_block(side, t, t.sieve_blocks[side.n_sieved], <uint64_t>1 << side.n_sieved)
            side.n_sieved += 1
        return 0

    cdef void forget_agreed(self, Side* side):
        """Forget which codes of columns agree with what principals fix: other dictionaries may be at hand."""
        cdef _Callers callers = self.callers[side.number]
        callers.agreed_epoch += 1
        if callers.agreed_epoch >> (64 - AGREED_BITS):
            callers.agreed_epoch = 1
            memset(callers.agreed, 0, <size_t>callers.n * callers.n_fixed * sizeof(uint64_t))
        side.frame.s.agreed, side.frame.s.agreed_epoch = callers.agreed, callers.agreed_epoch << AGREED_BITS

    cdef void know_varied(self, Side* side, const TablesC* t):
        """Which bits of sieves copies of a principal know by themselves alone. What callers know may come from a batch before, so that each
        batch asks, however small it is."""
        cdef const uint32_t* ids
        cdef Range block
        cdef uint32_t i, k, only
        side.frame.s.varied = 0
        for i in range(t.n_sieve_blocks):
            only = t.sieve_blocks[i] ^ ONE
            block, ids = Range(0, 1), &only
            if not t.sieve_blocks[i] & ONE:
                block = t.condition_lists[t.sieve_blocks[i]]
                ids = t.atom_lists + block.first
            for k in range(block.n):
                if reads_what_varies(t, &t.atoms[ids[k]]):
                    side.frame.s.varied |= <uint64_t>1 << i

    cdef int _fit_block(self, Side* side, const TablesC* t, uint32_t conditions, uint64_t bit) except -1:
        """Let the bit of a block not hold where one of its conditions is known not to.

        Nothing is told by a condition that comes after the reading of a key under which rows are counted.
        """
        cdef const Atom* atom
        cdef const Key* key
        cdef uint32_t only = conditions ^ ONE, i
        cdef Range block = Range(0, 1)
        cdef const uint32_t* ids = &only
        cdef int32_t at
        if not conditions & ONE:
            block = t.condition_lists[conditions]
            ids = t.atom_lists + block.first
        for i in range(block.n):
            if ids[i] >= side.frame.s.n_kept:            # it came with an update, beside this batch
                return 0
            atom = &t.atoms[ids[i]]
            key = &t.keys[atom.key]
            at = side.frame.s.sources[atom.key]
            if atom.flags & ATOM_U or key.is_resource_tag or not asks_who_alone(t, atom):
                return 0
            if at >= 0 and atom.flags & ATOM_FIXED and side.columns[at].keeps_truths:
                self._fit_column(&side.columns[at], &side.frame.s.kept[ids[i]], bit)
            elif at < 0 and (key.source == KEY_PRINCIPAL or is_of_owner(key) or (key.source == KEY_REGION and atom.flags & ATOM_FIXED)):
                side.frame.s.kept[ids[i]].sieve |= bit
            if at < 0 and not is_supplied(key):
                return 0
        return 0

    cdef int _fit_column(self, ContextColumn* column, Kept* kept, uint64_t bit) except -1:
        """The same, of a condition that a column tells; what is kept of its truths counts."""
        cdef int64_t code
        if column.never == NULL:
            column.never = <uint64_t*>calloc(<size_t>column.n_codes + 2, sizeof(uint64_t))
            if column.never == NULL:
                raise MemoryError()
        column.never_bits |= bit
        kept.sieve |= bit
        for code in range((column.n_codes + 1) * (kept.truths != NULL)):
            if kept.truths[code] == F + 1:
                column.never[code] |= bit
        return 0

    cdef int fit_endpoints(self, ContextColumn* column, bint are_forgotten) except -1:
        """Room to know by the codes of a dictionary which endpoints they name."""
        if are_forgotten or column.has_texts or not column.keeps_truths:
            free(column.endpoints)
            column.endpoints = NULL
        if column.endpoints == NULL and column.keeps_truths and not column.has_texts:
            column.endpoints = <uint32_t*>calloc(<size_t>column.n_codes + 2, sizeof(uint32_t))
            if column.endpoints == NULL:
                raise MemoryError()
        return 0

    cdef int know_callers(
        self, Side* side, const TablesC* t, uint64_t generation, list keys, int64_t n_rows, int64_t n_session_names, list left
    ) except -1:
        """Begin to know principals and names, or go on with what fits; what an earlier batch `left` about principals is taken over."""
        cdef _Callers callers = self.callers[side.number]
        cdef uint32_t n = t.n_principals
        cdef list cells = checked_cells(t, keys)
        side.frame.s.n_owned = 0
        if callers is not None and callers.fits(n, generation, keys, cells):
            callers.fit_crowd(&side.frame.s)
            side.frame.s.n_owned = callers.n_owned
            return 0
        room_for_names(&side.memos[0], min(n_rows, t.principal_names.n + n_session_names))
        room_for_names(&side.memos[1], min(n_rows, <int64_t>t.action_names.n))
        callers = None
        for one in left:
            if (<_Callers>one).fits(n, generation, keys, cells):
                callers = one
                left.remove(one)
                break
        if callers is None:
            callers = _Callers(n + (n >> 3) + 64, t.n_accounts + 1, generation, keys, cells, has_rcps(t) * SIFTED)
        if n_rows >= MANY:
            callers.make_room(<uint64_t>n_rows, t.n_records)
        side.frame.s.n_crowded = 0
        self.callers[side.number] = callers
        side.frame.s.n_owned = callers.n_owned
        side.callers, side.n_callers, side.limited, side.seen = callers.at, callers.n, callers.limited, callers.seen
        side.denies_much = False
        side.frame.s.callers, side.frame.s.kin = callers.at, callers.kin
        side.frame.s.fixed, side.frame.s.n_fixed, side.frame.s.cell_of = callers.fixed, callers.n_fixed, callers.cell_of
        side.frame.s.nevers, side.frame.s.never_owned = callers.nevers, callers.never_owned
        side.frame.s.regions, side.frame.s.never_regions = callers.regions, callers.never_regions
        side.frame.s.told, side.frame.s.told_mask, side.frame.s.told_epoch = callers.told, callers.n_told - 1, callers.told_epoch
        return 0

    cdef void give_back(self, list left):
        """Leave what is known about principals to the next batch, in place of what is older."""
        cdef _Callers callers
        cdef int i
        for i in range(self.n):
            callers = self.callers[i]
            if callers is not None:
                callers.limited = self.of[i].limited
                callers.told_epoch = self.of[i].frame.s.told_epoch
                self.of[i].frame.s.told = NULL
                left.insert(0, callers)
        self.callers = [None] * len(self.callers)
        del left[MOST_SPARE:]

    cdef int take_missing_keys(self, uint32_t n_keys, list names, dict missing_keys) except -1:
        """Add the rows that read keys which nobody supplied, by the name of the key; they count from 0 again."""
        cdef int64_t* touched
        cdef uint32_t key
        cdef int i
        for i in range(self.n):
            touched = self.of[i].frame.s.touched
            for key in range(min(self.of[i].n_counted, n_keys)):
                if touched[key]:
                    missing_keys[names[key]] = missing_keys.get(names[key], 0) + touched[key]
                    touched[key] = 0
        return 0

    cdef void forget_rows(self):
        """The numbers of keys mean others: none has been read in the rows at hand."""
        cdef int i
        for i in range(self.n):
            if self.of[i].n_counted:
                memset(self.of[i].frame.s.touched_rows, 0, <size_t>self.of[i].n_counted * sizeof(TouchedRows))

    cdef list take_slow(self):
        """The rows that need the GIL, in their order."""
        cdef int64_t k
        cdef int i
        rows = []
        for i in range(self.n):
            rows += [self.of[i].slow[k] for k in range(self.of[i].n_slow)]
            self.of[i].n_slow = 0
        return sorted(rows)
