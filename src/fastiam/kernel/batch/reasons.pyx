"""Result columns that give the reasons of decisions: layers, reported statements, reason codes and deciding keys.

A pass writes ids of entries and lists of keys. They are valid until run-time entries are evicted, so each chunk resolves its own.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from fastiam.kernel.base.code_table cimport CodeTable, code_of, free_codes
from fastiam.kernel.decide.blocks cimport OutputColumns, LIST_BITS
from fastiam.kernel.model.ids cimport NONE
from fastiam.kernel.model.tables cimport TablesC

import numpy as np


cdef class _Reasons:
    """Those of `n` rows; with `depends`, some keys are unknown."""

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

    def __cinit__(self, int64_t n, bint depends):
        self.layer = np.empty(n, np.uint8)               # every row of these is written: decided, or put on a slow list
        self.c_layer = self.layer
        self.reason = np.empty(n, np.uint8)
        self.c_reason = self.reason
        self.statement = np.empty(n, np.int32)
        self.c_statement = self.statement
        if depends:
            self.deciding_list = np.full(n, -1, np.int64)
            self.c_deciding_list = self.deciding_list
            self.deciding_code = np.full(n, -1, np.int32)
            self.c_deciding_code = self.deciding_code
        self.reported, self.deciding_keys = [], []
        self.deciding_codes, self.deciding_sets = {}, {}

    def __dealloc__(self):
        self._clear_codes()

    cdef int begin(self, int64_t first, int64_t last) except -1:
        """Take up the next chunk."""
        self.first, self.last = first, last
        if self.entry is None or len(self.entry) < last - first:
            self.entry = np.empty(last - first, np.uint32)
            self.c_entry = self.entry
        self.entry.fill(<uint32_t>NONE)
        self.statement[first:last] = -1
        return 0

    cdef void point(self, OutputColumns* answers):
        """Say where a pass writes, by the number of the row."""
        answers.layer = &self.c_layer[0]
        answers.reason = &self.c_reason[0]
        answers.entry = &self.c_entry[0] - self.first
        if self.deciding_list is not None:
            answers.deciding_list = &self.c_deciding_list[0]

    cdef int keep(self, const TablesC* t, _ThreadStates thread_states, list key_names) except -1:
        """Turn the entries and keys of the chunk into what they stand for, while their numbers still mean what they meant."""
        self._keep_statements(t)
        if self.deciding_list is not None:
            self._store_deciding_keys(thread_states, key_names)
        return 0

    cdef int _keep_statements(self, const TablesC* t) except -1:
        """Codes of the reported statements; those of an entry are found once."""
        cdef int32_t code = 0
        cdef int32_t* known
        cdef int64_t i
        cdef uint32_t entry
        cdef uint64_t key
        if self.n_coded < t.n_entries:
            self._reserve_codes(t.n_entries)
        known = self.entry_codes
        with nogil:
            for i in range(self.last - self.first):
                entry = self.c_entry[i]
                if entry == NONE:
                    continue
                code = known[entry]
                if code < 0:
                    key = (<uint64_t>t.entries[entry].occurrence << 8) | t.entries[entry].level
                    code = code_of(&self.codes, (key << 8) | t.entries[entry].layer)
                    if code < 0:
                        break
                    known[entry] = code
                self.c_statement[self.first + i] = self.first_statement + code
                self.c_entry[i] = NONE
        if code < 0:
            raise MemoryError()
        return 0

    cdef int _reserve_codes(self, uint32_t n_entries) except -1:
        cdef uint32_t room = n_entries + (n_entries >> 2) + 1024
        cdef int32_t* grown = <int32_t*>realloc(self.entry_codes, <size_t>room * 4)
        if grown == NULL:
            raise MemoryError()
        memset(grown + self.n_coded, 0xFF, <size_t>(room - self.n_coded) * 4)
        self.entry_codes = grown
        self.n_coded = room
        return 0

    cdef int _store_deciding_keys(self, _ThreadStates thread_states, list key_names) except -1:
        cdef int64_t row, at, before = -1
        cdef int32_t code = -1
        cdef int i
        cdef const uint32_t* listed
        for row in range(self.first, self.last):
            at = self.c_deciding_list[row]
            if at < 0:
                continue
            if at != before:
                before = at
                listed = thread_states.of[at >> LIST_BITS].deciding_keys + (at & (((<int64_t>1) << LIST_BITS) - 1))
                key = (<const char*>(listed + 1))[:listed[0] * 4]
                found = self.deciding_codes.get(key)
                if found is None:
                    found = self.deciding_codes[key] = self._deciding_code(np.frombuffer(key, np.uint32).tolist(), key_names)
                code = found
            self.c_deciding_code[row] = code
            self.c_deciding_list[row] = -1
        for i in range(thread_states.n):
            thread_states.of[i].n_deciding_keys = 0
            thread_states.of[i].last_deciding_keys = 0
        return 0

    def _deciding_code(self, list numbers, list key_names):
        """The place of a set of keys in `add_deciding_key`."""
        names = tuple(sorted([key_names[number] for number in numbers]))
        found = self.deciding_sets.get(names)
        if found is None:
            found = self.deciding_sets[names] = len(self.deciding_keys)
            self.deciding_keys.append(names)
        return found

    cdef int number_statements(self, object occurrences) except -1:
        """The same numbers mean other things from now on: keep what the codes of statements stand for, and begin again."""
        cdef uint64_t[::1] keys
        if self.codes.n:
            found = np.empty(self.codes.n, np.uint64)
            keys = found
            memcpy(&keys[0], self.codes.keys, <size_t>self.codes.n * 8)
            self.reported.append((occurrences, found))
            self.first_statement += self.codes.n
        self._clear_codes()
        self.deciding_codes = {}
        return 0

    cdef void _clear_codes(self):
        free_codes(&self.codes)
        free(self.entry_codes)
        self.entry_codes = NULL
        self.n_coded = 0
