"""Compiled tables and names as sections of an engine file, and their mapping into memory.

A section is one vector as it is in memory. After a mapped section there is reserved space for run-time entries, so that it need not move.
Processes that map one file share its pages, except those that they write to.

Invariant: nothing here validates the content of a section. `verify.pyx`, a part of this module, validates it before a kernel reads it.
"""
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcmp, memcpy, memset

from fastiam.kernel.base.invariants cimport narrow32
from fastiam.kernel.base.text cimport hash_bytes, load8, prefetch
from fastiam.kernel.eval.operators cimport OP_IP, OP_LAST
from fastiam.kernel.model.decision cimport LAYER_RCP, LAYER_SESSION
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.names cimport Names
from fastiam.kernel.plan.tables cimport Tables
from fastiam.kernel.storage.vectors cimport COMPILED, LIMIT, LOOKUP, NameTable, Vector, slots_for

# PERF: one module, not two, which have what they import once: the build takes less long.
include "verify.pyx"


cdef extern from *:
    """
    #if defined(_WIN32)
    #include <stdlib.h>
    static char* fastiam_reserve(size_t n) { return (char*)calloc(n, 1); }
    static int fastiam_map(char* at, size_t n, int fd, long long offset) { return -1; }
    #else
    #include <sys/mman.h>
    #ifndef MAP_NORESERVE
    #define MAP_NORESERVE 0
    #endif
    static char* fastiam_reserve(size_t n) {
        void* p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return p == MAP_FAILED ? NULL : (char*)p;
    }
    static int fastiam_map(char* at, size_t n, int fd, long long offset) {
        void* p = mmap(at, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, (off_t)offset);
        if (p == MAP_FAILED) return -1;
    #if defined(MADV_POPULATE_READ)
        madvise(p, n, MADV_POPULATE_READ);  /* every page will be read: one call instead of a fault for each */
    #endif
        return 0;
    }
    #endif
    #ifndef FASTIAM_TYPES
    #define FASTIAM_TYPES "unknown"
    #endif
    """
    char* fastiam_reserve(size_t n) nogil
    int fastiam_map(char* at, size_t n, int fd, long long offset) nogil
    const char* FASTIAM_TYPES


cdef enum:
    CAPACITY_STEP = 1 << 16    # room is a multiple of it, and so of any page
    ROOM = 1 << 18             # behind a section, at least; a quarter of it otherwise

cdef uint64_t SUM = <uint64_t>0x9E3779B97F4A7C15ULL
MAPPED = 1 << 16               # bytes from which on a section is mapped; smaller ones are copied

cdef tuple NAME_TABLES = ("principal", "record", "fact", "account", "endpoint", "service")


