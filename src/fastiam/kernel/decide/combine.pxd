"""Combining for one request (spec 6.4): the plans of all layers, denies in the order of D50, then the required allows. Header only.

`decide` never allocates, and reads only policies in the plans of (policy set, action class). A missing plan ends it with `MISSING`; the
planner builds the plan, and the call is decided again.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memcmp

from fastiam.kernel.base.arn cimport five_colons
from fastiam.kernel.base.invariants cimport narrow16, promise
from fastiam.kernel.base.text cimport Text, first_bit, byte_positions
from fastiam.kernel.eval.conditions cimport is_at_own
from fastiam.kernel.eval.principal cimport has_no_account, is_role, is_root
from fastiam.kernel.eval.resource cimport tail_has_colon
from fastiam.kernel.eval.statement cimport entry_applies, first_applicable
from fastiam.kernel.model.combining cimport (
    BY_GRANT, COLUMNS, COMBINING, NEEDS_IDENTITY, NEEDS_LIMITS, NO_ACCOUNT, OTHER_ACCOUNT, OTHER_ACCOUNT_ROOT, REFUSED, SAME_ACCOUNT,
    SAME_ACCOUNT_FED, SAME_ACCOUNT_FED_OF_ROOT, SAME_ACCOUNT_ROOT, needed_after, sufficient_classes,
)
from fastiam.kernel.model.call cimport COLON_UNKNOWN, Call, ENDPOINT_KNOWN, ENDPOINT_UNKNOWN
from fastiam.kernel.eval.key_values cimport field
from fastiam.kernel.model.decision cimport (
    ALLOW, RawDecision, DEPENDS, DONE, EXPLICIT_DENY, IMPLICIT_DENY, LAYER_BOUNDARY, LAYER_CREDENTIAL, LAYER_IDENTITY, LAYER_RESOURCE, LAYER_SCP,
    LAYER_SERVICE, LAYER_SESSION, LAYER_VPCE, MISSING, REASON_ALWAYS_ALLOWED, REASON_ANONYMOUS, REASON_CREDENTIAL, REASON_HARD_RULE, REASON_NONE,
    REASON_PARTITION, REASON_PASS_ROLE, REASON_PUBLIC_ACCESS, REASON_UNKNOWN_ENDPOINT, REASON_UNKNOWN_OWNER, REASON_UNKNOWN_PRINCIPAL,
)
from fastiam.kernel.model.plan_lookup cimport find_plan
from fastiam.kernel.model.tables cimport *


# -- plans ------------------------------------------------------------------------------------------------------------

cdef inline uint32_t action_key(const Call* c, uint32_t policy_set) noexcept nogil:
    """What a cell of this policy set goes by: the class of the action, or its name where the classes do not know the policy set's patterns."""
    return c.action_class if policy_set < c.t.n_indexed_sets else c.action_name | BY_ACTION_NAME


# -- what needs no policy ---------------------------------------------------------------------------------------------------

cdef inline bint is_always_allowed(const Call* c) noexcept nogil:
    """6.3: `sts:GetCallerIdentity` by anyone authenticated, `sts:GetSessionToken` with long-term keys."""
    cdef uint8_t kind = c.principal.kind
    if c.action.flags & ACT_CALLER_IDENTITY:
        return kind <= KIND_SVC
    if c.action.flags & ACT_SESSION_TOKEN:
        return (kind == KIND_USER or kind == KIND_ROOT) and not c.principal.flags & P_TEMPORARY
    return False


cdef inline bint resource_part_starts_with(const Call* c, const char* text, int64_t n) noexcept nogil:
    cdef int64_t at = c.colons[4] + 1
    return c.resource.size - at >= n and memcmp(c.resource.data + at, text, <size_t>n) == 0


cdef inline bint service_is(const Call* c, const char* text, int64_t n) noexcept nogil:
    return not c.is_star and c.colons[2] - c.colons[1] - 1 == n and memcmp(c.resource.data + c.colons[1] + 1, text, <size_t>n) == 0


