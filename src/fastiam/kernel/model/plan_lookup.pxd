"""Lookups of plans in the tables, by policy set and action class. Header only."""
from libc.stdint cimport uint32_t, uint64_t

from fastiam.kernel.base.text cimport mix
from fastiam.kernel.model.plan cimport Plan
from fastiam.kernel.model.tables cimport TablesC


cdef inline uint64_t cell_key(uint32_t policy_set, uint32_t action) noexcept nogil:
    return ((<uint64_t>policy_set << 32) | action) + 1


cdef inline const uint32_t* grid_cell(const TablesC* t, uint32_t policy_set, uint32_t action) noexcept nogil:
    """Where the grid holds the number of a plan; NULL where it has no place for it."""
    if action >= t.cells.n_classes or policy_set >= t.cells.n_policy_sets:
        return NULL
    return &t.cells.grid[<size_t>action * t.cells.n_policy_sets + policy_set]


cdef inline const Plan* plan_at(const TablesC* t, uint64_t number) noexcept nogil:
    """A plan by its number; the first one, whose `n` is 0, where it is beyond this snapshot of the tables."""
    return &t.cells.plans[number if number < t.cells.n_plans else 0]


cdef inline uint64_t find_plan_by_key(const TablesC* t, uint64_t key) noexcept nogil:
    """The number of a plan that the grid has no place for, by the key of its cell; 0 where it is not there."""
    cdef uint32_t at = <uint32_t>mix(key) & t.cells.mask
    while t.cells.cells[at].key != 0:
        if t.cells.cells[at].key == key:
            return t.cells.cells[at].plan
        at = (at + 1) & t.cells.mask
    return 0


cdef inline const Plan* find_plan(const TablesC* t, uint32_t policy_set, uint32_t action) noexcept nogil:
    """The plan of a cell."""
    cdef const uint32_t* cell = grid_cell(t, policy_set, action)
    return plan_at(t, find_plan_by_key(t, cell_key(policy_set, action)) if cell == NULL else cell[0])
