"""One decision (spec 6.4): rows of every layer, denies in the order of D50, then what must allow. Header only.

`decide` never allocates and never looks at a policy that is not in the rows of (stack, action class). A row that does not
exist yet ends it with `MISSING`; the builder makes the row, and the call is decided again.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from fastiam._assert cimport promise
from fastiam._call cimport COLON_NOT_SOUGHT, ENDPOINT_KNOWN, ENDPOINT_UNKNOWN, Call, Fetched, field, is_to_count, peek
from fastiam._columns cimport Text
from fastiam._conditions cimport conditions_hold
from fastiam._principals cimport AS_U, counted_classes, exempt, is_alone, is_role, is_root, none_listed, principal_classes
from fastiam._glob cimport five_colons
from fastiam._hashes cimport AT_ONCE, Hashing, begin_hashing, gram_hashes, listed_in, piece_hashes, slot_of, split_hash, word_hashes
from fastiam._resources cimport not_resources_match, resources_match, tail_has_colon
from fastiam._bytes cimport first_bit, mix, places
from fastiam._types cimport *


cdef enum OutcomeCode:
    IMPLICIT_DENY = 0
    ALLOW = 1
    EXPLICIT_DENY = 2
    DEPENDS = 3                # only where keys are unknown (6.11)


cdef enum LayerCode:           # in the order of D50, as in `model.Layer`
    LAYER_RCP = 0
    LAYER_SCP = 1
    LAYER_VPCE = 2
    LAYER_RESOURCE = 3
    LAYER_IDENTITY = 4
    LAYER_BOUNDARY = 5
    LAYER_SESSION = 6
    LAYER_CREDENTIAL = 7
    LAYER_SERVICE = 8


cdef enum ReasonCode:          # as in `bulk.REASONS`
    REASON_UNKNOWN_OWNER = 0
    REASON_UNKNOWN_ENDPOINT = 1
    REASON_UNKNOWN_PRINCIPAL = 2
    REASON_ALWAYS_ALLOWED = 3
    REASON_HARD_RULE = 4
    REASON_ANONYMOUS = 5
    REASON_PASS_ROLE = 6
    REASON_PARTITION = 7
    REASON_CREDENTIAL = 8
    REASON_PUBLIC_ACCESS = 9
    REASON_NONE = 255


cdef enum Status:              # how an attempt to decide ends; all but DONE are settled with the GIL
    DONE = 0
    MISSING = 1                # the row of stack `missing` for this action
    NO_PRINCIPAL = 2           # not in the table of names
    NO_ACTION = 3
    NO_FACTS = 4               # the directory was not asked for this resource yet
    BAD_RESOURCE = 5           # no `*` and no ARN
    BAD_OWNER = 6              # `resource_account` is no account, or contradicts the record
    UNCHECKED = 7              # the caller gives a derived key: may contradict (K1)
    BAD_CONTEXT = 8            # several values of a single-valued key (C5)
    BAD_UNKNOWN = 9            # `aws:AssumedRoot` of a root principal cannot be unknown (D71)


cdef struct Answer:
    const Entry* entry         # the reported statement, or NULL
    uint32_t missing           # the stack whose row is not there
    uint32_t missing_flag      # WHOLE, or 0
    uint8_t outcome
    uint8_t layer
    uint8_t reason


# -- rows -------------------------------------------------------------------------------------------------------------

cdef inline uint64_t cell_key(uint32_t stack, uint32_t action) noexcept nogil:
    return ((<uint64_t>stack << 32) | action) + 1


cdef inline const uint32_t* grid_place(const TablesC* t, uint32_t stack, uint32_t action) noexcept nogil:
    """Where the grid holds the number of a row; NULL where it has no place for it."""
    if action >= t.cells.n_classes or stack >= t.cells.n_stacks:
        return NULL
    return &t.cells.grid[<size_t>action * t.cells.n_stacks + stack]


cdef inline const Row* row_at(const TablesC* t, uint64_t number) noexcept nogil:
    """A row by its number; the first one, whose `n` is 0, where it lies beyond this snapshot of the tables."""
    return &t.cells.rows[number if number < t.cells.n_rows else 0]


cdef inline uint64_t keyed_row(const TablesC* t, uint64_t key) noexcept nogil:
    """The number of a row that the grid has no place for, by the key of its cell; 0 where it is not there."""
    cdef uint32_t at = <uint32_t>mix(key) & t.cells.mask
    while t.cells.cells[at].key != 0:
        if t.cells.cells[at].key == key:
            return t.cells.cells[at].row
        at = (at + 1) & t.cells.mask
    return 0


cdef inline const Row* find_row(const TablesC* t, uint32_t stack, uint32_t action) noexcept nogil:
    """The row of a cell."""
    cdef const uint32_t* place = grid_place(t, stack, action)
    return row_at(t, keyed_row(t, cell_key(stack, action)) if place == NULL else place[0])


cdef inline uint32_t action_key(const Call* c, uint32_t stack) noexcept nogil:
    """What a cell of this stack goes by: the class of the action, or its name where the classes do not know the stack's patterns."""
    return c.action_class if stack < c.t.n_indexed_stacks else c.action_name | BY_NAME


