"""Memoized truths of condition atoms in a thread of a batch, by the inputs that they depend on. Header only.

For a column with dictionary codes, the truths of an atom are an array by code. Truths that depend on the principal, on the text of a plain
column, on the tags of a resource or on no input of the row are in a hash table of bounded size. New entries evict old ones; the table grows
if that happens often.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.base.text cimport mix, short_equal, short_hash
from fastiam.kernel.columns.column cimport item_code
from fastiam.kernel.eval.key_columns cimport MAX_PROBES, row_code
from fastiam.kernel.eval.key_values cimport is_withheld
from fastiam.kernel.eval.unknown cimport VariableCursor, derived_from, has_value, next_variable
from fastiam.kernel.model.actions cimport ACT_GLOBAL
from fastiam.kernel.model.call cimport (
    Call, ContextColumn, AtomMemo, MAX_REGION, N_KNOWN_FALSE, N_REGIONS, KnownFalse, DEP_NULL_RESOURCE_KEYS, DEP_NULL_OWNER, DEP_NULL_OTHER,
    DEP_NULL_REGION, DEP_NULL_CALLED_VIA, DEP_NULL_PRINCIPAL, DEP_PRINCIPAL_ONLY, DEP_CROSS_BATCH, DEP_COMPUTED, DEP_MEMOIZABLE, DEP_TEMPLATE_KEY,
    DEP_PRINCIPAL, Region, Scratch,
)
from fastiam.kernel.model.conditions cimport ATOM_FIXED, Atom, F
from fastiam.kernel.model.ids cimport NONE
from fastiam.kernel.model.keys cimport (
    KEY_ENDPOINT, KEY_IAM_TAG, KEY_PRINCIPAL, KEY_REGION, KEY_RESOURCE, KEY_RESOURCE_ACCOUNT, KEY_TAG_KEYS, KEY_VIA_SERVICE, Key,
    LASTING, OF_NOTHING, OF_OWNER, OF_PRINCIPAL, has_trait,
)
from fastiam.kernel.model.tables cimport TablesC


cdef enum:
    MAX_ATOM_MEMO_BYTES = 1 << 24  # bytes that a thread keeps arrays of truths in
    MIN_MEMO = 1 << 12
    MAX_MEMO = 1 << 20
    MEMO_VALUE_BITS = 2        # of a memoized truth
    EPOCH_BITS = 4


cdef extern from *:
    """
    /* A key that depends on a resource - its constants, its owner or its region, one of which determines a condition - or on whether a service
       calls: 15 bits of the condition, 20 of the principal, 20 of these; others have 20, 20 and 16. 61 bits with the epoch. */
    #define FASTIAM_BY_RESOURCE ((uint64_t)1 << 56)
    """
    uint64_t BY_RESOURCE "FASTIAM_BY_RESOURCE"


# -- truths by code -----------------------------------------------------------------------------------------------------

cdef inline bint null_is_absent(const Call* c, const Key* k) noexcept nogil:
    """Whether a key that a column leaves out is the same for all requests: neither principal nor action determines it."""
    if k.source == KEY_RESOURCE:
        return c.n_constants == 0
    return not k.is_checked and has_trait(k, OF_NOTHING)


cdef inline uint8_t* code_truth(Call* c, const Atom* atom, uint32_t id) noexcept nogil:
    """Where the truth of an atom is kept for the value that its column has in this row; NULL where it is not."""
    cdef int32_t at = c.s.sources[atom.key]
    cdef const ContextColumn* column
    cdef const Key* k = &c.t.keys[atom.key]
    cdef AtomMemo* atom_memo
    cdef int64_t code, n
    if at < 0 or not c.columns[at].has_code_memo or not atom.flags & ATOM_FIXED or id >= c.s.n_atom_memo:
        return NULL
    if is_withheld(c, k):
        return NULL                                      # it is absent, whatever the column says
    column = &c.columns[at]
    n = column.n_codes
    code = row_code(column, c.row)
    if code > n or (code == n and not null_is_absent(c, k)):
        return NULL
    atom_memo = &c.s.atom_memo[id]
    if atom_memo.truths == NULL:
        if c.s.atom_memo_bytes + n > MAX_ATOM_MEMO_BYTES:
            return NULL
        atom_memo.truths = <uint8_t*>calloc(<size_t>n + 2, 1)
        if atom_memo.truths == NULL:
            return NULL
        atom_memo.column = narrow32(at)
        c.s.atom_memo_bytes += n + 2
    return &atom_memo.truths[code]


cdef inline void store_code_truth(Call* c, uint32_t id, uint8_t* slot, int truth) noexcept nogil:
    """Keep the truth of an atom at the place that it has."""
    cdef const AtomMemo* atom_memo = &c.s.atom_memo[id]
    slot[0] = narrow8(truth + 1)
    if truth == F and atom_memo.filter_bits and c.columns[atom_memo.column].known_false != NULL:
        c.columns[atom_memo.column].known_false[slot - atom_memo.truths] |= atom_memo.filter_bits


# -- truths by principal, by text, by tags, or once a batch --------------------------------------------------------------

cdef inline bint variables_are_principal_keys(const TablesC* t, const Atom* atom) noexcept nogil:
    """Whether all variables of an atom's values are keys of the principal."""
    cdef VariableCursor left = VariableCursor(0, NULL, NULL)
    cdef uint32_t key = next_variable(t, atom, &left)
    while key != NONE and t.keys[key].source == KEY_PRINCIPAL:
        key = next_variable(t, atom, &left)
    return key == NONE


