"""Deny filters of plans."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastiam.kernel.model.plan cimport Plan


cdef class DenyFilterBuilder(MatchPrograms):
    cdef uint64_t _filter_of(self, const Plan* plan) except? 0xFFFFFFFFFFFFFFFE
    cdef int _store_filter(self, uint64_t filter_bits) except -1
    cdef bint _is_prunable(self, uint32_t conditions)
    cdef uint8_t _filter_bit(self, uint32_t conditions, uint32_t most) except? 0xFE
