"""Vectorised evaluation of the rows of a block whose plans have match programs, layer by layer. Header only.

The first op that applies decides the row; denies precede allows. A step evaluates one op of each undecided row, without a branch on the
result: such branches are unpredictable, and without them the processor loads the memory of later rows in time.
"""
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.decide.condition_batch cimport ask_conditions
from fastiam.kernel.decide.blocks cimport (
    BLOCK, BOUND_ALLOWS, FROM_ELSEWHERE, HELD_ALLOWS, HELD_ROWS, LEVEL_ALLOWS, MOST_LEFT, MUST_HOLD, OWN_ALLOWS, OWN_ROWS, SCP_ROWS,
    SESSION_ALLOWS, STAGES, Block, Side, is_sifted,
)
from fastiam.kernel.base.text cimport first_bit, prefetch
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.decision cimport ALLOW, IMPLICIT_DENY, LAYER_BOUNDARY, LAYER_IDENTITY, LAYER_RESOURCE, LAYER_SCP, LAYER_SESSION
from fastiam.kernel.decide.row_driver cimport Look, conditions_stand, first_of_run, flat_stands, look_at, may_cross, slot_stands, take
from fastiam.kernel.eval.group_filter cimport passed_over
from fastiam.kernel.eval.literals cimport ends_stand, piece_within, windows_stand
from fastiam.kernel.decide.fast_path cimport FACTS_COLON, colon_place
from fastiam.kernel.decide.index_probe cimport try_indexes, try_left
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.decide.step_queue cimport either, n_held, put, start, take_wave
from fastiam.kernel.decide.principal_hint cimport open_allows


cdef enum:
    SAMPLED = 8                # every eighth row is looked at to tell whether they deny much: more than one flat a row
    MANY_SAMPLED = 4           # of a block: those of resources' policies of fewer rows are not worth it


cdef inline int64_t middle_of(const Block* b, const Flat* f, uint32_t i) noexcept nogil:
    """Where the middle of a pattern would start in the resource: at a colon, or where its head ends."""
    return colon_place(b.facts[i], f.colon) + (-<int64_t>(f.colon == NO_COLON) & f.head)


cdef inline uint32_t crosses(const Block* b, const TablesC* t, const Flat* f, uint32_t i, uint32_t starts) noexcept nogil:
    """TURN_ODD, where a flat whose pieces do not stand may match across colons (R5), else 0. That needs the head, too, and no less room, for
    no colon comes earlier; so where they do stand, what is left of the pattern finds all that it would find behind a later one."""
    if not (f.flags >> 1) & <uint32_t>((b.facts[i] & FACTS_COLON) != 0) & starts & 1:
        return 0
    return TURN_ODD * may_cross(f, t.pool, b.text[i].data, b.text[i].data + b.text[i].size)


cdef inline uint32_t fits(const Flat* f, int64_t room) noexcept nogil:
    """Whether a resource has room for a pattern, and no more than may be."""
    return (room & (f.rest >> 7 | <int64_t>INT64_MIN)) == 0


cdef inline uint32_t inner_turn(const Block* b, const Flat* f, uint32_t i, uint32_t at, uint32_t found) noexcept nogil:
    """What comes after a look for the piece in between, which says what `piece_within` does."""
    return either(b, i, at, found & 1, f.turn >> TURN_BITS) | (-(found >> 1) & TURN_ODD)


cdef inline void try_groups(Block* b, const TablesC* t) noexcept nogil:
    """Go on with the first match op of groups that may match, or behind them."""
    cdef const uint64_t* flats = b.waves[TURN_GROUP].flats
    cdef const Flat* f
    cdef uint32_t next_at[BLOCK]
    cdef uint32_t i, j, at, n = take_wave(b, TURN_GROUP)
    for j in range(n):
        i = <uint32_t>flats[j]
        at = <uint32_t>(flats[j] >> 32)
        f = t.flats + at
        at += passed_over(f, t.pool, b.text[i].data, b.text[i].size, colon_place(b.facts[i], 4), b.facts[i] & FACTS_COLON != 0)
        next_at[j] = at
        prefetch(t.flats + at + 1)
    for j in range(n):
        i = <uint32_t>flats[j]
        at = next_at[j]
        put(b, t, i, at, TURN_OVER if at + 1 >= b.stop[i] else TURN_NEXT)   # others than that may lie behind the last one


