"""Pair cache: maps (principal name, action) to everything that the decision reads. Header only.

A decision follows a chain of loads: a hash slot, the id in it, the principal, a cell, a plan, its match program, the text of a pattern. With
many principals each load misses the cache, and each waits for the one before. An entry holds the whole chain, so there is one wait for the
entry and one for all that it points to.

Invariant: an entry equals the result of the lookups. It is valid for one epoch of the core, in which names and plans do not change, and only
for exactly its name.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport Text, prefetch, same
from fastiam.kernel.model.tables cimport *


cdef enum:
    PAIR_CACHE_SIZE = 1 << 17  # places, a power of two: 4 MB
    N_TRIED = 4                # slots in which a pair may be, from the first one of a cache line on
    N_PATTERNS = 2             # whose texts are asked for
    MAX_NAME = 0xFFFF
    LINE = 64                  # bytes
    MIN_PAIR_CACHE_PRINCIPALS = 8192  # PERF: with fewer, the tables stay in the caches, and the pair would be one load more to wait for


cdef struct PairCacheEntry:    # half a cache line
    uint32_t hash              # of the name; 0: none
    uint32_t action            # the number of its name
    uint32_t principal
    uint32_t name              # in the pool
    uint32_t patterns[N_PATTERNS]  # in the pool: the texts of the first ops
    uint32_t program           # the principal's plan: all of its ops
    uint16_t name_size
    uint8_t n_ops


cdef struct PairCache:
    PairCacheEntry* entries    # NULL: none is kept yet
    void* memory               # that they lie in, from the first cache line on
    uint32_t n_stored


cdef inline void clear_pair_cache(PairCache* m) noexcept:
    free(m.memory)
    m.memory = m.entries = NULL


cdef inline bint allocate_pair_cache(PairCache* m) noexcept:
    """Memory, which is none before it is written to; False where there is none."""
    m.memory = calloc(PAIR_CACHE_SIZE + 2, sizeof(PairCacheEntry))
    if m.memory == NULL:
        return False
    m.entries = <PairCacheEntry*>(<char*>m.memory + (LINE - <uintptr_t>m.memory % LINE) % LINE)
    return True


cdef inline uint64_t pair_cache_bytes(const PairCache* m) noexcept nogil:
    return 0 if m.entries == NULL else PAIR_CACHE_SIZE * sizeof(PairCacheEntry)


cdef inline uint32_t pair_cache_slot(uint32_t hash, uint32_t action) noexcept nogil:
    """The first slot of a pair; it may be in one of the next ones."""
    return ((hash >> 1) ^ action * <uint32_t>0x9E3779B1U) & (PAIR_CACHE_SIZE - 2)


cdef inline void prefetch_pair_slot(const PairCache* m, uint32_t hash, uint32_t action) noexcept nogil:
    prefetch(&m.entries[pair_cache_slot(hash, action)])


cdef inline const PairCacheEntry* find_pair(const PairCache* m, uint32_t hash, uint32_t action) noexcept nogil:
    """The pair of a name that has this hash, or NULL. The cache is allocated."""
    cdef uint32_t first = pair_cache_slot(hash, action)
    cdef const PairCacheEntry* found
    cdef uint32_t i
    for i in range(N_TRIED):
        found = &m.entries[(first + i) & (PAIR_CACHE_SIZE - 1)]
        if found.hash == hash and found.action == action:
            return found
    return NULL


cdef inline void prefetch_pair(const PairCacheEntry* pair, const TablesC* t) noexcept nogil:
    """Prefetch all that a pair points to; texts of names and patterns end in the next cache line, as a rule."""
    cdef int i
    prefetch(t.pool + pair.name)
    prefetch(t.pool + pair.name + 48)
    prefetch(&t.principals[pair.principal])
    prefetch(<const char*>&t.principals[pair.principal] + 64)
    prefetch(&t.match_ops[pair.program])
    prefetch(&t.match_ops[pair.program + 1])
    for i in range(N_PATTERNS):
        prefetch(t.pool + pair.patterns[i])
        prefetch(t.pool + pair.patterns[i] + 48)


cdef inline bint is_of(const PairCacheEntry* pair, const TablesC* t, const Text* name) noexcept nogil:
    return same(name.data, name.size, <const char*>t.pool + pair.name, pair.name_size)


cdef inline void store_pair(
    PairCache* m, const TablesC* t, uint32_t hash, uint32_t action, uint32_t principal, PoolText name, const Plan* own
) noexcept:
    """Store a pair, if its plan has a program, in an empty slot or instead of another."""
    cdef uint32_t first = pair_cache_slot(hash, action)
    cdef PairCacheEntry* slot
    cdef uint32_t i
    if not own.flags & PLAN_HAS_PROGRAM or name.size > MAX_NAME:
        return
    if m.entries == NULL and not allocate_pair_cache(m):
        return
    m.n_stored += 1
    slot = &m.entries[(first + m.n_stored % N_TRIED) & (PAIR_CACHE_SIZE - 1)]
    for i in range(N_TRIED):
        if m.entries[(first + i) & (PAIR_CACHE_SIZE - 1)].hash == 0:
            slot = &m.entries[(first + i) & (PAIR_CACHE_SIZE - 1)]
            break
    slot.hash = hash
    slot.action = action
    slot.principal = principal
    slot.name = name.text
    slot.name_size = narrow16(name.size)
    slot.program = own.program
    slot.n_ops = own.n_ops
    for i in range(N_PATTERNS):
        slot.patterns[i] = t.match_ops[own.program + i].text if i < own.n_ops else 0
