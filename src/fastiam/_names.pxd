"""What one engine knows by name, beside the tables that it may share with others."""
from libc.stdint cimport uint32_t, uint64_t

from fastiam._build cimport Tables
from fastiam._types cimport TablesC
from fastiam._vectors cimport NameTable, Vector


cdef enum:
    N_TABLES = 6
    N_LISTS = 2 + 2 * N_TABLES  # vectors that are cut back when the tables are dropped


cdef class Names:
    cdef readonly Tables tables
    cdef TablesC t
    cdef uint64_t seen         # the version of the tables that `t` was written at
    cdef uint64_t generation
    cdef bint is_frozen
    cdef uint64_t frozen_bytes
    cdef bint has_endpoints, denies_unknown_owner
    cdef Vector accounts, endpoints
    cdef NameTable principals, records, facts, account_ids, endpoint_ids, services

    cdef NameTable* _table(self, int i)
    cdef Vector* _list(self, int i)
    cdef int _cut(self) except -1
    cdef int sync(self) except -1
    cdef int enter(self, TablesC* snapshot) except -1
    cdef int _give(self, NameTable* names, bytes text, uint32_t value) except -1
    cdef int _copy(self, Vector* to, const Vector* source, uint32_t n) except -1
    cdef int _copy_slots(self, NameTable* to, const NameTable* source) except -1


cdef inline const TablesC* view(Names names) except NULL:
    """The tables as they are now. What it points to holds until Python code runs."""
    if names.seen != names.tables.version or names.generation != names.tables.generation:
        names.sync()
    return &names.t