cdef inline void look_at_runs(Side* s, Look* l, int64_t row) noexcept nogil:
    """Evaluate long runs, one row after the other."""
    cdef Block* b = s.block
    cdef const TablesC* t = l.c.t
    cdef const uint64_t* flats = b.waves[TURN_RUN].flats
    cdef const Flat* f
    cdef uint32_t j, at, n = take_wave(b, TURN_RUN)
    for j in range(n):
        at = <uint32_t>(flats[j] >> 32)
        look_at(b, l, row, <uint32_t>flats[j])
        take(s, l)
        f = first_of_run(l.c, t.flats + at)
        if f != NULL:
            put(b, t, l.i, narrow32(f - t.flats), TURN_DONE)
        else:
            put(b, t, l.i, at, TURN_OVER if at + 1 == b.stop[l.i] else TURN_NEXT)


cdef inline void try_heads(Block* b, const TablesC* t) noexcept nogil:
    """Compare the literals at known places of match ops without a middle."""
    cdef const uint64_t* flats = b.waves[TURN_HEAD].flats
    cdef const Flat* f
    cdef const uint8_t* pattern
    cdef int64_t size
    cdef uint32_t i, j, at, n = take_wave(b, TURN_HEAD), stands
    for j in range(n):
        i = <uint32_t>flats[j]
        at = <uint32_t>(flats[j] >> 32)
        f = t.flats + at
        pattern = t.pool + f.text
        size = b.text[i].size
        stands = ends_stand(pattern, pattern + f.size, f.head, f.suffix, b.text[i].data, size) & fits(f, size - f.least)
        put(b, t, i, at, either(b, i, at, stands, f.turn & TURN_MASK))


cdef inline void try_inners(Block* b, const TablesC* t) noexcept nogil:
    """Compare these and the literal in between."""
    cdef const uint64_t* flats = b.waves[TURN_HEAD_INNER].flats
    cdef const Flat* f
    cdef const uint8_t* pattern
    cdef const char* text
    cdef int64_t size
    cdef uint32_t i, j, at, n = take_wave(b, TURN_HEAD_INNER), stands, found
    for j in range(n):
        i = <uint32_t>flats[j]
        at = <uint32_t>(flats[j] >> 32)
        f = t.flats + at
        pattern = t.pool + f.text
        text = b.text[i].data
        size = b.text[i].size
        stands = ends_stand(pattern, pattern + f.size, f.head, f.suffix, text, size) & (size >= f.least)
        found = piece_within(text, size, min(<int64_t>f.head, size), size - f.suffix, pattern + f.head + 1, f.inner)
        put(b, t, i, at, inner_turn(b, f, i, at, found & -stands))


cdef inline void try_flats(Block* b, const TablesC* t) noexcept nogil:
    """Compare the literals at known places of the match ops of a queue."""
    cdef const uint64_t* flats = b.waves[TURN_NEXT].flats
    cdef const Flat* f
    cdef const uint8_t* pattern
    cdef uint32_t i, j, at, n = take_wave(b, TURN_NEXT), stands, starts
    cdef int64_t mid, size, room
    for j in range(n):
        i = <uint32_t>flats[j]
        at = <uint32_t>(flats[j] >> 32)
        f = t.flats + at
        pattern = t.pool + f.text
        size = b.text[i].size
        mid = middle_of(b, f, i)
        room = size - (mid + f.least - f.head)           # where the head stands, the middle starts no earlier than it ends
        stands = windows_stand(pattern, pattern + f.size, f.head, f.mid, f.mid_at, f.suffix, b.text[i].data, size, mid)
        starts = stands >> 1 & <uint32_t>(room >= 0)
        stands &= fits(f, room)
        put(b, t, i, at, either(b, i, at, stands, f.turn & TURN_MASK) | crosses(b, t, f, i, starts & ~stands))


