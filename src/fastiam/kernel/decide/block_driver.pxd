"""Vectorised evaluation of the rows of a block whose plans have match programs, layer by layer. Header only.

The first op that applies decides the row; denies precede allows. A step evaluates one op of each undecided row, without a branch on the
result: such branches are unpredictable, and without them the processor loads the memory of later rows in time.
"""
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastiam.kernel.base.invariants cimport narrow16, narrow8, promise
from fastiam.kernel.decide.condition_batch cimport evaluate_conditions
from fastiam.kernel.decide.blocks cimport (
    BLOCK, BOUNDARY_STAGE, IS_CROSS_ACCOUNT, RESOURCE_ALLOW_STAGE, RESOURCE_PLAN, LEVEL_ALLOWS, MAX_PENDING, RESOURCE_MUST_ALLOW,
    PRINCIPAL_ALLOW_STAGE, PRINCIPAL_PLAN, SCP_PLAN, SESSION_STAGE, STAGES, Block, ThreadState, is_pruning,
)
from fastiam.kernel.base.text cimport first_bit, prefetch
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.combining cimport NEEDS_IDENTITY, NEEDS_LIMITS, SAME_ACCOUNT, needed_after
from fastiam.kernel.model.decision cimport ALLOW, IMPLICIT_DENY, LAYER_BOUNDARY, LAYER_IDENTITY, LAYER_RESOURCE, LAYER_SCP, LAYER_SESSION
from fastiam.kernel.decide.row_driver cimport (
    RowCursor, first_applicable_of_run, is_as_row_form, load_call, may_cross, op_match_classes, op_of_statement, set_row, variable_matches,
)
from fastiam.kernel.eval.conditions cimport conditions_hold
from fastiam.kernel.eval.group_filter cimport group_skip
from fastiam.kernel.eval.literals cimport ends_match, find_inner, windows_match
from fastiam.kernel.decide.fast_path cimport FACTS_COLON, colon_offset
from fastiam.kernel.decide.index_probe cimport probe_indexes, next_range
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.decide.step_queue cimport select_step, queue_length, enqueue, enqueue_first, drain_queue
from fastiam.kernel.decide.principal_hint cimport candidate_allows


cdef enum:
    SAMPLE_STRIDE = 8          # every eighth row is sampled, to find whether resource policies have many denies: more than one a row
    MIN_SAMPLED_DENIES = 4     # of a block: those of resources' policies of fewer rows are not worth it


cdef inline int64_t mid_position(const Block* b, const MatchOp* f, uint32_t i) noexcept nogil:
    """Where the middle of a pattern would start in the resource: at a colon, or where its head ends."""
    return colon_offset(b.facts[i], f.colon) + (-<int64_t>(f.colon == NO_COLON) & f.prefix_size)


cdef inline uint32_t crosses(const Block* b, const TablesC* t, const MatchOp* f, uint32_t i, uint32_t starts) noexcept nogil:
    """STEP_FULL_EVAL, where an op whose literals do not match may match across colons (R5), else 0. That needs the prefix, too, and as much room, for
    no colon comes earlier; so where they match, the rest of the pattern finds all that it would find behind a later one."""
    if not (f.flags >> 1) & <uint32_t>((b.facts[i] & FACTS_COLON) != 0) & starts & 1:
        return 0
    return STEP_FULL_EVAL * may_cross(f, t.pool, b.text[i].data, b.text[i].data + b.text[i].size)


cdef inline uint32_t fits(const MatchOp* f, int64_t room) noexcept nogil:
    """Whether a resource has room for a pattern, and no more than may be."""
    return (room & (f.tail >> 7 | <int64_t>INT64_MIN)) == 0


cdef inline uint32_t inner_step(const Block* b, const MatchOp* f, uint32_t i, uint32_t at, uint32_t found) noexcept nogil:
    """What comes after a look for the piece in between, which says what `find_inner` does."""
    return select_step(b, i, at, found & 1, f.on_match >> STEP_BITS) | (-(found >> 1) & STEP_FULL_EVAL)


