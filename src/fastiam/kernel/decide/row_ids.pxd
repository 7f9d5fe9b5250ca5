"""The first stages of a block: the ids of principals, actions and resources of its rows, and their plans. Header only.

Each stage runs over the whole block, so that the stage before can prefetch its memory.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32
from fastiam.kernel.base.text cimport Text, first_bit, mix, prefetch, same_tags, short_equal, short_hash
from fastiam.kernel.columns.column cimport Column, TEXT_32, TEXT_CONST, TEXT_VIEW, item_code, item_text, value_text, view_text, whole_codes
from fastiam.kernel.decide.fast_path cimport load_principal_state
from fastiam.kernel.model.call cimport LIMITED_TEMPLATE, PS_CHECK_KEYS, PS_LOADED, PS_LIMITED, Call, PrincipalState, HAS_ORG_LIMITS
from fastiam.kernel.model.plan_lookup cimport cell_key, find_plan_by_key, plan_at
from fastiam.kernel.model.string_table cimport touch_name, prefetch_slot, touch_text, hashed_name, table_find, table_hash
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.decide.blocks cimport BLOCK, Block, InputRange, NameMemo, NameMemoLine, OF_SESSION, PREFETCH_NAMES, PRINCIPAL_PLAN, ThreadState


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