def checksum(const uint8_t[::1] data not None):
    """64 bits of a block of bytes. Against accidents; a writer of the file can also write its checksums."""
    cdef uint64_t lanes[4]
    cdef uint64_t a = SUM, b = 2 * SUM, c = 3 * SUM, d = 4 * SUM
    cdef const char* p
    cdef int64_t n = data.shape[0], _
    if n == 0:
        return 0
    p = <const char*>&data[0]
    with nogil:
        for _ in range(n // 32):                         # PERF: twice as fast as without the prefetch
            prefetch(p + 2048)
            a = mix_lane(a, load8(p))
            b = mix_lane(b, load8(p + 8))
            c = mix_lane(c, load8(p + 16))
            d = mix_lane(d, load8(p + 24))
            p += 32
    lanes[0], lanes[1], lanes[2], lanes[3] = a, b, c, d
    return hash_bytes(p, n % 32, hash_bytes(<const char*>lanes, sizeof(lanes), <uint64_t>n))


cdef inline uint64_t mix_lane(uint64_t lane, uint64_t value) noexcept nogil:
    """One to one in the lane and in the word, so that one changed word is always seen."""
    lane = (lane ^ value) * <uint64_t>0xFF51AFD7ED558CCDULL
    return lane ^ (lane >> 29)


def layout():
    """The layout of the arrays of this build; a file of another layout is not readable here."""
    cdef uint32_t one = 1
    order = "little" if (<char*>&one)[0] == 1 else "big"
    return f"{order} {8 * sizeof(void*)} {(<bytes>FASTIAM_TYPES).decode()}"


cdef list vectors_of(Tables tables, Names names):
    """(name, address) of every vector that is saved."""
    cdef Vector* v
    cdef list found = []
    cdef int i
    for i, name in enumerate(tables._vectors()):
        v = tables._vector(i)
        if v.role == COMPILED or v.role == LOOKUP:
            found.append((name, <size_t>v))
    found.append(("accounts", <size_t>&names.accounts))
    found.append(("endpoints", <size_t>&names.endpoints))
    for i, name in enumerate(NAME_TABLES):
        found.append((name + "_names", <size_t>&names._table(i).texts))
        found.append((name + "_values", <size_t>&names._table(i).values))
        found.append((name + "_slots", <size_t>&names._table(i).slots))
    return found


def dump(Tables tables not None, Names names not None):
    """The compiled part of tables and names: bytes by the name of the section, and the numbers beside them."""
    cdef Names fork = names.fork()
    cdef TablesC* t = &tables.t
    cdef Vector* v
    cdef dict found = {}
    for name, address in vectors_of(tables, fork):
        v = <Vector*><size_t>address
        if name == "symbol_slots":
            found[name] = compiled_slots(tables, tables.symbols.texts.mark, False)
        elif name == "policy_set_slots":
            found[name] = compiled_slots(tables, tables.policy_sets.mark, True)
        else:
            found[name] = items_of(v, v.capacity if name.endswith("_slots") else v.mark)
    numbers = {
        "keys": [
            t.key_called_via, t.key_source_account, t.key_source_vpce, t.key_service_names, t.key_time, t.key_epoch, t.key_user_id,
            t.key_assumed_root,
        ],
        "seed": t.seed,
        "has_endpoints": bool(fork.has_endpoints),
        "denies_unknown_owner": bool(fork.denies_unknown_owner),
    }
    return found, numbers


cdef bytes items_of(const Vector* v, uint64_t n):
    return v.data[:n * v.item] if n else b""


cdef bytes compiled_slots(Tables tables, uint32_t n, bint of_policy_sets):
    """Slots for the words or stacks that are compiled, without those of requests."""
    cdef Vector fresh
    cdef uint32_t i
    memset(&fresh, 0, sizeof(Vector))
    fresh.item = sizeof(StringSlot)
    fresh.capacity = narrow32(slots_for(n))
    fresh.data = <char*>calloc(fresh.capacity, sizeof(StringSlot))
    if fresh.data == NULL:
        raise MemoryError()
    try:
        for i in range(n):
            tables._insert_slot(&fresh, tables._policy_set_hash(i) if of_policy_sets else tables._hash((<PoolText*>tables.symbols.texts.data)[i]), i)
        return items_of(&fresh, fresh.capacity)
    finally:
        free(fresh.data)


def attach(
    Tables tables not None, Names names not None, const uint8_t[::1] data not None, int file, dict sections not None,
    dict numbers not None, list patterns not None,
):
    """Put sections into tables and names that are empty.

    Parameters
    ----------
    data
        the whole file, which contains all sections.
    file
        its descriptor, to map them; -1 copies them.
    places
        (offset, bytes) of each section; one of `MAPPED` bytes or more fills whole pages.
    numbers
        as `dump` gives them.
    patterns
        the action patterns by number.

    Raises
    ------
    KeyError, ValueError, TypeError, OverflowError
        a section is not there, or is not an array of its items.
    """
    cdef uint64_t total = 0, at = 0, size, offset
    cdef Vector* v
    vectors = vectors_of(tables, names)
    for name, address in vectors:
        v = <Vector*><size_t>address
        size = sections[name][1]
        if size % v.item or size // v.item >= <uint64_t><uint32_t>LIMIT:
            raise ValueError(f"`{name}` has {size} bytes")
        total += reserved_size(size)
    tables.region = fastiam_reserve(total + CAPACITY_STEP)
    if tables.region == NULL:
        raise MemoryError()
    tables.region_size = total + CAPACITY_STEP
    for name, address in vectors:
        v = <Vector*><size_t>address
        offset, size = sections[name]
        if size == 0:
            continue
        if file < 0 or size < MAPPED or fastiam_map(tables.region + at, size, file, offset) != 0:
            memcpy(tables.region + at, &data[offset], size)
        hold(tables, v, tables.region + at, size, name.endswith("_slots"))
        at += reserved_size(size)
    tables.special_keys(*numbers["keys"])
    tables.t.seed = numbers["seed"]
    names.has_endpoints = numbers["has_endpoints"]
    names.denies_unknown_owner = numbers["denies_unknown_owner"]
    tables.pattern_texts = patterns
    tables.sync()


cdef int hold(Tables tables, Vector* v, char* data, uint64_t size, bint is_slots) except -1:
    """Attach a vector to a section. Slots are all capacity, other vectors have room to grow into."""
    cdef uint32_t n = narrow32(size // v.item)
    tables._release(v.data)
    v.data = data
    v.is_mapped = True
    v.n = v.mark = 0 if is_slots else n
    v.capacity = n if is_slots else narrow32(min(<uint64_t><uint32_t>LIMIT, reserved_size(size) // v.item - 1))
    return 0


cdef uint64_t reserved_size(uint64_t size):
    """Bytes of address space for a section, with the room behind it."""
    return 0 if size == 0 else (size + max(<uint64_t>ROOM, size // 4) + CAPACITY_STEP - 1) // CAPACITY_STEP * CAPACITY_STEP
