"""The keys that plans read."""
from libc.stdint cimport uint32_t

from fastiam.kernel.model.plan cimport Plan


cdef class PlanReads(DenyFilterBuilder):
    cdef dict read_ids         # number of each of `read_sets`, by its keys as bytes

    cdef uint32_t _intern_reads(self) except? 0xFFFFFFFE
    cdef int _store_reads(self, const Plan* plan) except -1
    cdef int _read_atom(self, uint32_t id) except -1
    cdef int _read_variables(self, uint32_t text, uint32_t size) except -1
    cdef int _read_key(self, uint32_t key) except -1