# -- entries ------------------------------------------------------------------------------------------------------------

cdef inline bint is_gateway(const Call* c, const Entry* e) noexcept nogil:
    """The entry stands in the policy of a gateway endpoint (N17)."""
    return e.layer == LAYER_VPCE and c.endpoint != NULL and c.endpoint.is_gateway


cdef inline uint32_t entry_classes(Call* c, const Entry* e, uint8_t accept) noexcept nogil:
    """The match classes of the principal element that count; CLASS_STAR where there is none."""
    cdef bint gateway = is_gateway(c, e)
    cdef bint broad = accept & ACCEPT_U != 0
    cdef bint with_open = accept & ACCEPT_OPEN != 0
    cdef uint32_t classes
    cdef int found
    if e.principals == NONE:
        return CLASS_STAR
    if e.flags & ENTRY_NOT_PRINCIPAL:
        # what hinders the statement to apply is settled the other way round (D73)
        if e.flags & ENTRY_DENY:
            found = exempt(c, e.principals, gateway, not with_open)
            found = 1 - found if found != U else U
        else:
            found = none_listed(c, e.principals, gateway, not with_open)
        return CLASS_STAR if found == T or (found == U and broad) else 0
    classes = principal_classes(c, e.principals, gateway)
    if broad:
        return counted_classes(classes, e.flags & ENTRY_DENY != 0, with_open) | ((classes >> AS_U) & CLASS_ALL)
    return counted_classes(classes, e.flags & ENTRY_DENY != 0, with_open)


cdef inline uint32_t entry_counts(Call* c, const Entry* e, uint8_t accept) noexcept nogil:
    """The classes in which a statement applies, 0 if it does not; `accept` says which truths count (F3)."""
    return entry_counts_on(c, e, e.resources, accept)


cdef inline uint32_t entry_counts_on(Call* c, const Entry* e, uint32_t resources, uint8_t accept) noexcept nogil:
    """The same, on some of its patterns: it matches on one of them, or not at all."""
    cdef uint32_t classes = CLASS_STAR
    if e.flags & ENTRY_U and not accept & ACCEPT_U:
        return 0
    if resources != NONE:
        if e.flags & ENTRY_NOT_RESOURCE:
            if not not_resources_match(c, resources, accept):
                return 0
        elif not resources_match(c, resources, accept):
            return 0
    if e.principals != NONE:
        classes = entry_classes(c, e, accept)
        if classes == 0:
            return 0
    if e.conditions != NONE and not conditions_hold(c, e.conditions, accept):
        return 0
    return classes


# -- long runs: candidates by hash ----------------------------------------------------------------------------------------

