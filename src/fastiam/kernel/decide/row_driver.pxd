"""Row-at-a-time evaluation of common requests: a user or role, a resource in its own partition, an action without special rules.

Common tests (literals of an ARN, truths that are memoized by column code) are evaluated in place. Other tests need a whole `Call`, which is
built once for each row. Invariant: the result equals that of `kernel.decide.combine`. Header only.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastiam.kernel.base.invariants cimport narrow32
from fastiam.kernel.base.text cimport Text, equal, mix
from fastiam.kernel.columns.column cimport item_text
from fastiam.kernel.decide.blocks cimport (
    Block, HAS_TAGS, HELD_ROWS, Match, N_MATCHES, N_VARIABLES, OWN_ROWS, RCP_ROWS, SCP_ROWS, Side, VariableText, record_of,
)
from fastiam.kernel.decide.combine cimport Grant, resource_grant, verdict
from fastiam.kernel.decide.fast_path cimport FACTS_COLON, FACTS_KEY, FACTS_STAR, colon_place, is_here, put_resource
from fastiam.kernel.decide.locate cimport locate_endpoint
from fastiam.kernel.decide.principal_hint cimport is_about_others
from fastiam.kernel.decide.scratch cimport next_stamp
from fastiam.kernel.eval.conditions cimport NOT_OPEN, atom_truth, presence_truth
from fastiam.kernel.eval.glob cimport glob
from fastiam.kernel.eval.group_filter cimport has_pieces, passed_over
from fastiam.kernel.eval.key_columns cimport kept_code
from fastiam.kernel.eval.literals cimport STAR, find_piece, pieces_stand, starts_alike
from fastiam.kernel.eval.memo cimport Basis, keep_truth, kept_truth, resource_plan, tell_truth, told_truth
from fastiam.kernel.eval.operators cimport resolve
from fastiam.kernel.eval.statement cimport entry_classes, entry_counts, first_counting
from fastiam.kernel.eval.unknown cimport next_slot, slot_number
from fastiam.kernel.model.call cimport CALLER_BOUND, CALLER_SESSION, Call, Caller, ContextColumn, Fetched, Kept, NO_REGION, given
from fastiam.kernel.model.decision cimport (
    ALLOW, Answer, DONE, EXPLICIT_DENY, IMPLICIT_DENY, LAYER_BOUNDARY, LAYER_IDENTITY, LAYER_RESOURCE, LAYER_SCP, LAYER_SESSION, REASON_NONE,
)
from fastiam.kernel.model.tables cimport *


cdef enum:
    MOST_EXPANDED = 256        # bytes of a pattern behind its first variable, with the texts of others in it


cdef struct Look:              # the row at hand
    Call* c                    # which holds it where `taken` says so
    const uint8_t* pool
    const uint16_t* colons     # of the resource; NULL: the facts tell
    const Caller* caller       # of a row where others count than its own
    uint64_t facts
    const uint8_t* text        # of the resource
    const uint8_t* end
    uint32_t i                 # of the block
    int64_t first              # the range's first row in the batch
    int64_t row                # of the range
    uint8_t taken
    uint8_t has_tags           # the record has constants of its own: nulls of columns mean less


cdef inline void take(Side* s, Look* l) noexcept nogil:
    """Put the row at hand into the call."""
    cdef Block* b = s.block
    cdef Call* c = l.c
    if l.taken:
        return
    l.taken = True
    c.row = l.row
    c.batch_row = l.first + l.row
    c.principal = &c.t.principals[b.who[l.i]]
    c.action_name = b.name[l.i]
    c.action_class = b.cls[l.i]
    c.action = &c.t.classes[c.action_class]
    c.own = b.rows[OWN_ROWS][l.i][0]
    c.resource = Text(STAR, 1) if l.facts & FACTS_STAR else b.text[l.i]
    next_stamp(c.s)
    put_resource(c, b.caller[l.i], l.facts, record_of(b, l.i))
    locate_endpoint(c)


# -- statements -----------------------------------------------------------------------------------------------------------

cdef inline bint flat_matches(const Look* l, const Flat* f) noexcept nogil:
    """`pieces_match`, from the flat."""
    cdef const uint8_t* text = l.pool + f.text
    cdef const uint8_t* at = l.text + f.head
    cdef const uint8_t* rest = text + f.mid_at + f.mid
    cdef int64_t inner = f.least - f.head - f.mid - f.suffix
    if l.end - l.text < f.least or not starts_alike(text, l.text, f.head):
        return False
    if f.mid:
        if f.colon != NO_COLON:
            at = l.text + (colon_place(l.facts, f.colon) if l.colons == NULL else <int64_t>l.colons[f.colon])
        if l.end - at < f.mid + inner + f.suffix or not equal(text + f.mid_at, at, f.mid):
            return False
        at += f.mid
    if f.rest < 0:
        return at == l.end
    text += f.size
    if not equal(text - f.suffix, l.end - f.suffix, f.suffix):
        return False
    if inner == 0:
        return True
    if f.rest == REST_INNER:
        return find_piece(l.text, l.end, at, l.end - f.suffix, rest + 1, inner) != NULL
    if f.rest == REST_PIECES:
        return pieces_stand(rest, text - f.suffix, l.text, l.end, at, l.end - f.suffix)
    return glob(rest, text - f.suffix, at, l.end - f.suffix)


cdef inline int given_truth(Side* s, Look* l, uint32_t id, bint is_met) noexcept nogil:
    """The truth of an atom that its column alone decides, NOT_OPEN where it does not: the row has no value, or more must be known. It is
    not kept for a text that has no code, for it `is_met` no second time."""
    cdef Call* c = l.c
    cdef const Atom* atom = &c.t.atoms[id]
    cdef int32_t at = c.s.sources[atom.key]
    cdef Text value
    cdef Fetched found
    cdef Basis q
    cdef uint8_t* place
    cdef int truth
    if at < 0 or not atom.flags & ATOM_FIXED or atom.flags & ATOM_U:
        return NOT_OPEN
    c.row = l.row
    if c.columns[at].column.is_list:
        given(c, atom.key, 0, &found)
        return presence_truth(c, atom, &found) if found.n else NOT_OPEN
    if not item_text(c.columns[at].column, c.columns[at].first + l.row, &value):
        return NOT_OPEN
    found = Fetched(&value, 1, c.columns[at].is_multi, False)
    truth = presence_truth(c, atom, &found)
    if not is_met:
        return truth
    place = kept_truth(c, atom, id)
    if place != NULL:
        keep_truth(c, id, place, truth)
    else:
        q = Basis(l.row, s.block.who[l.i], NONE, NONE, NULL, 0)  # the column has a value: the resource tells nothing
        tell_truth(c, id, &q, truth, False)
    return truth


cdef inline Basis basis_of(const Block* b, uint32_t i, int64_t row, bint has_tags) noexcept nogil:
    """What truths may depend on in a row of the block, whose resource has constants of its own or not."""
    cdef uint32_t constants = NONE
    cdef const char* region_end = b.text[i].data + colon_place(b.facts[i], 3)
    if has_tags:
        constants = b.stored[i].constants
    if b.facts[i] & FACTS_STAR:
        region_end = NO_REGION + 1
    return Basis(row, b.who[i], constants, b.owner[i], region_end, resource_plan(has_tags, b.differs[i] == 0))


cdef inline bint atom_stands(Side* s, Look* l, uint32_t id, uint8_t accept) noexcept nogil:
    cdef const Kept* kept = l.c.s.kept
    cdef const ContextColumn* column
    cdef Basis q
    cdef int64_t code
    cdef int truth = NOT_OPEN, told
    cdef bint is_met = True
    if kept != NULL and kept[id].truths != NULL:
        column = &l.c.columns[kept[id].column]
        code = kept_code(column, l.row)
        told = kept[id].truths[code]
        if told and not (l.has_tags and code == column.n_codes):
            return (accept >> (told - 1)) & 1
        is_met = code <= column.n_codes
    l.c.action = &l.c.t.classes[s.block.cls[l.i]]
    if is_met:
        q = basis_of(s.block, l.i, l.row, l.has_tags)
        truth = told_truth(l.c, id, &q, l.first + l.row)
    if truth == NOT_OPEN:
        truth = given_truth(s, l, id, is_met)
    if truth == NOT_OPEN:
        take(s, l)
        truth = atom_truth(l.c, id)
    return (accept >> truth) & 1


cdef inline bint conditions_stand(Side* s, Look* l, uint32_t conditions, uint8_t accept) noexcept nogil:
    cdef Range block
    cdef uint32_t i
    if conditions & ONE:
        return atom_stands(s, l, conditions ^ ONE, accept)
    block = l.c.t.condition_lists[conditions]
    for i in range(block.n):
        if not atom_stands(s, l, l.c.t.atom_lists[block.first + i], accept):
            return False
    return True


cdef inline uint32_t classes_of(Side* s, Look* l, const Flat* f, uint8_t accept) noexcept nogil:
    """The classes in which a statement is about who asks; found once for each principal (the resource is no `*`, whose partition is none)."""
    cdef const Entry* e = &l.c.t.entries[f.entry]
    cdef uint64_t key = ((<uint64_t>e.principals * 2 + (f.flags & FLAT_DENIES)) << 32) + s.block.who[l.i] + 1
    cdef Match* found = &s.seen.matches[mix(key) & (N_MATCHES - 1)]
    if found.key != key:
        l.c.principal = &l.c.t.principals[s.block.who[l.i]]   # all that this asks for, beside the partition that they share
        l.c.partition = l.c.principal.partition
        found.key = key
        found.classes = entry_classes(l.c, e, accept)
    return found.classes


cdef inline int variable_text(Side* s, Call* c, uint32_t who, uint32_t variable, Text* text) noexcept nogil:
    """The text of a variable for somebody, found once: T; F: there is none (VR8); U: more tells it than who asks."""
    cdef uint32_t key = c.t.variables[variable].key
    cdef uint64_t place = (<uint64_t>variable << 32) + who + 1
    cdef VariableText* known = &s.seen.variables[mix(place) & (N_VARIABLES - 1)]
    if c.t.keys[key].source != KEY_PRINCIPAL or c.s.sources[key] >= 0:
        return U
    if known.key != place:
        c.principal = &c.t.principals[who]               # all that this asks for
        known.key = place
        known.truth = resolve(c, variable, text)
        if known.truth:                                  # INVARIANT: constants of principals, and defaults, lie in the pool
            known.text = narrow32(text.data - <const char*>c.t.pool)
            known.size = narrow32(text.size)
    text[0] = Text(<const char*>c.t.pool + known.text, known.size)
    return T if known.truth else F


cdef inline int rest_stands(
    Side* s, Call* c, uint32_t who, const uint8_t* p, const uint8_t* p_end, const uint8_t* text, const uint8_t* end
) noexcept nogil:
    """Whether what is left of a text matches what is left of a pattern, which has more variables; U: more tells it than who asks."""
    cdef uint8_t expanded[MOST_EXPANDED]
    cdef const uint8_t* slot = next_slot(p, p_end)
    cdef int64_t n = 0, size
    cdef Text value
    cdef int truth
    while p != p_end:
        size = (slot if slot != NULL else p_end) - p
        if n + size > MOST_EXPANDED:
            return U
        memcpy(expanded + n, p, <size_t>size)
        n += size
        p += size
        if slot == NULL:
            break
        truth = variable_text(s, c, who, slot_number(slot), &value)
        if truth != T:
            return truth
        if n + value.size > MOST_EXPANDED:
            return U
        memcpy(expanded + n, value.data, <size_t>value.size)
        n += value.size
        p += SLOT_SIZE
        slot = next_slot(p, p_end)
    return glob(expanded, expanded + n, text, end)


cdef inline int64_t slot_place(const Flat* f, const uint8_t* pattern, const char* text, int64_t size, uint64_t facts) noexcept nogil:
    """Where the first variable of a pattern of TURN_WHOSE has to stand in a resource, whose head stands as far as that is compared; -1: what comes
    before does not stand."""
    cdef int64_t before, start, region_end, field, n
    if not f.inner & OPEN_MASK:
        return f.mid_at if size >= f.mid_at and equal(pattern + f.head, text + f.head, f.mid_at - f.head) else -1
    before = f.inner >> OPEN_BITS
    start = f.mid_at - before                            # of field 6 in the pattern
    region_end = colon_place(facts, 3)
    field = colon_place(facts, 4) + 1
    n = field - region_end
    if size < field + before or not equal(pattern + start, text + field, before):
        return -1
    if f.inner & OPEN_REGION:                            # the head ends before it
        if not f.inner & OPEN_ACCOUNT and not (start - n > f.head and equal(pattern + start - n, text + region_end, n)):
            return -1
    else:
        n = start - 2                                    # as far as the colon after the region
        if region_end + 1 != n or not equal(pattern + f.head, text + f.head, n - f.head):
            return -1
    return field + before


cdef inline int slot_stands(Side* s, Call* c, uint32_t who, const Flat* f, const Text* resource, uint64_t facts) noexcept nogil:
    """Whether a resource matches a pattern of TURN_WHOSE, whose head stands as far as that is compared; U: more tells it than who asks."""
    cdef const uint8_t* pattern = c.t.pool + f.text
    cdef const uint8_t* rest
    cdef const uint8_t* text = <const uint8_t*>resource.data
    cdef Text value
    cdef int64_t place
    cdef int truth
    if f.flags & FLAT_CROSSES and facts & FACTS_COLON:
        return U
    truth = variable_text(s, c, who, slot_number(pattern + f.mid_at), &value)
    if truth != T:
        return truth
    place = slot_place(f, pattern, resource.data, resource.size, facts)
    if place < 0 or resource.size < place + value.size or not equal(value.data, text + place, value.size):
        return F
    rest = pattern + f.mid_at + SLOT_SIZE
    text += place + value.size
    if f.inner & OPEN_MORE:
        return rest_stands(s, c, who, rest, pattern + f.size, text, <const uint8_t*>resource.data + resource.size)
    return glob(rest, pattern + f.size, text, <const uint8_t*>resource.data + resource.size)


cdef inline bint may_cross(const Flat* f, const uint8_t* pool, const char* text, const char* end) noexcept nogil:
    """Whether a flat that has crossing matches may match a resource with more than five colons across them: no more than if every star
    stopped nowhere. Its text is no other than that of the crossing pattern: one with variables, or that is short (R6), is none of literal
    pieces (`_flat_pattern`), and what has not even these ends does not cross either."""
    return glob(pool + f.text, pool + f.text + f.size, <const uint8_t*>text, <const uint8_t*>end)


cdef inline bint is_odd(const Look* l, const Flat* f) noexcept nogil:
    """The statement has to be looked at as a whole."""
    if f.first == TURN_ODD or f.flags & FLAT_ENDS or (f.flags & FLAT_PRINCIPALS and l.facts & FACTS_STAR):
        return True
    return f.flags & FLAT_CROSSES and l.facts & FACTS_COLON and may_cross(f, l.pool, <const char*>l.text, <const char*>l.end)


cdef inline bint may_stand(const Look* l, const Flat* f) noexcept nogil:
    """Whether there is a statement that may apply, where its ends alone are flat."""
    if f.first == TURN_GROUP:
        return False
    return not f.flags & FLAT_ENDS or (not l.facts & FACTS_STAR and flat_matches(l, f))


cdef inline uint32_t step(const Look* l, const Flat* f) noexcept nogil:
    """How far it is from a flat that does not apply to the next one that may."""
    if f.first != TURN_GROUP:
        return 1
    return 1 + passed_over(f, l.pool, <const char*>l.text, l.end - l.text, colon_place(l.facts, 4), l.facts & FACTS_COLON != 0)


cdef inline uint32_t flat_stands(Side* s, Look* l, const Flat* f) noexcept nogil:
    """The classes in which a statement applies, on one of its patterns; 0 if it does not."""
    cdef uint8_t accept = BROAD if f.flags & FLAT_DENIES else STRICT
    cdef uint32_t classes = CLASS_STAR
    if is_odd(l, f):
        take(s, l)
        return entry_counts(l.c, &l.c.t.entries[f.entry], accept)
    if f.flags & FLAT_PRINCIPALS:
        classes = 0 if is_about_others(s.block.caller[l.i], f) else classes_of(s, l, f, accept)
        if classes == 0:
            return 0
    if has_pieces(f) and (l.facts & FACTS_STAR or not flat_matches(l, f)):
        return 0
    return classes if f.conditions == NONE or conditions_stand(s, l, f.conditions, accept) else 0


cdef inline const Flat* flat_of(const TablesC* t, const Flat* f, const Run* run, uint32_t entry) noexcept nogil:
    """The first flat of a statement of a long run, which has one: they are in order."""
    cdef const Flat* flats = &t.flats[f.atom]
    cdef uint32_t first = 0, last = t.indexes[run.index].n_items, middle
    while first < last:
        middle = (first + last) // 2
        if flats[middle].entry < entry:
            first = middle + 1
        else:
            last = middle
    return flats + first


cdef inline const Flat* first_of_run(Call* c, const Flat* f) noexcept nogil:
    """The flat of the first statement of a long run that applies, or NULL."""
    cdef const Run* run = &c.t.runs[f.entry]
    cdef const Entry* e = first_counting(c, run, BROAD if f.flags & FLAT_DENIES else STRICT)
    return NULL if e == NULL else flat_of(c.t, f, run, narrow32(e - c.t.entries))


cdef inline const Flat* first_flat(Side* s, Look* l, const Row* row, uint32_t first, uint32_t last) noexcept nogil:
    """The first of some flats of a row that applies (D51), or NULL."""
    cdef const Flat* f = &l.c.t.flats[row.flat]
    cdef const Flat* found
    cdef uint32_t i = first
    while i < last:
        if f[i].first == TURN_INDEX:
            take(s, l)
            found = first_of_run(l.c, f + i)
            if found != NULL:
                return found
        elif may_stand(l, f + i) and flat_stands(s, l, f + i) != 0:
            return f + i
        i += step(l, f + i)
    return NULL


cdef inline const Entry* entry_of(const Look* l, const Flat* f) noexcept nogil:
    return NULL if f == NULL else &l.c.t.entries[f.entry]


cdef inline bint row_denies(Side* s, Look* l, const Row* row, Answer* a) noexcept nogil:
    cdef const Entry* e
    if not row.flags & ROW_DENIES:
        return False
    if row.flags & ROW_FLAT:
        e = entry_of(l, first_flat(s, l, row, 0, row.denies))
    else:
        take(s, l)
        e = first_counting(l.c, &l.c.t.runs[row.first], BROAD)
    if e == NULL:
        return False
    verdict(a, EXPLICIT_DENY, e.layer, REASON_NONE, e)
    return True


cdef inline const Entry* row_grants(Side* s, Look* l, const Row* row) noexcept nogil:
    """The allow of the first segment that applies."""
    if not row.flags & ROW_GRANTS:
        return NULL
    if row.flags & ROW_FLAT:
        if row.flags & ROW_GRANTS_ALL and not l.c.reasons:
            return &l.c.t.entries[l.c.t.flats[row.flat + row.n_flats - 1].entry]
        return entry_of(l, first_flat(s, l, row, row.denies, row.n_flats))
    take(s, l)
    return first_counting(l.c, &l.c.t.runs[row.first + 1], STRICT)


cdef inline const Entry* level_grants(Side* s, Look* l, const Row* row, uint32_t segment) noexcept nogil:
    """The allow of a segment beyond the first."""
    cdef const Run* run = &l.c.t.runs[row.first + 1 + segment]
    if segment == 0:
        return row_grants(s, l, row)
    if run.n == 0:
        return NULL
    if run.flags & RUN_ALL:
        return &l.c.t.entries[run.first + run.n - 1]     # INVARIANT: the entry that always counts is the last
    take(s, l)
    return first_counting(l.c, run, STRICT)


cdef inline bint every_level_stands(Side* s, Look* l, const Row* row) noexcept nogil:
    """D10."""
    cdef uint32_t i
    for i in range(1, row.n):
        if level_grants(s, l, row, i - 1) == NULL:
            return False
    return row.n > 1


# -- the decision -----------------------------------------------------------------------------------------------------------

cdef inline bint limits_stand(Side* s, Look* l, const Row* own, Answer* a) noexcept nogil:
    """Boundary and session policies, where there are any."""
    if l.caller.flags & CALLER_BOUND and level_grants(s, l, own, 1) == NULL:
        verdict(a, IMPLICIT_DENY, LAYER_BOUNDARY, REASON_NONE, NULL)
        return False
    if l.caller.flags & CALLER_SESSION and level_grants(s, l, own, 2) == NULL:
        verdict(a, IMPLICIT_DENY, LAYER_SESSION, REASON_NONE, NULL)
        return False
    return True


cdef inline int by_identity(Side* s, Look* l, const Row* own, Answer* a) noexcept nogil:
    """The identity's policies, then what limits them."""
    cdef const Entry* e = row_grants(s, l, own)
    if e == NULL:
        return verdict(a, IMPLICIT_DENY, LAYER_IDENTITY, REASON_NONE, NULL)
    if not limits_stand(s, l, own, a):
        return DONE
    return verdict(a, ALLOW, LAYER_IDENTITY, REASON_NONE, e)


