"""Decisions with unknown keys (spec 6.11): the pessimistic and the optimistic result, and the deciding keys. Header only.

Nothing here runs unless a key is declared unknown. Masks of truths distinguish residual tests: the mask of an Allow or Deny has `ACCEPT_RESIDUAL` if
a residual test makes the statement apply (D73).
"""
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.decide.combine cimport RequestPlans, action_key, decide, find_plans
from fastiam.kernel.eval.conditions cimport atom_truth, reads_unknown_values
from fastiam.kernel.eval.operators cimport OP_NULL
from fastiam.kernel.eval.principal cimport RESIDUAL_SHIFT, RESIDUAL_SERVICE_NAME, token_classes
from fastiam.kernel.eval.resource cimport MATCH_RESIDUAL, pattern_matches
from fastiam.kernel.eval.statement cimport entry_applies, is_gateway
from fastiam.kernel.eval.unknown cimport is_unknown, add_deciding_key, reads_unknown
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.conditions cimport ACCEPT_RESIDUAL, Atom, BROAD, RESIDUAL, STRICT
from fastiam.kernel.model.decision cimport ALLOW, RawDecision, DEPENDS, DONE, LAYER_IDENTITY, LAYER_RESOURCE, MISSING, REASON_NONE
from fastiam.kernel.model.ids cimport NONE, ONE, Range
from fastiam.kernel.model.patterns cimport PATTERN_VARIABLES, Pattern
from fastiam.kernel.model.plan cimport Plan, FULL_PLAN
from fastiam.kernel.model.plan_lookup cimport find_plan
from fastiam.kernel.model.policies cimport ENTRY_DENY, ENTRY_NOT_PRINCIPAL, ENTRY_NOT_RESOURCE, StatementEntry, RUN_CUT, StatementRun
from fastiam.kernel.model.principals cimport CLASS_ALL, KIND_FED, KIND_ROLE, KIND_SLR, KIND_SVC, KIND_USER


cdef enum:
    N_LAYERS = 7               # those that have policies


cdef inline void assume_residuals(Call* c, bint best) noexcept nogil:
    """Evaluate residual tests optimistically or pessimistically (D73)."""
    c.best = best
    c.accept[0] = STRICT | ACCEPT_RESIDUAL if best else STRICT
    c.accept[1] = BROAD if best else BROAD | ACCEPT_RESIDUAL


cdef inline int decide_partial(Call* c, RawDecision* a) noexcept nogil:
    """The answer for all values of the unknown keys, or DEPENDS (D73).

    A pessimistic run without a residual test is the optimistic run as well. After a denial the call is as in the optimistic run.
    """
    cdef RawDecision best
    cdef int status
    c.saw_residual = False
    assume_residuals(c, False)
    status = decide(c, a)
    if status != DONE or a.outcome == ALLOW:
        return status
    assume_residuals(c, True)
    if not c.saw_residual:
        return DONE
    decide(c, &best)                                     # its plans are there: the worst run has asked for them
    if best.outcome != ALLOW:
        a[0] = best
        return DONE
    a.outcome = DEPENDS
    a.reason = REASON_NONE
    return DONE


# -- the deciding keys (D74) --------------------------------------------------------------------------------------------

cdef inline bint use_full_plan(Call* c, uint32_t policy_set, Plan* plan, RawDecision* a) noexcept nogil:
    """Take the plan with every statement, where the one that decides leaves some out; False where it is not there yet."""
    cdef uint32_t i
    for i in range(plan.n):
        if c.t.runs[plan.first + i].flags & RUN_CUT:
            plan[0] = find_plan(c.t, policy_set, action_key(c, policy_set) | FULL_PLAN)[0]
            if plan.n == 0:
                a.missing = policy_set
                a.missing_flag = FULL_PLAN
                return False
            return True
    return True


cdef inline bint full_plans(Call* c, Plan* plans, RawDecision* a) noexcept nogil:
    """The plans of all layers, in the order of D50."""
    cdef RequestPlans r
    if not find_plans(c, &r, a):
        return False
    plans[0] = r.rcp
    plans[1] = r.scp
    plans[2] = r.vpce
    plans[3] = r.resource
    plans[4] = r.own
    return (
        use_full_plan(c, c.rcp_set, &plans[0], a)
        and use_full_plan(c, c.principal.scp_set, &plans[1], a)
        and use_full_plan(c, c.endpoint.policy_set if plans[2].n else NONE, &plans[2], a)
        and use_full_plan(c, c.resource_set, &plans[3], a)
        and use_full_plan(c, c.principal.principal_set, &plans[4], a)
    )


cdef inline uint32_t result_in(Call* c, const StatementEntry* e, bint best) noexcept nogil:
    assume_residuals(c, best)
    return entry_applies(c, e, c.accept[1 if e.flags & ENTRY_DENY else 0])


cdef inline bint layer_counts(const Call* c, const StatementRun* run, bint denies) noexcept nogil:
    """Identity policies that the kind cannot have grant nothing (D6)."""
    cdef uint8_t kind = c.principal.kind
    if denies or run.layer != LAYER_IDENTITY:
        return True
    return kind == KIND_USER or kind == KIND_ROLE or kind == KIND_SLR or kind == KIND_FED


