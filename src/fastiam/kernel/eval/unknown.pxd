"""Unknown keys of a call (spec D70, D71). Header only.

The declarations of the caller are in `Call.unknown`, by id of the key. It is NULL if nothing is declared, and then nothing here runs.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport realloc
from libc.string cimport memchr

from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.columns.column cimport item_text, row_items
from fastiam.kernel.model.call cimport Call, ContextColumn, Scratch
from fastiam.kernel.eval.key_values cimport constant_of, is_withheld
from fastiam.kernel.model.conditions cimport ATOM_FIXED, Atom, Value
from fastiam.kernel.model.ids cimport NONE
from fastiam.kernel.model.keys cimport (
    Constant, DECLARED_BY_PREFIX, DECLARED_NOT, FACT_KNOWN, KEY_IAM_TAG, KEY_MFA, KEY_RESOURCE_ACCOUNT, KEY_RESOURCE_ORG, KEY_RESOURCE_ORG_PATHS,
    KEY_TAG_KEYS, KEY_TIME, Key, OF_CALLED_VIA, OF_CLOCK, OF_SOURCE_ACCOUNT, OF_SOURCE_VPCE, ONE_KEY, has_trait,
)
from fastiam.kernel.model.patterns cimport VARIABLE_TOKEN_SIZE, TOKEN_VARIABLE
from fastiam.kernel.model.principals cimport KIND_AROOT, KIND_ROOT, KIND_USER, P_SESSION_KNOWN, P_TAGS_KNOWN
from fastiam.kernel.model.tables cimport TablesC


cdef inline uint32_t variable_index(const uint8_t* slot) noexcept nogil:
    """The variable that a slot stands for."""
    promise((slot[1] | slot[2] | slot[3] | slot[4]) < 128)
    return slot[1] | (<uint32_t>slot[2] << 7) | (<uint32_t>slot[3] << 14) | (<uint32_t>slot[4] << 21)


cdef inline const uint8_t* next_variable_token(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """The first slot of a text from a place on that is none, or is behind one; NULL: there is none."""
    return <const uint8_t*>memchr(p, TOKEN_VARIABLE, <size_t>(end - p))


cdef struct VariableCursor:    # the variables of an atom's values that are to come
    uint32_t value             # from this value on
    const uint8_t* at          # and those of the one before, from here on
    const uint8_t* end


cdef inline uint32_t next_variable(const TablesC* t, const Atom* atom, VariableCursor* left) noexcept nogil:
    """The key that the next variable of an atom's values stands for; NONE: there is none left."""
    cdef const Value* v
    cdef const uint8_t* p
    while True:
        p = next_variable_token(left.at, left.end) if left.at != left.end else NULL
        if p != NULL:
            left.at = p + VARIABLE_TOKEN_SIZE
            return t.variables[variable_index(p)].key
        if atom.flags & ATOM_FIXED or left.value == atom.n:
            return NONE
        v = &t.values[atom.first + left.value]
        left.value += 1
        left.end = t.pool + v.text + v.size
        left.at = t.pool + v.text if v.has_variables else left.end


cdef inline bint known_absent(Call* c, const Key* k, uint32_t key) noexcept nogil:
    """Whether the principal is known not to have a key."""
    cdef const uint32_t* absent = &c.t.symbol_lists[c.principal.absent]
    cdef uint32_t i
    if k.is_principal_tag and c.principal.flags & P_TAGS_KNOWN:
        return True
    if k.is_session_entry and c.principal.flags & P_SESSION_KNOWN:
        return True
    for i in range(c.principal.n_absent):
        if absent[i] == key:
            return True
    return False


cdef inline bint is_known(Call* c, const Key* k, uint32_t key) noexcept nogil:
    """Whether principal, resource or endpoint determine a key, so that its declaration is ignored (D71)."""
    cdef const Constant* own = constant_of(&c.t.constants[c.principal.constants], c.principal.n_constants, key)
    if own != NULL:
        return own.certainty == FACT_KNOWN
    if known_absent(c, k, key):
        return True
    if k.source == KEY_RESOURCE_ACCOUNT and c.owner_known and not c.is_ad_hoc:
        return True
    if k.source == KEY_RESOURCE_ORG and c.account != NONE and c.t.accounts[c.account].org != NONE:
        return True
    if k.source == KEY_RESOURCE_ORG_PATHS and c.account != NONE and c.t.accounts[c.account].org_paths != NONE:
        return True
    if c.endpoint != NULL and constant_of(&c.t.constants[c.endpoint.constants], c.endpoint.n_constants, key) != NULL:
        return True
    if k.source == KEY_IAM_TAG and c.is_iam_entity and constant_of(c.constants, c.n_constants, k.other) != NULL:
        return True
    return constant_of(c.constants, c.n_constants, key) != NULL


