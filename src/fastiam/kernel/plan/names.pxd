"""Names of one engine, in addition to the tables that it may share with others."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastiam.kernel.model.principals cimport Principal
from fastiam.kernel.model.string_table cimport PoolText
from fastiam.kernel.model.tables cimport TablesC
from fastiam.kernel.plan.tables cimport Tables
from fastiam.kernel.storage.vectors cimport NameTable, Vector


cdef enum:
    N_TABLES = 6
    N_LISTS = 2 + 2 * N_TABLES  # vectors that are cut back when the tables are dropped
    MAX_TEMPLATE_KEYS = 2


cdef struct TemplateKey:            # a constant that differs among principals of one template
    uint32_t key
    PoolText before            # goes before what follows the last slash of the name; its size is NONE where the whole name counts
    uint8_t certainty


# PERF: nothing that the collector follows, for there may be one for each role
cdef class _Template:
    cdef uint32_t base, n_template_keys
    cdef bytes role
    cdef TemplateKey template_keys[MAX_TEMPLATE_KEYS]


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
    cdef dict templates            # how names begin -> the template of those that do, as `add_template` got it
    cdef uint64_t template_bytes

    cdef NameTable* _table(self, int i)
    cdef Vector* _list(self, int i)
    cdef int _cut(self) except -1
    cdef int sync(self) except -1
    cdef int enter(self, TablesC* snapshot) except -1
    cdef uint32_t _entry_of(self, const NameTable* names, bytes text) except? 0xFFFFFFFE
    cdef int _remove_name(self, NameTable* names, bytes text) except -1
    cdef int _append_name(self, NameTable* names, bytes text, uint32_t value) except -1
    cpdef bint enter_from_template(self, bytes name) except -1
    cdef int _enter_from_template(self, _Template templates, bytes name, bytes last, bytes role) except -1
    cdef uint32_t _symbol_at(self, PoolText text, bytes name) except? 0xFFFFFFFE
    cdef int _fill_template_keys(self, Principal* p, _Template templates, PoolText name, bytes last) except -1
    cdef PoolText _joined(self, PoolText before, bytes last) except *
    cdef int _copy(self, Vector* to, const Vector* source, uint32_t n) except -1
    cdef int _copy_slots(self, NameTable* to, const NameTable* source) except -1


cdef inline const TablesC* view(Names names) except NULL:
    """The tables as they are now. What it points to holds until Python code runs."""
    if names.seen != names.tables.version or names.generation != names.tables.generation:
        names.sync()
    return &names.t
