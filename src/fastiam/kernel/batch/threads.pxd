"""State of the threads of a batch, and the part of it that the next batch uses."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.decide.blocks cimport LookupCaches, ThreadState
from fastiam.kernel.model.call cimport N_REGIONS, PrincipalState, ContextColumn, AtomMemo, KnownFalse, Region, Scratch
from fastiam.kernel.model.string_table cimport PoolText
from fastiam.kernel.model.tables cimport TablesC


cdef enum:
    MANY = 512                 # rows: for fewer, keeping truths costs more than it spares


cdef class _PrincipalStates:
    cdef void* memory
    cdef PrincipalState* at                              # from a new cache line on: two of them take one
    cdef uint32_t* template_ids                          # as `Scratch` has it
    cdef PoolText* fixed                                 # as `Scratch` has them
    cdef uint64_t* agreed                                # the same
    cdef uint64_t agreed_epoch                           # of the range of rows at hand
    cdef int32_t* cell_of                                # the same
    cdef uint32_t n_fixed
    cdef list cells                                      # `cell_of`
    cdef KnownFalse* known_false_table                   # as `Scratch` has them
    cdef uint64_t* known_false_by_owner                  # the same
    cdef uint32_t n_owned
    cdef uint32_t n
    cdef uint64_t generation
    cdef list keys
    cdef uint8_t limited
    cdef LookupCaches* seen
    cdef uint64_t* truth_memo                            # truths, as `Scratch` has them
    cdef uint32_t n_truth_memo
    cdef Region regions[N_REGIONS]
    cdef uint64_t known_false_by_region[N_REGIONS + 1]   # as `Scratch` has them
    cdef uint32_t memo_epoch

    cdef int grow_capacity(self, uint64_t n_rows, uint64_t n_records) except -1
    cdef int _grow(self, uint32_t room) except -1
    cdef int grow_memo(self, Scratch* s) except -1
    cdef bint fits(self, uint32_t n_principals, uint64_t generation, list keys, list cells)


cdef class _ThreadStates:
    cdef ThreadState of[64]
    cdef int n
    cdef int n_columns                                   # of context, that there is room for
    cdef list principal_states                           # of each side, `_PrincipalStates`

    cdef ThreadState* thread_state(self, int number) except NULL
    cdef int fit(self, ThreadState* thread_state, const TablesC* t) except -1
    cdef int reserve_filters(self, ThreadState* thread_state, const TablesC* t, bint must_evict) except -1
    cdef void find_template_bits(self, ThreadState* thread_state, const TablesC* t)
    cdef void clear_agreed(self, ThreadState* thread_state)
    cdef int _fit_filter_bit(self, ThreadState* thread_state, const TablesC* t, uint32_t conditions, uint64_t bit) except -1
    cdef int fit_endpoints(self, ContextColumn* column, bint must_evict) except -1
    cdef int _fit_column(self, ContextColumn* column, AtomMemo* atom_memo, uint64_t bit) except -1
    cdef int load_principal_states(
        self, ThreadState* thread_state, const TablesC* t, uint64_t generation, list keys, int64_t n_rows, int64_t n_session_names, list left
    ) except -1
    cdef void give_back(self, list left)
    cdef int take_missing_keys(self, uint32_t n_keys, list names, dict missing_keys) except -1
    cdef list take_deferred(self)


cdef int reserve_deferred(ThreadState* thread_state, int64_t n) except -1
