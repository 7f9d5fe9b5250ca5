"""Deny filters of plans."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastiam.kernel.model.match_ops cimport Flat
from fastiam.kernel.model.plan cimport Row
from fastiam.kernel.plan.match_programs cimport Flats


cdef class Sieves(Flats):
    cdef uint64_t _sieve_of(self, const Row* row) except? 0xFFFFFFFFFFFFFFFE
    cdef bint _reads_what_is_supplied(self, const Flat* f)
    cdef bint _needs_no_caller(self, uint32_t text, uint32_t size)
    cdef int _keep_sieve(self, uint64_t sieve) except -1
    cdef bint _may_tell(self, uint32_t conditions)
    cdef uint8_t _sieve_bit(self, uint32_t conditions, uint32_t most) except? 0xFE