cdef inline void seek_inner(Block* b, const TablesC* t) noexcept nogil:
    """Search the literals that have no known place."""
    cdef const uint64_t* flats = b.waves[TURN_INNER].flats
    cdef const Flat* f
    cdef uint32_t i, j, at, n = take_wave(b, TURN_INNER), found
    cdef int64_t size
    for j in range(n):
        i = <uint32_t>flats[j]
        at = <uint32_t>(flats[j] >> 32)
        f = t.flats + at
        size = b.text[i].size
        found = piece_within(
            b.text[i].data, size, middle_of(b, f, i) + f.mid, size - f.suffix, t.pool + f.text + f.mid_at + f.mid + 1, f.inner
        )
        put(b, t, i, at, inner_turn(b, f, i, at, found))


cdef inline void ask_whose(Block* b, Call* c) noexcept nogil:
    """Match patterns with a variable."""
    cdef const uint64_t* flats = b.waves[TURN_WHOSE].flats
    cdef const Flat* f
    cdef uint32_t i, j, at, n = take_wave(b, TURN_WHOSE)
    cdef int stands
    for j in range(n):
        i = <uint32_t>flats[j]
        at = <uint32_t>(flats[j] >> 32)
        f = c.t.flats + at
        stands = slot_stands(c, b.who[i], f, &b.text[i], b.facts[i])
        put(b, c.t, i, at, TURN_ODD if stands == U else either(b, i, at, stands, f.turn >> TURN_BITS))


cdef inline void look_closer(Side* s, Look* l, int64_t row) noexcept nogil:
    """Look at all conditions of flats where what columns tell is not enough, and at whole statements."""
    cdef Block* b = s.block
    cdef const TablesC* t = l.c.t
    cdef const uint64_t* flats = b.waves[TURN_MORE].flats
    cdef const Flat* f
    cdef uint32_t j, k, at, n = take_wave(b, TURN_MORE), stands, classes
    for j in range(n):
        at = <uint32_t>(flats[j] >> 32)
        f = t.flats + at
        look_at(b, l, row, <uint32_t>flats[j])
        stands = conditions_stand(s, l, f.conditions, BROAD if f.flags & FLAT_DENIES else STRICT)
        put(b, t, l.i, at, either(b, l.i, at, stands, TURN_DONE))
    for k in range(TURN_WHOM, TURN_ODD + 1):
        flats = b.waves[k].flats
        n = take_wave(b, k)
        for j in range(n):
            at = <uint32_t>(flats[j] >> 32)
            look_at(b, l, row, <uint32_t>flats[j])
            classes = flat_stands(s, l, t.flats + at)
            if classes and b.stage[l.i] == HELD_ALLOWS and not b.asked[l.i] & FROM_ELSEWHERE:
                if classes & (CLASS_D | CLASS_STAR):
                    b.asked[l.i] &= ~STAGES              # nothing else has to allow
                elif classes & (CLASS_R | CLASS_P) or (b.asked[l.i] & MUST_HOLD and (b.n_left[l.i] or at + 1 != b.stop[l.i])):
                    b.near_way.rows[b.near_way.n] = narrow16(l.i)    # limits have to allow, but nothing else; or what follows may be enough (6.4)
                    b.near_way.n += 1
                    continue
                elif not b.asked[l.i] & MUST_HOLD:
                    classes = 0
            put(b, t, l.i, at, either(b, l.i, at, classes != 0, TURN_DONE))


cdef inline void tell(Side* s, const TablesC* t, bint reasons, int64_t first) noexcept nogil:
    """Write down what was found."""
    cdef Block* b = s.block
    cdef const uint64_t* over = b.waves[TURN_OVER].flats
    cdef const uint64_t* done = b.waves[TURN_DONE].flats
    cdef const Flat* f
    cdef uint32_t j, i
    for j in range(take_wave(b, TURN_OVER)):
        i = <uint32_t>over[j]
        s.answers.outcome[first + i] = IMPLICIT_DENY
        if reasons:
            s.answers.layer[first + i] = missing_layer(b.stage[i])
            s.answers.entry[first + i] = NONE
    for j in range(take_wave(b, TURN_DONE)):
        i = <uint32_t>done[j]
        f = t.flats + (done[j] >> 32)
        s.answers.outcome[first + i] = ALLOW + (f.flags & FLAT_DENIES)
        if reasons and b.stage[i] < BOUND_ALLOWS:        # else it is noted
            s.answers.layer[first + i] = f.flags >> FLAT_LAYER_SHIFT
            s.answers.entry[first + i] = f.entry