cdef inline const Entry* first_listed(
    Call* c, const Run* run, const uint32_t* listed, uint32_t n, uint8_t accept, const Entry* best
) noexcept nogil:
    """The first entry that counts on an item of a list and stands before `best`."""
    cdef const Index* index = &c.t.indexes[run.index]
    cdef const Item* item
    cdef const Entry* e
    cdef uint32_t i
    for i in range(n):
        promise(listed[i] < index.n_items)
        item = &c.t.index_items[index.first_item + listed[i]]
        promise(item.entry < run.n)
        e = &c.t.entries[run.first + item.entry]
        if best != NULL and e >= best:
            break                                        # lists are in the order of the run
        if entry_counts_on(c, e, item.resources, accept):
            return e
    return best


cdef inline const Entry* first_slot(
    Call* c, const Run* run, const Index* index, uint32_t h, uint8_t accept, const Entry* best
) noexcept nogil:
    """`first_listed` over the entries under one hash."""
    cdef const IndexSlot* slot = slot_of(c.t, index, h)
    if slot == NULL:
        return best
    if slot.split != NONE:
        return first_split(c, run, index, slot, accept, best)
    return first_listed(c, run, listed_in(c.t, slot), slot.n, accept, best)


cdef inline const Entry* first_text(
    Call* c, const Run* run, const Index* index, uint32_t h, uint8_t accept, const Entry* best
) noexcept nogil:
    """The same, of a text of a split."""
    cdef const IndexSlot* slot = slot_of(c.t, index, h)
    return best if slot == NULL else first_listed(c, run, listed_in(c.t, slot), slot.n, accept, best)


cdef inline const Entry* first_reading(
    Call* c, const Run* run, const IndexSlot* slot, uint32_t key, uint8_t accept, const Entry* best
) noexcept nogil:
    """`first_listed` over entries none of which counts without a key, up to one that reads it."""
    cdef const uint32_t* listed = listed_in(c.t, slot)
    cdef uint32_t i
    for i in range(slot.n):
        if not is_to_count(c, key):
            break
        best = first_listed(c, run, listed + i, 1, accept, best)
    return best


cdef inline const Entry* first_split(
    Call* c, const Run* run, const Index* index, const IndexSlot* slot, uint8_t accept, const Entry* best
) noexcept nogil:
    """`first_listed` over entries that ask for different texts of a key: where it has one text, those that ask for another do not count."""
    cdef const Split* split = &c.t.index_splits[slot.split]
    cdef Fetched found
    if c.unknown != NULL:
        return first_listed(c, run, listed_in(c.t, slot), slot.n, accept, best)
    peek(c, split.key, 0, &found)
    if found.n > 1 or found.is_multi or found.is_conflict:   # U, or several texts
        return first_listed(c, run, listed_in(c.t, slot), slot.n, accept, best)
    if found.n == 1:
        best = first_text(
            c, run, index, split_hash(slot.hash, split.key, found.texts[0].data, found.texts[0].size, c.t.seed), accept, best
        )
    else:
        best = first_reading(c, run, slot, split.key, accept, best)
    if best != NULL and not c.reasons:
        return best
    return first_listed(c, run, &c.t.index_lists[split.rest], split.n_rest, accept, best)


cdef inline const Entry* first_known(
    Call* c, const Run* run, const Index* index, const uint32_t* hashes, uint32_t n, uint8_t accept, const Entry* best
) noexcept nogil:
    """The same, over hashes of a request."""
    cdef uint32_t k
    for k in range(n):
        best = first_slot(c, run, index, hashes[k], accept, best)
        if best != NULL and not c.reasons:
            break
    return best


cdef inline const Entry* first_gram(
    Call* c, const Run* run, const Index* index, const Shape* shape, uint8_t accept, const Entry* best
) noexcept nogil:
    """Entries that some bytes of field 6 point to."""
    cdef const char* p = c.resource.data + c.colons[4] + 1
    cdef int64_t n = c.resource.data + c.resource.size - shape.size - p + 1, size
    cdef uint32_t hashes[AT_ONCE]
    while n > 0 and (best == NULL or c.reasons):
        size = min(n, <int64_t>AT_ONCE)
        best = first_known(c, run, index, hashes, gram_hashes(c.t, index, shape[0], p, size, hashes), accept, best)
        p += size
        n -= size
    return best


