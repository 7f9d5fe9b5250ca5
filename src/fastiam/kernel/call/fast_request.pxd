"""Fast path of single requests: a user or role, and a resource of its own account without a resource policy. Header only.

Invariant: the result equals that of `attempt`. Every request that may differ is left to `attempt`. The plan of the principal is read from its
match program, which has half a cache line for each op.
"""
from libc.stdint cimport uint8_t, uint32_t

from fastiam.kernel.decide.routes cimport ROUTE_CALL_ATTEMPT, ROUTE_CALL_DECIDE, ROUTE_CALL_OWN, routed
from fastiam.kernel.base.text cimport Text, equal
from fastiam.kernel.decide.attempt cimport attempt, contradicts
from fastiam.kernel.decide.combine cimport action_key, decide, is_reserved_change, rcp_applies, resource_policy_governs, same_account, verdict
from fastiam.kernel.decide.fast_path cimport ACT_HARD, ACT_OWN_RULES
from fastiam.kernel.decide.locate cimport clear_record, find_account, find_record, locate_endpoint, locate_found, record_mode, symbol_text
from fastiam.kernel.decide.row_driver cimport RowCursor, first_matching_op_of_run, op_literals_match, may_cross
from fastiam.kernel.decide.scratch cimport next_stamp
from fastiam.kernel.eval.conditions cimport conditions_hold
from fastiam.kernel.eval.group_filter cimport has_literals, group_skip
from fastiam.kernel.eval.resource cimport tail_has_colon
from fastiam.kernel.eval.statement cimport entry_applies
from fastiam.kernel.model.call cimport Call, ENDPOINT_NONE
from fastiam.kernel.model.decision cimport ALLOW, RawDecision, DONE, EXPLICIT_DENY, IMPLICIT_DENY, LAYER_IDENTITY, REASON_NONE, UNCHECKED
from fastiam.kernel.model.plan_lookup cimport find_plan
from fastiam.kernel.model.tables cimport *


cdef enum:
    NO_PROGRAM = 0xFFFFFFFF    # instead of the number of ops: the program is not complete, or the plan is not there
    NOT_LOOKED_UP = 0xFFFFFFFE


cdef inline bint is_fast_request(const Principal* p, const ActionClass* action) noexcept nogil:
    """A user or role with no layers that it cannot have, and an action without rules of its own."""
    if p.flags & (P_KNOWN | P_EXTRA_BOUNDARY | P_EXTRA_SESSION) != P_KNOWN or not (p.kind == KIND_USER or p.kind == KIND_ROLE):
        return False
    if p.account == NONE or p.partition == NONE:
        return False
    return not action.flags & (ACT_OWN_RULES | <uint32_t>1 << (ACT_FORBID_SHIFT + p.credential))


cdef inline bint is_own_account_resource(Call* c) noexcept nogil:
    """The resource, which is cut, is one of the principal's partition and account, as far as its ARN shows; puts it into the call."""
    cdef const Principal* p = c.principal
    cdef const char* text = c.resource.data
    cdef Text partition
    c.owner = Text(&p.account_id[0], 12)
    c.partition = NONE
    c.assumed_owner = True
    if c.is_star:
        return True
    if c.is_kms_key:
        return False                                     # it needs its policy (6.5)
    c.partition = p.partition
    partition = symbol_text(c.t, p.partition)
    if c.colons[1] - 4 != partition.size or not equal(text + 4, partition.data, partition.size):
        return False
    c.assumed_owner = c.colons[4] - c.colons[3] == 1
    return c.assumed_owner or (c.colons[4] - c.colons[3] == 13 and equal(text + c.colons[3] + 1, c.owner.data, 12))


cdef inline void set_own_account_resource(Call* c) noexcept nogil:
    """What `locate_resource` puts into the call, where nothing is stored about the resource."""
    clear_record(c)
    c.owner_known = True
    find_account(c, c.principal.account_index)


cdef inline bint is_principal_account(const Call* c, const ResourceRecord* record) noexcept nogil:
    """A resource that is located is of the principal's partition and account, and no policy governs it."""
    if c.is_kms_key or record.arn != NONE or resource_policy_governs(c):
        return False
    return c.partition == c.principal.partition and c.owner_known and same_account(c)


# -- the principal's plan -----------------------------------------------------------------------------------------------------