cdef inline void filter_groups(Block* b, const TablesC* t) noexcept nogil:
    """Go on with the first match op of groups that may match, or behind them."""
    cdef const uint64_t* items = b.step_queues[STEP_GROUP_FILTER].items
    cdef const MatchOp* f
    cdef uint32_t next_at[BLOCK]
    cdef uint32_t i, j, at, n = drain_queue(b, STEP_GROUP_FILTER)
    for j in range(n):
        i = <uint32_t>items[j]
        at = <uint32_t>(items[j] >> 32)
        f = t.match_ops + at
        at += group_skip(f, t.pool, b.text[i].data, b.text[i].size, colon_offset(b.facts[i], 4), b.facts[i] & FACTS_COLON != 0)
        next_at[j] = at
        prefetch(t.match_ops + at + 1)
    for j in range(n):
        i = <uint32_t>items[j]
        at = next_at[j]
        enqueue(b, t, i, at, STEP_NO_MATCH if at + 1 >= b.range_end[i] else STEP_LITERALS)  # behind the last one there may be other ops


cdef inline void scan_runs(ThreadState* s, RowCursor* l, int64_t row) noexcept nogil:
    """Evaluate long runs, one row after the other."""
    cdef Block* b = s.block
    cdef const TablesC* t = l.c.t
    cdef const uint64_t* items = b.step_queues[STEP_SCAN_RUN].items
    cdef const StatementEntry* e
    cdef uint32_t j, at, n = drain_queue(b, STEP_SCAN_RUN)
    for j in range(n):
        at = <uint32_t>(items[j] >> 32)
        set_row(b, l, row, <uint32_t>items[j])
        load_call(s, l)
        e = first_applicable_of_run(l.c, t.match_ops + at)
        if e != NULL:
            enqueue(b, t, l.i, op_of_statement(t, t.match_ops + at, e), STEP_MATCHED)
        else:
            enqueue(b, t, l.i, at, STEP_NO_MATCH if at + 1 == b.range_end[l.i] else STEP_LITERALS)


cdef inline void match_ends(Block* b, const TablesC* t) noexcept nogil:
    """Compare the literals at known places of match ops without a middle."""
    cdef const uint64_t* items = b.step_queues[STEP_ENDS].items
    cdef const MatchOp* f
    cdef const uint8_t* pattern
    cdef int64_t size
    cdef uint32_t i, j, at, n = drain_queue(b, STEP_ENDS), matches
    for j in range(n):
        i = <uint32_t>items[j]
        at = <uint32_t>(items[j] >> 32)
        f = t.match_ops + at
        pattern = t.pool + f.text
        size = b.text[i].size
        matches = ends_match(pattern, pattern + f.size, f.prefix_size, f.suffix_size, b.text[i].data, size) & fits(f, size - f.min_size)
        promise(is_as_row_form(b, t, f, i, matches, f.on_match & STEP_MASK))
        enqueue(b, t, i, at, select_step(b, i, at, matches, f.on_match & STEP_MASK))


cdef inline void match_ends_and_inner(Block* b, const TablesC* t) noexcept nogil:
    """Compare these and the literal in between."""
    cdef const uint64_t* items = b.step_queues[STEP_ENDS_AND_INNER].items
    cdef const MatchOp* f
    cdef const uint8_t* pattern
    cdef const char* text
    cdef int64_t size
    cdef uint32_t i, j, at, n = drain_queue(b, STEP_ENDS_AND_INNER), matches, found
    for j in range(n):
        i = <uint32_t>items[j]
        at = <uint32_t>(items[j] >> 32)
        f = t.match_ops + at
        pattern = t.pool + f.text
        text = b.text[i].data
        size = b.text[i].size
        matches = ends_match(pattern, pattern + f.size, f.prefix_size, f.suffix_size, text, size) & (size >= f.min_size)
        found = find_inner(text, size, min(<int64_t>f.prefix_size, size), size - f.suffix_size, pattern + f.prefix_size + 1, f.inner_size)
        promise(is_as_row_form(b, t, f, i, found & -matches, f.on_match >> STEP_BITS))
        enqueue(b, t, i, at, inner_step(b, f, i, at, found & -matches))


