"""Counts of the rows whose plans read a key that no column supplies (D75), each row once under each key. Header only.

A row reads the keys of all plans of the policies that govern it, whether or not its decision needs them. It is counted once it is decided:
on the general path when that ends, else at the end of its block.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from fastiam.kernel.base.text cimport first_bit, mix
from fastiam.kernel.columns.column cimport value_text
from fastiam.kernel.decide.blocks cimport Block, InputRange, PRINCIPAL_PLAN, ThreadState, record_of
from fastiam.kernel.decide.combine cimport action_key, is_always_allowed, rcp_applies, resource_policy_governs, scp_applies
from fastiam.kernel.decide.endpoints cimport NAMED, row_endpoint
from fastiam.kernel.decide.fast_path cimport FACTS_HAS_RECORD, FACTS_STAR, colon_offset
from fastiam.kernel.decide.layers cimport governs
from fastiam.kernel.decide.row_driver cimport RowCursor, load_call, set_row
from fastiam.kernel.decide.zone_filter cimport find_rcp, layer_plan
from fastiam.kernel.eval.unknown cimport is_unknown
from fastiam.kernel.model.call cimport Call, ENDPOINT_KNOWN, PS_ANONYMOUS, PS_FAST, PS_NO_ACCOUNT, PrincipalState
from fastiam.kernel.eval.key_values cimport KeyValues, fetch, is_withheld
from fastiam.kernel.model.plan_lookup cimport find_plan
from fastiam.kernel.model.tables cimport *


cdef extern from *:
    """
    #define FASTIAM_NOT_KNOWN ((uint64_t)-1)
    """
    uint64_t NOT_KNOWN "FASTIAM_NOT_KNOWN"


cdef inline bint names_region(const RowCursor* l) noexcept nogil:
    """Whether the resource of a row has a region."""
    return not l.facts & FACTS_STAR and l.text[colon_offset(l.facts, 3) - 1] != 58


cdef inline bint is_absent(ThreadState* s, RowCursor* l, const InputRange* rows, uint32_t key) noexcept nogil:
    """Whether a key that no column supplies is absent, or its default. `s` and `rows` are NULL on the general path."""
    cdef Call* c = l.c
    cdef const Key* k = &c.t.keys[key]
    cdef KeyValues found
    if is_withheld(c, k):
        return False
    if not l.taken and k.source == KEY_RESOURCE and not l.has_tags:
        return True
    if not l.taken:
        if rows.facts != NULL and not l.facts & FACTS_STAR:  # rows that flags decide have no text yet
            value_text(rows.resources, s.block.what[l.i], &s.block.text[l.i])
            l.text = <const uint8_t*>s.block.text[l.i].data
        if k.source == KEY_REGION and names_region(l):
            return False
        load_call(s, l)
    if c.unknown != NULL and is_unknown(c, key):
        return False
    fetch(c, key, 0, &found)
    return found.n == 0 or k.source == KEY_DEFAULT


cdef inline uint64_t read_mask(const Call* c, const Plan* plan, uint32_t group) noexcept nogil:
    """The keys that a plan reads, of a group of 64 that no column supplies, as bits."""
    cdef uint32_t reads = c.t.plan_reads[plan - c.t.cells.plans], i, bit
    cdef uint64_t* slot = &c.s.read_masks[<size_t>group * c.t.n_read_sets + reads]
    cdef Range keys
    if slot[0] == NOT_KNOWN:
        keys = c.t.read_sets[reads]
        slot[0] = 0
        for i in range(keys.n):
            bit = c.s.lacking_bit[c.t.read_keys[keys.first + i]]
            if bit // 64 == group:
                slot[0] |= <uint64_t>1 << (bit % 64)
    return slot[0]


cdef inline uint32_t n_groups(const Call* c) noexcept nogil:
    """How many groups of 64 keys no column supplies."""
    return (c.s.n_lacking + 63) // 64


cdef enum:
    TALLY_SLOTS = 64


cdef struct Tally:             # rows by the keys that they are certainly counted under, of the first group
    uint64_t keys[TALLY_SLOTS]
    uint32_t n_rows[TALLY_SLOTS]


cdef inline void count_tally(Call* c, Tally* tally, uint32_t slot) noexcept nogil:
    """Count the rows of a slot under its keys."""
    cdef uint64_t mask = tally.keys[slot]
    while mask:
        c.s.missing_key_counts[c.s.lacking[first_bit(mask)]] += tally.n_rows[slot]
        mask &= mask - 1
    tally.n_rows[slot] = 0


cdef inline void count_certain(Call* c, Tally* tally, uint64_t mask) noexcept nogil:
    """Count a row under keys of the first group. PERF: rows with the same keys are counted together."""
    cdef uint32_t slot = <uint32_t>(mix(mask)) & (TALLY_SLOTS - 1)
    if tally.keys[slot] != mask:
        count_tally(c, tally, slot)
        tally.keys[slot] = mask
    tally.n_rows[slot] += 1


cdef inline void count_uncertain(ThreadState* s, RowCursor* l, const InputRange* rows, uint64_t mask, uint32_t group) noexcept nogil:
    """Count the row at hand under those keys of a group that it lacks."""
    cdef uint32_t key
    while mask:
        key = l.c.s.lacking[64 * group + first_bit(mask)]
        mask &= mask - 1
        if is_absent(s, l, rows, key):
            l.c.s.missing_key_counts[key] += 1


cdef inline uint64_t read_by_any(const Call* c, const Plan** plans, uint32_t n, uint32_t group) noexcept nogil:
    """The keys of a group that some plans read."""
    cdef uint64_t mask = 0
    cdef uint32_t i
    for i in range(n):
        mask |= read_mask(c, plans[i], group)
    return mask


cdef inline const Plan* plan_if(const Call* c, bint applies, uint32_t policy_set) noexcept nogil:
    """The plan of a policy set where it governs the call, else the empty one."""
    return find_plan(c.t, policy_set, action_key(c, policy_set)) if applies and policy_set != NONE else c.t.cells.plans


cdef inline void count_call(Call* c) noexcept nogil:
    """Count a row that the general path has decided, unless that needs no policies."""
    cdef const Plan* plans[5]
    cdef RowCursor l
    cdef uint32_t group
    if not c.principal.flags & P_KNOWN or is_always_allowed(c) or (c.action.flags >> (ACT_FORBID_SHIFT + c.principal.credential)) & 1:
        return
    l.c = c
    l.taken = True
    plans[0] = plan_if(c, True, c.principal.principal_set)
    plans[1] = plan_if(c, scp_applies(c), c.principal.scp_set)
    plans[2] = plan_if(c, resource_policy_governs(c), c.resource_set)
    plans[3] = plan_if(c, rcp_applies(c), c.rcp_set)
    plans[4] = c.t.cells.plans
    if c.endpoint_state == ENDPOINT_KNOWN:
        plans[4] = plan_if(c, c.principal.kind != KIND_SVC, c.endpoint.policy_set)
    for group in range(n_groups(c)):
        count_uncertain(NULL, &l, NULL, read_by_any(c, plans, 5, group), group)


cdef inline uint32_t plans_of_row(const ThreadState* s, Call* c, int64_t row, uint32_t i, const Plan** plans) noexcept nogil:
    """Find the plans of the policies that govern a row of the block; how many they are."""
    cdef const Block* b = s.block
    cdef const TablesC* t = c.t
    cdef const PrincipalState* w = b.principal_state[i]
    cdef uint32_t n = 1, endpoint, record, flags = t.classes[b.cls[i]].flags
    plans[0] = b.plans[PRINCIPAL_PLAN][i]
    if w.scp_set != NONE:
        plans[n] = layer_plan(t, w.scp_set, b.cls[i], b.name[i])
        n += 1
    if flags & ACT_RCP and w.flags & PS_FAST:
        find_rcp(t, w, b.owner[i], b.cls[i], b.name[i], &plans[n])
        n += 1
    if b.facts[i] & FACTS_HAS_RECORD:
        record = record_of(b, i)
        if record != NONE and governs(&t.records[record], flags) and not flags & ACT_PASS_ROLE:
            plans[n] = layer_plan(t, t.records[record].policy_set, b.cls[i], b.name[i])
            n += 1
    if s.has_endpoints and w.flags & (PS_NO_ACCOUNT | PS_ANONYMOUS) != PS_NO_ACCOUNT:  # it does not count for services
        endpoint = row_endpoint(t, &c.columns[c.s.sources[t.key_source_vpce]], row)
        if endpoint >= NAMED:
            plans[n] = layer_plan(t, t.endpoints[endpoint - NAMED].policy_set, b.cls[i], b.name[i])
            n += 1
    return n


cdef inline void count_block(ThreadState* s, Call* c, const InputRange* rows, int64_t first, int64_t at, int64_t n) noexcept nogil:
    """Count the rows of a block that are decided in it, except for those of the general path."""
    cdef Block* b = s.block
    cdef const Plan* plans[5]
    cdef Tally tally
    cdef RowCursor l
    cdef uint64_t mask, certain
    cdef uint32_t i, j, group, n_plans
    l.c = c
    l.pool = c.t.pool
    l.colons = NULL
    l.first = first
    memset(&tally, 0, sizeof(tally))
    for j in range(b.general_rows.n):
        b.path[b.general_rows.rows[j]] = PATH_GENERAL
    for i in range(<uint32_t>n):
        if b.path[i] & PATH_GENERAL or s.answers.outcome[first + at + i] == 255:
            continue
        n_plans = plans_of_row(s, c, at + i, i, plans)
        l.taken = False
        for group in range(n_groups(c)):
            mask = read_by_any(c, plans, n_plans, group)
            certain = c.s.always_absent[group] if group == 0 and c.unknown == NULL else 0
            if mask & certain:
                count_certain(c, &tally, mask & certain)
            if mask & ~certain:
                if not l.taken:
                    set_row(b, &l, at, i)
                    c.action = &c.t.classes[b.cls[i]]
                count_uncertain(s, &l, rows, mask & ~certain, group)
    for j in range(TALLY_SLOTS):
        if tally.n_rows[j]:
            count_tally(c, &tally, j)