cdef inline const Entry* first_word(Call* c, const Run* run, const Index* index, uint8_t accept, const Entry* best) noexcept nogil:
    """Entries that the words of field 6 point to."""
    cdef const char* tail = c.resource.data + c.colons[4] + 1
    cdef int64_t size = c.resource.data + c.resource.size - tail, at = 0
    cdef uint32_t hashes[AT_ONCE]
    while at < size and (best == NULL or c.reasons):
        best = first_known(c, run, index, hashes, word_hashes(c.t, index, tail, size, &at, hashes), accept, best)
    return best


cdef inline const Entry* first_shaped(Call* c, const Run* run, const Index* index, uint8_t accept, const Entry* best) noexcept nogil:
    """Entries that the hashes of the resource point to."""
    cdef const Shape* shapes = &c.t.shapes[index.first_shape]
    cdef Hashing h
    cdef uint32_t hashes[AT_ONCE]
    cdef uint32_t i
    begin_hashing(&h, c.t, c.resource.data, c.resource.size, &c.colons[0])
    for i in range(index.n_shapes):
        if shapes[i].kind == SHAPE_WORD:
            best = first_word(c, run, index, accept, best)
        elif shapes[i].kind < SHAPE_WORD:
            best = first_known(c, run, index, hashes, piece_hashes(c.t, index, shapes[i], &h, hashes), accept, best)
        elif shapes[i].kind == SHAPE_GRAM or (accept & ACCEPT_U and tail_has_colon(c)):
            best = first_gram(c, run, index, &shapes[i], accept, best)
        if best != NULL and not c.reasons:
            return best
    return best


cdef inline const Entry* first_indexed(Call* c, const Run* run, uint8_t accept) noexcept nogil:
    """As `first_counting`, for a run with an index."""
    cdef const Index* index = &c.t.indexes[run.index]
    cdef const Entry* best = NULL
    if index.always.split != NONE:
        best = first_split(c, run, index, &index.always, accept, best)
    elif index.always.n:
        best = first_listed(c, run, listed_in(c.t, &index.always), index.always.n, accept, best)
    if c.is_star or (best != NULL and not c.reasons):
        return best
    if accept & ACCEPT_U and index.n_crossing and tail_has_colon(c):
        best = first_listed(c, run, &c.t.index_lists[index.crossing], index.n_crossing, accept, best)
        if best != NULL and not c.reasons:
            return best
    return first_shaped(c, run, index, accept, best)


cdef inline const Entry* first_counting(Call* c, const Run* run, uint8_t accept) noexcept nogil:
    """The first entry of a run that counts (D51), or NULL; any one that counts where nobody asks for the reason."""
    cdef const Entry* e = &c.t.entries[run.first]
    cdef uint32_t i
    promise(run.first + run.n <= c.t.n_entries)
    if run.n == 0:
        return NULL
    if run.flags & RUN_ALL and not c.reasons:
        return e + run.n - 1                             # INVARIANT: the entry that always counts is the last
    if run.index != NONE:
        return first_indexed(c, run, accept)
    for i in range(run.n):
        if entry_counts(c, e + i, accept):
            return e + i
    return NULL


# -- what needs no policy ---------------------------------------------------------------------------------------------------

cdef inline bint always_allowed(const Call* c) noexcept nogil:
    """6.3: `sts:GetCallerIdentity` by anyone authenticated, `sts:GetSessionToken` with long-term keys."""
    cdef uint8_t kind = c.principal.kind
    if c.action.flags & ACT_CALLER_IDENTITY:
        return kind <= KIND_SVC
    if c.action.flags & ACT_SESSION_TOKEN:
        return (kind == KIND_USER or kind == KIND_ROOT) and not c.principal.flags & P_TEMPORARY
    return False


cdef inline bint tail_starts(const Call* c, const char* text, int64_t n) noexcept nogil:
    cdef int64_t at = c.colons[4] + 1
    return c.resource.size - at >= n and memcmp(c.resource.data + at, text, <size_t>n) == 0


