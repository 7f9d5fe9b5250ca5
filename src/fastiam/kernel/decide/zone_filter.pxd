"""SCP and RCP plans of a block, and the deny filter. Header only.

Most denies have conditions that are false. The deny filter records, per column code, principal, owner and region, which conditions are known to
be false. A deny whose conditions are all known false is skipped. The filter covers SCPs and RCPs, and other layers if an organization limits a
principal or if resource policies have many denies (`is_pruning`): otherwise reading the columns would cost more than the denies.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from fastiam.kernel.base.arn cimport account_text
from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport Text, mix, prefetch
from fastiam.kernel.columns.column cimport Column, value_text
from fastiam.kernel.decide.blocks cimport BLOCK, Block, N_OWNERS, PRINCIPAL_PLAN, RCP_PLAN, InputRange, SCP_PLAN, ThreadState
from fastiam.kernel.decide.row_ids cimport prefetch_value
from fastiam.kernel.decide.fast_path cimport ACCOUNT, FACTS_GENERAL_PATH, FACTS_STAR, ACCOUNT_KEY_MASK, colon_offset, account_key_diff
from fastiam.kernel.eval.key_columns cimport prefetch_text_codes, find_text_code
from fastiam.kernel.eval.memo cimport RowInputs, is_region_from_resource, template_principal, region_number
from fastiam.kernel.model.call cimport LIMITED_TEMPLATE, PS_FAST, Call, PrincipalState, ContextColumn, KnownFalse, Scratch
from fastiam.kernel.model.plan_lookup cimport cell_key, find_plan_by_key, plan_at
from fastiam.kernel.model.string_table cimport table_find
from fastiam.kernel.model.tables cimport *


cdef inline const Plan* layer_plan(const TablesC* t, uint32_t policy_set, uint32_t cls, uint32_t name) noexcept nogil:
    """The plan of a layer; the empty one where the layer is not there, or the plan is not there yet."""
    if policy_set < t.cells.n_policy_sets and cls < t.cells.n_classes:
        return plan_at(t, t.cells.grid[<size_t>cls * t.cells.n_policy_sets + policy_set])
    if policy_set == NONE:
        return t.cells.plans
    return plan_at(t, find_plan_by_key(t, cell_key(policy_set, cls if policy_set < t.n_indexed_sets else name | BY_ACTION_NAME)))


cdef inline uint32_t account_at(ThreadState* s, const TablesC* t, uint64_t account_key) noexcept nogil:
    """The account with this number, NONE: it is not modelled."""
    cdef uint32_t slot = <uint32_t>mix(account_key) & (N_OWNERS - 1)
    cdef char text[12]
    if s.seen.owners[slot].account_key != account_key:
        account_text(account_key & ACCOUNT, &text[0])
        s.seen.owners[slot].account_key = account_key
        s.seen.owners[slot].account = table_find(&t.account_names, t.pool, &text[0], 12, t.seed)
    return s.seen.owners[slot].account


cdef inline uint8_t find_rcp(
    const TablesC* t, const PrincipalState* w, uint32_t owner, uint32_t cls, uint32_t name, const Plan** plan
) noexcept nogil:
    """The plan of the RCPs of who owns the resource; PATH_GENERAL where it is not there yet."""
    cdef uint32_t policy_set = w.rcp_set
    if owner != NONE:
        policy_set = NONE if owner == 0 else t.accounts[owner - 1].rcp_set
    plan[0] = layer_plan(t, policy_set, cls, name)
    return PATH_GENERAL * (plan[0].n == 0 and policy_set != NONE)


cdef inline void prune_by_codes(Block* b, const ContextColumn* column, int64_t at, int64_t n) noexcept nogil:
    """The conditions that the codes of a column make known false."""
    cdef const Column* k = column.column
    cdef int64_t first = column.first + at, valid_first = first + k.item_valid_offset, i, there
    cdef uint32_t codes[BLOCK]
    if k.code_width == 4:
        memcpy(codes, <const uint32_t*>k.codes + first, <size_t>n * sizeof(uint32_t))
    elif k.code_width == 2:
        for i in range(n):
            codes[i] = (<const uint16_t*>k.codes)[first + i]
    elif k.code_width == 1:
        for i in range(n):
            codes[i] = (<const uint8_t*>k.codes)[first + i]
    else:
        for i in range(n):
            codes[i] = <uint32_t>(<const int64_t*>k.codes)[first + i]
    if column.valid_mask:
        for i in range(n):
            there = (column.valid[(valid_first + i) >> 3] >> ((valid_first + i) & 7)) & 1
            codes[i] ^= (codes[i] ^ <uint32_t>k.n_values) & <uint32_t>(there - 1)
    for i in range(n):
        b.known_false[i] |= column.known_false[codes[i]]


cdef inline void prune_by_template(Block* b, const Scratch* s, int64_t n) noexcept nogil:
    """The same, of what is known false for the template of the principal, except for the template keys, which differ."""
    cdef const KnownFalse* known_false
    cdef int64_t i
    for i in range(n):
        known_false = &s.known_false_table[s.principal_states[template_principal(s, b.principal_id[i])].known_false_id]
        b.known_false[i] |= (known_false.anywhere | (known_false.own_account & -<uint64_t>(b.differs[i] == 0))) & ~s.template_bits


cdef inline void prune_denies(ThreadState* s, const Call* c, int64_t at, int64_t n) noexcept nogil:
    """The known false conditions of each row of a block, except by plain text: that costs more: only where it counts (`prune_by_texts`)."""
    cdef Block* b = s.block
    cdef const ContextColumn* column
    cdef const KnownFalse* known_false_table = s.frame.s.known_false_table
    cdef const PrincipalState* w
    cdef int32_t k
    cdef int64_t i
    for i in range(n):
        w = b.principal_state[i]
        b.differs[i] = account_key_diff(w, b.facts[i])
        b.known_false[i] = known_false_table[w.known_false_id].anywhere
        b.known_false[i] |= (known_false_table[w.known_false_id].own_account & -<uint64_t>(b.differs[i] == 0))
    if s.limited & LIMITED_TEMPLATE:
        prune_by_template(b, &s.frame.s, n)
    for k in range(c.n_columns):
        column = &c.columns[k]
        if column.known_false == NULL or column.has_texts:
            continue
        prune_by_codes(b, column, at, n)


cdef inline void prune_by_texts(Block* b, const Call* c, int64_t at, int64_t n) noexcept nogil:
    """The conditions that the plain text of a block makes known false, where a deny filter has them; as a batch, column after column."""
    cdef const ContextColumn* column
    cdef const Plan* empty = c.t.cells.plans
    cdef Text text[BLOCK]
    cdef uint64_t hash[BLOCK]
    cdef uint64_t filter_bits[BLOCK]
    cdef uint64_t needed = 0
    cdef uint16_t listed[BLOCK]
    cdef uint32_t i, j, m
    cdef int32_t k
    for i in range(<uint32_t>n):
        filter_bits[i] = c.t.deny_filters[b.plans[SCP_PLAN][i] - empty] | c.t.deny_filters[b.plans[RCP_PLAN][i] - empty]
        needed |= filter_bits[i]
    for k in range(c.n_columns):
        column = &c.columns[k]
        if not column.has_texts or column.known_false == NULL or not needed & column.prunable_bits:
            continue
        m = 0
        for i in range(<uint32_t>n):
            listed[m] = narrow16(i)
            m += (filter_bits[i] & ~b.known_false[i] & column.prunable_bits) != 0
        prefetch_text_codes(column, at, listed, m, text, hash)
        for j in range(m):
            b.known_false[listed[j]] |= column.known_false[find_text_code(column, text[j], hash[j])]


cdef inline uint32_t may_deny(const Block* b, const Call* c, const Plan* plan, uint32_t i) noexcept nogil:
    """Whether a deny of a row may apply, as far as that is known ahead; 0 where it has none."""
    return (c.t.deny_filters[plan - c.t.cells.plans] & ~b.known_false[i]) != 0


cdef inline const Plan* select_plan(uint32_t counts, const Plan* plan, const Plan* empty) noexcept nogil:
    cdef uintptr_t mask = -<uintptr_t>counts
    return <const Plan*>((<uintptr_t>plan & mask) | (<uintptr_t>empty & ~mask))


cdef inline const Plan* principal_deny_plan(const Block* b, const Plan* empty, uint32_t i) noexcept nogil:
    """The principal's plan; where it has no denies the empty one, whose filter is in the caches."""
    return select_plan(b.plans[PRINCIPAL_PLAN][i].n_deny_ops != 0, b.plans[PRINCIPAL_PLAN][i], empty)