cdef inline void match_literals(Block* b, const TablesC* t) noexcept nogil:
    """Compare the literals at known places of the match ops of a queue."""
    cdef const uint64_t* items = b.step_queues[STEP_LITERALS].items
    cdef const MatchOp* f
    cdef const uint8_t* pattern
    cdef uint32_t i, j, at, n = drain_queue(b, STEP_LITERALS), matches, starts
    cdef int64_t mid, size, room
    for j in range(n):
        i = <uint32_t>items[j]
        at = <uint32_t>(items[j] >> 32)
        f = t.match_ops + at
        pattern = t.pool + f.text
        size = b.text[i].size
        mid = mid_position(b, f, i)
        room = size - (mid + f.min_size - f.prefix_size)  # where the prefix matches, the middle starts no earlier than it ends
        matches = windows_match(pattern, pattern + f.size, f.prefix_size, f.mid_size, f.mid_offset, f.suffix_size, b.text[i].data, size, mid)
        starts = matches >> 1 & <uint32_t>(room >= 0)
        matches &= fits(f, room)
        promise(is_as_row_form(b, t, f, i, matches, f.on_match & STEP_MASK))
        enqueue(b, t, i, at, select_step(b, i, at, matches, f.on_match & STEP_MASK) | crosses(b, t, f, i, starts & ~matches))


cdef inline void find_inner_literal(Block* b, const TablesC* t) noexcept nogil:
    """Search the literals that have no known place."""
    cdef const uint64_t* items = b.step_queues[STEP_INNER_LITERAL].items
    cdef const MatchOp* f
    cdef uint32_t i, j, at, n = drain_queue(b, STEP_INNER_LITERAL), found
    cdef int64_t size
    for j in range(n):
        i = <uint32_t>items[j]
        at = <uint32_t>(items[j] >> 32)
        f = t.match_ops + at
        size = b.text[i].size
        found = find_inner(
            b.text[i].data, size, mid_position(b, f, i) + f.mid_size, size - f.suffix_size,
            t.pool + f.text + f.mid_offset + f.mid_size + 1, f.inner_size,
        )
        promise(is_as_row_form(b, t, f, i, found, f.on_match >> STEP_BITS))
        enqueue(b, t, i, at, inner_step(b, f, i, at, found))


cdef inline void match_variables(Block* b, Call* c) noexcept nogil:
    """Match patterns with a variable."""
    cdef const uint64_t* items = b.step_queues[STEP_VARIABLE].items
    cdef const MatchOp* f
    cdef uint32_t i, j, at, n = drain_queue(b, STEP_VARIABLE)
    cdef int matches
    for j in range(n):
        i = <uint32_t>items[j]
        at = <uint32_t>(items[j] >> 32)
        f = c.t.match_ops + at
        matches = variable_matches(c, b.principal_id[i], f, &b.text[i], b.facts[i])
        enqueue(b, c.t, i, at, STEP_FULL_EVAL if matches == U else select_step(b, i, at, matches, f.on_match >> STEP_BITS))


