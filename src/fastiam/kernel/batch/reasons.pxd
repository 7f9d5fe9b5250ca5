"""Result columns that give the reasons of decisions."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from fastiam.kernel.decide.blocks cimport OutputColumns
from fastiam.kernel.base.code_table cimport CodeTable
from fastiam.kernel.model.tables cimport TablesC


cdef class _Reasons:
    cdef object layer, reason, statement                 # of all rows
    cdef object deciding_code                            # or None: nothing is unknown
    cdef uint8_t[::1] c_layer
    cdef uint8_t[::1] c_reason
    cdef int32_t[::1] c_statement
    cdef int32_t[::1] c_deciding_code
    cdef int64_t first, last                             # the chunk at hand
    cdef object entry                                    # of its rows, the reported entries
    cdef uint32_t[::1] c_entry
    cdef object deciding_list                            # of a row that depends: its list of keys, as LIST_BITS says
    cdef int64_t[::1] c_deciding_list
    cdef CodeTable codes                                 # of the statements of this generation of the tables
    cdef int32_t* entry_codes                            # of its entries, -1: none yet
    cdef uint32_t n_coded
    cdef int32_t first_statement                         # what code 0 is among all that are reported
    cdef list reported                                   # of each generation that reported any, as `StatementRefs` takes it
    cdef list deciding_keys                              # distinct sets of keys
    cdef dict deciding_codes, deciding_sets              # list of numbers, and set of names, -> place in `deciding_keys`

    cdef int begin(self, int64_t first, int64_t last) except -1
    cdef void point(self, OutputColumns* answers)
    cdef int keep(self, const TablesC* t, _ThreadStates thread_states, list key_names) except -1
    cdef int _keep_statements(self, const TablesC* t) except -1
    cdef int _reserve_codes(self, uint32_t n_entries) except -1
    cdef int _store_deciding_keys(self, _ThreadStates thread_states, list key_names) except -1
    cdef int number_statements(self, object occurrences) except -1
    cdef void _clear_codes(self)