cdef inline uint32_t null_dependencies(const Call* c, uint32_t key) noexcept nogil:
    """What the value of a key depends on where no column gives it."""
    cdef const Key* k = &c.t.keys[key]
    cdef uint32_t principal_bit = DEP_NULL_PRINCIPAL if k.is_checked else 0
    cdef int32_t i
    if has_trait(k, OF_NOTHING):
        return principal_bit
    if has_trait(k, OF_PRINCIPAL):
        return DEP_NULL_PRINCIPAL
    if has_trait(k, OF_OWNER):
        return DEP_NULL_OWNER | DEP_NULL_PRINCIPAL
    if k.source == KEY_RESOURCE:
        return DEP_NULL_RESOURCE_KEYS | principal_bit
    if k.source == KEY_REGION:
        return DEP_NULL_REGION | principal_bit
    if k.source == KEY_TAG_KEYS:
        for i in range(c.n_columns):
            if c.columns[i].tag.data != NULL:
                return DEP_NULL_OTHER
        return principal_bit
    if k.source == KEY_IAM_TAG or k.source == KEY_ENDPOINT:
        return DEP_NULL_OTHER
    if c.s.sources[derived_from(c.t, k)] < 0:
        return principal_bit
    return DEP_NULL_CALLED_VIA | principal_bit if k.source == KEY_VIA_SERVICE else <uint32_t>DEP_NULL_OTHER


cdef inline uint32_t variable_dependencies(const Call* c, const Atom* atom) noexcept nogil:
    """What the variables of an atom's values depend on: DEP_PRINCIPAL at most; 0 if on more than that."""
    cdef VariableCursor left = VariableCursor(0, NULL, NULL)
    cdef uint32_t dependencies = DEP_MEMOIZABLE, key = next_variable(c.t, atom, &left), of_key
    while key != NONE:
        of_key = null_dependencies(c, key)
        if c.s.sources[key] >= 0 or of_key & ~<uint32_t>DEP_NULL_PRINCIPAL:
            return 0
        if of_key:
            dependencies |= DEP_PRINCIPAL
        key = next_variable(c.t, atom, &left)
    return dependencies


