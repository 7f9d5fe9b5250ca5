"""Match programs of plans."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastiam.kernel.model.match_ops cimport Flat
from fastiam.kernel.model.patterns cimport Pattern
from fastiam.kernel.model.plan cimport Row
from fastiam.kernel.model.policies cimport Entry, Run
from fastiam.kernel.plan.index_builder cimport Indexes


cdef class Flats(Indexes):
    cdef int _flatten(self, Row* row) except -1
    cdef bint _flat_slot(self, Flat* f, const Pattern* p, uint32_t head)
    cdef uint32_t _flats_of(self, uint32_t entry, Flat* flats, uint32_t n) except? 0xFFFFFFFE
    cdef uint32_t _looks(self, const Flat* flats, uint32_t first, uint32_t n)
    cdef uint32_t _run_flat(self, const Run* run, Flat* flats, uint32_t n) except? 0xFFFFFFFE
    cdef uint32_t _unsought(self, const Run* run)
    cdef bint _is_grant(self, const Run* run)
    cdef Flat _statement_flat(self, uint32_t entry)
    cdef bint _has_too_many(self, uint32_t conditions)
    cdef bint _may_leave_services_out(self, const Entry* e)
    cdef uint32_t _accounts_of(self, const Entry* e, uint8_t* several)
    cdef uint8_t _whom(self, const Entry* e)
    cdef bint _levels(self, Row* row, Run** limits)
    cdef uint32_t _limit_flats(self, Row* row, Run** limits, Flat* flats) except? 0xFFFFFFFE
    cdef uint32_t _run_flats(self, Run* run, Flat* flats, uint32_t n, uint32_t most) except? 0xFFFFFFFE
    cdef uint32_t _alike(self, const Flat* flats, uint32_t n, uint32_t least)
    cdef bint _blurs(self, const Flat* flats, uint32_t n, uint32_t least, uint32_t field)
    cdef uint16_t _mark_of(self, const Flat* f, uint32_t least)
    cdef uint32_t _group(self, Flat* flats, uint32_t first, uint32_t n) except? 0xFFFFFFFE
    cdef const uint8_t* _field_of(self, const Flat* f)
    cdef uint32_t _field_bytes(self, const Flat* f)
    cdef int _mark_group(self, Flat* group, uint32_t n, uint32_t least) except -1
    cdef bint _is_about_all(self, const Entry* e)
    cdef int _flat_pattern(self, Flat* f, uint32_t pattern) except -1
    cdef int _flat_ends(self, Flat* f, const Pattern* p) except -1
    cdef int _room_beyond(self, const Pattern* p) except -1