cdef inline bint service_is(const Call* c, const char* text, int64_t n) noexcept nogil:
    return not c.is_star and c.colons[2] - c.colons[1] - 1 == n and memcmp(c.resource.data + c.colons[1] + 1, text, <size_t>n) == 0


cdef inline bint hard_rule(const Call* c) noexcept nogil:
    """Changes to what AWS owns (D17)."""
    cdef uint32_t flags = c.action.flags
    cdef Text account
    if not flags & (ACT_HARD_POLICY | ACT_HARD_RESERVED | ACT_HARD_LINKED | ACT_HARD_ALIAS) or c.is_star:
        return False
    if flags & ACT_HARD_ALIAS:
        return service_is(c, b"kms", 3) and tail_starts(c, b"alias/aws/", 10)
    if not c.is_iam:
        return False
    if tail_starts(c, b"policy/", 7):
        account = field(c, 3)
        return flags & ACT_HARD_POLICY and account.size == 3 and memcmp(account.data, b"aws", 3) == 0
    if tail_starts(c, b"role/aws-reserved/", 18):
        return flags & ACT_HARD_RESERVED != 0
    return flags & ACT_HARD_LINKED and tail_starts(c, b"role/aws-service-role/", 22)


cdef inline bint same_account(const Call* c) noexcept nogil:
    if c.principal.account == NONE or not c.owner_known:
        return c.principal.account == NONE and not c.owner_known
    return memcmp(c.principal.account_id, c.owner.data, 12) == 0


cdef inline uint8_t service_refusal(const Call* c) noexcept nogil:
    """The reason for an implicit deny in layer `service`, the first of 6.4."""
    if hard_rule(c):
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

cdef struct Rows:              # of a request; `n` is 0 where the layer does not apply
    Row rcp
    Row scp
    Row vpce
    Row resource
    Row own


cdef inline bint rcp_applies(const Call* c) noexcept nogil:
    """D14, D15."""
    if c.rcp_stack == NONE or c.principal.kind == KIND_SLR or not c.action.flags & ACT_RCP or c.action.flags & ACT_RETIRE_GRANT:
        return False
    return not (c.action.flags & ACT_STS_ROLE and c.is_role and tail_starts(c, b"role/aws-service-role/", 22))


cdef inline bint scp_applies(const Call* c) noexcept nogil:
    """D11, D12."""
    return (
        c.principal.flags & P_HAS_SCP and c.principal.kind != KIND_SLR and not is_alone(c.principal)
        and not c.action.flags & ACT_SCP_EXEMPT
    )


cdef inline bint resource_policy_governs(const Call* c) noexcept nogil:
    """6.3 (iam:PassRole), 6.10 (trust policies, log groups)."""
    if c.resource_stack == NONE or c.action.flags & ACT_PASS_ROLE:
        return False
    if c.resource_governs & RECORD_TRUST and not c.action.flags & ACT_TRUST:
        return False
    return not (c.resource_governs & RECORD_SERVICE and c.principal.kind != KIND_SVC)


cdef inline bint want(Call* c, bint applies, uint32_t stack, Row* row, Answer* a) noexcept nogil:
    row[0] = c.t.cells.rows[0]
    if not applies:
        return True
    row[0] = find_row(c.t, stack, action_key(c, stack))[0]
    if row.n == 0:
        a.missing = stack
        a.missing_flag = 0
        return False
    return True


cdef inline bint find_rows(Call* c, Rows* r, Answer* a) noexcept nogil:
    cdef bint vpce = c.endpoint_state == ENDPOINT_KNOWN and c.endpoint.stack != NONE and c.principal.kind != KIND_SVC
    r.own = c.own
    return (
        (r.own.n > 0 or want(c, True, c.principal.own_stack, &r.own, a))
        and want(c, scp_applies(c), c.principal.scp_stack, &r.scp, a)
        and want(c, resource_policy_governs(c), c.resource_stack, &r.resource, a)
        and want(c, rcp_applies(c), c.rcp_stack, &r.rcp, a)
        and want(c, vpce, c.endpoint.stack if vpce else NONE, &r.vpce, a)
    )


