"""Memory of the tables: growing arrays that are filled under the GIL, and that kernels read also without it."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastiam.kernel.model.string_table cimport PoolText, StringTable
from fastiam.kernel.model.tables cimport TablesC


cdef extern from *:
    """
    #if defined(_MSC_VER)
    #define fastiam_publish(p, v) (*(volatile unsigned long long*)(p) = (v))
    #else
    #define fastiam_publish(p, v) __atomic_store_n((unsigned long long*)(p), (unsigned long long)(v), __ATOMIC_RELEASE)
    #endif
    """
    void fastiam_publish(void* p, uint64_t v) noexcept nogil


cdef extern from *:
    """
    #if defined(_WIN32)
    #include <stdlib.h>
    #define fastiam_unmap(p, n) free(p)
    #else
    #include <sys/mman.h>
    #define fastiam_unmap(p, n) ((void)munmap((p), (n)))
    #endif
    """
    void fastiam_unmap(char* p, uint64_t n) noexcept nogil


cdef extern from *:
    """
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    /* Items, all zero, from a new cache line on: those of half a line, or of a quarter, lie in one line each. */
    static inline char* fastiam_new_items(size_t n, size_t item) {
        char* memory = n > (SIZE_MAX - 64) / item ? NULL : (char*)calloc(n * item + 64, 1);
        char* items = (char*)(((uintptr_t)memory + 64) & ~(uintptr_t)63);
        if (memory == NULL) return NULL;
        memcpy(items - sizeof(char*), &memory, sizeof(char*));   /* `calloc` leaves that much before the line */
        return items;
    }
    static inline void fastiam_free_items(const void* items) {
        char* memory;
        if (items == NULL) return;
        memcpy(&memory, (const char*)items - sizeof(char*), sizeof(char*));
        free(memory);
    }
    """
    char* new_items "fastiam_new_items" (size_t n, size_t item) noexcept nogil
    void free_items "fastiam_free_items" (const void* items) noexcept nogil


cdef enum:
    LIMIT = 0xFFFFFFF0         # items of a vector
    MAX_RETAINED = 8192        # of one that is not used for now


cdef enum:                     # what becomes of a vector
    COMPILED = 0               # `drop` cuts it back to where `freeze` left it
    LOOKUP = 1                 # slots over what is compiled: made anew
    CACHE = 2                  # of rows and names of actions: cut back to nothing
    WORK = 3                   # of the same, made anew or used again


cdef struct Vector:            # a growing array
    char* data
    uint32_t n
    uint32_t capacity
    uint32_t item              # bytes
    uint32_t mark              # how many are compiled: what comes later can be dropped
    uint8_t role
    uint8_t is_mapped          # it lies in a mapped file, with room behind it (`kernel.saved.file`)


cdef inline Vector emptied(const Vector* v) noexcept nogil:
    """A vector for the same, without memory."""
    return Vector(NULL, 0, 0, v.item, 0, v.role, False)


cdef inline uint64_t bytes_of(const Vector* v) noexcept nogil:
    """The memory of a vector; the room behind a mapped one takes none before it is used. Slots are all capacity."""
    return <uint64_t>(v.n if v.is_mapped and v.n else v.capacity) * v.item


cdef inline uint64_t slots_for(uint64_t n) noexcept nogil:
    """How many slots a table of `n` entries has that only a builder searches: of a power of two a fifth stays empty."""
    cdef uint64_t slots = 16
    while n * 5 > slots * 4:
        slots *= 2
    return slots


cdef struct NameTable:         # what a `StringTable` lends
    Vector slots
    Vector texts
    Vector values


cdef class Vectors:
    cdef TablesC t
    # these in the order of `VECTORS`
    cdef Vector pool, patterns, pattern_lists, resource_elements, variables, values, atoms, atom_lists, condition_lists
    cdef Vector keys, constants, const_texts, tokens, principal_elements, symbol_lists
    cdef Vector principals, records
    cdef Vector bodies, action_lists, policies, policy_bodies, policy_sets, layer_levels, set_policies
    cdef Vector folds_from, folds_to
    cdef NameTable symbols
    cdef Vector policy_set_slots  # stacks by what they hold
    cdef Vector classes, class_patterns, name_classes
    cdef NameTable action_names
    cdef Vector entries, runs, indexes, shapes, index_items, index_slots, index_lists, index_splits, index_filters
    cdef Vector terms, pattern_terms
    cdef Vector plans, grid, match_ops, deny_filters, filter_conditions, plan_reads, read_sets, read_keys, is_read
    cdef Vector cells, plan_slots
    cdef Vector stamps, scratch_denies, scratch_allows, scratch_runs, scratch_reads
    cdef Vector draft_patterns, term_counts, placed
    cdef uint64_t end_of_vectors
    cdef dict texts            # where a text lies in the pool, by its bytes, and values of constants, by these; None once an engine is compiled
    cdef dict shared           # the first of the constants of records, by all of them; None then, too
    cdef list retired
    cdef char* region          # the memory that mapped vectors lie in, or NULL
    cdef uint64_t region_size
    cdef public int readers
    cdef public uint64_t version
    cdef uint64_t n_resizes    # grows whenever a vector gets other memory
    cdef public uint32_t index_from
    cdef uint32_t n_checked    # keys that were there before they could contradict what is known

    cdef Vector* _vector(self, int i)
    cdef list _vectors(self)
    cdef int _release(self, void* data) except -1
    cdef int _release_memory(self, Vector* v) except -1
    cdef int _cut(self, Vector* v) except -1
    cdef int _resize(self, Vector* v, uint64_t capacity) except -1
    cdef char* _push(self, Vector* v, uint64_t n=*) except NULL
    cdef uint32_t _number(self, Vector* v, uint32_t value) except? 0xFFFFFFFE
    cdef uint32_t _numbers(self, Vector* v, list values) except? 0xFFFFFFFE
    cdef uint32_t _text(self, bytes text) except? 0xFFFFFFFE
    cdef uint32_t _shared(self, bytes text) except? 0xFFFFFFFE
    cdef void _publish_table(self, const NameTable* names, StringTable* table)
    cdef void sync(self)
    cdef void leave(self)
    cdef int _insert_slot(self, Vector* slots, uint32_t h, uint32_t value) except -1
    cdef int _make_slots(self, NameTable* names, uint64_t capacity) except -1
    cdef uint32_t _hash(self, PoolText text)
    cdef int _name(self, NameTable* names, bytes text, uint32_t value) except -1
    cdef int _name_at(self, NameTable* names, PoolText text, uint32_t value) except -1
    cdef uint32_t _find(self, NameTable* names, bytes text) except? 0xFFFFFFFE