cdef inline uint32_t may_prune_by_region(const Block* b, const Call* c, const Plan* plan, uint32_t i) noexcept nogil:
    """Whether the region of the resource may show that no deny of a plan applies, one of which may apply as far as is known."""
    cdef uint64_t left = c.t.deny_filters[plan - c.t.cells.plans] & ~b.known_false[i]
    return (left != 0) & ((left & ~c.s.known_false_by_region[0]) == 0)


cdef inline const ContextColumn* region_column(const Call* c) noexcept nogil:
    """The column that gives `aws:RequestedRegion`; NULL: none."""
    cdef int32_t k
    for k in range(c.n_columns):
        if c.t.keys[c.columns[k].key].source == KEY_REGION:
            return &c.columns[k]
    return NULL


cdef inline void prune_by_region(Block* b, Call* c, const InputRange* rows, int64_t at, int64_t n) noexcept nogil:
    """The conditions that the regions of resources make known false, where no column gives one and a deny filter has nothing else."""
    cdef const TablesC* t = c.t
    cdef const Plan* empty = t.cells.plans
    cdef uint16_t listed[BLOCK]
    cdef Text text[BLOCK]
    cdef const ContextColumn* column = region_column(c)
    cdef uint32_t i, j, m = 0, number
    cdef RowInputs q
    for i in range(<uint32_t>n):
        listed[m] = narrow16(i)
        # what has no account, such as a bucket, has hardly ever a region
        m += (b.facts[i] & (FACTS_GENERAL_PATH | FACTS_STAR) == 0) & (colon_offset(b.facts[i], 4) - colon_offset(b.facts[i], 3) > 1) & (
            may_prune_by_region(b, c, b.plans[SCP_PLAN][i], i)
            | may_prune_by_region(b, c, b.plans[RCP_PLAN][i], i)
            | may_prune_by_region(b, c, principal_deny_plan(b, empty, i), i)
        ) & is_region_from_resource(column, at + i)
    for j in range(m * (rows.facts != NULL)):
        prefetch_value(rows.resources, b.what[listed[j]])
    for j in range(m):
        i = listed[j]
        if rows.facts == NULL:
            text[j] = b.text[i]
        else:
            value_text(rows.resources, b.what[i], &text[j])
            prefetch(text[j].data)
    for j in range(m):
        i = listed[j]
        c.action = &t.classes[b.cls[i]]
        # INVARIANT: rows without a principal have no filter, and are not listed
        q = RowInputs(0, b.principal_id[i], NONE, NONE, text[j].data + colon_offset(b.facts[i], 3), 0)
        number = region_number(c, &q)
        if number != NONE and number != 0:
            b.known_false[i] |= c.s.known_false_by_region[number]


