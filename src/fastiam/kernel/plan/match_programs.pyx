"""Match programs: the statements of a plan as match ops, so that a pass need not follow pointers to patterns and conditions.

A plan has either a program for all its statements, if it has few, or none.
"""
from libc.stdint cimport int8_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from fastiam.kernel.base.arn cimport account_number
from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8, promise
from fastiam.kernel.base.text cimport first_bit
from fastiam.kernel.eval.literals cimport MAX_END_PREFIX, MAX_END_SUFFIX, MAX_PREFIX, MAX_MID, MAX_SUFFIX
from fastiam.kernel.model.combining cimport SAME_ACCOUNT, needed_after
from fastiam.kernel.model.decision cimport LAYER_BOUNDARY, LAYER_RESOURCE, LAYER_SCP, LAYER_SESSION
from fastiam.kernel.model.match_ops cimport account_bit, principal_fingerprint
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.patterns cimport MAX_COLON


cdef enum:
    MAX_PROGRAM = 64           # of a row, without those of limits
    MAX_LIMIT_OPS = 32         # of these
    LOAD = 16                  # bytes that are read at once
    MAX_CONDITION_INDEX = 1 << 16  # conditions of a statement that are asked one by one (`kernel.decide.condition_batch`)


# -- match programs --------------------------------------------------------------------------------------------------------------

cdef int build_program(Planner self, Plan* plan) except -1:
    """Append the denies and the first allows of a plan as ops, if they are few, and with them those of its limits."""
    cdef StatementRun* runs = <StatementRun*>self.runs.data + plan.first
    cdef StatementRun* limits[3]                     # the allows
    cdef MatchOp match_ops[2 * (MAX_PROGRAM + MAX_LIMIT_OPS)]  # those of groups come after the others are there
    cdef uint32_t denies = append_run_ops(self, runs, match_ops, 0, MAX_PROGRAM), n = denies
    cdef bint of_scps = plan.n > 1 and runs[1].layer == LAYER_SCP
    limits[0] = runs + 1 if plan.n > 1 else NULL
    limits[1] = runs + 2 if plan.n > 2 and runs[2].layer == LAYER_BOUNDARY and not runs[2].flags & RUN_ALL else NULL
    limits[2] = runs + 3 if plan.n > 3 and runs[3].layer == LAYER_SESSION and not runs[3].flags & RUN_ALL else NULL
    if of_scps and not find_levels(self, plan, limits):
        return 0
    if limits[0] != NULL:
        n = append_run_ops(self, limits[0], match_ops, denies, MAX_PROGRAM)
    if n > MAX_PROGRAM or (n == 0 and plan.flags & (PLAN_HAS_DENY | PLAN_HAS_ALLOW) and not of_scps):
        return 0
    plan.flags |= PLAN_HAS_PROGRAM
    plan.n_deny_ops = narrow8(denies)
    plan.n_ops = narrow8(n)
    n = append_limit_ops(self, plan, limits, match_ops)
    if of_scps and not plan.flags & PLAN_LIMITS_HAVE_PROGRAM:
        plan.flags &= ~PLAN_HAS_PROGRAM
    if n:
        plan.program = self.match_ops.n              # else the first one of all, which can be read
        memcpy(self._push(&self.match_ops, n), match_ops, n * sizeof(MatchOp))
    return 0


cdef bint find_levels(Planner self, Plan* plan, StatementRun** limits):
    """Find the levels of SCPs that do not allow everything, and clear the flags of those that are there; False where these are too many."""
    cdef StatementRun* runs = <StatementRun*>self.runs.data + plan.first
    cdef uint32_t i, n = 0
    limits[0] = limits[1] = limits[2] = NULL
    plan.flags |= PLAN_ALLOWS_ALL | PLAN_BOUNDARY_ALLOWS_ALL | PLAN_SESSION_ALLOWS_ALL
    for i in range(1, plan.n):
        if runs[i].flags & RUN_ALL:
            continue
        if n == 3:
            return False
        limits[n] = runs + i
        plan.flags &= ~<uint8_t>(PLAN_ALLOWS_ALL if n == 0 else PLAN_BOUNDARY_ALLOWS_ALL << (n - 1))
        n += 1
    return True


