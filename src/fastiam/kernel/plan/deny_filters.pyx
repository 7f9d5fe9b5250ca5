"""Deny filters of plans: the conditions that must hold for one of the denies to apply, as bits (`kernel.decide.zone_filter`)."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastiam.kernel.base.invariants cimport narrow8
from fastiam.kernel.model.decision cimport LAYER_SCP
from fastiam.kernel.eval.memo cimport variables_are_principal_keys
from fastiam.kernel.model.tables cimport *


cdef uint64_t filter_of(Planner self, const Plan* plan) except? 0xFFFFFFFFFFFFFFFE:
    """The blocks of conditions of which one must hold for a deny to apply, as bits."""
    cdef MatchOp* f
    cdef Index* index
    cdef uint64_t filter_bits = 0
    cdef uint32_t i, j, n, most
    if plan.flags & PLAN_HAS_DENY and not plan.flags & PLAN_HAS_PROGRAM:
        return FILTER_ALWAYS
    if plan.n_deny_ops == 0:
        return 0
    self.sync()                                      # ops may have moved the pool
    for i in range(plan.n_deny_ops):
        f = <MatchOp*>self.match_ops.data + plan.program + i
        n, index = 1, NULL
        if f.first == STEP_INDEX_PROBE:
            index = <Index*>self.indexes.data + f.conditions
            index.has_deny_filter = True
            n = index.n_items
            f = <MatchOp*>self.match_ops.data + f.operand.first_item
        elif f.first == STEP_GROUP_FILTER:
            continue
        for j in range(n):
            most = FILTER_BITS if f[j].flags >> MATCHOP_LAYER_SHIFT <= LAYER_SCP else NON_ORG_FILTER_BITS
            f[j].skip.filter_bit = filter_bit_of(self, f[j].conditions, most)
            filter_bits |= <uint64_t>1 << f[j].skip.filter_bit
            if index != NULL and f[j].skip.filter_bit == FILTER_BIT_ALWAYS:
                index.has_deny_filter = False
    if filter_bits >> FILTER_BIT_ALWAYS:
        return FILTER_ALWAYS
    return filter_bits


cdef int store_filter(Planner self, uint64_t filter_bits) except -1:
    """Of the last plan. One that was not finished, for lack of memory, has a filter that prunes nothing."""
    while self.deny_filters.n < self.plans.n:
        (<uint64_t*>self._push(&self.deny_filters))[0] = FILTER_ALWAYS
    (<uint64_t*>self.deny_filters.data)[self.plans.n - 1] = filter_bits
    return 0


cdef bint is_prunable(Planner self, uint32_t conditions):
    """Whether something may be known ahead of the conditions of a statement: of its first one, and so on until one is not known."""
    cdef const Atom* atom
    cdef const Key* key
    cdef uint32_t i, n, only
    cdef const uint32_t* ids = members_of(conditions, self.t.condition_lists, self.t.atom_lists, &only, &n)
    for i in range(n):
        atom = <const Atom*>self.atoms.data + ids[i]
        key = <const Key*>self.keys.data + atom.key
        if atom.flags & ATOM_U or key.is_resource_tag or not variables_are_principal_keys(&self.t, atom):
            return False
        if atom.flags & ATOM_FIXED or has_trait(key, 1 << KEY_PRINCIPAL | OF_OWNER):
            return True
    return False


cdef uint8_t filter_bit_of(Planner self, uint32_t conditions, uint32_t most) except? 0xFE:
    """The bit of the conditions of a deny, FILTER_BIT_ALWAYS: they have none, and none of the first `most` is left."""
    cdef const uint32_t* known = <const uint32_t*>self.filter_conditions.data
    cdef uint32_t i
    for i in range(self.filter_conditions.n):
        if known[i] == conditions:
            return narrow8(i)
    if self.filter_conditions.n >= most or not is_prunable(self, conditions):
        return FILTER_BIT_ALWAYS
    (<uint32_t*>self._push(&self.filter_conditions))[0] = conditions
    return narrow8(self.filter_conditions.n - 1)
