"""Indexes of long runs: candidates by what their patterns have literally. Too many, never too few: each is verified.

A pattern can be found in several ways: by the whole of its field 6, by how that begins or ends, each with or without the fields before
it, by its slashes, by a word or some bytes anywhere in it. Of those that few other patterns share the index takes such that a request
has to be asked for little. Where many patterns share the best way, and their statements ask for different texts of a condition key,
these tell them apart.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam._bytes cimport breaks, hash_bytes
from fastiam._hashes cimport fields_hash, gram_hash, prefix_hash, shape_hash, split_hash, word_hash
from fastiam._patterns cimport has_tokens
from fastiam._types cimport *
from fastiam._vectors cimport Vectors


cdef enum:
    SPLIT_ALWAYS = 0           # stands for the hash of the entries that no hash finds
    MOST_HASHED = 1024         # bytes of a pattern
    MOST_TEXTS = 64            # of an item that lies under each of them


# How many bytes are hashed where those suffice: the fewer sizes an index has, the fewer hashes a request takes.
_SIZES = (128, 64, 48, 32, 24, 16, 12, 8, 4)


# What a shape costs a request, about: the more hashes, the more.
_COSTS = {SHAPE_EXACT: 2, SHAPE_PREFIX: 1, SHAPE_PATH: 5, SHAPE_SUFFIX: 2, SHAPE_WORD: 6}


cdef object as_way(const Shape* shape, uint32_t h):
    """A way to find a pattern: a shape, and a hash of it, which a pattern of another shape may have, too. In the order of these numbers the
    sizes of prefixes ascend."""
    return (<uint64_t>shape.kind << 24 | <uint64_t>shape.size << 8 | shape.fields) << 32 | h


cdef class _Draft:
    """An index as it is made."""

    def __cinit__(self, uint32_t few):
        self.always, self.crossing, self.found = [], [], []
        self.counts, self.places, self.splits = {}, {}, {}
        self.n_items = 0
        self.few = few

    cdef int count(self, list ways) except -1:
        for way in ways:
            self.counts[way] = self.counts.get(way, 0) + 1
        return 0

    cdef object rarest(self, list ways):
        """Of some ways the first that few patterns share, else the one that fewest share; None of none."""
        cdef uint32_t n, least = 0xFFFFFFFF
        best = None
        for way in ways:
            n = self.counts[way]
            if n <= self.few:
                return way
            if n < least:
                best, least = way, n
        return best

    cdef bint is_shared(self, way):
        """Whether many patterns share a way, so that it is worth to look for another."""
        return way is None or self.counts[way] > 2 * self.few

    cdef int cover(self, list patterns) except -1:
        """Go one of the ways that are listed for each pattern, so that a request has to be hashed for few shapes, and cheap ones."""
        cdef list left
        while patterns:
            gains = {}
            for _, ways in patterns:
                for shape in {way >> 32 for way in ways}:
                    gains[shape] = gains.get(shape, 0) + 1 / _COSTS[shape >> 24]
            best = max(gains, key=gains.get)
            left = []
            for position, ways in patterns:
                found = [way for way in ways if way >> 32 == best]
                if found:
                    self.put(found[0], position)
                else:
                    left.append((position, ways))
            patterns = left
        return 0

    cdef int put(self, way, uint32_t position) except -1:
        cdef list places = self.places.setdefault(way, [])
        if not places or places[len(places) - 1] != position:
            places.append(position)
        return 0

    cdef list shapes(self):
        """The shapes of the ways that are gone, in their order. From now on `places` are under hashes, whatever their shape: a request that
        has one finds them all."""
        cdef dict under = {}
        found = sorted({way >> 32 for way in self.places})
        for way, places in self.places.items():
            under.setdefault(way & 0xFFFFFFFF, []).extend(places)
        self.places = under
        return found


cdef list _parts_of(const uint8_t* tail, int64_t n):
    """The literal parts of a field 6: where each starts and ends."""
    cdef int64_t at = 0, start
    cdef list parts = []
    while at < n:
        start = at
        while at < n and tail[at] < TOKEN_SLOT:
            at += 1
        if at > start:
            parts.append((start, at))
        if at < n:
            at += SLOT_SIZE if tail[at] == TOKEN_SLOT else 1
    return parts


cdef int64_t _usual(int64_t n):
    """The usual size up to `n`; `n` itself where there is none."""
    for size in _SIZES:
        if size <= n:
            return size
    return n


cdef list _grams_of(const char* tail, list parts, uint16_t size, uint8_t kind):
    """By every four or eight bytes in a row of some parts."""
    cdef Shape shape = Shape(size, kind, 0)
    cdef int64_t i, start, end
    cdef dict found = {}                                 # in order: the least hash of many would crowd the low slots
    for start, end in parts:
        for i in range(start, end - size + 1):
            found[as_way(&shape, gram_hash(tail + i, &shape))] = None
    return list(found)


cdef list _words_of(const char* tail, list parts, int64_t n):
    """By every word that stands whole in the parts of a field 6 of `n` bytes."""
    cdef Shape shape = Shape(0, SHAPE_WORD, 0)
    cdef int64_t i, at, start, end
    cdef dict found = {}
    for start, end in parts:
        at = start if start == 0 else -1                 # where a word starts; a star may stand for the first letters of one
        for i in range(start, end + 1):
            if (i < end and not breaks(tail + i, 1)) or (i == end and end != n):
                continue
            if 0 <= at < i:
                found[as_way(&shape, word_hash(tail + at, i - at))] = None
            at = i + 1
    return list(found)


cdef class Indexes(Vectors):
    """Vectors that can index the entries of a run."""

    cdef object _way(self, const Pattern* p, int64_t start, int64_t size, uint8_t kind, uint8_t fields):
        """By some bytes of field 6 of a pattern, before which eight lie in any case: those of `arn:::::`."""
        cdef const char* tail = self.pool.data + p.text + p.colons[4] + 1
        cdef Shape shape = Shape(<uint16_t>size if kind == SHAPE_PREFIX or kind == SHAPE_SUFFIX else 0, kind, fields)
        cdef uint64_t piece, before = self.t.seed
        cdef int64_t at = 0
        if kind == SHAPE_PREFIX or kind == SHAPE_PATH:
            piece = prefix_hash(tail, size, &at, &before)
        else:
            piece = hash_bytes(tail + start, size, self.t.seed)
        return as_way(&shape, shape_hash(fields_hash(self.pool.data + p.text, p.colons, fields), piece, &shape))

    cdef list _ways_of(self, const Pattern* p, list parts):
        """The ways to find a pattern of six fields, the cheapest first."""
        cdef int64_t n = p.size - p.colons[4] - 1, prefix = 0, suffix = 0, size
        cdef const char* tail = self.pool.data + p.text + p.colons[4] + 1
        cdef uint8_t fields = SHAPE_SERVICE if p.literal_fields & 3 == 3 else 0
        cdef uint8_t hashed
        cdef list ways = []
        if p.literal_fields & 4:
            fields |= SHAPE_REGION
        if p.literal_fields & 8:
            fields |= SHAPE_ACCOUNT
        if parts and parts[0][0] == 0:
            prefix = min(<int64_t>parts[0][1], <int64_t>MOST_HASHED)
        if parts and parts[len(parts) - 1][1] == n:
            suffix = min(n - <int64_t>parts[len(parts) - 1][0], <int64_t>MOST_HASHED)
        for hashed in ([0, fields] if fields else [0]):
            if parts and parts[0] == (0, n) or n == 0:
                ways.append(self._way(p, 0, n, SHAPE_EXACT, hashed))
                continue
            for size in sorted({_usual(prefix), prefix} - {0}):
                ways.append(self._way(p, 0, size, SHAPE_PREFIX, hashed))
            if 0 < prefix <= 64 and tail[prefix - 1] == 47:
                ways.append(self._way(p, 0, prefix, SHAPE_PATH, hashed))
            for size in sorted({_usual(suffix), suffix} - {0}):
                ways.append(self._way(p, n - size, size, SHAPE_SUFFIX, hashed))
            if hashed:
                ways.append(self._way(p, 0, 0, SHAPE_PREFIX, hashed))
        return ways

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
                self._add_pattern(draft, position, p, SHAPE_GRAM)
            if p.crossing != NONE:
                self._add_pattern(draft, position, <Pattern*>self.patterns.data + p.crossing, SHAPE_CROSSING)
        return 0

    cdef int _add_pattern(self, _Draft draft, uint32_t position, const Pattern* p, uint8_t kind) except -1:
        cdef int64_t tail = p.colons[4] + 1
        cdef list parts = _parts_of(<uint8_t*>self.pool.data + p.text + tail, p.size - tail)
        # what a star crosses may hold more of the text than the fields do: of a crossing reading nothing but grams can be told
        cdef list ways = []
        if kind == SHAPE_GRAM:
            ways = self._ways_of(p, parts) + _words_of(self.pool.data + p.text + tail, parts, p.size - tail)
        draft.count(ways)
        draft.found.append((position, kind, ways, p.text + tail, parts))
        return 0

    cdef int _choose(self, _Draft draft) except -1:
        """Go one way for every pattern, or put its item on a list."""
        cdef list open = [], shared = []
        for position, kind, ways, tail, parts in draft.found:
            best = draft.rarest(ways)
            if not draft.is_shared(best):
                open.append((position, [way for way in ways if draft.counts[way] <= draft.few] or [best]))
                continue
            eights = _grams_of(self.pool.data + <uint32_t>tail, parts, 8, kind)
            fours = _grams_of(self.pool.data + <uint32_t>tail, parts, 4, kind)
            draft.count(eights)
            draft.count(fours)
            shared.append((position, kind, best, eights, fours))
        for position, kind, best, eights, fours in shared:
            gram = draft.rarest(eights)
            if draft.is_shared(gram):
                gram = draft.rarest(([] if gram is None else [gram]) + fours)
            if gram is not None and (best is None or 2 * draft.counts[gram] <= draft.counts[best]):
                best = gram
            if best is not None:
                draft.put(best, position)
            else:
                (draft.crossing if kind == SHAPE_CROSSING else draft.always).append(position)
        draft.cover(open)
        return 0

    # -- conditions ------------------------------------------------------------------------------------------------------------

    cdef dict _texts_of(self, const Entry* e):
        """By condition key, the texts one of which it must have for an entry to count, if `U` is not in question."""
        cdef const uint32_t* members
        cdef const Atom* a
        cdef const Value* v
        cdef Range block
        cdef uint32_t i, j, only = e.conditions ^ ONE
        cdef dict found = {}
        if e.conditions == NONE:
            return found
        block = Range(0, 1) if e.conditions & ONE else (<Range*>self.condition_lists.data)[e.conditions]
        members = &only if e.conditions & ONE else <uint32_t*>self.atom_lists.data + block.first
        for i in range(block.n):
            a = <Atom*>self.atoms.data + members[i]
            if (a.op != OP_STRING and a.op != OP_STRING_LIKE) or a.qualifier == FOR_ALL or not 0 < a.n <= MOST_TEXTS:
                continue
            if a.flags & (ATOM_NEGATED | ATOM_IF_EXISTS | ATOM_U):
                continue
            texts = []
            for j in range(a.n):
                v = <Value*>self.values.data + a.first + j
                if v.has_slots or has_tokens(<uint8_t*>self.pool.data, v.text, <int64_t>v.text + v.size):
                    break
                if not v.unresolved:
                    texts.append(self.pool.data[v.text:v.text + v.size])
            else:
                found[a.key] = texts
        return found

    cdef int _split(self, _Draft draft, h, list places, const Entry* entries, const Item* items) except -1:
        """Tell items under one hash apart by the texts that they ask for, if these are different ones."""
        cdef dict keys = {}
        cdef dict of_text
        cdef uint32_t position
        for position in places:
            for key, texts in self._texts_of(entries + items[position].entry).items():
                of_text = keys.setdefault(key, {})
                for text in texts:
                    of_text.setdefault(text, []).append(position)
        best, least = None, len(places) // 2
        for key, of_text in keys.items():
            n = len(places) - len(set().union(*of_text.values())) + max(map(len, of_text.values()), default=0)
            if n <= least:
                best, least = key, n
        if best is None:
            return 0
        told = set()
        for text, listed in keys[best].items():
            told.update(listed)
            for position in listed:
                draft.put(split_hash(h, best, text, len(text), self.t.seed), position)
        draft.splits[h] = best, [position for position in places if position not in told]
        return 0

    # -- the arrays --------------------------------------------------------------------------------------------------------------

    cdef int _slot(self, _Draft draft, IndexSlot* slot, uint32_t h, list places) except -1:
        """Fill a slot, which is a copy: what is appended meanwhile may move the slots."""
        cdef Split* split
        places = sorted(set(places))
        slot.hash = h
        slot.n = <uint32_t>len(places)
        slot.first = places[0] if len(places) == 1 else self._numbers(&self.index_lists, places)
        slot.split = NONE
        if h in draft.splits:
            key, rest = draft.splits[h]
            slot.split = self.index_splits.n
            split = <Split*>self._push(&self.index_splits)
            split[0] = Split(key, self._numbers(&self.index_lists, rest), <uint32_t>len(rest))
        return 0

    cdef int _write_slots(self, _Draft draft, Index* index) except -1:
        """Slots for the hashes, of which a third and more stay empty; and a filter with a bit in sixteen set, or less."""
        cdef uint32_t bits = 1, filter_bits = 6, at, h
        cdef uint64_t* filter
        cdef IndexSlot* slots
        cdef IndexSlot slot
        while (<uint64_t>2 << bits) < 3 * <uint64_t>len(draft.places):
            bits += 1
        while (<uint64_t>1 << filter_bits) < 16 * <uint64_t>len(draft.places):
            filter_bits += 1
        index.mask = (<uint32_t>1 << bits) - 1
        index.slot_shift = <uint8_t>(32 - bits)
        index.filter_shift = <uint8_t>(32 - filter_bits)
        index.first_slot = self.index_slots.n
        index.first_filter = self.index_filters.n
        self._push(&self.index_slots, index.mask + 1)
        self._push(&self.index_filters, <uint32_t>1 << (filter_bits - 6))
        slots = <IndexSlot*>self.index_slots.data + index.first_slot
        filter = <uint64_t*>self.index_filters.data + index.first_filter
        for number, places in draft.places.items():
            h = number
            self._slot(draft, &slot, h, places)
            at = h >> index.slot_shift
            while slots[at].hash != 0:
                at = (at + 1) & index.mask
            slots[at] = slot
            at = h >> index.filter_shift
            filter[at >> 6] |= <uint64_t>1 << (at & 63)
        return 0

    cdef uint32_t _index(self, uint32_t first, uint32_t n) except? 0xFFFFFFFE:
        """The index of a run of entries."""
        cdef const Entry* entries = <Entry*>self.entries.data + first
        cdef _Draft draft = _Draft((self.index_from + 5) // 6)
        cdef Index index
        cdef uint32_t i
        index.first_item = self.index_items.n
        for i in range(n):
            self._add_entry(draft, i, entries + i)
        index.n_items = draft.n_items
        self._choose(draft)
        draft.always, draft.crossing = sorted(set(draft.always)), sorted(set(draft.crossing))
        shapes = draft.shapes()
        for h, places in (*draft.places.items(), (SPLIT_ALWAYS, draft.always)):
            if len(places) > 2 * draft.few:
                self._split(draft, h, places, entries, <Item*>self.index_items.data + index.first_item)
        self._write_slots(draft, &index)
        self._slot(draft, &index.always, SPLIT_ALWAYS, draft.always)
        index.crossing = self._numbers(&self.index_lists, draft.crossing)
        index.n_crossing = <uint32_t>len(draft.crossing)
        index.first_shape = self.shapes.n
        index.n_shapes = <uint32_t>len(shapes)
        index.has_fields = any(i & 0xFF for i in shapes)
        for i in shapes:
            (<Shape*>self._push(&self.shapes))[0] = Shape(<uint16_t>(i >> 8), <uint8_t>(i >> 24), <uint8_t>i)
        (<Index*>self._push(&self.indexes))[0] = index
        return self.indexes.n - 1