cdef inline uint8_t missing_layer(uint32_t stage) noexcept nogil:
    """The layer that does not allow, where a stage was the last one."""
    if stage < HELD_ALLOWS:
        return LAYER_SCP                                 # a stage of denies is not the last one
    if stage == HELD_ALLOWS:
        return LAYER_RESOURCE
    if stage == BOUND_ALLOWS:
        return LAYER_BOUNDARY
    return LAYER_SESSION if stage == SESSION_ALLOWS else LAYER_IDENTITY


# -- stage after stage ------------------------------------------------------------------------------------------------------

cdef inline const Row* stage_row(const Block* b, uint32_t i, uint32_t stage) noexcept nogil:
    """The row that a stage asks."""
    if stage < LEVEL_ALLOWS:
        return b.rows[stage][i]
    if stage < HELD_ALLOWS:
        return b.rows[SCP_ROWS][i]
    return b.rows[HELD_ROWS if stage == HELD_ALLOWS else OWN_ROWS][i]


cdef inline Range stage_flats(const Block* b, uint32_t i, uint32_t stage) noexcept nogil:
    """The flats of a stage. Those of the own allows are its denies, too: where no other allow comes first, they are asked there alone."""
    cdef const Row* row = stage_row(b, i, stage)
    if stage < LEVEL_ALLOWS:
        return Range(row.flat, row.denies)
    if stage == LEVEL_ALLOWS or stage == HELD_ALLOWS:
        return Range(row.flat + row.denies, row.n_flats - row.denies)
    if stage == OWN_ALLOWS:
        return Range(row.flat + b.skipped[i], row.n_flats - b.skipped[i])
    if stage == LEVEL_ALLOWS + 1 or stage == BOUND_ALLOWS:
        return Range(row.flat + row.n_flats, row.n_bound)
    return Range(row.flat + row.n_flats + row.n_bound, row.n_session)


cdef inline bint start_parts(Block* b, const TablesC* t, uint32_t i, const Range* parts, uint32_t n) noexcept nogil:
    """Begin with the first of `n` ranges of flats, and put the others aside; False where there are none."""
    cdef uint32_t k
    if n == 0:
        return False
    for k in range(1, n):
        b.left[i][n - 1 - k] = parts[k]
    b.n_left[i] = narrow8(n - 1)
    b.has_left |= n > 1
    start(b, t, i, parts[0].first, parts[0].n)
    return True


cdef inline uint32_t add_part(Range* parts, uint32_t n, uint32_t first, uint32_t size) noexcept nogil:
    """Add some flats to the `n` ranges of others, as one more unless there is no room; how many these are."""
    if n == 0 or (parts[n - 1].first + parts[n - 1].n != first and n < MOST_LEFT):
        parts[n] = Range(first, 0)
        n += 1
    parts[n - 1].n = first + size - parts[n - 1].first
    return n


cdef inline bint start_denies(Block* b, const TablesC* t, uint32_t i, uint32_t at, uint32_t stop, uint32_t last) noexcept nogil:
    """Begin with those denies of a row, up to `stop`, that are not known not to hold, and all that follows up to `last`; False where there is
    neither.

    Flats that are passed over together stay together, and what an index finds is put aside where these would be.
    """
    cdef const Flat* flats = t.flats
    cdef Range parts[MOST_LEFT]
    cdef uint32_t first = at, n = 0, size
    while at < stop:
        if flats[at].first == TURN_INDEX:
            start(b, t, i, first, last - first)
            return True
        size = 1 + flats[at].head if flats[at].first == TURN_GROUP else 1
        if (b.never[i] >> flats[at].sieve) & 1 == 0:
            n = add_part(parts, n, at, size)
        at += size
    if stop != last:
        n = add_part(parts, n, stop, last - stop)
    return start_parts(b, t, i, parts, n)