cdef inline void evaluate_full_statements(ThreadState* s, RowCursor* l, int64_t row) noexcept nogil:
    """Evaluate all conditions of ops where the columns are not enough, and full statements."""
    cdef Block* b = s.block
    cdef const TablesC* t = l.c.t
    cdef const uint64_t* items = b.step_queues[STEP_NEXT_CONDITION].items
    cdef const MatchOp* f
    cdef uint32_t j, k, at, n = drain_queue(b, STEP_NEXT_CONDITION), matches, classes, needed
    for j in range(n):
        at = <uint32_t>(items[j] >> 32)
        f = t.match_ops + at
        set_row(b, l, row, <uint32_t>items[j])
        load_call(s, l)
        matches = conditions_hold(l.c, f.conditions, BROAD if f.flags & MATCHOP_DENY else STRICT)
        enqueue(b, t, l.i, at, select_step(b, l.i, at, matches, STEP_MATCHED))
    for k in range(STEP_PRINCIPAL, STEP_FULL_EVAL + 1):
        items = b.step_queues[k].items
        n = drain_queue(b, k)
        for j in range(n):
            at = <uint32_t>(items[j] >> 32)
            set_row(b, l, row, <uint32_t>items[j])
            classes = op_match_classes(s, l, t.match_ops + at)
            if classes and b.stage[l.i] == RESOURCE_ALLOW_STAGE and not b.pending_stages[l.i] & IS_CROSS_ACCOUNT:
                needed = needed_after(SAME_ACCOUNT, classes)
                if not needed & (NEEDS_IDENTITY | NEEDS_LIMITS):
                    b.pending_stages[l.i] &= ~STAGES
                elif not needed & NEEDS_IDENTITY or (b.pending_stages[l.i] & RESOURCE_MUST_ALLOW
                                                     and (b.n_pending[l.i] or at + 1 != b.range_end[l.i])):
                    b.layered_rows.rows[b.layered_rows.n] = narrow16(l.i)  # only limits have to allow; or what follows may be enough (6.4)
                    b.layered_rows.n += 1
                    continue
                elif not b.pending_stages[l.i] & RESOURCE_MUST_ALLOW:
                    classes = 0
            enqueue(b, t, l.i, at, select_step(b, l.i, at, classes != 0, STEP_MATCHED))


cdef inline void write_results(ThreadState* s, const TablesC* t, bint reasons, int64_t first) noexcept nogil:
    """Write down what was found."""
    cdef Block* b = s.block
    cdef const uint64_t* over = b.step_queues[STEP_NO_MATCH].items
    cdef const uint64_t* done = b.step_queues[STEP_MATCHED].items
    cdef const MatchOp* f
    cdef uint32_t j, i
    for j in range(drain_queue(b, STEP_NO_MATCH)):
        i = <uint32_t>over[j]
        s.answers.outcome[first + i] = IMPLICIT_DENY
        if reasons:
            s.answers.layer[first + i] = missing_layer(b.stage[i])
            s.answers.entry[first + i] = NONE
    for j in range(drain_queue(b, STEP_MATCHED)):
        i = <uint32_t>done[j]
        f = t.match_ops + (done[j] >> 32)
        s.answers.outcome[first + i] = ALLOW + (f.flags & MATCHOP_DENY)
        if reasons and b.stage[i] < BOUNDARY_STAGE:      # else it is noted
            s.answers.layer[first + i] = f.flags >> MATCHOP_LAYER_SHIFT
            s.answers.entry[first + i] = f.entry


cdef inline uint8_t missing_layer(uint32_t stage) noexcept nogil:
    """The layer that does not allow, where a stage was the last one."""
    if stage < RESOURCE_ALLOW_STAGE:
        return LAYER_SCP                                 # a stage of denies is not the last one
    if stage == RESOURCE_ALLOW_STAGE:
        return LAYER_RESOURCE
    if stage == BOUNDARY_STAGE:
        return LAYER_BOUNDARY
    return LAYER_SESSION if stage == SESSION_STAGE else LAYER_IDENTITY


# -- stage after stage ------------------------------------------------------------------------------------------------------

cdef inline const Plan* stage_plan(const Block* b, uint32_t i, uint32_t stage) noexcept nogil:
    """The plan that a stage reads."""
    if stage < LEVEL_ALLOWS:
        return b.plans[stage][i]
    if stage < RESOURCE_ALLOW_STAGE:
        return b.plans[SCP_PLAN][i]
    return b.plans[RESOURCE_PLAN if stage == RESOURCE_ALLOW_STAGE else PRINCIPAL_PLAN][i]


