"""Single calls whose names and keys are known: by the match program of the principal's plan, or by `decide`. Header only.

Invariant: the result equals that of `decide`. The program has half a cache line for each op, and is read where no other layer takes part, and the
combining table says that an allow of the principal's own policies is enough.
"""
from libc.stdint cimport uint8_t, uint32_t

from fastiam.kernel.decide.routes cimport ROUTE_CALL_DECIDE, ROUTE_CALL_OWN, routed
from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.base.text cimport Text, equal
from fastiam.kernel.decide.attempt cimport contradicts
from fastiam.kernel.decide.combine cimport (
    action_key, decide, grant_required, is_reserved_change, rcp_applies, resource_policy_governs, service_refusal, verdict,
)
from fastiam.kernel.decide.fast_path cimport ACT_HARD, ACT_OWN_RULES, FACTS_COLON, FACTS_STAR
from fastiam.kernel.decide.locate cimport clear_record, find_account, find_record, locate_endpoint, locate_found, record_mode, symbol_text
from fastiam.kernel.decide.row_driver cimport RowCursor, literals_exclude, needs_full_eval
from fastiam.kernel.decide.scratch cimport next_stamp
from fastiam.kernel.eval.conditions cimport conditions_hold, is_at_own
from fastiam.kernel.eval.group_filter cimport group_skip
from fastiam.kernel.eval.resource cimport tail_has_colon
from fastiam.kernel.eval.statement cimport entry_applies, first_applicable
from fastiam.kernel.model.call cimport Call, ENDPOINT_NONE
from fastiam.kernel.model.combining cimport NEEDS_IDENTITY, NEEDS_LIMITS, SAME_ACCOUNT, needed_after
from fastiam.kernel.model.decision cimport ALLOW, RawDecision, DONE, EXPLICIT_DENY, IMPLICIT_DENY, LAYER_IDENTITY, REASON_NONE, UNCHECKED
from fastiam.kernel.model.plan_lookup cimport find_plan
from fastiam.kernel.model.tables cimport *


cdef enum:
    NO_PROGRAM = 0xFFFFFFFF    # instead of the number of ops: the program is not complete, or the plan is not there
    NOT_LOOKED_UP = 0xFFFFFFFE


cdef inline bint is_fast_request(const Principal* p, const ActionClass* action) noexcept nogil:
    """A user or role with no layers that it cannot have, and an action without rules of its own: within an account its relation to the owner
    (6.4) follows from the resource."""
    if p.flags & (P_KNOWN | P_EXTRA_BOUNDARY | P_EXTRA_SESSION) != P_KNOWN or not (p.kind == KIND_USER or p.kind == KIND_ROLE):
        return False
    return not action.flags & (ACT_OWN_RULES | <uint32_t>1 << (ACT_FORBID_SHIFT + p.credential))


cdef inline bint is_own_account_resource(Call* c, const Text* owner) noexcept nogil:
    """Whether the ARN of a resource without a record shows that it is of the principal's partition and account; puts both into the call.

    PERF: `locate_found` finds the same; hot calls had 5 % more instructions with it.
    """
    cdef const Principal* p = c.principal
    cdef const char* text = c.resource.data
    cdef Text partition
    if owner.data != NULL or c.t.denies_unknown_owner or p.account == NONE or p.partition == NONE:
        return False
    c.owner = Text(&p.account_id[0], 12)
    c.partition = NONE
    c.assumed_owner = True
    if c.is_star:
        return True
    c.partition = p.partition
    partition = symbol_text(c.t, p.partition)
    if c.colons[1] - 4 != partition.size or not equal(text + 4, partition.data, partition.size):
        return False
    c.assumed_owner = c.colons[4] - c.colons[3] == 1
    return c.assumed_owner or (c.colons[4] - c.colons[3] == 13 and equal(text + c.colons[3] + 1, c.owner.data, 12))


cdef inline bint needs_own_plan_only(const Call* c) noexcept nogil:
    """Whether a fast request within the principal's account needs nothing but an allow of the principal's own policies, and no others take part."""
    if c.principal.flags & (P_HAS_SCP | P_HAS_BOUNDARY | P_HAS_SESSION) or c.endpoint_state != ENDPOINT_NONE:
        return False
    if rcp_applies(c) or resource_policy_governs(c) or (c.action.flags & ACT_HARD and is_reserved_change(c)):
        return False
    return needed_after(SAME_ACCOUNT + grant_required(c), 0) == NEEDS_IDENTITY | NEEDS_LIMITS


# -- the principal's plan -----------------------------------------------------------------------------------------------------