cdef inline bint is_reserved_change(const Call* c) noexcept nogil:
    """Changes to what AWS owns (D17)."""
    cdef uint32_t flags = c.action.flags
    cdef Text account
    if not flags & (ACT_HARD_POLICY | ACT_HARD_RESERVED | ACT_HARD_LINKED | ACT_HARD_ALIAS) or c.is_star:
        return False
    if flags & ACT_HARD_ALIAS:
        return service_is(c, b"kms", 3) and resource_part_starts_with(c, b"alias/aws/", 10)
    if not c.is_iam:
        return False
    if resource_part_starts_with(c, b"policy/", 7):
        account = field(c, 3)
        return flags & ACT_HARD_POLICY and account.size == 3 and memcmp(account.data, b"aws", 3) == 0
    if resource_part_starts_with(c, b"role/aws-reserved/", 18):
        return flags & ACT_HARD_RESERVED != 0
    return flags & ACT_HARD_LINKED and resource_part_starts_with(c, b"role/aws-service-role/", 22)


cdef inline bint same_account(const Call* c) noexcept nogil:
    return is_at_own(c) or (c.principal.account == NONE and not c.owner_known)


cdef inline uint8_t service_refusal(const Call* c) noexcept nogil:
    """The reason for an implicit deny in layer `service`, the first of 6.4."""
    if is_reserved_change(c):
        return REASON_HARD_RULE
    if c.principal.kind == KIND_ANON and not c.action.flags & ACT_ANONYMOUS:
        return REASON_ANONYMOUS
    if c.action.flags & ACT_PASS_ROLE and not same_account(c):
        return REASON_PASS_ROLE
    if c.partition != NONE and c.principal.partition != NONE and c.partition != c.principal.partition:
        return REASON_PARTITION
    if c.unknown_owner:
        return REASON_UNKNOWN_OWNER
    return REASON_NONE


# -- the decision -------------------------------------------------------------------------------------------------------------

cdef struct RequestPlans:      # of a request; `n` is 0 where the layer does not apply
    Plan rcp
    Plan scp
    Plan vpce
    Plan resource
    Plan own


cdef inline bint rcp_applies(const Call* c) noexcept nogil:
    """D14, D15."""
    if c.rcp_set == NONE or c.principal.kind == KIND_SLR or not c.action.flags & ACT_RCP or c.action.flags & ACT_RETIRE_GRANT:
        return False
    return not (c.action.flags & ACT_STS_ROLE and c.is_role and resource_part_starts_with(c, b"role/aws-service-role/", 22))


cdef inline bint scp_applies(const Call* c) noexcept nogil:
    """D11, D12."""
    return (
        c.principal.flags & P_HAS_SCP and c.principal.kind != KIND_SLR and not has_no_account(c.principal)
        and not c.action.flags & ACT_SCP_EXEMPT
    )


cdef inline bint resource_policy_governs(const Call* c) noexcept nogil:
    """6.3 (iam:PassRole), 6.10 (trust policies, log groups)."""
    if c.resource_set == NONE or c.action.flags & ACT_PASS_ROLE:
        return False
    if c.resource_governs & RECORD_TRUST and not c.action.flags & ACT_TRUST:
        return False
    return not (c.resource_governs & RECORD_SERVICE and c.principal.kind != KIND_SVC)


cdef inline bint require_plan(Call* c, bint applies, uint32_t policy_set, Plan* plan, RawDecision* a) noexcept nogil:
    plan[0] = c.t.cells.plans[0]
    if not applies:
        return True
    plan[0] = find_plan(c.t, policy_set, action_key(c, policy_set))[0]
    if plan.n == 0:
        a.missing = policy_set
        a.missing_flag = 0
        return False
    return True


cdef inline bint find_plans(Call* c, RequestPlans* r, RawDecision* a) noexcept nogil:
    cdef bint vpce = c.endpoint_state == ENDPOINT_KNOWN and c.endpoint.policy_set != NONE and c.principal.kind != KIND_SVC
    r.own = c.own
    return (
        (r.own.n > 0 or require_plan(c, True, c.principal.principal_set, &r.own, a))
        and require_plan(c, scp_applies(c), c.principal.scp_set, &r.scp, a)
        and require_plan(c, resource_policy_governs(c), c.resource_set, &r.resource, a)
        and require_plan(c, rcp_applies(c), c.rcp_set, &r.rcp, a)
        and require_plan(c, vpce, c.endpoint.policy_set if vpce else NONE, &r.vpce, a)
    )


