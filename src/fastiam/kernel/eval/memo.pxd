"""Memoized truths of condition atoms in a thread of a batch, by the inputs that they depend on. Header only.

For a column with dictionary codes, the truths of an atom are an array by code. Truths that depend on the principal, on the text of a plain
column, on the tags of a resource or on no input of the row are in a hash table of bounded size. New entries evict old ones; the table grows
if that happens often.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.base.text cimport Text, mix, short_equal, short_hash
from fastiam.kernel.columns.column cimport item_code, item_text, row_items
from fastiam.kernel.eval.key_columns cimport MOST_PROBES, kept_code
from fastiam.kernel.eval.unknown cimport Slots, next_variable
from fastiam.kernel.model.actions cimport ACT_GLOBAL, ACT_PASS_ROLE
from fastiam.kernel.model.call cimport (
    Call, ContextColumn, Kept, MOST_REGION, N_NEVERS, N_REGIONS, Never, PLAN_ABSENT_BARE, PLAN_ABSENT_HOME, PLAN_ABSENT_MORE, PLAN_ABSENT_REGION,
    PLAN_ABSENT_VIA, PLAN_ABSENT_WHO, PLAN_ALONE, PLAN_LASTS, PLAN_MADE, PLAN_TOLD, PLAN_VARIES, PLAN_WHO, Region, Scratch, is_supplied,
)
from fastiam.kernel.model.conditions cimport ATOM_FIXED, Atom, F
from fastiam.kernel.model.ids cimport NONE
from fastiam.kernel.model.keys cimport (
    KEY_CALLED_FIRST, KEY_CALLED_LAST, KEY_CALLER, KEY_DEFAULT, KEY_EPOCH, KEY_MFA, KEY_MFA_AGE, KEY_PRINCIPAL, KEY_REGION, KEY_RESOURCE,
    KEY_RESOURCE_ACCOUNT, KEY_RESOURCE_ORG, KEY_RESOURCE_ORG_PATHS, KEY_SOURCE_ORG, KEY_SOURCE_ORG_PATHS, KEY_TAG_KEYS, KEY_TIME, KEY_VIA_SERVICE,
    Key,
)
from fastiam.kernel.model.missing_keys cimport count_row
from fastiam.kernel.model.tables cimport TablesC


cdef enum:
    MOST_TRUTHS = 1 << 24      # bytes that a thread keeps arrays of truths in
    LEAST_TOLD = 1 << 12
    MOST_TOLD = 1 << 20
    TOLD_BITS = 3              # of a truth that is told
    EPOCH_BITS = 4


cdef extern from *:
    """
    /* A key that is told by a resource - its constants, its owner or its region, one of which tells a condition - or by whether a service
       calls: 15 bits of the condition, 20 of who asks, 20 of these; others have 20, 20 and 16. 61 bits with the epoch. */
    #define FASTIAM_BY_RESOURCE ((uint64_t)1 << 56)
    """
    uint64_t BY_RESOURCE "FASTIAM_BY_RESOURCE"


# -- truths by code -----------------------------------------------------------------------------------------------------

cdef inline bint null_is_absent(const Call* c, const Key* k) noexcept nogil:
    """Whether a key that a column leaves out is the same for everybody: nothing that who asks or what for could tell."""
    if k.source == KEY_RESOURCE:
        return c.n_constants == 0
    return not k.is_checked and (k.source == KEY_CALLER or k.source == KEY_DEFAULT)


cdef inline uint8_t* kept_truth(Call* c, const Atom* atom, uint32_t id) noexcept nogil:
    """Where the truth of an atom is kept for the value that its column has in this row; NULL where it is not."""
    cdef int32_t at = c.s.sources[atom.key]
    cdef const ContextColumn* column
    cdef const Key* k = &c.t.keys[atom.key]
    cdef Kept* kept
    cdef int64_t code, n
    if at < 0 or not c.columns[at].keeps_truths or not atom.flags & ATOM_FIXED or id >= c.s.n_kept:
        return NULL
    if k.is_resource_tag and c.action.flags & ACT_PASS_ROLE:
        return NULL                                      # it is absent, whatever the column says
    column = &c.columns[at]
    n = column.n_codes
    code = kept_code(column, c.row)
    if code > n or (code == n and not null_is_absent(c, k)):
        return NULL
    kept = &c.s.kept[id]
    if kept.truths == NULL:
        if c.s.truth_bytes + n > MOST_TRUTHS:
            return NULL
        kept.truths = <uint8_t*>calloc(<size_t>n + 2, 1)
        if kept.truths == NULL:
            return NULL
        kept.column = narrow32(at)
        c.s.truth_bytes += n + 2
    return &kept.truths[code]


cdef inline void keep_truth(Call* c, uint32_t id, uint8_t* place, int truth) noexcept nogil:
    """Keep the truth of an atom at the place that it has."""
    cdef const Kept* kept = &c.s.kept[id]
    place[0] = narrow8(truth + 1)
    if truth == F and kept.sieve and c.columns[kept.column].never != NULL:
        c.columns[kept.column].never[place - kept.truths] |= kept.sieve


# -- truths by who asks, by text, by tags, or once a batch ---------------------------------------------------------------

cdef inline bint is_of_owner(const Key* k) noexcept nogil:
    """Whether the owner of the resource tells the value of a key; no record of a directory does (5.3)."""
    return k.source == KEY_RESOURCE_ACCOUNT or k.source == KEY_RESOURCE_ORG or k.source == KEY_RESOURCE_ORG_PATHS


cdef inline bint is_of_caller(const Key* k) noexcept nogil:
    """Whether who asks tells the value of a key that nobody gives, at any time."""
    return k.source == KEY_PRINCIPAL or k.source == KEY_CALLER or k.source == KEY_DEFAULT or k.source == KEY_MFA


cdef inline bint asks_who_alone(const TablesC* t, const Atom* atom) noexcept nogil:
    """Whether all variables of an atom's values stand for what is known of who asks."""
    cdef Slots left = Slots(0, NULL, NULL)
    cdef uint32_t key = next_variable(t, atom, &left)
    while key != NONE and t.keys[key].source == KEY_PRINCIPAL:
        key = next_variable(t, atom, &left)
    return key == NONE


