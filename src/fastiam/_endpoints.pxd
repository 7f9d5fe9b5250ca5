"""The endpoints that rows of a block come through. Header only.

One that has no policy, or one that surely allows, leaves a row as it is; what others say is asked the long way (D40).
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastiam._block cimport Block
from fastiam._bytes cimport table_find
from fastiam._call cimport PLAN_ABSENT_BARE, PLAN_ABSENT_HOME, Call, ContextColumn, is_supplied
from fastiam._columns cimport Text, item_text
from fastiam._limits cimport layer_row, may_deny
from fastiam._truths cimport TOLD_BITS, Basis, told_at, told_place
from fastiam._types cimport (
    ATOM_FIXED, FLAT_ENDS, NONE, ONE, ROW_FLAT, TURN_ASKS, TURN_DONE, TURN_GROUP, TURN_INDEX, TURN_ODD, WAY_FAR, Atom, Flat, Range, Row,
    T, TablesC,
)
from fastiam._value_codes cimport kept_code


cdef enum Through:             # what a row comes through, else the number of an endpoint and NAMED
    NOT_SOUGHT = 0
    NOTHING = 1                # no endpoint, or one that nobody knows where none has a policy
    UNKNOWN = 2                # one that nobody knows, where some have
    NAMED = 3


cdef inline uint32_t named_by(const TablesC* t, const Text* text) noexcept nogil:
    """The endpoint of a name, as `Through`."""
    cdef uint32_t found = table_find(&t.endpoint_names, t.pool, text.data, text.size, t.seed)
    if found != NONE:
        return found + NAMED
    return UNKNOWN if t.has_endpoints else NOTHING


cdef inline uint32_t endpoint_of(const TablesC* t, const ContextColumn* column, int64_t row) noexcept nogil:
    """The endpoint that a row comes through, as `Through`; what a code says is sought once."""
    cdef Text text
    cdef int64_t code = -1
    cdef uint32_t found
    if column.endpoints != NULL:
        code = kept_code(column, row)
        if column.endpoints[code]:
            return column.endpoints[code]
    found = named_by(t, &text) if item_text(column.column, column.first + row, &text) else <uint32_t>NOTHING
    if code >= 0:
        column.endpoints[code] = found
    return found


cdef inline bint surely_holds(Call* c, uint32_t id, int64_t row, uint32_t who) noexcept nogil:
    """Whether a condition is known to hold by the value of a column, or who asks, and nothing is to be counted."""
    cdef Basis q = Basis(row, who, NONE, NONE, NULL, PLAN_ABSENT_BARE | PLAN_ABSENT_HOME)
    cdef const ContextColumn* column
    cdef const uint64_t* told
    cdef uint64_t key = 0
    cdef int64_t code
    if id >= c.s.n_kept:
        return False
    if c.s.kept[id].truths != NULL:
        column = &c.columns[c.s.kept[id].column]
        code = kept_code(column, row)
        return code < column.n_codes and c.s.kept[id].truths[code] == T + 1
    told = told_place(c, id, &q, &key)
    told = NULL if told == NULL else told_at(told, key)
    return told != NULL and told[0] == (key << TOLD_BITS | T)


cdef inline bint all_hold(Call* c, uint32_t conditions, int64_t row, uint32_t who) noexcept nogil:
    cdef Range block
    cdef uint32_t i
    if conditions & ONE:
        return surely_holds(c, conditions ^ ONE, row, who)
    block = c.t.condition_lists[conditions]
    for i in range(block.n):
        if not surely_holds(c, c.t.atom_lists[block.first + i], row, who):
            return False
    return True


cdef inline bint reads_what_is_supplied(const Call* c, const Flat* f) noexcept nogil:
    """Whether a statement surely reads no key under which rows are counted: it may be left out then, if a later one holds."""
    cdef Range block = Range(0, 1)
    cdef uint32_t only = f.conditions ^ ONE, i
    cdef const uint32_t* ids = &only
    cdef const Atom* atom
    if f.first == TURN_GROUP:
        return True
    if f.first == TURN_ODD or f.first == TURN_INDEX or f.flags & FLAT_ENDS:
        return False
    if f.conditions == NONE:
        return True
    if not f.conditions & ONE:
        block = c.t.condition_lists[f.conditions]
        ids = c.t.atom_lists + block.first
    for i in range(block.n):
        atom = &c.t.atoms[ids[i]]
        if not atom.flags & ATOM_FIXED or (c.s.sources[atom.key] < 0 and not is_supplied(&c.t.keys[atom.key])):
            return False
    return True


cdef inline bint lets_pass(const Block* b, Call* c, uint32_t through, uint32_t i, int64_t at) noexcept nogil:
    """Whether an endpoint surely leaves a row as it is: none of its denies may hold, and one of its allows, of all resources, does."""
    cdef const Row* row
    cdef const Flat* f
    cdef uint32_t stack, k
    if through < NAMED:
        return through == NOTHING
    stack = c.t.endpoints[through - NAMED].stack
    if stack == NONE:
        return True
    row = layer_row(c.t, stack, b.cls[i], b.name[i])
    if not row.flags & ROW_FLAT or may_deny(b, c, row, i):   # nor is the empty one flat
        return False
    c.action = &c.t.classes[b.cls[i]]
    f = c.t.flats + row.flat
    for k in range(row.denies, row.n_flats):
        if f[k].first == TURN_DONE or (f[k].first == TURN_ASKS and all_hold(c, f[k].conditions, at + i, b.who[i])):
            return True
        if not reads_what_is_supplied(c, f + k):
            return False
    return False


cdef inline void pass_endpoints(Block* b, Call* c, int64_t at, int64_t n) noexcept nogil:
    """Send rows the long way that their endpoint may deny."""
    cdef const ContextColumn* column = &c.columns[c.s.sources[c.t.key_source_vpce]]
    cdef uint32_t i, through
    for i in range(<uint32_t>n):
        through = endpoint_of(c.t, column, at + i)
        if through != NOTHING and not lets_pass(b, c, through, i, at):
            b.limits[i] |= WAY_FAR