cdef inline int verdict(RawDecision* a, uint8_t outcome, uint8_t layer, uint8_t reason, const StatementEntry* entry) noexcept nogil:
    promise(outcome <= DEPENDS and layer <= LAYER_SERVICE)
    a.outcome = outcome
    a.layer = layer
    a.reason = reason
    a.entry = entry
    return DONE


cdef inline bint find_deny(Call* c, Plan plan, RawDecision* a) noexcept nogil:
    cdef const StatementEntry* e
    if not plan.flags & PLAN_HAS_DENY:
        return False
    e = first_applicable(c, &c.t.runs[plan.first], c.accept[1])
    if e == NULL:
        return False
    verdict(a, EXPLICIT_DENY, e.layer, REASON_NONE, e)
    return True


cdef inline bint endpoint_denies(Call* c) noexcept nogil:
    """The endpoint is not known (D40); where the caller does not say which it is, the best is that there is none (D71)."""
    if c.endpoint_state != ENDPOINT_UNKNOWN or c.principal.kind == KIND_SVC:
        return False
    if c.endpoint_is_unknown:
        c.saw_residual = True
    return not (c.endpoint_is_unknown and c.best)


cdef inline bint find_first_deny(Call* c, const RequestPlans* r, RawDecision* a) noexcept nogil:
    """The first applicable Deny in the order of D50."""
    if find_deny(c, r.rcp, a) or find_deny(c, r.scp, a):
        return True
    if endpoint_denies(c):
        verdict(a, EXPLICIT_DENY, LAYER_VPCE, REASON_UNKNOWN_ENDPOINT, NULL)
        return True
    return find_deny(c, r.vpce, a) or find_deny(c, r.resource, a) or find_deny(c, r.own, a)


cdef inline const StatementEntry* level_allow(Call* c, Plan plan, uint32_t level) noexcept nogil:
    promise(level + 1 < plan.n)
    return first_applicable(c, &c.t.runs[plan.first + 1 + level], c.accept[0])


cdef inline bint every_level_allows(Call* c, Plan plan) noexcept nogil:
    """D10; no level at all allows nothing."""
    cdef uint32_t i
    if plan.flags & PLAN_EVERY_LEVEL_ALLOWS:
        return True
    for i in range(1, plan.n):
        if level_allow(c, plan, i - 1) == NULL:
            return False
    return plan.n > 1


cdef struct Grant:             # what the resource policies allow
    uint32_t classes           # M
    const StatementEntry* entry  # the first statement with a class that suffices


cdef inline void resource_grant(Call* c, Plan plan, uint32_t sufficient, uint32_t bypass, Grant* g) noexcept nogil:
    """`M` of 6.4, up to the first class that decides by itself (`bypass`)."""
    cdef const StatementRun* run
    cdef const StatementEntry* e
    cdef uint32_t i, found
    g.classes = 0
    g.entry = NULL
    if plan.n == 0:
        return
    run = &c.t.runs[plan.first + 1]
    for i in range(run.n):
        e = &c.t.entries[run.first + i]
        found = entry_applies(c, e, c.accept[0])
        if found == 0:
            continue
        g.classes |= found
        if g.entry == NULL and found & sufficient:
            g.entry = e
        if g.classes & bypass:
            return


cdef inline bint session_policies_count(const Principal* p) noexcept nogil:
    """Session policies, where the kind has them; mandatory for FED and AROOT, whose task policy needs no Allow (6.1)."""
    if not p.flags & (P_HAS_SESSION | P_EXTRA_SESSION):
        return p.kind == KIND_FED or p.kind == KIND_AROOT
    return p.kind != KIND_AROOT and not p.flags & P_EXTRA_SESSION