cdef inline uint32_t absence_plan(const Call* c, uint32_t key) noexcept nogil:
    """What the value of a key depends on where no column gives it."""
    cdef const Key* k = &c.t.keys[key]
    cdef uint32_t who = PLAN_ABSENT_WHO if k.is_checked else 0, other = NONE
    cdef int32_t i
    if k.source == KEY_RESOURCE:
        return PLAN_ABSENT_BARE | who
    if k.source == KEY_CALLER or k.source == KEY_DEFAULT:
        return who
    if is_of_owner(k):
        return PLAN_ABSENT_HOME | PLAN_ABSENT_WHO
    if k.source == KEY_REGION:
        return PLAN_ABSENT_REGION | who
    if k.source == KEY_PRINCIPAL or k.source == KEY_MFA_AGE:
        return PLAN_ABSENT_WHO
    if k.source == KEY_TAG_KEYS:
        for i in range(c.n_columns):
            if c.columns[i].tag.data != NULL:
                return PLAN_ABSENT_MORE
        return who
    if k.source == KEY_VIA_SERVICE and c.s.sources[c.t.key_called_via] >= 0:
        return PLAN_ABSENT_VIA | who
    if k.source == KEY_TIME or k.source == KEY_EPOCH:
        other = c.t.key_epoch if k.source == KEY_TIME else c.t.key_time
    elif k.source == KEY_VIA_SERVICE or k.source == KEY_CALLED_FIRST or k.source == KEY_CALLED_LAST or k.source == KEY_MFA:
        other = c.t.key_called_via
    elif k.source == KEY_SOURCE_ORG or k.source == KEY_SOURCE_ORG_PATHS:
        other = c.t.key_source_account
    return who if other != NONE and c.s.sources[other] < 0 else PLAN_ABSENT_MORE