cdef inline void held_grants(Side* s, Look* l, const Row* held, uint32_t sufficient, uint32_t bypass, Grant* g) noexcept nogil:
    """`resource_grant` over the flats of a row."""
    cdef const Flat* f = &l.c.t.flats[held.flat]
    cdef uint32_t i, classes
    if not held.flags & ROW_GRANTS:
        return
    if not held.flags & ROW_FLAT:
        take(s, l)
        resource_grant(l.c, held[0], sufficient, bypass, g)
        return
    i = held.denies
    while i < held.n_flats:
        classes = flat_stands(s, l, f + i) if may_stand(l, f + i) else 0
        g.classes |= classes
        if g.entry == NULL and classes & sufficient:
            g.entry = &l.c.t.entries[f[i].entry]
        if g.classes & bypass:
            return
        i += step(l, f + i)


cdef inline int by_resource(Side* s, Look* l, const Row* own, const Row* held, Answer* a) noexcept nogil:
    """6.4 `same_account` and `cross_account`, where something is stored about the resource or another account owns it."""
    cdef bint here = is_here(l.caller, l.facts), must = not here or l.facts & FACTS_KEY != 0
    cdef uint32_t bypass = CLASS_D | CLASS_STAR if here else <uint32_t>CLASS_ALL
    cdef uint32_t sufficient = bypass | CLASS_R | CLASS_P
    cdef Grant g = Grant(0, NULL)
    held_grants(s, l, held, sufficient, bypass, &g)
    if must and g.classes == 0:
        return verdict(a, IMPLICIT_DENY, LAYER_RESOURCE, REASON_NONE, NULL)
    if not here:
        return by_identity(s, l, own, a)
    if g.classes & bypass:
        return verdict(a, ALLOW, LAYER_RESOURCE, REASON_NONE, g.entry)
    if g.classes & (CLASS_R | CLASS_P):
        if limits_stand(s, l, own, a):
            return verdict(a, ALLOW, LAYER_RESOURCE, REASON_NONE, g.entry)
        return DONE
    return by_identity(s, l, own, a)


