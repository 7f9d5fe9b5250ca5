"""Passes over columns of requests, without the GIL."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.decide.blocks cimport OutputColumns, InputRange, ThreadState
from fastiam.kernel.plan.tables cimport Tables
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.columns.column cimport Column
from fastiam.kernel.columns.read cimport TextColumn
from fastiam.kernel.batch.misses cimport RetryKey, Misses
from fastiam.kernel.plan.names cimport Names
from fastiam.kernel.model.tables cimport TablesC


cdef enum:
    MAX_RENUMBERED = 65536     # values of a dictionary that are numbered again when names were entered


cdef class _BatchColumns:
    cdef Core core
    cdef Tables tables
    cdef TextColumn principals, actions, resources, owners
    cdef dict context                                    # name -> column
    cdef list keys                                       # number of each, in the snapshot
    cdef list key_names                                  # by number
    cdef Names session_names                             # None: there are none
    cdef dict sessions, broken_sessions                  # those that rows can name
    cdef int64_t session_bytes                           # of the cache, that the sessions take
    cdef TablesC t
    cdef int64_t n, now, first, last                      # all rows; those of the chunk at hand
    cdef bint reasons, entered, is_plain
    cdef uint64_t generation
    cdef _ThreadStates thread_states
    cdef _Reasons reason_columns                         # None: reasons are not requested
    cdef object outcome, assumed
    cdef uint8_t[::1] c_outcome
    cdef uint8_t[::1] c_assumed
    cdef dict principal_codes, action_codes              # dictionary -> array of numbers
    cdef _Facts facts
    cdef object occurrences
    cdef _Declared declared                              # None: no key is unknown
    cdef dict missing_keys                                     # key -> rows that read it where no column supplied it

    cdef dict _named(self, dict sessions)
    cdef ThreadState* _thread_state(self, int number) except NULL
    cdef void _point_answers(self, OutputColumns* answers)
    cdef int _prepare(self) except -1
    cdef int _name_sessions(self) except -1
    cdef uint32_t _session_number(self, str name, object session) except? 0xFFFFFFFD
    cdef bint _is_plain(self)
    cdef object _codes(self, ThreadState* thread, const Column* chunk, dict known, bint of_actions)
    cdef int _point_codes(self, ThreadState* s, InputRange* rows) except -1
    cdef int64_t _set_pointers(self, int thread, int64_t row, int64_t last, Call* c, InputRange* rows) except -1
    cdef str _text(self, TextColumn column, int64_t row, str name)
    cdef object _value(self, TextColumn column, int64_t row)
    cdef int keep(self) except -1


cdef class _Passes(_BatchColumns):
    cdef void _start(self, Call* c, ThreadState* s)
    cdef void _clear_pointers(self, int thread, Call* c)
    cdef int64_t _find_misses(self, int64_t row, bint names, Misses* missing) except -1
    cdef int _retry_rows(self, RetryKey* tried, int n) except -1
    cdef int _retry_row(self, RetryKey* tried, bint is_checked) except -1
    cdef uint32_t _provider(self, Call* c, const InputRange* rows) except? 0xFFFFFFFD
