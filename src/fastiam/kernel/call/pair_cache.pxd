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
    N_MEETINGS = 1 << 17       # places, a power of two: 4 MB
    N_TRIED = 4                # places where a meeting may lie, from the first one of a cache line on
    N_PATTERNS = 2             # whose texts are asked for
    LONGEST_NAME = 0xFFFF
    LINE = 64                  # bytes
    MANY_PRINCIPALS = 8192     # PERF: of fewer, what decides is near anyway, and meetings would be one thing more to wait for


cdef struct Meeting:           # half a cache line
    uint32_t hash              # of the name; 0: none
    uint32_t action            # the number of its name
    uint32_t principal
    uint32_t name              # in the pool
    uint32_t patterns[N_PATTERNS]  # in the pool: the texts of the first flats
    uint32_t flat              # the own row: all of its flats
    uint16_t name_size
    uint8_t n_flats


cdef struct Meetings:
    Meeting* places            # NULL: none is kept yet
    void* memory               # that they lie in, from the first cache line on
    uint32_t n_kept


cdef inline void forget_meetings(Meetings* m) noexcept:
    free(m.memory)
    m.memory = m.places = NULL


cdef inline bint make_places(Meetings* m) noexcept:
    """Memory, which is none before it is written to; False where there is none."""
    m.memory = calloc(N_MEETINGS + 2, sizeof(Meeting))
    if m.memory == NULL:
        return False
    m.places = <Meeting*>(<char*>m.memory + (LINE - <uintptr_t>m.memory % LINE) % LINE)
    return True


cdef inline uint64_t meetings_bytes(const Meetings* m) noexcept nogil:
    return 0 if m.places == NULL else N_MEETINGS * sizeof(Meeting)


cdef inline uint32_t meeting_place(uint32_t hash, uint32_t action) noexcept nogil:
    """Where a meeting lies, or not far behind."""
    return ((hash >> 1) ^ action * <uint32_t>0x9E3779B1U) & (N_MEETINGS - 2)


cdef inline void ask_meeting(const Meetings* m, uint32_t hash, uint32_t action) noexcept nogil:
    prefetch(&m.places[meeting_place(hash, action)])


cdef inline const Meeting* find_meeting(const Meetings* m, uint32_t hash, uint32_t action) noexcept nogil:
    """The meeting of a name that has this hash, or NULL. There are places."""
    cdef uint32_t first = meeting_place(hash, action)
    cdef const Meeting* found
    cdef uint32_t i
    for i in range(N_TRIED):
        found = &m.places[(first + i) & (N_MEETINGS - 1)]
        if found.hash == hash and found.action == action:
            return found
    return NULL


cdef inline void ask_met(const Meeting* met, const TablesC* t) noexcept nogil:
    """Ask for all that a meeting points to; texts of names and patterns end in the next cache line, as a rule."""
    cdef int i
    prefetch(t.pool + met.name)
    prefetch(t.pool + met.name + 48)
    prefetch(&t.principals[met.principal])
    prefetch(<const char*>&t.principals[met.principal] + 64)
    prefetch(&t.flats[met.flat])
    prefetch(&t.flats[met.flat + 1])
    for i in range(N_PATTERNS):
        prefetch(t.pool + met.patterns[i])
        prefetch(t.pool + met.patterns[i] + 48)


cdef inline bint is_of(const Meeting* met, const TablesC* t, const Text* name) noexcept nogil:
    return same(name.data, name.size, <const char*>t.pool + met.name, met.name_size)


cdef inline void keep_meeting(
    Meetings* m, const TablesC* t, uint32_t hash, uint32_t action, uint32_t principal, PoolText name, const Row* own
) noexcept:
    """Keep a meeting, if its row is flat, where there is a place or instead of another."""
    cdef uint32_t first = meeting_place(hash, action)
    cdef Meeting* place
    cdef uint32_t i
    if not own.flags & ROW_FLAT or name.size > LONGEST_NAME:
        return
    if m.places == NULL and not make_places(m):
        return
    m.n_kept += 1
    place = &m.places[(first + m.n_kept % N_TRIED) & (N_MEETINGS - 1)]
    for i in range(N_TRIED):
        if m.places[(first + i) & (N_MEETINGS - 1)].hash == 0:
            place = &m.places[(first + i) & (N_MEETINGS - 1)]
            break
    place.hash = hash
    place.action = action
    place.principal = principal
    place.name = name.text
    place.name_size = narrow16(name.size)
    place.flat = own.flat
    place.n_flats = own.n_flats
    for i in range(N_PATTERNS):
        place.patterns[i] = t.flats[own.flat + i].text if i < own.n_flats else 0