cdef uint32_t append_limit_ops(Planner self, Plan* plan, StatementRun** limits, MatchOp* match_ops) except? 0xFFFFFFFE:
    """Append the ops of a boundary and of session policies to those of a plan, if they are few; how many it has then. Or of the second
    and third level of SCPs."""
    cdef uint32_t bound = plan.n_ops, session
    if limits[1] != NULL:
        bound = append_run_ops(self, limits[1], match_ops, bound, MAX_PROGRAM + MAX_LIMIT_OPS)
    session = bound
    if limits[2] != NULL:
        session = append_run_ops(self, limits[2], match_ops, bound, MAX_PROGRAM + MAX_LIMIT_OPS)
    if session > MAX_PROGRAM + MAX_LIMIT_OPS:
        return plan.n_ops
    plan.flags |= PLAN_LIMITS_HAVE_PROGRAM
    plan.n_boundary_ops = narrow8(bound - plan.n_ops)
    plan.n_session_ops = narrow8(session - bound)
    return session


cdef uint32_t append_run_ops(Planner self, StatementRun* run, MatchOp* match_ops, uint32_t n, uint32_t most) except? 0xFFFFFFFE:
    """Append the ops of a run to the `n` that are there; how many these are, more than `most` if they are not few."""
    cdef uint32_t j, first = n, n_probes
    if n > most or run.n == 0:
        return n
    for j in range(run.n):
        if n <= most:
            n = append_ops(self, run.first + j, match_ops, n)
    if n > most:
        n_probes = n - first
    else:
        n = group_ops(self, match_ops, first, n)
        n_probes = count_probes(self, match_ops, first, n)
    if n_probes < self.index_from or is_grant(self, run):
        return n
    if run.index == NONE:
        run.index = build_index(self, run.first, run.n)
    if n <= most and n_probes < self.index_from + n_unindexed(self, run):
        return n
    return run_op(self, run, match_ops, first)


cdef uint32_t n_unindexed(Planner self, const StatementRun* run):
    """How many items of a run are evaluated for any request."""
    cdef const Index* index = <const Index*>self.indexes.data + run.index
    return index.always.n if index.always.split == NONE else 0


cdef bint is_grant(Planner self, const StatementRun* run):
    """Its statements are allows of a resource's policy: these are evaluated one by one."""
    cdef const StatementEntry* e = <const StatementEntry*>self.entries.data + run.first
    return e.layer == LAYER_RESOURCE and not e.flags & ENTRY_DENY


cdef uint32_t count_probes(Planner self, const MatchOp* match_ops, uint32_t first, uint32_t n):
    """How many probes ops may take: of a group, one for it and those whose fingerprints are the same."""
    cdef uint32_t n_probes = 0
    while first < n:
        n_probes += 1
        if match_ops[first].first == STEP_GROUP_FILTER:
            n_probes += n_equal_fingerprints(
                self, match_ops + first + 1, match_ops[first].prefix_size, match_ops[first].min_size, match_ops[first].mid_offset
            )
            first += match_ops[first].prefix_size
        first += 1
    return n_probes


cdef uint32_t run_op(Planner self, const StatementRun* run, MatchOp* match_ops, uint32_t n) except? 0xFFFFFFFE:
    """Append one op for a whole run to the `n` that are there; how many these are. Each item of its index gets one, apart from them."""
    cdef const Index* index = <const Index*>self.indexes.data + run.index
    cdef const IndexItem* item
    cdef MatchOp f = statement_op(self, run.first)
    cdef uint32_t j, first = self.match_ops.n
    self._push(&self.match_ops, index.n_items)
    for j in range(index.n_items):
        item = <const IndexItem*>self.index_items.data + index.first_item + j
        f = statement_op(self, run.first + item.entry)
        if item.resources != NONE and f.first != STEP_FULL_EVAL:
            if item.resources & ONE and not (<const StatementEntry*>self.entries.data)[run.first + item.entry].flags & ENTRY_NOT_RESOURCE:
                pattern_op(self, &f, item.resources ^ ONE)
            else:
                f.first = STEP_FULL_EVAL
        (<MatchOp*>self.match_ops.data)[first + j] = f
    memset(&match_ops[n], 0, sizeof(MatchOp))
    match_ops[n].flags = f.flags & MATCHOP_DENY
    match_ops[n].entry = narrow32(run - <const StatementRun*>self.runs.data)
    match_ops[n].conditions = run.index
    match_ops[n].operand.first_item = first
    match_ops[n].first = STEP_INDEX_PROBE
    match_ops[n].skip.filter_bit = FILTER_BIT_ALWAYS
    if run.flags & RUN_ALL:                          # the last one always counts
        match_ops[n + 1] = f
        return n + 2
    return n + 1