cdef inline Range stage_ops(const Block* b, uint32_t i, uint32_t stage) noexcept nogil:
    """The ops of a stage. Those of the principal's allows include its denies: where no other allow comes first, they are evaluated only there."""
    cdef const Plan* plan = stage_plan(b, i, stage)
    if stage < LEVEL_ALLOWS:
        return Range(plan.program, plan.n_deny_ops)
    if stage == LEVEL_ALLOWS or stage == RESOURCE_ALLOW_STAGE:
        return Range(plan.program + plan.n_deny_ops, plan.n_ops - plan.n_deny_ops)
    if stage == PRINCIPAL_ALLOW_STAGE:
        return Range(plan.program + b.n_skipped_denies[i], plan.n_ops - b.n_skipped_denies[i])
    if stage == LEVEL_ALLOWS + 1 or stage == BOUNDARY_STAGE:
        return Range(plan.program + plan.n_ops, plan.n_boundary_ops)
    return Range(plan.program + plan.n_ops + plan.n_boundary_ops, plan.n_session_ops)


cdef inline bint start_ranges(Block* b, const TablesC* t, uint32_t i, const Range* parts, uint32_t n) noexcept nogil:
    """Begin with the first of `n` ranges of ops, and keep the others for later; False where there are none."""
    cdef uint32_t k
    if n == 0:
        return False
    for k in range(1, n):
        b.pending_ranges[i][n - 1 - k] = parts[k]
    b.n_pending[i] = narrow8(n - 1)
    b.has_pending |= n > 1
    enqueue_first(b, t, i, parts[0].first, parts[0].n)
    return True


cdef inline uint32_t add_range(Range* parts, uint32_t n, uint32_t first, uint32_t size) noexcept nogil:
    """Add some ops to the `n` ranges of others, as one more unless there is no room; how many these are."""
    if n == 0 or (parts[n - 1].first + parts[n - 1].n != first and n < MAX_PENDING):
        parts[n] = Range(first, 0)
        n += 1
    parts[n - 1].n = first + size - parts[n - 1].first
    return n


cdef inline bint start_deny_stage(Block* b, const TablesC* t, uint32_t i, uint32_t at, uint32_t stop, uint32_t last) noexcept nogil:
    """Begin with those denies of a row, up to `stop`, that are not known not to hold, and all that follows up to `last`; False where there is
    neither.

    Ops that are skipped together stay together, and what an index finds is kept for later in their position.
    """
    cdef const MatchOp* ops = t.match_ops
    cdef Range parts[MAX_PENDING]
    cdef uint32_t first = at, n = 0, size
    while at < stop:
        if ops[at].first == STEP_INDEX_PROBE:
            enqueue_first(b, t, i, first, last - first)
            return True
        size = 1 + ops[at].prefix_size if ops[at].first == STEP_GROUP_FILTER else 1
        if (b.known_false[i] >> ops[at].skip.filter_bit) & 1 == 0:
            n = add_range(parts, n, at, size)
        at += size
    if stop != last:
        n = add_range(parts, n, stop, last - stop)
    return start_ranges(b, t, i, parts, n)


cdef inline bint start_allow_stage(ThreadState* s, const TablesC* t, uint32_t i, Range allows) noexcept nogil:
    """Begin with those allows of a resource's policies that may change something for the principal; False where none does."""
    cdef Block* b = s.block
    cdef uint64_t left = candidate_allows(b.principal_state[i], t, b.plans[RESOURCE_PLAN][i], (b.pending_stages[i] & RESOURCE_MUST_ALLOW) == 0)
    cdef Range parts[MAX_PENDING]
    cdef uint32_t n = 0, at, size
    if ~left == 0:
        enqueue_first(b, t, i, allows.first, allows.n)
        return True
    while left:
        at = first_bit(left)
        size = first_bit(~(left >> at))
        n = add_range(parts, n, allows.first + at, size)
        left &= ~(((<uint64_t>1 << size) - 1) << at)
    return start_ranges(b, t, i, parts, n)


