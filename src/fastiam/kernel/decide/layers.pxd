"""Resource records of the rows of a block, and the evaluation path that they require. Header only.

If match programs contain everything that matters (denies of SCPs, RCPs and resource policies, their allows, the principal policies and their
limits), a row is decided by vectorised steps. A record with special rules requires the general path.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport Text, prefetch
from fastiam.kernel.columns.column cimport value_text
from fastiam.kernel.decide.blocks cimport (
    NEEDS_MORE_STAGES, BLOCK, Block, IS_CROSS_ACCOUNT, HAS_TAGS, RESOURCE_ALLOW_STAGE, RESOURCE_PLAN, LEVEL_STAGES, LEVEL_ALLOWS, LIMIT_STAGES,
    RESOURCE_MUST_ALLOW, PRINCIPAL_ALLOW_STAGE, PRINCIPAL_PLAN, RCP_PLAN, InputRange, SCP_PLAN, ThreadState, is_parent_record, is_pruning, record_of,
)
from fastiam.kernel.decide.column_checks cimport contradicts_record
from fastiam.kernel.decide.fast_path cimport (
    ACT_HARD, ACT_ON_ROLE, FACTS_HAS_RECORD, FACTS_KMS_KEY, FACTS_GENERAL_PATH, FACTS_STAR, FACTS_OWNER_KNOWN, LIMIT_STAGES_SHIFT, colon_offset,
    active_limits, limits_without_program, partition_of,
)
from fastiam.kernel.decide.principal_hint cimport cannot_change_result, candidate_allows
from fastiam.kernel.decide.zone_filter cimport layer_plan, may_deny
from fastiam.kernel.model.call cimport PS_NO_ACCOUNT, PS_ANONYMOUS, Call, PrincipalState
from fastiam.kernel.model.combining cimport COLUMNS, COMBINING, NEEDS_IDENTITY, REFUSED, SAME_ACCOUNT
from fastiam.kernel.model.tables cimport *


cdef struct LayerPlans:        # the plans that count for a request
    const Plan* own
    const Plan* scp
    const Plan* rcp
    const Plan* resource_plan


cdef inline bint names_role(const Text* resource, uint64_t facts, int* tail) noexcept nogil:
    """Whether an ARN of a partition that is known names a role, and where field 6 starts."""
    cdef int start
    partition_of(resource.data, &start)
    tail[0] = <int>colon_offset(facts, 4) + 1
    return memcmp(resource.data + start, b"iam:", 4) == 0 and resource.size - tail[0] >= 5 and memcmp(resource.data + tail[0], b"role/", 5) == 0


cdef inline bint is_reserved(const Text* resource, int tail) noexcept nogil:
    """Whether an ARN may name what AWS owns, so that D17 must be evaluated; its policies are in no account of 12 digits, and take the general path
    anyhow."""
    cdef const char* name = resource.data + tail
    cdef int64_t size = resource.size - tail
    return (
        (size >= 18 and memcmp(name, b"role/aws-reserved/", 18) == 0) or (size >= 22 and memcmp(name, b"role/aws-service-role/", 22) == 0)
        or (size >= 10 and memcmp(name, b"alias/aws/", 10) == 0)
    )


cdef inline void find_special_rules(Block* b, const TablesC* t, const InputRange* rows) noexcept nogil:
    """Of layered rows that call STS for a role, whose trust policy has to allow (6.3), or that write what AWS may own (D17). Where
    that has rules of its own - RCPs do not apply to a role that is linked to a service (D15) - they take the general path."""
    cdef Text text
    cdef uint32_t j, i, action
    cdef int tail
    for j in range(b.layered_rows.n):
        i = b.layered_rows.rows[j]
        action = t.classes[b.cls[i]].flags
        if not action & (ACT_STS_ROLE | ACT_HARD) or b.facts[i] & FACTS_STAR:
            continue
        text = b.text[i]
        if rows.facts != NULL:
            value_text(rows.resources, b.what[i], &text)
        if names_role(&text, b.facts[i], &tail) and action & ACT_STS_ROLE:
            b.facts[i] |= <uint64_t>FACTS_KMS_KEY | <uint64_t>FACTS_HAS_RECORD
        if is_reserved(&text, tail):
            b.facts[i] |= FACTS_GENERAL_PATH


cdef inline uint32_t governs(const ResourceRecord* r, uint32_t action) noexcept nogil:
    """Whether the policies of a record count for a user or role that requests an action (6.10), except for iam:PassRole."""
    cdef uint32_t others = RECORD_SERVICE | RECORD_TRUST
    if action & ACT_TRUST:
        others = RECORD_SERVICE
    return (r.policy_set != NONE) & ((r.flags & others) == 0)


cdef inline void find_records(ThreadState* s, const TablesC* t) noexcept nogil:
    """What is stored about the resources of layered rows, and the plans of its policies, each prefetched by the step before."""
    cdef Block* b = s.block
    cdef uint16_t stored[BLOCK]
    cdef uint32_t j, i, record, n = 0, n_policy_sets = t.cells.n_policy_sets, n_classes = t.cells.n_classes, n_plans = t.cells.n_plans, plan
    cdef const ResourceRecord* r
    cdef const Plan* resource_plan
    cdef const uint32_t* plan_cell
    cdef uintptr_t mask
    for j in range(b.layered_rows.n):
        i = b.layered_rows.rows[j]
        b.stored[i] = &b.nothing
        b.plan_cell[i] = &b.zero
        b.plans[RESOURCE_PLAN][i] = t.cells.plans
        stored[n] = narrow16(i)
        n += (b.facts[i] & FACTS_HAS_RECORD) != 0
    for j in range(n * (b.records != NULL)):
        prefetch(b.records + b.what[stored[j]])
    for j in range(n):
        i = stored[j]
        record = record_of(b, i)
        b.stored[i] = t.records + record if record != NONE else &b.nothing    # a key of KMS may have none
        prefetch(b.stored[i])
    for j in range(n):
        i = stored[j]
        r = b.stored[i]
        mask = -<uintptr_t>((r.policy_set < n_policy_sets) & (b.cls[i] < n_classes) & governs(r, t.classes[b.cls[i]].flags))
        plan_cell = t.cells.grid + (<size_t>b.cls[i] * n_policy_sets + r.policy_set)
        b.plan_cell[i] = <const uint32_t*>((<uintptr_t>plan_cell & mask) | (<uintptr_t>&b.zero & ~mask))
        prefetch(b.plan_cell[i])
    for j in range(n):
        i = stored[j]
        plan = b.plan_cell[i][0]
        plan = plan if plan < n_plans else 0             # another batch has made it: this snapshot does not hold it
        b.plans[RESOURCE_PLAN][i] = t.cells.plans + plan
        prefetch(b.plans[RESOURCE_PLAN][i])
        prefetch(t.deny_filters + (b.plans[RESOURCE_PLAN][i] - t.cells.plans))
    for j in range(n):
        resource_plan = b.plans[RESOURCE_PLAN][stored[j]]
        prefetch(t.match_ops + resource_plan.program)
        prefetch(t.match_ops + resource_plan.program + resource_plan.n_deny_ops)


cdef inline uint32_t may_allow(const ThreadState* s, const PrincipalState* w, const TablesC* t, const Plan* resource_plan) noexcept nogil:
    """Whether the policies of a resource, which need not allow, may allow something to a principal."""
    cdef uint32_t n = resource_plan.n_ops - resource_plan.n_deny_ops
    if n > 1:
        return candidate_allows(w, t, resource_plan, 1) != 0
    # there is one more often than not, and no branch is foreseen
    return n & ~cannot_change_result(w, t.match_ops + resource_plan.program + resource_plan.n_deny_ops if n else &s.block.no_op, 1)


cdef inline uint32_t is_vectorizable(const LayerPlans* of, const PrincipalState* w) noexcept nogil:
    """Whether ops of several plans, one after the other, decide. Without a branch."""
    cdef uint32_t needs_general = (of.own.paths | of.scp.paths | of.rcp.paths | of.resource_plan.paths) & PATH_LAYERED  # no complete program
    needs_general |= limits_without_program(of.own, active_limits(w, of.own))
    return needs_general == 0


cdef inline uint32_t levels_left(const Plan* scp) noexcept nogil:
    """The levels of SCPs that have to allow because they do not allow everything, as stages; more than three have no program."""
    return (((scp.flags << 2 & 1 << LEVEL_ALLOWS) | (scp.flags & 6 << LEVEL_ALLOWS)) ^ LEVEL_STAGES) & -<uint32_t>(scp.n != 0)


cdef inline uint32_t plan_stages(
    const ThreadState* s, const Call* c, const LayerPlans* of, const PrincipalState* w, uint32_t i, uint32_t is_own_owner
) noexcept nogil:
    """The stages of a row whose ops have to be evaluated, whether its resource is another account's, and whether its policies must allow;
    of who is alone these are all that must."""
    cdef const Block* b = s.block
    cdef uint32_t is_lone = (w.flags & PS_NO_ACCOUNT) != 0
    # NO_ACCOUNT, OTHER_ACCOUNT, or SAME_ACCOUNT and whether a grant is required
    cdef uint32_t relation = (SAME_ACCOUNT - 1) * is_own_owner + (is_lone ^ 1) + (is_own_owner & (b.facts[i] & FACTS_KMS_KEY != 0))
    cdef uint32_t without = COMBINING[relation * COLUMNS], needed = without | COMBINING[relation * COLUMNS + 1]   # a grant
    cdef uint32_t must = (without & REFUSED) != 0, others = may_allow(s, w, c.t, of.resource_plan) | must
    cdef uint32_t levels = levels_left(of.scp)
    return (                                             # a deny that names no resource has no op
        (of.rcp.n_deny_ops != 0) << RCP_PLAN | (of.scp.n_deny_ops != 0) << SCP_PLAN
        | may_deny(b, c, of.resource_plan, i) << RESOURCE_PLAN
        | ((others | (levels != 0)) & (of.own.n_deny_ops != b.n_skipped_denies[i])) << PRINCIPAL_PLAN
        | levels | others << RESOURCE_ALLOW_STAGE | ((needed & NEEDS_IDENTITY) != 0) << PRINCIPAL_ALLOW_STAGE
        | active_limits(w, of.own) << LIMIT_STAGES_SHIFT | (is_own_owner ^ 1) * IS_CROSS_ACCOUNT | must * RESOURCE_MUST_ALLOW
    )


cdef inline uint32_t needs_full_eval_by_row(
    const Block* b, const PrincipalState* w, const ResourceRecord* r, const Plan* resource_plan, uint32_t action, uint32_t i
) noexcept nogil:
    """Whether the owner of a resource is unknown, so that for a service, or an anonymous principal, it has none (D23); whether its policies count for
    services only (6.10), or name every principal except possibly services (N12); whether an anonymous principal may not request the action (D19)."""
    cdef uint32_t owner_unknown = (b.facts[i] & FACTS_OWNER_KNOWN) == 0
    if w.flags & PS_ANONYMOUS:
        return owner_unknown | ((action & ACT_ANONYMOUS) == 0)
    return owner_unknown | ((r.flags & RECORD_SERVICE) != 0) | ((resource_plan.paths & PLAN_SERVICES_GENERAL) != 0)


cdef inline void load_resource_plans(ThreadState* s, Call* c, uint32_t path_shift, int64_t at) noexcept nogil:
    """Send the layered rows to the path that what is stored about their resources allows; those with special rules to the general path."""
    cdef Block* b = s.block
    cdef const TablesC* t = c.t
    cdef uint16_t* listed = &b.layered_rows.rows[0]
    cdef uint32_t j, i, n = b.layered_rows.n, n_general = b.general_rows.n, n_own = b.principal_rows.n, n_joined = b.vectorized_rows.n, n_layered = 0
    cdef uint32_t is_own_owner, is_general, lone, action, counts, joined, is_principal_only, pending_stages, has_tags, seen = 0
    cdef const ResourceRecord* r
    cdef const PrincipalState* w
    cdef LayerPlans of
    for j in range(n):
        i = listed[j]
        r = b.stored[i]
        w = b.principal_state[i]
        if not is_pruning(s):
            b.plans[SCP_PLAN][i] = b.plans[RCP_PLAN][i] = t.cells.plans
        action = t.classes[b.cls[i]].flags
        counts = governs(r, action)
        if counts and b.plan_cell[i] == &b.zero:
            b.plans[RESOURCE_PLAN][i] = layer_plan(t, r.policy_set, b.cls[i], b.name[i])  # the grid has no place for it
        of = LayerPlans(b.plans[PRINCIPAL_PLAN][i], b.plans[SCP_PLAN][i], b.plans[RCP_PLAN][i], b.plans[RESOURCE_PLAN][i])
        is_own_owner = b.differs[i] == 0
        is_general = (r.arn != NONE) | ((b.facts[i] & FACTS_GENERAL_PATH) != 0) | counts & (of.resource_plan.n == 0)
        is_general |= ((r.flags & RECORD_BLOCKS_PUBLIC) != 0) & (is_own_owner ^ 1)
        if action & ACT_ON_ROLE:                         # policies do not count for iam:PassRole, nor are there tags (6.3)
            is_general |= ((action & ACT_PASS_ROLE) != 0) & ((is_own_owner ^ 1) | c.gives_tags | counts)
        lone = (w.flags & PS_NO_ACCOUNT) != 0
        if lone:
            is_general |= needs_full_eval_by_row(b, w, r, of.resource_plan, action, i)
        pending_stages = plan_stages(s, c, &of, w, i, is_own_owner)
        has_tags = r.n_constants != 0 and not is_parent_record(b, i)
        if has_tags and c.gives_tags:
            is_general |= contradicts_record(c, r, at + i)
        joined = is_vectorizable(&of, w) & (is_general ^ 1)
        is_general |= lone & (joined ^ 1)
        seen |= pending_stages & -joined
        # what has tags stays with the rows that have stored attributes
        is_principal_only = joined & ((pending_stages & ~<uint32_t>LIMIT_STAGES) == 1 << PRINCIPAL_ALLOW_STAGE) & (has_tags ^ 1)
        pending_stages ^= is_principal_only << PRINCIPAL_ALLOW_STAGE  # it starts with these
        b.pending_stages[i] = narrow16(pending_stages | has_tags * HAS_TAGS)
        b.general_rows.rows[n_general] = narrow16(i)
        n_general += is_general
        b.principal_rows.rows[n_own] = narrow16(i)       # where its flags do not decide
        n_own += is_principal_only & (of.own.paths >> (path_shift | (pending_stages != 0) * REASONS_SHIFT))
        b.vectorized_rows.rows[n_joined] = narrow16(i)
        n_joined += joined ^ is_principal_only
        listed[n_layered] = narrow16(i)
        n_layered += (is_general | joined) ^ 1
    b.general_rows.n, b.principal_rows.n, b.vectorized_rows.n, b.layered_rows.n = n_general, n_own, n_joined, n_layered
    b.may_need_more |= (seen & NEEDS_MORE_STAGES) != 0
