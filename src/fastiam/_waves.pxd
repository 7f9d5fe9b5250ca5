"""Rows of a block that nothing counts for but flats: of their own rows, or denies of other layers before them. Decided side by side.
Header only.

The first flat that applies says all (denies stand before allows). A wave looks at one flat of each row that is not decided yet, without a
branch on what it finds: that is not to be foreseen, and a processor that goes on at once has the memory of the next rows there in time.
"""
from libc.stdint cimport INT64_MIN, int64_t, uint32_t, uint64_t, uintptr_t

from fastiam._block cimport BLOCK, N_LAYERED, OWN_ROWS, Block, Side, Wave
from fastiam._bytes cimport first_bit, prefetch
from fastiam._call cimport Call, ContextColumn, Kept
from fastiam._columns cimport Text
from fastiam._decide cimport ALLOW, IMPLICIT_DENY
from fastiam._flat cimport Look, conditions_stand, flat_stands, look_at
from fastiam._pieces cimport ANYWHERE, NOWHERE, ends_stand, piece_within, windows_stand
from fastiam._plain cimport FACTS_COLON, colon_place
from fastiam._truths cimport ask_code, ask_text_code, hashed_code, kept_code
from fastiam._types cimport *


cdef inline void put(Block* b, const TablesC* t, uint32_t i, uint32_t at, uint32_t turn) noexcept nogil:
    """What comes after a look at a flat of a row. It may be entered in the wave that is looked at, behind what was read of it."""
    cdef uint32_t after = at + (turn == TURN_NEXT)
    cdef const Flat* f = t.flats + after
    cdef Wave* w = &b.waves[turn | (-<uint32_t>(turn == TURN_NEXT) & f.first)]
    w.flats[w.n] = <uint64_t>after << 32 | i
    w.n += 1
    prefetch(t.pool + f.text)
    prefetch(t.pool + f.text + f.size)


cdef inline uint32_t either(const Block* b, uint32_t i, uint32_t at, uint32_t stands, uint32_t turn) noexcept nogil:
    """This turn, if a flat stands as far as that is known, else what comes if it does not."""
    cdef uint32_t missed = at + 1 == b.stop[i]           # TURN_NEXT or TURN_OVER
    return missed ^ ((missed ^ turn) & -stands)


cdef inline int64_t middle_of(const Block* b, const Flat* f, uint32_t i) noexcept nogil:
    """Where the middle of a pattern would start in the resource: at a colon, or where its head ends."""
    return colon_place(b.facts[i], f.colon) + (-<int64_t>(f.colon == NO_COLON) & f.head)


cdef inline uint32_t crosses(const Block* b, const Flat* f, uint32_t i, uint32_t starts) noexcept nogil:
    """All bits of TURN_ODD, where the crossing reading may match: it needs the head, too, and no less room, for no colon comes earlier."""
    return -((f.flags >> 1) & <uint32_t>((b.facts[i] & FACTS_COLON) != 0) & starts & 1) & TURN_ODD


cdef inline Text text_if(const Text* text, int64_t outside) noexcept nogil:
    """A text; where it has no room for a pattern, as all bits say, another one: then nothing of it is read."""
    return Text(
        <const char*>((<uintptr_t>text.data & <uintptr_t>~outside) | (<uintptr_t>NOWHERE & <uintptr_t>outside)),
        (text.size & ~outside) | (ANYWHERE & outside),
    )


cdef inline uint32_t look_at_ends(const Block* b, const TablesC* t, const Flat* f, uint32_t i, Text* text) noexcept nogil:
    """Whether head and suffix of a pattern without a middle stand; `text` is what its other pieces may be looked for in."""
    cdef int64_t room = b.text[i].size - f.least
    text[0] = text_if(&b.text[i], room >> 63)
    return ends_stand(t.pool + f.text, t.pool + f.text + f.size, f.head, f.suffix, text.data, text.size) & (
        (room & (f.exact | <int64_t>INT64_MIN)) == 0
    )


cdef inline uint32_t inner_turn(const Block* b, const Flat* f, uint32_t i, uint32_t at, uint32_t found) noexcept nogil:
    """What comes after a look for the piece in between, which says what `piece_within` does."""
    cdef uint32_t turn = (TURN_DONE + (f.conditions != NONE)) | (-<uint32_t>(f.rest != REST_INNER) & TURN_ODD)
    return either(b, i, at, found & 1, turn) | (-(found >> 1) & TURN_ODD)


cdef inline void try_heads(Block* b, const TablesC* t) noexcept nogil:
    """Look at the pieces at known places of flats that have no middle."""
    cdef Wave* w = &b.waves[TURN_HEAD]
    cdef const Flat* f
    cdef Text text
    cdef uint32_t i, j, at, n = w.n
    w.n = 0
    for j in range(n):
        i = <uint32_t>w.flats[j]
        at = <uint32_t>(w.flats[j] >> 32)
        f = t.flats + at
        put(b, t, i, at, either(b, i, at, look_at_ends(b, t, f, i, &text), f.turn))