cdef inline int verdict(Answer* a, uint8_t outcome, uint8_t layer, uint8_t reason, const Entry* entry) noexcept nogil:
    promise(outcome <= DEPENDS and layer <= LAYER_SERVICE)
    a.outcome = outcome
    a.layer = layer
    a.reason = reason
    a.entry = entry
    return DONE


cdef inline bint denied(Call* c, Row row, Answer* a) noexcept nogil:
    cdef const Entry* e
    if not row.flags & ROW_DENIES:
        return False
    e = first_counting(c, &c.t.runs[row.first], c.accept[1])
    if e == NULL:
        return False
    verdict(a, EXPLICIT_DENY, e.layer, REASON_NONE, e)
    return True


cdef inline bint endpoint_denies(Call* c) noexcept nogil:
    """The endpoint is not known (D40); where the caller does not say which it is, the best is that there is none (D71)."""
    if c.endpoint_state != ENDPOINT_UNKNOWN or c.principal.kind == KIND_SVC:
        return False
    if c.endpoint_open:
        c.met_open = True
    return not (c.endpoint_open and c.best)


cdef inline bint any_deny(Call* c, const Rows* r, Answer* a) noexcept nogil:
    """The first applicable Deny in the order of D50."""
    if denied(c, r.rcp, a) or denied(c, r.scp, a):
        return True
    if endpoint_denies(c):
        verdict(a, EXPLICIT_DENY, LAYER_VPCE, REASON_UNKNOWN_ENDPOINT, NULL)
        return True
    return denied(c, r.vpce, a) or denied(c, r.resource, a) or denied(c, r.own, a)


cdef inline const Entry* segment_allow(Call* c, Row row, uint32_t segment) noexcept nogil:
    promise(segment + 1 < row.n)
    return first_counting(c, &c.t.runs[row.first + 1 + segment], c.accept[0])


cdef inline bint every_level_allows(Call* c, Row row) noexcept nogil:
    """D10; no level at all allows nothing."""
    cdef uint32_t i
    if row.flags & ROW_PASSES:
        return True
    for i in range(1, row.n):
        if segment_allow(c, row, i - 1) == NULL:
            return False
    return row.n > 1


cdef struct Grant:             # what the resource policies allow
    uint32_t classes           # M
    const Entry* entry         # the first statement with a class that suffices


cdef inline void resource_grant(Call* c, Row row, uint32_t sufficient, uint32_t bypass, Grant* g) noexcept nogil:
    """`M` of 6.4, up to the first class that decides by itself (`bypass`)."""
    cdef const Run* run
    cdef const Entry* e
    cdef uint32_t i, found
    g.classes = 0
    g.entry = NULL
    if row.n == 0:
        return
    run = &c.t.runs[row.first + 1]
    for i in range(run.n):
        e = &c.t.entries[run.first + i]
        found = entry_counts(c, e, c.accept[0])
        if found == 0:
            continue
        g.classes |= found
        if g.entry == NULL and found & sufficient:
            g.entry = e
        if g.classes & bypass:
            return


cdef inline bint bound_ok(Call* c, Row own) noexcept nogil:
    """The boundary, where the kind has one: segment 1."""
    if not c.principal.flags & P_HAS_BOUNDARY or c.principal.flags & P_EXTRA_BOUNDARY:
        return True
    return segment_allow(c, own, 1) != NULL


cdef inline bint session_ok(Call* c, Row own) noexcept nogil:
    """Session policies, where the kind has them; mandatory for FED and AROOT: segment 2."""
    if c.principal.flags & P_EXTRA_SESSION:
        return True
    if not c.principal.flags & P_HAS_SESSION:
        return c.principal.kind != KIND_FED and c.principal.kind != KIND_AROOT
    return segment_allow(c, own, 2) != NULL


cdef inline bint strays(Call* c, Row own, Answer* a) noexcept nogil:
    """Layers that the kind cannot have still limit an allow (D6)."""
    if c.principal.flags & P_EXTRA_BOUNDARY and segment_allow(c, own, 1) == NULL:
        verdict(a, IMPLICIT_DENY, LAYER_BOUNDARY, REASON_NONE, NULL)
        return True
    if c.principal.flags & P_EXTRA_SESSION and segment_allow(c, own, 2) == NULL:
        verdict(a, IMPLICIT_DENY, LAYER_SESSION, REASON_NONE, NULL)
        return True
    return False


