"""Inverted index of long statement runs.

Invariant: the candidates of a resource include every statement that matches (no false negatives). Each candidate is verified.

A pattern has several terms (`index_terms.pyx`): its whole field 6, or a start or end of it, each with or without the fields before; its
paths; a word or some bytes anywhere in it. Of the terms that few other patterns share, the index selects those that need few probes. If many
patterns share their best term and their statements test different texts of a condition key, the texts become second-level terms.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

from fastiam.kernel.base.arn cimport cut_arn
from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.base.text cimport mix
from fastiam.kernel.eval.operators cimport INDEXED_OPERATORS, OP_ARN, OP_IP, is_arn
from fastiam.kernel.eval.term_hashes cimport MAX_SIZES, mask_address, split_hash
from fastiam.kernel.model.tables cimport *


cdef enum:
    SPLIT_ALWAYS = 0           # stands for the hash of the items that no hash finds
    MAX_TEXTS = 64             # of an item that is under each of them
    MAX_SHAPES = 64            # that are weighed at once
    MAX_LITERAL = 1024         # bytes of how a text begins or ends
    PLACED = 0xFFFFFFFF        # as the item of a draft: it is done


# What a pattern gains by a shape, the more the less that costs a request: of those below TERM_NGRAM.
cdef uint32_t[5] GAINS = [6, 6, 3, 6, 2]


cdef int by_number(const void* a, const void* b) noexcept nogil:
    cdef uint64_t x = (<const uint64_t*>a)[0], y = (<const uint64_t*>b)[0]
    return (x > y) - (x < y)


cdef class _IndexDraft:
    """What of an index is found before it is written."""

    cdef list always                                     # items that no hash finds
    cdef list crossing
    cdef set shapes                                      # of what is placed
    cdef uint32_t last_shape
    cdef dict splits                                     # of a hash: key, items that do not ask for a text of it, shapes, whether of ARNs
    cdef uint32_t n_items
    cdef uint32_t few

    def __cinit__(self, uint32_t few):
        self.always, self.crossing, self.splits, self.shapes = [], [], {}, set()
        self.last_shape = NONE
        self.n_items = 0
        self.few = few


cdef uint32_t new_item(Planner self, _IndexDraft draft, uint32_t entry, uint32_t resources) except? 0xFFFFFFFE:
    """The position of a new item."""
    (<IndexItem*>self._push(&self.index_items))[0] = IndexItem(entry, resources)
    draft.n_items += 1
    return draft.n_items - 1


cdef bint matches_any_resource(Planner self, const Pattern* p):
    """Whether a pattern may match any resource, as far as it is known: a short one may cross."""
    if p.crossing != NONE and (<Pattern*>self.patterns.data)[p.crossing].colons[4] == 0:
        return True
    return p.colons[4] == 0 and p.kind != PATTERN_NEVER and p.kind != PATTERN_UNRESOLVED     # PATTERN_ANY


cdef int add_entry(Planner self, _IndexDraft draft, uint32_t entry, const StatementEntry* e) except -1:
    cdef const Pattern* p
    cdef const uint32_t* patterns
    cdef uint32_t i, n, only, position
    if e.resources == NONE or e.flags & ENTRY_NOT_RESOURCE:
        draft.always.append(new_item(self, draft, entry, e.resources))
        return 0
    patterns = members_of(e.resources, self.t.resource_elements, self.t.pattern_lists, &only, &n)
    for i in range(n):
        p = <Pattern*>self.patterns.data + patterns[i]
        position = new_item(self, draft, entry, ONE | patterns[i])
        if matches_any_resource(self, p):
            draft.always.append(position)
            continue
        if p.kind != PATTERN_NEVER and p.kind != PATTERN_UNRESOLVED:
            add_pattern(self, position, patterns[i], NGRAM_TERMS)
        if p.crossing != NONE:
            add_pattern(self, position, p.crossing, CROSSING_NGRAM_TERMS)
    return 0


cdef int add_pattern(Planner self, uint32_t item, uint32_t pattern, TermClass grams) except -1:
    """Note a pattern of an item. What a star crosses may hold more of the text than the fields do: of a crossing reading nothing but grams
    can be found."""
    cdef DraftPattern one = DraftPattern(item, pattern, grams, False, Range(0, 0), 0, 0)
    if grams == NGRAM_TERMS:
        one.terms = terms_of(self, pattern, LITERAL_TERMS)
    (<DraftPattern*>self._push(&self.draft_patterns))[0] = one
    return 0


# -- a way for each pattern ------------------------------------------------------------------------------------------------------

cdef TermCount* count_of_term(Planner self, uint64_t term):
    """Where it is counted how many patterns a way finds."""
    cdef TermCount* counts = <TermCount*>self.term_counts.data
    cdef uint32_t at = <uint32_t>mix(term) & self.count_mask
    while counts[at].n and counts[at].term != term:
        at = (at + 1) & self.count_mask
    return counts + at


cdef int count_terms(Planner self) except -1:
    """Count the ways of what has no place yet."""
    cdef const DraftPattern* draft_patterns = <DraftPattern*>self.draft_patterns.data
    cdef const uint64_t* terms = <uint64_t*>self.terms.data
    cdef TermCount* count
    cdef uint64_t n = 0, room = 64
    cdef uint32_t i, k
    for i in range(self.draft_patterns.n):
        n += draft_patterns[i].terms.n
    while room < 2 * n:
        room *= 2
    if self.term_counts.capacity < room:
        self._resize(&self.term_counts, room)
    memset(self.term_counts.data, 0, <size_t>room * sizeof(TermCount))
    self.count_mask = narrow32(room - 1)
    for i in range(self.draft_patterns.n):
        if draft_patterns[i].item != PLACED:
            for k in range(draft_patterns[i].terms.n):
                count = count_of_term(self, terms[draft_patterns[i].terms.first + k])
                count.term = terms[draft_patterns[i].terms.first + k]
                count.n += 1
    return 0


cdef TermCount rarest_term(Planner self, Range terms, uint32_t few):
    """Of some ways the first that few patterns share, else the one that fewest share; `n` is 0 where there is none."""
    cdef TermCount best = TermCount(0, 0), one
    cdef uint32_t k
    for k in range(terms.n):
        one = count_of_term(self, (<uint64_t*>self.terms.data)[terms.first + k])[0]
        if best.n == 0 or one.n < best.n:
            best = one
            if one.n <= few:
                break
    return best


cdef int assign_item(Planner self, _IndexDraft draft, DraftPattern* draft_patterns, uint64_t term) except -1:
    """Go a way to an item."""
    (<uint64_t*>self._push(&self.placed))[0] = term << 32 | draft_patterns.item
    if term >> 32 != draft.last_shape:
        draft.last_shape = <uint32_t>(term >> 32)
        draft.shapes.add(draft.last_shape)
    draft_patterns.item = PLACED
    return 0


cdef bint is_selective(Planner self, const DraftPattern* draft_patterns, uint64_t term, uint32_t few):
    """Whether few patterns share a way, or fewer than any other."""
    return term == draft_patterns.best or count_of_term(self, term).n <= few


cdef uint32_t best_term_shape(Planner self, uint32_t few):
    """The shape by which most patterns without a place gain most; NONE if none can have one."""
    cdef const DraftPattern* draft_patterns = <DraftPattern*>self.draft_patterns.data
    cdef uint32_t[MAX_SHAPES] shapes, gains, last
    cdef uint32_t i, k, s, n = 0, best = 0
    cdef uint64_t term
    for i in range(self.draft_patterns.n):
        for k in range(draft_patterns[i].terms.n if draft_patterns[i].item != PLACED and draft_patterns[i].has_good_term else 0):
            term = (<uint64_t*>self.terms.data)[draft_patterns[i].terms.first + k]
            if not is_selective(self, draft_patterns + i, term, few):
                continue
            s = 0
            while s < n and shapes[s] != term >> 32:
                s += 1
            if s == MAX_SHAPES:
                continue
            if s == n:
                shapes[s], gains[s], last[s] = <uint32_t>(term >> 32), 0, NONE
                n += 1
            if last[s] != i:                         # once, however many words it has
                gains[s] += GAINS[term >> 56]
                last[s] = i
    for s in range(n):
        if gains[s] > gains[best]:
            best = s
    return shapes[best] if n else NONE


cdef int cover_greedily(Planner self, _IndexDraft draft) except -1:
    """Go one good way to each pattern that has any, so that a request has to be hashed for few shapes, and cheap ones."""
    cdef DraftPattern* draft_patterns = <DraftPattern*>self.draft_patterns.data
    cdef uint32_t i, k, shape = best_term_shape(self, draft.few)
    cdef uint64_t term
    while shape != NONE:
        for i in range(self.draft_patterns.n):
            for k in range(draft_patterns[i].terms.n if draft_patterns[i].has_good_term else 0):
                term = (<uint64_t*>self.terms.data)[draft_patterns[i].terms.first + k]
                if draft_patterns[i].item != PLACED and term >> 32 == shape and is_selective(self, draft_patterns + i, term, draft.few):
                    assign_item(self, draft, draft_patterns + i, term)
        shape = best_term_shape(self, draft.few)
    return 0


cdef int choose_terms(Planner self, _IndexDraft draft) except -1:
    """Give every pattern a place, or its item one on a list."""
    cdef DraftPattern* draft_patterns = <DraftPattern*>self.draft_patterns.data
    cdef TermCount best
    cdef uint32_t i
    count_terms(self)
    for i in range(self.draft_patterns.n):
        best = rarest_term(self, draft_patterns[i].terms, draft.few)
        draft_patterns[i].best, draft_patterns[i].n_best = best.term, best.n
        draft_patterns[i].has_good_term = 0 < best.n <= 2 * draft.few
    cover_greedily(self, draft)
    for i in range(self.draft_patterns.n):           # what is left shares all of its ways with many
        draft_patterns[i].terms = Range(0, 0)
        if draft_patterns[i].item != PLACED:
            draft_patterns[i].terms = terms_of(self, draft_patterns[i].pattern, <TermClass>draft_patterns[i].grams)
    count_terms(self)
    for i in range(self.draft_patterns.n):
        best = rarest_term(self, draft_patterns[i].terms, draft.few)
        if best.n == 0 or (draft_patterns[i].n_best and 2 * best.n > draft_patterns[i].n_best):
            best = TermCount(draft_patterns[i].best, draft_patterns[i].n_best)
        if draft_patterns[i].item == PLACED:
            continue
        if best.n:
            assign_item(self, draft, draft_patterns + i, best.term)
        else:
            (draft.crossing if draft_patterns[i].grams == CROSSING_NGRAM_TERMS else draft.always).append(draft_patterns[i].item)
    return 0


cdef int sort_placed(Planner self) except -1:
    """Bring what is placed into the order of hashes, then items; each once."""
    cdef uint64_t* placed = <uint64_t*>self.placed.data
    cdef uint32_t i, n = 0
    if self.placed.n:
        qsort(placed, self.placed.n, sizeof(uint64_t), by_number)
    for i in range(self.placed.n):
        if n == 0 or placed[i] != placed[n - 1]:
            placed[n] = placed[i]
            n += 1
    self.placed.n = n
    return 0


cdef uint32_t end_of_items(Planner self, uint32_t first):
    """Where the items under the hash of a place end."""
    cdef const uint64_t* placed = <uint64_t*>self.placed.data
    cdef uint32_t end = first
    while end < self.placed.n and placed[end] >> 32 == placed[first] >> 32:
        end += 1
    return end


# -- conditions ------------------------------------------------------------------------------------------------------------

cdef list literals_of(Planner self, const Atom* a):
    """What a text must be, or begin or end with, or the networks one of which an address must be in, for an entry of conditions to be
    more than F: kinds of shapes, pieces and their sizes; empty where that is not known of one of its values."""
    cdef const Value* v
    cdef uint16_t colons[5]
    cdef uint32_t i
    cdef list found = []
    for i in range(a.n):
        v = <Value*>self.values.data + a.first + i
        if v.has_variables or v.is_u:
            return []
        if v.unresolved:
            continue
        if a.op == OP_IP:
            found.append((TERM_NETWORK, (<const char*>v.address)[:16], v.number))
            continue
        if a.op == OP_ARN and not cut_arn(<const uint8_t*>self.pool.data + v.text, v.size, colons):
            return []
        piece = literal_of(self, self.pool.data[v.text:v.text + v.size])
        if piece is None:
            return []
        found.append(piece)
    return found


cdef tuple literal_of(Planner self, bytes text):
    """The piece of a text by which it is found; None: it has none."""
    cdef Py_ssize_t first = 0, last = len(text)
    while first < last and text[first] < TOKEN_VARIABLE:
        first += 1
    if first == last:
        return TERM_EXACT, text, last
    while text[last - 1] < TOKEN_VARIABLE:
        last -= 1
    if 0 < first <= 64 and text[first - 1] == 47:    # "/"
        return TERM_PATH_PREFIX, text[:first], first
    first, last = min(first, <Py_ssize_t>MAX_LITERAL), max(last, <Py_ssize_t>len(text) - MAX_LITERAL)
    if first >= <Py_ssize_t>len(text) - last:
        return (TERM_PREFIX, text[:first], first) if first else None
    return TERM_SUFFIX, text[last:], len(text) - last


cdef dict condition_texts(Planner self, const StatementEntry* e):
    """By condition key, what the text that it has must be for an entry to count, if `U` is not in question: whether it must be an ARN,
    and as `literals_of`."""
    cdef const Atom* a
    cdef uint32_t i, n, only
    cdef const uint32_t* atoms = members_of(e.conditions, self.t.condition_lists, self.t.atom_lists, &only, &n)
    cdef dict found = {}
    for i in range(n):
        a = <Atom*>self.atoms.data + atoms[i]
        if not 0 < a.n <= MAX_TEXTS or a.qualifier == FOR_ALL:
            continue
        if not (<uint32_t>INDEXED_OPERATORS >> a.op) & 1:
            continue
        if a.flags & (ATOM_NEGATED | ATOM_IF_EXISTS | ATOM_U):
            continue
        pieces = literals_of(self, a)
        if pieces:
            found[a.key] = a.op == OP_ARN, pieces    # of two operators the last one: either is selective enough
    return found


cdef dict distinguishing_literals(Planner self, dict pieces):
    """Items by the shapes and pieces that are hashed, from the pieces of each of them. Of one kind there are few sizes: what is longer is
    cut to one of them."""
    cdef dict sizes = {}, found = {}
    cdef uint8_t address[16]
    for listed in pieces.values():
        for kind, _, size in listed:
            sizes.setdefault(kind, []).append(size)
    for kind, some in sizes.items():
        some.sort()
        sizes[kind] = sorted({some[i * len(some) // MAX_SIZES] for i in range(MAX_SIZES)})
    for position, listed in pieces.items():
        for kind, piece, size in listed:
            if kind == TERM_EXACT or kind == TERM_PATH_PREFIX:
                found.setdefault((kind, 0, piece), []).append(position)
                continue
            size = max(one for one in sizes[kind] if one <= size)
            if kind == TERM_NETWORK:
                memcpy(address, <const char*>piece, 16)
                mask_address(address, size)
                piece = (<const char*>address)[:16]
            else:
                piece = piece[:size] if kind == TERM_PREFIX else piece[-size:]
            found.setdefault((kind, size, piece), []).append(position)
    return found


cdef int split_items(Planner self, _IndexDraft draft, uint32_t h, list positions, const StatementEntry* entries, const IndexItem* items) except -1:
    """Split the items under one hash by the texts that they require, if these are different ones."""
    cdef dict keys = {}
    cdef set of_arns = set()
    cdef uint32_t position
    for position in positions:
        for key, (is_arn, pieces) in condition_texts(self, entries + items[position].entry).items():
            keys.setdefault(key, {})[position] = pieces
            if is_arn:
                of_arns.add(key)
    best, least = None, len(positions) / 2
    for key, pieces in keys.items():
        apart = distinguishing_literals(self, pieces)
        n = len(positions) - len(pieces) + sum(map(len, apart.values())) / len(apart)
        if n <= least:
            best, least = (key, apart), n
    if best is None:
        return 0
    key, apart = best
    for (kind, _, piece), listed in apart.items():
        for position in listed:
            (<uint64_t*>self._push(&self.placed))[0] = (
                <uint64_t>split_hash(h, key, kind, piece, len(piece), self.t.seed) << 32 | <uint32_t>position
            )
    shapes = sorted({(kind, -size) for kind, size, _ in apart})   # INVARIANT: the longest network first (`text_hashes`)
    draft.splits[h] = key, [position for position in positions if position not in keys[key]], shapes, key in of_arns
    return 0


cdef int split_all(Planner self, _IndexDraft draft, const StatementEntry* entries, const IndexItem* items) except -1:
    """Split what many items share."""
    cdef uint32_t first = 0, end, n = self.placed.n
    while first < n:
        end = end_of_items(self, first)
        if end - first > 2 * draft.few:
            some = [<uint32_t>(<uint64_t*>self.placed.data)[i] for i in range(first, end)]
            split_items(self, draft, <uint32_t>((<uint64_t*>self.placed.data)[first] >> 32), some, entries, items)
        first = end
    if len(draft.always) > 2 * <Py_ssize_t>draft.few:
        split_items(self, draft, SPLIT_ALWAYS, draft.always, entries, items)
    if self.placed.n > n:
        sort_placed(self)
    return 0


# -- the arrays --------------------------------------------------------------------------------------------------------------

cdef PostingSlot new_slot(Planner self, _IndexDraft draft, uint32_t h, uint32_t first, uint32_t n) except *:
    cdef PostingSlot slot = PostingSlot(h, first, n, NONE)
    if h in draft.splits:
        key, rest, shapes, of_arns = draft.splits[h]
        slot.split = self.index_splits.n
        first = self._numbers(&self.index_lists, rest)
        (<ConditionSplit*>self._push(&self.index_splits))[0] = ConditionSplit(
            key, first, narrow32(len(rest)), self.shapes.n, narrow16(len(shapes)), of_arns
        )
        for kind, size in shapes:
            (<TermShape*>self._push(&self.shapes))[0] = TermShape(narrow16(-size), kind, 0)
    return slot


cdef int write_slots(Planner self, _IndexDraft draft, Index* index) except -1:
    """Slots for the hashes, of which a third and more stay empty; and a filter with a bit in sixteen set, or less."""
    cdef uint32_t bits = 1, filter_bits = 6, at, h, i, first = 0, end, listed
    cdef uint64_t n = 0
    cdef PostingSlot slot
    while first < self.placed.n:
        first = end_of_items(self, first)
        n += 1
    while (<uint64_t>2 << bits) < 3 * n:
        bits += 1
    while (<uint64_t>1 << filter_bits) < 16 * n:
        filter_bits += 1
    index.mask = (<uint32_t>1 << bits) - 1
    index.slot_shift = narrow8(32 - bits)
    index.filter_shift = narrow8(32 - filter_bits)
    index.first_slot = self.index_slots.n
    index.first_filter = self.index_filters.n
    self._push(&self.index_slots, index.mask + 1)
    self._push(&self.index_filters, <uint32_t>1 << (filter_bits - 6))
    first = 0
    while first < self.placed.n:
        end = end_of_items(self, first)
        h = <uint32_t>((<uint64_t*>self.placed.data)[first] >> 32)
        listed = <uint32_t>(<uint64_t*>self.placed.data)[first]      # the only one, or where they are listed
        if end - first > 1:
            listed = self.index_lists.n
            for i in range(first, end):
                self._number(&self.index_lists, <uint32_t>(<uint64_t*>self.placed.data)[i])
        slot = new_slot(self, draft, h, listed, end - first)
        at = h >> index.slot_shift
        while (<PostingSlot*>self.index_slots.data)[index.first_slot + at].hash != 0:
            at = (at + 1) & index.mask
        (<PostingSlot*>self.index_slots.data)[index.first_slot + at] = slot
        at = h >> index.filter_shift
        (<uint64_t*>self.index_filters.data)[index.first_filter + (at >> 6)] |= <uint64_t>1 << (at & 63)
        first = end
    return 0


cdef uint32_t build_index(Planner self, uint32_t first, uint32_t n) except? 0xFFFFFFFE:
    """The index of a run of entries."""
    cdef const StatementEntry* entries = <StatementEntry*>self.entries.data + first
    cdef _IndexDraft draft = _IndexDraft((self.index_from + 5) // 6)
    cdef Index index
    cdef uint32_t i
    self.draft_patterns.n = self.placed.n = 0
    index.first_item = self.index_items.n
    for i in range(n):
        add_entry(self, draft, i, entries + i)
    index.n_items = draft.n_items
    choose_terms(self, draft)
    sort_placed(self)
    draft.always, draft.crossing = sorted(set(draft.always)), sorted(set(draft.crossing))
    split_all(self, draft, entries, <IndexItem*>self.index_items.data + index.first_item)
    write_slots(self, draft, &index)
    i = draft.always[0] if len(draft.always) == 1 else self._numbers(&self.index_lists, draft.always)
    index.always = new_slot(self, draft, SPLIT_ALWAYS, i, narrow32(len(draft.always)))
    index.crossing = self._numbers(&self.index_lists, draft.crossing)
    index.n_crossing = narrow32(len(draft.crossing))
    index.first_shape = self.shapes.n
    index.n_shapes = narrow32(len(draft.shapes))
    index.has_deny_filter = False
    index.has_fields = any(i & 0xFF for i in draft.shapes)
    for i in sorted(draft.shapes):                   # so the sizes of prefixes ascend
        (<TermShape*>self._push(&self.shapes))[0] = TermShape(<uint16_t>(i >> 8), <uint8_t>(i >> 24), <uint8_t>i)
    (<Index*>self._push(&self.indexes))[0] = index
    self._release_memory(&self.draft_patterns)
    self._release_memory(&self.term_counts)
    self._release_memory(&self.placed)
    return self.indexes.n - 1