cdef inline bint reads_template_key(const TablesC* t, const Atom* atom) noexcept nogil:
    """Whether an atom may say something else of copies of one principal."""
    cdef VariableCursor left = VariableCursor(0, NULL, NULL)
    cdef uint32_t key = atom.key
    while key != NONE and not t.keys[key].is_template_key:
        key = next_variable(t, atom, &left)
    return key != NONE


cdef inline uint32_t find_dependencies(const Call* c, const Atom* atom) noexcept nogil:
    """What the truth of an atom depends on in this batch."""
    cdef int32_t at = c.s.sources[atom.key]
    cdef uint32_t dependencies = variable_dependencies(c, atom)
    cdef const Key* k = &c.t.keys[atom.key]
    if not dependencies & DEP_MEMOIZABLE:
        return DEP_COMPUTED
    dependencies |= null_dependencies(c, atom.key)
    if at < 0 and not dependencies & (DEP_NULL_OTHER | DEP_NULL_RESOURCE_KEYS | DEP_NULL_OWNER | DEP_NULL_REGION | DEP_NULL_CALLED_VIA):
        if not k.is_resource_tag:
            dependencies |= DEP_PRINCIPAL_ONLY
    # INVARIANT: the principal is in the keys of what is kept across batches, none of which is 0
    if at < 0 and dependencies & (DEP_PRINCIPAL | DEP_NULL_PRINCIPAL) and (
        has_trait(k, OF_OWNER) or has_trait(k, LASTING) and dependencies & DEP_PRINCIPAL_ONLY
    ):
        if variables_are_principal_keys(c.t, atom):
            dependencies |= DEP_CROSS_BATCH
    if reads_template_key(c.t, atom):
        dependencies |= DEP_TEMPLATE_KEY
    return DEP_COMPUTED | dependencies


cdef struct RowInputs:         # what a truth may depend on, of a row of the range
    int64_t row
    uint32_t principal_id
    uint32_t constants         # of the resource, if all of them are its own; NONE: not known
    uint32_t owner             # its account, plus 1, if it is another one than the principal's; 0: one that is not modelled; NONE: not known
    const char* region_end     # the colon behind the region of the resource, which need not have one; NULL: not known
    uint8_t resource           # what the resource has, as DEP_*: constants, or another owner than the principal's account


cdef inline uint8_t resource_dependencies(bint has_constants, bint is_own_owner) noexcept nogil:
    return narrow8(has_constants * DEP_NULL_RESOURCE_KEYS | (not is_own_owner) * DEP_NULL_OWNER)


cdef inline bint is_by_constants(const RowInputs* q, uint32_t dependencies) noexcept nogil:
    """Whether the constants of a resource determine a key that no column gives."""
    return q.constants != NONE and dependencies & DEP_NULL_RESOURCE_KEYS  # INVARIANT: such a key depends neither on more nor on the owner


cdef inline bint is_by_owner(const RowInputs* q, uint32_t dependencies, const Key* k) noexcept nogil:
    """Whether the owner of a resource determines such a key: of one that is not modelled, no organization."""
    return q.owner != NONE and dependencies & DEP_NULL_OWNER and (q.owner or k.source != KEY_RESOURCE_ACCOUNT)


cdef inline uint32_t intern_region(Scratch* s, const char* text, int64_t size) noexcept nogil:
    """The number of a region, from 1 on; NONE: there is no slot for it."""
    cdef uint64_t hash = short_hash(text, size, 0)
    cdef Region* slot
    cdef uint32_t i, at
    for i in range(MAX_PROBES):
        at = <uint32_t>(hash + i) & (N_REGIONS - 1)
        slot = &s.regions[at]
        if slot.size == 0:
            slot.size = narrow8(size)
            memcpy(slot.text, text, <size_t>size)
        if slot.size == size and short_equal(slot.text, text, size):
            return at + 1
    return NONE


