"""State of the threads of a batch, and the part of it that the next batch uses."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.decide.blocks cimport Seen, Side
from fastiam.kernel.model.call cimport N_REGIONS, Caller, ContextColumn, Kept, Never, Region, Scratch
from fastiam.kernel.model.string_table cimport PoolText
from fastiam.kernel.model.tables cimport TablesC


cdef enum:
    MANY = 512                 # rows: for fewer, keeping truths costs more than it spares


cdef class _Callers:
    cdef void* memory
    cdef Caller* at                                      # from a new cache line on: two of them take one
    cdef uint32_t* kin                                   # as `Scratch` has it
    cdef PoolText* fixed                                 # as `Scratch` has them
    cdef uint64_t* agreed                                # the same
    cdef uint64_t agreed_epoch                           # of the range of rows at hand
    cdef int32_t* cell_of                                # the same
    cdef uint32_t n_fixed
    cdef list cells                                      # `cell_of`
    cdef Never* nevers                                   # as `Scratch` has them
    cdef uint64_t* never_owned                           # the same
    cdef uint32_t n_owned
    cdef uint32_t n
    cdef uint64_t generation
    cdef list keys
    cdef uint8_t limited
    cdef Seen* seen
    cdef uint64_t* told                                  # truths, as `Scratch` has them
    cdef uint32_t n_told
    cdef Region regions[N_REGIONS]
    cdef uint64_t never_regions[N_REGIONS + 1]           # as `Scratch` has them
    cdef uint32_t told_epoch

    cdef int make_room(self, uint64_t n_rows, uint64_t n_records) except -1
    cdef int _grow(self, uint32_t room) except -1
    cdef int fit_crowd(self, Scratch* s) except -1
    cdef bint fits(self, uint32_t n_principals, uint64_t generation, list keys, list cells)


cdef class _Sides:
    cdef Side of[64]
    cdef int n
    cdef int n_columns                                   # of context, that there is room for
    cdef list callers                                    # of each side, `_Callers`

    cdef Side* side(self, int number) except NULL
    cdef int fit(self, Side* side, const TablesC* t) except -1
    cdef int fit_sieves(self, Side* side, const TablesC* t, bint are_forgotten) except -1
    cdef void know_varied(self, Side* side, const TablesC* t)
    cdef void forget_agreed(self, Side* side)
    cdef int _fit_block(self, Side* side, const TablesC* t, uint32_t conditions, uint64_t bit) except -1
    cdef int fit_endpoints(self, ContextColumn* column, bint are_forgotten) except -1
    cdef int _fit_column(self, ContextColumn* column, Kept* kept, uint64_t bit) except -1
    cdef int know_callers(
        self, Side* side, const TablesC* t, uint64_t generation, list keys, int64_t n_rows, int64_t n_session_names, list left
    ) except -1
    cdef void give_back(self, list left)
    cdef int take_missing_keys(self, uint32_t n_keys, list names, dict missing_keys) except -1
    cdef void forget_rows(self)
    cdef list take_slow(self)


cdef int reserve_slow(Side* side, int64_t n) except -1