cdef inline bint limit_fails(Call* c, Plan own, bint boundary, bint session, RawDecision* a) noexcept nogil:
    """The implicit deny of the boundary (segment 1) or of the session policies (segment 2), of those that count."""
    if boundary and level_allow(c, own, 1) == NULL:
        verdict(a, IMPLICIT_DENY, LAYER_BOUNDARY, REASON_NONE, NULL)
        return True
    if session and (not c.principal.flags & (P_HAS_SESSION | P_EXTRA_SESSION) or level_allow(c, own, 2) == NULL):
        verdict(a, IMPLICIT_DENY, LAYER_SESSION, REASON_NONE, NULL)
        return True
    return False


cdef inline bint identity_needed(const Principal* p) noexcept nogil:
    return not is_root(p) and not (p.kind == KIND_FED and p.flags & P_ISSUER_ROOT)


# -- grants: by the combining table (`kernel.model.combining`) -------------------------------------------------------------

cdef inline uint32_t grant_required(const Call* c) noexcept nogil:
    """Whether the resource policies have to allow also within the account (6.3)."""
    return (c.action.flags & ACT_STS_ROLE and c.is_role) or c.is_kms_key or c.action.flags & ACT_NEEDS_RESOURCE != 0


cdef inline uint32_t relation_of(const Call* c) noexcept nogil:
    cdef const Principal* p = c.principal
    cdef bint needed = identity_needed(p)
    cdef uint32_t required = grant_required(c)
    if has_no_account(p):
        return NO_ACCOUNT
    if not same_account(c) or (c.action.flags & ACT_SET_SOURCE_IDENTITY and is_role(p)):
        return OTHER_ACCOUNT if needed else OTHER_ACCOUNT_ROOT
    if is_root(p):
        return SAME_ACCOUNT_ROOT + required
    if p.kind != KIND_FED:
        return SAME_ACCOUNT + required
    return (SAME_ACCOUNT_FED if needed else SAME_ACCOUNT_FED_OF_ROOT) + required


cdef inline int grant_path(Call* c, const RequestPlans* r, RawDecision* a) noexcept nogil:
    cdef const Principal* p = c.principal
    cdef uint32_t relation = relation_of(c), needed
    cdef const StatementEntry* e = NULL
    cdef Grant g
    resource_grant(c, r.resource, sufficient_classes(relation), COMBINING[relation * COLUMNS + 4], &g)
    needed = needed_after(relation, g.classes)
    if needed == REFUSED:
        return verdict(a, IMPLICIT_DENY, LAYER_RESOURCE, REASON_NONE, NULL)
    if needed & NEEDS_IDENTITY:
        e = level_allow(c, r.own, 0)
        if e == NULL:
            return verdict(a, IMPLICIT_DENY, LAYER_IDENTITY, REASON_NONE, NULL)
    if needed & NEEDS_LIMITS and limit_fails(
        c, r.own, p.flags & (P_HAS_BOUNDARY | P_EXTRA_BOUNDARY) == P_HAS_BOUNDARY, session_policies_count(p), a
    ):
        return DONE
    if needed & BY_GRANT:
        return verdict(a, ALLOW, LAYER_RESOURCE, REASON_NONE, g.entry)
    return verdict(a, ALLOW, LAYER_IDENTITY, REASON_NONE, e)


