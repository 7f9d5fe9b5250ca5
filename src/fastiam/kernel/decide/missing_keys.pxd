"""Counts of the rows whose plans read a key that no column supplies (D75), each row once under each key. Header only.

A row reads the keys of all plans of the policies that govern it, whether or not its decision needs them. It is counted once it is decided:
on the general path when that ends, else at the end of its block.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uintptr_t

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.columns.column cimport value_text
from fastiam.kernel.decide.blocks cimport BLOCK, Block, InputRange, PRINCIPAL_PLAN, ThreadState, record_of
from fastiam.kernel.decide.combine cimport action_key, is_always_allowed, rcp_applies, resource_policy_governs, scp_applies
from fastiam.kernel.decide.endpoints cimport NAMED, row_endpoint
from fastiam.kernel.decide.fast_path cimport FACTS_HAS_RECORD, FACTS_STAR, colon_offset
from fastiam.kernel.decide.layers cimport governs
from fastiam.kernel.decide.row_driver cimport RowCursor, load_call, set_row
from fastiam.kernel.decide.zone_filter cimport find_rcp, layer_plan
from fastiam.kernel.eval.unknown cimport is_unknown
from fastiam.kernel.model.call cimport (
    Call, ENDPOINT_KNOWN, HAS_ORG_LIMITS, KeyCount, LACK_ALWAYS, LACK_BY_ROW, LACK_NONE, PS_ANONYMOUS, PS_FAST, PS_NO_ACCOUNT, PrincipalState,
    SetCount,
)
from fastiam.kernel.eval.key_values cimport KeyValues, fetch, is_withheld
from fastiam.kernel.model.plan_lookup cimport find_plan, plan_at
from fastiam.kernel.model.tables cimport *


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


cdef enum:
    EMPTY_SET = 0              # the first of `read_sets`
    MAX_ROW_PLANS = 5          # of the principal, SCPs, RCPs, the resource, and an endpoint


cdef struct RowReads:          # sets of keys that the plans of a row read, without empty ones
    uint32_t sets[MAX_ROW_PLANS]
    uint32_t n


cdef inline void add_reads(const TablesC* t, RowReads* reads, const Plan* plan) noexcept nogil:
    """PERF: most plans read no key that a caller supplies, which takes no branch here."""
    reads.sets[reads.n] = t.plan_reads[plan - t.cells.plans]
    reads.n += reads.sets[reads.n] != EMPTY_SET


cdef inline uint8_t count_set(Call* c, uint32_t number) noexcept nogil:
    """Count a row that reads one set of keys; the highest `Lack` of these."""
    cdef SetCount* one = &c.s.set_counts[number]
    cdef Range keys
    cdef uint32_t i
    if one.n_rows == 0:
        one.lack = LACK_NONE
        keys = c.t.read_sets[number]
        for i in range(keys.n):
            one.lack = max(one.lack, c.s.key_counts[c.t.read_keys[keys.first + i]].lack)
        c.s.counted_sets[c.s.n_counted_sets] = number
        c.s.n_counted_sets += 1
    one.n_rows += 1
    return one.lack


cdef inline void add_set_counts(Call* c) noexcept nogil:
    """Add the counts of sets to those of the keys in them that rows always lack."""
    cdef SetCount* one
    cdef Range keys
    cdef uint32_t i, j, key
    for i in range(c.s.n_counted_sets):
        one = &c.s.set_counts[c.s.counted_sets[i]]
        keys = c.t.read_sets[c.s.counted_sets[i]]
        for j in range(keys.n):
            key = c.t.read_keys[keys.first + j]
            if c.s.key_counts[key].lack == LACK_ALWAYS:
                c.s.key_counts[key].n_rows += one.n_rows
        one.n_rows = 0
    c.s.n_counted_sets = 0


cdef inline void count_keys(ThreadState* s, RowCursor* l, const InputRange* rows, const RowReads* reads, uint8_t least) noexcept nogil:
    """Count the row at hand under those keys of some sets that it lacks, from a `Lack` on, once under each."""
    cdef Call* c = l.c
    cdef KeyCount* count
    cdef Range keys
    cdef uint32_t i, j, key
    for i in range(reads.n):
        keys = c.t.read_sets[reads.sets[i]]
        for j in range(keys.n):
            key = c.t.read_keys[keys.first + j]
            count = &c.s.key_counts[key]
            if count.lack < least or count.last_row == l.first + l.row + 1:
                continue
            count.last_row = l.first + l.row + 1
            count.n_rows += count.lack == LACK_ALWAYS or is_absent(s, l, rows, key)


cdef inline void add_reads_if(const Call* c, RowReads* reads, bint applies, uint32_t policy_set) noexcept nogil:
    """What the plan of a policy set reads, where it governs the call."""
    if applies and policy_set != NONE:
        add_reads(c.t, reads, find_plan(c.t, policy_set, action_key(c, policy_set)))


cdef inline void count_call(Call* c) noexcept nogil:
    """Count a row that the general path has decided, unless that needs no policies."""
    cdef RowReads reads
    cdef RowCursor l
    if not c.principal.flags & P_KNOWN or is_always_allowed(c) or (c.action.flags >> (ACT_FORBID_SHIFT + c.principal.credential)) & 1:
        return
    l.c = c
    l.taken = True
    l.first, l.row = 0, c.batch_row
    reads.n = 0
    add_reads_if(c, &reads, True, c.principal.principal_set)
    add_reads_if(c, &reads, scp_applies(c), c.principal.scp_set)
    add_reads_if(c, &reads, resource_policy_governs(c), c.resource_set)
    add_reads_if(c, &reads, rcp_applies(c), c.rcp_set)
    if c.endpoint_state == ENDPOINT_KNOWN:
        add_reads_if(c, &reads, c.principal.kind != KIND_SVC, c.endpoint.policy_set)
    count_keys(NULL, &l, NULL, &reads, LACK_ALWAYS)


cdef inline const Plan* record_plan(const Block* b, const TablesC* t, uint32_t i, uint32_t flags) noexcept nogil:
    """The plan of the policies of the record of a row, or the empty one. PERF: whether these govern the row is not to be foreseen, so that no
    branch asks for it, except where the grid has no place for the plan."""
    cdef uint32_t record = record_of(b, i)
    cdef const ResourceRecord* r = t.records + record if record != NONE else &b.nothing
    cdef uint32_t counts = governs(r, flags) & ((flags & ACT_PASS_ROLE) == 0)
    cdef uintptr_t mask = -<uintptr_t>(counts & (r.policy_set < t.cells.n_policy_sets) & (b.cls[i] < t.cells.n_classes))
    cdef const uint32_t* cell = t.cells.grid + (<size_t>b.cls[i] * t.cells.n_policy_sets + r.policy_set)
    if counts and mask == 0:
        return layer_plan(t, r.policy_set, b.cls[i], b.name[i])
    return plan_at(t, (<const uint32_t*>((<uintptr_t>cell & mask) | (<uintptr_t>&b.zero & ~mask)))[0])


cdef inline void find_reads(const ThreadState* s, Call* c, int64_t row, uint32_t i, RowReads* reads) noexcept nogil:
    """Find what the plans of the policies read that govern a row of the block."""
    cdef const Block* b = s.block
    cdef const TablesC* t = c.t
    cdef const PrincipalState* w = b.principal_state[i]
    cdef const Plan* rcp
    cdef uint32_t endpoint, flags = t.classes[b.cls[i]].flags
    reads.n = 0
    add_reads(t, reads, b.plans[PRINCIPAL_PLAN][i])
    if w.scp_set != NONE:
        add_reads(t, reads, layer_plan(t, w.scp_set, b.cls[i], b.name[i]))
    if s.limited & HAS_ORG_LIMITS and flags & ACT_RCP and w.flags & PS_FAST:
        find_rcp(t, w, b.owner[i], b.cls[i], b.name[i], &rcp)
        add_reads(t, reads, rcp)
    if b.facts[i] & FACTS_HAS_RECORD:
        add_reads(t, reads, record_plan(b, t, i, flags))
    if s.has_endpoints and w.flags & (PS_NO_ACCOUNT | PS_ANONYMOUS) != PS_NO_ACCOUNT:  # it does not count for services
        endpoint = row_endpoint(t, &c.columns[c.s.sources[t.key_source_vpce]], row)
        if endpoint >= NAMED:
            add_reads(t, reads, layer_plan(t, t.endpoints[endpoint - NAMED].policy_set, b.cls[i], b.name[i]))


cdef inline void count_block(ThreadState* s, Call* c, const InputRange* rows, int64_t first, int64_t at, int64_t n) noexcept nogil:
    """Count the rows of a block that are decided in it, except for those of the general path."""
    cdef Block* b = s.block
    cdef RowReads reads[BLOCK]                           # of the rows that are counted one by one
    cdef uint16_t listed[BLOCK]
    cdef RowCursor l
    cdef uint32_t i, j, m = 0
    l.c = c
    l.pool = c.t.pool
    l.colons = NULL
    l.first = first
    for j in range(b.general_rows.n):
        b.path[b.general_rows.rows[j]] = PATH_GENERAL
    for i in range(<uint32_t>n):
        if b.path[i] & PATH_GENERAL or s.answers.outcome[first + at + i] == 255:
            continue
        find_reads(s, c, at + i, i, &reads[m])
        listed[m] = narrow16(i)
        if reads[m].n < 2:                               # of no set, the empty one is there
            m += count_set(c, reads[m].sets[0]) == LACK_BY_ROW
        else:
            m += 1
    for j in range(m):
        i = listed[j]
        set_row(b, &l, at, i)
        c.action = &c.t.classes[b.cls[i]]
        count_keys(s, &l, rows, &reads[j], LACK_BY_ROW if reads[j].n < 2 else LACK_ALWAYS)
