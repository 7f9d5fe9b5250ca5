"""Hash tables from text to id, and their lookups. Header only."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t, int64_t

from fastiam.kernel.base.text cimport hash_bytes, prefetch, same
from fastiam.kernel.model.ids cimport NONE


cdef struct PoolText:
    uint32_t text
    uint32_t size


cdef struct StringSlot:
    uint32_t hash              # 0: empty
    uint32_t value


cdef struct StringTable:       # text -> number; open addressing, linear probes
    const StringSlot* slots    # `value` is an index of the two below
    const PoolText* texts
    const uint32_t* values
    uint32_t mask
    uint32_t n


cdef inline uint32_t table_hash(const char* p, int64_t size, uint64_t seed) noexcept nogil:
    """The hash that a table knows a text by."""
    return <uint32_t>hash_bytes(p, size, seed) | 1    # 0 marks an empty slot


cdef inline uint32_t hashed_name(
    const StringTable* table, const uint8_t* pool, const char* p, int64_t size, uint32_t h
) noexcept nogil:
    """Where a table holds a text, by the text and its hash; or NONE."""
    cdef uint32_t at, v
    if table.n == 0:
        return NONE
    at = (h >> 1) & table.mask
    while table.slots[at].hash != 0:
        if table.slots[at].hash == h:
            v = table.slots[at].value
            # INVARIANT: a slot written after this snapshot names a text beyond it
            if v < table.n and same(p, size, <const char*>pool + table.texts[v].text, table.texts[v].size):
                return v
        at = (at + 1) & table.mask
    return NONE


cdef inline uint32_t hashed_find(
    const StringTable* table, const uint8_t* pool, const char* p, int64_t size, uint32_t h
) noexcept nogil:
    """`table_find`, by the text and its hash."""
    cdef uint32_t v = hashed_name(table, pool, p, size, h)
    return NONE if v == NONE else table.values[v]


# What a lookup reads, prefetched: the slot, what it points to, the text. They read only the first slot, and guess that it
# holds the text that is looked for.

cdef inline void prefetch_slot(const StringTable* table, uint32_t h) noexcept nogil:
    if table.n:
        prefetch(&table.slots[(h >> 1) & table.mask])


cdef inline uint32_t guess_name(const StringTable* table, uint32_t h) noexcept nogil:
    """Where the table holds what has this hash, or NONE."""
    cdef const StringSlot* slot
    if table.n == 0:
        return NONE
    slot = &table.slots[(h >> 1) & table.mask]
    return slot.value if slot.hash == h and slot.value < table.n else <uint32_t>NONE


cdef inline uint32_t touch_name(const StringTable* table, uint32_t h) noexcept nogil:
    cdef uint32_t v = guess_name(table, h)
    if v != NONE:
        prefetch(&table.texts[v])
        prefetch(&table.values[v])
    return v


cdef inline uint32_t touch_text(const StringTable* table, const uint8_t* pool, uint32_t v) noexcept nogil:
    """The number under a name that was guessed."""
    cdef const uint8_t* text = pool + table.texts[v].text
    prefetch(text)
    prefetch(text + 48)
    return table.values[v]


cdef inline uint32_t table_find(
    const StringTable* table, const uint8_t* pool, const char* p, int64_t size, uint64_t seed
) noexcept nogil:
    """The number that a table holds for a text, or NONE."""
    if table.n == 0:
        return NONE
    return hashed_find(table, pool, p, size, table_hash(p, size, seed))