cdef inline void try_inners(Block* b, const TablesC* t) noexcept nogil:
    """Look at these and at the piece in between."""
    cdef Wave* w = &b.waves[TURN_HEAD_INNER]
    cdef const Flat* f
    cdef Text text
    cdef uint32_t i, j, at, n = w.n, stands, found
    w.n = 0
    for j in range(n):
        i = <uint32_t>w.flats[j]
        at = <uint32_t>(w.flats[j] >> 32)
        f = t.flats + at
        stands = look_at_ends(b, t, f, i, &text)
        found = piece_within(text.data, text.size, f.head, text.size - f.suffix, t.pool + f.text + f.head + 1, f.inner)
        put(b, t, i, at, inner_turn(b, f, i, at, found & (-stands & 3)))


cdef inline void try_flats(Block* b, const TablesC* t) noexcept nogil:
    """Look at the pieces at known places of the flats of a wave."""
    cdef Wave* w = &b.waves[TURN_NEXT]
    cdef const Flat* f
    cdef Text text
    cdef uint32_t i, j, at, n = w.n, stands
    cdef int64_t mid, size, room, outside
    w.n = 0
    for j in range(n):
        i = <uint32_t>w.flats[j]
        at = <uint32_t>(w.flats[j] >> 32)
        f = t.flats + at
        size = b.text[i].size
        mid = middle_of(b, f, i)
        room = size - (mid + f.least - f.head)
        outside = (room | (size - f.least)) >> 63
        text = text_if(&b.text[i], outside)
        stands = windows_stand(
            t.pool + f.text, t.pool + f.text + f.size, f.head, f.mid & ~outside, f.mid_at, f.suffix, text.data, text.size, mid
        )
        stands &= 2 | ((room & (f.exact | <int64_t>INT64_MIN)) == 0)
        put(b, t, i, at, either(b, i, at, stands & 1, f.turn) | crosses(b, f, i, stands >> 1))


cdef inline void seek_inner(Block* b, const TablesC* t) noexcept nogil:
    """Look for the pieces that have no known place."""
    cdef Wave* w = &b.waves[TURN_INNER]
    cdef const Flat* f
    cdef uint32_t i, j, at, n = w.n, found
    cdef int64_t size
    w.n = 0
    for j in range(n):
        i = <uint32_t>w.flats[j]
        at = <uint32_t>(w.flats[j] >> 32)
        f = t.flats + at
        size = b.text[i].size
        found = piece_within(
            b.text[i].data, size, middle_of(b, f, i) + f.mid, size - f.suffix, t.pool + f.text + f.mid_at + f.mid + 1, f.inner
        )
        put(b, t, i, at, inner_turn(b, f, i, at, found))


cdef inline void ask_ahead(const Call* c, uint32_t atom, int64_t row) noexcept nogil:
    """Ask for what tells the truth of a condition for a row of the range, if a column does."""
    cdef const Kept* kept = c.s.kept
    if kept != NULL and kept[atom].truths != NULL:
        ask_code(&c.columns[kept[atom].column], row)


cdef inline void ask_first(Block* b, const Call* c, int64_t row) noexcept nogil:
    """Look at the first condition of flats, where it is known for the value that a column has; `row` is the first one of the block in its
    range."""
    cdef Wave* w = &b.waves[TURN_ASKS]
    cdef const Flat* f
    cdef const Kept* kept = c.s.kept
    cdef const ContextColumn* column
    cdef Text text[BLOCK]
    cdef uint64_t hash[BLOCK]
    cdef uint32_t i, j, at, n = w.n, truth, turn
    cdef uint8_t accept
    w.n = 0
    for j in range(n):
        f = c.t.flats + (w.flats[j] >> 32)
        if kept == NULL or kept[f.atom].truths == NULL:
            continue
        column = &c.columns[kept[f.atom].column]
        if column.has_texts:
            hash[j] = ask_text_code(column, row + <uint32_t>w.flats[j], &text[j])
        else:
            ask_code(column, row + <uint32_t>w.flats[j])
    for j in range(n):
        i = <uint32_t>w.flats[j]
        at = <uint32_t>(w.flats[j] >> 32)
        f = c.t.flats + at
        truth = 0
        if kept != NULL and kept[f.atom].truths != NULL:
            column = &c.columns[kept[f.atom].column]
            truth = kept[f.atom].truths[hashed_code(column, text[j], hash[j]) if column.has_texts else kept_code(column, row + i)]
        accept = BROAD if f.flags & FLAT_DENIES else STRICT
        turn = TURN_MORE - ((f.conditions & ONE) != 0) * (TURN_MORE - TURN_DONE)
        turn = either(b, i, at, (<uint32_t>accept << 1 >> truth) & 1, turn)
        put(b, c.t, i, at, turn ^ ((turn ^ TURN_MORE) & -<uint32_t>(truth == 0)))


