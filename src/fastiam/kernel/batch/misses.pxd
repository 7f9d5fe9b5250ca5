"""Misses of a range of rows, found before the rows are decided: names, and the plans of users, roles and services. Header only.

PERF: a row with a miss is otherwise attempted three times on the general path. Other principals and resources are resolved there.
"""
from libc.stdint cimport int64_t, uint32_t

from fastiam.kernel.columns.validate cimport is_readable
from fastiam.kernel.decide.blocks cimport BLOCK, Block, PRINCIPAL_PLAN, InputRange, ThreadState
from fastiam.kernel.decide.row_ids cimport load_plans, resolve_row_ids, locate_plans
from fastiam.kernel.decide.zone_filter cimport layer_plan
from fastiam.kernel.model.call cimport PS_FAST, Call, PrincipalState
from fastiam.kernel.model.decision cimport NO_ACTION, NO_PRINCIPAL
from fastiam.kernel.model.plan cimport PlanKey
from fastiam.kernel.model.tables cimport *


cdef enum:
    MAX_MISSES = 4 * BLOCK


cdef struct RetryKey:          # what a try to decide a row came to
    int64_t row
    int status
    PlanKey missing             # MISSING: the plan that it misses


cdef struct Misses:            # what some rows miss; names come first, for who is not known misses no policies yet
    RetryKey names[MAX_MISSES]     # rows whose action or principal is not in the tables yet
    uint32_t n_names
    PlanKey policies[MAX_MISSES]
    uint32_t n_policies


cdef inline void collect_missing_names(const Block* b, const TablesC* t, int64_t row, int64_t n, Misses* missing) noexcept nogil:
    cdef uint32_t i
    for i in range(<uint32_t>n):
        if b.name[i] == NONE or b.principal_id[i] >= t.n_principals:
            missing.names[missing.n_names].row = row + i
            missing.names[missing.n_names].status = NO_ACTION if b.name[i] == NONE else NO_PRINCIPAL
            missing.n_names += 1


cdef inline void collect_missing_plans(const ThreadState* s, const TablesC* t, int64_t n, Misses* missing) noexcept nogil:
    """Of the principals' own layers, and of their SCPs; those alone that surely count: who is refused at once has none made."""
    cdef const Block* b = s.block
    cdef const PrincipalState* w
    cdef uint32_t i
    for i in range(<uint32_t>n):
        w = b.principal_state[i]
        if not w.flags & PS_FAST or t.classes[b.cls[i]].flags & w.barred:
            continue
        if b.plans[PRINCIPAL_PLAN][i].n == 0:
            missing.policies[missing.n_policies] = PlanKey(w.principal_set, b.cls[i], b.name[i], 0)
            missing.n_policies += 1
        if w.scp_set != NONE and layer_plan(t, w.scp_set, b.cls[i], b.name[i]).n == 0:
            missing.policies[missing.n_policies] = PlanKey(w.scp_set, b.cls[i], b.name[i], 0)
            missing.n_policies += 1


cdef inline int64_t find_misses(
    ThreadState* s, Call* c, const InputRange* rows, int64_t first, int64_t n, bint names, Misses* missing
) noexcept nogil:
    """List what a range that starts at row `first` of the batch misses, `names` or policies, up to where the list is full; how many rows were
    scanned: 0 where columns have to be checked first."""
    cdef int64_t at = 0, size
    while at < n and missing.n_names + BLOCK <= MAX_MISSES and missing.n_policies + 2 * BLOCK <= MAX_MISSES:
        size = min(n - at, <int64_t>BLOCK)
        if not (is_readable(rows.principals, rows.principal_first + at, size) and is_readable(rows.actions, rows.action_first + at, size)):
            break
        resolve_row_ids(s, c.t, rows, at, size)
        if names:
            collect_missing_names(s.block, c.t, first + at, size, missing)
        else:
            locate_plans(s, c, size)
            load_plans(s, c.t, size)
            collect_missing_plans(s, c.t, size, missing)
        at += size
    return at