cdef inline bint start_allows(Side* s, const TablesC* t, uint32_t i, Range allows) noexcept nogil:
    """Begin with those allows of a resource's policies that may change something for who asks; False where none does."""
    cdef Block* b = s.block
    cdef uint64_t left = open_allows(b.caller[i], t, b.rows[HELD_ROWS][i], (b.asked[i] & MUST_HOLD) == 0)
    cdef Range parts[MOST_LEFT]
    cdef uint32_t n = 0, at, size
    if ~left == 0:
        start(b, t, i, allows.first, allows.n)
        return True
    while left:
        at = first_bit(left)
        size = first_bit(~(left >> at))
        n = add_part(parts, n, allows.first + at, size)
        left &= ~(((<uint64_t>1 << size) - 1) << at)
    return start_parts(b, t, i, parts, n)


cdef inline bint start_stage(Side* s, const TablesC* t, uint32_t i, uint32_t stage) noexcept nogil:
    """Begin with the flats of a stage; False where none can tell anything."""
    cdef Range flats = stage_flats(s.block, i, stage)
    s.block.n_left[i] = 0
    if flats.n > 1 and stage < LEVEL_ALLOWS:
        return start_denies(s.block, t, i, flats.first, flats.first + flats.n, flats.first + flats.n)
    if flats.n > 1 and stage == HELD_ALLOWS:
        return start_allows(s, t, i, flats)
    if flats.n:
        start(s.block, t, i, flats.first, flats.n)
    return flats.n != 0


cdef inline bint must_allow(const Block* b, uint32_t i) noexcept nogil:
    """Whether the request is denied if no flat of the stage at hand stands."""
    return b.stage[i] >= LEVEL_ALLOWS and (b.stage[i] != HELD_ALLOWS or b.asked[i] & MUST_HOLD != 0)


cdef inline bint go_on(Side* s, const TablesC* t, uint32_t i) noexcept nogil:
    """Go on with the next stage of a row; False where it has no flats, but must allow. INVARIANT: one that must allow is to come."""
    cdef Block* b = s.block
    cdef uint32_t stage
    while True:
        stage = <uint32_t>first_bit(b.asked[i])
        b.asked[i] &= b.asked[i] - 1
        b.stage[i] = narrow8(stage)
        if start_stage(s, t, i, stage):
            return True
        if must_allow(b, i):
            return False


cdef inline void pass_over(Side* s, const TablesC* t, uint32_t* n_over) noexcept nogil:
    """Go on with rows of which no flat of a stage stands, and need not; the first `n_over` are looked at, and are denied."""
    cdef Block* b = s.block
    cdef uint64_t* over = b.waves[TURN_OVER].flats
    cdef uint32_t j, i
    for j in range(n_over[0], n_held(b, TURN_OVER)):
        i = <uint32_t>over[j]
        if b.n_left[i]:
            try_left(b, t, i)
        elif must_allow(b, i) or not go_on(s, t, i):
            over[n_over[0]] = over[j]
            n_over[0] += 1
    b.ends[TURN_OVER] = over + n_over[0]


cdef inline bint is_enough(const Block* b, const Flat* f, uint32_t i) noexcept nogil:
    """Whether a flat that stands decides its row."""
    if f.flags & FLAT_DENIES or not b.asked[i] & STAGES:
        return True
    return b.stage[i] == HELD_ALLOWS and not b.asked[i] & FROM_ELSEWHERE and not f.flags & FLAT_PRINCIPALS    # for whom else: `look_closer`


cdef inline void pass_on(Side* s, const TablesC* t, bint reasons, int64_t first, uint32_t* n_done) noexcept nogil:
    """Go on with rows of which a flat stands that is not enough; the first `n_done` are looked at, and are decided."""
    cdef Block* b = s.block
    cdef uint64_t* done = b.waves[TURN_DONE].flats
    cdef uint64_t open[BLOCK]
    cdef const Flat* f
    cdef uint32_t j, i, n
    while n_held(b, TURN_DONE) > n_done[0]:
        n = 0
        for j in range(n_done[0], n_held(b, TURN_DONE)):
            if is_enough(b, t.flats + (done[j] >> 32), <uint32_t>done[j]):
                done[n_done[0]] = done[j]
                n_done[0] += 1
            else:
                open[n] = done[j]
                n += 1
        b.ends[TURN_DONE] = done + n_done[0]
        for j in range(n):
            i = <uint32_t>open[j]
            f = t.flats + (open[j] >> 32)
            if reasons and b.stage[i] == OWN_ALLOWS:
                s.answers.entry[first + i] = f.entry
            if not go_on(s, t, i):
                b.ends[TURN_OVER][0] = i
                b.ends[TURN_OVER] += 1


