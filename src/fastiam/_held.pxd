"""What is stored about the resources of a block, and where that lets its rows go. Header only.

Where flats say all that counts - denies of SCPs, RCPs and the resource's policies, what these allow, the own row and its limits - a row
is decided in waves; where something is stored that has rules of its own, the long way.
"""
from libc.stdint cimport uint16_t, uint32_t, uintptr_t

from fastiam._block cimport (
    BLOCK, BOUND_ALLOWS, FROM_ELSEWHERE, HELD_ALLOWS, HELD_ROWS, LIMITS_ASKED, OWN_ALLOWS, OWN_ROWS, RCP_ROWS, SCP_ROWS, Block, Side,
    record_of,
)
from fastiam._bytes cimport prefetch
from fastiam._limits cimport layer_row
from fastiam._plain cimport (
    ACT_HARD, BY_ORGANIZATION, CALLER_CHECKS, FACTS_HOLDS, LIMITS_ASKED_AT, Caller, is_about_others, limits_left, odd_limits, place_differs,
)
from fastiam._types cimport *


cdef inline void find_records(Side* s, const TablesC* t) noexcept nogil:
    """What is stored about the resources of the near way, and the rows of its policies, each asked for by the step before."""
    cdef Block* b = s.block
    cdef uint16_t stored[BLOCK]
    cdef uint32_t j, i, n = 0, n_stacks = t.cells.n_stacks, n_classes = t.cells.n_classes, n_rows = t.cells.n_rows, row
    cdef const Record* r
    cdef const Row* held
    cdef const uint32_t* place
    cdef uintptr_t mask
    for j in range(b.near_way.n):
        i = b.near_way.rows[j]
        b.stored[i] = &b.nothing
        b.place[i] = &b.zero
        b.rows[HELD_ROWS][i] = t.cells.rows
        stored[n] = <uint16_t>i
        n += (b.facts[i] & FACTS_HOLDS) != 0
    for j in range(n * (b.records != NULL)):
        prefetch(b.records + b.what[stored[j]])
    for j in range(n):
        i = stored[j]
        b.stored[i] = t.records + record_of(b, i)
        prefetch(b.stored[i])
    for j in range(n):
        i = stored[j]
        r = b.stored[i]
        mask = -<uintptr_t>((r.stack < n_stacks) & (b.cls[i] < n_classes) & ((r.flags & (RECORD_TRUST | RECORD_SERVICE)) == 0))
        place = t.cells.grid + (<size_t>b.cls[i] * n_stacks + r.stack)
        b.place[i] = <const uint32_t*>((<uintptr_t>place & mask) | (<uintptr_t>&b.zero & ~mask))
        prefetch(b.place[i])
    for j in range(n):
        i = stored[j]
        row = b.place[i][0]
        row = row if row < n_rows else 0                 # another batch has made it: this snapshot does not hold it
        b.rows[HELD_ROWS][i] = t.cells.rows + row
        prefetch(b.rows[HELD_ROWS][i])
    for j in range(n):
        held = b.rows[HELD_ROWS][stored[j]]
        prefetch(t.flats + held.flat)
        prefetch(t.flats + held.flat + held.denies)


cdef inline uint32_t may_grant(const Block* b, const Caller* w, const TablesC* t, const Row* held) noexcept nogil:
    """Whether the policies of a resource may allow something to somebody."""
    cdef const Flat* f = t.flats + held.flat + held.denies
    cdef uint32_t k, n = held.n_flats - held.denies, found
    f = f if n else &b.no_flat                           # there is one more often than not, and no branch is foreseen
    found = (n != 0) & ~is_about_others(w, f)
    for k in range(1, n):
        found |= is_about_others(w, f + k) ^ 1
    return found


