"""Step queues: the (row, op) pairs of a block that wait for the same step. Header only."""
from libc.stdint cimport uint32_t, uint64_t

from fastiam.kernel.base.invariants cimport narrow32
from fastiam.kernel.decide.blocks cimport Block
from fastiam.kernel.base.text cimport prefetch
from fastiam.kernel.model.tables cimport *


cdef inline void put(Block* b, const TablesC* t, uint32_t i, uint32_t at, uint32_t turn) noexcept nogil:
    """Enqueue the step that follows an op of row `i`. TURN_ASKS may name the condition as well (`condition_batch`). The step may enter
    the queue that is being drained, behind the items that were read."""
    cdef uint32_t after = at + (turn == TURN_NEXT)
    cdef const Flat* f = t.flats + after
    cdef uint64_t** end = &b.ends[turn | (-<uint32_t>(turn == TURN_NEXT) & f.first)]
    end[0][0] = <uint64_t>after << 32 | i
    end[0] += 1
    prefetch(t.pool + f.text)
    prefetch(t.pool + f.text + f.size)


cdef inline uint32_t n_held(const Block* b, uint32_t turn) noexcept nogil:
    """How many rows a wave holds."""
    return narrow32(b.ends[turn] - b.waves[turn].flats)


cdef inline uint32_t take_wave(Block* b, uint32_t turn) noexcept nogil:
    """The same; it is empty then."""
    cdef uint32_t n = n_held(b, turn)
    b.ends[turn] = b.waves[turn].flats
    return n


cdef inline uint32_t either(const Block* b, uint32_t i, uint32_t at, uint32_t stands, uint32_t turn) noexcept nogil:
    """This turn, if a flat stands as far as that is known, else what comes if it does not."""
    cdef uint32_t missed = at + 1 == b.stop[i]           # TURN_NEXT or TURN_OVER
    return missed ^ ((missed ^ turn) & -stands)


cdef inline void start(Block* b, const TablesC* t, uint32_t i, uint32_t flat, uint32_t n) noexcept nogil:
    """Begin with some flats of a row, of which there are any, as if the one before them had not applied."""
    b.stop[i] = flat + n
    put(b, t, i, flat - 1, TURN_NEXT)