cdef inline uint32_t n_denied(const TablesC* t, const Row* row) noexcept nogil:
    """How many flats of a row deny, those of a long run one by one."""
    cdef const Flat* f = t.flats + row.flat
    return t.indexes[f.conditions].n_items if row.denies and f.first == TURN_INDEX else row.denies


cdef inline bint deny_much(const Block* b, const Call* c) noexcept nogil:
    """Whether the rows that waves decide have so many denies that sifting them pays, going by some of them. Plain text is not asked ahead for
    own ones."""
    cdef const TablesC* t = c.t
    cdef uint32_t j, i, n_of_own = 0, n_of_held = 0, own = (b.own_way.n + SAMPLED - 1) // SAMPLED, joined = b.joined_way.n // SAMPLED
    for j in range(own):
        n_of_own += n_denied(t, b.rows[OWN_ROWS][b.own_way.rows[j * SAMPLED]])
    for j in range(joined):
        i = b.joined_way.rows[j * SAMPLED]
        n_of_own += n_denied(t, b.rows[OWN_ROWS][i])
        n_of_held += n_denied(t, b.rows[HELD_ROWS][i])
    return (n_of_own > own + joined and not c.has_texts) or n_of_held > max(joined, <uint32_t>MANY_SAMPLED)


cdef inline void decide_waves(Side* s, Look* l, int64_t row) noexcept nogil:
    """Decide the rows of a block's `own_way` and `joined_way`; some of these may be left to the near way."""
    cdef Block* b = s.block
    cdef const TablesC* t = l.c.t
    cdef const Row* own
    cdef uint32_t i, j, n_over = 0, n_done = 0, n_near = b.near_way.n, n = b.own_way.n + b.joined_way.n
    for j in range(N_TURNS):
        b.ends[j] = b.waves[j].flats
    b.has_left = False
    memset(b.n_left, 0, sizeof(b.n_left))
    for j in range(b.own_way.n):                         # INVARIANT: a row of this way has flats
        i = b.own_way.rows[j]
        own = b.rows[OWN_ROWS][i]
        b.stage[i] = OWN_ALLOWS
        if b.asked[i] and own.flags & ROW_GRANTS_ALL and own.denies == 0 and not l.c.reasons:
            start(b, t, i, own.flat + own.n_flats - 1, 1)    # that always counts
        elif own.denies > 1 and b.skipped[i] == 0 and is_sifted(s) and start_denies(
            b, t, i, own.flat, own.flat + own.denies, own.flat + own.n_flats
        ):
            continue
        elif own.n_flats != b.skipped[i]:
            start(b, t, i, own.flat + b.skipped[i], own.n_flats - b.skipped[i])
        else:
            b.ends[TURN_OVER][0] = i
            b.ends[TURN_OVER] += 1
    for j in range(b.joined_way.n):
        i = b.joined_way.rows[j]
        if not go_on(s, t, i):
            b.ends[TURN_OVER][0] = i
            b.ends[TURN_OVER] += 1
    if not is_sifted(s):
        s.denies_much = deny_much(b, l.c)
    while True:
        if b.joined_way.n or b.has_left:
            pass_over(s, t, &n_over)
        if b.has_more:
            pass_on(s, t, l.c.reasons, l.first + row, &n_done)
        if n_held(b, TURN_OVER) + n_held(b, TURN_DONE) + b.near_way.n - n_near == n:
            break
        try_groups(b, t)
        try_indexes(b, l.c, row)
        try_heads(b, t)
        try_inners(b, t)
        try_flats(b, t)
        seek_inner(b, t)
        ask_whose(b, l.c)
        ask_conditions(b, l, row)
        look_closer(s, l, row)
        look_at_runs(s, l, row)
    tell(s, t, l.c.reasons, l.first + row)