cdef inline uint32_t region_number(const Call* c, const RowInputs* q) noexcept nogil:
    """What `region_value` depends on: a region, or 0 where there is none."""
    cdef const char* start = q.region_end
    cdef uint32_t partition
    if start == NULL:
        return NONE
    while (start - 1)[0] != 58 and q.region_end - start <= MAX_REGION:    # ":"; there is one before, in an ARN
        start -= 1
    if q.region_end - start > MAX_REGION:
        return NONE
    if q.region_end != start:
        return intern_region(c.s, start, q.region_end - start)
    partition = c.t.principals[q.principal_id].partition  # it is that of the resource
    if not c.action.flags & ACT_GLOBAL or partition == NONE or c.t.symbols[partition].size != 3 \
            or not short_equal(<const char*>c.t.pool + c.t.symbols[partition].text, b"aws", 3):
        return 0
    return intern_region(c.s, b"us-east-1", 9)


cdef inline uint32_t template_principal(const Scratch* s, uint32_t principal_id) noexcept nogil:
    """The template of a principal, or the principal: a condition that reads no template key is the same for both."""
    cdef uint32_t template = s.template_ids[principal_id]
    return template - 1 if template else principal_id


cdef inline uint32_t memo_principal_of(const Scratch* s, uint32_t dependencies, uint32_t principal_id) noexcept nogil:
    """The principal for which the truth of a condition is memoized: once for all of one template."""
    return principal_id if dependencies & DEP_TEMPLATE_KEY else template_principal(s, principal_id)


cdef inline const uint64_t* memo_find(const uint64_t* slot, uint64_t key) noexcept nogil:
    """The entry of a key: in its slot, or beside it; NULL: none."""
    slot += slot[0] >> MEMO_VALUE_BITS != key            # no branch: which of the two is not to be foreseen
    return slot if slot[0] >> MEMO_VALUE_BITS == key else NULL


cdef inline bint is_live_memo(const Scratch* s, uint64_t entry) noexcept nogil:
    """Whether an entry is of this epoch, or is kept across batches."""
    cdef uint32_t epoch = <uint32_t>(entry >> MEMO_VALUE_BITS) & ((1 << EPOCH_BITS) - 1)
    return epoch == 0 or epoch == s.memo_epoch


cdef inline void memo_put(Scratch* s, uint64_t* slot, uint64_t entry) noexcept nogil:
    """Store an entry in a slot; the former entry goes beside it, and what was beside it is evicted."""
    if slot[0] >> MEMO_VALUE_BITS != entry >> MEMO_VALUE_BITS:
        s.n_evicted += slot[1] != 0 and is_live_memo(s, slot[1])
        slot[1] = slot[0]
    slot[0] = entry


cdef inline void rehash_memo(const uint64_t* old, uint64_t n, uint64_t* room, uint64_t mask) noexcept nogil:
    """Store the entries of a table in a larger one."""
    cdef uint64_t i
    cdef uint64_t* slot
    for i in range(n):
        if old[i]:
            slot = &room[mix(old[i] >> MEMO_VALUE_BITS) & mask & ~<uint64_t>1]
            slot[slot[0] != 0] = old[i]


cdef inline uint64_t memo_key(const Scratch* s, uint32_t dependencies, uint64_t key) noexcept nogil:
    """The key that means something in this epoch, or in all of them."""
    return key << EPOCH_BITS | (0 if dependencies & DEP_CROSS_BATCH else s.memo_epoch)


cdef inline uint64_t* memo_bucket(Scratch* s, uint64_t key) noexcept nogil:
    """The slot of a key, and the one beside it."""
    return &s.truth_memo[mix(key) & s.truth_memo_mask & ~<uint64_t>1]


