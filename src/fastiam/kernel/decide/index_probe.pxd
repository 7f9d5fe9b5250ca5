"""Index probes of long statement runs, for all rows of a step queue together. Header only.

Most resources have few hashes in an index, or none. Each candidate has a match op. Several candidates are evaluated in the order of the run,
so that the first one that applies decides.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport Text, first_bit, byte_positions, prefetch
from fastiam.kernel.columns.column cimport item_text
from fastiam.kernel.decide.blocks cimport BLOCK, Block, MAX_PENDING
from fastiam.kernel.decide.fast_path cimport FACTS_COLON, FACTS_STAR, colon_offset
from fastiam.kernel.decide.principal_hint cimport excludes_principal
from fastiam.kernel.decide.step_queue cimport enqueue, enqueue_first, drain_queue
from fastiam.kernel.eval.key_values cimport constant_of
from fastiam.kernel.eval.term_hashes cimport (
    AT_ONCE, HashState, MAX_TEXT_HASHES, init_hash_state, ngram_hashes, listed_in, literal_hashes, slot_of, text_hashes, word_hashes,
)
from fastiam.kernel.model.call cimport Call, PrincipalState
from fastiam.kernel.model.tables cimport *


cdef enum:
    MAX_ROW_HASHES = 8         # hashes of a row
    MAX_QUEUE_HASHES = (MAX_ROW_HASHES + 1) * (BLOCK + 1)  # of a queue
    MAX_FOUND_ITEMS = MAX_PENDING - 1  # items
    TOO_MANY = 0xFF
    MAX_SCANNED_RUN = 64       # items of a run that are all scanned where too many were found


cdef struct IndexProbe:        # the hashes of the rows of a queue, and the items that they find
    uint32_t hash[MAX_QUEUE_HASHES + MAX_TEXT_HASHES]
    uint16_t of[MAX_QUEUE_HASHES + MAX_TEXT_HASHES]  # the row of the queue
    uint32_t n
    uint32_t found[BLOCK][MAX_FOUND_ITEMS]       # items, as they are found
    uint8_t n_found[BLOCK]


cdef inline void add_hashes(IndexProbe* q, const Index* index, const TablesC* t, uint32_t j, uint32_t n) noexcept nogil:
    """Take up `n` hashes that were written behind those that are there."""
    cdef uint32_t k
    for k in range(q.n, q.n + n):
        q.of[k] = narrow16(j)
        prefetch(t.index_slots + index.first_slot + (q.hash[k] >> index.slot_shift))
    q.n += n


cdef inline void first_colons(const Text* text, uint16_t* colons) noexcept nogil:
    """The positions of the first four colons, all of them among the first 64 bytes."""
    cdef uint64_t bits = byte_positions(text.data, text.size, 58)
    cdef uint32_t i
    for i in range(4):
        colons[i] = narrow16(first_bit(bits))
        bits &= bits - 1


cdef inline void know(IndexProbe* q, const TablesC* t, const Index* index, const Text* text, int64_t colon, bint crosses, uint32_t j) noexcept nogil:
    """Find the hashes of a resource; `crosses`: those of matches across colons (R5), too."""
    cdef const TermShape* shapes = &t.shapes[index.first_shape]
    cdef uint16_t colons[5]
    cdef HashState h
    cdef const char* tail = text.data + colon + 1
    cdef int64_t size = text.data + text.size - tail, at = 0
    cdef uint32_t i, before = q.n
    colons[4] = <uint16_t>colon
    if index.has_fields:
        first_colons(text, colons)
    init_hash_state(&h, t, text.data, text.size, colons)
    for i in range(index.n_shapes):
        if (size >= AT_ONCE and shapes[i].kind >= TERM_WORD) or colon >= AT_ONCE:
            q.n_found[j] = TOO_MANY
            break
        if shapes[i].kind < TERM_WORD:
            add_hashes(q, index, t, j, literal_hashes(t, index, shapes[i], &h, q.hash + q.n))
        elif shapes[i].kind == TERM_WORD:
            add_hashes(q, index, t, j, word_hashes(t, index, tail, size, &at, q.hash + q.n))
        elif shapes[i].kind == TERM_NGRAM or crosses:
            add_hashes(q, index, t, j, ngram_hashes(t, index, shapes[i], tail, size - shapes[i].size + 1, q.hash + q.n))
        if q.n - before > MAX_ROW_HASHES:
            q.n_found[j] = TOO_MANY
            break
    if q.n_found[j] == TOO_MANY:
        q.n = before


cdef inline void add_found(
    IndexProbe* q, const MatchOp* items, const PrincipalState* w, uint64_t known_false, uint32_t j, const uint32_t* listed, uint32_t n
) noexcept nogil:
    """Add `n` items for a row of the queue, except for those that are about other principals, and denies that are known
    do not hold."""
    cdef const MatchOp* f
    cdef uint32_t k
    for k in range(n):
        f = items + listed[k]
        if (known_false >> (f.skip.filter_bit & FILTER_BIT_ALWAYS)) & 1 or excludes_principal(w, f):
            continue
        if q.n_found[j] == MAX_FOUND_ITEMS:
            q.n_found[j] = TOO_MANY
            return
        q.found[j][q.n_found[j]] = listed[k]
        q.n_found[j] += 1


cdef inline bint principal_text(const TablesC* t, const Principal* principal, uint32_t key, Text* text) noexcept nogil:
    """The only text of a key that no column gives, where the principal has it; without data where it is known that there is none."""
    cdef const Constant* k = constant_of(&t.constants[principal.constants], principal.n_constants, key)
    if k == NULL:
        text[0] = Text(NULL, 0)
        return t.keys[key].source == KEY_PRINCIPAL
    text[0] = Text(<const char*>t.pool + t.const_texts[k.first].text, t.const_texts[k.first].size)
    return k.n == 1 and k.form == 0


cdef inline bint split_text(const Call* c, uint32_t key, uint32_t principal_id, int64_t row, Text* text) noexcept nogil:
    """The same, or the only text that a column gives a row."""
    cdef int32_t at = c.s.sources[key]
    if at < 0:
        return principal_text(c.t, &c.t.principals[principal_id], key, text)
    if c.columns[at].is_multi or c.columns[at].column.is_list:
        return False
    return item_text(c.columns[at].column, c.columns[at].first + row, text)


cdef inline uint64_t known_false_of(const Block* b, const MatchOp* f, uint32_t i) noexcept nogil:
    """What is known not to hold of the statements of a run, if they deny."""
    return b.known_false[i] & -<uint64_t>(f.flags & MATCHOP_DENY)


cdef inline bint is_filter_complete(const Call* c, const Index* index) noexcept nogil:
    """Whether it pays to evaluate all denies of a run, once for each principal: from then on they are known false."""
    return index.has_deny_filter and c.s.atom_memo != NULL


cdef inline void add_posting_list(
    IndexProbe* q, const Call* c, const Block* b, const Index* index, const PostingSlot* slot, const MatchOp* f, uint32_t i, int64_t row, uint32_t j
) noexcept nogil:
    """Add the items under a hash for a row of the block. Those that require different texts of a key are under the hashes of the one
    that the row has."""
    cdef const TablesC* t = c.t
    cdef const MatchOp* items = t.match_ops + f.operand.first_item
    cdef const PrincipalState* w = b.principal_state[i]
    cdef const ConditionSplit* split
    cdef uint64_t known_false = known_false_of(b, f, i)
    cdef uint32_t n = 0
    cdef Text text
    if slot.split == NONE:
        add_found(q, items, w, known_false, j, listed_in(t, slot), slot.n)
        return
    split = &t.index_splits[slot.split]
    if is_filter_complete(c, index) and c.s.sources[split.key] < 0:
        q.n_found[j] = TOO_MANY
        return
    if q.n >= MAX_QUEUE_HASHES or not split_text(c, split.key, b.principal_id[i], row + i, &text):
        q.n_found[j] = TOO_MANY
        return
    if text.data != NULL:
        n = text_hashes(t, index, slot, &text, q.hash + q.n)
    if n == NONE:
        q.n_found[j] = TOO_MANY
        return
    add_hashes(q, index, t, j, n)
    if q.n_found[j] != TOO_MANY:
        add_found(q, items, w, known_false, j, &t.index_lists[split.others], split.n_others)


cdef inline void probe_index(IndexProbe* q, const Call* c, const Block* b, const uint64_t* queue, uint32_t n, int64_t row) noexcept nogil:
    """Find the items that the rows of a queue may match."""
    cdef const TablesC* t = c.t
    cdef const MatchOp* f
    cdef const Index* index
    cdef const PostingSlot* slot
    cdef uint32_t i, j, k
    cdef bint crosses
    q.n = 0
    for j in range(n):
        i = <uint32_t>queue[j]
        f = t.match_ops + (queue[j] >> 32)
        index = &t.indexes[f.conditions]
        q.n_found[j] = 0
        q.found[j][0] = 0
        crosses = f.flags & MATCHOP_DENY and b.facts[i] & FACTS_COLON != 0
        if index.always.n:
            add_posting_list(q, c, b, index, &index.always, f, i, row, j)
        if q.n >= MAX_QUEUE_HASHES:
            q.n_found[j] = TOO_MANY
        if crosses and q.n_found[j] != TOO_MANY:
            add_found(
                q, t.match_ops + f.operand.first_item, b.principal_state[i], known_false_of(b, f, i), j,
                &t.index_lists[index.crossing], index.n_crossing,
            )
        if not b.facts[i] & FACTS_STAR and q.n_found[j] != TOO_MANY:
            know(q, t, index, &b.text[i], colon_offset(b.facts[i], 4), crosses, j)
    k = 0
    while k < q.n:                                       # a hash may add another one, behind which there is none
        j = q.of[k]
        f = t.match_ops + (queue[j] >> 32)
        index = &t.indexes[f.conditions]
        slot = slot_of(t, index, q.hash[k])
        if slot != NULL and q.n_found[j] != TOO_MANY:
            add_posting_list(q, c, b, index, slot, f, <uint32_t>queue[j], row, j)
            prefetch(t.match_ops + f.operand.first_item + q.found[j][0])
        k += 1


cdef inline uint32_t enqueue_unindexed(Block* b, uint32_t i, uint32_t at) noexcept nogil:
    """Keep the ops of a row behind a run for later, if there are any; how many ranges these are."""
    b.has_pending = True
    b.pending_ranges[i][0] = Range(at + 1, b.range_end[i] - at - 1)
    return at + 1 != b.range_end[i]


cdef inline void enqueue_run(Block* b, const TablesC* t, const MatchOp* f, uint32_t i, uint32_t at) noexcept nogil:
    """Keep ops of a row for later, the last ones first: those behind the run, then those of all its items."""
    cdef uint32_t n = enqueue_unindexed(b, i, at)
    b.pending_ranges[i][n] = Range(f.operand.first_item, t.indexes[f.conditions].n_items)
    b.n_pending[i] = <uint8_t>(n + 1)


cdef inline void enqueue_found(Block* b, const MatchOp* f, uint32_t* found, uint32_t n_found, uint32_t i, uint32_t at) noexcept nogil:
    """The same, of the items that were found."""
    cdef uint32_t k, m, one, n = enqueue_unindexed(b, i, at)
    for k in range(1, n_found):
        one, m = found[k], k
        while m > 0 and found[m - 1] > one:
            found[m] = found[m - 1]
            m -= 1
        found[m] = one
    for k in range(n_found):
        one = found[n_found - 1 - k]
        if k == 0 or one != found[n_found - k]:          # an item may be found by both readings of its pattern
            b.pending_ranges[i][n] = Range(f.operand.first_item + one, 1)
            n += 1
    b.n_pending[i] = <uint8_t>n


cdef inline void next_range(Block* b, const TablesC* t, uint32_t i) noexcept nogil:
    """Continue with the ops of a row that were kept for later; there are some."""
    cdef uint32_t n = b.n_pending[i] - 1
    b.n_pending[i] = <uint8_t>n
    enqueue_first(b, t, i, b.pending_ranges[i][n].first, b.pending_ranges[i][n].n)


cdef inline void probe_indexes(Block* b, const Call* c, int64_t row) noexcept nogil:
    """Go on with the statements that indexes find, or behind their runs; `row` is the first one of the block in its range."""
    cdef const TablesC* t = c.t
    cdef const uint64_t* queue = b.step_queues[STEP_INDEX_PROBE].items
    cdef const MatchOp* f
    cdef IndexProbe q
    cdef uint32_t i, j, at, found, hit, over, n = drain_queue(b, STEP_INDEX_PROBE)
    if n == 0:
        return
    probe_index(&q, c, b, queue, n, row)
    for j in range(n):
        i = <uint32_t>queue[j]
        at = <uint32_t>(queue[j] >> 32)
        f = t.match_ops + at
        over = at + 1 == b.range_end[i]
        if q.n_found[j] == TOO_MANY and t.indexes[f.conditions].n_items > MAX_SCANNED_RUN and not is_filter_complete(c, &t.indexes[f.conditions]):
            enqueue(b, t, i, at, STEP_SCAN_RUN)
        elif q.n_found[j] == TOO_MANY:
            enqueue_run(b, t, f, i, at)
            next_range(b, t, i)
        elif q.n_found[j] > over:                        # several, or something comes after it
            enqueue_found(b, f, q.found[j], q.n_found[j], i, at)
            next_range(b, t, i)
        else:                                            # one or none, which is not to be foreseen
            hit = -<uint32_t>q.n_found[j]
            found = f.operand.first_item + q.found[j][0]
            b.range_end[i] ^= (b.range_end[i] ^ (found + 1)) & hit
            enqueue(b, t, i, at ^ ((at ^ (found - 1)) & hit), over & ~hit)  # STEP_NO_MATCH or STEP_LITERALS