cdef uint32_t append_ops(Planner self, uint32_t entry, MatchOp* match_ops, uint32_t n) except? 0xFFFFFFFE:
    """Append the ops of a statement to the `n` that are there, while there is room; how many these are, or would be."""
    cdef const StatementEntry* e = <const StatementEntry*>self.entries.data + entry
    cdef const uint32_t* patterns
    cdef MatchOp f = statement_op(self, entry)
    cdef uint32_t i, n_patterns, only
    if e.resources == NONE or f.first == STEP_FULL_EVAL:
        if n < MAX_PROGRAM + MAX_LIMIT_OPS:
            match_ops[n] = f
        return n + 1
    patterns = members_of(e.resources, self.t.resource_elements, self.t.pattern_lists, &only, &n_patterns)
    for i in range(n_patterns):
        if n + i < MAX_PROGRAM + MAX_LIMIT_OPS:
            match_ops[n + i] = f
            pattern_op(self, &match_ops[n + i], patterns[i])
    return n + n_patterns


cdef MatchOp statement_op(Planner self, uint32_t entry):
    """The op of a statement, without its patterns."""
    cdef const StatementEntry* e = <const StatementEntry*>self.entries.data + entry
    cdef uint8_t several = False
    cdef MatchOp f
    memset(&f, 0, sizeof(MatchOp))
    f.entry = entry
    f.conditions = e.conditions
    f.flags = MATCHOP_DENY if e.flags & ENTRY_DENY else 0
    f.flags |= e.layer << MATCHOP_LAYER_SHIFT
    f.skip.filter_bit = FILTER_BIT_ALWAYS
    f.first = STEP_MATCHED
    if e.conditions != NONE:
        f.first = STEP_CONDITION
        f.operand.atom = e.conditions ^ ONE
        if not e.conditions & ONE:
            f.operand.atom = (<const uint32_t*>self.atom_lists.data)[(<const Range*>self.condition_lists.data)[e.conditions].first]
    if e.principals != NONE and not is_about_all(self, e):
        f.flags |= MATCHOP_HAS_PRINCIPAL
        f.operand.account = accounts_of(self, e, &several)
        if several and e.flags & ENTRY_DENY:
            f.operand.account = 0
        if f.operand.account and not e.flags & ENTRY_DENY:
            f.skip.hint = narrow8(hint_of(self, e) | 1 << HINT_KNOWN_SHIFT | several << HINT_SEVERAL_SHIFT)
        f.first = STEP_PRINCIPAL
    if e.flags & ~<uint8_t>ENTRY_DENY or has_too_many(self, e.conditions):
        f.first = STEP_FULL_EVAL
    return f


cdef bint has_too_many(Planner self, uint32_t conditions):
    """Whether a statement has more conditions than step queues count."""
    return conditions != NONE and not conditions & ONE and (<const Range*>self.condition_lists.data)[conditions].n > MAX_CONDITION_INDEX


cdef bint is_about_all(Planner self, const StatementEntry* e):
    """Its principal element holds `*`: every user or role. Of services: `may_leave_services_out`."""
    cdef Range list = (<const Range*>self.principal_elements.data)[e.principals]
    cdef uint32_t i, form
    for i in range(list.n):
        form = (<const PrincipalToken*>self.tokens.data)[list.first + i].form
        if form == FORM_STAR or form == FORM_AWS_STAR:
            return not e.flags & ENTRY_NOT_PRINCIPAL
    return False


cdef bint may_leave_services_out(Planner self, const StatementEntry* e):
    """Its principal element holds `{"AWS": "*"}`, for which it is not known whether services are meant (N12)."""
    cdef Range list = (<const Range*>self.principal_elements.data)[e.principals]
    cdef uint32_t i
    for i in range(list.n):
        if (<const PrincipalToken*>self.tokens.data)[list.first + i].form == FORM_AWS_STAR:
            return True
    return False


cdef uint32_t accounts_of(Planner self, const StatementEntry* e, uint8_t* several):
    """The lower half of the number of the only account whose users and roles a principal element names, and no services, or the bits of
    several; NONE: it names only services, or no principal; 0: that is not known."""
    cdef Range list = (<const Range*>self.principal_elements.data)[e.principals]
    cdef const PrincipalToken* k
    cdef PoolText text
    cdef const char* p
    cdef uint64_t number
    cdef uint32_t i, symbol, found = NONE, bits = 0
    cdef bint services = False
    if e.flags & ENTRY_NOT_PRINCIPAL:
        return 0
    for i in range(list.n):
        k = <const PrincipalToken*>self.tokens.data + list.first + i
        services = services or k.form == FORM_SERVICE
        if k.form == FORM_SERVICE or k.form == FORM_FEDERATED_USER or k.form == FORM_NEVER:
            continue                                 # neither user nor role
        symbol = k.value if k.form == FORM_ACCOUNT or k.form == FORM_ROLE else k.other
        if not FORM_ACCOUNT <= k.form <= FORM_SESSION or symbol >= self.symbols.texts.n:
            return 0
        text = (<const PoolText*>self.symbols.texts.data)[symbol]
        p = <const char*>self.pool.data + text.text
        if k.form == FORM_ROLE or k.form == FORM_SESSION:    # partition, account and name
            p = <const char*>memchr(p, 0, text.size)
            p = p + 1 if p != NULL and <const char*>self.pool.data + text.text + text.size - p > ACCOUNT_SIZE else NULL
        elif text.size != ACCOUNT_SIZE:
            p = NULL
        if p == NULL or not account_number(p, ACCOUNT_SIZE, &number) or <uint32_t>number == NONE:
            return 0
        several[0] |= found != NONE and found != <uint32_t>number
        found = <uint32_t>number
        bits |= account_bit(found)
    if services and found != NONE:
        return 0
    return bits if several[0] else found