cdef inline uint64_t* memo_slot_principal_only(
    const Call* c, uint32_t id, uint32_t dependencies, uint32_t principal_id, uint64_t* key
) noexcept nogil:
    """`memo_slot`, of an atom that is DEP_PRINCIPAL_ONLY: that made its plan in this batch, in which nothing is unknown."""
    cdef uint64_t memo_principal = 0
    if dependencies & (DEP_PRINCIPAL | DEP_NULL_PRINCIPAL):
        memo_principal = <uint64_t>memo_principal_of(c.s, dependencies, principal_id) + 1
    if (id | memo_principal) >> 20:
        return NULL
    key[0] = memo_key(c.s, dependencies, (<uint64_t>id << 20 | memo_principal) << 16)
    return memo_bucket(c.s, key[0])


cdef inline uint64_t* memo_slot(const Call* c, uint32_t id, const RowInputs* q, uint64_t* key) noexcept nogil:
    """The memo slot of the truth of an atom for a row, and its key; NULL: none."""
    cdef Scratch* s = c.s
    cdef const Atom* atom = &c.t.atoms[id]
    cdef const ContextColumn* column
    cdef int32_t at = s.sources[atom.key]
    cdef uint32_t dependencies, memo_principal, principal_part, by = NONE
    cdef uint64_t code = 0
    cdef bint is_absent = at < 0
    if s.atom_memo == NULL or id >= s.n_atom_memo or c.unknown != NULL or is_withheld(c, &c.t.keys[atom.key]):
        return NULL
    dependencies = s.atom_memo[id].dependencies
    if dependencies == 0:
        dependencies = find_dependencies(c, atom)
        s.atom_memo[id].dependencies = narrow16(dependencies)
    if not dependencies & DEP_MEMOIZABLE:
        return NULL
    if at >= 0:
        column = &c.columns[at]
        is_absent = column.column.is_list and not has_value(column, q.row)
        if not is_absent and not column.has_code_memo:
            return NULL
        if not is_absent:
            code = <uint64_t>row_code(column, q.row) + 1
            is_absent = code > <uint64_t>column.n_codes
        if code > <uint64_t>column.n_codes + 1:
            return NULL
    memo_principal = memo_principal_of(s, dependencies, q.principal_id)
    principal_part = memo_principal + 1 if dependencies & DEP_PRINCIPAL or (is_absent and dependencies & DEP_NULL_PRINCIPAL) else 0
    if is_absent and dependencies & (DEP_NULL_OTHER | DEP_NULL_REGION | DEP_NULL_CALLED_VIA | q.resource):
        if dependencies & DEP_NULL_REGION:
            by = region_number(c, q)
        elif dependencies & DEP_NULL_CALLED_VIA:
            by = has_value(&c.columns[s.sources[c.t.key_called_via]], q.row)
        elif is_by_constants(q, dependencies):
            by = q.constants
        elif is_by_owner(q, dependencies, &c.t.keys[atom.key]):
            by = q.owner
        principal_part = memo_principal + 1 if dependencies & DEP_PRINCIPAL else 0  # sessions carry none of these keys (K3)
        if id >> 15 or principal_part >> 20 or by >> 20:
            return NULL
        key[0] = (<uint64_t>id << 20 | principal_part) << 20 | by | BY_RESOURCE
    else:
        if id >> 20 or principal_part >> 20 or code >> 16:
            return NULL
        key[0] = (<uint64_t>id << 20 | principal_part) << 16 | code
    key[0] = memo_key(s, dependencies, key[0])
    return memo_bucket(s, key[0])


cdef inline int memo_truth(const uint64_t* slot, uint64_t key) noexcept nogil:
    """The memoized truth of an atom; -1 if there is none."""
    cdef const uint64_t* entry = NULL if slot == NULL else memo_find(slot, key)
    return -1 if entry == NULL else <int>(entry[0] & 3)


cdef inline int memoized_truth(const Call* c, uint32_t id, const RowInputs* q) noexcept nogil:
    cdef uint64_t key = 0
    cdef const uint64_t* slot = memo_slot(c, id, q, &key)
    return memo_truth(slot, key)


