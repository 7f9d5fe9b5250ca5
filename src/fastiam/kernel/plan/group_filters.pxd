"""Groups of match ops."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastiam.kernel.model.match_ops cimport MatchOp


cdef class GroupFilters(Indexes):
    cdef uint32_t _n_equal_fingerprints(self, const MatchOp* match_ops, uint32_t n, uint32_t least, uint32_t other)
    cdef bint _weakens_fingerprint(self, const MatchOp* match_ops, uint32_t n, uint32_t least, uint32_t field)
    cdef uint32_t _distinguishing_bytes(self, const MatchOp* match_ops, uint32_t n, uint32_t least)
    cdef bint _differ_before(self, const MatchOp* match_ops, uint32_t n, uint32_t size)
    cdef uint16_t _fingerprint_of(self, const MatchOp* f, uint32_t least, uint32_t other)
    cdef uint32_t _group(self, MatchOp* match_ops, uint32_t first, uint32_t n) except? 0xFFFFFFFE
    cdef const uint8_t* _field_of(self, const MatchOp* f)
    cdef uint32_t _field_bytes(self, const MatchOp* f)
    cdef int _write_group(self, MatchOp* group, uint32_t n, uint32_t least, uint32_t other) except -1