cdef inline void look_at(const Block* b, Look* l, int64_t at, uint32_t i) noexcept nogil:
    """Turn to a row of the block."""
    l.i = i
    l.row = at + i
    l.facts = b.facts[i]
    l.text = <const uint8_t*>b.text[i].data
    l.end = l.text + b.text[i].size
    l.taken = False
    l.has_tags = b.asked[i] & HAS_TAGS != 0


cdef inline int decide_near(Side* s, Look* l, Answer* a) noexcept nogil:
    """Decide the row at hand: denies in the order of D50, then what must allow (6.4)."""
    cdef Block* b = s.block
    cdef const Row* own = b.rows[OWN_ROWS][l.i]
    cdef const Row* scp = b.rows[SCP_ROWS][l.i]
    cdef const Row* held = b.rows[HELD_ROWS][l.i]
    if row_denies(s, l, b.rows[RCP_ROWS][l.i], a) or row_denies(s, l, scp, a) or row_denies(s, l, held, a) or row_denies(s, l, own, a):
        return DONE
    if scp.n and not scp.flags & ROW_PASSES and not every_level_stands(s, l, scp):
        return verdict(a, IMPLICIT_DENY, LAYER_SCP, REASON_NONE, NULL)
    if not held.n and not l.facts & FACTS_KEY and is_here(l.caller, l.facts):
        return by_identity(s, l, own, a)
    return by_resource(s, l, own, held, a)
