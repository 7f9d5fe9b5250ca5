"""`Tables`, the owner of the compiled tables."""
from libc.stdint cimport uint32_t, uint64_t

from fastiam.kernel.model.patterns cimport Pattern
from fastiam.kernel.model.plan cimport PlanKey
from fastiam.kernel.storage.vectors cimport Vector, Vectors


cdef class Planner(Vectors):
    cdef uint32_t n_cells, n_hashed
    cdef uint32_t stamp
    cdef dict class_ids        # number of each of `classes`, by its patterns and flags
    cdef dict read_ids         # number of each of `read_sets`, by its keys as bytes
    cdef object match_actions
    cdef list pattern_texts
    cdef Py_ssize_t n_matched  # action patterns that classes know
    cdef uint32_t count_mask   # of `term_counts`, which may have more room

    cdef uint32_t find_action(self, bytes action, uint32_t* name) except? 0xFFFFFFFE
    cdef int _cells(self, uint64_t capacity) except -1
    cdef int build_plans(self, const PlanKey* keys, uint32_t n) except -1


cdef class Tables(Planner):
    cdef Py_ssize_t n_patterns                           # action patterns that `drop` keeps
    cdef public uint64_t generation

    cdef uint32_t _pattern(self, const Pattern* p) except? 0xFFFFFFFE
    cdef uint32_t _symbol(self, text) except? 0xFFFFFFFE
    cdef int _check_key(self, uint32_t key) except -1
    cdef uint32_t _constants(self, list constants, bint own) except? 0xFFFFFFFE
    cdef uint32_t _shared_constants(self, list constants) except? 0xFFFFFFFE
    cdef uint32_t _range(self, Vector* ranges, Vector* items, list numbers) except? 0xFFFFFFFE
    cdef int _mark(self, Vector* v) except -1
    cdef int _index_policy_sets(self, uint64_t capacity) except -1
    cdef uint32_t _policy_set_hash(self, uint32_t policy_set)
    cdef bint _equal_policy_sets(self, uint32_t a, uint32_t b)