cdef inline void load_limit_plans(ThreadState* s, Call* c, const InputRange* rows, int64_t at, int64_t n) noexcept nogil:
    """The plans of the SCPs and RCPs that apply, and what they leave to do; the empty one instead of those that leave nothing."""
    cdef Block* b = s.block
    cdef const TablesC* t = c.t
    cdef const Plan* empty = t.cells.plans
    cdef const Plan* scp
    cdef const Plan* rcp
    cdef const PrincipalState* w
    cdef uint32_t i, owner, scp_counts, rcp_counts
    cdef uint8_t general
    for i in range(<uint32_t>n):
        w = b.principal_state[i]
        scp = rcp = empty
        general = 0
        if w.scp_set != NONE:
            scp = layer_plan(t, w.scp_set, b.cls[i], b.name[i])
            general = PATH_GENERAL * (scp.n == 0)
        owner = NONE
        if b.differs[i] != 0 and not b.facts[i] & FACTS_GENERAL_PATH:
            owner = account_at(s, t, b.facts[i] & ACCOUNT_KEY_MASK) + 1  # NONE is 0
            if owner < c.s.n_owned:
                b.known_false[i] |= c.s.known_false_by_owner[owner]
        if t.classes[b.cls[i]].flags & ACT_RCP and w.flags & PS_FAST and not b.facts[i] & FACTS_GENERAL_PATH:
            general |= find_rcp(t, w, owner, b.cls[i], b.name[i], &rcp)
        b.limits[i] = general
        b.owner[i] = owner
        b.plans[SCP_PLAN][i] = scp
        b.plans[RCP_PLAN][i] = rcp
        prefetch(&t.deny_filters[scp - empty])
        prefetch(&t.deny_filters[rcp - empty])
        prefetch(&t.deny_filters[principal_deny_plan(b, empty, i) - empty])
    if c.has_texts:
        prune_by_texts(b, c, at, n)
    if c.s.known_false_by_region[0] and c.s.n_owned:
        prune_by_region(b, c, rows, at, n)
    for i in range(<uint32_t>n):
        scp = b.plans[SCP_PLAN][i]
        scp_counts = may_deny(b, c, scp, i) | ((scp.n != 0) & ((scp.flags & PLAN_EVERY_LEVEL_ALLOWS) == 0))
        rcp_counts = may_deny(b, c, b.plans[RCP_PLAN][i], i)
        b.plans[SCP_PLAN][i] = select_plan(scp_counts, scp, empty)
        b.plans[RCP_PLAN][i] = select_plan(rcp_counts, b.plans[RCP_PLAN][i], empty)
        b.limits[i] |= (scp_counts | rcp_counts) * PATH_LAYERED
        b.n_skipped_denies[i] = b.plans[PRINCIPAL_PLAN][i].n_deny_ops & <uint8_t>(may_deny(b, c, principal_deny_plan(b, empty, i), i) - 1)
