"""Dense codes for keys, assigned in order of first use. Header only."""
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc

from fastiam.kernel.base.text cimport mix


cdef struct CodeSlot:
    uint64_t key               # plus 1; 0: empty
    int32_t code


cdef struct CodeTable:
    CodeSlot* slots
    uint64_t* keys             # by code
    uint64_t mask
    int32_t n
    int32_t room


cdef inline void free_codes(CodeTable* c) noexcept nogil:
    free(c.slots)
    free(c.keys)
    c.slots = NULL
    c.keys = NULL
    c.n = c.room = 0


cdef inline bint grow_codes(CodeTable* c) noexcept nogil:
    """Room for twice as many; False where there is no memory."""
    cdef int32_t room = max(64, 2 * c.room), i
    cdef uint64_t at, mask = 4 * <uint64_t>room - 1
    cdef CodeSlot* slots = <CodeSlot*>calloc(<size_t>mask + 1, sizeof(CodeSlot))
    cdef uint64_t* keys = <uint64_t*>realloc(c.keys, <size_t>room * 8)
    if keys != NULL:
        c.keys = keys
    if slots == NULL or keys == NULL:
        free(slots)
        return False
    for i in range(c.n):
        at = mix(keys[i]) & mask
        while slots[at].key != 0:
            at = (at + 1) & mask
        slots[at] = CodeSlot(keys[i] + 1, i)
    free(c.slots)
    c.slots = slots
    c.mask = mask
    c.room = room
    return True


cdef inline int32_t code_of(CodeTable* c, uint64_t key) noexcept nogil:
    """The code of a key, -1 where there is no memory for a new one."""
    cdef uint64_t at
    if c.n == c.room and not grow_codes(c):
        return -1
    at = mix(key) & c.mask
    while c.slots[at].key != 0:
        if c.slots[at].key == key + 1:
            return c.slots[at].code
        at = (at + 1) & c.mask
    c.slots[at] = CodeSlot(key + 1, c.n)
    c.keys[c.n] = key
    c.n += 1
    return c.n - 1
