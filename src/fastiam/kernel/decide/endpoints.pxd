"""Endpoint policies of the rows of a block. Header only.

An endpoint without a policy, or with one that certainly allows, does not change a row. Others are evaluated on the general path (D40).
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.columns.column cimport item_text
from fastiam.kernel.decide.blocks cimport Block, InputRange, ThreadState, is_pruning
from fastiam.kernel.decide.fast_path cimport FACTS_GENERAL_PATH
from fastiam.kernel.decide.resource_facts cimport fetch_texts
from fastiam.kernel.decide.row_driver cimport RowCursor, literals_exclude, needs_full_eval, reads_across
from fastiam.kernel.decide.zone_filter cimport layer_plan
from fastiam.kernel.eval.group_filter cimport has_literals
from fastiam.kernel.eval.key_columns cimport row_code
from fastiam.kernel.eval.memo cimport RowInputs, MEMO_VALUE_BITS, resource_dependencies, memo_find, memo_slot
from fastiam.kernel.model.call cimport Call, ContextColumn
from fastiam.kernel.model.conditions cimport T
from fastiam.kernel.model.ids cimport NONE, ONE, Range
from fastiam.kernel.model.match_ops cimport (
    MATCHOP_ENDS_ONLY, MATCHOP_HAS_PRINCIPAL, MatchOp, STEP_CONDITION, STEP_MATCHED, STEP_GROUP_FILTER,
)
from fastiam.kernel.model.plan cimport PLAN_HAS_PROGRAM, Plan, PATH_GENERAL
from fastiam.kernel.model.string_table cimport table_find
from fastiam.kernel.model.tables cimport TablesC


cdef enum EndpointRef:         # what a row comes through, else the number of an endpoint and NAMED
    ENDPOINT_UNRESOLVED = 0
    NOTHING = 1                # no endpoint, or one that is not stored where none has a policy
    UNKNOWN = 2                # one that is not stored, where some have a policy
    NAMED = 3


cdef enum:                     # whether an endpoint leaves a row as it is
    MAY_DENY = 0
    PASSES = 1
    NEEDS_RESOURCE_TEXT = 2    # depends on the text of the resource


cdef inline uint32_t find_endpoint(const TablesC* t, const Text* text) noexcept nogil:
    """The endpoint of a name, as `EndpointRef`."""
    cdef uint32_t found = table_find(&t.endpoint_names, t.pool, text.data, text.size, t.seed)
    if found != NONE:
        return found + NAMED
    return UNKNOWN if t.has_endpoints else NOTHING


cdef inline uint32_t row_endpoint(const TablesC* t, const ContextColumn* column, int64_t row) noexcept nogil:
    """The endpoint that a row comes through, as `EndpointRef`; the endpoint of a code is looked up once."""
    cdef Text text
    cdef int64_t code = -1
    cdef uint32_t found
    if column.endpoints != NULL:
        code = row_code(column, row)
        if column.endpoints[code]:
            return column.endpoints[code]
    found = find_endpoint(t, &text) if item_text(column.column, column.first + row, &text) else <uint32_t>NOTHING
    if code >= 0:
        column.endpoints[code] = found
    return found


cdef inline RowInputs principal_inputs(const Block* b, bint pruning, uint32_t i, int64_t row) noexcept nogil:
    """What truths may depend on, as far as a block knows it before the resources are looked up: neither tags nor the region."""
    if pruning:
        return RowInputs(row, b.principal_id[i], NONE, b.owner[i], NULL, resource_dependencies(True, b.differs[i] == 0))
    return RowInputs(row, b.principal_id[i], NONE, NONE, NULL, resource_dependencies(True, False))


cdef inline bint is_known_true(Call* c, uint32_t id, const RowInputs* q) noexcept nogil:
    """Whether a condition is known to hold by the value of a column, or by the principal."""
    cdef const ContextColumn* column
    cdef const uint64_t* memo
    cdef uint64_t key = 0
    cdef int64_t code
    if id >= c.s.n_atom_memo:
        return False
    if c.s.atom_memo[id].truths != NULL:
        column = &c.columns[c.s.atom_memo[id].column]
        code = row_code(column, q.row)
        return code < column.n_codes and c.s.atom_memo[id].truths[code] == T + 1
    memo = memo_slot(c, id, q, &key)
    memo = NULL if memo == NULL else memo_find(memo, key)
    return memo != NULL and memo[0] == (key << MEMO_VALUE_BITS | T)


cdef inline bint all_hold(Call* c, uint32_t conditions, const RowInputs* q) noexcept nogil:
    cdef Range block
    cdef uint32_t i
    if conditions & ONE:
        return is_known_true(c, conditions ^ ONE, q)
    block = c.t.condition_lists[conditions]
    for i in range(block.n):
        if not is_known_true(c, c.t.atom_lists[block.first + i], q):
            return False
    return True


cdef inline bint cannot_match(const RowCursor* l, const MatchOp* f) noexcept nogil:
    """Whether a statement surely does not apply by its resource."""
    return not needs_full_eval(l, f) and literals_exclude(l, f)


cdef inline bint is_known_match(RowCursor* l, const MatchOp* f, const RowInputs* q) noexcept nogil:
    """Whether a statement surely applies."""
    if f.flags & (MATCHOP_HAS_PRINCIPAL | MATCHOP_ENDS_ONLY) or reads_across(f, l.facts):
        return False
    if literals_exclude(l, f) or not (has_literals(f) or f.first == STEP_MATCHED or f.first == STEP_CONDITION):
        return False
    return f.conditions == NONE or all_hold(l.c, f.conditions, q)


cdef inline uint32_t passes(const Block* b, RowCursor* l, const Plan* plan, const RowInputs* q) noexcept nogil:
    """Whether the policy of an endpoint surely leaves a row as it is: none of its denies may hold, and one of its allows does."""
    cdef const MatchOp* f
    cdef uint32_t k
    if not plan.flags & PLAN_HAS_PROGRAM:                # the empty plan has no program either
        return MAY_DENY
    l.c.action = &l.c.t.classes[b.cls[l.i]]
    for k in range(plan.n_ops):
        f = l.c.t.match_ops + plan.program + k
        if f.first == STEP_GROUP_FILTER:
            continue
        if has_literals(f) and l.text == NULL:
            return NEEDS_RESOURCE_TEXT
        if k >= plan.n_deny_ops and is_known_match(l, f, q):
            return PASSES
        if cannot_match(l, f) or (k < plan.n_deny_ops and (b.known_false[l.i] >> f.skip.filter_bit) & 1):
            continue
        if k < plan.n_deny_ops:
            return MAY_DENY
    return MAY_DENY


cdef inline uint32_t endpoint_passes(
    const Block* b, RowCursor* l, const ContextColumn* column, bint pruning, bint has_text, uint32_t i
) noexcept nogil:
    """Whether the endpoint of a row is known to leave it as it is, with or without its text."""
    cdef RowInputs q = principal_inputs(b, pruning, i, l.row)
    cdef uint32_t through = row_endpoint(l.c.t, column, l.row), policy_set
    if b.facts[i] & FACTS_GENERAL_PATH:                  # SAFETY: it may have less than 16 bytes (`kernel.eval.literals`), or no text
        return MAY_DENY
    if through < NAMED:
        return PASSES * (through == NOTHING)
    policy_set = l.c.t.endpoints[through - NAMED].policy_set
    if policy_set == NONE:
        return PASSES
    l.i = i
    l.facts = b.facts[i]
    l.text = <const uint8_t*>b.text[i].data if has_text else NULL
    l.end = l.text + b.text[i].size
    return passes(b, l, layer_plan(l.c.t, policy_set, b.cls[i], b.name[i]), &q)


cdef inline void apply_endpoints(ThreadState* s, Call* c, const InputRange* rows, int64_t at, int64_t n) noexcept nogil:
    """Send rows to the general path that their endpoint may deny; the texts of resources are fetched where its policy names some."""
    cdef Block* b = s.block
    cdef const ContextColumn* column = &c.columns[c.s.sources[c.t.key_source_vpce]]
    cdef RowCursor l
    cdef uint32_t i, j, found
    l.c = c
    l.pool = c.t.pool
    l.colons = NULL
    b.principal_rows.n = 0
    for i in range(<uint32_t>n):
        l.row = at + i
        found = endpoint_passes(b, &l, column, is_pruning(s), rows.facts == NULL, i)
        if found == MAY_DENY:
            b.limits[i] |= PATH_GENERAL
        elif found == NEEDS_RESOURCE_TEXT:
            b.principal_rows.rows[b.principal_rows.n] = narrow16(i)
            b.principal_rows.n += 1
    fetch_texts(s, rows, &b.principal_rows)
    for j in range(b.principal_rows.n):
        i = b.principal_rows.rows[j]
        l.row = at + i
        if endpoint_passes(b, &l, column, is_pruning(s), True, i) != PASSES:
            b.limits[i] |= PATH_GENERAL