cdef inline uint32_t slots_plan(const Call* c, const Atom* atom) noexcept nogil:
    """What the variables of an atom's values depend on: PLAN_WHO at most; 0 if on more than that."""
    cdef Slots left = Slots(0, NULL, NULL)
    cdef uint32_t plan = PLAN_TOLD, key = next_variable(c.t, atom, &left), of_key
    while key != NONE:
        of_key = absence_plan(c, key)
        # nor is a key that rows are counted under: they are where the condition is looked at
        if c.s.sources[key] >= 0 or of_key & ~<uint32_t>PLAN_ABSENT_WHO or not is_supplied(&c.t.keys[key]):
            return 0
        if of_key:
            plan |= PLAN_WHO
        key = next_variable(c.t, atom, &left)
    return plan


cdef inline bint reads_what_varies(const TablesC* t, const Atom* atom) noexcept nogil:
    """Whether an atom may say something else of copies of one principal."""
    cdef Slots left = Slots(0, NULL, NULL)
    cdef uint32_t key = atom.key
    while key != NONE and not t.keys[key].varies:
        key = next_variable(t, atom, &left)
    return key != NONE


cdef inline uint32_t make_plan(const Call* c, const Atom* atom) noexcept nogil:
    """What the truth of an atom depends on in this batch."""
    cdef int32_t at = c.s.sources[atom.key]
    cdef uint32_t plan = slots_plan(c, atom)
    cdef const Key* k = &c.t.keys[atom.key]
    if not plan & PLAN_TOLD:
        return PLAN_MADE
    plan |= absence_plan(c, atom.key)
    if at < 0 and not plan & (PLAN_ABSENT_MORE | PLAN_ABSENT_BARE | PLAN_ABSENT_HOME | PLAN_ABSENT_REGION | PLAN_ABSENT_VIA):
        if not k.is_resource_tag:
            plan |= PLAN_ALONE
    # INVARIANT: who asks is in the keys of what lasts, none of which is 0
    if at < 0 and plan & (PLAN_WHO | PLAN_ABSENT_WHO) and (is_of_owner(k) or is_of_caller(k) and plan & PLAN_ALONE):
        if asks_who_alone(c.t, atom):
            plan |= PLAN_LASTS
    if reads_what_varies(c.t, atom):
        plan |= PLAN_VARIES
    return PLAN_MADE | plan


cdef struct Basis:             # what a truth may depend on, of a row of the range
    int64_t row
    uint32_t who
    uint32_t constants         # of the resource, if all of them are its own; NONE: not told
    uint32_t owner             # its account, plus 1, if it is another one than that of who asks; 0: one that is not modelled; NONE: not told
    const char* region_end     # the colon behind the region of the resource, which need not have one; NULL: not told
    uint8_t resource           # what the resource has, as PLAN_*: constants, or an owner who is another one than the account of who asks


cdef inline uint8_t resource_plan(bint has_constants, bint is_home) noexcept nogil:
    return narrow8(has_constants * PLAN_ABSENT_BARE | (not is_home) * PLAN_ABSENT_HOME)


cdef inline bint is_by_constants(const Basis* q, uint32_t plan) noexcept nogil:
    """Whether the constants of a resource determine a key that no column gives."""
    return q.constants != NONE and plan & PLAN_ABSENT_BARE   # INVARIANT: such a key depends neither on more nor on the owner


cdef inline bint is_by_owner(const Basis* q, uint32_t plan, const Key* k) noexcept nogil:
    """Whether the owner of a resource determines such a key: of one that is not modelled, no organization."""
    return q.owner != NONE and plan & PLAN_ABSENT_HOME and (q.owner or k.source != KEY_RESOURCE_ACCOUNT)