cdef inline void look_closer(Side* s, Look* l, int64_t row) noexcept nogil:
    """Look at all conditions of flats whose first one says not enough, and at whole statements."""
    cdef Block* b = s.block
    cdef const TablesC* t = l.c.t
    cdef Wave* w = &b.waves[TURN_MORE]
    cdef const Flat* f
    cdef Range conditions
    cdef uint32_t j, k, at, n = w.n, stands
    w.n = 0
    for j in range(n):
        f = t.flats + (w.flats[j] >> 32)
        if f.conditions & ONE:
            continue
        conditions = t.condition_lists[f.conditions]
        for k in range(1, conditions.n):
            ask_ahead(l.c, t.atom_lists[conditions.first + k], row + <uint32_t>w.flats[j])
    for j in range(n):
        at = <uint32_t>(w.flats[j] >> 32)
        f = t.flats + at
        look_at(b, l, row, <uint32_t>w.flats[j])
        stands = conditions_stand(s, l, f.conditions, BROAD if f.flags & FLAT_DENIES else STRICT)
        put(b, t, l.i, at, either(b, l.i, at, stands, TURN_DONE))
    for k in range(TURN_WHOM, TURN_ODD + 1):
        w = &b.waves[k]
        n = w.n
        w.n = 0
        for j in range(n):
            at = <uint32_t>(w.flats[j] >> 32)
            look_at(b, l, row, <uint32_t>w.flats[j])
            put(b, t, l.i, at, either(b, l.i, at, flat_stands(s, l, t.flats + at) != 0, TURN_DONE))


cdef inline void tell(Side* s, const TablesC* t, bint reasons, int64_t first) noexcept nogil:
    """Write down what was found."""
    cdef Block* b = s.block
    cdef const Wave* done = &b.waves[TURN_DONE]
    cdef const Flat* f
    cdef uint32_t j, i
    for j in range(b.waves[TURN_OVER].n):
        s.answers.outcome[first + <uint32_t>b.waves[TURN_OVER].flats[j]] = IMPLICIT_DENY
    for j in range(done.n):
        i = <uint32_t>done.flats[j]
        f = t.flats + (done.flats[j] >> 32)
        s.answers.outcome[first + i] = ALLOW + (f.flags & FLAT_DENIES)
        if reasons:
            s.answers.layer[first + i] = f.flags >> FLAT_LAYER_SHIFT
            s.answers.entry[first + i] = f.entry


cdef inline void start(Block* b, const TablesC* t, uint32_t i, uint32_t flat, uint32_t n) noexcept nogil:
    """Begin with some flats of a row, of which there are any, as if the one before them had not applied."""
    b.stop[i] = flat + n
    put(b, t, i, flat - 1, TURN_NEXT)


cdef inline bint join(Block* b, const TablesC* t, uint32_t i) noexcept nogil:
    """Go on with the next layer of a row; False if there is none. Of the layers that limit, the denies alone are asked."""
    cdef uint32_t asked = b.asked[i], layer = <uint32_t>first_bit(asked | 1 << N_LAYERED)
    cdef const Row* row
    if asked == 0:
        return False
    row = b.rows[layer][i]
    b.asked[i] = <uint8_t>(asked & (asked - 1))
    start(b, t, i, row.flat, row.denies + (layer == OWN_ROWS) * (<uint32_t>row.n_flats - row.denies))
    return True


cdef inline void join_layers(Block* b, const TablesC* t, uint32_t* n_over) noexcept nogil:
    """Go on with rows of which one layer is over; the first `n_over` have none left."""
    cdef Wave* w = &b.waves[TURN_OVER]
    cdef uint32_t j
    for j in range(n_over[0], w.n):
        if not join(b, t, <uint32_t>w.flats[j]):
            w.flats[n_over[0]] = w.flats[j]
            n_over[0] += 1
    w.n = n_over[0]


cdef inline void decide_waves(Side* s, Look* l, int64_t row) noexcept nogil:
    """Decide the rows of a block's `own_way` and `joined_way`."""
    cdef Block* b = s.block
    cdef const TablesC* t = l.c.t
    cdef Wave* over = &b.waves[TURN_OVER]
    cdef uint32_t i, j, n_over = 0, left = b.own_way.n + b.joined_way.n
    for j in range(N_TURNS):
        b.waves[j].n = 0
    for j in range(b.own_way.n):                         # INVARIANT: a row of this way has flats
        i = b.own_way.rows[j]
        b.asked[i] = 0
        start(b, t, i, b.rows[OWN_ROWS][i].flat, b.rows[OWN_ROWS][i].n_flats)
    for j in range(b.joined_way.n):
        over.flats[j] = b.joined_way.rows[j]
    over.n = b.joined_way.n
    join_layers(b, t, &n_over)
    while left:
        try_heads(b, t)
        try_inners(b, t)
        try_flats(b, t)
        seek_inner(b, t)
        ask_first(b, l.c, row)
        look_closer(s, l, row)
        if b.joined_way.n:
            join_layers(b, t, &n_over)
        left = b.own_way.n + b.joined_way.n - over.n - b.waves[TURN_DONE].n
    tell(s, t, l.c.reasons, l.first + row)