cdef inline uint32_t is_joined(const Side* s, const TablesC* t, uint32_t i) noexcept nogil:
    """Whether flats of several rows, one after the other, decide. Without a branch."""
    cdef const Block* b = s.block
    cdef const Row* own = b.rows[OWN_ROWS][i]
    cdef const Row* scp = b.rows[SCP_ROWS][i]
    cdef const Caller* w = b.caller[i]
    cdef uint32_t odd = w.flags & CALLER_CHECKS | t.classes[b.cls[i]].flags & ACT_HARD | b.stored[i].n_constants
    odd |= (own.ways | scp.ways | b.rows[RCP_ROWS][i].ways | b.rows[HELD_ROWS][i].ways) & WAY_NEAR  # flats do not say all
    odd |= odd_limits(own, limits_left(w, own))
    odd |= (scp.n != 0) & ((scp.flags & ROW_PASSES) == 0)
    return odd == 0


cdef inline uint32_t asked_stages(const Side* s, const TablesC* t, uint32_t i, uint32_t here) noexcept nogil:
    """The stages of a row whose flats have to be looked at, and whether its resource is another account's."""
    cdef const Block* b = s.block
    cdef const Row* own = b.rows[OWN_ROWS][i]
    cdef const Row* held = b.rows[HELD_ROWS][i]
    cdef const Caller* w = b.caller[i]
    cdef uint32_t others = may_grant(b, w, t, held) | here ^ 1
    return (                                             # a deny of no resource has no flat
        (b.rows[RCP_ROWS][i].denies != 0) << RCP_ROWS | (b.rows[SCP_ROWS][i].denies != 0) << SCP_ROWS
        | (held.denies != 0) << HELD_ROWS | (others & (own.denies != 0)) << OWN_ROWS
        | others << HELD_ALLOWS | 1 << OWN_ALLOWS
        | limits_left(w, own) << LIMITS_ASKED_AT | (here ^ 1) * FROM_ELSEWHERE
    )


cdef inline void hold_rows(Side* s, const TablesC* t, uint32_t ways_at) noexcept nogil:
    """Send the rows of the near way where what is stored about their resources lets them go; what has rules of its own the long way."""
    cdef Block* b = s.block
    cdef uint16_t* listed = &b.near_way.rows[0]
    cdef uint32_t j, i, n = b.near_way.n, here, far, joined, alone, asked, seen = 0
    cdef const Record* r
    b.near_way.n = 0
    for j in range(n):
        i = listed[j]
        r = b.stored[i]
        if not s.limited & BY_ORGANIZATION:
            b.rows[SCP_ROWS][i] = b.rows[RCP_ROWS][i] = t.cells.rows
        if r.stack != NONE and b.place[i] == &b.zero and not r.flags & (RECORD_TRUST | RECORD_SERVICE):
            b.rows[HELD_ROWS][i] = layer_row(t, r.stack, b.cls[i], b.name[i])   # the grid has no place for it
        here = place_differs(b.caller[i], b.facts[i]) == 0
        far = (r.arn != NONE) | ((r.flags & RECORD_BLOCKS_PUBLIC) != 0) & (here ^ 1)
        far |= (r.stack != NONE) & ((r.flags & (RECORD_TRUST | RECORD_SERVICE)) == 0) & (b.rows[HELD_ROWS][i].n == 0)
        asked = asked_stages(s, t, i, here)
        joined = is_joined(s, t, i) & (far ^ 1)
        seen |= asked & -joined
        alone = joined & ((asked & ~<uint32_t>LIMITS_ASKED) == 1 << OWN_ALLOWS)
        asked ^= alone << OWN_ALLOWS                     # it starts with these
        b.asked[i] = <uint16_t>asked
        b.far_way.rows[b.far_way.n] = <uint16_t>i
        b.far_way.n += far
        b.own_way.rows[b.own_way.n] = <uint16_t>i        # where its flags do not say all
        b.own_way.n += alone & (b.rows[OWN_ROWS][i].ways >> (ways_at | (asked != 0) * REASONS_AT))
        b.joined_way.rows[b.joined_way.n] = <uint16_t>i
        b.joined_way.n += joined ^ alone
        listed[b.near_way.n] = <uint16_t>i
        b.near_way.n += (far | joined) ^ 1
    b.has_more |= seen >> BOUND_ALLOWS != 0
