"""State of a block of rows, and its first stages: the ids of principals, actions and resources, and their plans. Header only.

Each stage runs over the whole block, so that the stage before can prefetch its memory.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32
from fastiam.kernel.base.text cimport Text, first_bit, mix, prefetch, same_tags, short_equal, short_hash
from fastiam.kernel.columns.column cimport Column, TEXT_32, TEXT_CONST, TEXT_VIEW, item_code, item_text, value_text, view_text, whole_codes
from fastiam.kernel.decide.fast_path cimport load_principal_state
from fastiam.kernel.decide.scratch cimport Frame
from fastiam.kernel.model.call cimport LIMITED_TEMPLATE, PS_CHECK_KEYS, PS_LOADED, PS_LIMITED, Call, PrincipalState, ContextColumn, HAS_ORG_LIMITS
from fastiam.kernel.model.plan_lookup cimport cell_key, find_plan_by_key, plan_at
from fastiam.kernel.model.string_table cimport touch_name, prefetch_slot, touch_text, hashed_name, table_find, table_hash
from fastiam.kernel.model.tables cimport *


cdef enum:
    BLOCK_BITS = 9
    BLOCK = 1 << BLOCK_BITS
    LIST_BITS = 48             # a list of deciding keys: number of the thread, then where it starts


cdef struct InputRange:        # the chunks that hold a range of rows
    const Column* principals
    const Column* actions
    const Column* resources
    const Column* owners
    int64_t principal_first
    int64_t action_first
    int64_t resource_first
    int64_t owner_first
    const uint32_t* principal_codes   # numbers of dictionary values, or NULL
    const uint32_t* action_codes
    const uint64_t* facts      # of dictionary values, or NULL
    const uint32_t* records    # and their records, with IS_PARENT_RECORD


cdef struct OutputColumns:     # where the answers go, a place a row; those of reasons only where they are asked for
    uint8_t* outcome
    uint8_t* assumed
    uint8_t* layer
    uint8_t* reason
    uint32_t* entry            # `entries` of the reported statements
    int64_t* deciding_list


cdef struct SelectionVector:   # rows of a block that go the same way
    uint16_t rows[BLOCK]
    uint32_t n


cdef enum:                     # the plans that may count for a request, in the order in which their denies are evaluated (D50)
    RCP_PLAN = 0
    SCP_PLAN = 1
    RESOURCE_PLAN = 2          # of the resource's policies
    PRINCIPAL_PLAN = 3         # of the principal's own layers
    N_LAYER_PLANS = 4
    LEVEL_ALLOWS = 4           # the stages after these denies, in their order: first the levels of SCPs (`levels_left`)
    RESOURCE_ALLOW_STAGE = 7
    PRINCIPAL_ALLOW_STAGE = 8
    BOUNDARY_STAGE = 9
    SESSION_STAGE = 10
    LEVEL_STAGES = 7 << LEVEL_ALLOWS
    LIMIT_STAGES = 1 << BOUNDARY_STAGE | 1 << SESSION_STAGE
    IS_CROSS_ACCOUNT = 1 << 11  # in `pending_stages`: another account owns the resource; no grant of its policies is enough
    STAGES = IS_CROSS_ACCOUNT - 1
    HAS_TAGS = 1 << 12         # what is stored about the resource has constants of its own
    RESOURCE_MUST_ALLOW = 1 << 13  # the resource's policies have to allow, as those of another account have to
    NEEDS_MORE_STAGES = LEVEL_STAGES | LIMIT_STAGES | IS_CROSS_ACCOUNT | RESOURCE_MUST_ALLOW  # an allow may not be all that a row needs


cdef enum:
    MAX_PENDING = 10           # ops, or ranges of them, that a row keeps for later


cdef struct StepQueue:         # (row, op) pairs of a block that wait for the same step
    uint64_t items[BLOCK]      # op << 32 | row; of STEP_CONDITION, the index of the condition above the row
    uint64_t padding[8]        # queues whose ends are a whole page apart would share a cache set


cdef struct Block:
    uint32_t principal_id[BLOCK]  # principals, NONE where there is none
    PrincipalState* principal_state[BLOCK]  # what is known of them
    uint32_t name[BLOCK]       # action names
    uint32_t hash[BLOCK]       # of the names at hand
    uint32_t cls[BLOCK]        # action classes
    const uint32_t* plan_cell[BLOCK]  # where the grid holds the number of a row
    uint32_t zero              # a class where there is none
    uint32_t what[BLOCK]       # dictionary values of the resources
    uint64_t facts[BLOCK]
    uint64_t differs[BLOCK]    # what the place of the resource has other than the caller's (`account_key_diff`)
    uint32_t record[BLOCK]     # of texts without a dictionary, with IS_PARENT_RECORD
    const ResourceRecord* stored[BLOCK]
    ResourceRecord nothing     # where nothing is stored
    MatchOp no_op              # where there are no allows
    Text text[BLOCK]           # of the resources; for the rows that are listed, except those of `general_rows`, NOWHERE instead of `*`
    const Plan* plans[N_LAYER_PLANS][BLOCK]
    uint32_t owner[BLOCK]      # whose the resource is, as `RowInputs` has it
    uint64_t known_false[BLOCK]  # bits of `filter_conditions` that are known not to hold
    uint8_t n_skipped_denies[BLOCK]  # how many ops of the principal's plan are denies that are known false
    uint8_t limits[BLOCK]      # PATH_* that SCPs, RCPs and endpoints leave
    uint8_t path[BLOCK]        # and all that is known
    uint8_t has_stars          # some row asks for `*`
    SelectionVector principal_rows  # the others are decided by flags; before that, rows whose names most likely are in the caches
    SelectionVector layered_rows
    SelectionVector general_rows
    SelectionVector vectorized_rows  # of `layered_rows`: ops of several plans, one after the other, decide
    StepQueue step_queues[N_STEPS]
    uint64_t* queue_ends[N_STEPS]  # of these
    uint32_t range_end[BLOCK]  # behind the ops at hand of a row
    uint16_t pending_stages[BLOCK]  # what comes after them, as bits
    Range pending_ranges[BLOCK][MAX_PENDING]  # ops that come after those at hand, the next ones last: what an index has found, or what is not skipped
    uint8_t n_pending[BLOCK]
    uint8_t has_pending        # some row has such
    uint8_t stage[BLOCK]       # what these are of
    uint8_t may_need_more      # an allow may not be all that some row needs
    const uint32_t* records    # of the values of the resources' dictionary; NULL: there is none


cdef enum:
    N_OWNERS = 2048


cdef struct OwnerCacheEntry:   # an account by its place, as it was found
    uint64_t account_key       # 0: nothing
    uint32_t account


cdef struct LookupCaches:      # memo by account number, each at the place that its hash gives it; dropped with `principal_states`; gives 0 to 2 %
    OwnerCacheEntry owners[N_OWNERS]


cdef enum:
    OF_SESSION = 0x80000000    # in the size of a name: the batch itself names it
    IS_PARENT_RECORD = 0x80000000  # beside the record of a resource: it is of what holds the resource, a bucket
    PARENT_SHIFT = 31
    MAX_LINES = 32768
    PREFETCH_NAMES = 4096      # of so many, the texts may be beyond the second-level cache


cdef struct NameMemoLine:      # names whose hashes share a place: one cache line
    uint32_t tag[4]            # hashes, 0: none
    uint32_t size[4]
    uint32_t text[4]           # in the pool
    uint32_t number[4]


cdef struct NameMemo:          # memo of text columns by name; dropped with `principal_states`; gives 1.3 to 1.44 times
    NameMemoLine* lines
    uint32_t mask
    void* memory


cdef struct ThreadState:       # what one thread of a batch has of its own
    int64_t number
    Frame* frame
    Block* block
    PrincipalState* principal_states  # by number of the principal, filled on first use; the last one has no principal
    uint32_t n_principal_states
    uint8_t is_plain           # rows may take the fast path; else all of them take the general path
    uint8_t has_endpoints      # some column says which endpoint rows come through
    uint8_t limited            # by which limits: BY_*, and flags of principal states
    uint8_t pruning_pays       # rows have so many denies that pruning pays
    LookupCaches* seen
    NameMemo memos[2]          # principals, actions
    uint32_t n_counted         # keys that the counts of the frame have room for
    int64_t* deferred_rows     # rows that need the GIL
    int64_t n_deferred
    int64_t room
    ContextColumn* columns
    uint64_t memo_generation   # generation of the tables whose atoms truths are kept of
    uint32_t memo_n_principals  # how many principals there were: one that is new may fix a key that none fixed before
    uint32_t n_filtered        # `filter_conditions` that are known
    uint32_t* deciding_keys    # lists of deciding keys (D74): how many, then their numbers
    int64_t n_deciding_keys
    int64_t deciding_keys_capacity
    int64_t last_deciding_keys  # where the last list starts
    OutputColumns answers
    const StringTable* session_names   # that the batch itself names; NULL: none
    const uint8_t* session_pool


cdef inline bint is_pruning(const ThreadState* s) noexcept nogil:
    """Whether denies are pruned (`kernel.decide.zone_filter`)."""
    return s.pruning_pays or s.limited & HAS_ORG_LIMITS


cdef extern from *:
    """
    /* the rows of a block by the highest of the bits 1, 2 and 4 of their ways: 16 rows at a time */
    static inline void fastiam_list(
        uint8_t* ways, int64_t n, uint16_t* one, uint32_t* n_one, uint16_t* two, uint32_t* n_two, uint16_t* four, uint32_t* n_four
    ) {
        uint32_t a = 0, b = 0, c = 0;
    #if defined(__SSE2__)
        memset(ways + n, 0, (size_t)(-n & 15));
        for (int64_t i = 0; i < n; i += 16) {
            __m128i w = _mm_loadu_si128((const __m128i*)(ways + i));
            uint32_t fours = (uint32_t)_mm_movemask_epi8(_mm_slli_epi16(w, 5));
            uint32_t twos = (uint32_t)_mm_movemask_epi8(_mm_slli_epi16(w, 6)) & ~fours;
            uint32_t ones = (uint32_t)_mm_movemask_epi8(_mm_slli_epi16(w, 7)) & ~fours & ~twos;
            for (; ones; ones &= ones - 1) one[a++] = (uint16_t)(i + fastiam_first_bit(ones));
            for (; twos; twos &= twos - 1) two[b++] = (uint16_t)(i + fastiam_first_bit(twos));
            for (; fours; fours &= fours - 1) four[c++] = (uint16_t)(i + fastiam_first_bit(fours));
        }
    #else
        for (int64_t i = 0; i < n; i++) {
            one[a] = two[b] = four[c] = (uint16_t)i;
            a += (ways[i] & 7) == 1; b += (ways[i] & 6) == 2; c += (ways[i] & 4) != 0;
        }
    #endif
        *n_one = a; *n_two = b; *n_four = c;
    }
    """
    void fastiam_list(
        uint8_t* paths, int64_t n, uint16_t* one, uint32_t* n_one, uint16_t* two, uint32_t* n_two, uint16_t* four, uint32_t* n_four
    ) noexcept nogil


cdef inline void split_by_path(Block* b, int64_t n) noexcept nogil:
    fastiam_list(
        &b.path[0], n, b.principal_rows.rows, &b.principal_rows.n, b.layered_rows.rows, &b.layered_rows.n, b.general_rows.rows, &b.general_rows.n
    )


cdef inline uint32_t record_of(const Block* b, uint32_t i) noexcept nogil:
    """The record of the resource of a row, or of what holds it; NONE: there is none."""
    cdef uint32_t record = b.record[i] if b.records == NULL else b.records[b.what[i]]
    return record if record == NONE else record & ~IS_PARENT_RECORD


cdef inline uint32_t is_parent_record(const Block* b, uint32_t i) noexcept nogil:
    """Whether that record is of what holds the resource."""
    return (b.record[i] if b.records == NULL else b.records[b.what[i]]) >> PARENT_SHIFT


# -- numbers ------------------------------------------------------------------------------------------------------------

cdef inline uint32_t session_number(const ThreadState* s, const TablesC* t, const Text* text) noexcept nogil:
    """The number of a session that the batch itself names, BROKEN where it cannot be one, NONE where the batch names none like that."""
    if s.session_names == NULL:
        return NONE
    return table_find(s.session_names, s.session_pool, text.data, text.size, t.seed)


cdef inline uint32_t name_number(const ThreadState* s, const TablesC* t, const Text* text, bint of_actions) noexcept nogil:
    cdef uint32_t found
    if of_actions:
        return table_find(&t.action_names, t.pool, text.data, text.size, t.seed)
    found = session_number(s, t, text)
    if found != NONE:
        return found
    return table_find(&t.principal_names, t.pool, text.data, text.size, t.seed)


cdef inline void ids_of_codes(const Column* column, int64_t first, int64_t n, const uint32_t* codes, uint32_t* out) noexcept nogil:
    """Numbers of a dictionary column; NONE for nulls."""
    cdef int64_t i, code
    cdef const uint32_t* wide = whole_codes(column, first)
    if wide != NULL:
        for i in range(n):
            out[i] = codes[wide[i]]
        return
    for i in range(n):
        code = item_code(column, first + i)
        out[i] = NONE if code < 0 else codes[code]


cdef inline void ids_of_texts(
    const ThreadState* s, const TablesC* t, const Column* column, int64_t first, int64_t n, bint of_actions, Block* b, uint32_t* out
) noexcept nogil:
    """Numbers of a column of texts, NONE for nulls and for names that are not known."""
    cdef uint32_t number = NONE
    cdef int64_t i
    cdef Text one
    if column.kind == TEXT_CONST:
        if item_text(column, first, &one):
            number = name_number(s, t, &one, of_actions)
        for i in range(n):
            out[i] = number
        return
    load_texts(column, first, n, b.text)
    lookup_memoized_names(s, t, &s.memos[of_actions], n, out)
    lookup_listed_names(s, t, &s.memos[of_actions], of_actions, out)


cdef inline void lookup_listed_names(const ThreadState* s, const TablesC* t, const NameMemo* memo, bint of_actions, uint32_t* out) noexcept nogil:
    """Numbers of the listed texts of a block, NONE for names that are not known."""
    if not of_actions and s.session_names != NULL:
        lookup_names(s, t, s.session_names, s.session_pool, memo, OF_SESSION, out)
    lookup_names(s, t, &t.action_names if of_actions else &t.principal_names, t.pool, memo, 0, out)


cdef inline void ids_of_dictionary(const ThreadState* s, const TablesC* t, const Column* chunk, bint of_actions, uint32_t* out) noexcept nogil:
    """Numbers of the values of a dictionary, NONE for nulls and for names that are not known. None is cached: each occurs once."""
    cdef Column plain = chunk[0]
    cdef Block* b = s.block
    cdef int64_t first = 0, n
    cdef uint32_t i
    plain.code_width = 0                                 # its values as rows
    plain.item_valid = NULL
    while first < chunk.n_values:
        n = min(<int64_t>BLOCK, chunk.n_values - first)
        load_texts(&plain, first, n, b.text)
        for i in range(<uint32_t>n):
            b.principal_rows.rows[i] = narrow16(i)
        b.principal_rows.n = narrow32(n)
        lookup_listed_names(s, t, NULL, of_actions, out + first)
        first += n


cdef inline void lookup_memoized_names(const ThreadState* s, const TablesC* t, const NameMemo* memo, int64_t n, uint32_t* out) noexcept nogil:
    """Numbers of the texts of a block that are cached; the other rows are listed."""
    cdef Block* b = s.block
    cdef const NameMemoLine* m
    cdef const char* pools[2]
    cdef uint32_t i, j, size, n_new = 0
    cdef bint is_large = memo.mask >= PREFETCH_NAMES
    pools[0] = <const char*>t.pool
    pools[1] = <const char*>s.session_pool
    for i in range(<uint32_t>n):
        b.hash[i] = <uint32_t>short_hash(b.text[i].data, b.text[i].size, t.seed) | 1
        prefetch(&memo.lines[(b.hash[i] >> 1) & memo.mask])
    for i in range(<uint32_t>n * is_large):
        m = &memo.lines[(b.hash[i] >> 1) & memo.mask]
        j = first_bit(same_tags(m.tag, b.hash[i]) | 8)
        prefetch(pools[m.size[j] >> 31] + m.text[j])
        prefetch(pools[m.size[j] >> 31] + m.text[j] + 44)
    for i in range(<uint32_t>n):
        m = &memo.lines[(b.hash[i] >> 1) & memo.mask]
        j = first_bit(same_tags(m.tag, b.hash[i]) | 8)
        size = m.size[j]
        out[i] = m.number[j]
        b.principal_rows.rows[n_new] = narrow16(i)
        n_new += not (
            m.tag[j] == b.hash[i] and b.text[i].size == size & ~<uint32_t>OF_SESSION
            and short_equal(b.text[i].data, pools[size >> 31] + m.text[j], b.text[i].size)
        )
    b.principal_rows.n = n_new


cdef inline void lookup_names(
    const ThreadState* s, const TablesC* t, const StringTable* table, const uint8_t* pool, const NameMemo* memo, uint32_t kind, uint32_t* out
) noexcept nogil:
    """Look up the listed rows in a table, as a batch; those that it does not have stay listed. What is found is cached, if there is a cache."""
    cdef Block* b = s.block
    cdef uint16_t* listed = &b.principal_rows.rows[0]
    cdef uint32_t i, j, v, n_listed = 0
    for j in range(b.principal_rows.n):
        i = listed[j]
        b.cls[i] = table_hash(b.text[i].data, b.text[i].size, t.seed)
        prefetch_slot(table, b.cls[i])
    for j in range(b.principal_rows.n):
        i = listed[j]
        out[i] = touch_name(table, b.cls[i])
    for j in range(b.principal_rows.n):
        i = listed[j]
        if out[i] != NONE:
            touch_text(table, pool, out[i])
    for j in range(b.principal_rows.n):
        i = listed[j]
        out[i] = NONE
        v = NONE
        if b.text[i].size:                               # a null has none; no name is empty
            v = hashed_name(table, pool, b.text[i].data, b.text[i].size, b.cls[i])
        if v == NONE:
            listed[n_listed] = narrow16(i)
            n_listed += 1
            continue
        out[i] = table.values[v]
        if memo != NULL:
            memoize_name(memo, b.hash[i], table.texts[v], kind, out[i])
    b.principal_rows.n = n_listed


cdef inline void memoize_name(const NameMemo* memo, uint32_t tag, PoolText text, uint32_t kind, uint32_t number) noexcept nogil:
    """Note a name that was found, in place of another one where four share its place."""
    cdef NameMemoLine* m = &memo.lines[(tag >> 1) & memo.mask]
    cdef uint32_t free = same_tags(m.tag, 0)
    cdef int j = first_bit(free) if free else number & 3
    if same_tags(m.tag, tag) or text.size & OF_SESSION:
        return
    m.tag[j] = tag
    m.size[j] = text.size | kind
    m.text[j] = text.text
    m.number[j] = number


cdef inline void prefetch_value(const Column* column, int64_t value) noexcept nogil:
    """Prefetch what gives the address of a value of a dictionary."""
    if column.kind == TEXT_32:
        prefetch(<const int32_t*>column.offsets + value)
    elif column.kind == TEXT_VIEW:
        prefetch(column.views + 16 * value)


cdef inline void load_dictionary_texts(const Column* column, int64_t first, int64_t n, Text* out) noexcept nogil:
    """`load_texts` of a dictionary column: the addresses of its values are prefetched, then the values."""
    cdef int64_t codes[BLOCK]
    cdef int64_t i
    for i in range(n):
        codes[i] = item_code(column, first + i)
        prefetch_value(column, max(codes[i], <int64_t>0))
    for i in range(n):
        if codes[i] < 0 or not value_text(column, codes[i], &out[i]):
            out[i] = Text(NULL, 0)
        prefetch(out[i].data)
        prefetch(out[i].data + 63)


cdef inline void load_texts(const Column* column, int64_t first, int64_t n, Text* out) noexcept nogil:
    """The texts of some rows of a block, NULL and empty for nulls."""
    cdef const int32_t* offsets = <const int32_t*>column.offsets + first
    cdef const char* data = column.data
    cdef int64_t i
    if column.code_width:
        load_dictionary_texts(column, first, n, out)
        return
    if column.kind == TEXT_32 and column.item_valid == NULL and column.value_valid == NULL:
        for i in range(n):
            out[i] = Text(data + offsets[i], offsets[i + 1] - offsets[i])
            prefetch(data + offsets[i])
        return
    if column.kind == TEXT_VIEW and column.item_valid == NULL and column.value_valid == NULL:
        for i in range(n):
            out[i] = view_text(column, first + i)
        return
    for i in range(n):
        if not item_text(column, first + i, &out[i]):
            out[i] = Text(NULL, 0)


cdef inline void resolve_row_ids(const ThreadState* s, const TablesC* t, const InputRange* rows, int64_t at, int64_t n) noexcept nogil:
    """The ids of principals and actions."""
    cdef Block* b = s.block
    if rows.action_codes != NULL:
        ids_of_codes(rows.actions, rows.action_first + at, n, rows.action_codes, b.name)
    else:
        ids_of_texts(s, t, rows.actions, rows.action_first + at, n, True, b, b.name)
    if rows.principal_codes != NULL:
        ids_of_codes(rows.principals, rows.principal_first + at, n, rows.principal_codes, b.principal_id)
    else:
        ids_of_texts(s, t, rows.principals, rows.principal_first + at, n, False, b, b.principal_id)


cdef inline void load_row_states(ThreadState* s, Call* c, int64_t n) noexcept nogil:
    """Give rows whose principal or action is not known the last state, which has no principal; and load the principal states."""
    cdef Block* b = s.block
    cdef const TablesC* t = c.t
    cdef PrincipalState* w
    cdef uint32_t unknown_principal = s.n_principal_states - 1, n_principals = t.n_principals, known
    cdef int64_t i
    for i in range(n):                                   # several at once
        known = -<uint32_t>((b.principal_id[i] < n_principals) & (b.name[i] != NONE))
        b.principal_id[i] = (b.principal_id[i] & known) | (unknown_principal & ~known)
        b.name[i] &= known
    for i in range(n):
        b.principal_state[i] = w = s.principal_states + b.principal_id[i]
        if not w.flags & PS_LOADED:                      # PERF: this reads ahead, too
            c.principal = &t.principals[b.principal_id[i]]
            load_principal_state(c, w)
            s.frame.s.template_ids[b.principal_id[i]] = 0 if c.principal.n_names else c.principal.names
            s.limited |= w.flags & (PS_LIMITED | PS_CHECK_KEYS) | (w.scp_set != NONE) * HAS_ORG_LIMITS
            s.limited |= (s.frame.s.template_ids[b.principal_id[i]] != 0) * LIMITED_TEMPLATE


cdef inline void prefetch_hashed_plans(ThreadState* s, const TablesC* t) noexcept nogil:
    """Ask for the cells of the listed rows, which the grid has no place for."""
    cdef Block* b = s.block
    cdef uint16_t* outside = &b.principal_rows.rows[0]
    cdef uint32_t j
    for j in range(b.principal_rows.n):
        b.plan_cell[outside[j]] = &b.zero
        prefetch(&t.cells.cells[<uint32_t>mix(own_key(s, t, outside[j])) & t.cells.mask])


cdef inline void locate_plans(ThreadState* s, Call* c, int64_t n) noexcept nogil:
    """The cells of the plans of the principals; rows that the grid has no cell for are listed."""
    cdef Block* b = s.block
    cdef const TablesC* t = c.t
    cdef PrincipalState* w
    cdef const uint32_t* grid = t.cells.grid
    cdef const uint32_t* name_classes = t.name_classes
    cdef uint32_t cls, n_policy_sets = t.cells.n_policy_sets, last_policy_set = n_policy_sets - 1, last_class = t.cells.n_classes - 1, n_outside = 0
    cdef int64_t i
    if t.n_classes == 0:                                 # there is no action yet
        memset(b.name, 0xFF, <size_t>n * 4)
        name_classes = &b.zero
    load_row_states(s, c, n)
    for i in range(n):
        w = b.principal_state[i]
        cls = name_classes[b.name[i]]
        b.cls[i] = cls
        b.plan_cell[i] = <const uint32_t*>(<uintptr_t>grid + (<size_t>cls * n_policy_sets + w.principal_set) * 4)
        prefetch(b.plan_cell[i])
        b.principal_rows.rows[n_outside] = <uint16_t>i
        n_outside += (w.principal_set | (last_policy_set - w.principal_set) | (last_class - cls)) >> 31  # no grid has 2^31 of either
    b.principal_rows.n = n_outside
    prefetch_hashed_plans(s, t)


cdef inline uint64_t own_key(const ThreadState* s, const TablesC* t, uint32_t i) noexcept nogil:
    """What the cell of a row goes by that the grid has no place for."""
    cdef uint32_t policy_set = s.block.principal_state[i].principal_set
    return cell_key(policy_set, s.block.cls[i] if policy_set < t.n_indexed_sets else s.block.name[i] | BY_ACTION_NAME)


cdef inline void load_plans(const ThreadState* s, const TablesC* t, int64_t n) noexcept nogil:
    """Those rows; the empty one where they are not there yet."""
    cdef Block* b = s.block
    cdef const Plan* plans = t.cells.plans
    cdef uint32_t n_plans = t.cells.n_plans, number, j
    cdef int64_t i
    for i in range(n):
        number = b.plan_cell[i][0]
        number = number if number < n_plans else 0
        b.plans[PRINCIPAL_PLAN][i] = plans + number
        prefetch(plans + number)
    for j in range(b.principal_rows.n):
        i = b.principal_rows.rows[j]
        b.plans[PRINCIPAL_PLAN][i] = plan_at(t, find_plan_by_key(t, own_key(s, t, <uint32_t>i)))
        prefetch(b.plans[PRINCIPAL_PLAN][i])
