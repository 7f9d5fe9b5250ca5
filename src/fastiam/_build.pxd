"""The owner of the tables. It fills them under the GIL; kernels read them, also without it."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastiam._types cimport Body, Entry, Pattern, PoolText, Row, Segment, StringTable, TablesC


cdef struct Vector:            # a growing array
    char* data
    uint32_t n
    uint32_t capacity
    uint32_t item              # bytes
    uint32_t mark              # how many are compiled: what comes later can be dropped


cdef struct NameTable:         # what a `StringTable` lends
    Vector slots
    Vector texts
    Vector values


cdef class Tables:
    cdef TablesC t
    cdef Vector pool, patterns, pattern_lists, resource_elements, variables, values, atoms, atom_lists, condition_lists
    cdef Vector keys, constants, const_texts, tokens, principal_elements, word_lists
    cdef Vector principals, records, classes, class_patterns, name_classes
    cdef Vector bodies, action_lists, policies, policy_bodies, stacks, segments, stack_policies
    cdef Vector entries, runs, indexes, shapes, index_slots, index_lists, rows, grid, cells, row_slots
    cdef Vector folds_from, folds_to
    cdef Vector stamps, scratch_denies, scratch_allows, scratch_runs
    cdef NameTable action_names, words
    cdef Vector stack_slots    # stacks by what they hold
    cdef dict texts            # where a text lies in the pool, by its bytes; None once an engine is compiled
    cdef uint32_t n_cells, n_hashed
    cdef uint32_t stamp
    cdef public uint32_t index_from
    cdef list retired
    cdef public int readers
    cdef dict class_ids
    cdef object match_actions
    cdef list pattern_texts
    cdef Py_ssize_t n_matched, n_patterns   # action patterns that classes know; that `drop` keeps
    cdef public uint64_t version
    cdef public uint64_t generation

    cdef Vector* _vector(self, int i)
    cdef void _shape(self)
    cdef int _release(self, void* data) except -1
    cdef int _resize(self, Vector* v, uint64_t capacity) except -1
    cdef char* _push(self, Vector* v, uint32_t n=*) except NULL
    cdef uint32_t _number(self, Vector* v, uint32_t value) except? 0xFFFFFFFE
    cdef uint32_t _numbers(self, Vector* v, list values) except? 0xFFFFFFFE
    cdef uint32_t _text(self, bytes text) except? 0xFFFFFFFE
    cdef uint32_t _shared(self, bytes text) except? 0xFFFFFFFE
    cdef uint32_t _pattern(self, const Pattern* p) except? 0xFFFFFFFE
    cdef uint32_t _word(self, text) except? 0xFFFFFFFE
    cdef uint32_t _constants(self, list constants, bint check) except? 0xFFFFFFFE
    cdef int _mark(self, Vector* v) except -1
    cdef int _slot_stacks(self, uint64_t capacity) except -1
    cdef uint32_t _stack_hash(self, uint32_t stack)
    cdef bint _same_stack(self, uint32_t a, uint32_t b)
    cdef void _lend(self, NameTable* names, StringTable* table)
    cdef void sync(self)
    cdef void leave(self)
    cdef int _place(self, Vector* slots, uint32_t h, uint32_t value) except -1
    cdef int _make_slots(self, NameTable* names, uint64_t capacity) except -1
    cdef uint32_t _hash(self, PoolText text)
    cdef int _name(self, NameTable* names, bytes text, uint32_t value) except -1
    cdef uint32_t _find(self, NameTable* names, bytes text) except? 0xFFFFFFFE
    cdef uint32_t _range(self, Vector* ranges, Vector* items, list numbers) except? 0xFFFFFFFE
    cdef uint32_t find_action(self, bytes action, uint32_t* name) except? 0xFFFFFFFE
    cdef int _cells(self, uint64_t capacity) except -1
    cdef int _enter_cell(self, uint32_t stack, uint32_t action, uint32_t number) except -1
    cdef int _enter_hashed(self, uint64_t key, uint64_t number) except -1
    cdef int _stamp(self, uint32_t action_class) except -1
    cdef int _stamp_name(self, uint32_t name) except -1
    cdef int _action_truth(self, const Body* b)
    cdef int _collect(self, Segment s) except -1
    cdef int _close_run(self, Vector* scratch, uint32_t first, uint8_t layer, uint8_t level, bint whole) except -1
    cdef int make_row(self, uint32_t stack, uint32_t action_class, uint32_t action_name, uint32_t flag) except -1
    cdef uint32_t _row_number(self, bint whole) except? 0xFFFFFFFE
    cdef int _grow_row_slots(self) except -1
    cdef const Entry* _scratch_of(self, uint32_t i)
    cdef bint _is_row(self, uint32_t number)
    cdef int _add_row(self, bint whole) except -1
    cdef Row _flags_of(self, uint32_t first, uint32_t n)
    cdef object _shape_of(self, const Pattern* p)
    cdef object _grams_of(self, const uint8_t* tail, int64_t n)
    cdef object _hash_of(self, const Pattern* p, found)
    cdef object _sort_entry(self, uint32_t position, const Entry* e, list found, list always, list crossing)
    cdef uint32_t _index(self, uint32_t first, uint32_t n) except? 0xFFFFFFFE