cdef uint8_t hint_of(Planner self, const StatementEntry* e):
    """Whom of the accounts that it is about a principal element names."""
    cdef Range list = (<const Range*>self.principal_elements.data)[e.principals]
    cdef const PrincipalToken* k
    cdef uint32_t i, mark, marks = 0                 # a bit for each account, and 1 for the account itself
    for i in range(list.n):
        k = <const PrincipalToken*>self.tokens.data + list.first + i
        if k.form == FORM_ACCOUNT:
            marks |= 1
        elif k.form == FORM_ROLE or k.form == FORM_USER:
            marks |= <uint32_t>1 << principal_fingerprint(k.value)
        elif k.form == FORM_SESSION:
            marks |= <uint32_t>1 << principal_fingerprint(k.other)
    mark = first_bit(marks) if marks else 0
    if marks != <uint32_t>1 << mark:
        return 0
    promise(needed_after(SAME_ACCOUNT, CLASS_A) == needed_after(SAME_ACCOUNT, 0))   # what the bit says
    return narrow8(mark if mark else 1 << HINT_ACCOUNT_SHIFT)


cdef int pattern_op(Planner self, MatchOp* f, uint32_t pattern) except -1:
    cdef const Pattern* p = <const Pattern*>self.patterns.data + pattern
    cdef const uint8_t* rest = <const uint8_t*>self.pool.data + p.text
    cdef uint32_t head = p.prefix_size, mid = p.mid_size, at = p.colons[p.colon]
    cdef uint8_t after
    if mid == 0:                                     # what is too long of the head goes for the middle
        at = head = min(head, <uint32_t>MAX_PREFIX)
        mid = p.prefix_size - head
    if p.kind == PATTERN_ANY and not p.flags:
        return 0
    if p.kind == PATTERN_VARIABLES or p.kind == PATTERN_FIELDS:
        ends_op(self, f, p)
        return 0
    # what is read before a piece, where it is shorter than what is read at once, lies in the pool
    if (
        p.flags or p.kind != PATTERN_LITERALS or head > MAX_PREFIX or mid > MAX_MID or p.suffix_size > MAX_SUFFIX
        or p.text + min(at, <uint32_t>p.size) < LOAD
    ):
        f.first = STEP_FULL_EVAL
        return 0
    after = f.on_match = f.first
    f.first = STEP_LITERALS
    f.text, f.size, f.mid_offset = p.text, narrow16(p.size), narrow16(at)
    f.prefix_size, f.mid_size, f.suffix_size = narrow8(head), narrow8(mid), narrow8(p.suffix_size)
    f.min_size = p.prefix_size + p.mid_size + p.min_rest_size
    f.colon = p.colon if p.mid_size else NO_COLON
    f.tail = -1 if p.tail == TAIL_NONE else <int8_t>p.tail
    if p.crossing != NONE and f.flags & MATCHOP_DENY:
        f.flags |= MATCHOP_MAY_CROSS
    if p.tail >= TAIL_INNER:
        if memchr(rest, TOKEN_ONE, p.size) == NULL and p.tail == TAIL_GLOB:
            f.tail = TAIL_LITERALS
        f.on_match = STEP_FULL_EVAL
        rest += at + mid
        at = 1
        while rest[at] < TOKEN_STAR and at <= LOAD and at < p.min_rest_size - p.suffix_size + 1:
            at += 1
        if rest[0] == TOKEN_STAR and at > 1 and not f.flags & MATCHOP_HAS_PRINCIPAL:
            f.on_match = STEP_INNER_LITERAL
            f.inner_size = narrow8(at - 1)
            if f.inner_size < p.min_rest_size - p.suffix_size:
                f.tail = TAIL_LITERALS if f.tail == TAIL_INNER else f.tail
            f.on_match |= (after if f.tail == TAIL_INNER else STEP_FULL_EVAL) << STEP_BITS
    if mid == 0 and head <= MAX_END_PREFIX and p.suffix_size <= MAX_END_SUFFIX and not f.flags & MATCHOP_MAY_CROSS:
        f.first = STEP_ENDS_AND_INNER if f.on_match & STEP_MASK == STEP_INNER_LITERAL else STEP_ENDS
    reserve_over_read(self, p)
    return 0