cdef inline bint op_applies(Call* c, const RowCursor* l, const MatchOp* f) noexcept nogil:
    """Whether a statement of the principal's plan applies on one of its patterns; `entry_applies`, from the op."""
    cdef uint8_t accept = BROAD if f.flags & MATCHOP_DENY else STRICT
    if f.first == STEP_FULL_EVAL or f.flags & MATCHOP_HAS_PRINCIPAL or (
        f.flags & MATCHOP_MAY_CROSS and not c.is_star and tail_has_colon(c) and may_cross(f, l.pool, c.resource.data, <const char*>l.end)
    ):
        return entry_applies(c, &c.t.entries[f.entry], accept) != 0
    if has_literals(f) and (c.is_star or not op_literals_match(l, f)):
        return False
    if f.flags & MATCHOP_ENDS_ONLY:
        return entry_applies(c, &c.t.entries[f.entry], accept) != 0
    return f.conditions == NONE or conditions_hold(c, f.conditions, accept)


cdef inline const MatchOp* first_applicable_op(Call* c, const RowCursor* l, const MatchOp* f) noexcept nogil:
    """The op that applies: this one, or the first such one of a long run; NULL if there is none."""
    if f.first == STEP_INDEX_PROBE:
        return first_matching_op_of_run(c, f)
    return f if op_applies(c, l, f) else NULL


cdef inline Range program_of(const Plan* own) noexcept nogil:
    """The ops of a principal's plan, or NO_PROGRAM of them."""
    return Range(own.program, own.n_ops if own.flags & PLAN_HAS_PROGRAM else <uint32_t>NO_PROGRAM)


cdef inline int decide_principal_plan(Call* c, const Range* own, RawDecision* a) noexcept nogil:
    """The first op that applies decides: denies precede allows."""
    cdef const MatchOp* f = &c.t.match_ops[own.first]
    cdef const MatchOp* found
    cdef const StatementEntry* e
    cdef uint32_t i = 0
    cdef bint has_colon
    cdef RowCursor l
    l.c = c
    l.text = <const uint8_t*>c.resource.data
    l.end = l.text + c.resource.size
    l.pool = c.t.pool
    l.colons = &c.colons[0]
    while i < own.n:
        if f[i].first == STEP_GROUP_FILTER:
            has_colon = f[i].flags & MATCHOP_MAY_CROSS and not c.is_star and tail_has_colon(c)
            i += group_skip(f + i, l.pool, c.resource.data, c.resource.size, c.colons[4], has_colon)
        else:
            found = first_applicable_op(c, &l, f + i)
            if found != NULL:
                e = &c.t.entries[found.entry]
                if found.flags & MATCHOP_DENY:
                    return verdict(a, EXPLICIT_DENY, e.layer, REASON_NONE, e)
                return verdict(a, ALLOW, LAYER_IDENTITY, REASON_NONE, e)
        i += 1
    return verdict(a, IMPLICIT_DENY, LAYER_IDENTITY, REASON_NONE, NULL)


cdef inline int decide_own_account(Call* c, RawDecision* a, const Range* own) noexcept nogil:
    """Decide a call for a resource of the principal's account without a policy."""
    if c.principal.flags & (P_HAS_SCP | P_HAS_BOUNDARY | P_HAS_SESSION) or c.endpoint_state != ENDPOINT_NONE or rcp_applies(c):
        return routed(ROUTE_CALL_DECIDE, decide(c, a))
    if own.n == NO_PROGRAM or (c.action.flags & ACT_HARD and is_reserved_change(c)) or (c.resource.size < 16 and not c.is_star):
        # MISSING, where the plan is not there; 16: see `kernel.eval.literals`
        return routed(ROUTE_CALL_DECIDE, decide(c, a))
    return routed(ROUTE_CALL_OWN, decide_principal_plan(c, own, a))


cdef inline int decide_fast_request(Call* c, RawDecision* a, const Text* owner, bint checked, Range own) noexcept nogil:
    """A status of `attempt`, for a call whose resource is cut. `own`: the ops of the principal, if it takes the fast path and they were looked
    up ahead, else as many as NOT_LOOKED_UP."""
    cdef uint32_t record
    cdef bint is_own_account = True
    cdef int status
    if owner.data != NULL or c.t.denies_unknown_owner:
        return routed(ROUTE_CALL_ATTEMPT, attempt(c, a, owner, checked))
    if own.n == NOT_LOOKED_UP:
        if not is_fast_request(c.principal, c.action):
            return routed(ROUTE_CALL_ATTEMPT, attempt(c, a, owner, checked))
        own = program_of(find_plan(c.t, c.principal.principal_set, action_key(c, c.principal.principal_set)))
    next_stamp(c.s)
    status = find_record(c, record_mode(c), &record)
    if status != DONE:
        return status
    if record == NONE and is_own_account_resource(c):
        set_own_account_resource(c)
    else:
        status = locate_found(c, owner, record)
        if status != DONE:
            return status
        is_own_account = record != NONE and is_principal_account(c, &c.t.records[record])
    locate_endpoint(c)
    if not checked and contradicts(c):
        return UNCHECKED
    return decide_own_account(c, a, &own) if is_own_account else routed(ROUTE_CALL_DECIDE, decide(c, a))
