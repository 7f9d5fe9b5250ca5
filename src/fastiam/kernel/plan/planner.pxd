"""Plans, and the names and classes of actions."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastiam.kernel.model.plan cimport Plan, PlanKey
from fastiam.kernel.model.policies cimport StatementBody, StatementEntry, LayerLevel
from fastiam.kernel.storage.vectors cimport Vector


cdef class Planner(PlanReads):
    cdef uint32_t n_cells, n_hashed
    cdef uint32_t stamp
    cdef dict class_ids
    cdef object match_actions
    cdef list pattern_texts
    cdef Py_ssize_t n_matched  # action patterns that classes know

    cdef uint32_t find_action(self, bytes action, uint32_t* name) except? 0xFFFFFFFE
    cdef int _cells(self, uint64_t capacity) except -1
    cdef int _enter_cell(self, uint32_t policy_set, uint32_t action, uint32_t number) except -1
    cdef int _enter_hashed(self, uint64_t key, uint64_t number) except -1
    cdef int _stamp(self, uint32_t action_class) except -1
    cdef int _stamp_name(self, uint32_t name) except -1
    cdef int _action_truth(self, const StatementBody* b)
    cdef int _collect(self, LayerLevel s) except -1
    cdef int _close_run(self, Vector* scratch, uint32_t first, uint8_t layer, uint8_t level, bint whole) except -1
    cdef int build_plans(self, const PlanKey* keys, uint32_t n) except -1
    cdef void _prefetch_inputs(self, const PlanKey* keys, uint32_t n)
    cdef int _build_plan(self, const PlanKey* plan) except -1
    cdef uint32_t _intern_plan(self, bint whole) except? 0xFFFFFFFE
    cdef int _grow_row_slots(self) except -1
    cdef const StatementEntry* _scratch_of(self, uint32_t i)
    cdef bint _is_plan(self, uint32_t number)
    cdef int _append_plan(self, bint whole) except -1
    cdef Plan _summarize_plan(self, uint32_t first, uint32_t n)
    cdef void _find_paths(self, Plan* plan)
    cdef bint _may_mean_services(self, const Plan* plan)
