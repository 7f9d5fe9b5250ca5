"""Index probes of long statement runs, for all rows of a step queue together. Header only.

Most resources have few hashes in an index, or none. Each candidate has a match op. Several candidates are evaluated in the order of the run,
so that the first one that applies decides.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport Text, first_bit, places, prefetch
from fastiam.kernel.columns.column cimport item_text
from fastiam.kernel.decide.blocks cimport BLOCK, Block, MOST_LEFT
from fastiam.kernel.decide.fast_path cimport FACTS_COLON, FACTS_STAR, colon_place
from fastiam.kernel.decide.principal_hint cimport is_about_others
from fastiam.kernel.decide.step_queue cimport put, start, take_wave
from fastiam.kernel.eval.term_hashes cimport (
    AT_ONCE, Hashing, MOST_OF_TEXT, begin_hashing, gram_hashes, listed_in, piece_hashes, slot_of, text_hashes, word_hashes,
)
from fastiam.kernel.model.call cimport Call, Caller
from fastiam.kernel.model.tables cimport *


cdef enum:
    MOST_KNOWN = 8             # hashes of a row
    MOST_HASHES = (MOST_KNOWN + 1) * (BLOCK + 1)   # of a wave
    MOST_FOUND = MOST_LEFT - 1  # items
    TOO_MANY = 0xFF
    MOST_ASIDE = 64            # items of a run that are all looked at where too many were found


cdef struct Sought:            # what the rows of a wave are known by, and what that finds
    uint32_t hash[MOST_HASHES + MOST_OF_TEXT]
    uint16_t of[MOST_HASHES + MOST_OF_TEXT]  # which of the wave
    uint32_t n
    uint32_t found[BLOCK][MOST_FOUND]            # items, as they are found
    uint8_t n_found[BLOCK]


cdef inline void add_hashes(Sought* q, const Index* index, const TablesC* t, uint32_t j, uint32_t n) noexcept nogil:
    """Take up `n` hashes that were written behind those that are there."""
    cdef uint32_t k
    for k in range(q.n, q.n + n):
        q.of[k] = narrow16(j)
        prefetch(t.index_slots + index.first_slot + (q.hash[k] >> index.slot_shift))
    q.n += n


cdef inline void first_colons(const Text* text, uint16_t* colons) noexcept nogil:
    """Where the first four colons lie, all of them among the first 64 bytes."""
    cdef uint64_t bits = places(text.data, text.size, 58)
    cdef uint32_t i
    for i in range(4):
        colons[i] = narrow16(first_bit(bits))
        bits &= bits - 1


cdef inline void know(Sought* q, const TablesC* t, const Index* index, const Text* text, int64_t colon, bint crosses, uint32_t j) noexcept nogil:
    """Find the hashes of a resource; `crosses`: those of matches across colons (R5), too."""
    cdef const Shape* shapes = &t.shapes[index.first_shape]
    cdef uint16_t colons[5]
    cdef Hashing h
    cdef const char* tail = text.data + colon + 1
    cdef int64_t size = text.data + text.size - tail, at = 0
    cdef uint32_t i, before = q.n
    colons[4] = <uint16_t>colon
    if index.has_fields:
        first_colons(text, colons)
    begin_hashing(&h, t, text.data, text.size, colons)
    for i in range(index.n_shapes):
        if (size >= AT_ONCE and shapes[i].kind >= SHAPE_WORD) or colon >= AT_ONCE:
            q.n_found[j] = TOO_MANY
            break
        if shapes[i].kind < SHAPE_WORD:
            add_hashes(q, index, t, j, piece_hashes(t, index, shapes[i], &h, q.hash + q.n))
        elif shapes[i].kind == SHAPE_WORD:
            add_hashes(q, index, t, j, word_hashes(t, index, tail, size, &at, q.hash + q.n))
        elif shapes[i].kind == SHAPE_GRAM or crosses:
            add_hashes(q, index, t, j, gram_hashes(t, index, shapes[i], tail, size - shapes[i].size + 1, q.hash + q.n))
        if q.n - before > MOST_KNOWN:
            q.n_found[j] = TOO_MANY
            break
    if q.n_found[j] == TOO_MANY:
        q.n = before


cdef inline void add_found(
    Sought* q, const Flat* items, const Caller* w, uint64_t never, uint32_t j, const uint32_t* listed, uint32_t n
) noexcept nogil:
    """Take up `n` items for a row of the wave, but for those that are about others than who asks, and denies of which it is known that they
    do not hold."""
    cdef const Flat* f
    cdef uint32_t k
    for k in range(n):
        f = items + listed[k]
        if (never >> (f.sieve & SIEVE_NONE)) & 1 or is_about_others(w, f):
            continue
        if q.n_found[j] == MOST_FOUND:
            q.n_found[j] = TOO_MANY
            return
        q.found[j][q.n_found[j]] = listed[k]
        q.n_found[j] += 1


cdef inline bint asker_text(const TablesC* t, const Principal* who, uint32_t key, Text* text) noexcept nogil:
    """The only text of a key that no column gives, where who asks tells it; it has no data where it is known that there is none."""
    cdef const Constant* k = &t.constants[who.constants]
    cdef uint32_t i
    for i in range(who.n_constants):
        if k[i].key == key:
            text[0] = Text(<const char*>t.pool + t.const_texts[k[i].first].text, t.const_texts[k[i].first].size)
            return k[i].n == 1 and k[i].form == 0
    text[0] = Text(NULL, 0)
    return t.keys[key].source == KEY_PRINCIPAL


cdef inline bint text_of(const Call* c, uint32_t key, uint32_t who, int64_t row, Text* text) noexcept nogil:
    """The same, or the only text that a column gives a row."""
    cdef int32_t at = c.s.sources[key]
    if at < 0:
        return asker_text(c.t, &c.t.principals[who], key, text)
    if c.columns[at].is_multi or c.columns[at].column.is_list:
        return False
    return item_text(c.columns[at].column, c.columns[at].first + row, text)


cdef inline uint64_t never_of(const Block* b, const Flat* f, uint32_t i) noexcept nogil:
    """What is known not to hold of the statements of a run, if they deny."""
    return b.never[i] & -<uint64_t>(f.flags & FLAT_DENIES)


cdef inline bint is_learned(const Call* c, const Index* index) noexcept nogil:
    """Whether it is worth it to look at all denies of a run, once for each who asks: from then on they are known not to hold."""
    return index.is_sieved and c.s.kept != NULL


cdef inline void add_slot(
    Sought* q, const Call* c, const Block* b, const Index* index, const IndexSlot* slot, const Flat* f, uint32_t i, int64_t row, uint32_t j
) noexcept nogil:
    """Take up the items under a hash for a row of the block. Those that ask for different texts of a key lie under the hashes of the one
    that the row has."""
    cdef const TablesC* t = c.t
    cdef const Flat* items = t.flats + f.atom
    cdef const Caller* w = b.caller[i]
    cdef const Split* split
    cdef uint64_t never = never_of(b, f, i)
    cdef uint32_t n = 0
    cdef Text text
    if slot.split == NONE:
        add_found(q, items, w, never, j, listed_in(t, slot), slot.n)
        return
    split = &t.index_splits[slot.split]
    if is_learned(c, index) and c.s.sources[split.key] < 0:
        q.n_found[j] = TOO_MANY
        return
    if q.n >= MOST_HASHES or not text_of(c, split.key, b.who[i], row + i, &text):
        q.n_found[j] = TOO_MANY
        return
    if text.data != NULL:
        n = text_hashes(t, index, slot, &text, q.hash + q.n)
    if n == NONE:
        q.n_found[j] = TOO_MANY
        return
    add_hashes(q, index, t, j, n)
    if q.n_found[j] != TOO_MANY:
        add_found(q, items, w, never, j, &t.index_lists[split.rest], split.n_rest)


cdef inline void ask_index(Sought* q, const Call* c, const Block* b, const uint64_t* flats, uint32_t n, int64_t row) noexcept nogil:
    """Find the items that the rows of a wave may match."""
    cdef const TablesC* t = c.t
    cdef const Flat* f
    cdef const Index* index
    cdef const IndexSlot* slot
    cdef uint32_t i, j, k
    cdef bint crosses
    q.n = 0
    for j in range(n):
        i = <uint32_t>flats[j]
        f = t.flats + (flats[j] >> 32)
        index = &t.indexes[f.conditions]
        q.n_found[j] = 0
        q.found[j][0] = 0
        crosses = f.flags & FLAT_DENIES and b.facts[i] & FACTS_COLON != 0
        if index.always.n:
            add_slot(q, c, b, index, &index.always, f, i, row, j)
        if q.n >= MOST_HASHES:
            q.n_found[j] = TOO_MANY
        if crosses and q.n_found[j] != TOO_MANY:
            add_found(q, t.flats + f.atom, b.caller[i], never_of(b, f, i), j, &t.index_lists[index.crossing], index.n_crossing)
        if not b.facts[i] & FACTS_STAR and q.n_found[j] != TOO_MANY:
            know(q, t, index, &b.text[i], colon_place(b.facts[i], 4), crosses, j)
    k = 0
    while k < q.n:                                       # a hash may add another one, behind which there is none
        j = q.of[k]
        f = t.flats + (flats[j] >> 32)
        index = &t.indexes[f.conditions]
        slot = slot_of(t, index, q.hash[k])
        if slot != NULL and q.n_found[j] != TOO_MANY:
            add_slot(q, c, b, index, slot, f, <uint32_t>flats[j], row, j)
            prefetch(t.flats + f.atom + q.found[j][0])
        k += 1


cdef inline uint32_t keep_rest(Block* b, uint32_t i, uint32_t at) noexcept nogil:
    """Put the flats of a row behind a run aside, if there are any; how many ranges these are."""
    b.has_left = True
    b.left[i][0] = Range(at + 1, b.stop[i] - at - 1)
    return at + 1 != b.stop[i]


cdef inline void keep_run(Block* b, const TablesC* t, const Flat* f, uint32_t i, uint32_t at) noexcept nogil:
    """Put flats of a row aside, the last ones first: those behind the run, then those of all its items."""
    cdef uint32_t n = keep_rest(b, i, at)
    b.left[i][n] = Range(f.atom, t.indexes[f.conditions].n_items)
    b.n_left[i] = <uint8_t>(n + 1)


cdef inline void keep_found(Block* b, const Flat* f, uint32_t* found, uint32_t n_found, uint32_t i, uint32_t at) noexcept nogil:
    """The same, of the items that were found."""
    cdef uint32_t k, m, one, n = keep_rest(b, i, at)
    for k in range(1, n_found):
        one, m = found[k], k
        while m > 0 and found[m - 1] > one:
            found[m] = found[m - 1]
            m -= 1
        found[m] = one
    for k in range(n_found):
        one = found[n_found - 1 - k]
        if k == 0 or one != found[n_found - k]:          # an item may be found by both readings of its pattern
            b.left[i][n] = Range(f.atom + one, 1)
            n += 1
    b.n_left[i] = <uint8_t>n


cdef inline void try_left(Block* b, const TablesC* t, uint32_t i) noexcept nogil:
    """Go on with the flats of a row that were put aside, of which there are any."""
    cdef uint32_t n = b.n_left[i] - 1
    b.n_left[i] = <uint8_t>n
    start(b, t, i, b.left[i][n].first, b.left[i][n].n)


cdef inline void try_indexes(Block* b, const Call* c, int64_t row) noexcept nogil:
    """Go on with the statements that indexes find, or behind their runs; `row` is the first one of the block in its range."""
    cdef const TablesC* t = c.t
    cdef const uint64_t* flats = b.waves[TURN_INDEX].flats
    cdef const Flat* f
    cdef Sought q
    cdef uint32_t i, j, at, found, hit, over, n = take_wave(b, TURN_INDEX)
    if n == 0:
        return
    ask_index(&q, c, b, flats, n, row)
    for j in range(n):
        i = <uint32_t>flats[j]
        at = <uint32_t>(flats[j] >> 32)
        f = t.flats + at
        over = at + 1 == b.stop[i]
        if q.n_found[j] == TOO_MANY and t.indexes[f.conditions].n_items > MOST_ASIDE and not is_learned(c, &t.indexes[f.conditions]):
            put(b, t, i, at, TURN_RUN)
        elif q.n_found[j] == TOO_MANY:
            keep_run(b, t, f, i, at)
            try_left(b, t, i)
        elif q.n_found[j] > over:                        # several, or something comes after it
            keep_found(b, f, q.found[j], q.n_found[j], i, at)
            try_left(b, t, i)
        else:                                            # one or none, which is not to be foreseen
            hit = -<uint32_t>q.n_found[j]
            found = f.atom + q.found[j][0]
            b.stop[i] ^= (b.stop[i] ^ (found + 1)) & hit
            put(b, t, i, at ^ ((at ^ (found - 1)) & hit), over & ~hit)   # TURN_OVER or TURN_NEXT