cdef inline bint start_stage(ThreadState* s, const TablesC* t, uint32_t i, uint32_t stage) noexcept nogil:
    """Begin with the ops of a stage; False where none can change the result."""
    cdef Range ops = stage_ops(s.block, i, stage)
    s.block.n_pending[i] = 0
    if ops.n > 1 and stage < LEVEL_ALLOWS:
        return start_deny_stage(s.block, t, i, ops.first, ops.first + ops.n, ops.first + ops.n)
    if ops.n > 1 and stage == RESOURCE_ALLOW_STAGE:
        return start_allow_stage(s, t, i, ops)
    if ops.n:
        enqueue_first(s.block, t, i, ops.first, ops.n)
    return ops.n != 0


cdef inline bint must_allow(const Block* b, uint32_t i) noexcept nogil:
    """Whether the request is denied if no op of the stage at hand applies."""
    return b.stage[i] >= LEVEL_ALLOWS and (b.stage[i] != RESOURCE_ALLOW_STAGE or b.pending_stages[i] & RESOURCE_MUST_ALLOW != 0)


cdef inline bint next_stage(ThreadState* s, const TablesC* t, uint32_t i) noexcept nogil:
    """Continue with the next stage of a row; False where it has no ops, but must allow. INVARIANT: one that must allow is to come."""
    cdef Block* b = s.block
    cdef uint32_t stage
    while True:
        stage = <uint32_t>first_bit(b.pending_stages[i])
        b.pending_stages[i] &= b.pending_stages[i] - 1
        b.stage[i] = narrow8(stage)
        if start_stage(s, t, i, stage):
            return True
        if must_allow(b, i):
            return False


cdef inline void advance_unmatched(ThreadState* s, const TablesC* t, uint32_t* n_over) noexcept nogil:
    """Continue with rows for which no op of a stage applies, and need not; the first `n_over` are done, and are denied."""
    cdef Block* b = s.block
    cdef uint64_t* over = b.step_queues[STEP_NO_MATCH].items
    cdef uint32_t j, i
    for j in range(n_over[0], queue_length(b, STEP_NO_MATCH)):
        i = <uint32_t>over[j]
        if b.n_pending[i]:
            next_range(b, t, i)
        elif must_allow(b, i) or not next_stage(s, t, i):
            over[n_over[0]] = over[j]
            n_over[0] += 1
    b.queue_ends[STEP_NO_MATCH] = over + n_over[0]


cdef inline bint decides_row(const Block* b, const MatchOp* f, uint32_t i) noexcept nogil:
    """Whether an op that applies decides its row."""
    if f.flags & MATCHOP_DENY or not b.pending_stages[i] & STAGES:
        return True
    if b.stage[i] != RESOURCE_ALLOW_STAGE or b.pending_stages[i] & IS_CROSS_ACCOUNT or f.flags & MATCHOP_HAS_PRINCIPAL:
        return False                                     # with a principal element: `evaluate_full_statements`
    return not needed_after(SAME_ACCOUNT, CLASS_STAR) & (NEEDS_IDENTITY | NEEDS_LIMITS)


cdef inline void advance_matched(ThreadState* s, const TablesC* t, bint reasons, int64_t first, uint32_t* n_done) noexcept nogil:
    """Continue with rows for which an op applies that is not enough; the first `n_done` are done, and are decided."""
    cdef Block* b = s.block
    cdef uint64_t* done = b.step_queues[STEP_MATCHED].items
    cdef uint64_t undecided[BLOCK]
    cdef const MatchOp* f
    cdef uint32_t j, i, n
    while queue_length(b, STEP_MATCHED) > n_done[0]:
        n = 0
        for j in range(n_done[0], queue_length(b, STEP_MATCHED)):
            if decides_row(b, t.match_ops + (done[j] >> 32), <uint32_t>done[j]):
                done[n_done[0]] = done[j]
                n_done[0] += 1
            else:
                undecided[n] = done[j]
                n += 1
        b.queue_ends[STEP_MATCHED] = done + n_done[0]
        for j in range(n):
            i = <uint32_t>undecided[j]
            f = t.match_ops + (undecided[j] >> 32)
            if reasons and b.stage[i] == PRINCIPAL_ALLOW_STAGE:
                s.answers.entry[first + i] = f.entry
            if not next_stage(s, t, i):
                b.queue_ends[STEP_NO_MATCH][0] = i
                b.queue_ends[STEP_NO_MATCH] += 1