cdef inline bint within_limits(Call* c, Row own, Answer* a) noexcept nogil:
    if not bound_ok(c, own):
        verdict(a, IMPLICIT_DENY, LAYER_BOUNDARY, REASON_NONE, NULL)
        return False
    if not session_ok(c, own):
        verdict(a, IMPLICIT_DENY, LAYER_SESSION, REASON_NONE, NULL)
        return False
    return True


cdef inline bint identity_needed(const Principal* p) noexcept nogil:
    return not is_root(p) and not (p.kind == KIND_FED and p.flags & P_ISSUER_ROOT)


cdef inline int identity_path(Call* c, const Rows* r, const Entry* granted, Answer* a) noexcept nogil:
    """Identity, then its limits; ALLOW is reported in `resource` with `granted` where the caller says so."""
    cdef const Entry* e = NULL
    cdef bint needed = identity_needed(c.principal)
    if needed:
        e = segment_allow(c, r.own, 0)
        if e == NULL:
            return verdict(a, IMPLICIT_DENY, LAYER_IDENTITY, REASON_NONE, NULL)
    if not within_limits(c, r.own, a):
        return DONE
    if granted != NULL and not needed:
        return verdict(a, ALLOW, LAYER_RESOURCE, REASON_NONE, granted)
    return verdict(a, ALLOW, LAYER_IDENTITY, REASON_NONE, e)


cdef inline int root_path(Call* c, const Rows* r, const Grant* g, bint required, Answer* a) noexcept nogil:
    if required and g.classes == 0:
        return verdict(a, IMPLICIT_DENY, LAYER_RESOURCE, REASON_NONE, NULL)
    if not session_ok(c, r.own):
        return verdict(a, IMPLICIT_DENY, LAYER_SESSION, REASON_NONE, NULL)
    if g.classes:
        return verdict(a, ALLOW, LAYER_RESOURCE, REASON_NONE, g.entry)
    return verdict(a, ALLOW, LAYER_IDENTITY, REASON_NONE, NULL)


cdef inline int same_account_path(Call* c, const Rows* r, Answer* a) noexcept nogil:
    """6.4 `same_account`, with the rows of 6.5."""
    cdef bint is_fed = c.principal.kind == KIND_FED
    cdef bint required = (
        (c.action.flags & ACT_STS_ROLE and c.is_role) or c.is_kms_key or c.action.flags & ACT_NEEDS_RESOURCE
    )
    cdef uint32_t bypass = CLASS_D if is_fed else CLASS_D | CLASS_STAR
    cdef uint32_t sufficient = CLASS_ALL
    cdef Grant g
    if identity_needed(c.principal):
        sufficient = bypass | CLASS_R | CLASS_P
    resource_grant(c, r.resource, sufficient, bypass, &g)
    if is_root(c.principal):
        return root_path(c, r, &g, required, a)
    if g.classes & bypass:
        return verdict(a, ALLOW, LAYER_RESOURCE, REASON_NONE, g.entry)
    if g.classes & (CLASS_R | CLASS_P):
        if within_limits(c, r.own, a):
            return verdict(a, ALLOW, LAYER_RESOURCE, REASON_NONE, g.entry)
        return DONE
    if required and g.classes == 0:
        return verdict(a, IMPLICIT_DENY, LAYER_RESOURCE, REASON_NONE, NULL)
    return identity_path(c, r, g.entry if required else NULL, a)


cdef inline int grant_path(Call* c, const Rows* r, Answer* a) noexcept nogil:
    cdef Grant g
    cdef bint chained = c.action.flags & ACT_SET_SOURCE_IDENTITY and is_role(c.principal)
    if not is_alone(c.principal) and same_account(c) and not chained:
        return same_account_path(c, r, a)
    resource_grant(c, r.resource, CLASS_ALL, CLASS_ALL, &g)
    if g.classes == 0:
        return verdict(a, IMPLICIT_DENY, LAYER_RESOURCE, REASON_NONE, NULL)
    if is_alone(c.principal):
        return verdict(a, ALLOW, LAYER_RESOURCE, REASON_NONE, g.entry)
    return identity_path(c, r, g.entry, a)