cdef inline int decide(Call* c, RawDecision* a) noexcept nogil:
    cdef const Principal* p = c.principal
    cdef uint8_t reason
    cdef RequestPlans r
    if not p.flags & P_KNOWN:
        return verdict(a, IMPLICIT_DENY, LAYER_CREDENTIAL, REASON_UNKNOWN_PRINCIPAL, NULL)
    if is_always_allowed(c):
        return verdict(a, ALLOW, LAYER_SERVICE, REASON_ALWAYS_ALLOWED, NULL)
    if (c.action.flags >> (ACT_FORBID_SHIFT + p.credential)) & 1:
        return verdict(a, IMPLICIT_DENY, LAYER_CREDENTIAL, REASON_CREDENTIAL, NULL)
    if not find_plans(c, &r, a):
        return MISSING
    if find_first_deny(c, &r, a):
        return DONE
    if c.blocks_public and p.kind != KIND_SVC and (p.kind == KIND_ANON or not same_account(c)):
        return verdict(a, EXPLICIT_DENY, LAYER_SERVICE, REASON_PUBLIC_ACCESS, NULL)
    if r.scp.n and not every_level_allows(c, r.scp):
        return verdict(a, IMPLICIT_DENY, LAYER_SCP, REASON_NONE, NULL)
    if r.vpce.n and level_allow(c, r.vpce, 0) == NULL:
        return verdict(a, IMPLICIT_DENY, LAYER_VPCE, REASON_NONE, NULL)
    reason = service_refusal(c)
    if reason != REASON_NONE:
        return verdict(a, IMPLICIT_DENY, LAYER_SERVICE, reason, NULL)
    grant_path(c, &r, a)
    if a.outcome == ALLOW and p.flags & (P_EXTRA_BOUNDARY | P_EXTRA_SESSION):   # layers that the kind cannot have limit an allow (D6)
        limit_fails(c, r.own, p.flags & P_EXTRA_BOUNDARY != 0, p.flags & P_EXTRA_SESSION != 0, a)
    return DONE


cdef inline bint is_indeterminate(Call* c, const RawDecision* a) noexcept nogil:
    """Whether a denial depends on `U` (F6): its Deny applies through `U`, or with every `U` taken towards an allow it is an allow."""
    cdef RawDecision other
    cdef bint found
    cdef uint8_t allow = c.accept[0], deny = c.accept[1]
    if a.outcome == ALLOW or a.outcome == DEPENDS or a.layer == LAYER_CREDENTIAL:
        return False
    if a.outcome == EXPLICIT_DENY:
        return a.reason == REASON_UNKNOWN_ENDPOINT or (a.entry != NULL and entry_applies(c, a.entry, STRICT) == 0)
    c.accept[0] = allow | ACCEPT_U
    c.accept[1] = deny & ~ACCEPT_U
    found = decide(c, &other) == DONE and other.outcome == ALLOW
    c.accept[0] = allow
    c.accept[1] = deny
    return found


# -- the resource of a call -----------------------------------------------------------------------------------------------------

cdef inline bint arn_colons(Call* c) noexcept nogil:
    """The first five colons of the resource, and whether there are more, as far as its first 64 bytes show; False if there are fewer."""
    cdef uint64_t bits = byte_positions(c.resource.data, c.resource.size, 58)
    cdef int i
    for i in range(5):
        if bits == 0:
            return c.resource.size > 64 and five_colons(c.resource.data, c.resource.size, c.colons)
        c.colons[i] = narrow16(first_bit(bits))
        bits &= bits - 1
    if bits or c.resource.size <= 64:
        c.tail_has_colon = bits != 0
    return True


cdef inline bint cut_resource(Call* c) noexcept nogil:
    """Find the fields of the resource; False if it is neither `*` nor an ARN of six fields.

    A field that starts beyond 64 KiB makes it no ARN: the five short fields of a real one never reach that far.
    """
    cdef const char* p = c.resource.data
    c.is_star = c.resource.size == 1 and p[0] == 42
    c.tail_has_colon = COLON_UNKNOWN
    c.is_iam = False
    c.is_iam_entity = False
    c.is_role = False
    c.is_kms_key = False
    if c.is_star:
        return True
    if c.resource.size < 8 or p[0] != 97 or p[1] != 114 or p[2] != 110 or p[3] != 58:
        return False
    if not arn_colons(c):
        return False
    if c.colons[2] - c.colons[1] == 4:
        c.is_iam = memcmp(p + c.colons[1] + 1, b"iam", 3) == 0
        c.is_role = c.is_iam and resource_part_starts_with(c, b"role/", 5)
        c.is_iam_entity = c.is_role or (c.is_iam and resource_part_starts_with(c, b"user/", 5))
        c.is_kms_key = memcmp(p + c.colons[1] + 1, b"kms", 3) == 0 and resource_part_starts_with(c, b"key/", 4)
    return True