cdef inline void add_known_false(Scratch* s, uint16_t* number, uint64_t bits, bint is_own_account) noexcept nogil:
    """Let further bits not hold for a caller; where there is no room to say so, they may hold as before."""
    cdef KnownFalse needed = s.known_false_table[number[0]]
    cdef uint32_t at, probe, hash
    if is_own_account:
        needed.own_account |= bits
    else:
        needed.anywhere |= bits
    hash = <uint32_t>mix(needed.anywhere ^ mix(needed.own_account))
    for probe in range(MAX_PROBES):
        at = (hash + probe) & (N_KNOWN_FALSE - 1)
        if at and not s.known_false_table[at].anywhere | s.known_false_table[at].own_account:
            s.known_false_table[at] = needed
        if s.known_false_table[at].anywhere == needed.anywhere and s.known_false_table[at].own_account == needed.own_account:
            number[0] = narrow16(at)
            return


cdef inline void record_known_false(const Call* c, uint32_t id, const RowInputs* q) noexcept nogil:
    """Make the bits of a condition that is false, and kept across batches, known false for the principal and its template; of keys of owners, for the
    resources of one."""
    cdef Scratch* s = c.s
    cdef bint is_owners = has_trait(&c.t.keys[c.t.atoms[id].key], OF_OWNER)
    cdef uint32_t principal_id = q.principal_id if s.atom_memo[id].dependencies & DEP_TEMPLATE_KEY else template_principal(s, q.principal_id)
    if not s.atom_memo[id].dependencies & DEP_CROSS_BATCH or not s.atom_memo[id].filter_bits:
        return
    if not is_owners or not q.resource & DEP_NULL_OWNER:
        add_known_false(s, &s.principal_states[principal_id].known_false_id, s.atom_memo[id].filter_bits, is_owners)
    elif q.owner < s.n_owned and not s.atom_memo[id].dependencies & DEP_PRINCIPAL:
        s.known_false_by_owner[q.owner] |= s.atom_memo[id].filter_bits


cdef inline bint is_region_from_resource(const ContextColumn* column, int64_t row) noexcept nogil:
    """Whether the resource of a row determines the region: no column does, or the one that does (NULL: none) has no value."""
    return column == NULL or item_code(column.column, column.first + row) < 0


cdef inline void record_region_known_false(const Call* c, uint32_t id, const RowInputs* q) noexcept nogil:
    """Let the bits of a condition not hold for resources of a region, where it does not."""
    cdef uint32_t number = region_number(c, q)
    if number != NONE and number != 0:
        c.s.known_false_by_region[number] |= c.s.atom_memo[id].filter_bits
        c.s.known_false_by_region[0] |= c.s.atom_memo[id].filter_bits


cdef inline void memoize_truth(const Call* c, uint32_t id, const RowInputs* q, int truth) noexcept nogil:
    """Memoize the truth of an atom for the rows to come."""
    cdef uint64_t key
    cdef uint64_t* slot = memo_slot(c, id, q, &key)
    cdef const Key* k = &c.t.keys[c.t.atoms[id].key]
    cdef int32_t at = c.s.sources[c.t.atoms[id].key]
    cdef const ContextColumn* column = NULL if at < 0 else &c.columns[at]
    if slot != NULL:
        memo_put(c.s, slot, key << MEMO_VALUE_BITS | <uint64_t>truth)
        if truth == F:
            record_known_false(c, id, q)
        if truth == F and c.s.atom_memo[id].filter_bits and k.source == KEY_REGION and is_region_from_resource(column, q.row):
            record_region_known_false(c, id, q)


cdef inline void invalidate_memo(Scratch* s) noexcept nogil:
    """Start a new epoch: the entries of earlier ones are void, except for what is kept across batches, whose epoch is 0."""
    s.memo_epoch += 1
    if s.memo_epoch >> EPOCH_BITS:
        memset(s.truth_memo, 0, (<size_t>s.truth_memo_mask + 1) * sizeof(uint64_t))
        s.memo_epoch = 1