cdef inline uint32_t met_region(Scratch* s, const char* text, int64_t size) noexcept nogil:
    """The number of a region that is met, from 1 on; NONE: there is no place for it."""
    cdef uint64_t hash = short_hash(text, size, 0)
    cdef Region* place
    cdef uint32_t i, at
    for i in range(MOST_PROBES):
        at = <uint32_t>(hash + i) & (N_REGIONS - 1)
        place = &s.regions[at]
        if place.size == 0:
            place.size = narrow8(size)
            memcpy(place.text, text, <size_t>size)
        if place.size == size and short_equal(place.text, text, size):
            return at + 1
    return NONE


cdef inline uint32_t region_number(const Call* c, const Basis* q) noexcept nogil:
    """What `region_value` depends on: a region, or 0 where there is none."""
    cdef const char* start = q.region_end
    cdef uint32_t partition
    if start == NULL:
        return NONE
    while (start - 1)[0] != 58 and q.region_end - start <= MOST_REGION:   # ":"; there is one before, in an ARN
        start -= 1
    if q.region_end - start > MOST_REGION:
        return NONE
    if q.region_end != start:
        return met_region(c.s, start, q.region_end - start)
    partition = c.t.principals[q.who].partition          # it is that of the resource
    if not c.action.flags & ACT_GLOBAL or partition == NONE or c.t.words[partition].size != 3 \
            or not short_equal(<const char*>c.t.pool + c.t.words[partition].text, b"aws", 3):
        return 0
    return met_region(c.s, b"us-east-1", 9)


cdef inline bint has_value(const ContextColumn* column, int64_t row) noexcept nogil:
    """Whether a column gives a row something. INVARIANT: no list holds a null (`kernel.columns.read`)."""
    cdef int64_t first, last
    cdef Text text
    row_items(column.column, column.first + row, &first, &last)
    return last > first and item_text(column.column, first, &text)


cdef inline uint32_t kin_of(const Scratch* s, uint32_t who) noexcept nogil:
    """The principal of which who asks is a copy, or who asks: a condition that reads nothing that varies says the same of both."""
    cdef uint32_t kin = s.kin[who]
    return kin - 1 if kin else who


cdef inline uint32_t asker_of(const Scratch* s, uint32_t plan, uint32_t who) noexcept nogil:
    """For which principal the truth of a condition is told: once for the copies of one."""
    return who if plan & PLAN_VARIES else kin_of(s, who)


cdef inline const uint64_t* told_at(const uint64_t* place, uint64_t key) noexcept nogil:
    """Where something is told under a key: at its place, or beside it; NULL: nowhere."""
    place += place[0] >> TOLD_BITS != key                # no branch: which of the two is not to be foreseen
    return place if place[0] >> TOLD_BITS == key else NULL


cdef inline bint means_something(const Scratch* s, uint64_t told) noexcept nogil:
    """Whether something was told in this epoch, or lasts."""
    cdef uint32_t epoch = <uint32_t>(told >> TOLD_BITS) & ((1 << EPOCH_BITS) - 1)
    return epoch == 0 or epoch == s.told_epoch


cdef inline void tell(Scratch* s, uint64_t* place, uint64_t told) noexcept nogil:
    """Tell something at a place; what was there goes beside it, and what was beside it is forgotten."""
    if place[0] >> TOLD_BITS != told >> TOLD_BITS:
        s.n_crowded += place[1] != 0 and means_something(s, place[1])
        place[1] = place[0]
    place[0] = told


cdef inline void move_told(const uint64_t* told, uint64_t n, uint64_t* room, uint64_t mask) noexcept nogil:
    """Tell what was told in a table in a larger one."""
    cdef uint64_t i
    cdef uint64_t* place
    for i in range(n):
        if told[i]:
            place = &room[mix(told[i] >> TOLD_BITS) & mask & ~<uint64_t>1]
            place[place[0] != 0] = told[i]


cdef inline uint64_t epoch_key(const Scratch* s, uint32_t plan, uint64_t key) noexcept nogil:
    """The key that means something in this epoch, or in all of them."""
    return key << EPOCH_BITS | (0 if plan & PLAN_LASTS else s.told_epoch)


cdef inline uint64_t* place_of(Scratch* s, uint64_t key) noexcept nogil:
    """Where something is told under a key: there, or beside it."""
    return &s.told[mix(key) & s.told_mask & ~<uint64_t>1]


