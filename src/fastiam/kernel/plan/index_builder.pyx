"""Inverted index of long statement runs.

Invariant: the candidates of a resource include every statement that matches (no false negatives). Each candidate is verified.

A pattern has several terms (`kernel.plan.index_terms`): its whole field 6, or a start or end of it, each with or without the fields before; its
paths; a word or some bytes anywhere in it. Of the terms that few other patterns share, the index selects those that need few probes. If many
patterns share their best term and their statements test different texts of a condition key, the texts become second-level terms.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

from fastiam.kernel.base.arn cimport cut_arn
from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.base.text cimport mix
from fastiam.kernel.eval.operators cimport is_arn
from fastiam.kernel.eval.term_hashes cimport MOST_SIZES, keep_bits, split_hash
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.index_terms cimport CROSSING_GRAMS, GRAMS, PIECES, Part, Ways


cdef enum:
    SPLIT_ALWAYS = 0           # stands for the hash of the items that no hash finds
    MOST_TEXTS = 64            # of an item that lies under each of them
    MOST_SHAPES = 64           # that are weighed at once
    MOST_PIECE = 1024          # bytes of how a text begins or ends
    PLACED = 0xFFFFFFFF        # as the item of a draft: it is done


# What a pattern gains by a shape, the more the less that costs a request: of those below SHAPE_GRAM.
cdef uint32_t[5] GAINS = [6, 6, 3, 6, 2]


cdef int by_number(const void* a, const void* b) noexcept nogil:
    cdef uint64_t x = (<const uint64_t*>a)[0], y = (<const uint64_t*>b)[0]
    return (x > y) - (x < y)


cdef class _Draft:
    """What of an index is found before it is written."""

    def __cinit__(self, uint32_t few):
        self.always, self.crossing, self.splits, self.shapes = [], [], {}, set()
        self.last_shape = NONE
        self.n_items = 0
        self.few = few


cdef class Indexes(Ways):
    """Vectors that can index the entries of a run."""

    cdef uint32_t _item(self, _Draft draft, uint32_t entry, uint32_t resources) except? 0xFFFFFFFE:
        """The position of a new item."""
        (<Item*>self._push(&self.index_items))[0] = Item(entry, resources)
        draft.n_items += 1
        return draft.n_items - 1

    cdef bint _is_anywhere(self, const Pattern* p):
        """Whether a pattern may match any resource, as far as it is known: a short one may cross."""
        if p.crossing != NONE and (<Pattern*>self.patterns.data)[p.crossing].colons[4] == 0:
            return True
        return p.colons[4] == 0 and p.kind != PATTERN_NEVER and p.kind != PATTERN_UNRESOLVED     # PATTERN_ANY

    cdef int _add_entry(self, _Draft draft, uint32_t entry, const Entry* e) except -1:
        cdef Range element
        cdef const Pattern* p
        cdef const uint32_t* members
        cdef uint32_t i, only, position
        if e.resources == NONE or e.flags & ENTRY_NOT_RESOURCE:
            draft.always.append(self._item(draft, entry, e.resources))
            return 0
        only = e.resources ^ ONE
        element = Range(0, 1) if e.resources & ONE else (<Range*>self.resource_elements.data)[e.resources]
        members = &only if e.resources & ONE else <uint32_t*>self.pattern_lists.data + element.first
        for i in range(element.n):
            p = <Pattern*>self.patterns.data + members[i]
            position = self._item(draft, entry, ONE | members[i])
            if self._is_anywhere(p):
                draft.always.append(position)
                continue
            if p.kind != PATTERN_NEVER and p.kind != PATTERN_UNRESOLVED:
                self._add_pattern(position, members[i], GRAMS)
            if p.crossing != NONE:
                self._add_pattern(position, p.crossing, CROSSING_GRAMS)
        return 0

    cdef int _add_pattern(self, uint32_t item, uint32_t pattern, Part grams) except -1:
        """Note a pattern of an item. What a star crosses may hold more of the text than the fields do: of a crossing reading nothing but grams
        can be told."""
        cdef Noted one = Noted(item, pattern, grams, False, Range(0, 0), 0, 0)
        if grams == GRAMS:
            one.ways = self._ways_of(pattern, PIECES)
        (<Noted*>self._push(&self.noted))[0] = one
        return 0

    # -- a way for each pattern ------------------------------------------------------------------------------------------------------

    cdef WayCount* _count_of(self, uint64_t way):
        """Where it is counted how many patterns a way finds."""
        cdef WayCount* counts = <WayCount*>self.way_counts.data
        cdef uint32_t at = <uint32_t>mix(way) & self.count_mask
        while counts[at].n and counts[at].way != way:
            at = (at + 1) & self.count_mask
        return counts + at

    cdef int _count(self) except -1:
        """Count the ways of what has no place yet."""
        cdef const Noted* noted = <Noted*>self.noted.data
        cdef const uint64_t* ways = <uint64_t*>self.ways.data
        cdef WayCount* count
        cdef uint64_t n = 0, room = 64
        cdef uint32_t i, k
        for i in range(self.noted.n):
            n += noted[i].ways.n
        while room < 2 * n:
            room *= 2
        if self.way_counts.capacity < room:
            self._resize(&self.way_counts, room)
        memset(self.way_counts.data, 0, <size_t>room * sizeof(WayCount))
        self.count_mask = narrow32(room - 1)
        for i in range(self.noted.n):
            if noted[i].item != PLACED:
                for k in range(noted[i].ways.n):
                    count = self._count_of(ways[noted[i].ways.first + k])
                    count.way = ways[noted[i].ways.first + k]
                    count.n += 1
        return 0

    cdef WayCount _rarest(self, Range ways, uint32_t few):
        """Of some ways the first that few patterns share, else the one that fewest share; `n` is 0 where there is none."""
        cdef WayCount best = WayCount(0, 0), one
        cdef uint32_t k
        for k in range(ways.n):
            one = self._count_of((<uint64_t*>self.ways.data)[ways.first + k])[0]
            if best.n == 0 or one.n < best.n:
                best = one
                if one.n <= few:
                    break
        return best

    cdef int _go(self, _Draft draft, Noted* noted, uint64_t way) except -1:
        """Go a way to an item."""
        (<uint64_t*>self._push(&self.placed))[0] = way << 32 | noted.item
        if way >> 32 != draft.last_shape:
            draft.last_shape = <uint32_t>(way >> 32)
            draft.shapes.add(draft.last_shape)
        noted.item = PLACED
        return 0

    cdef bint _is_good(self, const Noted* noted, uint64_t way, uint32_t few):
        """Whether few patterns share a way, or fewer than any other."""
        return way == noted.best or self._count_of(way).n <= few

    cdef uint32_t _best_shape(self, uint32_t few):
        """The shape by which most patterns without a place gain most; NONE if none can have one."""
        cdef const Noted* noted = <Noted*>self.noted.data
        cdef uint32_t[MOST_SHAPES] shapes, gains, last
        cdef uint32_t i, k, s, n = 0, best = 0
        cdef uint64_t way
        for i in range(self.noted.n):
            for k in range(noted[i].ways.n if noted[i].item != PLACED and noted[i].is_open else 0):
                way = (<uint64_t*>self.ways.data)[noted[i].ways.first + k]
                if not self._is_good(noted + i, way, few):
                    continue
                s = 0
                while s < n and shapes[s] != way >> 32:
                    s += 1
                if s == MOST_SHAPES:
                    continue
                if s == n:
                    shapes[s], gains[s], last[s] = <uint32_t>(way >> 32), 0, NONE
                    n += 1
                if last[s] != i:                         # once, however many words it has
                    gains[s] += GAINS[way >> 56]
                    last[s] = i
        for s in range(n):
            if gains[s] > gains[best]:
                best = s
        return shapes[best] if n else NONE

    cdef int _cover(self, _Draft draft) except -1:
        """Go one good way to each pattern that has any, so that a request has to be hashed for few shapes, and cheap ones."""
        cdef Noted* noted = <Noted*>self.noted.data
        cdef uint32_t i, k, shape = self._best_shape(draft.few)
        cdef uint64_t way
        while shape != NONE:
            for i in range(self.noted.n):
                for k in range(noted[i].ways.n if noted[i].is_open else 0):
                    way = (<uint64_t*>self.ways.data)[noted[i].ways.first + k]
                    if noted[i].item != PLACED and way >> 32 == shape and self._is_good(noted + i, way, draft.few):
                        self._go(draft, noted + i, way)
            shape = self._best_shape(draft.few)
        return 0

    cdef int _choose(self, _Draft draft) except -1:
        """Give every pattern a place, or its item one on a list."""
        cdef Noted* noted = <Noted*>self.noted.data
        cdef WayCount best
        cdef uint32_t i
        self._count()
        for i in range(self.noted.n):
            best = self._rarest(noted[i].ways, draft.few)
            noted[i].best, noted[i].n_best = best.way, best.n
            noted[i].is_open = 0 < best.n <= 2 * draft.few
        self._cover(draft)
        for i in range(self.noted.n):                    # what is left shares all of its ways with many
            noted[i].ways = Range(0, 0) if noted[i].item == PLACED else self._ways_of(noted[i].pattern, <Part>noted[i].grams)
        self._count()
        for i in range(self.noted.n):
            best = self._rarest(noted[i].ways, draft.few)
            if best.n == 0 or (noted[i].n_best and 2 * best.n > noted[i].n_best):
                best = WayCount(noted[i].best, noted[i].n_best)
            if noted[i].item == PLACED:
                continue
            if best.n:
                self._go(draft, noted + i, best.way)
            else:
                (draft.crossing if noted[i].grams == CROSSING_GRAMS else draft.always).append(noted[i].item)
        return 0

    cdef int _sort_placed(self) except -1:
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

    cdef uint32_t _end_of(self, uint32_t first):
        """Where the items under the hash of a place end."""
        cdef const uint64_t* placed = <uint64_t*>self.placed.data
        cdef uint32_t end = first
        while end < self.placed.n and placed[end] >> 32 == placed[first] >> 32:
            end += 1
        return end

    # -- conditions ------------------------------------------------------------------------------------------------------------

    cdef list _pieces_of(self, const Atom* a):
        """What a text must be, or begin or end with, or the networks one of which an address must be in, for an entry of conditions to be
        more than F: kinds of shapes, pieces and their sizes; empty where that is not known of one of its values."""
        cdef const Value* v
        cdef uint16_t colons[5]
        cdef uint32_t i
        cdef list found = []
        for i in range(a.n):
            v = <Value*>self.values.data + a.first + i
            if v.has_slots or v.is_u:
                return []
            if v.unresolved:
                continue
            if a.op == OP_IP:
                found.append((SHAPE_NETWORK, (<const char*>v.address)[:16], v.number))
                continue
            if a.op == OP_ARN and not cut_arn(<const uint8_t*>self.pool.data + v.text, v.size, colons):
                return []
            piece = self._piece_of(self.pool.data[v.text:v.text + v.size])
            if piece is None:
                return []
            found.append(piece)
        return found

    cdef tuple _piece_of(self, bytes text):
        """The piece of a text by which it is found; None: it has none."""
        cdef Py_ssize_t first = 0, last = len(text)
        while first < last and text[first] < TOKEN_SLOT:
            first += 1
        if first == last:
            return SHAPE_EXACT, text, last
        while text[last - 1] < TOKEN_SLOT:
            last -= 1
        if 0 < first <= 64 and text[first - 1] == 47:    # "/"
            return SHAPE_PATH, text[:first], first
        first, last = min(first, <Py_ssize_t>MOST_PIECE), max(last, <Py_ssize_t>len(text) - MOST_PIECE)
        if first >= <Py_ssize_t>len(text) - last:
            return (SHAPE_PREFIX, text[:first], first) if first else None
        return SHAPE_SUFFIX, text[last:], len(text) - last

    cdef dict _asked_of(self, const Entry* e):
        """By condition key, what the text that it has must be for an entry to count, if `U` is not in question: whether it must be an ARN,
        and as `_pieces_of`."""
        cdef const uint32_t* members
        cdef const Atom* a
        cdef Range block
        cdef uint32_t i, only = e.conditions ^ ONE
        cdef dict found = {}
        if e.conditions == NONE:
            return found
        block = Range(0, 1) if e.conditions & ONE else (<Range*>self.condition_lists.data)[e.conditions]
        members = &only if e.conditions & ONE else <uint32_t*>self.atom_lists.data + block.first
        for i in range(block.n):
            a = <Atom*>self.atoms.data + members[i]
            if not 0 < a.n <= MOST_TEXTS or a.qualifier == FOR_ALL:
                continue
            if a.op != OP_STRING and a.op != OP_STRING_LIKE and a.op != OP_IP and a.op != OP_ARN:
                continue
            if a.flags & (ATOM_NEGATED | ATOM_IF_EXISTS | ATOM_U):
                continue
            pieces = self._pieces_of(a)
            if pieces:
                found[a.key] = a.op == OP_ARN, pieces    # of two operators the last one: either tells enough
        return found

    cdef dict _told_apart(self, dict pieces):
        """Items by the shapes and pieces that are hashed, from the pieces of each of them. Of one kind there are few sizes: what is longer is
        cut to one of them."""
        cdef dict sizes = {}, found = {}
        cdef uint8_t address[16]
        for listed in pieces.values():
            for kind, _, size in listed:
                sizes.setdefault(kind, []).append(size)
        for kind, some in sizes.items():
            some.sort()
            sizes[kind] = sorted({some[i * len(some) // MOST_SIZES] for i in range(MOST_SIZES)})
        for position, listed in pieces.items():
            for kind, piece, size in listed:
                if kind == SHAPE_EXACT or kind == SHAPE_PATH:
                    found.setdefault((kind, 0, piece), []).append(position)
                    continue
                size = max(one for one in sizes[kind] if one <= size)
                if kind == SHAPE_NETWORK:
                    memcpy(address, <const char*>piece, 16)
                    keep_bits(address, size)
                    piece = (<const char*>address)[:16]
                else:
                    piece = piece[:size] if kind == SHAPE_PREFIX else piece[-size:]
                found.setdefault((kind, size, piece), []).append(position)
        return found

    cdef int _split(self, _Draft draft, uint32_t h, list places, const Entry* entries, const Item* items) except -1:
        """Tell items under one hash apart by the texts that they ask for, if these are different ones."""
        cdef dict keys = {}
        cdef set of_arns = set()
        cdef uint32_t position
        for position in places:
            for key, (is_arn, pieces) in self._asked_of(entries + items[position].entry).items():
                keys.setdefault(key, {})[position] = pieces
                if is_arn:
                    of_arns.add(key)
        best, least = None, len(places) / 2
        for key, pieces in keys.items():
            apart = self._told_apart(pieces)
            n = len(places) - len(pieces) + sum(map(len, apart.values())) / len(apart)
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
        draft.splits[h] = key, [position for position in places if position not in keys[key]], shapes, key in of_arns
        return 0

    cdef int _split_all(self, _Draft draft, const Entry* entries, const Item* items) except -1:
        """Split what many items share."""
        cdef uint32_t first = 0, end, n = self.placed.n
        while first < n:
            end = self._end_of(first)
            if end - first > 2 * draft.few:
                some = [<uint32_t>(<uint64_t*>self.placed.data)[i] for i in range(first, end)]
                self._split(draft, <uint32_t>((<uint64_t*>self.placed.data)[first] >> 32), some, entries, items)
            first = end
        if len(draft.always) > 2 * <Py_ssize_t>draft.few:
            self._split(draft, SPLIT_ALWAYS, draft.always, entries, items)
        if self.placed.n > n:
            self._sort_placed()
        return 0

    # -- the arrays --------------------------------------------------------------------------------------------------------------

    cdef IndexSlot _slot(self, _Draft draft, uint32_t h, uint32_t first, uint32_t n) except *:
        cdef IndexSlot slot = IndexSlot(h, first, n, NONE)
        if h in draft.splits:
            key, rest, shapes, of_arns = draft.splits[h]
            slot.split = self.index_splits.n
            first = self._numbers(&self.index_lists, rest)
            (<Split*>self._push(&self.index_splits))[0] = Split(
                key, first, narrow32(len(rest)), self.shapes.n, narrow16(len(shapes)), of_arns
            )
            for kind, size in shapes:
                (<Shape*>self._push(&self.shapes))[0] = Shape(narrow16(-size), kind, 0)
        return slot

    cdef int _write_slots(self, _Draft draft, Index* index) except -1:
        """Slots for the hashes, of which a third and more stay empty; and a filter with a bit in sixteen set, or less."""
        cdef uint32_t bits = 1, filter_bits = 6, at, h, i, first = 0, end, listed
        cdef uint64_t n = 0
        cdef IndexSlot slot
        while first < self.placed.n:
            first = self._end_of(first)
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
            end = self._end_of(first)
            h = <uint32_t>((<uint64_t*>self.placed.data)[first] >> 32)
            listed = <uint32_t>(<uint64_t*>self.placed.data)[first]      # the only one, or where they are listed
            if end - first > 1:
                listed = self.index_lists.n
                for i in range(first, end):
                    self._number(&self.index_lists, <uint32_t>(<uint64_t*>self.placed.data)[i])
            slot = self._slot(draft, h, listed, end - first)
            at = h >> index.slot_shift
            while (<IndexSlot*>self.index_slots.data)[index.first_slot + at].hash != 0:
                at = (at + 1) & index.mask
            (<IndexSlot*>self.index_slots.data)[index.first_slot + at] = slot
            at = h >> index.filter_shift
            (<uint64_t*>self.index_filters.data)[index.first_filter + (at >> 6)] |= <uint64_t>1 << (at & 63)
            first = end
        return 0

    cdef uint32_t _index(self, uint32_t first, uint32_t n) except? 0xFFFFFFFE:
        """The index of a run of entries."""
        cdef const Entry* entries = <Entry*>self.entries.data + first
        cdef _Draft draft = _Draft((self.index_from + 5) // 6)
        cdef Index index
        cdef uint32_t i
        self.noted.n = self.placed.n = 0
        index.first_item = self.index_items.n
        for i in range(n):
            self._add_entry(draft, i, entries + i)
        index.n_items = draft.n_items
        self._choose(draft)
        self._sort_placed()
        draft.always, draft.crossing = sorted(set(draft.always)), sorted(set(draft.crossing))
        self._split_all(draft, entries, <Item*>self.index_items.data + index.first_item)
        self._write_slots(draft, &index)
        i = draft.always[0] if len(draft.always) == 1 else self._numbers(&self.index_lists, draft.always)
        index.always = self._slot(draft, SPLIT_ALWAYS, i, narrow32(len(draft.always)))
        index.crossing = self._numbers(&self.index_lists, draft.crossing)
        index.n_crossing = narrow32(len(draft.crossing))
        index.first_shape = self.shapes.n
        index.n_shapes = narrow32(len(draft.shapes))
        index.is_sieved = False
        index.has_fields = any(i & 0xFF for i in draft.shapes)
        for i in sorted(draft.shapes):                   # so the sizes of prefixes ascend
            (<Shape*>self._push(&self.shapes))[0] = Shape(<uint16_t>(i >> 8), <uint8_t>(i >> 24), <uint8_t>i)
        (<Index*>self._push(&self.indexes))[0] = index
        self._release_memory(&self.noted)
        self._release_memory(&self.way_counts)
        self._release_memory(&self.placed)
        return self.indexes.n - 1
