"""Deny filters of plans: the conditions that must hold for one of the denies to apply, as bits (`kernel.decide.zone_filter`)."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastiam.kernel.base.invariants cimport narrow8
from fastiam.kernel.model.decision cimport LAYER_SCP
from fastiam.kernel.model.call cimport is_supplied
from fastiam.kernel.plan.match_programs cimport Flats
from fastiam.kernel.eval.memo cimport asks_who_alone, is_of_owner
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.eval.unknown cimport next_slot, slot_number


cdef class Sieves(Flats):
    """Vectors with sieves."""

    cdef uint64_t _sieve_of(self, const Row* row) except? 0xFFFFFFFFFFFFFFFE:
        """The blocks of conditions of which one must hold for a deny to apply, as bits."""
        cdef Flat* f
        cdef Index* index
        cdef uint64_t sieve = 0
        cdef uint32_t i, j, n
        if row.flags & ROW_DENIES and not row.flags & ROW_FLAT:
            return SIEVE_ANY
        if row.denies == 0:
            return 0
        self.sync()                                      # flats may have moved the pool
        for i in range(row.denies):
            f = <Flat*>self.flats.data + row.flat + i
            n, index = 1, NULL
            if f.first == TURN_INDEX:
                index = <Index*>self.indexes.data + f.conditions
                index.is_sieved = True
                n = index.n_items
                f = <Flat*>self.flats.data + f.atom
            elif f.first == TURN_GROUP:
                continue
            for j in range(n):
                if self._reads_what_is_supplied(f + j):
                    f[j].sieve = self._sieve_bit(
                        f[j].conditions, SIEVE_BITS if f[j].flags >> FLAT_LAYER_SHIFT <= LAYER_SCP else OWN_SIEVE_BITS
                    )
                sieve |= <uint64_t>1 << f[j].sieve
                if index != NULL and f[j].sieve == SIEVE_NONE:
                    index.is_sieved = False
        if sieve >> SIEVE_NONE:
            return SIEVE_ANY
        return sieve

    cdef bint _reads_what_is_supplied(self, const Flat* f):
        """Whether all that comes before the conditions of a statement surely reads no key under which rows are counted."""
        cdef const Entry* e = <const Entry*>self.entries.data + f.entry
        cdef const Pattern* p
        cdef Range element = Range(0, 1)
        cdef uint32_t i, only = e.resources ^ ONE
        cdef const uint32_t* members = &only
        if f.first != TURN_ODD:
            return not f.flags & FLAT_ENDS or self._needs_no_caller(f.text, f.size)
        if e.flags & ~<uint8_t>(ENTRY_DENY | ENTRY_NOT_RESOURCE):
            return False
        if e.resources == NONE:
            return True
        if not e.resources & ONE:
            element = (<const Range*>self.resource_elements.data)[e.resources]
            members = <const uint32_t*>self.pattern_lists.data + element.first
        for i in range(element.n):
            p = <const Pattern*>self.patterns.data + members[i]
            if not self._needs_no_caller(p.text, p.size):
                return False
            if p.crossing != NONE:
                p = <const Pattern*>self.patterns.data + p.crossing
                if not self._needs_no_caller(p.text, p.size):
                    return False
        return True

    cdef bint _needs_no_caller(self, uint32_t text, uint32_t size):
        """Whether the variables of a pattern surely read no key that a request alone gives, under which rows are counted."""
        cdef const uint8_t* p = <const uint8_t*>self.pool.data + text
        cdef const uint8_t* end = p + size
        cdef const Key* key
        p = next_slot(p, end)
        while p != NULL:
            key = <const Key*>self.keys.data + (<const Variable*>self.variables.data)[slot_number(p)].key
            if not is_supplied(key):
                return False
            p = next_slot(p + SLOT_SIZE, end)
        return True

    cdef int _keep_sieve(self, uint64_t sieve) except -1:
        """Of the last row. One that was not finished, for want of memory, has a sieve that lets everything through."""
        while self.sieves.n < self.rows.n:
            (<uint64_t*>self._push(&self.sieves))[0] = SIEVE_ANY
        (<uint64_t*>self.sieves.data)[self.rows.n - 1] = sieve
        return 0

    cdef bint _may_tell(self, uint32_t conditions):
        """Whether something may be known ahead of the conditions of a statement: of its first one, and so on until one tells nothing."""
        cdef Range block = Range(0, 1)
        cdef const uint32_t* ids
        cdef const Atom* atom
        cdef const Key* key
        cdef uint32_t i, only = conditions ^ ONE
        if conditions == NONE:
            return False
        ids = &only
        if not conditions & ONE:
            block = (<const Range*>self.condition_lists.data)[conditions]
            ids = <const uint32_t*>self.atom_lists.data + block.first
        for i in range(block.n):
            atom = <const Atom*>self.atoms.data + ids[i]
            key = <const Key*>self.keys.data + atom.key
            if atom.flags & ATOM_U or key.is_resource_tag or not asks_who_alone(&self.t, atom):
                return False
            if atom.flags & ATOM_FIXED or key.source == KEY_PRINCIPAL or is_of_owner(key):
                return True
        return False

    cdef uint8_t _sieve_bit(self, uint32_t conditions, uint32_t most) except? 0xFE:
        """The bit of the conditions of a deny, SIEVE_NONE: they have none, and none of the first `most` is left."""
        cdef const uint32_t* told = <const uint32_t*>self.sieve_blocks.data
        cdef uint32_t i
        for i in range(self.sieve_blocks.n):
            if told[i] == conditions:
                return narrow8(i)
        if self.sieve_blocks.n >= most or not self._may_tell(conditions):
            return SIEVE_NONE
        (<uint32_t*>self._push(&self.sieve_blocks))[0] = conditions
        return narrow8(self.sieve_blocks.n - 1)