cdef inline int decide(Call* c, Answer* a) noexcept nogil:
    cdef const Principal* p = c.principal
    cdef uint8_t reason
    cdef Rows r
    if not p.flags & P_KNOWN:
        return verdict(a, IMPLICIT_DENY, LAYER_CREDENTIAL, REASON_UNKNOWN_PRINCIPAL, NULL)
    if always_allowed(c):
        return verdict(a, ALLOW, LAYER_SERVICE, REASON_ALWAYS_ALLOWED, NULL)
    if (c.action.flags >> (ACT_FORBID_SHIFT + p.credential)) & 1:
        return verdict(a, IMPLICIT_DENY, LAYER_CREDENTIAL, REASON_CREDENTIAL, NULL)
    if not find_rows(c, &r, a):
        return MISSING
    if any_deny(c, &r, a):
        return DONE
    if c.blocks_public and p.kind != KIND_SVC and (p.kind == KIND_ANON or not same_account(c)):
        return verdict(a, EXPLICIT_DENY, LAYER_SERVICE, REASON_PUBLIC_ACCESS, NULL)
    if r.scp.n and not every_level_allows(c, r.scp):
        return verdict(a, IMPLICIT_DENY, LAYER_SCP, REASON_NONE, NULL)
    if r.vpce.n and segment_allow(c, r.vpce, 0) == NULL:
        return verdict(a, IMPLICIT_DENY, LAYER_VPCE, REASON_NONE, NULL)
    reason = service_refusal(c)
    if reason != REASON_NONE:
        return verdict(a, IMPLICIT_DENY, LAYER_SERVICE, reason, NULL)
    grant_path(c, &r, a)
    if a.outcome == ALLOW and p.flags & (P_EXTRA_BOUNDARY | P_EXTRA_SESSION):
        strays(c, r.own, a)
    return DONE


cdef inline bint is_indeterminate(Call* c, const Answer* a) noexcept nogil:
    """Whether a denial rests on `U` (F6): its Deny applies through `U`, or with every `U` in the caller's favour it is an allow."""
    cdef Answer other
    cdef bint found
    cdef uint8_t allow = c.accept[0], deny = c.accept[1]
    if a.outcome == ALLOW or a.outcome == DEPENDS or a.layer == LAYER_CREDENTIAL:
        return False
    if a.outcome == EXPLICIT_DENY:
        return a.reason == REASON_UNKNOWN_ENDPOINT or (a.entry != NULL and entry_counts(c, a.entry, STRICT) == 0)
    c.accept[0] = allow | ACCEPT_U
    c.accept[1] = deny & ~ACCEPT_U
    found = decide(c, &other) == DONE and other.outcome == ALLOW
    c.accept[0] = allow
    c.accept[1] = deny
    return found


# -- the resource of a call -----------------------------------------------------------------------------------------------------

cdef inline bint arn_colons(Call* c) noexcept nogil:
    """The first five colons of the resource, and whether there are more, where the first 64 bytes tell; False if there are fewer."""
    cdef uint64_t bits = places(c.resource.data, c.resource.size, 58)
    cdef int i
    for i in range(5):
        if bits == 0:
            return c.resource.size > 64 and five_colons(c.resource.data, c.resource.size, c.colons)
        c.colons[i] = <uint16_t>first_bit(bits)
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
    c.tail_has_colon = COLON_NOT_SOUGHT
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
        c.is_role = c.is_iam and tail_starts(c, b"role/", 5)
        c.is_iam_entity = c.is_role or (c.is_iam and tail_starts(c, b"user/", 5))
        c.is_kms_key = memcmp(p + c.colons[1] + 1, b"kms", 3) == 0 and tail_starts(c, b"key/", 4)
    return True