cdef inline uint64_t* place_alone(const Call* c, uint32_t id, uint32_t plan, uint32_t who, uint64_t* key) noexcept nogil:
    """`told_place`, of an atom that is PLAN_ALONE: that made its plan in this batch, in which nothing is unknown."""
    cdef uint64_t asker = 0
    if plan & (PLAN_WHO | PLAN_ABSENT_WHO):
        asker = <uint64_t>asker_of(c.s, plan, who) + 1
    if (id | asker) >> 20:
        return NULL
    key[0] = epoch_key(c.s, plan, (<uint64_t>id << 20 | asker) << 16)
    return place_of(c.s, key[0])


cdef inline uint64_t* told_place(const Call* c, uint32_t id, const Basis* q, uint64_t* key) noexcept nogil:
    """Where the truth of an atom would be told for a row, and the key under which; NULL: nowhere."""
    cdef Scratch* s = c.s
    cdef const Atom* atom = &c.t.atoms[id]
    cdef const ContextColumn* column
    cdef int32_t at = s.sources[atom.key]
    cdef uint32_t plan, asker, who, by = NONE
    cdef uint64_t code = 0
    cdef bint is_absent = at < 0
    if s.kept == NULL or id >= s.n_kept or c.unknown != NULL or (c.t.keys[atom.key].is_resource_tag and c.action.flags & ACT_PASS_ROLE):
        return NULL
    plan = s.kept[id].plan
    if plan == 0:
        plan = make_plan(c, atom)
        s.kept[id].plan = narrow16(plan)
    if not plan & PLAN_TOLD:
        return NULL
    if at >= 0:
        column = &c.columns[at]
        is_absent = column.column.is_list and not has_value(column, q.row)
        if not is_absent and not column.keeps_truths:
            return NULL
        if not is_absent:
            code = <uint64_t>kept_code(column, q.row) + 1
            is_absent = code > <uint64_t>column.n_codes
        if code > <uint64_t>column.n_codes + 1:
            return NULL
    asker = asker_of(s, plan, q.who)
    who = asker + 1 if plan & PLAN_WHO or (is_absent and plan & PLAN_ABSENT_WHO) else 0
    if is_absent and plan & (PLAN_ABSENT_MORE | PLAN_ABSENT_REGION | PLAN_ABSENT_VIA | q.resource):
        if plan & PLAN_ABSENT_REGION:
            by = region_number(c, q)
        elif plan & PLAN_ABSENT_VIA:
            by = has_value(&c.columns[s.sources[c.t.key_called_via]], q.row)
        elif is_by_constants(q, plan):
            by = q.constants
        elif is_by_owner(q, plan, &c.t.keys[atom.key]):
            by = q.owner
        who = asker + 1 if plan & PLAN_WHO else 0  # sessions carry none of these keys (K3)
        if id >> 15 or who >> 20 or by >> 20:
            return NULL
        key[0] = (<uint64_t>id << 20 | who) << 20 | by | BY_RESOURCE
    else:
        if id >> 20 or who >> 20 or code >> 16:
            return NULL
        key[0] = (<uint64_t>id << 20 | who) << 16 | code
    key[0] = epoch_key(s, plan, key[0])
    return place_of(s, key[0])


cdef inline int truth_at(const Call* c, uint32_t id, const uint64_t* place, uint64_t key, int64_t batch_row) noexcept nogil:
    """The truth of an atom as it was told before at its place; -1 if it was not. The row is counted under the key that nobody supplies."""
    cdef const uint64_t* told = NULL if place == NULL else told_at(place, key)
    cdef uint32_t unsupplied
    if told == NULL:
        return -1
    if told[0] & 4:
        unsupplied = c.t.atoms[id].key
        count_row(&c.s.touched_rows[unsupplied], &c.s.touched[unsupplied], batch_row)
    return <int>(told[0] & 3)


