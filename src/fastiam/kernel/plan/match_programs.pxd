"""Match programs of plans."""
from libc.stdint cimport uint8_t, uint32_t

from fastiam.kernel.model.match_ops cimport MatchOp
from fastiam.kernel.model.patterns cimport Pattern
from fastiam.kernel.model.plan cimport Plan
from fastiam.kernel.model.policies cimport StatementEntry, StatementRun


cdef class MatchPrograms(GroupFilters):
    cdef int _build_program(self, Plan* plan) except -1
    cdef bint _variable_op(self, MatchOp* f, const Pattern* p, uint32_t head)
    cdef uint32_t _append_ops(self, uint32_t entry, MatchOp* match_ops, uint32_t n) except? 0xFFFFFFFE
    cdef uint32_t _count_probes(self, const MatchOp* match_ops, uint32_t first, uint32_t n)
    cdef uint32_t _run_op(self, const StatementRun* run, MatchOp* match_ops, uint32_t n) except? 0xFFFFFFFE
    cdef uint32_t _n_unindexed(self, const StatementRun* run)
    cdef bint _is_grant(self, const StatementRun* run)
    cdef MatchOp _statement_op(self, uint32_t entry)
    cdef bint _has_too_many(self, uint32_t conditions)
    cdef bint _may_leave_services_out(self, const StatementEntry* e)
    cdef uint32_t _accounts_of(self, const StatementEntry* e, uint8_t* several)
    cdef uint8_t _principal_hint(self, const StatementEntry* e)
    cdef bint _levels(self, Plan* plan, StatementRun** limits)
    cdef uint32_t _append_limit_ops(self, Plan* plan, StatementRun** limits, MatchOp* match_ops) except? 0xFFFFFFFE
    cdef uint32_t _append_run_ops(self, StatementRun* run, MatchOp* match_ops, uint32_t n, uint32_t most) except? 0xFFFFFFFE
    cdef bint _is_about_all(self, const StatementEntry* e)
    cdef int _pattern_op(self, MatchOp* f, uint32_t pattern) except -1
    cdef int _ends_op(self, MatchOp* f, const Pattern* p) except -1
    cdef int _reserve_over_read(self, const Pattern* p) except -1