cdef int ends_op(Planner self, MatchOp* f, const Pattern* p) except -1:
    """Of a pattern without literals as a whole, its literal ends: all that it may match across colons (R5) has them, too, except for one that is
    too short (R6)."""
    cdef const uint8_t* text = <const uint8_t*>self.pool.data + p.text
    cdef uint32_t head = 0, at, last, after = f.first
    while head < p.size and text[head] < TOKEN_VARIABLE:
        head += 1
    at = last = head
    while at < p.size:
        if text[at] >= TOKEN_VARIABLE:
            at += (VARIABLE_TOKEN_SIZE - 1) * (text[at] == TOKEN_VARIABLE)
            last = at + 1
        at += 1
    f.first = STEP_FULL_EVAL
    if p.flags == MATCH_IS_U or head <= p.colons[1] or head == p.size or p.size > MAX_COLON or p.text + p.size < LOAD:
        return 0
    f.first, f.on_match = STEP_ENDS, STEP_FULL_EVAL
    f.flags |= MATCHOP_ENDS_ONLY | (MATCHOP_MAY_CROSS if p.crossing != NONE and f.flags & MATCHOP_DENY else 0)
    f.text, f.size, f.tail, f.colon = p.text, narrow16(p.size), TAIL_SUFFIX, NO_COLON
    f.prefix_size, f.suffix_size = narrow8(min(head, <uint32_t>MAX_END_PREFIX)), narrow8(min(p.size - last, <uint32_t>MAX_END_SUFFIX))
    f.mid_offset = narrow16(head)
    f.min_size = f.prefix_size + f.suffix_size
    if p.kind == PATTERN_VARIABLES and not p.flags and not f.flags & MATCHOP_HAS_PRINCIPAL and locate_variable(self, f, p, head):
        f.on_match = narrow8(after << STEP_BITS | STEP_VARIABLE)
    reserve_over_read(self, p)
    return 0


cdef bint locate_variable(Planner self, MatchOp* f, const Pattern* p, uint32_t head):
    """The position of the first variable of a pattern, if no wildcard precedes it but the region and the account, as a whole: all
    colons are between fields then, so that what matches field by field is worth T. `inner` says what is open, and how far into field 6
    its position is known then."""
    cdef const uint8_t* text = <const uint8_t*>self.pool.data + p.text
    cdef uint32_t field = p.colons[4] + 1, at = field, wildcards = 0, i
    if sixth_field(self, f) != text + field or field >= p.size:
        return False
    if text[p.colons[2] + 1] == TOKEN_STAR and p.colons[3] == p.colons[2] + 2 and head <= MAX_END_PREFIX:
        wildcards |= WILD_REGION
    if text[p.colons[3] + 1] == TOKEN_STAR and p.colons[4] == p.colons[3] + 2:
        wildcards |= WILD_ACCOUNT
    for i in range(p.colons[1] + 1, field):
        if text[i] >= TOKEN_VARIABLE and not (i == p.colons[2] + 1 and wildcards & WILD_REGION) and not (
            i == p.colons[3] + 1 and wildcards & WILD_ACCOUNT
        ):
            return False
    while at < p.size and text[at] < TOKEN_VARIABLE:
        at += 1
    if at == p.size or text[at] != TOKEN_VARIABLE or (wildcards and (at - field) >> (8 - WILD_BITS)):
        return False
    f.mid_offset = narrow16(at)
    f.inner_size = narrow8(wildcards | (at - field) << WILD_BITS if wildcards else 0)
    if memchr(text + at + VARIABLE_TOKEN_SIZE, TOKEN_VARIABLE, p.size - at - VARIABLE_TOKEN_SIZE) != NULL:
        f.inner_size |= MORE_VARIABLES
    return True


cdef int reserve_over_read(Planner self, const Pattern* p) except -1:
    """What is read beyond a pattern lies in the pool, too."""
    if self.pool.n < p.text + p.size + 2 * LOAD:
        self._push(&self.pool, 2 * LOAD)
    return 0