cdef inline void find_differences(Call* c, const Plan* plan, bint* differs) noexcept nogil:
    """Which layers of a row say something else at best than at worst: a Deny, an Allow of a level, or classes of grants."""
    cdef const StatementRun* run
    cdef const StatementEntry* e
    cdef uint32_t find_deny[2][N_LAYERS]
    cdef uint32_t allowed[2]
    cdef uint32_t i, j, found
    cdef int best
    memset(find_deny, 0, sizeof(find_deny))
    for i in range(plan.n):
        run = &c.t.runs[plan.first + i]
        if not layer_counts(c, run, i == 0):
            continue
        allowed[0] = allowed[1] = 0
        for j in range(run.n):
            e = &c.t.entries[run.first + j]
            promise(e.layer < N_LAYERS)
            for best in range(2):
                found = result_in(c, e, best)
                if found != 0 and (i == 0 or e.layer != LAYER_RESOURCE):
                    found = 1
                if i == 0:
                    find_deny[best][e.layer] |= found
                else:
                    allowed[best] |= found
        if allowed[0] != allowed[1]:
            differs[run.layer] = True
    for i in range(<uint32_t>N_LAYERS):
        if find_deny[0][i] != find_deny[1][i]:
            differs[i] = True


cdef inline bint parts(Call* c, const StatementEntry* e) noexcept nogil:
    """Whether a statement applies in one run alone, or grants in other classes."""
    cdef uint32_t worst = result_in(c, e, False)
    cdef uint32_t best = result_in(c, e, True)
    if e.layer == LAYER_RESOURCE and not e.flags & ENTRY_DENY:
        return worst != best
    return (worst == 0) != (best == 0)


cdef inline void add_atom_keys(Call* c, uint32_t id) noexcept nogil:
    cdef const Atom* atom = &c.t.atoms[id]
    if atom_truth(c, id) != RESIDUAL:
        return
    if is_unknown(c, atom.key):
        add_deciding_key(c, atom.key)
    if atom.op != OP_NULL:
        reads_unknown_values(c, atom, True)


cdef inline void add_pattern_keys(Call* c, const Pattern* p, bint inverted) noexcept nogil:
    """An entry of `Resource` is open where it matches at best, in either reading; one of `NotResource` always."""
    if p.kind != PATTERN_VARIABLES or c.is_star:
        return
    if inverted or pattern_matches(c, p) == MATCH_RESIDUAL or (
        p.crossing != NONE and pattern_matches(c, &c.t.patterns[p.crossing]) == MATCH_RESIDUAL
    ):
        reads_unknown(c, c.t.pool + p.text, p.size, True)


cdef inline void add_principal_keys(Call* c, const StatementEntry* e) noexcept nogil:
    cdef Range list = c.t.principal_elements[e.principals]
    cdef uint32_t i, classes
    for i in range(list.n):
        classes = token_classes(c, c.principal, &c.t.tokens[list.first + i], is_gateway(c, e))
        if (classes >> RESIDUAL_SHIFT) & CLASS_ALL:
            add_deciding_key(c, c.t.key_user_id)
        if classes & RESIDUAL_SERVICE_NAME and e.flags & (ENTRY_DENY | ENTRY_NOT_PRINCIPAL):
            add_deciding_key(c, c.t.key_service_names)


cdef inline void add_residual_keys(Call* c, const StatementEntry* e) noexcept nogil:
    """Add the unknown keys of the residual tests of a statement."""
    cdef Range list
    cdef uint32_t i
    cdef bint inverted = e.flags & ENTRY_NOT_RESOURCE != 0
    if e.conditions != NONE and e.conditions & ONE:
        add_atom_keys(c, e.conditions ^ ONE)
    elif e.conditions != NONE:
        list = c.t.condition_lists[e.conditions]
        for i in range(list.n):
            add_atom_keys(c, c.t.atom_lists[list.first + i])
    if e.resources != NONE and e.resources & ONE:
        add_pattern_keys(c, &c.t.patterns[e.resources ^ ONE], inverted)
    elif e.resources != NONE:
        list = c.t.resource_elements[e.resources]
        for i in range(list.n):
            add_pattern_keys(c, &c.t.patterns[c.t.pattern_lists[list.first + i]], inverted)
    if e.principals != NONE:
        add_principal_keys(c, e)


cdef inline int find_deciding_keys(Call* c, RawDecision* a) noexcept nogil:
    """Put the keys on which a DEPENDS rests into the scratch; MISSING where a whole row is not there yet."""
    cdef Plan plans[5]
    cdef bint differs[N_LAYERS]
    cdef const StatementRun* run
    cdef uint32_t i, j, k
    c.s.n_deciding_keys = 0
    if not full_plans(c, plans, a):
        return MISSING
    memset(differs, 0, sizeof(differs))
    for i in range(5):
        find_differences(c, &plans[i], differs)
    for i in range(5):
        for j in range(plans[i].n):
            run = &c.t.runs[plans[i].first + j]
            if not layer_counts(c, run, j == 0):
                continue
            for k in range(run.n):
                if differs[c.t.entries[run.first + k].layer] and parts(c, &c.t.entries[run.first + k]):
                    add_residual_keys(c, &c.t.entries[run.first + k])
    if c.endpoint_is_unknown and c.principal.kind != KIND_SVC:
        add_deciding_key(c, c.t.key_source_vpce)
    return DONE