cdef inline uint32_t n_deny_statements(const TablesC* t, const Plan* plan) noexcept nogil:
    """How many statements of a plan deny, those of a long run one by one."""
    cdef const MatchOp* f = t.match_ops + plan.program
    return t.indexes[f.conditions].n_items if plan.n_deny_ops and f.first == STEP_INDEX_PROBE else plan.n_deny_ops


cdef inline bint have_many_denies(const Block* b, const TablesC* t) noexcept nogil:
    """Whether the resource policies of the vectorised rows have so many denies that pruning pays, by a sample. Of own denies it never does:
    to look up what is known of a principal takes as long as they do."""
    cdef uint32_t n_sampled = b.vectorized_rows.n // SAMPLE_STRIDE, j, n_denies = 0
    for j in range(n_sampled):
        n_denies += n_deny_statements(t, b.plans[RESOURCE_PLAN][b.vectorized_rows.rows[j * SAMPLE_STRIDE]])
    return n_denies > max(n_sampled, <uint32_t>MIN_SAMPLED_DENIES)


cdef inline void decide_vectorized(ThreadState* s, RowCursor* l, int64_t row) noexcept nogil:
    """Decide the rows of a block's `principal_rows` and `vectorized_rows`; some of these may be left to the layered path."""
    cdef Block* b = s.block
    cdef const TablesC* t = l.c.t
    cdef const Plan* own
    cdef uint32_t i, j, n_over = 0, n_done = 0, n_layered = b.layered_rows.n, n = b.principal_rows.n + b.vectorized_rows.n
    for j in range(N_STEPS):
        b.queue_ends[j] = b.step_queues[j].items
    b.has_pending = False
    memset(b.n_pending, 0, sizeof(b.n_pending))
    for j in range(b.principal_rows.n):                  # INVARIANT: a row of this path has ops
        i = b.principal_rows.rows[j]
        own = b.plans[PRINCIPAL_PLAN][i]
        b.stage[i] = PRINCIPAL_ALLOW_STAGE
        if b.pending_stages[i] and own.flags & PLAN_ALLOWS_ALL and own.n_deny_ops == 0 and not l.c.reasons:
            enqueue_first(b, t, i, own.program + own.n_ops - 1, 1)  # that always counts
        elif own.n_deny_ops > 1 and b.n_skipped_denies[i] == 0 and is_pruning(s) and start_deny_stage(
            b, t, i, own.program, own.program + own.n_deny_ops, own.program + own.n_ops
        ):
            continue
        elif own.n_ops != b.n_skipped_denies[i]:
            enqueue_first(b, t, i, own.program + b.n_skipped_denies[i], own.n_ops - b.n_skipped_denies[i])
        else:
            b.queue_ends[STEP_NO_MATCH][0] = i
            b.queue_ends[STEP_NO_MATCH] += 1
    for j in range(b.vectorized_rows.n):
        i = b.vectorized_rows.rows[j]
        if not next_stage(s, t, i):
            b.queue_ends[STEP_NO_MATCH][0] = i
            b.queue_ends[STEP_NO_MATCH] += 1
    if not is_pruning(s):
        s.pruning_pays = have_many_denies(b, t)
    while True:
        if b.vectorized_rows.n or b.has_pending:
            advance_unmatched(s, t, &n_over)
        if b.may_need_more:
            advance_matched(s, t, l.c.reasons, l.first + row, &n_done)
        if queue_length(b, STEP_NO_MATCH) + queue_length(b, STEP_MATCHED) + b.layered_rows.n - n_layered == n:
            break
        filter_groups(b, t)
        probe_indexes(b, l.c, row)
        match_ends(b, t)
        match_ends_and_inner(b, t)
        match_literals(b, t)
        find_inner_literal(b, t)
        match_variables(b, l.c)
        evaluate_conditions(b, l, row)
        evaluate_full_statements(s, l, row)
        scan_runs(s, l, row)
    write_results(s, t, l.c.reasons, l.first + row)