cdef inline uint32_t derived_from(const TablesC* t, const Key* k) noexcept nogil:
    """The key from which another one follows if the caller does not give that; NONE: none, or several (`aws:TagKeys`)."""
    if has_trait(k, OF_CALLED_VIA):
        return t.key_called_via
    if has_trait(k, OF_SOURCE_ACCOUNT):
        return t.key_source_account
    if has_trait(k, OF_CLOCK):
        return t.key_epoch if k.source == KEY_TIME else t.key_time
    if has_trait(k, OF_SOURCE_VPCE):
        return t.key_source_vpce
    return k.other if k.source == KEY_IAM_TAG else <uint32_t>NONE


cdef inline uint32_t followed(Call* c, const Key* k) noexcept nogil:
    """The key that this one follows from, and nothing else; NONE where there is none."""
    if not has_trait(k, ONE_KEY) or (k.source == KEY_IAM_TAG and not c.is_iam_entity):
        return NONE
    return derived_from(c.t, k)


cdef inline bint is_declared(Call* c, uint32_t key) noexcept nogil:
    """Declared unknown by name, or by a prefix where the caller does not give it; and not known (D71)."""
    cdef const Key* k = &c.t.keys[key]
    cdef uint8_t how = c.unknown[key]
    cdef uint32_t other
    promise(key < c.t.n_keys and key < c.s.n_sources)
    if how == DECLARED_NOT or c.s.sources[key] >= 0:
        return False
    if how == DECLARED_BY_PREFIX:
        other = followed(c, k)
        if other != NONE and c.s.sources[other] >= 0:
            return False
    if is_withheld(c, k):
        return False
    if key == c.t.key_assumed_root and (c.principal.kind == KIND_ROOT or c.principal.kind == KIND_AROOT):
        return False
    return not is_known(c, k, key)


cdef inline bint has_value(const ContextColumn* column, int64_t row) noexcept nogil:
    """Whether a column gives a row something. INVARIANT: no list holds a null (`kernel.columns.read`)."""
    cdef int64_t first, last
    cdef Text text
    row_items(column.column, column.first + row, &first, &last)
    return last > first and item_text(column.column, first, &text)


cdef inline bint is_given(const Call* c, uint32_t key) noexcept nogil:
    """Whether the caller gives a key with a value; without the scratch lists."""
    cdef int32_t at = c.s.sources[key]
    if at < 0:
        return False
    return c.context_entries[at].n > 0 if c.columns == NULL else has_value(&c.columns[at], c.row)


cdef inline bint is_unknown(Call* c, uint32_t key) noexcept nogil:
    """Declared unknown, or derived from what is declared so and not given (D71)."""
    cdef const Key* k = &c.t.keys[key]
    cdef uint32_t other
    if is_declared(c, key):
        return True
    if k.source == KEY_TAG_KEYS:
        return c.unknown_tags and not is_given(c, key)
    if (k.source == KEY_IAM_TAG and not c.is_iam_entity) or (k.source == KEY_MFA and (c.principal.kind != KIND_USER or is_known(c, k, key))):
        return False
    other = derived_from(c.t, k)
    return other != NONE and is_declared(c, other) and not is_given(c, key)


cdef inline void add_deciding_key(Call* c, uint32_t key) noexcept nogil:
    """Add a key to those on which the answer depends."""
    cdef Scratch* s = c.s
    cdef uint32_t* grown
    cdef uint32_t i
    for i in range(s.n_deciding_keys):
        if s.deciding_keys[i] == key:
            return
    if s.n_deciding_keys == s.deciding_keys_capacity:
        grown = <uint32_t*>realloc(s.deciding_keys, (2 * s.deciding_keys_capacity + 16) * 4)
        if grown == NULL:
            s.failed = 1
            return
        s.deciding_keys = grown
        s.deciding_keys_capacity = 2 * s.deciding_keys_capacity + 16
    s.deciding_keys[s.n_deciding_keys] = key
    s.n_deciding_keys += 1


cdef inline bint reads_unknown(Call* c, const uint8_t* p, int64_t size, bint collect) noexcept nogil:
    """Whether a text has an unknown variable; with `collect` all of them are added to the deciding keys."""
    cdef const uint8_t* end = p + size
    cdef uint32_t key
    cdef bint found = False
    while True:
        p = next_variable_token(p, end)
        if p == NULL:
            return found
        key = c.t.variables[variable_index(p)].key
        if is_unknown(c, key):
            if not collect:
                return True
            found = True
            add_deciding_key(c, key)
        p += VARIABLE_TOKEN_SIZE