cdef inline bint op_applies(const RowCursor* l, const MatchOp* f, uint8_t accept) noexcept nogil:
    """Whether a statement of the principal's plan applies on one of its patterns.

    PERF: `entry_applies` says it of the whole statement; a checked build compares both.
    """
    if needs_full_eval(l, f) or f.flags & MATCHOP_HAS_PRINCIPAL:
        return entry_applies(l.c, &l.c.t.entries[f.entry], accept) != 0
    return not literals_exclude(l, f) and (f.conditions == NONE or conditions_hold(l.c, f.conditions, accept))


cdef inline bint is_as_entry_form(const RowCursor* l, const MatchOp* f, uint8_t accept) noexcept nogil:
    """Whether a statement applies if one of its ops does."""
    return not op_applies(l, f, accept) or entry_applies(l.c, &l.c.t.entries[f.entry], accept) != 0


cdef inline const StatementEntry* applicable_entry(const RowCursor* l, const MatchOp* f) noexcept nogil:
    """The statement of an op if it applies, of a long run the first one that does; NULL if there is none."""
    cdef const StatementEntry* e = &l.c.t.entries[f.entry]
    cdef uint8_t accept = BROAD if f.flags & MATCHOP_DENY else STRICT
    if f.first == STEP_INDEX_PROBE:
        return first_applicable(l.c, &l.c.t.runs[f.entry], accept)
    promise(is_as_entry_form(l, f, accept))
    return e if op_applies(l, f, accept) else NULL


cdef inline Range program_of(const Plan* own) noexcept nogil:
    """The ops of a principal's plan, or NO_PROGRAM of them."""
    return Range(own.program, own.n_ops if own.flags & PLAN_HAS_PROGRAM else <uint32_t>NO_PROGRAM)


cdef inline int decide_principal_plan(Call* c, const Range* own, RawDecision* a) noexcept nogil:
    """The first op that applies decides: denies precede allows."""
    cdef const MatchOp* f = &c.t.match_ops[own.first]
    cdef const StatementEntry* e
    cdef uint32_t i = 0
    cdef RowCursor l
    l.c = c
    l.text = <const uint8_t*>c.resource.data
    l.end = l.text + c.resource.size
    l.pool = c.t.pool
    l.colons = &c.colons[0]
    l.facts = FACTS_STAR if c.is_star else FACTS_COLON if tail_has_colon(c) else 0
    while i < own.n:
        if f[i].first == STEP_GROUP_FILTER:
            i += group_skip(f + i, l.pool, c.resource.data, c.resource.size, c.colons[4], l.facts & FACTS_COLON != 0)
        else:
            e = applicable_entry(&l, f + i)
            if e != NULL:
                if e.flags & ENTRY_DENY:
                    return verdict(a, EXPLICIT_DENY, e.layer, REASON_NONE, e)
                return verdict(a, ALLOW, LAYER_IDENTITY, REASON_NONE, e)
        i += 1
    return verdict(a, IMPLICIT_DENY, LAYER_IDENTITY, REASON_NONE, NULL)


cdef inline int decide_fast_request(Call* c, RawDecision* a, const Text* owner, bint checked, Range own) noexcept nogil:
    """A status of `attempt`, for a call whose resource is cut. `own`: the ops of the principal, if `is_fast_request` and they were looked up
    ahead, else as many as NOT_LOOKED_UP."""
    cdef uint32_t record
    cdef bint is_own_account
    cdef int status
    next_stamp(c.s)
    status = find_record(c, record_mode(c), &record)
    if status != DONE:
        return status
    is_own_account = record == NONE and is_own_account_resource(c, owner)
    if is_own_account:
        clear_record(c)
        c.owner_known = True
        find_account(c, c.principal.account_index)
    else:
        status = locate_found(c, owner, record)
        if status != DONE:
            return status
        is_own_account = is_at_own(c) and service_refusal(c) == REASON_NONE
    locate_endpoint(c)
    if not checked and contradicts(c):
        return UNCHECKED
    if own.n == NOT_LOOKED_UP and is_own_account and is_fast_request(c.principal, c.action):
        own = program_of(find_plan(c.t, c.principal.principal_set, action_key(c, c.principal.principal_set)))
    # 16: see `kernel.eval.literals`
    if is_own_account and own.n < NOT_LOOKED_UP and (c.resource.size >= 16 or c.is_star) and needs_own_plan_only(c):
        return routed(ROUTE_CALL_OWN, decide_principal_plan(c, &own, a))
    return routed(ROUTE_CALL_DECIDE, decide(c, a))