cdef inline int told_truth(const Call* c, uint32_t id, const Basis* q, int64_t batch_row) noexcept nogil:
    cdef uint64_t key = 0
    cdef const uint64_t* place = told_place(c, id, q, &key)
    return truth_at(c, id, place, key, batch_row)


cdef inline void let_never(Scratch* s, uint16_t* number, uint64_t bits, bint at_home) noexcept nogil:
    """Let further bits not hold for a caller; where there is no room to say so, they may hold as before."""
    cdef Never wanted = s.nevers[number[0]]
    cdef uint32_t at, probe, hash
    if at_home:
        wanted.at_home |= bits
    else:
        wanted.anywhere |= bits
    hash = <uint32_t>mix(wanted.anywhere ^ mix(wanted.at_home))
    for probe in range(MOST_PROBES):
        at = (hash + probe) & (N_NEVERS - 1)
        if at and not s.nevers[at].anywhere | s.nevers[at].at_home:
            s.nevers[at] = wanted
        if s.nevers[at].anywhere == wanted.anywhere and s.nevers[at].at_home == wanted.at_home:
            number[0] = narrow16(at)
            return


cdef inline void keep_never(const Call* c, uint32_t id, const Basis* q) noexcept nogil:
    """Let the bits of a condition that lasts not hold for who asks and its copies, where it does not; of keys that owners tell, for the
    resources of one."""
    cdef Scratch* s = c.s
    cdef bint is_owners = is_of_owner(&c.t.keys[c.t.atoms[id].key])
    cdef uint32_t who = q.who if s.kept[id].plan & PLAN_VARIES else kin_of(s, q.who)
    if not s.kept[id].plan & PLAN_LASTS or not s.kept[id].sieve:
        return
    if not is_owners or not q.resource & PLAN_ABSENT_HOME:
        let_never(s, &s.callers[who].never, s.kept[id].sieve, is_owners)
    elif q.owner < s.n_owned and not s.kept[id].plan & PLAN_WHO:
        s.never_owned[q.owner] |= s.kept[id].sieve


cdef inline bint is_region_told(const ContextColumn* column, int64_t row) noexcept nogil:
    """Whether the resource of a row tells the region: no column does, or the one that does (NULL: none) has no value."""
    return column == NULL or item_code(column.column, column.first + row) < 0


cdef inline void keep_regions(const Call* c, uint32_t id, const Basis* q) noexcept nogil:
    """Let the bits of a condition not hold for resources of a region, where it does not; where there is none, rows are counted."""
    cdef uint32_t number = region_number(c, q)
    if number != NONE and number != 0:
        c.s.never_regions[number] |= c.s.kept[id].sieve
        c.s.never_regions[0] |= c.s.kept[id].sieve


cdef inline void tell_truth(const Call* c, uint32_t id, const Basis* q, int truth, bint is_absent) noexcept nogil:
    """Tell the truth of an atom to the rows that come."""
    cdef uint64_t key
    cdef uint64_t* place = told_place(c, id, q, &key)
    cdef const Key* k = &c.t.keys[c.t.atoms[id].key]
    cdef int32_t at = c.s.sources[c.t.atoms[id].key]
    cdef const ContextColumn* column = NULL if at < 0 else &c.columns[at]
    cdef bint counts = at < 0 and not is_supplied(k) and (is_absent or k.source == KEY_DEFAULT)
    if place != NULL:
        tell(c.s, place, key << TOLD_BITS | <uint64_t>counts << 2 | <uint64_t>truth)
        if truth == F:
            keep_never(c, id, q)
        if truth == F and c.s.kept[id].sieve and k.source == KEY_REGION and is_region_told(column, q.row):
            keep_regions(c, id, q)


cdef inline void forget_told(Scratch* s) noexcept nogil:
    """The keys of what was told mean other things from now on, but for what lasts: its epoch is 0."""
    s.told_epoch += 1
    if s.told_epoch >> EPOCH_BITS:
        memset(s.told, 0, (<size_t>s.told_mask + 1) * sizeof(uint64_t))
        s.told_epoch = 1
