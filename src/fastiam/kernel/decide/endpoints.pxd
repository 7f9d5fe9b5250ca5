"""Endpoint policies of the rows of a block. Header only.

An endpoint without a policy, or with one that certainly allows, does not change a row. Others are evaluated on the general path (D40).
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.base.invariants cimport narrow16
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.columns.column cimport item_text
from fastiam.kernel.decide.blocks cimport Block, Rows, Side, is_sifted
from fastiam.kernel.decide.fast_path cimport FACTS_COLON, FACTS_LONG, FACTS_STAR
from fastiam.kernel.decide.resource_facts cimport fetch_texts
from fastiam.kernel.decide.row_driver cimport Look, flat_matches, is_odd
from fastiam.kernel.decide.zone_filter cimport layer_row
from fastiam.kernel.eval.group_filter cimport has_pieces
from fastiam.kernel.eval.key_columns cimport kept_code
from fastiam.kernel.eval.memo cimport Basis, TOLD_BITS, resource_plan, told_at, told_place
from fastiam.kernel.model.call cimport Call, ContextColumn, is_supplied
from fastiam.kernel.model.conditions cimport ATOM_FIXED, Atom, T
from fastiam.kernel.model.ids cimport NONE, ONE, Range
from fastiam.kernel.model.match_ops cimport FLAT_CROSSES, FLAT_ENDS, FLAT_PRINCIPALS, Flat, TURN_ASKS, TURN_DONE, TURN_GROUP, TURN_INDEX, TURN_ODD
from fastiam.kernel.model.plan cimport ROW_FLAT, Row, WAY_FAR
from fastiam.kernel.model.string_table cimport table_find
from fastiam.kernel.model.tables cimport TablesC


cdef enum Through:             # what a row comes through, else the number of an endpoint and NAMED
    NOT_SOUGHT = 0
    NOTHING = 1                # no endpoint, or one that nobody knows where none has a policy
    UNKNOWN = 2                # one that nobody knows, where some have
    NAMED = 3


cdef enum:                     # whether an endpoint leaves a row as it is
    MAY_NOT = 0
    PASSES = 1
    ASKS_TEXT = 2              # the text of the resource tells


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


cdef inline Basis own_basis(const Block* b, bint sifted, uint32_t i, int64_t row) noexcept nogil:
    """What truths may depend on, as far as a block knows it before the resources are looked up: neither tags nor the region."""
    if sifted:
        return Basis(row, b.who[i], NONE, b.owner[i], NULL, resource_plan(True, b.differs[i] == 0))
    return Basis(row, b.who[i], NONE, NONE, NULL, resource_plan(True, False))


cdef inline bint surely_holds(Call* c, uint32_t id, const Basis* q) noexcept nogil:
    """Whether a condition is known to hold by the value of a column, or who asks, and nothing is to be counted."""
    cdef const ContextColumn* column
    cdef const uint64_t* told
    cdef uint64_t key = 0
    cdef int64_t code
    if id >= c.s.n_kept:
        return False
    if c.s.kept[id].truths != NULL:
        column = &c.columns[c.s.kept[id].column]
        code = kept_code(column, q.row)
        return code < column.n_codes and c.s.kept[id].truths[code] == T + 1
    told = told_place(c, id, q, &key)
    told = NULL if told == NULL else told_at(told, key)
    return told != NULL and told[0] == (key << TOLD_BITS | T)


cdef inline bint all_hold(Call* c, uint32_t conditions, const Basis* q) noexcept nogil:
    cdef Range block
    cdef uint32_t i
    if conditions & ONE:
        return surely_holds(c, conditions ^ ONE, q)
    block = c.t.condition_lists[conditions]
    for i in range(block.n):
        if not surely_holds(c, c.t.atom_lists[block.first + i], q):
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


cdef inline bint is_silent(const Look* l, const Flat* f) noexcept nogil:
    """Whether a statement surely does not apply by its resource, so that nothing else of it is read."""
    return has_pieces(f) and not is_odd(l, f) and (l.facts & FACTS_STAR or not flat_matches(l, f))


cdef inline bint surely_stands(Look* l, const Flat* f, const Basis* q) noexcept nogil:
    """Whether a statement surely applies."""
    if f.flags & (FLAT_PRINCIPALS | FLAT_ENDS) or (f.flags & FLAT_CROSSES and l.facts & FACTS_COLON):
        return False
    if has_pieces(f):
        if l.facts & FACTS_STAR or not flat_matches(l, f):
            return False
    elif f.first != TURN_DONE and f.first != TURN_ASKS:
        return False
    return f.conditions == NONE or all_hold(l.c, f.conditions, q)


cdef inline uint32_t passes(const Block* b, Look* l, const Row* row, const Basis* q) noexcept nogil:
    """Whether the policy of an endpoint surely leaves a row as it is: none of its denies may hold, and one of its allows does."""
    cdef const Flat* f
    cdef uint32_t k
    if not row.flags & ROW_FLAT:                         # nor is the empty one flat
        return MAY_NOT
    l.c.action = &l.c.t.classes[b.cls[l.i]]
    for k in range(row.n_flats):
        f = l.c.t.flats + row.flat + k
        if f.first == TURN_GROUP:
            continue
        if has_pieces(f) and l.text == NULL:
            return ASKS_TEXT
        if k >= row.denies and surely_stands(l, f, q):
            return PASSES
        if is_silent(l, f) or (k < row.denies and (b.never[l.i] >> f.sieve) & 1):
            continue
        if k < row.denies or not reads_what_is_supplied(l.c, f):
            return MAY_NOT
    return MAY_NOT


cdef inline uint32_t through_endpoint(
    const Block* b, Look* l, const ContextColumn* column, bint sifted, bint has_text, uint32_t i
) noexcept nogil:
    """Whether the endpoint of a row surely leaves it as it is, as far as that is told with its text or without."""
    cdef Basis q = own_basis(b, sifted, i, l.row)
    cdef uint32_t through = endpoint_of(l.c.t, column, l.row), policy_set
    if b.facts[i] & FACTS_LONG:                          # SAFETY: it may have less than 16 bytes (`kernel.eval.literals`), or no text
        return MAY_NOT
    if through < NAMED:
        return PASSES * (through == NOTHING)
    policy_set = l.c.t.endpoints[through - NAMED].policy_set
    if policy_set == NONE:
        return PASSES
    l.i = i
    l.facts = b.facts[i]
    l.text = <const uint8_t*>b.text[i].data if has_text else NULL
    l.end = l.text + b.text[i].size
    return passes(b, l, layer_row(l.c.t, policy_set, b.cls[i], b.name[i]), &q)


cdef inline void pass_endpoints(Side* s, Call* c, const Rows* rows, int64_t at, int64_t n) noexcept nogil:
    """Send rows the long way that their endpoint may deny; the texts of resources are fetched where its policy names some."""
    cdef Block* b = s.block
    cdef const ContextColumn* column = &c.columns[c.s.sources[c.t.key_source_vpce]]
    cdef Look l
    cdef uint32_t i, j, found
    l.c = c
    l.pool = c.t.pool
    l.colons = NULL
    b.own_way.n = 0
    for i in range(<uint32_t>n):
        l.row = at + i
        found = through_endpoint(b, &l, column, is_sifted(s), rows.facts == NULL, i)
        if found == MAY_NOT:
            b.limits[i] |= WAY_FAR
        elif found == ASKS_TEXT:
            b.own_way.rows[b.own_way.n] = narrow16(i)
            b.own_way.n += 1
    fetch_texts(s, rows, &b.own_way)
    for j in range(b.own_way.n):
        i = b.own_way.rows[j]
        l.row = at + i
        if through_endpoint(b, &l, column, is_sifted(s), True, i) != PASSES:
            b.limits[i] |= WAY_FAR
