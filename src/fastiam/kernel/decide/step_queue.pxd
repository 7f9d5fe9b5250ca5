"""Step queues: the (row, op) pairs of a block that wait for the same step. Header only."""
from libc.stdint cimport uint32_t, uint64_t

from fastiam.kernel.base.invariants cimport narrow32
from fastiam.kernel.decide.blocks cimport Block
from fastiam.kernel.base.text cimport prefetch
from fastiam.kernel.model.tables cimport *


cdef inline void enqueue(Block* b, const TablesC* t, uint32_t i, uint32_t at, uint32_t step) noexcept nogil:
    """Enqueue the step that follows an op of row `i`. STEP_CONDITION may name the condition as well (`condition_batch`). The step may enter
    the queue that is being drained, behind the items that were read."""
    cdef uint32_t after = at + (step == STEP_LITERALS)
    cdef const MatchOp* f = t.match_ops + after
    cdef uint64_t** end = &b.queue_ends[step | (-<uint32_t>(step == STEP_LITERALS) & f.first)]
    end[0][0] = <uint64_t>after << 32 | i
    end[0] += 1
    prefetch(t.pool + f.text)
    prefetch(t.pool + f.text + f.size)


cdef inline uint32_t queue_length(const Block* b, uint32_t step) noexcept nogil:
    """How many rows wait in a queue."""
    return narrow32(b.queue_ends[step] - b.step_queues[step].items)


cdef inline uint32_t drain_queue(Block* b, uint32_t step) noexcept nogil:
    """The same; it is empty then."""
    cdef uint32_t n = queue_length(b, step)
    b.queue_ends[step] = b.step_queues[step].items
    return n


cdef inline uint32_t select_step(const Block* b, uint32_t i, uint32_t at, uint32_t matches, uint32_t step) noexcept nogil:
    """This step, if an op matches as far as that is known, else the step after it."""
    cdef uint32_t missed = at + 1 == b.range_end[i]      # STEP_LITERALS or STEP_NO_MATCH
    return missed ^ ((missed ^ step) & -matches)


cdef inline void enqueue_first(Block* b, const TablesC* t, uint32_t i, uint32_t first_op, uint32_t n) noexcept nogil:
    """Begin with some ops of a row, at least one, as if the one before them had not applied."""
    b.range_end[i] = first_op + n
    enqueue(b, t, i, first_op - 1, STEP_LITERALS)
