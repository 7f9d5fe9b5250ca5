"""Indexes of long runs: candidates by what their patterns have literally. Too many, never too few: each is verified."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam._bytes cimport hash_bytes
from fastiam._columns cimport Text
from fastiam._decide cimport fields_hash, gram_hash, shape_hash
from fastiam._types cimport *
from fastiam._vectors cimport Vectors


cdef class Indexes(Vectors):
    """Vectors that can index the entries of a run."""

    cdef object _shape_of(self, const Pattern* p):
        """(fixed, kind, size, piece) under which a pattern is found; of SHAPE_GRAM, all pieces that could serve.

        None where no hash finds it.
        """
        cdef const uint8_t* text = <uint8_t*>self.pool.data + p.text
        cdef int64_t tail = p.colons[4] + 1, n = p.size - tail, i, prefix = 0
        cdef int fixed = 3
        if p.kind == PATTERN_ANY or p.colons[4] == 0 or p.kind == PATTERN_UNRESOLVED:
            return None
        if p.kind == PATTERN_PIECES or p.kind == PATTERN_FIELDS or p.kind == PATTERN_SLOTS:
            if p.literal_fields & 3 != 3:
                return self._grams_of(text + tail, n)
            fixed = 0
            for i in range(2):
                if p.literal_fields & (4 << i):
                    fixed |= 1 << i
                elif p.colons[3 + i] - p.colons[2 + i] != 2 or text[p.colons[2 + i] + 1] != TOKEN_STAR:
                    return self._grams_of(text + tail, n)
        while prefix < n and text[tail + prefix] < TOKEN_SLOT:
            prefix += 1
        if prefix == n:
            return fixed, SHAPE_EXACT, 0, text[tail:tail + n]
        if prefix:
            return fixed, SHAPE_PREFIX, prefix, text[tail:tail + prefix]
        if p.kind == PATTERN_SLOTS:
            return self._grams_of(text + tail, n)
        i = n
        while i > 0 and text[tail + i - 1] < TOKEN_SLOT:
            i -= 1
        return self._grams_of(text + tail, n) if i == n else (fixed, SHAPE_SUFFIX, n - i, text[tail + i:tail + n])

    cdef object _grams_of(self, const uint8_t* tail, int64_t n):
        """Every eight bytes in a row, else every four, of the literal parts of a field 6; None where there are none."""
        cdef int64_t at = 0, start, size
        cdef list parts = []
        while at < n:
            start = at
            while at < n and tail[at] < TOKEN_SLOT:
                at += 1
            if at > start:
                parts.append(tail[start:at])
            if at < n:
                at += 5 if tail[at] == TOKEN_SLOT else 1
        for size in (8, 4):
            grams = [part[i:i + size] for part in parts for i in range(len(part) - size + 1)]
            if grams:
                return 0, SHAPE_GRAM, size, grams
        return None

    cdef object _hash_of(self, const Pattern* p, found):
        cdef const char* text = self.pool.data + p.text
        cdef Shape shape
        cdef bytes piece = found[3]
        cdef uint64_t base
        shape = Shape(found[2], found[1], found[0])
        base = fields_hash(
            text + 4, p.colons[2] - 4, Text(text + p.colons[2] + 1, p.colons[3] - p.colons[2] - 1),
            Text(text + p.colons[3] + 1, p.colons[4] - p.colons[3] - 1), shape.fixed, self.t.seed,
        )
        return <uint32_t>shape_hash(base, hash_bytes(piece, len(piece), self.t.seed), &shape) | 1

    cdef object _sort_entry(self, uint32_t position, const Entry* e, list found, list always, list crossing):
        """Add (position, shape, hash) of every pattern of an entry to `found`, or the entry to the list that is always looked at."""
        cdef Range element
        cdef const Pattern* p
        cdef const uint32_t* members
        cdef uint32_t i, only
        if e.resources == NONE or e.flags & ENTRY_NOT_RESOURCE:
            always.append(position)
            return
        only = e.resources ^ ONE
        element = Range(0, 1) if e.resources & ONE else (<Range*>self.resource_elements.data)[e.resources]
        members = &only if e.resources & ONE else <uint32_t*>self.pattern_lists.data + element.first
        own = []
        for i in range(element.n):
            p = <Pattern*>self.patterns.data + members[i]
            if p.crossing != NONE:
                if (<Pattern*>self.patterns.data)[p.crossing].colons[4] == 0:
                    always.append(position)              # a short pattern may cross in any resource
                    return
                if not crossing or crossing[len(crossing) - 1] != position:
                    crossing.append(position)
            if p.kind == PATTERN_NEVER:
                continue
            shape = self._shape_of(p)
            if shape is None:
                always.append(position)
                return
            own.append((position, shape, None if shape[1] == SHAPE_GRAM else self._hash_of(p, shape)))
        found += own

    cdef uint32_t _index(self, uint32_t first, uint32_t n) except? 0xFFFFFFFE:
        """The index of a run of entries."""
        cdef dict hashed = {}
        cdef set shapes = set()
        cdef list always = [], crossing = [], found = []
        cdef bytes gram
        cdef uint32_t i, start, mask = 1, at
        cdef IndexSlot* slots
        cdef Shape* shape
        cdef Index* index
        for i in range(n):
            self._sort_entry(i, <Entry*>self.entries.data + first + i, found, always, crossing)
        counts = {}
        for _, by, h in found:
            if h is None:
                for piece in set(by[3]):
                    counts[piece] = counts.get(piece, 0) + 1
        for position, by, h in found:
            if h is None:                                # of a pattern's grams, the one that fewest others have
                gram = min(by[3], key=counts.__getitem__)
                h = gram_hash(gram, <uint16_t>len(gram))
            shapes.add((by[1], by[2], by[0]))
            places = hashed.setdefault(h, [])
            if not places or places[len(places) - 1] != position:
                places.append(position)
        while mask < 2 * len(hashed):
            mask *= 2
        start = self.index_slots.n
        self._push(&self.index_slots, mask)
        for h, places in hashed.items():
            at = (<uint32_t>h >> 1) & (mask - 1)
            slots = <IndexSlot*>self.index_slots.data + start
            while slots[at].hash != 0:
                at = (at + 1) & (mask - 1)
            slots[at] = IndexSlot(h, self._numbers(&self.index_lists, places), <uint32_t>len(places))
        for kind, size, fixed in sorted(shapes):
            shape = <Shape*>self._push(&self.shapes)
            shape[0] = Shape(size, kind, fixed)
        index = <Index*>self._push(&self.indexes)
        index.first_shape = self.shapes.n - <uint32_t>len(shapes)
        index.n_shapes = <uint32_t>len(shapes)
        index.first_slot = start
        index.mask = mask - 1
        index.always = self._numbers(&self.index_lists, always)
        index.n_always = <uint32_t>len(always)
        index.crossing = self._numbers(&self.index_lists, crossing)
        index.n_crossing = <uint32_t>len(crossing)
        return self.indexes.n - 1
